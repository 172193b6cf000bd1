"""Numbers of a recording's rhythm, from where its beats are and how they differ."""

import jax.numpy as jnp
from jax import lax

from metaecg.signals.beats import HZ, Beats
from metaecg.types import Array

NAMES = (
    "rate",
    "beats a second",
    "deviation of intervals",
    "median deviation of intervals",
    "deviation of successive intervals",
    "shortest interval",
    "longest interval",
    "share of intervals that differ by 0.05 s",
    "share of intervals that differ by 0.12 s",
    "correlation of successive intervals",
    "correlation of every second interval",
    "most premature beat",
    "longest pause after an interval",
    "mean distance of beats from the median",
    "greatest distance of a beat from the median",
    "greatest distance in units of the median distance",
    "share of beats unlike the median",
    "size of the median beat",
)
"""What the numbers are, in order."""


def rhythm(beats: Beats) -> Array:
    """Numbers of the rhythm, as `NAMES` has them: float32 [N, 18], finite whatever was found.

    Intervals are in units of the recording's median one, except where seconds are given; distances
    and the size are in mV. Numbers that need more beats than there are, are zero.
    """
    at, real = beats.peaks
    known = real[:, 1:]
    interval = jnp.diff(at, axis=1).astype(jnp.float32)  # samples: whole numbers
    middle = _median(interval, known)
    # Subtracted before it is divided, so that what is small is not the rounding of what is not.
    away = (interval - middle) * known / jnp.maximum(middle, 1.0)
    pairs, change = known[:, 1:], jnp.diff(away, axis=1) * known[:, 1:]
    centred = (away - _mean(away, known)) * known
    variance = _mean(centred**2, known)

    def correlation(lag: int) -> Array:
        return _mean(centred[:, lag:] * centred[:, :-lag], known[:, lag:]) / (variance + 1e-4)

    compared, unlike = beats.compared, beats.unlike
    usual = _median(unlike, compared)
    spread = jnp.max(unlike, axis=1, keepdims=True)
    numbers = (
        jnp.where(middle > 0, HZ / jnp.maximum(middle, 10.0), 0.0),
        real.sum(axis=1, keepdims=True) / (real.shape[1] * 0.2),
        jnp.sqrt(variance),
        _median(jnp.abs(away), known),
        jnp.sqrt(_mean(change**2, pairs)),
        jnp.min(away, axis=1, keepdims=True),
        jnp.max(away, axis=1, keepdims=True),
        # Intervals are whole samples: half a sample less, so that rounding decides nothing.
        *(_mean(jnp.abs(change) * middle > least, pairs) for least in (4.5, 11.5)),
        correlation(1),
        correlation(2),
        jnp.min(change, axis=1, keepdims=True),
        jnp.max(change, axis=1, keepdims=True),
        _mean(unlike, compared),
        spread,
        spread / (usual + 0.01),
        _mean(unlike > 2 * usual + 0.01, compared),
        jnp.max(jnp.abs(beats.median), axis=(1, 2))[:, None],
    )
    return jnp.concatenate([jnp.asarray(n, jnp.float32) for n in numbers], axis=1)


def _mean(x: Array, real: Array) -> Array:
    return jnp.sum(x * real, axis=1, keepdims=True) / jnp.maximum(
        real.sum(axis=1, keepdims=True), 1
    )


def _median(x: Array, real: Array) -> Array:
    """Median of those that are real, [N, 1]; 0 where none is."""
    count = real.sum(axis=1, keepdims=True)
    ordered = jnp.sort(jnp.where(real, x, jnp.inf), axis=1)
    low, high = (
        jnp.take_along_axis(ordered, jnp.maximum(n, 0), axis=1)
        for n in (lax.div(count - 1, 2), lax.div(count, 2))
    )
    return jnp.where(count > 0, (low + high) / 2, jnp.float32(0))
