"""In-context learning by a transformer: SNAIL's successor, over the same two streams."""

import math

import flax.linen as nn
import jax.numpy as jnp

from metaecg.learners.heads import from_head
from metaecg.networks import Transformer
from metaecg.networks.closed_form import in_use, prototype_logits, unit
from metaecg.types import Array, Learner, Limits, Task


class InContext(nn.Module):
    """A transformer that has read the labelled records answers for the slots.

    Attributes:
      way: slots W.
      network: options of `networks.Transformer`.
      readout: 'slots', a linear layer on the query's token; or 'prototypes', the nearest mean, by
        angle, of embeddings to which the transformer adds what it learned from the episode. That
        is zero at first, so that training starts from the nearest centroid (compare Ye et al.
        2020, FEAT).
    """

    way: int
    network: dict
    readout: str = "prototypes"

    @nn.compact
    def __call__(self, task: Task) -> Array:
        """Returns logits [Q, W] of one task whose records are embeddings."""
        if task.labels.shape[-1] != self.way:
            raise ValueError(
                f"labels have {task.labels.shape[-1]} columns, the network {self.way} slots"
            )
        records = nn.LayerNorm(use_scale=False, use_bias=False)(task.records)
        streams = Transformer(**self.network)(task._replace(records=records))
        if self.readout == "slots":
            return in_use(nn.Dense(self.way, name="logits")(streams.query), task)
        adapt = nn.Dense(records.shape[-1], kernel_init=nn.initializers.zeros, name="adapt")
        # The scale is learned on the vectors: multiplied by a slot's −∞ it would have no gradient.
        scale = self.param("log_scale", nn.initializers.constant(math.log(10)), (), jnp.float32)
        context, query = (
            jnp.exp(scale / 2) * unit(records[rows] + adapt(stream))
            for rows, stream in ((task.support, streams.context), (task.query, streams.query))
        )
        return prototype_logits(context, query, task)


def transformer(encoder: nn.Module, *, way: int, readout: str = "prototypes", **network) -> Learner:
    """A transformer over embeddings, order-free unless told otherwise.

    Args:
      encoder: records to embeddings.
      way: slots W.
      readout: 'prototypes' or 'slots', see `InContext`.
      **network: options of `networks.Transformer`.

    Raises:
      ValueError: no such readout.
    """
    if readout not in ("prototypes", "slots"):
        raise ValueError(f"readout must be 'prototypes' or 'slots', not {readout!r}")
    ordered = not network.get("order_free", True)
    longest = network.get("length", 0) - 1 if ordered else None
    limits = Limits(slots=way, longest=longest, ordered=ordered)
    return from_head(encoder, InContext(way, network, readout), limits=limits)
