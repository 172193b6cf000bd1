"""Filters by real products give what Fourier transforms give, only where they are asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaecg.signals import beats, portable, real_transforms

SIGNALS = jnp.asarray(np.random.default_rng(0).normal(size=(2, 700, 3)), jnp.float32)


@pytest.mark.parametrize(
    "function",
    [
        beats.without_wander,
        beats.envelope,
        lambda x: beats.at_standard_rate(x, 125.0),
        lambda x: beats.at_standard_rate(x, 80.0),
        lambda x: beats.at_standard_rate(x, 100.0),
    ],
)
def test_they_are_the_same_up_to_rounding(function):
    usual = function(SIGNALS)
    with portable.operations():
        real = function(SIGNALS)
        assert "fft" not in str(jax.make_jaxpr(function)(SIGNALS))
    assert real.shape == usual.shape
    np.testing.assert_allclose(real, usual, atol=3e-6)
    assert not portable.wanted()


def test_a_cosine_of_the_transform_keeps_its_phase():
    """A literal: half a period over the record passes by the response at its frequency."""
    i = np.arange(8)
    wave = np.cos(np.pi * 3 * (2 * i + 1) / 16).astype(np.float32)[None, :, None]
    response = np.zeros(9, complex)
    response[3] = 2 + 1j
    found = real_transforms.filtered(jnp.asarray(wave), response)[0, :, 0]
    turned = np.sin(np.pi * 3 * (2 * i + 1) / 16)
    np.testing.assert_allclose(found, 2 * wave[0, :, 0] - turned, atol=1e-6)
