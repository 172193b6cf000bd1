"""A plan of one synthetic record: all of chance and anatomy, before anything is sampled in time.

A patient, a row of the table of conditions and a record's own random numbers become a table of
activations and, for each kind of activation, Gaussians with a dipole each.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metaecg.data.synthetic.anatomy import ELECTRODES, PLACES, PLAY, make_patient, put_on
from metaecg.data.synthetic.beats import (
    Beats,
    beat_times,
    cycles,
    flutter_hz,
    ventricular_origin,
    within,
)
from metaecg.data.synthetic.condition_arrays import DIPOLES, NORMAL_WAVES, look_up
from metaecg.data.synthetic.conditions import Waves
from metaecg.data.synthetic.random_deviates import Deviates, Sines

# P that climbs from the junction: negative in II, III and aVF.
_RETROGRADE_P = np.array([[0.00, -0.10, 0.03, 0.0], [0.02, -0.07, 0.03, 0.0]], np.float32)
_SPIKE = np.array([0.6, -0.4, -0.4, 0.0], np.float32)
_T_RISE, _T_FALL = 0.065, 0.042  # s, standard deviations of T's two halves where QT is 0.40 s


class Plan(NamedTuple):
    """All that a record is, but for white noise. Axis 2 is [conducted, of ventricular origin].

    Attributes:
      beats: the activations.
      pace: [N] speed of each beat's ST and T against the record's mean.
      center, rise, fall: [2, 10] s, Gaussians after the onset of QRS and the standard deviations
        of their halves: five of QRS, T, its later part, U, sag, pacing spike.
      dipole: [2, 11, 4] mV, those of the Gaussians and the ST level.
      length, st_end: [2] s, where QRS and ST end.
      p_center, p_width, p_dipole: [2] s, [] s, [2, 2, 4] mV [sinus or not, half, …].
      f_waves, f_waver, f_size: three sinusoids of fibrillation, what wavers them, mV.
      flutter_hz, flutter_size: F waves, Hz and mV.
      breath, breath_depth: respiration as one sinusoid, and its share of amplitude.
      electrodes: [9, 4] lead vectors as the electrodes were put on.
      wander, wander_size: four sinusoids; [5, 9] mV of respiration and of them.
      muscle: [] mV, standard deviation. mains, mains_hz: [9] mV, [] Hz.
    """

    beats: Beats
    pace: jax.Array
    center: jax.Array
    rise: jax.Array
    fall: jax.Array
    dipole: jax.Array
    length: jax.Array
    st_end: jax.Array
    p_center: jax.Array
    p_width: jax.Array
    p_dipole: jax.Array
    f_waves: Sines
    f_waver: Sines
    f_size: jax.Array
    flutter_hz: jax.Array
    flutter_size: jax.Array
    breath: Sines
    breath_depth: jax.Array
    electrodes: jax.Array
    wander: Sines
    wander_size: jax.Array
    muscle: jax.Array
    mains: jax.Array
    mains_hz: jax.Array


def deviates_needed(seconds: float) -> tuple[int, int]:
    """How many random numbers a record's plan and a patient are made of."""
    return 150 + 4 * cycles(seconds), 15 + len(PLACES) + ELECTRODES.size


