"""Readings in closed form: labelled embeddings to logits (Snell et al. 2017)."""

import jax.numpy as jnp

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
