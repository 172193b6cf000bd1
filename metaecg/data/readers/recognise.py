"""Which files are recordings, and of which format: by content, not by name."""

import os
from collections.abc import Iterable
from pathlib import Path

from metaecg.data.readers import vendors
from metaecg.data.readers.raw import RecordError
from metaecg.data.readers.wfdb_header import LARGEST_HEADER

FORMATS = (
    "WFDB, CSV, TSV, NPY, NPZ, MAT, EDF, DICOM, GE MUSE, Philips and HL7 XML, SCP-ECG or ISHNE"
)

# What archives put beside their recordings.
_CLUTTER = ("records", "annotators", "readme", "license", "sha256sums", "md5sums", "index.html",
            "thumbs.db", "desktop.ini")  # fmt: skip
_TYPICAL = (".csv", ".tsv", ".npy", ".npz", ".mat", ".edf", ".bdf", ".dcm", ".hea", ".xml", ".scp",
            ".ecg")  # fmt: skip


_VALUES = (b"AE", b"CS", b"DA", b"DT", b"LO", b"PN", b"SH", b"SQ", b"TM", b"UI", b"UL", b"US")


def recognise(path: Path) -> tuple[str, Path]:
    """The format of a recording, and the file to read it from.

    Raises:
      RecordError: there is no file, or it is of no known format.
    """
    if not path.exists() and (header := _header_of_name(path)):
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
    if start[128:132] == b"DICM" or _is_bare_dicom(start):
        return "dicom", path
    # The header's size field, 256 bytes and 256 a channel, distinguishes EDF from a text that
    # begins alike.
    if start[:8] in (b"0       ", b"\xffBIOSEMI") and start[184:192].strip().isdigit():
        return "edf", path
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        raise RecordError(
            "an HDF5 file (or MATLAB 7.3), whose layout is its maker's own; save each recording as "
            "NPY or CSV, in mV"
        )
    machine = vendors.format_of(start)
    if machine in vendors.FORMATS:
        return machine, path
    if machine and path.suffix.lower() == ".xml":
        raise RecordError("an XML file, but not of GE MUSE, Philips or HL7 aECG")
    suffix, header = path.suffix.lower(), _header(path)
    if header and suffix not in (".csv", ".tsv"):
        return "wfdb", header
    if suffix == ".dat":
        raise RecordError(f"its WFDB header {path.stem}.hea is missing")
    if suffix == ".mat":
        return "matlab", path
    if start.startswith((b"\xff\xfe", b"\xfe\xff")) or (
        b"\0" not in start and suffix in (".csv", ".tsv", ".txt")
    ):
        return "table", path
    raise RecordError(
        f"not a recording of a known format; {FORMATS} are read: save it as NPY or CSV, see "
        "docs/prepare.md"
    )


def _header(path: Path) -> Path | None:
    """The WFDB header of a record with a file of samples `path`."""
    candidates = (path.with_suffix(suffix) for suffix in (".hea", ".HEA"))
    return next((header for header in candidates if header.is_file()), None)


def _header_of_name(path: Path) -> Path | None:
    """The WFDB header of a record that is named without an ending."""
    return _header(path.with_name(path.name + ".dat"))


def is_there(path: Path) -> bool:
    """Whether a path is that of a file or a folder, or the name of a WFDB record."""
    return path.exists() or _header_of_name(path) is not None


def _is_bare_dicom(start: bytes) -> bool:
    """Whether a file begins with a DICOM element of group 2 or 8, without the preamble."""
    if start[:2] not in (b"\x02\0", b"\x08\0"):
        return False
    implicit = start[6:8] == b"\0\0" and int.from_bytes(start[4:6], "little") <= 64
    return start[4:6] in _VALUES or implicit


def among(paths: Iterable[Path]) -> list[Path]:
    """The paths that are recordings by their name: not hidden, no licence, no file of samples.

    A WFDB record's header represents its samples and annotations.
    """
    listed = list(paths)
    headers = [path for path in listed if path.suffix.lower() == ".hea"]
    stems = {header.with_suffix("") for header in headers}
    named = {header.parent / file for header in headers for file in _files(header)}
    return [
        path
        for path in listed
        if path.suffix.lower() == ".hea"
        or not (_is_clutter(path) or path.with_suffix("") in stems or path in named)
    ]


def _is_clutter(path: Path) -> bool:
    name = path.name.lower()
    typical = path.suffix.lower() in _TYPICAL
    return name.startswith(".") or (name.startswith(_CLUTTER) and not typical)


def _files(header: Path) -> set[str]:
    """The files of samples that a header names, as far as it can be read."""
    try:
        with open(header, encoding="utf-8", errors="replace") as file:
            lines = [line for line in file.read(LARGEST_HEADER).splitlines() if line[:1] != "#"]
    except OSError:
        return set()
    return {words[0] for line in lines[1:] if (words := line.split())}


def find(folder: str | os.PathLike) -> list[Path]:
    """The recordings of a folder, one path each, sorted; sub-folders are not entered.

    Raises:
      RecordError: there is none, or a file that is no recording.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise RecordError(f"{folder}: no such folder")
    found, strange = [], []
    for path in among(path for path in sorted(folder.iterdir()) if not path.is_dir()):
        try:
            recognise(path)
            found.append(path)
        except RecordError as error:
            strange.append(f"{path.name} ({error})")
    if strange:
        more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        them = "it" if len(strange) == 1 else "them"
        raise RecordError(f"{folder}: cannot use {', '.join(strange[:3])}{more}; move {them} away")
    if not found:
        inside = sorted(p.name for p in folder.iterdir() if p.is_dir())[:3]
        remedy = f"; name one of its sub-folders, such as {inside[0]}" if inside else ""
        raise RecordError(f"{folder}: no recording in it ({FORMATS}){remedy}")
    return found
