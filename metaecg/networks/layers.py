"""Layers that encoders share: normalisations, convolutions over time, maxima over time."""

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from metaecg.errors import MetaecgError
from metaecg.types import Array


def normalisation(kind: str, train: bool) -> Callable[[Array], Array]:
    """BatchNorm as in the source, or GroupNorm, which keeps no state and suits small batches."""
    if kind == "batch":
        return nn.BatchNorm(use_running_average=not train, momentum=0.9)
    if kind == "group":
        return nn.GroupNorm(num_groups=8)
    raise MetaecgError(f"norm must be 'batch' or 'group', not {kind!r}")


def positive(module: nn.Module, name: str, start: float) -> Array:
    """A learned positive number that begins as `start`: e to the power of the parameter `name`.

    To be called within a compact module. The parameter is float32, whatever jax takes by default.
    """
    logarithm = nn.initializers.constant(math.log(start))
    return jnp.exp(module.param(name, logarithm, (), jnp.float32))


def conv_by_matmul(lhs: Array, rhs: Array, window_strides, padding, **_: Any) -> Array:
    """`lax.conv_general_dilated` for `nn.Conv` over time, 'SAME' padding, as one matrix product.

    XLA's CPU backend compiles a convolution within a loop, or with a kernel of its own for each
    member of a `vmap`, to code some fifty times slower than the same one outside; a matrix
    product stays fast in both.

    Args:
      lhs: [N, samples, C].
      rhs: [kernel, C, D].
      window_strides: (stride,).
      padding: 'SAME'.
    """
    if padding != "SAME":
        raise ValueError(f"padding must be 'SAME', not {padding!r}")
    kernel, stride, samples = rhs.shape[0], window_strides[0], lhs.shape[1]
    out = -(-samples // stride)
    total = max((out - 1) * stride + kernel - samples, 0)
    padded = jnp.pad(lhs, ((0, 0), (total // 2, total - total // 2 + stride - 1), (0, 0)))
    taps = [padded[:, k : k + (out - 1) * stride + 1 : stride] for k in range(kernel)]
    return jnp.concatenate(taps, axis=-1) @ rhs.reshape(-1, rhs.shape[-1])


_CONVOLUTIONS: dict[str, Any] = {"xla": None, "matmul": conv_by_matmul}


def convolution(kind: str, filters: int, kernel: int, strides: int = 1) -> nn.Conv:
    """A convolution over time without bias: 'xla', or 'matmul' for use within loops on CPU."""
    if kind not in _CONVOLUTIONS:
        raise MetaecgError(f"conv must be 'xla' or 'matmul', not {kind!r}")
    return nn.Conv(
        filters,
        (kernel,),
        strides=strides,
        use_bias=False,
        conv_general_dilated=_CONVOLUTIONS[kind],
    )


def residual_blocks(
    x: Array, conv: str, filters: tuple[int, ...], norm: str, train: bool
) -> tuple[Array, list[Array]]:
    """Blocks of two convolutions beside a shortcut, each of which halves the steps.

    To be called within a compact module, whose layers these become.

    Args:
      x: [N, steps, C], two steps or more for each halving.
      conv, norm: as of `convolution` and `normalisation`.
      filters: of each block.
      train: whether batches normalise themselves.

    Returns:
      What comes out, and what the second convolution of each block found, without its shortcut.
    """
    found = []
    for count in filters:
        y = nn.relu(normalisation(norm, train)(convolution(conv, count, 5)(x)))
        y = normalisation(norm, train)(convolution(conv, count, 5)(y))
        found.append(nn.relu(y))
        x = nn.relu(y + nn.Dense(count, use_bias=False)(x))
        x = nn.avg_pool(x, window_shape=(2,), strides=(2,))
    return x, found


def mean_and_largest(x: Array) -> Array:
    """Mean and maximum over time of [N, steps, C]: [N, 2 C]."""
    return jnp.concatenate([x.mean(axis=1), largest(x)], axis=-1)


def check_length(x: Array, least: int) -> None:
    if x.shape[1] < least:
        raise MetaecgError(
            f"recordings of {x.shape[1]} samples are too short for this encoder: it needs {least}"
        )


def max_pool_2(x: Array) -> Array:
    """Maximum of neighbouring steps; its gradient is an order faster on CPU than `reduce_window`'s.

    A choice and not `maximum`, for the reason given in `largest`.
    """
    steps = x.shape[1] // 2 * 2
    even, odd = x[:, 0:steps:2], x[:, 1:steps:2]
    return jnp.where(even > odd, even, odd)


def largest(x: Array) -> Array:
    """Maximum over time; [N, samples, C] to [N, C].

    The gradient of `max` goes to the steps that equal the maximum. Where XLA computes the steps
    anew for that comparison, rounded otherwise, none does and the gradient is lost; one step is
    therefore chosen here, and the gradient goes to it.
    """
    step = jnp.arange(x.shape[1])[None, :, None]
    return jnp.sum(jnp.where(step == jnp.argmax(x, axis=1, keepdims=True), x, 0), axis=1)


def compressed(x: Array) -> Array:
    """sign(x) log(1 + 5|x|): nearly in proportion to small numbers, and large ones drawn nearer."""
    return jnp.sign(x) * jnp.log1p(5 * jnp.abs(x))
