"""A trained network on the median beat: the form of a recording, at a tenth of its samples."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp

from metaecg.networks.layers import (
    convolution,
    mean_and_largest,
    normalisation,
    residual_blocks,
)
from metaecg.signals import beats
from metaecg.types import Array


class BeatNetwork(nn.Module):
    """Residual convolutions on median beats [N, samples, leads] in mV: [N, features].

    The steps are read one by one and by their mean and maximum: where the beats lie on each other,
    a step has a meaning of its own. In training each beat is moved, its leads are scaled, and noise
    is added, by the key of the dropout. With `inner`, the means over each quarter of the beat are
    returned, of every block, in place of the embedding.

    Attributes:
      filters: of the first convolution, and of each of the blocks after it; each halves the steps.
      features: D.
      dropout: of what the last layer reads.
      shift: the most samples that a beat is moved in training.
      lead_scale: the standard deviation of the log-gain of a lead in training.
      noise: the standard deviation of white noise in training, mV.
    """

    filters: tuple[int, ...] = (96, 96, 160, 224)
    features: int = 256
    norm: str = "batch"
    dropout: float = 0.3
    shift: int = 3
    lead_scale: float = 0.1
    noise: float = 0.02
    conv: str = "xla"

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False, inner: bool = False) -> Array:
        if train:
            x = self._varied(x)
        x = convolution(self.conv, self.filters[0], 7)(x)
        x = nn.relu(normalisation(self.norm, train)(x))
        x, found = residual_blocks(x, self.conv, self.filters[1:], self.norm, train)
        if inner:
            return jnp.concatenate([_quarters(y) for y in found], axis=-1)
        x = jnp.concatenate([x.reshape(x.shape[0], -1), mean_and_largest(x)], axis=-1)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return nn.Dense(self.features)(x)

    def _varied(self, x: Array) -> Array:
        shift, gain, noise = jax.random.split(self.make_rng("dropout"), 3)
        steps = jax.random.randint(shift, x.shape[:1], -self.shift, self.shift + 1)
        x = jax.vmap(lambda beat, n: jnp.roll(beat, n, axis=0))(x, steps)
        gains = jax.random.normal(gain, (x.shape[0], 1, x.shape[2]), x.dtype)
        x = x * jnp.exp(self.lead_scale * gains)
        return x + self.noise * jax.random.normal(noise, x.shape, x.dtype)


def _quarters(x: Array) -> Array:
    """Means over each quarter of the steps of [N, steps, C]: [N, 4 C]."""
    ends = [n * x.shape[1] // 4 for n in range(5)]
    return jnp.concatenate([x[:, a:b].mean(axis=1) for a, b in itertools.pairwise(ends)], axis=-1)


class Beat(BeatNetwork):
    """A `BeatNetwork` as an encoder: it finds the median beat of each recording by itself.

    Attributes:
      hz: samples per second of the recordings; 50 or more, for 5 s or more.
    """

    hz: float = beats.HZ

    def __call__(self, x: Array, *, train: bool = False, inner: bool = False) -> Array:
        """Embeds recordings [N, samples, leads] in mV: [N, features].

        Raises:
          MetaecgError: they are too short or have too few samples a second.
        """
        found = beats.find_beats(beats.at_standard_rate(x, self.hz))
        return self.of_beats(jax.lax.stop_gradient(found.median), train=train, inner=inner)

    def of_beats(self, x: Array, *, train: bool = False, inner: bool = False) -> Array:
        """Embeds median beats that were found before, as `BeatNetwork` does."""
        return super().__call__(x, train=train, inner=inner)
