"""Losses and scores of predictions, one episode (or any leading axes) at a time."""

import jax
import jax.numpy as jnp

from metaecg.types import Array


def cross_entropy(logits: Array, labels: Array) -> Array:
    """Expected cross-entropy of slots: −mean_r Σ_w y_rw log softmax(logits_r)_w [0055].

    Args:
      logits: float [..., Q, W]; −∞ in slots that are not in use.
      labels: float [..., Q, W], one-hot.

    Returns:
      float [...], in nats.
    """
    log_probs = jax.nn.log_softmax(logits, axis=-1)
    return -jnp.mean(jnp.sum(jnp.where(labels > 0, labels * log_probs, 0), axis=-1), axis=-1)


def binary_cross_entropy(logits: Array, labels: Array) -> Array:
    """Expected cross-entropy of a binary sequence per record [0052], mean over conditions.

    Args:
      logits: float [..., Q, C], log-odds of each condition.
      labels: float [..., Q, C], multi-hot.

    Returns:
      float [...], in nats per condition.
    """
    losses = jax.nn.softplus(logits) - labels * logits
    return jnp.mean(losses, axis=(-2, -1))


def accuracy(logits: Array, labels: Array) -> Array:
    """Share of records whose largest logit is their slot; float [...]."""
    right = jnp.argmax(logits, -1) == jnp.argmax(labels, -1)
    return jnp.mean(right, axis=-1, dtype=logits.dtype)


def brier(probs: Array, labels: Array) -> Array:
    """Brier score: mean over records of Σ_w (p_w − y_w)², from 0 (best) to 2; float [...]."""
    return jnp.mean(jnp.sum((probs - labels) ** 2, axis=-1), axis=-1)


def confidence_bins(confidence: Array, bins: int) -> Array:
    """The bin of equal width in (0, 1] that each confidence [...] falls into, int32 [...]."""
    return jnp.clip(jnp.ceil(confidence * bins).astype(jnp.int32) - 1, 0, bins - 1)


def calibration_error(probs: Array, labels: Array, bins: int = 15) -> Array:
    """Expected calibration error of the top answer over equal-width bins (Guo et al. 2017, eq. 3).

    Args:
      probs: float [M, W].
      labels: float [M, W], one-hot.
      bins: number of confidence bins.

    Returns:
      float [], ``Σ_b |B_b|/M · |accuracy(B_b) − confidence(B_b)|``.
    """
    confidence = jnp.max(probs, axis=-1)
    correct = jnp.argmax(probs, -1) == jnp.argmax(labels, -1)
    member = jax.nn.one_hot(confidence_bins(confidence, bins), bins, dtype=probs.dtype)
    return jnp.sum(jnp.abs(member.T @ (correct - confidence))) / len(confidence)
