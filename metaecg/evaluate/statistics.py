"""Statistics of answers: intervals over episodes, AUROC, reliability, Holm."""

import math
from collections.abc import Sequence

import numpy as np

from metaecg import losses


def interval(values: np.ndarray) -> tuple[float, float]:
    """Mean and half-width of its 95 % interval over episodes, 1.96 s/√E."""
    values = np.asarray(values, float)
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return float(values.mean()), float(half)


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
