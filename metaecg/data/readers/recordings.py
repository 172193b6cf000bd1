"""Single recordings of any common format, read to mV and adapted to what a model reads.

Formats are recognised by content: WFDB, CSV/TSV, NPY/NPZ, EDF/BDF and DICOM. What a file says of
its rate, units and leads is believed; what it leaves out is asked for.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metaecg.data import signal as steps
from metaecg.data.readers import formats
from metaecg.data.readers.csv import read_table
from metaecg.data.readers.formats import Raw
from metaecg.data.readers.leads import complete, remarks
from metaecg.data.readers.wfdb import RecordError
from metaecg.data.sources import importing
from metaecg.errors import MetaecgError

FORMATS = "WFDB, CSV, TSV, NPY, NPZ, EDF or DICOM"
UNITS = ("mV", "uV", "V", "nV")
SLOWEST, FASTEST = 20, 50_000  # Hz
USUAL = (0.05, 30.0)  # mV that half of the leads span; PTB-XL's records lie within 0.3 to 3.5
NO_ECG = (0.005, 100.0)  # mV; less or more is a wrong unit

# What archives put beside their recordings.
_CLUTTER = ("records", "annotators", "readme", "license", "sha256sums", "md5sums", "index.html",
            "thumbs.db", "desktop.ini")  # fmt: skip
_TYPICAL = (".csv", ".tsv", ".npy", ".npz", ".edf", ".bdf", ".dcm", ".hea")


class Recording(NamedTuple):
    """One ECG.

    Attributes:
      signal: float64 [samples, leads] in mV, NaN where a sample is missing.
      hz: samples per second.
      leads: names of the leads in their usual spelling.
      source: the path it came from.
      notes: what was assumed, and what looks wrong without being an error.
    """

    signal: np.ndarray
    hz: float
    leads: tuple[str, ...]
    source: str
    notes: tuple[str, ...]


class Given(NamedTuple):
    """What is said of files that do not say it themselves, as `read` takes it."""

    hz: float | None = None
    units: str | None = None
    leads: Sequence[str] | None = None


def read(
    path: str | os.PathLike,
    *,
    hz: float | None = None,
    units: str | None = None,
    leads: Sequence[str] | None = None,
) -> Recording:
    """Reads one recording.

    Args:
      path: a file; of WFDB the header, a file beside it, or the record's name without extension.
      hz: samples per second, if the file does not say.
      units: mV, uV, V or nV, if the file does not say.
      leads: names of the leads in order, if the file does not say.

    Raises:
      RecordError: it cannot be read, or something about it is missing or absurd.
      OSError: the file cannot be opened.
    """
    path = Path(path)
    source = os.fsencode(path).decode("utf-8", "replace")
    try:
        raw = _load(path)
        return _complete(raw, source, hz, units, leads)
    except MetaecgError as error:
        raise RecordError(f"{source}: {error}") from None


def recognise(path: Path) -> tuple[str, Path]:
    """The format of a recording, and the file to read it from.

    Raises:
      RecordError: there is no file, or it is of no known format.
    """
    header = path.with_name(path.name + ".hea")
    if not path.exists() and header.is_file():
        return "wfdb", header
    if path.is_dir():
        raise RecordError("is a folder; name a recording in it")
    if not path.is_file():
        raise RecordError("no such file")
    if path.suffix.lower() == ".hea":
        return "wfdb", path
    with open(path, "rb") as file:
        start = file.read(4096)
    if not start:
        raise RecordError("the file is empty")
    if start.startswith(b"\x93NUMPY"):
        return "npy", path
    if start.startswith(b"PK\x03\x04"):
        return "npz", path
    if start[128:132] == b"DICM":
        return "dicom", path
    # The header's size field, 256 bytes and 256 a channel, tells EDF from a text that begins alike.
    if start[:8] in (b"0       ", b"\xffBIOSEMI") and start[184:192].strip().isdigit():
        return "edf", path
    header = path.with_suffix(".hea")
    if path.suffix.lower() in (".dat", ".mat") or header.is_file():
        if not header.is_file():
            raise RecordError(f"its WFDB header {header.name} is missing")
        return "wfdb", header
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or (
        b"\0" not in start and path.suffix.lower() in (".csv", ".tsv", ".txt")
    ):
        return "table", path
    raise RecordError(f"not a recording of a known format; {FORMATS} are read")


def stands_beside(path: Path) -> bool:
    """Whether a file is no recording by its name: hidden, a licence, or part of a WFDB record.

    A WFDB record's header stands for its samples and annotations.
    """
    name, suffix = path.name.lower(), path.suffix.lower()
    if name.startswith(".") or (name.startswith(_CLUTTER) and suffix not in _TYPICAL):
        return True
    return suffix != ".hea" and path.with_suffix(".hea").is_file()


def find(folder: str | os.PathLike) -> list[Path]:
    """The recordings of a folder, one path each, sorted; sub-folders are not entered.

    Raises:
      RecordError: there is none, or a file that is no recording.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RecordError(f"{folder}: no such folder")
    found, strange = [], []
    for path in sorted(folder.iterdir()):
        if path.is_dir() or stands_beside(path):
            continue
        try:
            recognise(path)
            found.append(path)
        except RecordError as error:
            strange.append(f"{path.name} ({error})")
    if strange:
        more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        raise RecordError(f"{folder}: cannot use {', '.join(strange[:3])}{more}; move them away")
    if not found:
        inside = sorted(p.name for p in folder.iterdir() if p.is_dir())[:3]
        remedy = f"; name one of its sub-folders, such as {inside[0]}" if inside else ""
        raise RecordError(f"{folder}: no recording in it ({FORMATS}){remedy}")
    return found


