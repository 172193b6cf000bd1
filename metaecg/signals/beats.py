"""Beats of a recording: where the R peaks are, the median beat, and how far each beat is from it.

All shapes are fixed, so that everything runs under `jit`, `vmap` and `jax.export`. Whatever its own
rate, a recording is read at `HZ`, at which a beat's form is as good as at a higher one.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metaecg.errors import MetaecgError
from metaecg.signals import portable, real_transforms
from metaecg.types import Array

HZ = 100
BEFORE, AFTER = 35, 55
"""Samples of a beat before its R peak and from it on: −0.35 s to +0.55 s."""

SHORTEST = 20  # samples between two beats: 300 a minute
MOST = 16  # beats that the median is of; of more, as many are taken from the whole recording
_REACH = 4  # samples by which a beat may be moved to lie on the others
_NEAR = slice(BEFORE - 12, BEFORE + 12)  # of a beat: where its QRS is, by which beats are compared
_LEAST_SLOPE = 2e-3  # mV a sample; a typical beat of a whole recording has 0.013 or more


class Peaks(NamedTuple):
    """R peaks in order of time, in slots of which the last may be empty.

    Attributes:
      at: int32 [N, K], samples at `HZ`; of no meaning in an empty slot.
      real: bool [N, K], whether there is a beat in the slot.
    """

    at: Array
    real: Array


class Beats(NamedTuple):
    """The beats of N recordings.

    Attributes:
      peaks: where they are; K slots.
      median: float32 [N, BEFORE + AFTER, leads], mV; zeros where there is no beat.
      spread: like `median`, the mean distance of the beats from it.
      unlike: float32 [N, MOST], mean distance of a beat from the median, mV; 0 in empty slots.
      compared: bool [N, MOST], whether there is a beat in the slot of `unlike`.
    """

    peaks: Peaks
    median: Array
    spread: Array
    unlike: Array
    compared: Array


def at_standard_rate(signals: Array, hz: float) -> Array:
    """Resamples recordings [N, samples, leads] from `hz` to `HZ`, by their cosine transform.

    Sample i of the result is at (i + ½) / HZ − ½ / hz seconds after the first one given.

    Raises:
      MetaecgError: they are shorter than 5 s or have fewer than 50 samples a second.
    """
    samples = signals.shape[1]
    if hz < 50 or samples < 5 * hz:
        raise MetaecgError(
            f"recordings of {samples} samples at {hz:g} Hz: beats are found in 5 s or more, at "
            "50 Hz or more"
        )
    if hz == HZ:
        return signals
    wanted = round(samples * HZ / hz)
    if portable.wanted():
        return real_transforms.resampled(signals, wanted)
    spectrum = _spectrum(signals)[:, : wanted + 1]
    missing = wanted + 1 - spectrum.shape[1]
    spectrum = jnp.pad(spectrum, ((0, 0), (0, max(0, missing)), (0, 0)))
    shift = np.exp(1j * np.pi * np.arange(wanted + 1) * 0.5 * (1 / wanted - 1 / samples))
    if missing <= 0:
        shift[-1] = 0
    spectrum = spectrum * jnp.asarray(shift, spectrum.dtype)[None, :, None]
    return jnp.fft.irfft(spectrum, 2 * wanted, axis=1)[:, :wanted] * (wanted / samples)


def _spectrum(signals: Array) -> Array:
    """Of the signals followed by their mirror images, which have no step at either end."""
    return jnp.fft.rfft(jnp.concatenate([signals, signals[:, ::-1]], axis=1), axis=1)


def _filtered(signals: Array, response: np.ndarray) -> Array:
    samples = signals.shape[1]
    if portable.wanted():
        return real_transforms.filtered(signals, response)
    spectrum = _spectrum(signals) * jnp.asarray(response, jnp.complex64)[None, :, None]
    return jnp.fft.irfft(spectrum, 2 * samples, axis=1)[:, :samples]


def _frequencies(samples: int) -> np.ndarray:
    return np.arange(samples + 1) * HZ / (2 * samples)


def without_wander(signals: Array) -> Array:
    """Recordings at `HZ` without what is slower than 0.5 Hz (2nd order Butterworth, both ways)."""
    f = _frequencies(signals.shape[1])
    # The wander is taken off: a filter of all frequencies would round each of them.
    return signals - _filtered(signals, 0.5**4 / (f**4 + 0.5**4))


def envelope(signals: Array) -> Array:
    """Slope between 4 and 20 Hz, mean over leads and 0.09 s, mV a sample: [N, samples] at `HZ`."""
    f = _frequencies(signals.shape[1])
    band = f**4 / (f**4 + 4.0**4) / (1 + (f / 20.0) ** 4)
    slope = jnp.abs(_filtered(signals, band * 2j * np.pi * f / HZ)).mean(-1)
    return _window(slope, 9, jnp.add, 0.0) / 9


def _window(x: Array, width: int, combine, start: float) -> Array:
    """Sum or maximum of [N, samples] over a centred window of an odd width."""
    half = width // 2
    return jax.lax.reduce_window(
        x, start, {jnp.add: jax.lax.add, jnp.maximum: jax.lax.max}[combine],
        (1, width), (1, 1), ((0, 0), (half, half)),
    )  # fmt: skip


def find_peaks(signals: Array) -> Peaks:
    """R peaks of recordings at `HZ`, float32 [N, samples, leads] in mV, the empty slots last.

    A peak is where the envelope is greatest within 0.2 s on either side and above 0.45 of a typical
    beat's height, which is the median, over stretches of 1.5 s, of the greatest value. Where it is
    the greatest within 0.4 s, so that it is no T wave, 0.25 is enough. Peaks of noise are found as
    well, and are left out where they neither rise clearly above the rest nor resemble each other.
    Where fewer than half of the stretches hold a beat, below some 20 beats a minute, none is found.
    """
    height = envelope(signals)
    records, samples = height.shape
    stretches = height[:, : samples // 150 * 150].reshape(records, -1, 150)
    typical = jnp.median(stretches.max(-1), axis=-1, keepdims=True)
    near, far = (_window(height, 2 * n + 1, jnp.maximum, -jnp.inf) for n in (SHORTEST, 40))
    strong = (height == near) & (height > 0.45 * typical)
    alone = (height == far) & (height > 0.25 * typical)
    # A stretch of 0.2 s holds one peak at most, so that each needs one slot.
    slots = -(-samples // SHORTEST)
    peak = jnp.pad(strong | alone, ((0, 0), (0, slots * SHORTEST - samples)))
    peak = peak.reshape(records, slots, SHORTEST)
    real = peak.any(axis=-1)
    at = jnp.arange(slots, dtype=jnp.int32)[None] * SHORTEST + jnp.argmax(peak, axis=-1)
    order = jnp.argsort(~real, axis=-1, stable=True)
    at, real = (jnp.take_along_axis(x, order, axis=-1) for x in (at, real))
    clear = typical > 2.5 * jnp.median(height, axis=-1, keepdims=True)
    likely = (clear | (_resemblance(signals, Peaks(at, real)) > 0.8)) & (typical > _LEAST_SLOPE)
    return Peaks(at, real & likely)


def find_beats(signals: Array) -> Beats:
    """Peaks and median beat of recordings at `HZ`, float32 [N, samples, leads] in mV.

    Each beat is moved by up to 0.04 s to lie on the others, QRS on QRS. Beats that the recording's
    ends cut are left out. The median is the geometric one of each lead (Weiszfeld's algorithm):
    like the median of each sample it is not moved by a few beats of another form, and it has less
    noise.
    """
    signals = without_wander(signals)
    peaks = find_peaks(signals)
    beats, compared = _beats(signals, peaks)
    middle = _geometric_median(beats[:, :, _REACH:-_REACH], compared)
    shifts = [beats[:, :, s : s + BEFORE + AFTER] for s in range(2 * _REACH + 1)]
    away = [jnp.sum((x - middle[:, None])[:, :, _NEAR] ** 2, axis=(2, 3)) for x in shifts]
    best = jax.nn.one_hot(jnp.argmin(jnp.stack(away, axis=-1), axis=-1), len(shifts))
    aligned = sum(best[:, :, s, None, None] * x for s, x in enumerate(shifts))
    median = _geometric_median(aligned, compared)
    distance = jnp.abs(aligned - median[:, None])
    spread = _mean(distance, compared[:, :, None, None].astype(distance.dtype))
    return Beats(peaks, median, spread, distance.mean(axis=(2, 3)) * compared, compared)


def _resemblance(signals: Array, peaks: Peaks) -> Array:
    """Mean correlation of two different beats around their peaks: [N, 1]."""
    beats, real = _beats(signals, peaks)
    qrs = beats[:, :, _REACH:-_REACH][:, :, _NEAR] * real[:, :, None, None]
    qrs = qrs - qrs.mean(axis=2, keepdims=True)
    each = jnp.sum(qrs**2, axis=(1, 2, 3))
    together = jnp.sum(qrs.sum(axis=1) ** 2, axis=(1, 2))
    others = jnp.maximum(real.sum(axis=1) - 1, 1)
    return ((together - each) / (others * each + 1e-12))[:, None]


def _beats(signals: Array, peaks: Peaks) -> tuple[Array, Array]:
    """Up to `MOST` whole beats with `_REACH` samples more on either side, evenly from all.

    Returns:
      The beats [N, MOST, samples, leads], and which of them are there.
    """
    first, last = BEFORE + _REACH, signals.shape[1] - AFTER - _REACH
    whole = peaks.real & (peaks.at >= first) & (peaks.at <= last)
    count = whole.sum(axis=-1, keepdims=True)
    order = jnp.argsort(~whole, axis=-1, stable=True)
    slot = jnp.arange(MOST)[None]
    chosen = jax.lax.div(slot * jnp.maximum(count, MOST), MOST)
    chosen = jnp.minimum(chosen, order.shape[1] - 1)
    at = jnp.take_along_axis(peaks.at, jnp.take_along_axis(order, chosen, axis=1), axis=1)
    rows = at[:, :, None] + jnp.arange(-BEFORE - _REACH, AFTER + _REACH)[None, None]
    beats = jax.vmap(lambda x, r: x[jnp.clip(r, 0, len(x) - 1)])(signals, rows)
    return beats, slot < count


def _geometric_median(beats: Array, real: Array, steps: int = 6) -> Array:
    """Of [N, MOST, samples, leads], lead by lead: [N, samples, leads]; zeros where none is real.

    The iteration asks for distances from a weighted mean of the beats alone, which follow from the
    beats' inner products: the beats themselves are read once.
    """
    there = real[:, None, :].astype(beats.dtype)
    apart = beats - _mean(beats, real[:, :, None, None].astype(beats.dtype))[:, None]
    exactly = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)
    products = exactly("nmtl,nktl->nlmk", apart, apart) / beats.shape[2]
    squares = jnp.mean(apart**2, axis=2).swapaxes(1, 2)  # [N, leads, MOST]
    weight = _to_one(jnp.broadcast_to(there, squares.shape))
    for _ in range(steps):
        across = exactly("nlmk,nlk->nlm", products, weight)
        inside = (weight * across).sum(axis=-1, keepdims=True)
        distance = jnp.sqrt(jnp.maximum(squares - 2 * across + inside, 0))
        weight = _to_one(there / (distance + 1e-3))
    return exactly("nlm,nmtl->ntl", weight, beats)


def _to_one(weight: Array) -> Array:
    """Weights that sum to one along the last axis, or to zero."""
    return weight / jnp.maximum(weight.sum(axis=-1, keepdims=True), 1e-9)


def _mean(beats: Array, weight: Array) -> Array:
    return (beats * weight).sum(axis=1) / jnp.maximum(weight.sum(axis=1), 1e-9)
