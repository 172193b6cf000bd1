"""The embedded ECG generator: a plan of a heart's activations rendered to 12 leads.

Each activation is a sum of Gaussians in the manner of ECGSYN (McSharry et al. 2003, IEEE Trans
Biomed Eng 50:289), each with a dipole as in Clifford et al. 2010 (Ann Biomed Eng 38:3229). The
dipole gives the potentials of nine electrodes, where noise is added, and the leads are differences
of these, so that Einthoven's law holds throughout.
"""

import functools
import itertools
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import tqdm

from metaecg.data.files import SYNTHETIC
from metaecg.data.library import Library
from metaecg.data.synthetic import heart
from metaecg.data.synthetic.beats import START
from metaecg.data.synthetic.conditions import CONDITIONS

VERSION = 2
"""To be raised by whatever changes a signal: a library is identified by it and by its arguments."""

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

_F_WAVE = np.array([-0.25, 0.4, 0.35, 0.35], np.float32)  # fibrillation: largest in V1
_FLUTTER = np.array([-0.05, -1.0, 0.35, 0.0], np.float32)  # typical: negative in II, III and aVF

# Random numbers, plan and rendering are compiled apart: in one program XLA would work out each
# anew wherever it is used, and take several times as long to compile.
_plan = functools.partial(jax.jit, static_argnames=("hz", "seconds"))(heart.plan)


