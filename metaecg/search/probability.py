"""From places in a ranking to probabilities, by what places meant in searches of known answer.

A sought example that is left out has a place in the ranking by the others. Where these places are
high, the sought recordings are alike, and a high place means much. A logistic function of a
recording's own place and of the examples' places was fitted on searches for the validation
statements of `ptbxl_rare` in all of PTB-XL, five positives each; how far it holds for the test
statements is in docs/find_and_review.md. It cannot know how rare the sought diagnosis is in another
archive: the answers of a review tell.
"""

import numpy as np

# Fitted by `experiments.benchmarks.simulated_reading --part=validation`.
COEFFICIENTS = (-5.618, -0.555, 0.515, 0.163)
ONE_IN = 190
"""So many recordings there were for each that was sought in these searches, in the mean."""

USUAL, WEIGHT = -3.128, 2.0
"""Mean log place of an example left out, and how many examples this counts for."""


SOFT = 0.003
"""Share of the archive below which places mean much the same; chosen on validation statements."""


def log_place(share: np.ndarray) -> np.ndarray:
    """The logarithm of places in (0, 1], which the first places do not drive to −∞."""
    return np.log(share + SOFT)


def features(count: int, left_out: np.ndarray) -> np.ndarray:
    """What the log-odds are linear in: float [N, 4].

    Args:
      count: N recordings in the ranking.
      left_out: float [P], the place of each sought example by the others, in (0, 1].
    """
    alike = (np.log(left_out).sum() + WEIGHT * USUAL) / (len(left_out) + WEIGHT)
    place = log_place(np.arange(1, count + 1) / max(count, 1))
    return np.stack([np.ones(count), place, np.full(count, alike), alike * place], axis=1)


def probabilities(count: int, left_out: np.ndarray) -> np.ndarray:
    """That each recording of a ranking is sought, from the first place to the last: float [N]."""
    return 1 / (1 + np.exp(-features(count, left_out) @ COEFFICIENTS))
