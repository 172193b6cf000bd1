"""Random convolutions that need no training: MiniRocket (Dempster et al. 2021, KDD, p. 248).

A kernel has nine taps, three of weight 2 and six of weight −1: 84 patterns in all, each at several
dilations. A feature is the share of a convolution's values that are above a bias; the biases are
quantiles of the convolution of training records.
"""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from metaecg.errors import MetaecgError
from metaecg.signals import portable
from metaecg.types import Array

TAPS = 9
PATTERNS = np.array(
    [
        [2.0 if tap in heavy else -1.0 for tap in range(TAPS)]
        for heavy in itertools.combinations(range(TAPS), 3)
    ],
    np.float32,
)
"""The weights of the patterns, [84, 9]; each sums to zero."""

RAMP = 1e-3
"""mV, around a bias, within which values that are no whole microvolts are counted in part."""

FITTED = "fitted"
"""The collection of what is fitted on training records and not learned by gradients."""


def dilations(samples: int, most: int) -> tuple[int, ...]:
    """Up to `most` dilations that grow evenly in their logarithm, the last as long as the record.

    Raises:
      MetaecgError: the record is shorter than a kernel.
    """
    if samples < TAPS:
        raise MetaecgError(f"{samples} samples are too few for kernels of {TAPS} taps")
    longest = np.log2((samples - 1) / (TAPS - 1))
    return tuple(np.unique((2 ** np.linspace(0, longest, most)).astype(int)).tolist())


def _lead_sums(key: Array, leads: int, kernels: int) -> Array:
    """Which leads a kernel reads the sum of, one to three: 0 or 1, float32 [leads, kernels]."""
    count_key, order_key = jax.random.split(key)
    most = np.log2(min(leads, 3) + 1)
    count = jnp.floor(2 ** jax.random.uniform(count_key, (1, kernels), maxval=most))
    order = jnp.argsort(jax.random.uniform(order_key, (leads, kernels)), axis=0)
    return (order < count).astype(jnp.float32)


class RandomKernels(nn.Module):
    """Shares of values above the biases, of random convolutions: [N, samples, leads] to [N, D].

    D is 84 · dilations · biases. Outside the record the signal is zero, so that a lead's mean is
    taken off first. Where a kernel is long its convolution changes slowly from sample to sample,
    and every second or fourth value is enough for the share.

    The leads and the quantiles are drawn from the key 'params' by `init`. The biases are in the
    collection `FITTED` and are zero until `apply(…, mutable=[FITTED], fit=True)` has seen records.

    Recordings are whole microvolts, of which sums in float32 are exact. With `whole` only such sums
    are made, so that a value falls on the same side of a bias on every device and in every runtime,
    in whatever order it adds; biases are fitted between two microvolts. What is not whole, such as
    a median beat, is counted in part near a bias, from 0 at half of `RAMP` below it to 1 at half
    above, so that a runtime that rounds otherwise counts nearly the same.

    Attributes:
      dilations: the most dilations; for records of 1,000 samples, 12 give 11 different ones.
      biases: of each kernel.
      whole: whether records are read in whole microvolts.
    """

    dilations: int = 12
    biases: int = 3
    whole: bool = False

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False, fit: bool = False) -> Array:
        del train
        samples, leads = x.shape[1:]
        steps = dilations(samples, self.dilations)
        shape = (len(steps), self.biases, len(PATTERNS))
        sums = self.variable(
            FITTED,
            "leads",
            lambda: jnp.stack(
                [
                    _lead_sums(jax.random.fold_in(self.make_rng("params"), n), leads, len(PATTERNS))
                    for n in range(len(steps))
                ]
            ),
        ).value
        quantiles = self.variable(
            FITTED,
            "quantiles",
            lambda: jax.random.uniform(
                self.make_rng("params"), shape, jnp.float32, minval=0.05, maxval=0.95
            ),
        ).value
        biases = self.variable(FITTED, "biases", jnp.zeros, shape, jnp.float32)
        scale = 1.0
        if self.whole:
            x, scale = _microvolts(x), 1000.0
        else:
            x = x - x.mean(axis=1, keepdims=True)
        if fit:
            values = (convolve(x, sums[n], step, thinned(step)) for n, step in enumerate(steps))
            found = jnp.stack([_quantiles(v, quantiles[n]) for n, v in enumerate(values)])
            biases.value = (jnp.floor(found) + 0.5 if self.whole else found) / scale
        levels = biases.value * scale

        def shares(x: Array) -> Array:
            return jnp.concatenate(
                [
                    _above(convolve(x, sums[n], step, thinned(step)), levels[n], self.whole)
                    for n, step in enumerate(steps)
                ],
                axis=-1,
            )

        def one_by_one(x: Array) -> Array:
            return jax.lax.map(lambda record: shares(record[None])[0], x)

        if portable.wanted():
            return shares(x)
        # The convolutions of one record stay in a processor's cache, and those of a batch do not.
        return jax.lax.platform_dependent(x, cpu=one_by_one, default=shares)


def _above(values: Array, levels: Array, whole: bool) -> Array:
    """Shares of values [N, samples, 84] above levels [biases, 84]: [N, biases · 84]."""
    over = values[:, :, None] - levels[None, None]
    above = (over > 0).astype(values.dtype) if whole else jnp.clip(over / RAMP + 0.5, 0, 1)
    return above.mean(axis=1).reshape(values.shape[0], -1)


def _microvolts(x: Array) -> Array:
    """Records in mV as whole microvolts, float32, each lead without its rounded mean."""
    x = jnp.round(x * 1000)
    # A sum of integers is whole, so that a quarter more is never half-way between two means.
    return x - jnp.round((x.sum(axis=1, keepdims=True) + 0.25) / x.shape[1])


def thinned(dilation: int) -> int:
    """The step between the values of a convolution that are counted."""
    return 1 if dilation < 3 else 2 if dilation < 9 else 4


def convolve(x: Array, sums: Array, dilation: int, stride: int = 1) -> Array:
    """All patterns at one dilation: [N, samples, leads] to [N, samples / stride, 84].

    Each pattern reads its own sum of leads [leads, 84]. The leads are summed once, and the taps are
    shifts of these sums: a tenth of the products of a convolution over leads.
    """
    samples, reach = x.shape[1], (TAPS // 2) * dilation
    summed = jnp.matmul(x, sums, precision=jax.lax.Precision.HIGHEST)  # or GPUs keep ten bits
    padded = jnp.pad(summed, ((0, 0), (reach, reach), (0, 0)))
    padded = jax.lax.optimization_barrier(padded)  # or it would be computed anew for every tap
    total = jnp.zeros(())
    for tap, weights in enumerate(PATTERNS.T):
        start = tap * dilation
        total += padded[:, start : start + samples : stride] * jnp.asarray(weights)[None, None]
    return total


def _quantiles(values: Array, quantiles: Array) -> Array:
    """Quantiles [biases, 84] of the values [N, samples, 84] of all records together."""
    flat = values.reshape(-1, values.shape[-1])
    return jax.vmap(lambda v, q: jnp.quantile(v, q), in_axes=(1, 1), out_axes=1)(flat, quantiles)
