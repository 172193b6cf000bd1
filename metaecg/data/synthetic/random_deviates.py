"""Random numbers dealt out in order, so that a record is a pure function of its deviates."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp


class Sines(NamedTuple):
    """Sinusoids: Hz and phase (turns), [n] each."""

    hz: jax.Array
    phase: jax.Array

    def at(self, times: jax.Array) -> jax.Array:
        """Their values: [n, times]."""
        turns = self.hz[:, None] * times[None, :] + self.phase[:, None]
        return jnp.sin(2 * jnp.pi * turns)


class Deviates:
    """Standard normal deviates [n] dealt out in order, as they are or as uniform ones."""

    def __init__(self, deviates: jax.Array, uniforms: jax.Array):
        self.deviates, self.uniforms = deviates, uniforms
        self.dealt = 0

    def normal(self, *shape: int) -> jax.Array:
        """The next standard normal deviates, of this shape."""
        return self._deal(self.deviates, shape)

    def uniform(self, *shape: int) -> jax.Array:
        """The next deviates, uniform in [0, 1]."""
        return self._deal(self.uniforms, shape)

    def _deal(self, numbers: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        start, self.dealt = self.dealt, self.dealt + math.prod(shape)
        if self.dealt > len(numbers):
            raise ValueError(f"{self.dealt} deviates asked of {len(numbers)}")
        return numbers[start : self.dealt].reshape(shape)

    def sines(self, low: float, high: float, count: int) -> Sines:
        """Sinusoids of random phase at frequencies from low to high Hz."""
        hz, phase = self.uniform(2, count)
        return Sines(low + (high - low) * hz, phase)