def plan(
    record: tuple[jax.Array, jax.Array],
    patient: tuple[jax.Array, jax.Array],
    condition: jax.Array | int,
    lender: jax.Array | int,
    *,
    hz: float,
    seconds: float,
) -> Plan:
    """Plans one record.

    Args:
      record, patient: standard normal deviates, as many as `deviates_needed` says, and the same
        ones mapped to [0, 1].
      condition: index of the row that gives the rhythm.
      lender: index of the row that gives the waves.
      hz, seconds: of the record.
    """
    person = make_patient(Deviates(*patient))
    deviates = Deviates(*record)
    rhythm, waves = look_up(condition)[0], look_up(lender)[1]

    z = np.sqrt(1 - PLAY**2) * person.place + PLAY * deviates.normal(len(PLAY))
    u = dict(zip(PLACES, jax.scipy.special.ndtr(z)))
    breath = Sines(0.18 + 0.14 * u["breath"][None], deviates.uniform(1))

    severity = within(waves, u, "severity")
    depart = {
        f: NORMAL_WAVES[f] + severity * (getattr(waves, f) - NORMAL_WAVES[f]) for f in DIPOLES
    }
    qrs = NORMAL_WAVES["qrs"][:, 2:] + severity * (waves.qrs - NORMAL_WAVES["qrs"])[:, 2:]
    waves = waves._replace(qrs=jnp.concatenate([waves.qrs[:, :2], qrs], 1), **depart)

    beats = beat_times(deviates, rhythm, u, breath, seconds)

    def qt_of(cycle: jax.Array) -> jax.Array:  # Fridericia; T ends before the next QRS
        return jnp.minimum(within(waves, u, "qtc") * jnp.cbrt(cycle), 0.93 * cycle)

    narrow, wide = within(waves, u, "duration"), within(rhythm, u, "breadth")
    qt = qt_of(beats.cycle[0])
    conducted = _gaussians(waves.qrs, narrow, qt, waves, hz)
    source = ventricular_origin(rhythm, u)
    mean = source[:, 2:].mean(0)
    away = waves._replace(  # ST and T point away from QRS
        t=-0.85 * mean, st=-0.18 * mean, t_late=0 * mean, sag=0 * mean, u=0 * mean,
        t_width=jnp.full_like(qt, 1.1),
    )  # fmt: skip
    ventricular = _gaussians(source, wide, jnp.maximum(qt, wide + 0.16) + 0.03, away, hz)
    center, rise, fall, dipole, length, st_end = (
        jnp.stack(pair) for pair in zip(conducted, ventricular)
    )
    t = jnp.stack([person.t, person.t, jnp.ones_like(person.t), jnp.ones_like(person.t)])
    gains = jnp.concatenate([person.qrs, t, jnp.array([0.0, 1.0])]) * within(waves, u, "gain")
    turns = jnp.stack([person.turn] * 5 + [person.t_turn] * 4 + [person.turn] * 2)
    dipole = jnp.einsum("wkd,ked->wke", dipole * gains[None, :, None], turns)
    dipole = dipole.at[1, 9].set(rhythm.spike * _SPIKE)

    p_dipole = jnp.stack([jnp.stack([waves.p_right, waves.p_left]), jnp.asarray(_RETROGRADE_P)])
    return Plan(
        beats=beats,
        pace=(qt - narrow) / (qt_of(beats.cycle) - narrow),
        center=center,
        rise=rise,
        fall=fall,
        dipole=dipole,
        length=length,
        st_end=st_end,
        p_center=2 * waves.p_width + jnp.stack([jnp.zeros_like(qt), waves.p_spread]),
        p_width=jnp.asarray(waves.p_width),
        p_dipole=person.p * p_dipole @ person.p_turn.T,
        f_waves=deviates.sines(5.0, 8.5, 3),
        f_waver=deviates.sines(0.15, 0.6, 3),
        f_size=rhythm.fibrillation * jnp.exp(0.35 * deviates.normal()),
        flutter_hz=flutter_hz(u),
        flutter_size=rhythm.flutter * person.p,
        breath=breath,
        breath_depth=0.02 + 0.05 * deviates.uniform(),
        electrodes=put_on(deviates, person.electrodes),
        wander=deviates.sines(0.03, 0.35, 4),
        wander_size=0.022 * deviates.normal(5, 9),
        muscle=0.003 * 5.0 ** deviates.uniform(),
        mains=0.006 * deviates.uniform(9),
        mains_hz=jnp.where(deviates.uniform() < 0.5, 50.0, 60.0),
    )


def _gaussians(
    qrs: jax.Array, duration: jax.Array, qt: jax.Array, waves: Waves, hz: float
) -> tuple[jax.Array, ...]:
    """One kind of beat: center, rise, fall, dipole, length and st_end of `Plan`."""
    stretch = (qt - duration) / 0.31
    rise, fall = (waves.t_width * stretch * width for width in (_T_RISE, _T_FALL))
    peak = qt - 2 * fall  # the tangent to T's steepest descent meets the baseline at 2 deviations
    room = peak - duration
    narrow = jnp.full_like(peak, max(0.002, 0.35 / hz))
    still = jnp.zeros_like(peak)
    centers = [peak, peak + 1.1 * fall, qt + 0.085, duration + 0.45 * room, still - 0.012]
    rises = [rise, 0.8 * fall, still + 0.035, 0.25 * room, narrow]
    falls = [fall, 0.8 * fall, still + 0.040, 0.20 * room, narrow]
    width = duration * qrs[:, 1]
    dipoles = [waves.t, waves.t_late, waves.u, waves.sag, jnp.zeros((4,)), waves.st]
    return (
        jnp.concatenate([duration * qrs[:, 0], jnp.stack(centers)]),
        jnp.concatenate([width, jnp.stack(rises)]),
        jnp.concatenate([width, jnp.stack(falls)]),
        jnp.concatenate([qrs[:, 2:], jnp.stack(dipoles)]),
        duration,
        peak - 0.4 * rise,
    )
