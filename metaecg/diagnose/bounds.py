"""How often answers may be wrong at most, where a recording was asked in several episodes."""

import numpy as np
from scipy import special

CONFIDENCE = 0.95
"""Confidence of the bounds."""

LEVELS = np.linspace(0, 1, 101)
"""Certainties, and rates at which sets hold the truth, for which numbers are kept."""


def binomial_bound(wrong: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The largest rate at which no more wrong ones than these are not improbable, at `CONFIDENCE`.

    The upper end of a one-sided interval of Clopper and Pearson (1934).

    Args:
      wrong: how many were wrong, of each; a whole number or not.
      asked: of how many.
    """
    inside = wrong < asked - 1e-9
    bound = special.betaincinv(wrong + 1, np.where(inside, asked - wrong, 1.0), CONFIDENCE)
    return np.where(inside, bound, 1.0)


def risks_by_level(
    certainty: np.ndarray, wrong: np.ndarray, asked: np.ndarray
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Bounds of the rate of wrong answers among those of a certainty of each of `LEVELS` or more.

    A recording that is asked in n episodes proves more than one recording and less than n. The
    bound is binomial, with as many independent answers as the variance of the rate over recordings
    corresponds to (Korn & Graubard 1998): between the effective number of recordings, (Σa)² / Σa²
    with a the answers to each, and all answers. Where none is wrong, it is the former.

    Args:
      certainty: float [N], of answers, or of any other shape.
      wrong: bool, alike.
      asked: int, alike, the recording that each is an answer to.

    Returns:
      The bounds, and the effective number of recordings that each rests on.
    """
    certainty, wrong = certainty.ravel(), wrong.ravel()
    recording = np.unique(asked, return_inverse=True)[1].reshape(-1)
    bounds, recordings = [], []
    for level in LEVELS:
        certain = certainty >= level
        given, missed = (np.bincount(recording, each) for each in (certain, certain & wrong))
        total = max(1, given.sum())
        rate, effective = missed.sum() / total, total**2 / max(1, (given**2).sum())
        variance = ((missed - rate * given) ** 2).sum() / total**2
        count = rate * (1 - rate) / variance if variance > 0 else 0
        count = np.clip(count, min(effective, given.sum()), given.sum())
        bounds.append(round(float(binomial_bound(rate * count, count)), 4))
        recordings.append(round(float(effective), 1) if given.sum() else 0.0)
    return tuple(bounds), tuple(recordings)
