"""How many of those sought are still unread: an interval that needs no model, and an expectation.

The control sample is the beginning of one random order of the archive, which is drawn before
anything is read. Its length depends on the number of readings alone, not on what they found, and
all of it is read. The number of those sought in it is therefore hypergeometric, whatever the
ranking does, and the interval holds at every number of readings that is chosen beforehand (Clopper
& Pearson 1934).

The expectation continues the curve of what was found at each place of the ranking. The curve is a
logistic function of the place's logarithm; it is fitted to the answers, with a prior from PTB-XL.
"""

from typing import NamedTuple

import numpy as np

from metaecg.search import probability

LEVEL = 0.95

_SPREAD = np.diag([2.0, 1.0])  # of intercept and slope before any answer, standard deviations


class Remaining(NamedTuple):
    """How many are expected among the unread.

    Attributes:
      expected: by the curve of what was found at which place of the ranking.
      low, high: the ends of the interval at `LEVEL`, by the control sample.
      soon: how many are expected among the next readings; the caller says how many of these.
    """

    expected: float
    low: int
    high: int
    soon: float


def interval(population: int, sample: int, hits: int, level: float = LEVEL) -> tuple[int, int]:
    """Least and greatest number in a population that a random sample from it is consistent with.

    Args:
      population: N.
      sample: n of them, drawn without replacement.
      hits: how many of the sample are sought.
      level: of the equal-tailed interval. It holds the numbers K for which this number of hits or
        more, and this number or fewer, each have a probability above (1 − level) / 2.
    """
    from scipy.stats import hypergeom  # takes half a second, and a search needs none of it

    tail = (1 - level) / 2

    def least(holds, low: int, high: int) -> int:  # holds from some number on, and for `high`
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(middle) else (middle + 1, high)
        return low

    most = population - (sample - hits)
    low = least(lambda k: hypergeom.sf(hits - 1, population, k, sample) > tail, hits, most)
    beyond = least(
        lambda k: k > most or hypergeom.cdf(hits, population, k, sample) <= tail, hits, most + 1
    )
    return low, beyond - 1


def curve(places: np.ndarray, sought: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Intercept and slope by log place of the log-odds that a recording is sought: float [2].

    Args:
      places: float [n], in (0, 1], at which recordings were read.
      sought: bool [n], what they were.
      prior: float [2], what would be said without any reading; the answers outweigh it.
    """
    inputs = np.stack([np.ones(len(places)), probability.log_place(places)], axis=1)
    precision = np.linalg.inv(_SPREAD**2)
    found = prior.copy()
    for _ in range(30):
        chance = 1 / (1 + np.exp(-inputs @ found))
        gradient = inputs.T @ (sought - chance) - precision @ (found - prior)
        curvature = (inputs.T * (chance * (1 - chance))) @ inputs + precision
        step = np.linalg.solve(curvature, gradient)
        found = found + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-6:
            break
    return found


def prior(left_out: np.ndarray) -> np.ndarray:
    """Intercept and slope before anything was read, by places of sought examples left out."""
    first, second = probability.features(2, left_out) @ probability.COEFFICIENTS
    near, far = probability.log_place(np.array([0.5, 1]))
    slope = (second - first) / (far - near)
    return np.array([second - slope * far, slope])
