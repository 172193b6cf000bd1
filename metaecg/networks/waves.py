"""Heights of the waves of a median beat: what a cardiologist reads off the paper."""

import jax.numpy as jnp

from metaecg.networks.layers import compressed
from metaecg.signals.beats import BEFORE, HZ, Beats
from metaecg.types import Array

P, QRS, T = (-0.30, -0.07), (-0.06, 0.09), (0.14, 0.50)
"""Where a wave is looked for, in seconds from the R peak."""

LEVEL = (-0.09, -0.06)
"""Where the level is that heights are measured from."""

ST = (0.10, 0.14)
"""When the ST segment is measured."""

_WAVES = (P, QRS, T)


def waves(beats: Beats) -> Array:
    """Of each lead the highest and the lowest of P, QRS and T, and ST; and how alike beats are.

    Heights are in mV from the level before QRS, `compressed`. At the end, for each
    wave, is the logarithm of how far the beats are from the median one there: of P it is large in
    atrial fibrillation.

    Args:
      beats: of N recordings of L leads.

    Returns:
      float32 [N, 8 L + 3], finite whatever was found.
    """
    beat = beats.median - _during(beats.median, LEVEL).mean(axis=1, keepdims=True)
    heights = [x for at in _WAVES for x in (_during(beat, at).max(1), _during(beat, at).min(1))]
    heights += [beat[:, _row(at)] for at in ST]
    apart = [_during(beats.spread, at).mean(axis=(1, 2))[:, None] for at in _WAVES]
    return jnp.concatenate(
        [compressed(jnp.concatenate(heights, 1)), jnp.log(jnp.concatenate(apart, 1) + 5e-3)],
        axis=1,
    )


def _row(seconds: float) -> int:
    return BEFORE + round(seconds * HZ)


def _during(beat: Array, seconds: tuple[float, float]) -> Array:
    return beat[:, _row(seconds[0]) : _row(seconds[1])]
