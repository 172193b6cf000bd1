"""What a file does not say of itself and the user gives, and what cannot be an ECG."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metaecg.data import signal as steps
from metaecg.data.readers.lead_names import is_lead
from metaecg.data.readers.leads import remarks
from metaecg.data.readers.notes import Note
from metaecg.data.readers.raw import Raw, RecordError
from metaecg.data.signal import per_millivolt

UNITS = ("mV", "uV", "V", "nV")
SLOWEST, FASTEST = 20, 50_000  # Hz
USUAL = (0.05, 30.0)  # mV that half of the leads span; PTB-XL's records lie within 0.3 to 3.5
SHORTEST = 0.5  # seconds; less holds no heartbeat
NO_ECG = (0.005, 100.0)  # mV; less or more is a wrong unit


class Given(NamedTuple):
    """What is said of files that do not say it themselves, as `recordings.read` takes it."""

    hz: float | None = None
    units: str | None = None
    leads: Sequence[str] | None = None
    keep_ids: bool = False


class Whole(NamedTuple):
    """A recording of which all is known: float64 [samples, leads] in mV, rate, leads and notes."""

    signal: np.ndarray
    hz: float
    leads: tuple[str, ...]
    notes: tuple[Note, ...]


def fill_in(raw: Raw, given: Given) -> Whole:
    """Fills in what the file left out, and refuses what cannot be an ECG.

    Raises:
      RecordError: something is missing, absurd, or not understood.
    """
    signal, notes = np.asarray(raw.signal, np.float64), list(raw.notes)
    if not signal.size:
        raise RecordError("no sample in it")
    if given.leads is not None and raw.names is None and signal.shape[1] != len(given.leads):
        if signal.shape[0] != len(given.leads):
            raise RecordError(
                f"--leads names {len(given.leads)} leads, the file has {signal.shape[1]}"
            )
        signal = signal.T
        notes.append(Note("lines taken as leads"))
    count = signal.shape[1]
    for what, values in (("names", raw.names), ("units", raw.units)):
        if values is not None and len(values) != count:
            raise RecordError(f"{len(values)} {what} for {count} leads")
    lacks, unknown = [], _without_unit(raw, count)
    if given.hz is None and raw.hz is None:
        lacks.append("--hz (samples per second)")
    if given.units is None and unknown:
        lacks.append("--units (mV, uV, V or nV)")
    if given.leads is None and raw.names is None:
        lacks.append(f"--leads (names of the {count} leads in order, such as I,II,V1)")
    if lacks:
        raise RecordError(f"the file does not say; give {', '.join(lacks)}")
    if unknown and given.units is not None and not per_millivolt(given.units):
        raise RecordError(f"--units={given.units} is not one of {', '.join(UNITS)}")
    used: list[str] = []
    hz = _rate(raw, given, used, notes)
    units = _units(raw, given, unknown, used, notes)
    names = _names(raw, given, used, notes)
    if used:
        notes.append(Note(f"as given, not in the file: {', '.join(used)}"))
    volts = [i for i, unit in enumerate(units) if per_millivolt(unit)]
    if not volts:
        raise RecordError(f"units {', '.join(sorted(set(units)))}: none is mV, uV, V or nV")
    if len(volts) < count:  # a heart rate or a respiration beside the ECG
        others = (f"{names[i]} ({units[i] or 'no unit'})" for i in range(count) if i not in volts)
        notes.append(Note(f"left out, no voltage: {', '.join(others)}"))
    signal, done = steps.to_millivolts(signal[:, volts], [units[i] for i in volts])
    notes += [done] if done else []
    signal, upright, done = steps.upright(signal, [names[i] for i in volts])
    notes += [done] if done else []
    signal = np.where(np.isfinite(signal), signal, np.nan)
    if len(signal) < SHORTEST * hz:
        raise RecordError(f"{len(signal)} samples are {len(signal) / hz:g} s, too short for an ECG")
    _check_amplitude(signal, units[volts[0]], bool(unknown))
    notes += remarks(signal, upright, hz)
    seconds = len(signal) / hz
    whole = None if raw.seconds is None else raw.seconds * (raw.hz or hz) / hz
    if whole is not None and whole > seconds + 1 / hz:
        notes.append(Note(f"first {seconds:g} of {whole:g} s"))
    return Whole(signal, hz, tuple(upright), tuple(notes))


def _rate(raw: Raw, given: Given, used: list[str], notes: list[Note]) -> float:
    says = raw.hz is not None and not raw.rate_assumed
    hz = raw.hz if says or given.hz is None else given.hz
    if hz is None or not SLOWEST <= hz <= FASTEST:
        raise RecordError(f"{hz:g} Hz: an ECG has {SLOWEST} to {FASTEST} samples per second")
    if not says and given.hz is not None:
        used.append(f"{hz:g} Hz")
    elif raw.rate_assumed:
        notes.append(Note(f"no rate in the file: {hz:g} Hz is assumed", serious=True))
    elif given.hz is not None and given.hz != hz:
        notes.append(Note(f"--hz={given.hz:g} not used: the file says {hz:g} Hz", serious=True))
    return float(hz)


def _without_unit(raw: Raw, count: int) -> list[int]:
    """The channels whose unit has to be given: none that only accompany others in volts."""
    if raw.units is None:
        return list(range(count))
    silent = [i for i, unit in enumerate(raw.units) if not unit.strip()]
    if raw.names is not None and any(map(per_millivolt, raw.units)):
        return [i for i in silent if is_lead(raw.names[i])]
    return silent


def _units(
    raw: Raw, given: Given, unknown: list[int], used: list[str], notes: list[Note]
) -> list[str]:
    units = ["" if raw.units is None else raw.units[i] for i in range(raw.signal.shape[1])]
    if raw.units is None and len(units) != len(unknown):  # lines were taken as leads
        units = [""] * len(unknown)
    said = {unit for unit in units if per_millivolt(unit)}
    for i in unknown:
        units[i] = str(given.units)
    if unknown:
        used.append(str(given.units))
    elif given.units is not None and {per_millivolt(u) for u in said} != {
        per_millivolt(given.units)
    }:
        listed = ", ".join(sorted(said))
        text = f"--units={given.units} not used: the file says {listed or 'no voltage'}"
        notes.append(Note(text, serious=True))
    return units


def _names(raw: Raw, given: Given, used: list[str], notes: list[Note]) -> list[str]:
    """The names that are leads, and in place of others those that were given."""
    if raw.names is None:
        used.append(f"leads {' '.join(given.leads or ())}")
        return list(given.leads or ())
    said = list(raw.names)
    wanted = list(given.leads or said)
    known = [is_lead(name) for name in said]
    if len(wanted) != len(said):
        if not any(known):
            raise RecordError(
                f"--leads names {len(wanted)} leads, the file has {len(said)}: {' '.join(said)}"
            )
        wanted = said
    names = [name if is_known else want for name, is_known, want in zip(said, known, wanted)]
    if names != said:
        replaced = [n for n, is_known in zip(said, known) if not is_known]
        text = f"leads {' '.join(names)} as given; the file says {' '.join(replaced)}"
        notes.append(Note(text[:300]))
    usual = [steps.lead_name(name) for name in names]
    if given.leads is not None and usual != [steps.lead_name(name) for name in given.leads]:
        text = f"--leads not used: the file says {' '.join(said)}"
        notes.append(Note(text, serious=True))
    return names


def _check_amplitude(signal: np.ndarray, unit: str, asked: bool) -> None:
    """Refuses a wrong unit: half of the leads span what no heart does."""
    if not np.isfinite(signal).any():
        raise RecordError("no sample is a number")
    some = signal[:, np.isfinite(signal).any(axis=0)]
    moving = some[:, np.nanmax(some, axis=0) > np.nanmin(some, axis=0)]
    if not moving.size:
        raise RecordError("all leads are flat")
    low, high = np.nanpercentile(moving, [1, 99], axis=0)
    span = float(np.median(high - low))
    if NO_ECG[0] <= span <= NO_ECG[1]:
        return
    number = span * per_millivolt(unit)
    fits = [u for u in UNITS if USUAL[0] <= number / per_millivolt(u) <= USUAL[1]]
    looks = f"looks like {fits[0].replace('uV', 'µV')} read as {unit}" if fits else "no ECG"
    if not asked:
        remedy = "the unit or gain in the file is likely wrong"
    elif fits:
        remedy = f"give --units={fits[0]}"
    else:
        remedy = "are these raw counts? convert them to mV"
    raise RecordError(f"the signal spans {span:.3g} mV: {looks}; {remedy}")
