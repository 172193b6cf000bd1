"""Headers of WFDB records: what they say, what they leave to be assumed, and the files they name.

Reference: https://wfdb.io/spec/header-files.html
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

from metaecg.data.readers.notes import Note
from metaecg.data.readers.raw import RecordError
from metaecg.data.signal import per_millivolt

NO_LABELS = ("", "unknown", "?")

LARGEST_HEADER = 1 << 18
"""Bytes; 12 leads take 600."""

MOST_CHANNELS = 256


_BYTES = {"8": 1, "80": 1, "16": 2, "61": 2, "160": 2, "212": 1.5, "310": 4 / 3, "311": 4 / 3,
          "24": 3, "32": 4}  # fmt: skip


class Channel(NamedTuple):
    """One signal as its header line describes it; `checksum` is None where there is none.

    `calibrated` is whether the header gives its gain; where it does not, `gain` is WFDB's 200.
    """

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
    calibrated: bool = True


class Header(NamedTuple):
    """A record's header; `codes` is its ``#Dx:`` line.

    `frame_hz` is 250 where the header has no rate, as WFDB specifies, and `frames` 0 where the
    header has no length.
    """

    frame_hz: float
    frames: int
    channels: tuple[Channel, ...]
    codes: tuple[str, ...]
    has_rate: bool = True

    @property
    def per_frame(self) -> int:
        """The most samples that a frame has of a voltage."""
        volts = [c.per_frame for c in self.channels if per_millivolt(c.unit)]
        return max(volts or (c.per_frame for c in self.channels))

    @property
    def hz(self) -> float:
        """Samples per second of the fastest voltage, to which the others are brought."""
        return self.frame_hz * self.per_frame


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
    # Errors name the line without quoting it, which may say who the patient is.
    channels = tuple(
        _channel(f"{path.name}: signal line {i}", line) for i, line in enumerate(lines[1:], 1)
    )
    codes: tuple[str, ...] = ()
    for comment in comments:
        if comment.lower().startswith("dx:"):
            codes = split_codes(comment[3:].replace(",", ";"))
    hz = float(record[4] or 250)  # the specification's default
    if not 0 < hz < 1e6:
        raise RecordError(f"{path.name}: a rate of {hz:g} Hz")
    if not any(channel.checksum for channel in channels):  # 0 everywhere means not given
        channels = tuple(channel._replace(checksum=None) for channel in channels)
    return Header(hz, int(record[5] or 0), channels, codes, record[4] is not None)


def _channel(where: str, line: str) -> Channel:
    match = _CHANNEL.fullmatch(line)
    if match is None or not line.replace("\t", " ").isprintable():
        raise RecordError(f"{where}: no signal of WFDB")
    file, format, per_frame, skew, offset, gain, baseline, unit, _, zero = match.groups()[:10]
    if file in (".", "..") or re.search(r"[/\\:\0]", file):
        raise RecordError(f"{where}: points outside its folder")
    baseline = int(zero or 0) if baseline is None else int(baseline)
    calibrated = bool(float(gain or 0))
    gain = float(gain) if calibrated else 200.0  # 0 or none: by specification 200
    if not 1e-12 < abs(gain) < 1e12 or abs(baseline) > 1 << 31:
        raise RecordError(f"{where}: no such gain or baseline")
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
        calibrated=calibrated,
    )


def remarks(header: Header) -> tuple[Note, ...]:
    """What the header does not say and is assumed, and what its checksums leave unverified."""
    notes = []
    bare = [c.name or "?" for c in header.channels if not c.calibrated]
    if bare:
        text = f"no gain in the header for {' '.join(bare)[:200]}: 200 units per mV are assumed"
        notes.append(Note(text, serious=True))
    slower = {c.per_frame for c in header.channels if per_millivolt(c.unit)} - {header.per_frame}
    notes += [
        Note(f"{header.frame_hz * n:g} Hz to {header.hz:g} Hz, the rate of the fastest channel")
        for n in sorted(slower)
    ]
    if any(channel.skew for channel in header.channels):
        notes.append(Note("channels with a skew aligned"))
    if text := unverified(header):
        notes.append(Note(text))
    return tuple(notes)


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


def count_samples(path: Path, header: Header, root: Path | None = None) -> int:
    """How many samples at `header.hz` the record has: its header's word, or else its file's size.

    Raises:
      RecordError: a file is missing, of another size than the header says, or outside of `root`.
      OSError: a file cannot be read.
    """
    return count_frames(path, header, root) * header.per_frame


def count_frames(path: Path, header: Header, root: Path | None) -> int:
    frames = header.frames
    for file in dict.fromkeys(channel.file for channel in header.channels):
        data = data_file(path, file)
        check_file(data, root)
        sharing = [channel for channel in header.channels if channel.file == file]
        format, offset, width = sharing[0].format, sharing[0].offset, _BYTES.get(sharing[0].format)
        if {(c.format, c.offset) for c in sharing} != {(format, offset)}:
            raise RecordError(f"{file}: its signals differ in format or offset")
        size = data.stat().st_size
        frame = sum(channel.per_frame for channel in sharing)
        if not frames:
            if width is None:
                raise RecordError(f"{path.name}: no length, and format {format} does not tell it")
            frames = int((size - offset) / (width * frame))
        if max(channel.skew for channel in sharing) > frames:
            raise RecordError(f"{path.name}: a skew of more than the {frames} samples")
        least = int(frames * frame * (width or 0)) + offset
        if size < max(least, 1):
            raise RecordError(f"{file}: truncated, {size} of {least} bytes")
        # Packed formats fill up their last block.
        spare = 3 if width in (1.5, 4 / 3) else 0
        if width and size > least + spare and any(c.checksum is None for c in sharing):
            raise RecordError(f"{file}: no checksum, and {size} bytes instead of {least}")
    return frames


def data_file(path: Path, file: str) -> Path:
    """The file of samples beside a header; its name may differ in capitals, as cards write it."""
    data = path.parent / file
    if not os.path.isfile(data):
        alike = [p for p in path.parent.iterdir() if p.name.lower() == file.lower()]
        return alike[0] if len(alike) == 1 else data
    return data


def split_codes(joined: str) -> tuple[str, ...]:
    """Codes joined by ';', without blanks, repetitions and words for 'none'."""
    codes = (code.strip() for code in joined.split(";"))
    return tuple(dict.fromkeys(code for code in codes if code.lower() not in NO_LABELS))
