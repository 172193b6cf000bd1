"""Readings in closed form: labelled embeddings to logits.

The nearest prototype (Snell et al. 2017) and ridge regression (Bertinetto et al. 2019).
"""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve

from metaecg.types import Array, Task


def unit(x: Array) -> Array:
    """Vectors along the last axis at length 1; zero stays zero, with a finite gradient."""
    return x / jnp.sqrt(jnp.sum(x**2, axis=-1, keepdims=True) + 1e-12)


def seen(task: Task) -> Array:
    """Which slots of the support each query may read: float [Q, S, W], zero for padding."""
    position = jnp.arange(task.support.shape[0])[None, :]
    visible = (position < task.sees[:, None]) & (task.support >= 0)[None, :]
    return visible[:, :, None] * task.labels[task.support][None]


def in_use(logits: Array, task: Task) -> Array:
    """Logits [Q, W], −∞ in the slots that the task does not use."""
    return jnp.where(jnp.arange(logits.shape[-1]) < task.way, logits, -jnp.inf)


def prototype_similarity(context: Array, query: Array, task: Task) -> Array:
    """−‖q − c_w‖² [Q, W], c_w the mean of slot w's records that q sees (eq. 1-2).

    A slot of which a query sees nothing has its prototype at the origin.

    Args:
      context: [S, D], embeddings of the support.
      query: [Q, D].
      task: says which of them are whose, and what each query sees.
    """
    weight = seen(task)
    total = jnp.einsum("qsw,sd->qwd", weight, context)
    prototypes = total / jnp.maximum(weight.sum(1), 1)[..., None]
    return -jnp.sum((query[:, None] - prototypes) ** 2, axis=-1)


def prototype_logits(context: Array, query: Array, task: Task) -> Array:
    """`prototype_similarity` as logits: −∞ in the slots that the task does not use."""
    return in_use(prototype_similarity(context, query, task), task)


def centred(kernel: Array, across: Array, real: Array) -> tuple[Array, Array]:
    """Inner products of vectors less the mean of those that are real, by their mean squared length.

    Args:
      kernel: [S, S], inner products of the support's vectors.
      across: [Q, S], of the queries' with them.
      real: float [S], 1 for the vectors that count and 0 for the others, such as padding.

    Returns:
      The same of the vectors less their mean, in units of the real ones' mean squared length; zero
      where a vector is not real.
    """
    share = real / jnp.maximum(real.sum(), 1)
    with_mean = kernel @ share
    square = with_mean @ share
    kernel = (kernel - with_mean[:, None] - with_mean[None] + square) * real[:, None] * real[None]
    across = (across - (across @ share)[:, None] - with_mean[None] + square) * real[None]
    size = jnp.trace(kernel) / jnp.maximum(real.sum(), 1) + 1e-12
    return kernel / size, across / size


def solve(kernel: Array, strength: float | Array, target: Array) -> Array:
    """(K + λI)⁻¹ Y of a kernel [S, S] and a target [S, W]."""
    return cho_solve(cho_factor(kernel + strength * jnp.eye(kernel.shape[0])), target)


def ridge_prediction(
    kernel: Array, across: Array, labels: Array, real: Array, strength: float | Array
) -> Array:
    """Ridge regression of the labels on vectors, as its prediction for the queries [Q, W].

    W = Xᵀ(XXᵀ + λI)⁻¹Y, X less its mean and Y less the classes' shares (Bertinetto et al. 2019,
    section 3).

    Args:
      kernel: as `centred` takes it.
      across: the same.
      labels: [S, W].
      real: float [S].
      strength: λ in units of the mean squared length of X's rows.
    """
    kernel, across = centred(kernel, across, real)
    labels = labels * real[:, None]
    share = labels.sum(0) / jnp.maximum(real.sum(), 1)
    target = (labels - share[None]) * real[:, None]
    return across @ solve(kernel, strength, target) + share[None]


def causal_ridge_prediction(
    context: Array, query: Array, task: Task, strength: float | Array
) -> Array:
    """`ridge_prediction` [Q, W] by the part of the context [S, D] that each query [Q, D] sees."""
    position = jnp.arange(len(task.support))[None]
    visible = (position < task.sees[:, None]) & (task.support >= 0)[None]
    kernel, labels = context @ context.T, task.labels[task.support]

    def one(across: Array, real: Array) -> Array:
        return ridge_prediction(kernel, across[None], labels, real, strength)[0]

    return jax.vmap(one)(query @ context.T, visible.astype(context.dtype))
