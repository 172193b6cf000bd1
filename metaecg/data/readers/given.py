"""What a file does not say of itself and the user gives, and what cannot be an ECG."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metaecg.data import signal as steps
from metaecg.data.readers.leads import remarks
from metaecg.data.readers.notes import Note
from metaecg.data.readers.raw import Raw, RecordError

UNITS = ("mV", "uV", "V", "nV")
SLOWEST, FASTEST = 20, 50_000  # Hz
USUAL = (0.05, 30.0)  # mV that half of the leads span; PTB-XL's records lie within 0.3 to 3.5
NO_ECG = (0.005, 100.0)  # mV; less or more is a wrong unit


class Given(NamedTuple):
    """What is said of files that do not say it themselves, as `read` takes it."""

    hz: float | None = None
    units: str | None = None
    leads: Sequence[str] | None = None


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
    hz, units, leads = given
    signal, notes = np.asarray(raw.signal, np.float64), list(raw.notes)
    if not signal.size:
        raise RecordError("no sample in it")
    if leads is not None and raw.names is None and signal.shape[1] != len(leads):
        if signal.shape[0] != len(leads):
            raise RecordError(f"--leads names {len(leads)} leads, the file has {signal.shape[1]}")
        signal = signal.T
        notes.append(Note("lines taken as leads"))
    count = signal.shape[1]
    rate = hz if raw.hz is None else raw.hz
    names = leads if raw.names is None else raw.names
    if raw.units is None and units is not None and units.lower() not in map(str.lower, UNITS):
        raise RecordError(f"--units={units} is not one of {', '.join(UNITS)}")
    kept = (units,) * count if raw.units is None and units is not None else raw.units
    lacks = [
        flag
        for flag, value in (
            ("--hz (samples per second)", rate),
            ("--units (mV, uV, V or nV)", kept),
            (f"--leads (names of the {count} leads in order, such as I,II,V1)", names),
        )
        if value is None
    ]
    if lacks or rate is None or kept is None or names is None:
        raise RecordError(f"the file does not say; give {', '.join(lacks)}")
    if not SLOWEST <= rate <= FASTEST:
        raise RecordError(f"{rate:g} Hz: an ECG has {SLOWEST} to {FASTEST} samples per second")
    if len(names) != count or len(kept) != count:
        raise RecordError(f"{len(names)} names and {len(kept)} units for {count} leads")
    notes += _used(raw, given, rate)
    if raw.units is not None:  # a heart rate or a respiration beside the ECG
        volts = [i for i, unit in enumerate(kept) if _millivolts(unit)]
        if not volts:
            raise RecordError(f"units {', '.join(sorted(set(kept)))}: none is mV, uV, V or nV")
        if len(volts) < count:
            others = (f"{names[i]} ({kept[i]})" for i in range(count) if i not in volts)
            notes.append(Note(f"left out, no voltage: {', '.join(others)}"))
        signal, names = signal[:, volts], [names[i] for i in volts]
        kept = tuple(kept[i] for i in volts)
    names = tuple(steps.lead_name(name) for name in names)
    signal, done = steps.to_millivolts(signal, kept)
    notes += [done] if done else []
    signal = np.where(np.isfinite(signal), signal, np.nan)
    _check_amplitude(signal, kept[0], raw.units is None)
    notes += remarks(signal, names, rate)
    return Whole(signal, float(rate), names, tuple(notes))


def _used(raw: Raw, given: Given, rate: float) -> list[Note]:
    hz, units, leads = given
    used = []
    if raw.hz is None:
        used.append(f"{rate:g} Hz")
    if raw.units is None:
        used.append(str(units))
    if raw.names is None and leads is not None:
        used.append(f"leads {' '.join(leads)}")
    notes = [Note(f"as given, not in the file: {', '.join(used)}")] if used else []
    if raw.hz is not None and hz is not None and hz != raw.hz:
        notes.append(Note(f"--hz={hz:g} not used: the file says {raw.hz:g} Hz"))
    if raw.units is not None and units is not None and set(raw.units) != {units}:
        said = ", ".join(sorted({*raw.units}))
        notes.append(Note(f"--units={units} not used: the file says {said}"))
    if raw.names is not None and leads is not None and tuple(leads) != raw.names:
        notes.append(Note(f"--leads not used: the file says {' '.join(raw.names)}"))
    return notes


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
    number = span / _millivolts(unit)
    fits = [u for u in UNITS if USUAL[0] <= number * _millivolts(u) <= USUAL[1]]
    looks = f"looks like {fits[0].replace('uV', 'µV')} read as {unit}" if fits else "no ECG"
    if not asked:
        remedy = "the unit or gain in the file is likely wrong"
    elif fits:
        remedy = f"give --units={fits[0]}"
    else:
        remedy = "are these raw counts? convert them to mV"
    raise RecordError(f"the signal spans {span:.3g} mV: {looks}; {remedy}")


def _millivolts(unit: str) -> float:
    """One of a unit in mV; 0 where it is no voltage."""
    try:
        return float(steps.to_millivolts(np.ones((1, 1)), [unit])[0].item())
    except steps.SignalError:
        return 0.0