@functools.partial(jax.jit, static_argnames=("size",))
def _deviates(key: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    deviates = jax.random.normal(key, (size,))
    return deviates, jax.scipy.special.ndtr(deviates)


def _nearest(
    events: jax.Array, times: jax.Array, steps: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    """Which events are around a time: index [steps, times], 0 being the last one begun.

    An event casts its shadow before it: its first Gaussian rises 45 ms ahead of the onset. The
    second result is 0 where the table of events ends and an index means nothing.
    """
    last = (events[:, None] <= times[None, :] + 0.045).sum(0) - 1
    index = last[None, :] + jnp.array(steps)[:, None]
    inside = jnp.clip(index, 0, len(events) - 1)
    return inside, (inside == index).astype(jnp.float32)


def _ventricles(plan: heart.Plan, times: jax.Array) -> jax.Array:
    """QRS, ST, T and U of all beats as a dipole [4, samples]."""
    beats = plan.beats
    total = jnp.zeros((4, len(times)))
    # A sample sees the QRS of the last beat, and ST, T and U of the last two.
    for steps, part in (((0,), (0, 1, 2, 3, 4, 9)), ((-1, 0), (5, 6, 7, 8))):
        beat, real = _nearest(beats.ventricles, times, steps)
        since = times[None, :] - beats.ventricles[beat]
        gain = beats.ventricles_gain[beat] * real
        wide = beats.wide[beat]
        length = jnp.where(wide, plan.length[1], plan.length[0])
        # ST and T of a beat follow the cycle it belongs to.
        since = jnp.where(since > length, length + (since - length) * plan.pace[beat], since)
        for kind, mine in enumerate((gain * ~wide, gain * wide)):
            center, rise, fall = (
                x[kind, np.array(part)][None, :, None] for x in (plan.center, plan.rise, plan.fall)
            )
            offset = since[:, None, :] - center
            offset *= jnp.where(offset < 0, 1 / rise, 1 / fall)
            waves = (jnp.exp(-0.5 * offset**2) * mine[:, None, :]).sum(0)
            total += plan.dipole[kind, np.array(part)].T @ waves
            if len(steps) > 1:
                length, end = plan.length[kind], plan.st_end[kind]
                level = jax.nn.sigmoid((since - length) / 0.006)
                level *= jax.nn.sigmoid((end - since) / (0.06 * (end - length) + 0.008))
                total += plan.dipole[kind, 10][:, None] * (level * mine).sum(0)[None, :]
    return total


def _atria(plan: heart.Plan, times: jax.Array) -> jax.Array:
    """P, f and F waves as a dipole [4, samples]."""
    beat, real = (x[0] for x in _nearest(plan.beats.atria, times, (0,)))
    since = times - plan.beats.atria[beat]
    gain = plan.beats.atria_gain[beat] * real
    bells = jnp.exp(-0.5 * ((since[None, :] - plan.p_center[:, None]) / plan.p_width) ** 2)
    ectopic = plan.beats.ectopic[beat]
    total = sum(
        plan.p_dipole[kind].T @ (bells * (gain * mine)[None, :])
        for kind, mine in enumerate((~ectopic, ectopic))
    )

    waver = plan.f_waver.at(times)
    angle = plan.f_waves.hz[:, None] * times[None, :] + plan.f_waves.phase[:, None]
    f_waves = jnp.sin(2 * jnp.pi * angle + 2.2 * waver) * (1 + 0.35 * waver)
    total += plan.f_size * jnp.asarray(_F_WAVE)[:, None] * f_waves.sum(0)[None, :]

    angle = 2 * jnp.pi * plan.flutter_hz * (times - START)
    saw = jnp.sin(angle) + 0.5 * jnp.sin(2 * angle) + 0.25 * jnp.sin(3 * angle)
    return total + plan.flutter_size * jnp.asarray(_FLUTTER)[:, None] * saw[None, :]


def _noise(key: jax.Array, plan: heart.Plan, times: jax.Array, hz: float) -> jax.Array:
    """Wander, muscle and mains at the electrodes, in mV: [9, samples]."""
    slow = jnp.concatenate([plan.breath.at(times), plan.wander.at(times)])
    muscle = plan.muscle * jax.random.normal(key, (9, len(times)))
    heard = plan.mains_hz < 0.45 * hz  # else the recorder's filter has it
    mains = jnp.sin(2 * jnp.pi * plan.mains_hz * times)
    return plan.wander_size.T @ slow + muscle + heard * plan.mains[:, None] * mains[None, :]


def leads_from_electrodes(potentials: jax.Array) -> jax.Array:
    """Potentials [9, samples] of RA, LA, LL, V1 … V6 as leads [samples, 12] ordered as `LEADS`."""
    right, left, foot = potentials[:3]
    one, two = left - right, foot - right
    chest = potentials[3:] - ((right + left + foot) / 3)[None, :]
    limbs = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return jnp.concatenate([jnp.stack(limbs), chest]).T


@functools.partial(jax.jit, static_argnames=("hz", "seconds"))
def _render(key: jax.Array, plan: heart.Plan, *, hz: float, seconds: float) -> jax.Array:
    """A plan sampled in time, with white noise of `key`: float32 [samples, 12] in mV."""
    times = jnp.arange(round(hz * seconds)) / hz
    dipole = _ventricles(plan, times) + _atria(plan, times)
    dipole *= 1 + plan.breath_depth * plan.breath.at(times)
    return leads_from_electrodes(plan.electrodes @ dipole + _noise(key, plan, times, hz))


def plan(
    key: jax.Array,
    condition: jax.Array | int,
    *,
    hz: float = 100.0,
    seconds: float = 10.0,
    patient: jax.Array | None = None,
    waves: jax.Array | int | None = None,
) -> heart.Plan:
    """The plan that `generate` renders from the same arguments: when each beat is, among others."""
    patient = jax.random.fold_in(key, 1) if patient is None else patient
    condition = jnp.asarray(condition, jnp.int32)  # one type, one compilation
    waves = condition if waves is None else jnp.asarray(waves, jnp.int32)
    numbers = (_deviates(k, n) for k, n in zip((key, patient), heart.deviates_needed(seconds)))
    return _plan(*numbers, condition, waves, hz=hz, seconds=seconds)


def generate(
    key: jax.Array,
    condition: jax.Array | int,
    *,
    hz: float = 100.0,
    seconds: float = 10.0,
    patient: jax.Array | None = None,
    waves: jax.Array | int | None = None,
) -> jax.Array:
    """Renders one record of a condition; to be vmapped over keys, conditions and patients.

    Args:
      key: of the record; the same key gives the same record.
      condition: int32 [], index into `CONDITIONS`.
      hz: samples per second; static.
      seconds: length; static.
      patient: key of the patient, whose records share anatomy; derived from `key` where left out.
      waves: int32 [], index of a condition that lends its waves, for a heart with two diagnoses,
        one altering the rhythm (`condition`), the other the waves; `condition` where left out.

    Returns:
      float32 [samples, 12] in mV, leads in the order of `LEADS`.

    Example:
      >>> codes = [c.code for c in CONDITIONS]
      >>> generate(jax.random.key(0), codes.index("AFIB")).shape
      (1000, 12)
    """
    drawn = plan(key, condition, hz=hz, seconds=seconds, patient=patient, waves=waves)
    return _render(jax.random.fold_in(key, 2), drawn, hz=hz, seconds=seconds)


def library(
    *,
    patients: int = 1200,
    seed: int = 0,
    hz: float = 100.0,
    seconds: float = 10.0,
    leads: Iterable[str] | None = None,
) -> Library:
    """Renders a library: every condition in equally many patients, one to three records each.

    One patient in eight has a second diagnosis in all of his records, one of the rhythm beside
    one of the waves. The same arguments give the same library.

    Args:
      patients: how many; by default 20 a condition.
      seed: of everything.
      hz: samples per second.
      seconds: length of a record.
      leads: names out of `LEADS`; all twelve where left out.

    Returns:
      The library, `signals` int16 in μV.

    Raises:
      ValueError: fewer than one patient, or an unknown lead.
    """
    chosen = tuple(LEADS if leads is None else leads)
    if unknown := [lead for lead in chosen if lead not in LEADS]:
        raise ValueError(f"leads: {unknown[0]!r} is none of {', '.join(LEADS)}")
    if patients < 1:
        raise ValueError(f"patients: {patients} is fewer than 1")
    draw = np.random.default_rng(seed)
    of_rhythm, of_waves = (
        [i for i, c in enumerate(CONDITIONS) if c.alters == what and c.code != "NORM"]
        for what in ("rhythm", "waves")
    )
    first = np.concatenate(
        [draw.permutation(len(CONDITIONS)) for _ in range(patients // len(CONDITIONS) + 1)]
    )[:patients]
    rhythm, waves = first.copy(), first.copy()
    for patient in np.flatnonzero(draw.random(patients) < 0.125):
        if first[patient] in of_rhythm:
            waves[patient] = draw.choice(of_waves)
        elif first[patient] in of_waves:
            rhythm[patient] = draw.choice(of_rhythm)
    owner = np.repeat(np.arange(patients), draw.integers(1, 4, patients))
    records = len(owner)
    labels = np.zeros((records, len(CONDITIONS)), bool)
    labels[np.arange(records), rhythm[owner]] = True
    labels[np.arange(records), waves[owner]] = True

    columns = np.array([LEADS.index(lead) for lead in chosen])
    roots = jax.random.split(jax.random.key(seed))

    @jax.vmap
    def render(record: jax.Array, owner: jax.Array, beat: jax.Array, wave: jax.Array) -> jax.Array:
        patient, key = jax.random.fold_in(roots[0], owner), jax.random.fold_in(roots[1], record)
        return generate(key, beat, hz=hz, seconds=seconds, patient=patient, waves=wave)

    chunk = 64
    signals = np.empty((records, round(hz * seconds), len(chosen)), np.int16)
    starts = range(0, records, chunk)

    def fill(start: int) -> int:
        rows = np.arange(start, start + chunk).clip(max=records - 1)  # one shape, one compilation
        ids = (rows, owner[rows], rhythm[owner[rows]], waves[owner[rows]])
        millivolts = np.asarray(render(*map(jnp.asarray, ids)))[: records - start, :, columns]
        signals[start : start + chunk] = np.rint(1000 * millivolts).clip(-32767, 32767)
        return len(millivolts)

    # The first chunk compiles; after it a thread for every core, as XLA's loops use one each.
    with (
        ThreadPoolExecutor(os.cpu_count()) as pool,
        tqdm.tqdm(
            total=records, desc="synthetic ECGs", unit=" records", leave=False, delay=10
        ) as bar,
    ):
        for done in itertools.chain(map(fill, starts[:1]), pool.map(fill, starts[1:])):
            bar.update(done)

    return Library(
        signals=signals,
        labels=labels,
        vocabulary=tuple(c.code for c in CONDITIONS),
        patients=owner,
        hz=hz,
        leads=chosen,
        names=tuple(c.name for c in CONDITIONS),
        kinds=tuple(c.family for c in CONDITIONS),
        ids=tuple(f"synthetic-{seed}-{row}" for row in range(records)),
        folds=(draw.permutation(patients) % 10 + 1)[owner],
        source=SYNTHETIC,
        processing=(f"generated by version {VERSION} with seed {seed}, {patients} patients",),
    )
