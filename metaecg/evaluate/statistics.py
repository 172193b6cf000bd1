"""Statistics of answers: intervals over episodes and over patients, AUROC, reliability, Holm."""

import math
from collections.abc import Sequence

import numpy as np

from metaecg import losses


def interval(values: np.ndarray) -> tuple[float, float]:
    """Mean and half-width of its 95 % interval over episodes, 1.96 s/√E."""
    values = np.asarray(values, float)
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return float(values.mean()), float(half)


def patient_weights(patients: int, draws: int, seed: int) -> np.ndarray:
    """How often each patient stands in each bootstrap sample: int [draws, patients]."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(patients, np.full(patients, 1 / patients), size=draws)


def patient_means(
    values: np.ndarray, patients: np.ndarray, draws: int = 2000, seed: int = 0
) -> np.ndarray:
    """Means of resampled patients, the independent units of a library: float [draws].

    Episodes re-use the records of rare classes, so that the interval over episodes only says how
    well the accuracy *on these patients* is known; these say how well it is on others.

    Args:
      values: float or bool [...], such as whether each query was answered rightly.
      patients: int [...], whose record each query was.
      draws: bootstrap samples of the patients, with replacement.
      seed: of the bootstrap.
    """
    _, who = np.unique(patients, return_inverse=True)
    who = who.reshape(-1)
    asked = np.bincount(who).astype(float)
    total = np.bincount(who, weights=np.asarray(values, float).reshape(-1))
    weights = patient_weights(len(asked), draws, seed)
    return (weights @ total) / (weights @ asked)


def patient_interval(
    values: np.ndarray, patients: np.ndarray, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of a mean by resampling patients, (low, high); see `patient_means`."""
    low, high = np.quantile(patient_means(values, patients, draws, seed), [0.025, 0.975])
    return float(low), float(high)


def p_value(mean: float, deviation: float) -> float:
    """Two-sided p of a mean that is 0 in truth, its standard deviation given (normal)."""
    if deviation == 0:
        return float(mean == 0)
    return math.erfc(abs(mean) / deviation / math.sqrt(2))


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted so that all claims below α hold together with 1 − α (Holm 1979)."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = float(largest)
    return adjusted


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve: P(a positive scores above a negative), ties counted half."""
    positive = np.asarray(positive, bool)
    _, rank, ties = np.unique(scores, return_inverse=True, return_counts=True)
    average_rank = np.cumsum(ties) - (ties - 1) / 2
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return float("nan")
    return float((average_rank[rank][positive].sum() - n * (n + 1) / 2) / (n * m))


def reliability(probs: np.ndarray, slots: np.ndarray, bins: int = 15) -> list[dict[str, float]]:
    """What came true of the top answers, by how sure they were: the bins of `calibration_error`.

    Args:
      probs: float [M, W].
      slots: int [M], the truth.
      bins: of equal width; empty ones are left out.

    Returns:
      Of each bin: count, mean confidence, accuracy.
    """
    confidence, correct = probs.max(-1), probs.argmax(-1) == slots
    bin_of = np.asarray(losses.confidence_bins(confidence, bins))
    return [
        {
            "count": int((bin_of == b).sum()),
            "confidence": float(confidence[bin_of == b].mean()),
            "accuracy": float(correct[bin_of == b].mean()),
        }
        for b in np.unique(bin_of)
    ]
