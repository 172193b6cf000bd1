"""Reads WFDB records: headers, and samples with their checksums verified.

Format 16 (`.dat`, and the `.mat` of the PhysioNet/CinC challenges) is read here, every other
format by the wfdb package, which verifies neither checksums nor where a header points.

Reference: https://wfdb.io/spec/header-files.html
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metaecg.data.readers.raw import Raw, RecordError

NO_LABELS = ("", "unknown", "?")


LARGEST_HEADER = 1 << 18
"""Bytes; 12 leads take 600."""

MOST_CHANNELS = 256

MOST_SAMPLES = 1 << 27
"""Of all channels: 24 hours of 3 leads at 500 Hz, 1 GB as float64."""

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
_RECORD = re.compile(
    rf"(\S+?)(/\d+)?\s+(\d{{1,4}})(?:\s+{_REAL}(?:/\S*)?(?:\s+(\d{{1,18}})(?:\s.*)?)?)?", re.ASCII
)
_CHANNEL = re.compile(
    r"(\S+)\s+(\d{1,4})(?:x(\d{1,9}))?(?::(\d{1,9}))?(?:\+(\d{1,18}))?"
    rf"(?:\s+{_REAL}(?:\({_INT}\))?(?:/(\S+))?"
    rf"(?:\s+{_INT}(?:\s+{_INT}(?:\s+{_INT}(?:\s+{_INT}(?:\s+{_INT}(?:\s+(.*))?)?)?)?)?)?)?\s*",
    re.ASCII,
)


def read(header: Path) -> Raw:
    """Reads the record of a ``.hea`` file, its checksums verified."""
    content = read_header(header)
    channels = content.channels
    return Raw(
        read_signal(header, content),
        content.hz,
        tuple(channel.unit for channel in channels),
        tuple(channel.name for channel in channels) if all(c.name for c in channels) else None,
    )


def read_header(path: Path, root: Path | None = None) -> Header:
    """Reads the header `path` (with ``.hea``).

    Args:
      path: the file.
      root: the folder that links must not lead out of; None where they may lead anywhere.

    Raises:
      RecordError: it is no header of a single-segment record, or it points to a file outside its
        folder.
      OSError: it cannot be read.
    """
    check_file(path, root)
    with open(path, "rb") as file:
        content = file.read(LARGEST_HEADER + 1)
    if len(content) > LARGEST_HEADER:
        raise RecordError(f"{path.name}: longer than {LARGEST_HEADER} bytes, no WFDB header")
    lines = [line.strip() for line in content.decode("utf-8", "replace").splitlines()]
    comments = [line.lstrip("# ") for line in lines if line.startswith("#")]
    lines = [line for line in lines if line and not line.startswith("#")]
    record = _RECORD.fullmatch(lines[0]) if lines else None
    if record is None:
        raise RecordError(f"{path.name}: no WFDB record line")
    if record[2]:
        raise RecordError(f"{path.name}: of several segments; import the segments")
    count = int(record[3])
    if not count or len(lines) != 1 + count:
        raise RecordError(f"{path.name}: {len(lines) - 1} signal lines for {count} signals")
    if count > MOST_CHANNELS:
        raise RecordError(f"{path.name}: {count} signals; at most {MOST_CHANNELS} are read")
    channels = tuple(_channel(path, line) for line in lines[1:])
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
    if match is None or not line.replace("\t", " ").isprintable():
        raise RecordError(f"{path.name}: no WFDB signal line: {line[:60]!r}")
    file, format, per_frame, skew, offset, gain, baseline, unit, _, zero = match.groups()[:10]
    if file in (".", "..") or re.search(r"[/\\:\0]", file):
        raise RecordError(f"{path.name}: points outside its folder: {file!r}")
    baseline = int(zero or 0) if baseline is None else int(baseline)
    gain = float(gain or 0) or 200.0  # 0 or none: uncalibrated, by specification 200
    if not 1e-12 < abs(gain) < 1e12 or abs(baseline) > 1 << 31:
        raise RecordError(f"{path.name}: no such gain or baseline: {line[:60]!r}")
    return Channel(
        file=file,
        format=format,
        per_frame=int(per_frame or 1),
        skew=int(skew or 0),
        offset=int(offset or 0),
        gain=gain,
        baseline=baseline,
        unit=unit or "mV",
        checksum=None if match[12] is None else int(match[12]),
        name=match[14] or "",
    )


def count_samples(path: Path, header: Header, root: Path | None = None) -> int:
    """How many samples a channel of the record has: its header's word, or else its file's size.

    Raises:
      RecordError: a file is missing, of another size than the header says, or outside of `root`.
      OSError: a file cannot be read.
    """
    samples = header.samples
    for file in dict.fromkeys(channel.file for channel in header.channels):
        check_file(path.parent / file, root)
        sharing = [channel for channel in header.channels if channel.file == file]
        format, offset, width = sharing[0].format, sharing[0].offset, _BYTES.get(sharing[0].format)
        if {(c.format, c.offset) for c in sharing} != {(format, offset)}:
            raise RecordError(f"{file}: its signals differ in format or offset")
        size = (path.parent / file).stat().st_size
        frame = sum(channel.per_frame for channel in sharing)
        if not samples:
            if width is None:
                raise RecordError(f"{path.name}: no length, and format {format} does not tell it")
            samples = int((size - offset) / (width * frame))
        if samples * sum(channel.per_frame for channel in header.channels) > MOST_SAMPLES:
            raise RecordError(
                f"{path.name}: {samples} samples of {len(header.channels)} signals, more than "
                f"{MOST_SAMPLES} in all; cut the record"
            )
        if max(channel.skew for channel in sharing) > samples:
            raise RecordError(f"{path.name}: a skew of more than the {samples} samples")
        least = int(samples * frame * (width or 0)) + offset
        if size < max(least, 1):
            raise RecordError(f"{file}: truncated, {size} of {least} bytes")
        # Packed formats fill up their last block.
        spare = 3 if width in (1.5, 4 / 3) else 0
        if width and size > least + spare and any(c.checksum is None for c in sharing):
            raise RecordError(f"{file}: no checksum, and {size} bytes instead of {least}")
    return samples


def unverified(header: Header) -> str:
    """What its checksums leave unverified of a record, in words; '' where nothing."""
    if any(channel.checksum is None for channel in header.channels):
        return "no checksum"
    wide = {"24": 24, "32": 32, "524": 24}
    bits = max(wide.get(channel.format, 16) for channel in header.channels)
    return f"checksum of the lowest 16 of {bits} bits" if bits > 16 else ""


def check_file(path: Path, root: Path | None) -> None:
    """Refuses a file that is not there, or a link that leads out of the folder `root`.

    Raises:
      RecordError: naming the file.
    """
    if not os.path.isfile(path):  # False, unlike Path.is_file, for a name that is too long
        raise RecordError(f"{path.name[:200]}: missing")
    if root and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        raise RecordError(f"{path.name}: a link that leads outside of the folder; copy the file")


def read_signal(path: Path, header: Header, root: Path | None = None) -> np.ndarray:
    """Reads the samples of the record with the header `path`; links stay within `root`.

    A WFDB checksum is the sum of a channel's samples modulo 65536. It does not see two samples
    that change places, nor, of samples of 24 or 32 bits, more than the lowest 16: see `unverified`.

    Returns:
      float64 [samples, channels] in the units of the channels, NaN where a sample is missing.

    Raises:
      RecordError: a file is missing or truncated, or a checksum differs; see `count_samples`.
      OSError: a file cannot be read.
    """
    first = header.channels[0]
    samples = count_samples(path, header, root)
    alike = {(c.file, c.format, c.offset, c.per_frame, c.skew) for c in header.channels}
    if alike != {(first.file, "16", first.offset, 1, 0)}:
        return _read_with_wfdb(path, header)
    width = len(header.channels)
    digital = np.fromfile(path.parent / first.file, "<i2", samples * width, offset=first.offset)
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
    if "::" in name:
        raise RecordError(f"{path.name}: rename it; wfdb takes '::' for an address")
    try:
        # It reads the header anew, and must read the same: leave out bytes that are not ASCII, for
        # one, and another line is the first.
        theirs = wfdb.rdheader(name)
        fields = ("file_name", "fmt", "samps_per_frame", "skew", "byte_offset", "adc_gain")
        columns = [getattr(theirs, field) for field in (*fields, "baseline")]
        found = [tuple(value or 0 for value in channel) for channel in zip(*columns)]
        ours = [
            (c.file, c.format, c.per_frame, c.skew, c.offset, c.gain, c.baseline)
            for c in header.channels
        ]
        if found != ours or (theirs.sig_len or 0) != header.samples:
            raise RecordError("wfdb understands its header otherwise")
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
            f"{channel.file}: checksum of {channel.name[:60]} is {total % 65536}, "
            f"the header has {channel.checksum % 65536}"
        )


def split_codes(joined: str) -> tuple[str, ...]:
    """Codes joined by ';', without blanks, repetitions and words for 'none'."""
    codes = (code.strip() for code in joined.split(";"))
    return tuple(dict.fromkeys(code for code in codes if code.lower() not in NO_LABELS))
