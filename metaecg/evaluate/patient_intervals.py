"""Intervals for other patients than those measured: both roles of a patient, and chance, counted.

A score is measured on some patients by some episodes. Other patients would have given another
score, for two reasons: each patient is asked, and each patient serves as an example. The
infinitesimal jackknife (Efron 2014, section 3; Wager, Hastie and Efron 2014) says how far the score
moves when one patient counts a little more. That influence is the sum of both roles, which are not
independent: a patient whose ECG is unlike those of the class is answered wrongly and misleads as an
example. The variance of the score is the sum of the squared influences, less what chance adds to
these squares, plus the variance that the draw of the episodes has itself.

docs/statistics.md derives the formulas and shows, in a simulation with a known truth, how often the
intervals hold it.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import special

from metaecg.types import Episode

FEW = 20
"""Patients below which an interval over patients is a rough guess, and results say so."""

_SHRINKAGE = 2.0
"""Answers by which a patient's own mean is shrunk towards that of the class."""


class Estimate(NamedTuple):
    """A score, and how far it would lie elsewhere for other patients and episodes.

    Attributes:
      value: the score.
      deviation: its standard deviation over patients and episodes.
      freedom: degrees of freedom of the deviation, for Student's t.
      patients: the patients it was measured on.
    """

    value: float
    deviation: float
    freedom: float
    patients: int

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval, (low, high)."""
        half = float(special.stdtrit(self.freedom, 0.975)) * self.deviation
        return self.value - half, self.value + half

    @property
    def p(self) -> float:
        """Two-sided p: how likely a value this far from 0 is where the truth is 0."""
        if self.deviation == 0:
            return float(self.value == 0)
        return float(2 * special.stdtr(self.freedom, -abs(self.value) / self.deviation))


def estimate(
    value: float, asked: np.ndarray, example: np.ndarray, noise: np.ndarray, chance: float
) -> Estimate:
    """A score with its deviation, from the influence of each patient.

    Args:
      value: the score.
      asked: float [P], how far each patient moves the score by being asked.
      example: float [P], and by serving as an example.
      noise: float [2, P], the expected squares that chance alone gives `asked` and `example`.
      chance: variance of the score for the same patients in other episodes.
    """
    alone = asked**2 - noise[0]
    both = (asked + example) ** 2 - noise.sum(0)
    # Chance can hide the examples' share; it cannot make the interval narrower than without it.
    shares = both if both.sum() > alone.sum() else alone
    variance = max(float(shares.sum()), 0.0) + chance
    spread = float(((shares - shares.mean()) ** 2).sum())
    freedom = 2 * variance**2 / spread if spread > 0 else math.inf
    return Estimate(value, math.sqrt(variance), min(max(freedom, 1.0), 1e6), len(asked))


def over_patients(values: np.ndarray, episodes: Episode, patients: np.ndarray) -> Estimate:
    """The mean of a value of each query, with its deviation over patients and episodes.

    Args:
      values: float or bool [E, Q], such as whether each query was answered rightly, or the
        difference of two learners in that.
      episodes: leaves [E, ...].
      patients: int [R], whose record each row of the library is.
    """
    values = np.asarray(values, float)
    count, queries = values.shape
    rows = np.concatenate([episodes.query, episodes.support], axis=1)
    names, who = np.unique(np.asarray(patients)[rows], return_inverse=True)
    who = who.reshape(rows.shape)
    asked_of = np.take_along_axis(episodes.classes, episodes.query_slots, axis=1)
    shown_for = np.take_along_axis(episodes.classes, episodes.support_slots, axis=1)
    both = np.concatenate([asked_of, shown_for], axis=1)
    # How each patient fares by being asked: the answers less the mean of their class.
    above = values - _mean_by(asked_of, values)[asked_of]
    pairs, pair = np.unique(both * len(names) + who, return_inverse=True)
    size = np.bincount(pairs // len(names), minlength=both.max() + 1)  # patients of each class
    lift = np.sqrt(size / np.maximum(size - 1, 1))
    share = above * lift[asked_of] / values.size
    asked = np.bincount(who[:, :queries].ravel(), share.ravel(), len(names))
    noise = [np.bincount(who[:, :queries].ravel(), share.ravel() ** 2, len(names))]
    # How an episode fares, less what the other answers of the patients asked foretell.
    pair = pair.reshape(rows.shape)[:, :queries]
    times, sums = (np.bincount(pair.ravel(), x.ravel())[pair] for x in (above**0, above))
    fares = (above - (sums - above) / (times - 1 + _SHRINKAGE)).sum(axis=1) / values.size
    example, square = np.zeros(len(names)), np.zeros(len(names))
    for c in np.unique(episodes.classes):
        here = np.flatnonzero((episodes.classes == c).any(axis=1))
        shown = who[here, queries:][shown_for[here] == c].reshape(len(here), -1)
        members, place = np.unique(shown, return_inverse=True)
        serves = np.zeros((len(here), len(members)))
        serves[np.arange(len(here))[:, None], place.reshape(shown.shape)] = 1
        # Where some of n patients are drawn, the others are so less: by (n - 1) / (n - shot).
        dilution = (size[c] - 1) / max(size[c] - shown.shape[1], 1) * lift[c]
        moves = (serves - serves.mean(0)) * (fares[here] - fares[here].mean())[:, None] * dilution
        example[members] += moves.sum(0)
        square[members] += (moves**2).sum(0)
    chance = values.mean(1).var(ddof=1) / count if count > 1 else math.nan
    return estimate(float(values.mean()), asked, example, np.array([*noise, square]), chance)


def _mean_by(kind: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The mean of the values of each kind: float [K]."""
    total, count = (np.bincount(kind.ravel(), x.ravel()) for x in (values, np.ones(kind.shape)))
    return total / np.maximum(count, 1)
