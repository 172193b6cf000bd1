"""One recording as its file holds it: WFDB, NumPy, EDF and DICOM, read by the packages for each.

Every reader returns a `Raw`: what the file says, None where it is silent. Text is in `table`.
"""

import re
import warnings
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metaecg.data.readers import wfdb
from metaecg.data.readers.wfdb import RecordError

MISSING = "reading {} needs the package {}: pip install metaecg[formats]"


class Raw(NamedTuple):
    """A file's content.

    Attributes:
      signal: float64 [samples, channels], NaN where a sample is missing.
      hz: samples per second, or None.
      units: unit of each channel, or None.
      names: name of each channel, or None.
      notes: what a reader had to choose.
    """

    signal: np.ndarray
    hz: float | None = None
    units: tuple[str, ...] | None = None
    names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


def read_wfdb(header: Path) -> Raw:
    """Reads the record of a ``.hea`` file, its checksums verified."""
    content = wfdb.read_header(header)
    channels = content.channels
    return Raw(
        wfdb.read_signal(header, content),
        content.hz,
        tuple(channel.unit for channel in channels),
        tuple(channel.name for channel in channels) if all(c.name for c in channels) else None,
    )


def read_npy(path: Path) -> Raw:
    """Reads one array [samples, leads], [leads, samples] or [samples]."""
    # Mapped, so that a header that claims more than the file holds allocates nothing.
    return _oriented(np.load(path, mmap_mode="r", allow_pickle=False))


def read_npz(path: Path) -> Raw:
    """Reads the arrays signal and, where there, hz (or fs), leads and units of a NumPy archive.

    An array of two axes under another name is taken for the signal if it is the only one.
    """
    with zipfile.ZipFile(path) as archive:
        inside = archive.namelist()
    if not all(name.endswith(".npy") for name in inside):
        kind = "an Excel workbook" if any(n.startswith("xl/") for n in inside) else "a zip archive"
        raise RecordError(f"{kind}; save the recording as CSV or NPY")
    with np.load(path, allow_pickle=False) as arrays:
        content = {name.lower(): arrays[name] for name in arrays.files}
    wide = [name for name, array in content.items() if array.ndim == 2]
    name = next((n for n in ("signal", "ecg", *wide[:1]) if n in content), None)
    if name is None or (name not in ("signal", "ecg") and len(wide) > 1):
        raise RecordError(f"arrays {', '.join(content) or 'none'}: call the recording 'signal'")
    rates = [content[key] for key in ("hz", "fs") if key in content]
    words = {
        key: tuple(map(str, np.atleast_1d(content[key]))) if key in content else None
        for key in ("leads", "units")
    }
    if rates and (rates[0].size != 1 or rates[0].dtype.kind not in "iuf"):
        raise RecordError(f"hz in the archive is {rates[0]}; one number is wanted")
    raw = _oriented(content[name], words["leads"])
    units = words["units"]
    if units is not None and len(units) == 1:
        units = units * raw.signal.shape[1]
    return raw._replace(hz=float(rates[0].item()) if rates else None, units=units)


def _oriented(array: np.ndarray, names: tuple[str, ...] | None = None) -> Raw:
    if array.dtype.kind not in "iuf":
        raise RecordError(f"an array of {array.dtype}; numbers are wanted")
    if array.ndim not in (1, 2):
        raise RecordError(f"an array of shape {array.shape}; [samples, leads] is wanted")
    signal = np.array(array, np.float64)
    signal = signal[:, None] if signal.ndim == 1 else signal
    if signal.shape[0] < signal.shape[1]:
        note = f"array {list(array.shape)} taken as [leads, samples]"
        return Raw(signal.T, names=names, notes=(note,))
    return Raw(signal, names=names)


