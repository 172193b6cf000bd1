"""SNAIL (Mishra et al. 2018; [0043], fig. 2): alternating attention and temporal convolution."""

import flax.linen as nn
import jax.numpy as jnp

from metaecg.errors import MetaecgError
from metaecg.networks.closed_form import (
    causal_ridge_prediction,
    in_use,
    prototype_similarity,
    unit,
)
from metaecg.networks.layers import positive
from metaecg.networks.snail_blocks import AttentionBlock, Streams, TCBlock
from metaecg.types import Array, Task

CLOSED_FORMS = ("prototypes", "ridge", "none")
"""What SNAIL may correct; see `Snail.closed_form`."""


class Snail(nn.Module):
    """Predicts the slots of an episode's queries from its labelled context.

    The paper's stack: Att(64, 32) → TC(S + 1, 128) → Att(256, 128) → TC(S + 1, 128) →
    Att(512, 256) → dense.

    By default the stack corrects an answer in closed form instead of replacing it:

        logits = s · similarity(query, class means of the context so far) + SNAIL(query, context)

    where SNAIL's output starts at zero, so that training starts from the nearest prototype, and s
    is learned. With 'ridge' in place of 'prototypes', the similarity is the prediction of a ridge
    regression whose penalty is learned as well. Either is causal as the stack is: a query reads the
    context before it.

    Attributes:
      way: slots W of the output; an episode may use fewer.
      length: positions in the longest sequence, S + 1 for S support records.
      encoder: module from records to embeddings, called as `encoder(records, train=...)`; None
        where a task's records are embeddings already.
      attention: (key size, value size) of the three attention blocks.
      filters: features each dense block adds.
      literal_dilations: see `TCBlock`.
      normalise: bring each embedding to mean 0 and variance 1 first; the paper does not.
      closed_form: 'prototypes' or 'ridge', the answer that SNAIL corrects, or 'none', the network
        of the paper and of the source alone.

    Raises:
      MetaecgError: no such closed form.
    """

    way: int
    length: int
    encoder: nn.Module | None = None
    attention: tuple[tuple[int, int], ...] = ((64, 32), (256, 128), (512, 256))
    filters: int = 128
    literal_dilations: bool = False
    normalise: bool = True
    closed_form: str = "prototypes"

    @nn.compact
    def __call__(self, task: Task, train: bool = False) -> Array:
        """Returns logits [Q, W] of one episode; −∞ in slots it does not use."""
        if self.closed_form not in CLOSED_FORMS:
            raise MetaecgError(
                f"closed_form must be one of {', '.join(CLOSED_FORMS)}, not {self.closed_form!r}"
            )
        if task.labels.shape[-1] != self.way:
            raise ValueError(
                f"labels have {task.labels.shape[-1]} columns, the network {self.way} slots"
            )
        if task.support.shape[0] >= self.length:
            raise ValueError(
                f"{task.support.shape[0]} support records do not fit a network of length "
                f"{self.length}: build it with length ≥ {task.support.shape[0] + 1}"
            )
        records = task.records
        if self.encoder is not None:
            records = self.encoder(records, train=train)
        embeddings = records
        # Embeddings and one-hot labels meet on one scale, whatever the encoder's.
        if self.normalise:
            records = nn.LayerNorm(use_scale=False, use_bias=False)(records)
        real = task.support >= 0
        labelled = jnp.concatenate([records[task.support], task.labels[task.support]], axis=-1)
        unlabelled = jnp.pad(records[task.query], ((0, 0), (0, self.way)))
        streams = Streams(jnp.where(real[:, None], labelled, 0), unlabelled, task.sees, real)

        for layer, (key_size, value_size) in enumerate(self.attention):
            if layer:
                streams = TCBlock(
                    self.length, self.filters, self.literal_dilations, name=f"tc_{layer - 1}"
                )(streams)
            streams = AttentionBlock(key_size, value_size, name=f"attention_{layer}")(streams)
        if self.closed_form == "none":
            return in_use(nn.Dense(self.way, name="logits")(streams.query), task)
        correction = nn.Dense(self.way, name="logits", kernel_init=nn.initializers.zeros)
        scale = positive(self, "log_scale", 10.0)
        context, query = unit(embeddings[task.support]), unit(embeddings[task.query])
        if self.closed_form == "ridge":
            strength = positive(self, "log_strength", 2.0)
            similarity = causal_ridge_prediction(context, query, task, strength)
        else:
            similarity = prototype_similarity(context, query, task)
        return in_use(scale * similarity + correction(streams.query), task)
