"""Reads WFDB records: headers, and samples with their checksums verified.

Format 16 (`.dat`, and the `.mat` of the PhysioNet/CinC challenges) is read here, every other
format by the wfdb package, which verifies neither checksums nor where a header points.

Reference: https://wfdb.io/spec/header-files.html
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metaecg.errors import MetaecgError

NO_LABELS = ("", "unknown", "?")


class RecordError(MetaecgError):
    """A record cannot be read, or must not be; the message says why."""


_BYTES = {"8": 1, "80": 1, "16": 2, "61": 2, "160": 2, "212": 1.5, "310": 4 / 3, "311": 4 / 3,
          "24": 3, "32": 4}  # fmt: skip


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


_INT = r"(-?\d{1,18})"
_REAL = r"(-?(?:\d{1,18}\.?\d{0,30}|\.\d{1,30})(?:[eE][+-]?\d{1,3})?)"
_RECORD = re.compile(rf"(\S+?)(/\d+)?\s+(\d{{1,4}})(?:\s+{_REAL}\S*(?:\s+(\d{{1,18}})(?:\s.*)?)?)?")
_CHANNEL = re.compile(
    r"(\S+)\s+(\d{1,4})(?:x(\d{1,9}))?(?::(\d{1,9}))?(?:\+(\d{1,18}))?"
    rf"(?:\s+{_REAL}(?:\({_INT}\))?(?:/(\S+))?"
    rf"(?:\s+{_INT}(?:\s+{_INT}(?:\s+{_INT}(?:\s+{_INT}(?:\s+{_INT}(?:\s+(.*))?)?)?)?)?)?)?\s*"
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
    record = _RECORD.fullmatch(lines[0]) if lines else None
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
    if not 0 < hz < 1e6:
        raise RecordError(f"{path.name}: a rate of {hz:g} Hz")
    return Header(hz, int(record[5] or 0), channels, codes)


def _channel(path: Path, line: str) -> Channel:
    match = _CHANNEL.fullmatch(line)
    if match is None:
        raise RecordError(f"{path.name}: no WFDB signal line: {line[:60]!r}")
    file, format, per_frame, skew, offset, gain, baseline, unit, _, zero = match.groups()[:10]
    if file in (".", "..") or re.search(r"[/\\:\0]", file):
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
        sharing = sum(c.per_frame for c in header.channels if c.file == channel.file)
        least = int(header.samples * sharing * _BYTES.get(channel.format, 0)) + channel.offset
        size = (path.parent / channel.file).stat().st_size
        if size < max(least, 1):
            raise RecordError(f"{channel.file}: truncated, {size} of {least} bytes")
    alike = {(c.file, c.format, c.offset, c.per_frame, c.skew) for c in header.channels}
    if alike != {(first.file, "16", first.offset, 1, 0)}:
        return _read_with_wfdb(path, header)
    digital = np.fromfile(path.parent / first.file, "<i2", offset=first.offset)
    width = len(header.channels)
    samples = header.samples or len(digital) // width
    digital = digital[: samples * width].reshape(samples, width)
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
        digital, physical = record.e_d_signal, record.dac(expanded=True)
    except Exception as error:  # wfdb raises whatever comes first on a malformed file
        raise RecordError(f"{path.name}: wfdb cannot read it: {error}") from error
    if any(len(d) < header.samples * c.per_frame for d, c in zip(digital, header.channels)):
        raise RecordError(f"{path.name}: truncated, fewer than {header.samples} samples")
    for channel, signal in zip(header.channels, digital):
        _check(channel, int(np.sum(signal, dtype=np.int64)))
    # A frame with several samples of a channel is averaged: one rate for all.
    frames = [p.reshape(-1, c.per_frame).mean(axis=1) for p, c in zip(physical, header.channels)]
    return np.stack(frames, axis=1)


def _check(channel: Channel, total: int) -> None:
    if channel.checksum is not None and (total - channel.checksum) % 65536:
        raise RecordError(
            f"{channel.file}: checksum of {channel.name} is {total % 65536}, "
            f"the header has {channel.checksum % 65536}"
        )


def split_codes(joined: str) -> tuple[str, ...]:
    """Codes joined by ';', without blanks, repetitions and words for 'none'."""
    codes = (code.strip() for code in joined.split(";"))
    return tuple(dict.fromkeys(code for code in codes if code.lower() not in NO_LABELS))
