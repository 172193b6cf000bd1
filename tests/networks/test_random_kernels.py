"""Random kernels, against a slow reading of their definition."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaecg.errors import MetaecgError
from metaecg.networks import random_kernels
from metaecg.networks.random_kernels import FITTED, PATTERNS, RandomKernels
from metaecg.signals import portable

pytestmark = pytest.mark.usefixtures("one_device")


def slow_convolution(record, weights, leads, dilation):
    """One kernel on the sum of some leads, value by value; zero outside the record."""
    wave = record[:, leads].sum(axis=1)
    out = np.zeros(len(wave))
    for t, tap in itertools.product(range(len(wave)), range(9)):
        at = t + (tap - 4) * dilation
        if 0 <= at < len(wave):
            out[t] += weights[tap] * wave[at]
    return out


def fitted(module, signals):
    variables = jax.jit(module.init)(jax.random.key(0), signals[:1])
    fit = jax.jit(functools.partial(module.apply, fit=True, mutable=[FITTED]))
    return {**variables, **fit(variables, signals)[1]}


def test_patterns_are_all_ways_to_put_three_heavy_taps_among_nine():
    assert PATTERNS.shape == (84, 9)
    assert len(np.unique(PATTERNS, axis=0)) == 84
    assert ((PATTERNS == 2).sum(1) == 3).all()
    assert ((PATTERNS == -1).sum(1) == 6).all()


def test_dilations_reach_from_one_to_the_whole_record():
    assert random_kernels.dilations(1000, 12) == (1, 2, 3, 5, 8, 13, 21, 33, 51, 80, 124)
    assert random_kernels.dilations(9, 12) == (1,)
    with pytest.raises(MetaecgError, match="8 samples are too few"):
        random_kernels.dilations(8, 12)


@pytest.mark.parametrize("dilation", [1, 3, 12])
def test_convolutions_are_sums_over_taps_and_leads(dilation):
    rng = np.random.default_rng(dilation)
    record = rng.normal(size=(100, 4))
    sums = (rng.random((4, 84)) < 0.5).astype(np.float32)
    found = random_kernels.convolve(jnp.asarray(record[None], jnp.float32), sums, dilation)
    for kernel in (0, 17, 83):
        leads = np.flatnonzero(sums[:, kernel])
        want = slow_convolution(record, PATTERNS[kernel], leads, dilation)
        np.testing.assert_allclose(found[0, :, kernel], want, atol=1e-4)


@pytest.mark.parametrize("leads", [1, 2, 3, 8, 12])
def test_features_are_shares_above_biases_and_biases_are_quantiles(leads):
    rng = np.random.default_rng(leads)
    signals = rng.normal(size=(5, 120, leads)).astype(np.float32)
    module = RandomKernels(dilations=4, biases=2)
    variables = fitted(module, jnp.asarray(signals))
    known = jax.tree.map(np.asarray, variables[FITTED])
    shares = np.asarray(module.apply(variables, signals))
    steps = random_kernels.dilations(120, 4)
    assert shares.shape == (5, len(steps) * 2 * 84)
    assert known["leads"].shape == (len(steps), leads, 84)
    assert {*np.unique(known["leads"].sum(1))} <= {1.0, 2.0, 3.0}
    centred = signals - signals.mean(1, keepdims=True)
    shares = shares.reshape(5, len(steps), 2, 84)
    for n, kernel in itertools.product(range(len(steps)), (3, 50)):
        chosen = np.flatnonzero(known["leads"][n, :, kernel])
        values = np.stack(
            [slow_convolution(r, PATTERNS[kernel], chosen, steps[n]) for r in centred]
        )[:, :: random_kernels.thinned(steps[n])]
        biases = np.quantile(values, known["quantiles"][n, :, kernel])
        np.testing.assert_allclose(known["biases"][n, :, kernel], biases, atol=1e-3)
        for bias in range(2):
            over = values - known["biases"][n, bias, kernel]
            near = np.abs(over) < random_kernels.RAMP / 2
            wanted = np.where(near, over / random_kernels.RAMP + 0.5, over > 0).mean(1)
            np.testing.assert_allclose(shares[:, n, bias, kernel], wanted, atol=2e-5)


def test_kernels_come_from_the_key_and_nothing_is_learned():
    signals = jnp.asarray(np.random.default_rng(0).normal(size=(2, 64, 3)), jnp.float32)
    module = RandomKernels(dilations=3)
    one, same, other = (module.init(jax.random.key(k), signals) for k in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, one, same)
    assert {*one} == {FITTED}
    assert (one[FITTED]["leads"] != other[FITTED]["leads"]).any()
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(one))


def test_a_shift_of_the_baseline_changes_nothing():
    signals = np.random.default_rng(0).normal(size=(2, 64, 3)).astype(np.float32)
    module = RandomKernels(dilations=3)
    variables = fitted(module, jnp.asarray(signals))
    np.testing.assert_allclose(
        module.apply(variables, signals + 5), module.apply(variables, signals), atol=0.05
    )


def test_what_is_no_whole_microvolt_may_be_rounded_otherwise_and_is_counted_the_same():
    """Biases are values of the records here: a step at them would count each on either side."""
    signals = np.random.default_rng(0).integers(-5, 6, (4, 64, 3)).astype(np.float32) * 0.1
    module = RandomKernels(dilations=3)
    variables = fitted(module, jnp.asarray(signals))
    found = module.apply(variables, signals)
    for rounding in (1 - 3e-7, 1 + 3e-7):
        otherwise = module.apply(variables, signals * np.float32(rounding))
        np.testing.assert_allclose(otherwise, found, atol=2e-3)


def test_whole_microvolts_are_counted_exactly():
    """As in integers: no order of sums, no batch and no device rounds a value over a bias."""
    rng = np.random.default_rng(0)
    units = rng.integers(-40, 41, (6, 203, 4)) + rng.integers(-3000, 3000, (6, 1, 4))
    signals = units.astype(np.float32) * np.float32(0.001)
    module = RandomKernels(dilations=3, whole=True)
    variables = fitted(module, jnp.asarray(signals[:3]))
    known = jax.tree.map(np.asarray, variables[FITTED])
    np.testing.assert_allclose(known["biases"] * 1000 % 1, 0.5, atol=1e-3)
    means = np.floor((2 * units.sum(axis=1, keepdims=True) + 203) / (2 * 203)).astype(int)
    want = []
    for n, dilation in enumerate(random_kernels.dilations(203, 3)):
        summed = (units - means) @ known["leads"][n].astype(int)
        padded = np.pad(summed, ((0, 0), (4 * dilation, 4 * dilation), (0, 0)))
        values = sum(
            padded[:, tap * dilation : tap * dilation + 203] * weights
            for tap, weights in enumerate(PATTERNS.T.astype(int))
        )[:, :: random_kernels.thinned(dilation)]
        above = values[:, :, None] > np.floor(known["biases"][n] * 1000)[None, None]
        want.append(above.mean(axis=1).reshape(6, -1))
    apply = jax.jit(module.apply)
    found = apply(variables, signals)
    np.testing.assert_allclose(found, np.concatenate(want, axis=1), atol=1e-6)
    alone = np.concatenate([apply(variables, record[None]) for record in signals])
    np.testing.assert_allclose(alone, found, atol=1e-6)
    with portable.operations():  # all records at once, as elsewhere than on a CPU
        together = jax.jit(lambda v, x: module.apply(v, x))(variables, signals)
    np.testing.assert_array_equal(together, found)
