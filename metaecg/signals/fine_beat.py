"""The median beat of one recording as finely as it can be measured, whatever its own rate.

The beats found at `beats.HZ` are laid upon each other at `HZ`, to a fifth of a sample of the
former. Beats of another form than most, such as premature ones, are left out.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from metaecg.signals import beats

HZ = 500
"""Samples a second of the median beat."""
BEFORE, AFTER = 225, 375
"""Its samples before the R peak and from it on: −0.45 s to +0.75 s."""
NEAR = 50
"""Samples on either side of the R peak by which beats are laid upon each other."""

_PASS = 0.5, 45.0  # Hz: wander below, mains and muscle above
_MOVED = 20  # samples by which a beat is moved, at most
_ALIKE = 0.9  # correlation with the median


class FineBeat(NamedTuple):
    """The median beat of a recording, and what is known of it.

    Attributes:
      median: float64 [BEFORE + AFTER, leads], mV.
      apart: like it, of each beat the distance from it; NaN beyond the recording's ends.
      first, last: the rows that half of the beats have, or more.
      found: how many beats there are in the recording.
      gap: s, the mean interval between two beats.
      irregular: median deviation of the intervals, in units of the median one.
    """

    median: np.ndarray
    apart: np.ndarray
    first: int
    last: int
    found: int
    gap: float
    irregular: float


def fine_beat(signal: np.ndarray, hz: float) -> FineBeat | None:
    """The median beat of a recording; None with fewer than two beats, or less than 5 s.

    Args:
      signal: finite, float [samples, leads] in mV.
      hz: samples per second.
    """
    if hz < 50 or len(signal) < 5 * hz or not signal.size:
        return None
    peaks = _find(hz)(signal[None].astype(np.float32))
    at = np.asarray(peaks.at[0])[np.asarray(peaks.real[0])]
    at = np.round((at + 0.5) * HZ / beats.HZ - 0.5).astype(int)
    x = _fine(signal, hz)
    whole = at[(at >= NEAR + _MOVED) & (at < len(x) - NEAR - _MOVED)]
    if len(whole) < 2:
        return None
    moves = np.arange(-_MOVED, _MOVED + 1)
    for _ in range(2):  # the second time upon a sharper median
        form = _centred(np.median(_cut(x, whole, NEAR, NEAR), axis=0))
        placed, alike = [], []
        for n in whole:
            moved = np.clip(n + moves, NEAR, len(x) - NEAR)
            piece = _centred(_cut(x, moved, NEAR, NEAR))
            size = np.sqrt((piece**2).sum((1, 2)) * (form**2).sum())
            likeness = (piece * form).sum((1, 2)) / (size + 1e-12)
            placed.append(moved[likeness.argmax()])
            alike.append(likeness.max())
        whole = np.array(placed)
    whole = whole[np.array(alike) > _ALIKE]
    if len(whole) < 2:
        return None
    pieces = _cut(x, whole, BEFORE, AFTER)
    known = np.isfinite(pieces[..., 0]).mean(0) >= 0.5
    rows = np.flatnonzero(known)
    median = np.zeros(pieces.shape[1:])
    median[rows] = np.nanmedian(pieces[:, rows], axis=0)
    gaps = np.diff(at) / HZ
    irregular = np.median(np.abs(gaps - np.median(gaps))) / np.median(gaps)
    first, last = int(rows[0]), int(rows[-1]) + 1
    return FineBeat(
        median, pieces - median, first, last, len(at), float(gaps.mean()), float(irregular)
    )


@functools.cache
def _find(hz: float) -> Callable[[np.ndarray], beats.Peaks]:
    """Peaks at `beats.HZ` of recordings at `hz`; one program, so that one is compiled or loaded."""
    return jax.jit(lambda x: beats.find_peaks(beats.without_wander(beats.at_standard_rate(x, hz))))


def _fine(signal: np.ndarray, hz: float) -> np.ndarray:
    """A recording within `_PASS` at `HZ`; sample i is at (i + ½) / HZ − ½ / hz seconds."""
    samples, wanted = len(signal), round(len(signal) * HZ / hz)
    spectrum = np.fft.rfft(np.concatenate([signal, signal[::-1]]), axis=0)[: wanted + 1]
    at = np.arange(len(spectrum))
    f = at * hz / (2 * samples)
    response = f**4 / (f**4 + _PASS[0] ** 4) / (1 + (f / _PASS[1]) ** 8)
    response = response * np.exp(1j * np.pi * at * 0.5 * (1 / wanted - 1 / samples))
    fine = np.fft.irfft(spectrum * response[:, None], 2 * wanted, axis=0)[:wanted]
    return fine * (wanted / samples)


def _cut(x: np.ndarray, at: np.ndarray, before: int, after: int) -> np.ndarray:
    """Pieces [N, before + after, leads] around rows; NaN beyond the ends."""
    rows = at[:, None] + np.arange(-before, after)
    inside = (rows >= 0) & (rows < len(x))
    return np.where(inside[..., None], x[np.clip(rows, 0, len(x) - 1)], np.nan)


def _centred(pieces: np.ndarray) -> np.ndarray:
    return pieces - pieces.mean(-2, keepdims=True)
