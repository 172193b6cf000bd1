"""Arrays of a recording: NumPy's NPY and NPZ, and MATLAB files without a WFDB header."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from metaecg.data.readers.notes import Note
from metaecg.data.readers.raw import WHOLE, Part, Raw, RecordError, oriented

_SIGNAL = ("signal", "signals", "ecg", "p_signal", "data", "val")
_RATE = ("hz", "fs", "sampling_rate", "sample_rate", "samplingrate", "sfreq", "frequency")
_LEADS = ("leads", "lead", "lead_names", "names", "sig_name", "channels", "ch_names")
_UNITS = ("units", "unit")


def read(path: Path, part: Part = WHOLE) -> Raw:
    """Reads one array [samples, leads], [leads, samples] or [samples]."""
    # Mapped, so that a header that claims more than the file holds allocates nothing.
    return _raw(np.load(path, mmap_mode="r", allow_pickle=False), part)


def read_npz(path: Path, part: Part = WHOLE) -> Raw:
    """Reads the arrays signal and, where there, hz (or fs), leads and units of a NumPy archive.

    An array of two axes under another name is taken for the signal if it is the only one.
    """
    with zipfile.ZipFile(path) as archive:
        inside = archive.namelist()
    if not all(name.endswith(".npy") for name in inside):
        kind = "an Excel workbook" if any(n.startswith("xl/") for n in inside) else "a zip archive"
        raise RecordError(f"{kind}; save the recording as CSV or NPY")
    with np.load(path, allow_pickle=False) as arrays:
        return _from_arrays({name: arrays[name] for name in arrays.files}, part)


def read_matlab(path: Path, part: Part = WHOLE) -> Raw:
    """Reads a MATLAB file up to version 7, its variables named as the arrays of `read_npz`."""
    import scipy.io  # only for such files

    try:
        content = scipy.io.loadmat(path, chars_as_strings=True)
    except NotImplementedError:
        raise RecordError("a MATLAB file of version 7.3; save it by save(..., '-v7')") from None
    return _from_arrays({k: v for k, v in content.items() if not k.startswith("__")}, part)


def _from_arrays(arrays: dict[str, np.ndarray], part: Part) -> Raw:
    content = {name.lower(): np.asarray(array) for name, array in arrays.items()}
    known = {*_RATE, *_LEADS, *_UNITS}
    wide = [k for k, v in content.items() if v.ndim == 2 and v.size > 1 and k not in known]
    name = next((n for n in (*_SIGNAL, *wide[:1]) if n in content), None)
    if name is None or (name not in _SIGNAL and len(wide) > 1):
        raise RecordError(f"arrays {', '.join(content) or 'none'}: call the recording 'signal'")
    found = {key: content[key] for key in _RATE if key in content}
    for key, value in found.items():
        if value.size != 1 or value.dtype.kind not in "iuf":
            raise RecordError(f"{key} in the archive is {value}; one number is wanted")
    rates = {float(value.item()) for value in found.values()}
    if len(rates) > 1:
        raise RecordError(f"{' and '.join(found)} in the archive differ; leave one of them out")
    leads, units = _words(content, _LEADS), _words(content, _UNITS)
    raw = _raw(content[name], part._replace(hz=min(rates)) if rates else part, leads)
    if units is not None and len(units) == 1:
        units = units * raw.signal.shape[1]
    unread = [key for key in content if key != name and key not in known]
    notes = (Note(f"arrays not read: {', '.join(unread)[:200]}"),) if unread else ()
    return raw._replace(hz=min(rates, default=None), units=units, notes=(*raw.notes, *notes))


def _words(content: dict[str, np.ndarray], keys: tuple[str, ...]) -> tuple[str, ...] | None:
    key = next((key for key in keys if key in content), None)
    if key is None:
        return None
    return tuple(_text(word).strip() for word in content[key].ravel())


def _text(word: Any) -> str:
    if isinstance(word, np.ndarray):  # a cell of MATLAB's
        return _text(word.ravel()[0]) if word.size else ""
    return word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)


def _raw(array: np.ndarray, part: Part, names: tuple[str, ...] | None = None) -> Raw:
    if array.dtype.kind not in "iuf":
        raise RecordError(f"an array of {array.dtype}; numbers are wanted")
    if array.ndim not in (1, 2):
        raise RecordError(f"an array of shape {array.shape}; [samples, leads] is wanted")
    array, notes = oriented(array[:, None] if array.ndim == 1 else array, names)
    start = array[: part.samples()]
    seconds = len(array) / part.hz if part.hz and len(start) < len(array) else None
    return Raw(np.array(start, np.float64), None, None, names, notes, seconds=seconds)
