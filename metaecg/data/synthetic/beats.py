"""When the chambers of the heart are activated, and how a beat of ventricular origin spreads."""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metaecg.data.synthetic.conditions import Rhythm
from metaecg.data.synthetic.random_deviates import Deviates, Sines

START = -2.5  # s; the first activation, so that a record begins in the midst of things
FASTEST = 3.6  # cycles per second, of the fastest row of the table


class Beats(NamedTuple):
    """Activations in order of time: [N] each. A gain of 0 marks one that did not happen."""

    atria: jax.Array  # s, onset of P
    atria_gain: jax.Array
    ectopic: jax.Array  # bool, P from elsewhere than the sinus node
    ventricles: jax.Array  # s, onset of QRS
    ventricles_gain: jax.Array
    wide: jax.Array  # bool, of ventricular origin
    cycle: jax.Array  # s, the RR interval that QT follows


def cycles(seconds: float) -> int:
    """How many activations there may be from `START` to beyond the end of a record."""
    return math.ceil((seconds - START + 1) * FASTEST)


def within(row: Any, u: dict[str, jax.Array], name: str) -> jax.Array:
    """Where a record is in one of the ranges of a row: u[name] of the way from low to high."""
    low, high = getattr(row, name)
    return low + (high - low) * u[name]


def beat_times(
    deviates: Deviates, rhythm: Rhythm, u: dict[str, jax.Array], breath: Sines, seconds: float
) -> Beats:
    """Makes the table of activations of one record.

    Args:
      deviates: the record's random numbers.
      rhythm: one row of the table.
      u: name -> [] in [0, 1], where the record is in each range of the row.
      breath: respiration, a single sinusoid.
      seconds: how long the record is.

    Returns:
      Beats, N of them from 2.5 s before the record to beyond its end.
    """
    size = cycles(seconds)
    index = jnp.arange(size)

    draw = functools.partial(within, rhythm, u)
    mean = 60 / draw("rate")
    when = START + mean * index  # near enough for the phase of breathing
    swing = draw("hf") * breath.at(when)[0] + draw("lf") * deviates.sines(0.08, 0.12, 1).at(when)[0]
    swing += rhythm.cv * deviates.normal(size)
    base = jnp.maximum(mean * (1 + swing), 0.28)
    slow = jnp.full((size,), mean)

    # A paroxysm begins abruptly and lasts to the end of the record.
    running = (draw("run") > 0) & (when > seconds * (0.3 + 0.35 * deviates.uniform()))
    run = 60 / jnp.maximum(draw("run"), 1.0)
    base, slow = (jnp.where(running, run, x) for x in (base, slow))

    # In flutter the ventricles follow every second to fourth F wave, in some patients by turns.
    low, high = rhythm.ratio
    ratio = jnp.floor(low + u["ratio"] * (high - low + 0.999))
    by_turns = deviates.uniform(size) < 0.5 * (u["turns"] > 0.6)
    ratios = ratio + jnp.where(by_turns, jnp.where(ratio > 3, -2, 2), 0)
    f_hz = flutter_hz(u)
    base = jnp.where(rhythm.flutter > 0, ratios / f_hz, base)
    slow = jnp.where(rhythm.flutter > 0, ratio / f_hz, slow)

    # Events are `gap` cycles apart.
    low, high = rhythm.gap
    gaps = low + jnp.floor(deviates.uniform(size) * (high - low + 0.999))
    first = -jnp.floor(deviates.uniform() * high * 0.999)
    places = first + jnp.concatenate([jnp.zeros((1,)), jnp.cumsum(gaps)])
    ago = index[:, None] - places[None, :]
    event = (ago == 0).any(1) & (high > 0)
    # Where beats drop, the ventricles' cycle is longer than the atria's, and QT with it.
    slow *= jnp.where(rhythm.event_qrs > 0, 1.0, high / jnp.maximum(high - 1, 1.0))
    since = jnp.where(ago >= 0, ago, jnp.inf).min(1)
    before = draw("before") * (1 + 0.02 * deviates.normal(size))
    moved = event & (rhythm.resets > 0)
    after = jnp.roll(moved, 1).at[0].set(False)
    interval = base * jnp.where(moved, before, 1.0) * jnp.where(after, rhythm.after, 1.0)
    leader = START - mean * deviates.uniform() + jnp.cumsum(interval)

    # Wenckebach: each PR is longer than the one before it, by less and less.
    delay = draw("pr") + rhythm.pr_step * 2 * (1 - 0.5 ** jnp.maximum(since - 1, 0))
    apart = draw("atrial_rate") > 0
    ventricles = leader + jnp.where(apart, 0.0, delay)
    early = jnp.roll(ventricles, 1) + before * base
    ventricles = jnp.where(event & (rhythm.resets == 0) & (index > 0), early, ventricles)

    # Atria that go their own way.
    own = 60 / jnp.maximum(draw("atrial_rate"), 1.0)
    own = START + own * (index - deviates.uniform() + 0.02 * breath.at(when)[0])
    return Beats(
        atria=jnp.where(apart, own, leader),
        atria_gain=jnp.where(running, 0.0, jnp.where(event, rhythm.event_p, rhythm.p)),
        ectopic=jnp.where(event, rhythm.event_ectopic_p, rhythm.ectopic_p) > 0,
        ventricles=ventricles,
        ventricles_gain=jnp.where(event, rhythm.event_qrs, 1.0),
        wide=(u["wide"] < rhythm.wide) | (event & (rhythm.event_wide > 0)),
        cycle=0.8 * slow + 0.2 * base,
    )


def flutter_hz(u: dict[str, jax.Array]) -> jax.Array:
    return 4.3 + 1.1 * u["flutter"]


def ventricular_origin(rhythm: Rhythm, u: dict[str, jax.Array]) -> jax.Array:
    """QRS of a beat that starts in a ventricle: [5, 6] like `Waves.qrs`."""
    draw = functools.partial(within, rhythm, u)
    # Slow spread through muscle, turning as it goes: centre, width, mV, turn and lift in degrees.
    steps = np.array(
        [
            (0.22, 0.095, 0.54, 35.0, -12.0),
            (0.46, 0.115, 1.20, 0.0, 0.0),
            (0.66, 0.095, 0.76, -14.0, 8.0),
            (0.86, 0.060, 0.30, -45.0, 20.0),
            (0.50, 0.100, 0.0, 0.0, 0.0),
        ],
        np.float32,
    )
    center, width, size, turn, lift = steps.T
    a, e = jnp.deg2rad(draw("azimuth") + turn), jnp.deg2rad(draw("elevation") + lift)
    left, down, front = jnp.cos(e) * jnp.cos(a), jnp.sin(e), jnp.cos(e) * jnp.sin(a)
    columns = [center, width, size * left, size * down, size * front, 0 * size]
    return jnp.stack([jnp.asarray(c) for c in columns], 1)
