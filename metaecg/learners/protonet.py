"""Prototypical networks (Snell et al. 2017): distance to the mean embedding of each class."""

import flax.linen as nn
import jax.numpy as jnp

from metaecg.learners.embedded import from_head
from metaecg.types import Array, Learner, Task


class Prototypes(nn.Module):
    """Logits −‖q − c_w‖², c_w the mean of slot w's labelled records that q sees (eq. 1-2).

    A slot of which a query sees nothing has its prototype at the origin.
    """

    cosine: bool = False

    @nn.compact
    def __call__(self, task: Task) -> Array:
        """Returns logits [Q, W] of one task whose records are embeddings."""
        context, query = task.records[task.support], task.records[task.query]
        if self.cosine:
            context, query = (
                x / (jnp.linalg.norm(x, axis=-1, keepdims=True) + 1e-6) for x in (context, query)
            )
        position = jnp.arange(len(context))[None, :]
        visible = (position < task.sees[:, None]) & (task.support >= 0)[None, :]
        weight = visible[:, :, None] * task.labels[task.support][None]
        total = jnp.einsum("qsw,sd->qwd", weight, context)
        prototypes = total / jnp.maximum(weight.sum(1), 1)[..., None]
        logits = -jnp.sum((query[:, None] - prototypes) ** 2, axis=-1)
        if self.cosine:
            logits = 10 * logits
        return jnp.where(jnp.arange(logits.shape[-1]) < task.way, logits, -jnp.inf)


def protonet(encoder: nn.Module, *, cosine: bool = False) -> Learner:
    """A prototypical network on any encoder; it has no parameters of its own."""
    return from_head(encoder, Prototypes(cosine))
