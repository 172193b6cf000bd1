"""Several views of a recording, whitened and joined: an encoder that need not be trained."""

import inspect
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from metaecg.errors import MetaecgError
from metaecg.networks.beat_network import Beat
from metaecg.networks.layers import compressed
from metaecg.networks.random_kernels import FITTED, RandomKernels
from metaecg.networks.rhythm import rhythm
from metaecg.networks.waves import waves
from metaecg.signals import beats
from metaecg.types import Array


class View(NamedTuple):
    """How a view is read; the defaults below were chosen on ptbxl_rare's validation statements.

    Attributes:
      shrinkage: of its scatter towards one that is the same in all directions, 0 to 1.
      weight: its length among the joined views.
    """

    shrinkage: float
    weight: float


VIEWS: dict[str, View] = {
    "raw": View(0.88, 1.2),
    "beat_network": View(0.9, 0.85),
    "kernels": View(0.85, 1.0),
    "differences": View(0.75, 0.65),
    "beat": View(0.95, 0.6),
    "beat_kernels": View(0.9, 1.1),
    "spread_kernels": View(0.9, 0.6),
    "rhythm": View(0.5, 0.5),
    "waves": View(0.5, 0.7),
}
"""raw: a trained encoder of the signals. beat_network: a trained network on the median beat.
kernels, differences: random kernels on the signals and on their first differences. beat: the median
beat itself. beat_kernels: random kernels on it. spread_kernels: random kernels on how far the beats
are from it. rhythm: numbers of the rhythm. waves: heights of the median beat's waves."""


class Whitening(nn.Module):
    """Features standardised, whitened and scaled to unit length; statistics are in `FITTED`.

    After standardisation, the whitening is a multiple of the identity and some directions that are
    scaled otherwise, x · rest + (x V) · gains Vᵀ; see `learners.whitening.whitening`.

    Attributes:
      directions: the most directions.
    """

    directions: int = 128

    @nn.compact
    def __call__(self, x: Array) -> Array:
        size = x.shape[-1]
        count = min(self.directions, size)
        mean = self.variable(FITTED, "mean", jnp.zeros, (size,), jnp.float32).value
        scale = self.variable(FITTED, "scale", jnp.ones, (size,), jnp.float32).value
        rest = self.variable(FITTED, "rest", jnp.ones, (1,), jnp.float32).value
        directions = self.variable(
            FITTED, "directions", jnp.zeros, (size, count), jnp.float32
        ).value
        gains = self.variable(FITTED, "gains", jnp.zeros, (count,), jnp.float32).value
        x = (x - mean[None]) * scale[None]
        x = x * rest[None] + ((x @ directions) * gains[None]) @ directions.T
        return x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-6)


class Views(nn.Module):
    """Views of recordings [N, samples, leads] in mV, joined: [N, D].

    All is fixed after `learners.whitening.fit` has seen the training part. `raw` and `beat_network`
    were trained before, each by itself, and are read as they are, in training as well.

    Attributes:
      names: of `VIEWS`.
      hz: samples per second of the recordings; 50 or more, for 5 s or more.
      encoder: of the view `raw`.
      beat_network: of that view.
      directions: of each view's whitening.
      dilations: of the random kernels, at most.
    """

    names: tuple[str, ...]
    hz: float = 100.0
    encoder: nn.Module | None = None
    beat_network: Beat | None = None
    directions: int = 128
    dilations: int = 12

    def setup(self):
        # Whole microvolts are no longer so at another rate.
        whole = self.hz == beats.HZ
        self.kernels = RandomKernels(self.dilations, whole=whole)
        self.differences = RandomKernels(self.dilations, whole=whole)
        self.beat_kernels = RandomKernels(self.dilations)
        self.spread_kernels = RandomKernels(self.dilations)
        self.whitenings = {name: Whitening(self.directions) for name in self.names}

    def __call__(self, x: Array, *, train: bool = False) -> Array:
        del train  # nothing changes with training
        features = self.features(x)
        return jnp.concatenate(
            [VIEWS[name].weight * self.whitenings[name](features[name]) for name in self.names],
            axis=-1,
        )

    def features(self, x: Array, *, fit: bool = False) -> dict[str, Array]:
        """Each view before it is whitened, [N, D of the view].

        With `fit`, the random kernels' biases are set by these recordings.
        """
        found: dict[str, Array] = {}
        if self.encoder is not None:
            found["raw"] = _inner(self.encoder, x)
        x = beats.at_standard_rate(x, self.hz)
        if "kernels" in self.names:
            found["kernels"] = self.kernels(x, fit=fit)
        if "differences" in self.names:
            found["differences"] = self.differences(jnp.diff(x, axis=1), fit=fit)
        if {*self.names} - {"raw", "kernels", "differences"}:
            seen = beats.find_beats(x)
        if self.beat_network is not None:
            found["beat_network"] = self.beat_network.of_beats(seen.median, inner=True)
        if "beat" in self.names:
            beat = seen.median.reshape(x.shape[0], -1)
            found["beat"] = jnp.sign(beat) * jnp.sqrt(jnp.abs(beat))
        if "beat_kernels" in self.names:
            found["beat_kernels"] = self.beat_kernels(seen.median, fit=fit)
        if "spread_kernels" in self.names:
            found["spread_kernels"] = self.spread_kernels(seen.spread, fit=fit)
        if "rhythm" in self.names:
            found["rhythm"] = compressed(rhythm(seen))
        if "waves" in self.names:
            found["waves"] = waves(seen)
        return found


def _inner(encoder: nn.Module, x: Array) -> Array:
    """What an encoder's blocks see: it distinguishes new statements better than the embedding does.

    The embedding is what distinguishes the training statements. Of an encoder that does not offer
    its blocks, the embedding is read.
    """
    offers = "inner" in inspect.signature(type(encoder).__call__).parameters
    return encoder(x, inner=True) if offers else encoder(x)


def view_names(text: str) -> tuple[str, ...]:
    """The names of views joined with '+', such as 'kernels+differences+beat+rhythm'.

    Raises:
      MetaecgError: a name is none of `VIEWS` or is there twice.
    """
    names = tuple(text.split("+"))
    if unknown := [name for name in names if name not in VIEWS]:
        raise MetaecgError(f"views={text}: {unknown[0]!r} is none of {', '.join(VIEWS)}")
    if len(set(names)) < len(names):
        raise MetaecgError(f"views={text}: write every name once")
    return names


def views(
    text: str,
    *,
    hz: float,
    encoder: nn.Module | None = None,
    beat_network: Beat | None = None,
    **options: Any,
) -> Views:
    """Views by their names joined with '+'.

    Args:
      text: names of `VIEWS`.
      hz: samples per second of the recordings.
      encoder: of the view `raw`.
      beat_network: of that view.
      **options: `directions` and `dilations` of `Views`.

    Raises:
      MetaecgError: as of `view_names`, or `raw` or `beat_network` has no encoder.
    """
    names = view_names(text)
    trained = {"raw": encoder, "beat_network": beat_network}
    if lacking := [name for name in names if name in trained and trained[name] is None]:
        raise MetaecgError(f"views={text}: {lacking[0]} needs an encoder")
    raw = encoder if "raw" in names else None
    beat = beat_network if "beat_network" in names else None
    return Views(names, hz, raw, beat, **options)