def read_edf(path: Path) -> Raw:
    """Reads EDF, EDF+ and BDF; of a polygraphy, the ECG's channels.

    Channels count as ECG by their name where any does; they must share one rate.
    """
    try:
        import pyedflib
    except ImportError:
        raise RecordError(MISSING.format("EDF", "pyedflib")) from None
    file = pyedflib.EdfReader(str(path), pyedflib.DO_NOT_READ_ANNOTATIONS)
    with file:
        labels = [label.strip() for label in file.getSignalLabels()]
        ecg = [i for i, label in enumerate(labels) if _ECG.match(label)] or range(len(labels))
        rates = {labels[i]: float(file.getSampleFrequency(i)) for i in ecg}
        if len(set(rates.values())) > 1:
            listed = ", ".join(f"{label} {hz:g} Hz" for label, hz in rates.items())
            raise RecordError(f"channels of several rates ({listed}): export them at one rate")
        if not rates:
            raise RecordError("no channel in it")
        signal = np.stack([file.readSignal(i) for i in ecg], axis=1)
        units = tuple(file.getPhysicalDimension(i).strip() for i in ecg)
    left = [label for i, label in enumerate(labels) if i not in ecg]
    notes = (f"left out, no ECG by name: {', '.join(left)}",) if left else ()
    return Raw(signal, next(iter(rates.values())), units, tuple(labels[i] for i in ecg), notes)


_ECG = re.compile(r"(ECG|EKG|LEAD|ML?I|D?I{1,3}\b|aV[RLF]\b|V[1-9]\b)", re.IGNORECASE)


def read_dicom(path: Path) -> Raw:
    """Reads the first original waveform group of a DICOM ECG object."""
    try:
        import pydicom
    except ImportError:
        raise RecordError(MISSING.format("DICOM", "pydicom")) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on values that a viewer would have to mind
        content = pydicom.dcmread(path)
        groups = content.get("WaveformSequence", [])
        if not groups:
            raise RecordError("a DICOM object without a waveform; is it an image?")
        original = (g.get("WaveformOriginality", "ORIGINAL") == "ORIGINAL" for g in groups)
        first = next((i for i, is_original in enumerate(original) if is_original), 0)
        group = groups[first]
        signal = content.waveform_array(first)
        padding = group.get("WaveformPaddingValue")
        if padding is not None:
            raw = pydicom.waveforms.multiplex_array(content, first, as_raw=True)
            unused = np.frombuffer(padding, raw.dtype) if isinstance(padding, bytes) else padding
            signal[raw == unused] = np.nan
    channels = group.ChannelDefinitionSequence
    units = [_code(c, "ChannelSensitivityUnitsSequence", "CodeValue") for c in channels]
    names = [_dicom_lead(c) for c in channels]
    note = f"waveform group {first + 1} of {len(groups)}"
    return Raw(
        signal,
        float(group.SamplingFrequency),
        tuple(map(str, units)) if all(units) else None,
        tuple(map(str, names)) if all(names) else None,
        (note,) if len(groups) > 1 else (),
    )


def _code(item: Any, sequence: str, field: str) -> str:
    codes = item.get(sequence) or []
    return str(codes[0].get(field, "")) if codes else ""


# DICOM PS3.16, CID 3001: the number that ends a lead's code, in MDC (2:1) and SCP-ECG (5.6.3-9-1).
_NUMBERED = {"1": "I", "2": "II", "61": "III", "62": "aVR", "63": "aVL", "64": "aVF"}
_NUMBERED |= {str(n + 2): f"V{n}" for n in range(1, 7)}


def _dicom_lead(channel: Any) -> str:
    scheme = _code(channel, "ChannelSourceSequence", "CodingSchemeDesignator")
    code = re.search(r"[:-](\d+)$", _code(channel, "ChannelSourceSequence", "CodeValue"))
    if scheme in ("MDC", "SCPECG") and code and code[1] in _NUMBERED:
        return _NUMBERED[code[1]]
    meaning = _code(channel, "ChannelSourceSequence", "CodeMeaning")
    return re.sub(r"\(.*\)", "", meaning).strip() or str(channel.get("ChannelLabel", ""))
