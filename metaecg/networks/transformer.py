"""A pre-norm transformer over SNAIL's two streams: labelled context, and queries that see it."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from metaecg.networks.snail_blocks import Streams
from metaecg.types import Array, Task


class Attention(nn.Module):
    """Multi-head attention in which each token sees itself and the context tokens it may see."""

    heads: int

    @nn.compact
    def __call__(self, tokens: Array, visible: Array) -> Array:
        """tokens [S + Q, D], of which the first S are context; visible bool [S + Q, S]."""
        width, context = tokens.shape[-1], visible.shape[-1]
        size = width // self.heads
        query, key, value = (
            nn.Dense(width, name=name)(tokens).reshape(-1, self.heads, size)
            for name in ("query", "key", "value")
        )
        query = query / math.sqrt(size)
        scores = jnp.einsum("thd,shd->hts", query, key[:context])
        scores = jnp.where(visible[None], scores, -jnp.inf)
        own = jnp.einsum("thd,thd->ht", query, key)[..., None]
        weights = jax.nn.softmax(jnp.concatenate([scores, own], axis=-1), axis=-1)
        self.sow("intermediates", "attention", weights)
        mixed = jnp.einsum("hts,shd->thd", weights[..., :-1], value[:context])
        mixed = mixed + weights[..., -1].T[..., None] * value
        return nn.Dense(width, name="out")(mixed.reshape(-1, width))


class Transformer(nn.Module):
    """Refines the embeddings of a task's labelled context and of its queries.

    A query sees the context before its position, and itself; nothing ever sees a query but that
    query.

    Attributes:
      width: of the tokens; a multiple of `heads`.
      order_free: no positions, and context that all queries see reads all of such context, so that
        its order does not matter. Where queries see more and more of a sequence (the source's
        groups), context reads what came before it. Otherwise context always reads what came
        before it, and every token knows how many records that is.
      length: positions in the longest sequence, S + 1, where order matters.
    """

    width: int = 128
    layers: int = 2
    heads: int = 4
    order_free: bool = True
    length: int = 0

    @nn.compact
    def __call__(self, task: Task) -> Streams:
        """Returns the streams [S, width] and [Q, width] of one task of embeddings.

        Raises:
          ValueError: the width does not divide by the heads, or the support is too long.
        """
        support, real = task.support.shape[0], task.support >= 0
        if self.width % self.heads:
            raise ValueError(f"a width of {self.width} does not divide by {self.heads} heads")
        if not self.order_free and support >= self.length:
            raise ValueError(
                f"{support} support records do not fit a network of length {self.length}: build it "
                f"with length ≥ {support + 1}"
            )
        rows = jnp.concatenate([task.support, task.query])
        tokens = nn.Dense(self.width, name="records")(task.records[rows])
        labels = nn.Dense(self.width, name="labels")(task.labels[task.support])
        unlabelled = self.param("unlabelled", nn.initializers.zeros, (1, self.width), jnp.float32)
        asked = jnp.broadcast_to(unlabelled, (task.query.shape[0], self.width))
        tokens = tokens + jnp.concatenate([labels, asked])

        position = jnp.arange(support)
        before = position[None, :] < position[:, None]
        if self.order_free:
            shared = position[None, :] < jnp.min(task.sees)
            before = (before | shared) & ~jnp.eye(support, dtype=bool)
        else:
            # Counted in records, so that padding on the left shifts nothing.
            count = jnp.concatenate([jnp.zeros(1, int), jnp.cumsum(real)])
            table = nn.Embed(self.length, self.width, name="positions")
            tokens = tokens + table(count[jnp.concatenate([position, task.sees])])
        visible = jnp.concatenate([before, position[None, :] < task.sees[:, None]])
        visible = visible & real[None, :]

        for layer in range(self.layers):
            normed = nn.LayerNorm(name=f"norm_attention_{layer}")(tokens)
            tokens = tokens + Attention(self.heads, name=f"attention_{layer}")(normed, visible)
            normed = nn.LayerNorm(name=f"norm_mlp_{layer}")(tokens)
            hidden = nn.gelu(nn.Dense(4 * self.width, name=f"mlp_in_{layer}")(normed))
            tokens = tokens + nn.Dense(self.width, name=f"mlp_out_{layer}")(hidden)
        tokens = nn.LayerNorm(name="norm")(tokens)
        return Streams(tokens[:support], tokens[support:], task.sees, real)
