"""Prototypical networks (Snell et al. 2017): distance to the mean embedding of each class."""

import flax.linen as nn

from metaecg.learners.heads import from_head
from metaecg.networks.closed_form import prototype_logits, unit
from metaecg.types import Array, Learner, Limits, Task


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
    return from_head(encoder, Prototypes(cosine), limits=Limits(inner_products=True))
