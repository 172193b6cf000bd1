"""Single recordings of any common format, read to mV and adapted to what a model reads.

Formats are recognised by content: WFDB, CSV/TSV, NPY/NPZ, MATLAB, EDF/BDF, DICOM and the files of
ECG machines. What a file says of its rate, units and leads is believed; what it leaves out is asked
for.
"""

import functools
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metaecg.data import record_form
from metaecg.data import signal as steps
from metaecg.data.readers import csv, dicom, edf, npy, vendors, wfdb
from metaecg.data.readers.given_by_user import Given, fill_in
from metaecg.data.readers.leads import complete
from metaecg.data.readers.notes import Note
from metaecg.data.readers.raw import Part, Raw, RecordError, pseudonym, said
from metaecg.data.readers.recognise import recognise
from metaecg.errors import MetaecgError

OFFSET = 0.1
"""mV; a smaller constant offset is removed without a note."""

_READERS: dict[str, Callable[[Path, Part], Raw]] = {
    "wfdb": wfdb.read,
    "npy": npy.read,
    "npz": npy.read_npz,
    "edf": edf.read,
    "dicom": dicom.read,
    "matlab": npy.read_matlab,
    "table": csv.read,
    **{name: functools.partial(vendors.read, name) for name in vendors.FORMATS},
}


class Recording(NamedTuple):
    """One ECG.

    Attributes:
      signal: float64 [samples, leads] in mV, NaN where a sample is missing.
      hz: samples per second.
      leads: names of the leads in their usual spelling.
      source: the path it came from.
      notes: what was assumed, and what looks wrong without being an error.
      patient: a hash of the patient's id in the file, equal where it is, or the id itself if it was
        to be kept; '' where there is none.
    """

    signal: np.ndarray
    hz: float
    leads: tuple[str, ...]
    source: str
    notes: tuple[Note, ...]
    patient: str = ""


def read(
    path: str | os.PathLike,
    *,
    hz: float | None = None,
    units: str | None = None,
    leads: Sequence[str] | None = None,
    seconds: float | None = None,
    keep_ids: bool = False,
) -> Recording:
    """Reads one recording.

    Args:
      path: a file; of WFDB the header, a file beside it, or the record's name without extension.
      hz: samples per second, if the file does not say.
      units: mV, uV, V or nV, if the file does not say.
      leads: names of the leads in order, if the file does not say, or in place of names that are
        none of a lead.
      seconds: how much to read from the start, so that a long recording takes little memory.
      keep_ids: whether `patient` is the id in the file instead of its hash.

    Raises:
      RecordError: it cannot be read, or something about it is missing or absurd.
      OSError: the file cannot be opened.
    """
    path = Path(path)
    source = os.fsencode(path).decode("utf-8", "replace")
    try:
        raw = _load(path, Part(seconds, hz))
        whole = fill_in(raw, Given(hz, units, leads))
    except MetaecgError as error:
        raise RecordError(f"{source}: {error}") from None
    patient = raw.patient if keep_ids else pseudonym(raw.patient)
    return Recording(whole.signal, whole.hz, whole.leads, source, whole.notes, patient)


def adapt(
    recording: Recording,
    *,
    hz: float,
    leads: Sequence[str],
    samples: int,
    bandpass: tuple[float, float] | None = None,
    scale: float = 0.001,
) -> tuple[np.ndarray, tuple[Note, ...]]:
    """Brings a recording into a model's form, by the same steps as `experiments.prepare`.

    Limb leads that are missing are computed from two others; other missing leads are zero. Each
    lead's constant offset, its median, is removed: it says nothing of the heart.

    Args:
      recording: what `read` returned.
      hz, leads, samples, bandpass, scale: as the model's library has them; see
        `record_form.Target`.

    Returns:
      float32 [samples, leads] in mV, and the recording's notes with all that was done.

    Raises:
      RecordError: it has none of the leads, or cannot be brought into this form.
    """
    wanted = [steps.lead_name(lead) for lead in leads]
    target = record_form.Target(hz, samples / hz, tuple(wanted), bandpass, scale)
    signal, names, notes = complete(recording.signal, recording.leads, wanted)
    missing = [lead for lead in wanted if lead not in names]
    if len(missing) == len(wanted):
        odd = [name for name in recording.leads if name not in steps.STANDARD_LEADS]
        remedy = f"; if {odd[0]} is one of these, give --leads" if odd else ""
        raise RecordError(
            f"{recording.source}: has leads {' '.join(recording.leads)}, the model reads "
            f"{' '.join(wanted)}{remedy}"
        )
    start = signal[: math.ceil(target.seconds * recording.hz)]
    offsets = np.nan_to_num(np.nanmedian(start, axis=0)) if start.size else np.zeros(len(names))
    signal = signal - offsets
    if any(large := [abs(o) >= OFFSET and n in wanted for o, n in zip(offsets, names)]):
        listed = (f"{n} {o:.2g} mV" for n, o, is_large in zip(names, offsets, large) if is_large)
        notes.append(Note(f"constant offset removed: {', '.join(listed)}"))
    zeros = np.zeros((len(signal), len(missing)))
    try:
        units, done = record_form.transform(
            np.concatenate([signal, zeros], axis=1),
            recording.hz,
            ["mV"] * (len(names) + len(missing)),
            [*names, *missing],
            target,
        )
    except MetaecgError as error:
        raise RecordError(f"{recording.source}: {error}") from None
    for note in done:
        if note.text.startswith("flat: "):
            flat = [lead for lead in note.text.split()[1:] if lead not in missing]
            note = note._replace(text=f"flat: {' '.join(flat)}" if flat else "")
        notes.append(note)
    if bandpass:
        notes.append(Note(f"band-pass {bandpass[0]:g}–{bandpass[1]:g} Hz"))
    seconds = len(signal) / recording.hz
    if seconds < (target.samples - 1) / hz:
        notes.append(Note(f"only {seconds:g} of the {samples / hz:g} s that the model reads"))
    if missing:
        text = f"MISSING LEADS {' '.join(missing)}: read as zero, so that the answer may be wrong"
        notes.append(Note(text, serious=True))
    if recording.hz < hz:
        text = f"nothing above {recording.hz / 2:g} Hz is in it, the model expects it"
        notes.append(Note(text, serious=True))
    # As `tasks.millivolts` turns a library's units into mV.
    signal = units.astype(np.float32) * np.float32(scale)
    return signal, tuple(dict.fromkeys(n for n in (*recording.notes, *notes) if n.text))


def windows(recording: Recording, seconds: float, most: int) -> list[Recording]:
    """Cuts a recording into windows that follow each other, up to `most` from its start.

    A recording that does not hold two of them is one window, as it is.
    """
    hz = recording.hz
    count = min(most, math.floor(len(recording.signal) / (seconds * hz) + 1e-6))
    if count < 2:
        return [recording]
    starts = [math.floor(w * seconds * hz + 0.5) for w in range(count)]
    length = math.ceil(seconds * hz)
    return [recording._replace(signal=recording.signal[s : s + length]) for s in starts]


def _load(path: Path, part: Part) -> Raw:
    format, path = recognise(path)
    try:
        return _READERS[format](path, part)
    except (MetaecgError, PermissionError):
        raise
    except Exception as error:  # packages raise whatever comes first on a malformed file
        text = said(error)
        if "allow_pickle" in text or "Python objects" in text:
            text = "it holds Python objects, which could run code; save plain numbers"
        raise RecordError(f"damaged or unusual {format.upper()} file: {text}") from error
