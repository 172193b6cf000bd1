"""A plan of one synthetic record: all of chance and anatomy, before anything is sampled in time.

A patient, a row of the table of conditions and a record's own random numbers become a table of
activations and, for each kind of activation, Gaussians with a dipole each.
"""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metaecg.data.synthetic.conditions import CONDITIONS, NORMAL, Rhythm, Waves

START = -2.5  # s; the first activation, so that a record begins in the midst of things
FASTEST = 3.6  # cycles per second, of the fastest row of the table
DIPOLES = ("p_right", "p_left", "st", "sag", "t", "t_late", "u")

# Dower et al. 1980, J Electrocardiol 13:91: leads I, II, V1 … V6 on a dipole (left, inferior,
# anterior). The fourth column is the near field.
_DOWER = np.array(
    [
        [0.632, -0.235, -0.059, 0.0],
        [0.235, 1.066, 0.132, 0.0],
        [-0.515, 0.157, 0.917, 1.0],
        [0.044, 0.164, 1.387, 0.85],
        [0.882, 0.098, 1.277, 0.2],
        [1.213, 0.127, 0.601, 0.0],
        [1.125, 0.127, 0.086, 0.0],
        [0.831, 0.076, -0.230, 0.0],
    ],
    np.float32,
)
# Electrodes RA, LA, LL, V1 … V6 against Wilson's terminal, which is the mean of the first three.
_I, _II = _DOWER[0], _DOWER[1]
_ELECTRODES = np.vstack([-(_I + _II) / 3, (2 * _I - _II) / 3, (2 * _II - _I) / 3, _DOWER[2:]])

_ALONG = np.gradient(np.eye(6, dtype=np.float32), axis=0)  # from one chest electrode to the next

# P that climbs from the junction: negative in II, III and aVF.
_RETROGRADE_P = np.array([[0.00, -0.10, 0.03, 0.0], [0.02, -0.07, 0.03, 0.0]], np.float32)
_SPIKE = np.array([0.6, -0.4, -0.4, 0.0], np.float32)
_T_RISE, _T_FALL = 0.065, 0.042  # s, standard deviations of T's two halves where QT is 0.40 s

# Planes of rotation: frontal, horizontal, sagittal. The near field is not turned.
_COSINES, _SINES = np.zeros((2, 3, 4, 4), np.float32)
for _i, (_a, _b) in enumerate(((0, 1), (0, 2), (1, 2))):
    _COSINES[_i, _a, _a] = _COSINES[_i, _b, _b] = 1
    _SINES[_i, _b, _a], _SINES[_i, _a, _b] = 1, -1
_STILL = np.eye(4, dtype=np.float32) - _COSINES

# The ranges of a row that a patient has a place in, and how much of it changes between records.
_PLACES = {
    "rate": 0.5, "hf": 0.5, "lf": 0.5, "pr": 0.4, "before": 0.4, "atrial_rate": 0.5, "run": 0.5,
    "flutter": 0.3, "breath": 0.7, "gain": 0.3, "duration": 0.3, "qtc": 0.4,
    # Anatomy stays.
    "azimuth": 0.0, "elevation": 0.0, "breadth": 0.0, "wide": 0.0, "ratio": 0.0, "turns": 0.0,
    "severity": 0.0,
}  # fmt: skip
_PLAY = np.array(list(_PLACES.values()), np.float32)


class Patient(NamedTuple):
    """What stays the same in all records of a patient.

    Attributes:
      turn, t_turn, p_turn: [4, 4] rotations of QRS, T and P against the normal heart's.
      place: [ranges] where the patient stands in each range of a row, normal deviates.
      qrs, p, t: [5], [], [] gains of the waves.
      electrodes: [9, 4] lead vectors in this chest.
    """

    turn: jax.Array
    t_turn: jax.Array
    p_turn: jax.Array
    place: jax.Array
    qrs: jax.Array
    p: jax.Array
    t: jax.Array
    electrodes: jax.Array


class Beats(NamedTuple):
    """Activations in order of time: [N] each. A gain of 0 marks one that did not happen."""

    atria: jax.Array  # s, onset of P
    atria_gain: jax.Array
    ectopic: jax.Array  # bool, P from elsewhere than the sinus node
    ventricles: jax.Array  # s, onset of QRS
    ventricles_gain: jax.Array
    wide: jax.Array  # bool, of ventricular origin
    cycle: jax.Array  # s, the RR interval that QT follows