def adapt(
    recording: Recording,
    *,
    hz: float,
    leads: Sequence[str],
    samples: int,
    bandpass: tuple[float, float] | None = None,
    scale: float = 0.001,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Brings a recording into a model's form, by the same steps as `experiments.prepare`.

    Limb leads that are missing are computed from two others; other missing leads are zero.

    Args:
      recording: what `read` returned.
      hz, leads, samples, bandpass, scale: as the model's library has them, see `importing.Target`.

    Returns:
      float32 [samples, leads] in mV, and the recording's notes with all that was done.

    Raises:
      RecordError: it has none of the leads, or cannot be brought into this form.
    """
    wanted = [steps.lead_name(lead) for lead in leads]
    target = importing.Target(hz, samples / hz, tuple(wanted), bandpass, scale)
    signal, names, notes = complete(recording.signal, recording.leads, wanted)
    missing = [lead for lead in wanted if lead not in names]
    if len(missing) == len(wanted):
        raise RecordError(
            f"{recording.source}: has leads {' '.join(recording.leads)}, the model reads "
            f"{' '.join(wanted)}"
        )
    zeros = np.zeros((len(signal), len(missing)))
    try:
        units, done = importing.transform(
            np.concatenate([signal, zeros], axis=1),
            recording.hz,
            ["mV"] * (len(names) + len(missing)),
            [*names, *missing],
            target,
        )
    except MetaecgError as error:
        raise RecordError(f"{recording.source}: {error}") from None
    for note in done.split("; "):
        if note.startswith("flat: "):
            flat = [lead for lead in note.split()[1:] if lead not in missing]
            note = f"flat: {' '.join(flat)}" if flat else ""
        notes.append(note)
    if bandpass:
        notes.append(f"band-pass {bandpass[0]:g}–{bandpass[1]:g} Hz")
    if len(signal) / recording.hz < target.samples / hz - 1 / hz:
        notes.append(
            f"only {len(signal) / recording.hz:g} of the {samples / hz:g} s that the model reads"
        )
    if missing:
        notes.append(
            f"MISSING LEADS {' '.join(missing)}: read as zero, so that the answer may be wrong"
        )
    if recording.hz < hz:
        notes.append(f"nothing above {recording.hz / 2:g} Hz is in it, the model expects it")
    # As `tasks.millivolts` turns a library's units into mV.
    signal = units.astype(np.float32) * np.float32(scale)
    return signal, tuple(dict.fromkeys((*recording.notes, *filter(None, notes))))


def _load(path: Path) -> Raw:
    format, path = recognise(path)
    read_format = {
        "wfdb": formats.read_wfdb,
        "npy": formats.read_npy,
        "npz": formats.read_npz,
        "edf": formats.read_edf,
        "dicom": formats.read_dicom,
        "table": read_table,
    }[format]
    try:
        return read_format(path)
    except (MetaecgError, PermissionError):
        raise
    except Exception as error:  # packages raise whatever comes first on a malformed file
        said = " ".join(str(error).split())
        if "allow_pickle" in said or "Python objects" in said:
            said = "it holds Python objects, which could run code; save plain numbers"
        raise RecordError(f"damaged or unusual {format.upper()} file: {said}") from error


def _complete(
    raw: Raw, source: str, hz: float | None, units: str | None, leads: Sequence[str] | None
) -> Recording:
    """Fills in what the file left out, and refuses what cannot be an ECG."""
    signal, notes = np.asarray(raw.signal, np.float64), list(raw.notes)
    if not signal.size:
        raise RecordError("no sample in it")
    if leads is not None and raw.names is None and signal.shape[1] != len(leads):
        if signal.shape[0] != len(leads):
            raise RecordError(f"--leads names {len(leads)} leads, the file has {signal.shape[1]}")
        signal = signal.T
        notes.append("lines taken as leads")
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
    notes += _given(raw, hz, units, leads, rate)
    if raw.units is not None:  # a heart rate or a respiration beside the ECG
        volts = [i for i, unit in enumerate(kept) if _millivolts(unit)]
        if not volts:
            raise RecordError(f"units {', '.join(sorted(set(kept)))}: none is mV, uV, V or nV")
        if len(volts) < count:
            others = (f"{names[i]} ({kept[i]})" for i in range(count) if i not in volts)
            notes.append(f"left out, no voltage: {', '.join(others)}")
        signal, names = signal[:, volts], [names[i] for i in volts]
        kept = tuple(kept[i] for i in volts)
    names = tuple(steps.lead_name(name) for name in names)
    signal, done = steps.to_millivolts(signal, kept)
    notes.append(done)
    signal = np.where(np.isfinite(signal), signal, np.nan)
    _check_amplitude(signal, kept[0], raw.units is None)
    notes += remarks(signal, names, rate)
    return Recording(signal, float(rate), names, source, tuple(filter(None, notes)))


def _given(
    raw: Raw, hz: float | None, units: str | None, leads: Sequence[str] | None, rate: float
) -> list[str]:
    used = []
    if raw.hz is None:
        used.append(f"{rate:g} Hz")
    if raw.units is None:
        used.append(str(units))
    if raw.names is None and leads is not None:
        used.append(f"leads {' '.join(leads)}")
    notes = [f"as given, not in the file: {', '.join(used)}"] if used else []
    if raw.hz is not None and hz is not None and hz != raw.hz:
        notes.append(f"--hz={hz:g} not used: the file says {raw.hz:g} Hz")
    if raw.units is not None and units is not None and set(raw.units) != {units}:
        notes.append(f"--units={units} not used: the file says {', '.join(sorted({*raw.units}))}")
    if raw.names is not None and leads is not None and tuple(leads) != raw.names:
        notes.append(f"--leads not used: the file says {' '.join(raw.names)}")
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
