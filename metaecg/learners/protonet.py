"""Prototypical networks (Snell et al. 2017): distance to the mean embedding of each class."""

import flax.linen as nn
import jax.numpy as jnp

from metaecg.learners.heads import from_head
from metaecg.types import Array, Learner, Task


def unit(x: Array) -> Array:
    """Vectors along the last axis at length 1; zero stays zero."""
    return x / (jnp.linalg.norm(x, axis=-1, keepdims=True) + 1e-6)


def seen(task: Task) -> Array:
    """Which slots of the support each query may read: float [Q, S, W], zero for padding."""
    position = jnp.arange(task.support.shape[0])[None, :]
    visible = (position < task.sees[:, None]) & (task.support >= 0)[None, :]
    return visible[:, :, None] * task.labels[task.support][None]


def in_use(logits: Array, task: Task) -> Array:
    """Logits [Q, W], −∞ in the slots that the task does not use."""
    return jnp.where(jnp.arange(logits.shape[-1]) < task.way, logits, -jnp.inf)


def prototype_logits(context: Array, query: Array, task: Task) -> Array:
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
    return in_use(-jnp.sum((query[:, None] - prototypes) ** 2, axis=-1), task)


class Prototypes(nn.Module):
    """The nearest prototype, by distance or (`cosine`) by ten times that of unit vectors."""

    cosine: bool = False

    @nn.compact
    def __call__(self, task: Task) -> Array:
        """Returns logits [Q, W] of one task whose records are embeddings."""
        context, query = task.records[task.support], task.records[task.query]
        if self.cosine:
            return 10 * prototype_logits(unit(context), unit(query), task)
        return prototype_logits(context, query, task)


def protonet(encoder: nn.Module, *, cosine: bool = False) -> Learner:
    """A prototypical network on any encoder; it has no parameters of its own."""
    return from_head(encoder, Prototypes(cosine))
