"""NumPy files: one array of a recording (NPY), or an archive of arrays (NPZ)."""

import zipfile
from pathlib import Path

import numpy as np

from metaecg.data.readers.notes import Note
from metaecg.data.readers.raw import Raw, RecordError


def read(path: Path) -> Raw:
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
        note = Note(f"array {list(array.shape)} taken as [leads, samples]")
        return Raw(signal.T, names=names, notes=(note,))
    return Raw(signal, names=names)
