"""Reads WFDB records: headers, samples with their checksums verified, and labels of a folder.

Format 16 (`.dat`, and the `.mat` of the PhysioNet/CinC challenges) is read here, every other
format by the wfdb package, which verifies neither checksums nor where a header points.

Reference: https://wfdb.io/spec/header-files.html
"""

import csv
import os
import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from metaecg.errors import MetaecgError

NO_LABELS = ("", "unknown", "?")


class RecordError(MetaecgError):
    """A record cannot be read, or must not be; the message says why."""


class Channel(NamedTuple):
    """One signal as its header line describes it; `checksum` is None where there is none."""

    file: str
    format: str
    per_frame: int
    skew: int
    offset: int
    gain: float
    baseline: int
    unit: str
    checksum: int | None
    name: str


class Header(NamedTuple):
    """A record's header; `samples` is 0 where it does not say, `codes` is its ``#Dx:`` line."""

    hz: float
    samples: int
    channels: tuple[Channel, ...]
    codes: tuple[str, ...]


class Item(NamedTuple):
    """A record to import: `codes` is None where its header lists them."""

    path: str
    id: str
    patient: str
    codes: tuple[str, ...] | None
    fold: int = 0


_RECORD = re.compile(
    r"(\S+?)(/\d+)?\s+(\d+)(?:\s+(\d+(?:\.\d+)?(?:e[+-]?\d+)?)\S*(?:\s+(\d+))?)?\b"
)
_CHANNEL = re.compile(
    r"(\S+)\s+(\d+)(?:x(\d+))?(?::(\d+))?(?:\+(\d+))?"
    r"(?:\s+(-?\d*\.?\d+(?:[eE][+-]?\d+)?|-?\d+\.)(?:\((-?\d+)\))?(?:/(\S+))?"
    r"(?:\s+(-?\d+)(?:\s+(-?\d+)(?:\s+(-?\d+)(?:\s+(-?\d+)(?:\s+(-?\d+)(?:\s+(.*))?)?)?)?)?)?)?\s*"
)


def read_header(path: Path) -> Header:
    """Reads the header `path` (with ``.hea``).

    Raises:
      RecordError: it is no header of a single-segment record, or it points to a file outside its
        folder.
      OSError: it cannot be read.
    """
    if not path.is_file():
        raise RecordError(f"{path.name}: missing")
    lines = [line.strip() for line in path.read_text("utf-8", "replace").splitlines()]
    comments = [line.lstrip("# ") for line in lines if line.startswith("#")]
    lines = [line for line in lines if line and not line.startswith("#")]
    record = _RECORD.match(lines[0]) if lines else None
    if record is None:
        raise RecordError(f"{path.name}: no WFDB record line")
    if record[2]:
        raise RecordError(f"{path.name}: of several segments; import the segments")
    count = int(record[3])
    if not count or len(lines) < 1 + count:
        raise RecordError(f"{path.name}: {len(lines) - 1} signal lines for {count} signals")
    channels = tuple(_channel(path, line) for line in lines[1 : 1 + count])
    codes: tuple[str, ...] = ()
    for comment in comments:
        if comment.lower().startswith("dx:"):
            codes = split_codes(comment[3:].replace(",", ";"))
    hz = float(record[4] or 250)  # the specification's default
    if not hz > 0:
        raise RecordError(f"{path.name}: a rate of {hz:g} Hz")
    return Header(hz, int(record[5] or 0), channels, codes)


def _channel(path: Path, line: str) -> Channel:
    match = _CHANNEL.fullmatch(line)
    if match is None:
        raise RecordError(f"{path.name}: no WFDB signal line: {line[:60]!r}")
    file, format, per_frame, skew, offset, gain, baseline, unit, _, zero = match.groups()[:10]
    if file in (".", "..") or re.search(r"[/\\:]", file):
        raise RecordError(f"{path.name}: points outside its folder: {file!r}")
    return Channel(
        file=file,
        format=format,
        per_frame=int(per_frame or 1),
        skew=int(skew or 0),
        offset=int(offset or 0),
        gain=float(gain or 0) or 200.0,  # 0 or none: uncalibrated, by specification 200
        baseline=int(zero or 0) if baseline is None else int(baseline),
        unit=unit or "mV",
        checksum=None if match[12] is None else int(match[12]),
        name=match[14] or "",
    )


