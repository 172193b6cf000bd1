"""Filters of mirrored signals by products with cosines and sines, where there is no complex number.

jax2onnx cannot convert what lies between two Fourier transforms. The transform of a signal followed
by its mirror image is a cosine transform, so that the same numbers come from real products, up to
rounding: slower than by Fourier transforms, and used where `portable.operations` are wanted.
"""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import lax

from metaecg.types import Array


def filtered(signals: Array, response: np.ndarray) -> Array:
    """Signals [N, samples, leads] whose mirrored form's spectrum is multiplied by a response.

    Args:
      signals: float32.
      response: complex or real [samples + 1], of the frequencies k / (2 · samples) a sample.
    """
    samples = signals.shape[1]
    response = np.asarray(response, complex)[:samples] * 2 / samples
    response[0] /= 2
    spectrum = _transformed(signals)
    result = jnp.zeros(())
    if response.real.any():
        weights = jnp.asarray(response.real, signals.dtype)[None, :, None]
        result = result + _waves(samples, samples, jnp.cos).T @ (spectrum * weights)
    if response.imag.any():
        weights = jnp.asarray(response.imag, signals.dtype)[None, :, None]
        result = result - _waves(samples, samples, jnp.sin).T @ (spectrum * weights)
    return result


def resampled(signals: Array, wanted: int) -> Array:
    """Signals [N, samples, leads] as [N, wanted, leads] over the same time."""
    samples = signals.shape[1]
    kept = min(samples, wanted)
    weights = np.full(kept, 2 / samples, np.float32)
    weights[0] /= 2
    spectrum = _transformed(signals)[:, :kept] * jnp.asarray(weights)[None, :, None]
    return _waves(kept, wanted, jnp.cos).T @ spectrum


def _transformed(signals: Array) -> Array:
    return _waves(signals.shape[1], signals.shape[1], jnp.cos) @ signals


def _waves(count: int, samples: int, of: Callable[[Array], Array]) -> Array:
    """cos or sin of π k (2 i + 1) / (2 · samples): [count, samples]; a file need not hold it."""
    steps = jnp.arange(count)[:, None] * (2 * jnp.arange(samples) + 1)[None]
    return of(lax.rem(steps, 4 * samples) * jnp.float32(np.pi / (2 * samples)))
