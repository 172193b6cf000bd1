"""Whitening of features, against the inverse square root written out."""

import numpy as np
import pytest

from metaecg.learners import whitening
from metaecg.networks.views import Whitening

CLASSES = 3


def features(rng, records=400, size=12):
    labels = rng.random((records, CLASSES)) < 0.4
    mixing = rng.normal(size=(size, size))
    return rng.normal(size=(records, size)) @ mixing + labels @ rng.normal(
        size=(CLASSES, size)
    ) * 5, labels


def test_scatter_is_around_the_mean_of_each_pattern_of_labels():
    rng = np.random.default_rng(0)
    values, labels = features(rng)
    patterns = {tuple(row) for row in labels}
    total = np.zeros((12, 12))
    for pattern in patterns:
        mine = values[(labels == pattern).all(1)]
        total += (len(mine) - 1) * np.cov(mine.T) if len(mine) > 1 else 0
    want = total / (len(values) - len(patterns))
    np.testing.assert_allclose(whitening.within_scatter(values, labels), want, rtol=1e-6)


@pytest.mark.parametrize("shrinkage", [0.0, 0.5, 1.0])
def test_all_directions_kept_are_the_inverse_square_root(shrinkage):
    rng = np.random.default_rng(1)
    values, labels = features(rng)
    known = whitening.whitening(values, labels, shrinkage, 12)
    found = np.asarray(Whitening(12).apply({"fitted": known}, values.astype(np.float32)))
    standard = (values - values.mean(0)) / values.std(0)
    scatter = whitening.within_scatter(standard, labels)
    scatter = (1 - shrinkage) * scatter + shrinkage * np.trace(scatter) / 12 * np.eye(12)
    eigenvalues, vectors = np.linalg.eigh(scatter)
    want = standard @ (vectors / np.sqrt(eigenvalues)) @ vectors.T
    want /= np.linalg.norm(want, axis=1, keepdims=True)
    np.testing.assert_allclose(found, want, atol=1e-3)


def test_directions_left_out_share_their_mean():
    rng = np.random.default_rng(2)
    values, labels = features(rng)
    known = whitening.whitening(values, labels, 0.5, 4)
    assert known["directions"].shape == (12, 4)
    standard = (values - known["mean"]) * known["scale"]
    scatter = whitening.within_scatter(standard, labels)
    eigenvalues, vectors = np.linalg.eigh(0.5 * scatter + 0.5 * np.trace(scatter) / 12 * np.eye(12))
    eigenvalues[:8] = eigenvalues[:8].mean()
    want = standard @ (vectors / np.sqrt(eigenvalues)) @ vectors.T
    want /= np.linalg.norm(want, axis=1, keepdims=True)
    found = Whitening(4).apply({"fitted": known}, values.astype(np.float32))
    np.testing.assert_allclose(found, want, atol=1e-3)


@pytest.mark.parametrize("kind", ["constant", "one record", "one feature", "twice the same"])
def test_features_that_say_nothing_stay_finite(kind):
    rng = np.random.default_rng(3)
    values, labels = features(rng, 30)
    values = {
        "constant": np.full_like(values, 3.0),
        "one record": values[:1],
        "one feature": values[:, :1],
        "twice the same": np.concatenate([values, values], 1),
    }[kind]
    known = whitening.whitening(values, labels[: len(values)], 0.0, 64)
    found = Whitening(64).apply({"fitted": known}, values.astype(np.float32))
    assert np.isfinite(found).all()
