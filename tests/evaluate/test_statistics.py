"""Statistics worked out by hand or by the slow way."""

import numpy as np
import pytest

from metaecg import losses
from metaecg.evaluate import statistics


def test_auroc_literal():
    """Of six pairs of a positive and a negative, four are in order and one is tied."""
    scores, positive = np.array([0.9, 0.8, 0.3, 0.5, 0.3]), np.array([1, 0, 1, 0, 0])
    assert statistics.auroc(scores, positive) == pytest.approx(3.5 / 6)
    assert statistics.auroc(np.array([1.0, 2.0, 3.0]), np.array([0, 1, 1])) == 1
    assert statistics.auroc(np.array([1.0, 2.0, 3.0]), np.array([1, 0, 0])) == 0
    assert statistics.auroc(np.zeros(4), np.array([1, 0, 0, 1])) == 0.5
    assert np.isnan(statistics.auroc(np.array([1.0, 2.0]), np.array([1, 1])))


@pytest.mark.parametrize("levels", [4, 1_000])
def test_auroc_equals_all_pairs(levels):
    rng = np.random.default_rng(levels)
    scores, positive = rng.integers(0, levels, 80) / levels, rng.random(80) < 0.3
    wins = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for a in scores[positive]
        for b in scores[~positive]
    ]
    assert statistics.auroc(scores, positive) == pytest.approx(np.mean(wins))


def test_interval_literal():
    """Mean 0.5; s² = (0.25 · 4) / 3; 1.96 s / 2."""
    mean, half = statistics.interval(np.array([0.0, 1.0, 0.0, 1.0]))
    assert mean == 0.5
    assert half == pytest.approx(1.96 * np.sqrt(1 / 3) / 2)
    assert statistics.interval(np.full(9, 0.7)) == (pytest.approx(0.7), pytest.approx(0))
    assert np.isnan(statistics.interval(np.array([0.5]))[1])


def test_holm_literal():
    """Sorted .01 .02 .03 .04 times 4 3 2 1; never less than the one before."""
    assert statistics.holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert statistics.holm([0.9, 0.6]) == [1, 1]
    assert statistics.holm([]) == []


def test_p_value_literal():
    assert statistics.p_value(1.959964, 1) == pytest.approx(0.05, abs=1e-6)
    assert statistics.p_value(-0.1959964, 0.1) == pytest.approx(0.05, abs=1e-6)
    assert statistics.p_value(0, 1) == 1
    assert statistics.p_value(0, 0) == 1
    assert statistics.p_value(0.2, 0) == 0


def test_reliability_literal():
    probs = np.array([[0.9, 0.1], [0.95, 0.05], [0.3, 0.7], [0.5, 0.5]])
    bins = statistics.reliability(probs, np.array([0, 1, 1, 0]), bins=10)
    assert [b["count"] for b in bins] == [1, 1, 1, 1]
    assert [b["confidence"] for b in bins] == [0.5, 0.7, 0.9, 0.95]
    assert [b["accuracy"] for b in bins] == [1, 1, 1, 0]


def test_reliability_is_what_the_calibration_error_sums():
    rng = np.random.default_rng(0)
    probs, slots = rng.dirichlet([1, 1, 1], 400).astype(np.float32), rng.integers(0, 3, 400)
    bins = statistics.reliability(probs, slots)
    assert sum(b["count"] for b in bins) == 400
    summed = sum(b["count"] * abs(b["accuracy"] - b["confidence"]) for b in bins) / 400
    assert summed == pytest.approx(
        float(losses.calibration_error(probs, np.eye(3, dtype=np.float32)[slots])), abs=1e-5
    )
