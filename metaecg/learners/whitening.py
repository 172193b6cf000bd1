"""Whitening of features by what the training part knows of them, and the fit of several views."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from metaecg.networks.random_kernels import FITTED
from metaecg.networks.views import VIEWS, Views
from metaecg.types import Array


def within_scatter(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Covariance [D, D] of features around the mean of the records with the same labels.

    Args:
      features: float [R, D].
      labels: bool [R, C], multi-hot.
    """
    packed = np.packbits(np.asarray(labels, bool), axis=1)
    pattern = np.unique(packed, axis=0, return_inverse=True)[1].reshape(-1)
    order, counts = np.argsort(pattern, kind="stable"), np.bincount(pattern)
    sums = np.add.reduceat(features[order], np.cumsum(counts) - counts, axis=0)
    residuals = features - (sums / counts[:, None])[pattern]
    return residuals.T @ residuals / max(1, len(features) - len(counts))


def whitening(
    features: np.ndarray, labels: np.ndarray, shrinkage: float, directions: int
) -> dict[str, np.ndarray]:
    """What `networks.views.Whitening` needs, from all records of the training part.

    Features are brought to a standard deviation of 1. Their scatter within label patterns S is
    shrunk to (1 − s) S + s t I, t the mean of its eigenvalues. Its inverse square root is kept for
    the leading directions; of the others, the mean of their eigenvalues is taken for each.

    Args:
      features: float [R, D].
      labels: bool [R, C], multi-hot.
      shrinkage: s, from 0 to 1.
      directions: how many are kept; of fewer features, all.

    Returns:
      mean, scale [D], rest [1], directions [D, k] and gains [k], float32.
    """
    features = np.asarray(features, np.float32)
    mean, deviation = features.mean(0, dtype=np.float64), features.std(0, dtype=np.float64)
    # A feature that hardly varies among the training records would be all noise elsewhere.
    scale = np.where(deviation > 1e-3 * deviation.max(initial=1e-9), 1, 0) / (deviation + 1e-6)
    scatter = within_scatter((features - mean) * scale, labels)
    values, vectors = np.linalg.eigh(scatter)
    shrunk = (1 - shrinkage) * np.maximum(values, 0) + shrinkage * values.mean() + 1e-9
    kept = min(directions, len(values))
    rest = 1 / np.sqrt(shrunk[: len(values) - kept].mean() if kept < len(values) else 1.0)
    found = {
        "mean": mean,
        "scale": scale,
        "rest": np.array([rest]),
        "directions": vectors[:, len(values) - kept :],
        "gains": 1 / np.sqrt(shrunk[len(values) - kept :]) - rest,
    }
    return {name: np.asarray(value, np.float32) for name, value in found.items()}


def fit(
    views: Views,
    variables: Any,
    signals: np.ndarray,
    labels: np.ndarray,
    *,
    scale: float = 1.0,
    batch: int = 64,
    sample: int = 256,
) -> Any:
    """Fits the views to a training part: the kernels' biases, then each view's whitening.

    Args:
      views: the module.
      variables: of `views.init`, those of a trained `raw` encoder among them.
      signals: [R, samples, leads] of the training part, in mV when multiplied by `scale`.
      labels: bool [R, C], multi-hot.
      scale: mV per unit of `signals`.
      batch: recordings read at a time.
      sample: recordings, evenly from the part, that the biases are quantiles of.

    Returns:
      The variables with the collection `fitted` filled; the others are untouched.
    """
    rows = np.unique(np.linspace(0, len(signals) - 1, min(sample, len(signals))).astype(int))
    biased = jax.jit(
        lambda v, x: views.apply(v, x, fit=True, method="features", mutable=[FITTED])[1]
    )(variables, _millivolts(signals[rows], scale))
    variables = {**variables, **biased}
    read = jax.jit(lambda v, x: views.apply(v, x, method="features"))
    features: dict[str, list[np.ndarray]] = {name: [] for name in views.names}
    for start in range(0, len(signals), batch):
        rows = np.arange(start, start + batch) % len(signals)  # one shape, one compilation
        found = read(variables, _millivolts(signals[rows], scale))
        for name, values in found.items():
            features[name].append(np.asarray(values)[: len(signals) - start])
    fitted = dict(variables[FITTED])
    for name in views.names:
        known = whitening(
            np.concatenate(features.pop(name)), labels, VIEWS[name].shrinkage, views.directions
        )
        fitted[f"whitenings_{name}"] = jax.tree.map(jnp.asarray, known)
    return {**variables, FITTED: fitted}


def _millivolts(signals: np.ndarray, scale: float) -> Array:
    return jnp.asarray(np.asarray(signals, np.float32) * np.float32(scale))
