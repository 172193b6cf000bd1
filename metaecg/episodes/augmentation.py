"""Augmentation fit for ECG, drawn anew for every record; units in, units out."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from metaecg.types import Array


class Augmentation(NamedTuple):
    """How strongly to vary a record; the defaults leave it as it is.

    Attributes:
      scale: standard deviation of the log-gain of a record (amplitude varies with the body).
      lead_dropout: probability that a lead is lost (zero).
      wander: amplitude of a slow sine on each lead, mV (respiration, electrode drift).
      noise: standard deviation of white noise, mV.
      crop: share of the recording kept, from a random start.
      warp: standard deviation of the log of its speed (a heart beats faster or slower), linearly
        interpolated; what is kept never goes beyond the recording.
    """

    scale: float = 0.0
    lead_dropout: float = 0.0
    wander: float = 0.0
    noise: float = 0.0
    crop: float = 1.0
    warp: float = 0.0


NO_AUGMENTATION = Augmentation()


def augment(key: Array, records: Array, strength: Augmentation) -> Array:
    """Varies records [N, samples, leads] (mV), each by itself; steps of zero strength are free."""
    if strength == NO_AUGMENTATION:
        return records
    count, samples, leads = records.shape
    keys = jax.random.split(key, 6)
    if strength.warp:
        length = max(1, int(samples * strength.crop))
        records = jax.vmap(_warp, (0, 0, None, None))(
            records, jax.random.split(keys[0], count), length, strength.warp
        )
        samples = length
    elif strength.crop < 1:
        length = max(1, int(samples * strength.crop))
        start = jax.random.randint(keys[0], (count,), 0, samples - length + 1)
        records = jax.vmap(lambda x, s: jax.lax.dynamic_slice_in_dim(x, s, length))(records, start)
        samples = length
    gain = jnp.ones((count, 1, leads))
    if strength.scale:
        gain *= jnp.exp(strength.scale * jax.random.normal(keys[1], (count, 1, 1)))
    if strength.lead_dropout:
        gain *= jax.random.bernoulli(keys[2], 1 - strength.lead_dropout, (count, 1, leads))
    records = records * gain
    if strength.wander:
        amplitude = strength.wander * jax.random.normal(keys[3], (count, 1, leads))
        cycles, phase = (
            jax.random.uniform(keys[4], (2, count, 1, 1))
            * jnp.array([4.0, 1.0])[:, None, None, None]
        )
        angle = 2 * jnp.pi * (cycles * jnp.linspace(0, 1, samples)[None, :, None] + phase)
        records = records + amplitude * jnp.sin(angle)
    if strength.noise:
        records = records + strength.noise * jax.random.normal(keys[5], records.shape)
    return records


def _warp(record: Array, key: Array, length: int, strength: float) -> Array:
    """[samples, leads] to [length, leads]: from a random start, at a random speed."""
    speed_key, start_key = jax.random.split(key)
    last = len(record) - 1
    speed = jnp.exp(strength * jax.random.normal(speed_key))
    speed = jnp.minimum(speed, last / max(1, length - 1))
    start = jax.random.uniform(start_key) * (last - (length - 1) * speed)
    at = jnp.clip(start + speed * jnp.arange(length), 0, last)
    before = jnp.minimum(at.astype(jnp.int32), max(0, last - 1))
    share = (at - before)[:, None]
    return (1 - share) * record[before] + share * record[jnp.minimum(before + 1, last)]
