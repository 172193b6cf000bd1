"""Which files are recordings, and of which format: by content, not by name."""

import os
from pathlib import Path

from metaecg.data.readers.raw import RecordError

FORMATS = "WFDB, CSV, TSV, NPY, NPZ, EDF or DICOM"

# What archives put beside their recordings.
_CLUTTER = ("records", "annotators", "readme", "license", "sha256sums", "md5sums", "index.html",
            "thumbs.db", "desktop.ini")  # fmt: skip
_TYPICAL = (".csv", ".tsv", ".npy", ".npz", ".edf", ".bdf", ".dcm", ".hea")


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