def read_signal(path: Path, header: Header) -> np.ndarray:
    """Reads the samples of the record with the header `path`.

    Returns:
      float64 [samples, channels] in the units of the channels, NaN where a sample is missing.

    Raises:
      RecordError: a file is missing or truncated, or a checksum differs.
      OSError: a file cannot be read.
    """
    first = header.channels[0]
    for channel in header.channels:
        if not (path.parent / channel.file).is_file():
            raise RecordError(f"{channel.file}: missing")
    alike = {(c.file, c.format, c.offset, c.per_frame, c.skew) for c in header.channels}
    if alike != {(first.file, "16", first.offset, 1, 0)}:
        return _read_with_wfdb(path, header)
    file, width = path.parent / first.file, len(header.channels)
    size = file.stat().st_size - first.offset
    samples = header.samples or size // (2 * width)
    if not samples or size < samples * width * 2:
        raise RecordError(f"{first.file}: truncated, {size} of {samples * width * 2} bytes")
    digital = np.fromfile(file, "<i2", samples * width, offset=first.offset)
    digital = digital.reshape(samples, width)
    for channel, total in zip(header.channels, digital.sum(axis=0, dtype=np.int64)):
        _check(channel, int(total))
    baselines = np.array([c.baseline for c in header.channels])
    physical = (digital - baselines) / np.array([c.gain for c in header.channels])
    physical[digital == -32768] = np.nan
    return physical


def _read_with_wfdb(path: Path, header: Header) -> np.ndarray:
    import wfdb  # a second to import, and most archives never need it

    name = str(path.with_suffix(""))
    try:
        record = wfdb.rdrecord(name, physical=False, smooth_frames=False)
        digital = record.e_d_signal
        physical = wfdb.rdrecord(name).p_signal
    except Exception as error:  # wfdb raises whatever comes first on a malformed file
        raise RecordError(f"{path.name}: wfdb cannot read it: {error}") from error
    if any(len(signal) < header.samples for signal in digital):
        raise RecordError(f"{path.name}: truncated, {len(digital[0])} of {header.samples} samples")
    for channel, signal in zip(header.channels, digital):
        _check(channel, int(np.sum(signal, dtype=np.int64)))
    return physical


def _check(channel: Channel, total: int) -> None:
    if channel.checksum is not None and (total - channel.checksum) % 65536:
        raise RecordError(
            f"{channel.file}: checksum of {channel.name} is {total % 65536}, "
            f"the header has {channel.checksum % 65536}"
        )


def list_folder(folder: Path, labels: str) -> list[Item]:
    """Lists the records of a folder and of its sub-folders, sorted by path.

    Args:
      folder: where the ``.hea`` files are.
      labels: 'header' (the ``#Dx:`` comment), 'folders' (the first sub-folder's name), or the path
        of a CSV file with columns path, label and, if known, patient: paths relative to `folder`,
        several rows a path and several labels joined by ';' allowed.

    Returns:
      The items; a record without a row in the CSV has no codes. Where the patient is not known, it
      is the record.

    Raises:
      MetaecgError: there is no record, or the CSV is malformed.
    """
    if not folder.is_dir():
        raise MetaecgError(f"{folder}: no such folder; give --input the folder of the recordings")
    found = []
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(where, name) for name in files if name.endswith(".hea")]
    paths = sorted(path.relative_to(folder).with_suffix("").as_posix() for path in found)
    if not paths:
        raise MetaecgError(f"{folder}: no WFDB header (*.hea) in it; check --input")
    if labels == "header":
        return [Item(path, path, path, None) for path in paths]
    if labels == "folders":
        codes = [PurePosixPath(path).parts[:-1][:1] for path in paths]
        return [Item(path, path, path, code) for path, code in zip(paths, codes)]
    rows = _read_labels(Path(labels))
    return [Item(path, path, *rows.get(path, (path, ()))) for path in sorted({*paths, *rows})]


def split_codes(joined: str) -> tuple[str, ...]:
    """Codes joined by ';', without blanks, repetitions and words for 'none'."""
    codes = (code.strip() for code in joined.split(";"))
    return tuple(dict.fromkeys(code for code in codes if code.lower() not in NO_LABELS))


def _read_labels(file: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    if not file.is_file():
        raise MetaecgError(f"{file}: no such file; --labels is header, folders or a CSV file")
    rows: dict[str, tuple[str, tuple[str, ...]]] = {}
    with open(file, encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        for column in ("path", "label"):
            if column not in (reader.fieldnames or ()):
                raise MetaecgError(f"{file}: no column {column!r}; needs path,label[,patient]")
        for row in reader:
            path = re.sub(r"\.(hea|dat|mat)$", "", (row["path"] or "").strip().replace("\\", "/"))
            path = PurePosixPath(path).as_posix()
            patient = (row.get("patient") or "").strip() or path
            known, codes = rows.get(path, (patient, ()))
            if known != patient:
                raise MetaecgError(
                    f"{file}: line {reader.line_num}: patient {patient!r} of {path}, "
                    f"which is {known!r}'s in another line"
                )
            codes = tuple(dict.fromkeys((*codes, *split_codes(row["label"] or ""))))
            rows[path] = (patient, codes)
    return rows
