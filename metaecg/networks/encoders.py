"""Encoders: records [N, samples, leads] in mV to embeddings [N, D]."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from metaecg.errors import MetaecgError
from metaecg.networks.beat_network import Beat
from metaecg.networks.layers import (
    check_length,
    convolution,
    max_pool_2,
    mean_and_largest,
    normalisation,
    residual_blocks,
)
from metaecg.types import Array


def _embedding(x: Array, features: int, dropout: float, train: bool) -> Array:
    """Mean and maximum over time of [N, steps, C], dropout and a dense layer: [N, features].

    To be called within a compact module, whose layers these become.
    """
    x = nn.Dropout(dropout, deterministic=not train)(mean_and_largest(x))
    return nn.Dense(features)(x)


def _of_each(found: list[Array]) -> Array:
    """Mean and maximum over time of what each block found, joined."""
    return jnp.concatenate([mean_and_largest(y) for y in found], axis=-1)


class Convolutional(nn.Module):
    """Four convolutions over time with leads as channels: `small` for two CPU cores, and `medium`.

    Mean and maximum over time are both kept: a statement may show in every beat or in one.
    With `inner`, those of each layer from the second on are returned in place of the embedding.
    """

    filters: tuple[int, ...] = (32, 64, 96, 128)
    kernels: tuple[int, ...] = (7, 5, 5, 3)
    features: int = 128
    norm: str = "batch"
    dropout: float = 0.0
    conv: str = "xla"

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False, inner: bool = False) -> Array:
        check_length(x, 2 ** len(self.filters) - 1)
        found = []
        for layer, (filters, kernel) in enumerate(zip(self.filters, self.kernels)):
            x = convolution(self.conv, filters, kernel, strides=2 if layer == 0 else 1)(x)
            x = nn.relu(normalisation(self.norm, train)(x))
            found.append(x)
            if layer < len(self.filters) - 1:
                x = max_pool_2(x)
        if inner:
            return _of_each(found[1:])
        return _embedding(x, self.features, self.dropout, train)


class Identity(nn.Module):
    """For records that are embeddings already."""

    def __call__(self, x: Array, *, train: bool = False) -> Array:
        del train
        return x


class Whitened(nn.Module):
    """An encoder whose embeddings are centred and whitened by statistics that are not learned.

    They are in the collection "whitening" and change nothing until they are set: see
    `learners.probes.base`. Parameters are named as without it.
    """

    encoder: nn.Module

    def setup(self):
        nn.share_scope(self, self.encoder)

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        x = self.encoder(x, train=train)
        mean = self.variable("whitening", "mean", jnp.zeros, x.shape[-1:], jnp.float32)
        matrix = self.variable("whitening", "matrix", jnp.eye, x.shape[-1], dtype=jnp.float32)
        return (x - mean.value[None]) @ matrix.value


class _Tail(nn.Module):
    """The end of figure 3: 6-average-pool, ReLU, dropout, a dense layer of 384.

    The dense layer acts on each pooled step and the steps are averaged, so that the embedding does
    not depend on where in the recording a beat falls, nor its size on the recording's length.
    """

    features: int
    dropout: float

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        window = min(6, x.shape[1])
        x = nn.relu(nn.avg_pool(x, window_shape=(window,), strides=(window,)))
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.features)(x).mean(axis=1)


class Residual(nn.Module):
    """Figure 3 [0047]: four residual structures {3-conv, BatchNorm, ReLU, Dropout, 2-maxpool}."""

    filters: tuple[int, ...] = (64, 96, 128, 256)
    features: int = 384
    norm: str = "batch"
    dropout: float = 0.1
    conv: str = "xla"

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        check_length(x, 2 ** len(self.filters))
        for filters in self.filters:
            shortcut = nn.Dense(filters, use_bias=False)(x)
            x = convolution(self.conv, filters, 3)(x)
            x = nn.relu(normalisation(self.norm, train)(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
            x = max_pool_2(x + shortcut)
        return _Tail(self.features, self.dropout)(x, train)


class Deep(nn.Module):
    """Residual blocks of two convolutions each; each block halves the samples.

    A strided convolution and a pooling come first: the blocks begin with a quarter of the samples.
    Mean and maximum over time are both kept, as in `Convolutional`; with `inner`, those of each
    block are returned in place of the embedding.
    """

    filters: tuple[int, ...] = (64, 96, 160, 224)
    features: int = 256
    norm: str = "batch"
    dropout: float = 0.3
    conv: str = "xla"

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False, inner: bool = False) -> Array:
        check_length(x, 2 ** (len(self.filters) + 1))
        x = convolution(self.conv, self.filters[0], 9, strides=2)(x)
        x = max_pool_2(nn.relu(normalisation(self.norm, train)(x)))
        x, found = residual_blocks(x, self.conv, self.filters[1:], self.norm, train)
        if inner:
            return _of_each(found)
        return _embedding(x, self.features, self.dropout, train)


class Wide(nn.Module):
    """The light variant of figure 3 [0047]: 2048 filters of 1×1 convolution."""

    filters: int = 2048
    features: int = 384
    dropout: float = 0.1

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        # A 1×1 convolution and an average commute: pooling first is the same and six times cheaper.
        window = min(6, x.shape[1])
        x = nn.relu(
            nn.Dense(self.filters)(nn.avg_pool(x, window_shape=(window,), strides=(window,)))
        ).mean(axis=1)
        # Whole filters are dropped: of single steps, 10⁵ a record, the mean would hardly notice it.
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.features)(x)


class Frames(nn.Module):
    """A recurrent network over frames of the recording [0046]: `lstm` or `rnn`.

    Attributes:
      cell: 'lstm' or 'rnn'.
      frame: samples in a frame; 10 is 0.1 s at 100 Hz.
    """

    cell: str = "lstm"
    frame: int = 10
    hidden: int = 128
    features: int = 128

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        del train
        check_length(x, self.frame)
        records, samples, leads = x.shape
        steps = samples // self.frame
        x = x[:, : steps * self.frame].reshape(records, steps, self.frame * leads)
        cells: dict[str, Any] = {"lstm": nn.OptimizedLSTMCell, "rnn": nn.SimpleCell}
        x = mean_and_largest(nn.RNN(cells[self.cell](self.hidden))(x))
        return nn.Dense(self.features)(x)


ENCODERS: dict[str, Callable[..., nn.Module]] = {
    "small": Convolutional,
    "medium": functools.partial(Convolutional, filters=(64, 128, 192, 256), features=256),
    "residual": Residual,
    "wide": Wide,
    "lstm": functools.partial(Frames, cell="lstm"),
    "rnn": functools.partial(Frames, cell="rnn"),
    "deep": Deep,
    "beat": Beat,
}


def has_option(name: str, option: str) -> bool:
    """Whether the encoder called `name` has an option, such as `norm`."""
    made = _named(name)
    module: Any = made.func if isinstance(made, functools.partial) else made
    return option in {field.name for field in dataclasses.fields(module)}


def encoder(name: str, **options: Any) -> nn.Module:
    """Returns the encoder called `name`.

    Raises:
      ValueError: no such encoder, or it has no such option; names those there are.
    """
    try:
        return _named(name)(**options)
    except TypeError as error:
        raise MetaecgError(f"encoder {name!r}: {error}") from None


def _named(name: str) -> Callable[..., nn.Module]:
    if name not in ENCODERS:
        raise MetaecgError(f"no encoder {name!r}; there are {', '.join(ENCODERS)}")
    return ENCODERS[name]