class Sines(NamedTuple):
    """Sinusoids: Hz and phase (turns), [n] each."""

    hz: jax.Array
    phase: jax.Array

    def at(self, times: jax.Array) -> jax.Array:
        """Their values: [n, times]."""
        turns = self.hz[:, None] * times[None, :] + self.phase[:, None]
        return jnp.sin(2 * jnp.pi * turns)


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


class Deviates:
    """Standard normal deviates [n] dealt out in order, as they are or as uniform ones."""

    def __init__(self, deviates: jax.Array, uniforms: jax.Array):
        self.deviates, self.uniforms = deviates, uniforms
        self.dealt = 0

    def normal(self, *shape: int) -> jax.Array:
        """The next standard normal deviates, of this shape."""
        return self._deal(self.deviates, shape)

    def uniform(self, *shape: int) -> jax.Array:
        """The next deviates, uniform in [0, 1]."""
        return self._deal(self.uniforms, shape)

    def _deal(self, numbers: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        start, self.dealt = self.dealt, self.dealt + math.prod(shape)
        if self.dealt > len(numbers):
            raise ValueError(f"{self.dealt} deviates asked of {len(numbers)}")
        return numbers[start : self.dealt].reshape(shape)

    def sines(self, low: float, high: float, count: int) -> Sines:
        """Sinusoids of random phase at frequencies from low to high Hz."""
        hz, phase = self.uniform(2, count)
        return Sines(low + (high - low) * hz, phase)


def _dense(row: Rhythm | Waves) -> dict[str, np.ndarray]:
    """A row as arrays of fixed shapes: dipoles [4], QRS [5, 6]."""

    def pad(values: Iterable[float], length: int) -> list[float]:
        values = list(values)
        return values + [0.0] * (length - len(values))

    dense = {}
    for field, value in row._asdict().items():
        if field == "qrs":
            value = [pad(one, 6) for one in value]
            value += [[0.5, 0.1, 0.0, 0.0, 0.0, 0.0]] * (5 - len(value))
        elif field in DIPOLES:
            value = pad(value, 4)
        dense[field] = np.array(value, np.float32)
    return dense


_NORMAL = _dense(NORMAL)
_ROWS = [(_dense(c.rhythm), _dense(c.waves)) for c in CONDITIONS]
_TABLE = np.stack(  # one matrix, so that looking a condition up is one gather
    [np.concatenate([v.ravel() for part in row for v in part.values()]) for row in _ROWS]
)


def look_up(condition: jax.Array | int) -> tuple[Rhythm, Waves]:
    """The rows of a condition as arrays, for an index that may be traced."""
    flat = jnp.asarray(_TABLE)[condition]
    parts: list[dict[str, Any]] = []
    start = 0
    for part in _ROWS[0]:
        parts.append({})
        for field, value in part.items():
            parts[-1][field] = flat[start : start + value.size].reshape(value.shape)
            start += value.size
    return Rhythm(**parts[0]), Waves(**parts[1])


def _rotation(frontal: Any, horizontal: Any, sagittal: Any) -> jax.Array:
    """Rotation [4, 4] by three angles (degrees); positive `frontal` turns the axis rightwards."""
    angles = jnp.deg2rad(jnp.stack([frontal, horizontal, sagittal]))
    c, s = jnp.cos(angles), jnp.sin(angles)
    first, second, third = (_STILL[i] + c[i] * _COSINES[i] + s[i] * _SINES[i] for i in range(3))
    return first @ second @ third


def deviates_needed(seconds: float) -> tuple[int, int]:
    """How many random numbers a record's plan and a patient are made of."""
    return 150 + 4 * _cycles(seconds), 15 + len(_PLACES) + _ELECTRODES.size


def make_patient(deviates: Deviates) -> Patient:
    """Makes a patient: build, age and sex act through axis, voltages, intervals and electrodes."""
    z = jnp.clip(deviates.normal(10), -1.9, 1.9)
    turn = _rotation(13 * z[0], 10 * z[1], 6 * z[2])
    build = jnp.exp(0.10 * z[9])  # one gain for all that is seen through the same chest
    return Patient(
        turn=turn,
        t_turn=_rotation(9 * z[3], 10 * z[4], 0.0 * z[3]) @ turn,
        p_turn=_rotation(9 * z[5], 9 * z[6], 0.0 * z[5]) @ turn,
        place=deviates.normal(len(_PLACES)),
        qrs=build * jnp.exp(0.13 * deviates.normal(5)),
        p=jnp.exp(0.16 * z[7]),
        t=build * jnp.exp(0.2 * z[8]),
        electrodes=jnp.asarray(_ELECTRODES) * (1 + 0.05 * deviates.normal(*_ELECTRODES.shape)),
    )


def _cycles(seconds: float) -> int:
    """How many activations there may be from `START` to beyond the end of a record."""
    return math.ceil((seconds - START + 1) * FASTEST)


def beat_times(
    deviates: Deviates, rhythm: Rhythm, u: dict[str, jax.Array], breath: Sines, seconds: float
) -> Beats:
    """Makes the table of activations of one record.

    Args:
      deviates: the record's random numbers.
      rhythm: one row of the table.
      u: name -> [] in [0, 1], where the record stands in each range of the row.
      breath: respiration, a single sinusoid.
      seconds: how long the record is.

    Returns:
      Beats, N of them from 2.5 s before the record to beyond its end.
    """
    size = _cycles(seconds)
    index = jnp.arange(size)

    def draw(name: str) -> jax.Array:
        low, high = getattr(rhythm, name)
        return low + (high - low) * u[name]

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
    flutter_hz = _flutter_hz(u)
    base = jnp.where(rhythm.flutter > 0, ratios / flutter_hz, base)
    slow = jnp.where(rhythm.flutter > 0, ratio / flutter_hz, slow)

    # Events stand `gap` cycles apart.
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


def _flutter_hz(u: dict[str, jax.Array]) -> jax.Array:
    return 4.3 + 1.1 * u["flutter"]


def _ventricular_origin(rhythm: Rhythm, u: dict[str, jax.Array]) -> jax.Array:
    """QRS of a beat that starts in a ventricle: [5, 6] like `Waves.qrs`."""

    def draw(name: str) -> jax.Array:
        low, high = getattr(rhythm, name)
        return low + (high - low) * u[name]

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


def _put_on(deviates: Deviates, electrodes: jax.Array) -> jax.Array:
    """Electrodes [9, 4] as they were put on this time: chest ones astray, along or up and down."""
    chest = electrodes[3:]
    step = jnp.asarray(_ALONG) @ chest
    chest += 0.14 * deviates.normal(6, 1) * step
    chest = chest.at[:, 1].add(0.07 * deviates.normal())  # the wrong interspace, for all six
    electrodes = electrodes.at[3:].set(chest)
    return electrodes - electrodes[:3].mean(0, keepdims=True)


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

    z = np.sqrt(1 - _PLAY**2) * person.place + _PLAY * deviates.normal(len(_PLAY))
    u = dict(zip(_PLACES, jax.scipy.special.ndtr(z)))
    breath = Sines(0.18 + 0.14 * u["breath"][None], deviates.uniform(1))

    def draw(row: Any, name: str) -> jax.Array:
        low, high = getattr(row, name)
        return low + (high - low) * u[name]

    severity = draw(waves, "severity")
    depart = {f: _NORMAL[f] + severity * (getattr(waves, f) - _NORMAL[f]) for f in DIPOLES}
    qrs = _NORMAL["qrs"][:, 2:] + severity * (waves.qrs - _NORMAL["qrs"])[:, 2:]
    waves = waves._replace(qrs=jnp.concatenate([waves.qrs[:, :2], qrs], 1), **depart)

    beats = beat_times(deviates, rhythm, u, breath, seconds)

    def qt_of(cycle: jax.Array) -> jax.Array:  # Fridericia; T ends before the next QRS
        return jnp.minimum(draw(waves, "qtc") * jnp.cbrt(cycle), 0.93 * cycle)

    narrow, wide = draw(waves, "duration"), draw(rhythm, "breadth")
    qt = qt_of(beats.cycle[0])
    conducted = _gaussians(waves.qrs, narrow, qt, waves, hz)
    source = _ventricular_origin(rhythm, u)
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
    gains = jnp.concatenate([person.qrs, t, jnp.array([0.0, 1.0])]) * draw(waves, "gain")
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
        flutter_hz=_flutter_hz(u),
        flutter_size=rhythm.flutter * person.p,
        breath=breath,
        breath_depth=0.02 + 0.05 * deviates.uniform(),
        electrodes=_put_on(deviates, person.electrodes),
        wander=deviates.sines(0.03, 0.35, 4),
        wander_size=0.022 * deviates.normal(5, 9),
        muscle=0.003 * 5.0 ** deviates.uniform(),
        mains=0.006 * deviates.uniform(9),
        mains_hz=jnp.where(deviates.uniform() < 0.5, 50.0, 60.0),
    )
