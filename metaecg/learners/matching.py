"""Matching networks (Vinyals et al. 2016): attention over the labelled records by angle."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from metaecg.learners.heads import from_head
from metaecg.networks.closed_form import in_use, seen, unit
from metaecg.networks.layers import positive
from metaecg.types import Array, Learner, Limits, Task


class Matching(nn.Module):
    """p(w | q) = Σ_i a(q, x_i) y_iw, a the softmax of the cosines over the support (eq. 1).

    Embeddings do not depend on the episode (without "full context"). The cosines are multiplied by
    a learned number, which the paper leaves at 1: with it, a hundred records still can outvote one.
    A slot of which a query sees nothing counts as one record opposite to it.
    """

    scale: float = 10.0

    @nn.compact
    def __call__(self, task: Task) -> Array:
        """Returns logits [Q, W] of one task whose records are embeddings."""
        context, query = unit(task.records[task.support]), unit(task.records[task.query])
        scale = positive(self, "log_scale", self.scale)
        cosine = scale * query @ context.T
        weight = seen(task)
        logits = jax.nn.logsumexp(
            jnp.where(weight > 0, cosine[..., None], -1e9), axis=1, b=jnp.maximum(weight, 1e-30)
        )
        return in_use(jnp.where(weight.sum(1) > 0, logits, -scale), task)


def matching(encoder: nn.Module) -> Learner:
    """A matching network on any encoder."""
    return from_head(encoder, Matching(), limits=Limits(inner_products=True))
