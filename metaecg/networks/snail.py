"""SNAIL (Mishra et al. 2018; [0043], fig. 2): alternating attention and temporal convolution."""

import flax.linen as nn
import jax.numpy as jnp

from metaecg.networks.blocks import AttentionBlock, Streams, TCBlock
from metaecg.types import Array, Task


class Snail(nn.Module):
    """Predicts the slots of an episode's queries from its labelled context.

    The paper's stack: Att(64, 32) → TC(S + 1, 128) → Att(256, 128) → TC(S + 1, 128) →
    Att(512, 256) → dense.

    Attributes:
      way: slots W of the output; an episode may use fewer.
      length: positions in the longest sequence, S + 1 for S support records.
      encoder: module from records to embeddings, called as `encoder(records, train=...)`; None
        where a task's records are embeddings already.
      attention: (key size, value size) of the three attention blocks.
      filters: features each dense block adds.
      literal_dilations: see `TCBlock`.
      normalise: bring each embedding to mean 0 and variance 1 first; the paper does not.
    """

    way: int
    length: int
    encoder: nn.Module | None = None
    attention: tuple[tuple[int, int], ...] = ((64, 32), (256, 128), (512, 256))
    filters: int = 128
    literal_dilations: bool = False
    normalise: bool = True

    @nn.compact
    def __call__(self, task: Task, train: bool = False) -> Array:
        """Returns logits [Q, W] of one episode; −∞ in slots it does not use."""
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
        logits = nn.Dense(self.way, name="logits")(streams.query)
        return jnp.where(jnp.arange(self.way) < task.way, logits, -jnp.inf)
