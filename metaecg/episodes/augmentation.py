"""Augmentation fit for ECG, drawn anew for every record; units in, units out."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from metaecg.errors import MetaecgError
from metaecg.types import Array


class Augmentation(NamedTuple):
    """How strongly a record is varied; the defaults leave it as it is.

    Attributes:
      scale: the standard deviation of the log-gain of a record (amplitude varies with the body).
      lead_dropout: the probability that a lead is lost: exactly zero, as a missing lead is when a
        recording is diagnosed.
      wander: the amplitude of a slow sine on each lead, mV (respiration, electrode drift).
      noise: the standard deviation of white noise, mV.
      crop: the share of the recording that is kept, from a random start.
      warp: the standard deviation of the log of a record's speed (a heart beats faster or slower),
        linearly interpolated. The speed is at most 1 / crop and at least crop, since what is kept
        never goes beyond the recording; so a recording that is kept whole cannot be warped.
    """

    scale: float = 0.0
    lead_dropout: float = 0.0
    wander: float = 0.0
    noise: float = 0.0
    crop: float = 1.0
    warp: float = 0.0


NO_AUGMENTATION = Augmentation()


def check(strength: Augmentation) -> None:
    """Refuses an augmentation that cannot be done.

    Raises:
      MetaecgError: names the field and the remedy.
    """
    for field in ("scale", "wander", "noise", "warp"):
        if not 0 <= getattr(strength, field) < math.inf:
            raise MetaecgError(
                f"augmentation: {field} must be a number from 0, not {getattr(strength, field)}"
            )
    if not 0 <= strength.lead_dropout < 1:
        raise MetaecgError(
            f"augmentation: lead_dropout must be from 0 and below 1, not {strength.lead_dropout}: "
            "with 1, every lead is lost"
        )
    if not 0 < strength.crop <= 1:
        raise MetaecgError(f"augmentation: crop must be above 0 and at most 1, not {strength.crop}")
    if strength.warp and strength.crop == 1:
        raise MetaecgError(
            "augmentation: warp needs crop below 1, such as 0.9: a recording that is kept whole "
            "has no samples left to be played faster"
        )


def augment(key: Array, records: Array, strength: Augmentation) -> Array:
    """Varies records [N, samples, leads] (mV), each by itself; steps of zero strength are free.

    Returns:
      Records [N, samples', leads], where samples' is the share `crop` of the samples.

    Raises:
      MetaecgError: see `check`.
    """
    if strength == NO_AUGMENTATION:
        return records
    check(strength)
    count, samples, leads = records.shape
    dtype = records.dtype
    keys = jax.random.split(key, 6)
    length = max(1, int(samples * strength.crop))
    if strength.warp:
        records = jax.vmap(_warp, (0, 0, None, None))(
            records, jax.random.split(keys[0], count), length, strength.warp
        )
    elif length < samples:
        start = jax.random.randint(keys[0], (count,), 0, samples - length + 1)
        records = jax.vmap(lambda x, s: jax.lax.dynamic_slice_in_dim(x, s, length))(records, start)
    if strength.scale:
        gain = jax.random.normal(keys[1], (count, 1, 1), dtype)
        records = records * jnp.exp(strength.scale * gain)
    if strength.wander:
        amplitude = strength.wander * jax.random.normal(keys[3], (count, 1, leads), dtype)
        cycles, phase = jax.random.uniform(keys[4], (2, count, 1, 1), dtype)
        time = jnp.linspace(0, 1, length, dtype=dtype)[None, :, None]
        angle = 2 * jnp.pi * (4 * cycles * time + phase)
        records = records + amplitude * jnp.sin(angle)
    if strength.noise:
        records = records + strength.noise * jax.random.normal(keys[5], records.shape, dtype)
    if strength.lead_dropout:  # last, so that nothing is added to a lead that is lost
        kept = jax.random.bernoulli(keys[2], 1 - strength.lead_dropout, (count, 1, leads))
        records = jnp.where(kept, records, 0)
    return records


def _warp(record: Array, key: Array, length: int, strength: float) -> Array:
    """[samples, leads] to [length, leads]: from a random start, at a random speed."""
    speed_key, start_key = jax.random.split(key)
    last = len(record) - 1
    # As far down as up, so that records are made slower as often as faster.
    most = math.log(last / max(1, length - 1)) / strength if last else 0.0
    draw = jax.random.truncated_normal(speed_key, -most, most, dtype=record.dtype) if most else 0.0
    speed = jnp.exp(strength * draw)
    start = jax.random.uniform(start_key, dtype=record.dtype) * (last - (length - 1) * speed)
    at = jnp.clip(start + speed * jnp.arange(length, dtype=record.dtype), 0, last)
    before = jnp.minimum(at.astype(jnp.int32), max(0, last - 1))
    share = (at - before)[:, None].astype(record.dtype)
    return (1 - share) * record[before] + share * record[jnp.minimum(before + 1, last)]
