"""SNAIL's blocks on two streams: a causal context, and queries that see it but not each other.

The published network reads one sequence per query: the support again and again, the query at its
end. It is causal, so the support's activations cannot depend on the query; here they are computed
once (`context`) and every query reads them from its own position (`sees`).
"""

import math
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from metaecg.types import Array


class Streams(NamedTuple):
    """The two streams of one episode between blocks.

    Attributes:
      context: float [S, D], labelled records in order; zero where `real` is False.
      query: float [Q, D].
      sees: int32 [Q], query r is at position `sees[r]`: it sees context before it, and itself.
      real: bool [S], False for the padding on the left.
    """

    context: Array
    query: Array
    sees: Array
    real: Array

    def concatenate(self, context: Array, query: Array) -> "Streams":
        """Appends features to both streams, keeping the padding at zero."""
        context = jnp.where(self.real[:, None], context, 0)
        return self._replace(
            context=jnp.concatenate([self.context, context], axis=-1),
            query=jnp.concatenate([self.query, query], axis=-1),
        )


class CausalConv(nn.Module):
    """Kernel-2 causal convolution of dilation d: y_t = A x_{t−d} + B x_t + b, x_t = 0 for t < 0."""

    features: int
    dilation: int

    @nn.compact
    def __call__(self, streams: Streams) -> tuple[Array, Array]:
        now = nn.Dense(self.features, name="now")
        past = nn.Dense(self.features, use_bias=False, name="past")
        length = streams.context.shape[0]
        # One zero row on top represents everything before the start.
        earlier = jnp.pad(past(streams.context), ((1, 0), (0, 0)))

        def tap(position: Array) -> Array:
            return earlier[jnp.clip(position - self.dilation + 1, 0, length)]

        return (
            now(streams.context) + tap(jnp.arange(length)),
            now(streams.query) + tap(streams.sees),
        )


class DenseBlock(nn.Module):
    """tanh(conv) · σ(conv), concatenated to the input (Mishra et al. 2018, fig. 2a)."""

    filters: int
    dilation: int

    @nn.compact
    def __call__(self, streams: Streams) -> Streams:
        # One convolution for both halves of the gate reads the growing input once.
        gated = CausalConv(2 * self.filters, self.dilation, name="conv")(streams)
        context, query = (
            jnp.tanh(x[:, : self.filters]) * nn.sigmoid(x[:, self.filters :]) for x in gated
        )
        return streams.concatenate(context, query)


class TCBlock(nn.Module):
    """Dense blocks of growing dilation that together reach a whole sequence (fig. 2b).

    Attributes:
      length: positions in the longest sequence, S + 1; ⌈log₂ length⌉ dense blocks.
      filters: features each of them adds.
      literal_dilations: the paper's 2¹ … 2^L, which reach even offsets only, instead of
        2⁰ … 2^{L−1}, which reach all.
    """

    length: int
    filters: int
    literal_dilations: bool = False

    @nn.compact
    def __call__(self, streams: Streams) -> Streams:
        layers = max(1, math.ceil(math.log2(self.length)))
        for layer in range(layers):
            dilation = 2 ** (layer + self.literal_dilations)
            streams = DenseBlock(self.filters, dilation, name=f"dense_{layer}")(streams)
        return streams


class AttentionBlock(nn.Module):
    """One causal soft attention, its read-out concatenated to the input (fig. 2c).

    A position attends to itself and to the context before it: softmax over keys of q·k/√d_k.
    """

    key_size: int
    value_size: int

    @nn.compact
    def __call__(self, streams: Streams) -> Streams:
        to_query = nn.Dense(self.key_size, name="query")
        to_key = nn.Dense(self.key_size, name="key")
        to_value = nn.Dense(self.value_size, name="value")
        length = streams.context.shape[0]
        keys, values = to_key(streams.context), to_value(streams.context)
        scale = 1 / math.sqrt(self.key_size)

        position = jnp.arange(length)
        before = (position[None, :] <= position[:, None]) & streams.real[None, :]
        # Padding attends to itself, so that its softmax is finite; the result is zeroed.
        visible = before | jnp.eye(length, dtype=bool)
        scores = jnp.where(visible, to_query(streams.context) @ keys.T * scale, -jnp.inf)
        context = jax.nn.softmax(scores, axis=-1) @ values

        queries, own_keys = to_query(streams.query), to_key(streams.query)
        visible = (position[None, :] < streams.sees[:, None]) & streams.real[None, :]
        scores = jnp.where(visible, queries @ keys.T * scale, -jnp.inf)
        own = jnp.sum(queries * own_keys, axis=-1, keepdims=True) * scale
        weights = jax.nn.softmax(jnp.concatenate([scores, own], axis=-1), axis=-1)
        self.sow("intermediates", "attention", weights)
        query = weights[:, :-1] @ values + weights[:, -1:] * to_value(streams.query)
        return streams.concatenate(context, query)
