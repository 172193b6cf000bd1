"""Reads the samples of WFDB records, their checksums verified.

Format 16 (`.dat`, and the `.mat` of the PhysioNet/CinC challenges) is read here, every other
format by the wfdb package, which verifies neither checksums nor where a header points.

Reference: https://wfdb.io/spec/header-files.html
"""

from pathlib import Path

import numpy as np

from metaecg.data.readers.raw import WHOLE, Part, Raw, RecordError
from metaecg.data.readers.wfdb_header import (
    Channel,
    Header,
    count_frames,
    count_samples,
    data_file,
    read_header,
    remarks,
)
from metaecg.data.signal import one_rate, per_millivolt

MOST_SAMPLES = 1 << 27
"""Of all channels: 24 hours of 3 leads at 500 Hz, 1 GB as float64."""


def read(path: Path, part: Part = WHOLE) -> Raw:
    """Reads the record of a ``.hea`` file, its checksums verified where all of it is read."""
    header = read_header(path)
    samples = count_samples(path, header)
    wanted = part.samples(header.hz if header.has_rate else None)
    channels = header.channels
    return Raw(
        read_signal(path, header, samples=wanted),
        header.hz,
        tuple(channel.unit for channel in channels),
        tuple(channel.name for channel in channels) if all(c.name for c in channels) else None,
        remarks(header),
        rate_assumed=not header.has_rate,
        seconds=samples / header.hz,
    )


def read_signal(
    path: Path, header: Header, root: Path | None = None, samples: int | None = None
) -> np.ndarray:
    """Reads the samples of the record with the header `path`; links stay within `root`.

    A WFDB checksum is the sum of a channel's samples modulo 65536. It does not see two samples
    that change places, nor, of samples of 24 or 32 bits, more than the lowest 16: see `unverified`.

    Args:
      path: the header.
      header: its content.
      root: the folder that links must not lead out of; None where they may lead anywhere.
      samples: how many to return at most; None for all. The checksums of format 16 are verified
        over the whole file nevertheless; those of other formats only where all of it is read.

    Returns:
      float64 [samples, channels] in the units of the channels, NaN where a sample is missing.

    Raises:
      RecordError: a file is missing, truncated or too large, or a checksum differs.
      OSError: a file cannot be read.
    """
    frames = count_frames(path, header, root)
    wanted = frames if samples is None else min(frames, -(-samples // header.per_frame))
    width = sum(channel.per_frame for channel in header.channels)
    if wanted * width > MOST_SAMPLES:
        raise RecordError(
            f"{path.name}: {wanted} samples of {len(header.channels)} signals, more than "
            f"{MOST_SAMPLES} in all; cut the record"
        )
    first = header.channels[0]
    alike = {(c.file, c.format, c.offset, c.per_frame, c.skew) for c in header.channels}
    if alike != {(first.file, "16", first.offset, 1, 0)}:
        return _read_with_wfdb(path, header, frames, wanted)[:samples]
    digital = _read_16(data_file(path, first.file), header, frames, wanted)
    baselines = np.array([c.baseline for c in header.channels])
    physical = (digital - baselines) / np.array([c.gain for c in header.channels])
    physical[digital == -32768] = np.nan
    return physical


_BLOCK = 1 << 20


def _read_16(data: Path, header: Header, frames: int, wanted: int) -> np.ndarray:
    """The first frames of a file of format 16; the sums are taken of all, block by block."""
    channels = header.channels
    width, first = len(channels), channels[0]
    with open(data, "rb") as file:
        file.seek(first.offset)
        digital = np.fromfile(file, "<i2", wanted * width).reshape(wanted, width)
        totals = digital.sum(axis=0, dtype=np.int64)
        for start in range(wanted, frames, _BLOCK):
            block = np.fromfile(file, "<i2", min(_BLOCK, frames - start) * width)
            totals += block.reshape(-1, width).sum(axis=0, dtype=np.int64)
    for channel, total in zip(channels, totals):
        _check(channel, int(total))
    return digital


def _read_with_wfdb(path: Path, header: Header, frames: int, wanted: int) -> np.ndarray:
    import wfdb  # a second to import, and most archives never need it

    name = str(path.with_suffix(""))
    if "::" in name:
        raise RecordError(f"{path.name}: rename it; wfdb takes '::' for an address")
    channels = header.channels
    for capital in (path.name, *(c.file for c in channels)):
        if not (path.parent / capital).is_file() or path.suffix != ".hea":
            raise RecordError(f"{path.name}: rename {capital}, its capitals differ")
    most = min(frames, wanted + max(c.skew for c in channels))
    try:
        # It reads the header anew, and must read the same: leave out bytes that are not ASCII, for
        # one, and another line is the first.
        theirs = wfdb.rdheader(name)
        fields = ("file_name", "fmt", "samps_per_frame", "skew", "byte_offset", "adc_gain")
        columns = [getattr(theirs, field) for field in (*fields, "baseline")]
        found = [tuple(value or 0 for value in channel) for channel in zip(*columns)]
        ours = [
            (c.file, c.format, c.per_frame, c.skew, c.offset, c.gain, c.baseline) for c in channels
        ]
        if found != ours or (theirs.sig_len or 0) != header.frames:
            raise RecordError("wfdb understands its header otherwise")
        record = wfdb.rdrecord(
            name, sampto=most, physical=False, smooth_frames=False, ignore_skew=True
        )
        digital, physical = record.e_d_signal, record.dac(expanded=True)
    except Exception as error:  # wfdb raises whatever comes first on a malformed file
        raise RecordError(f"{path.name}: wfdb cannot read it: {error}") from error
    if any(len(d) < most * c.per_frame for d, c in zip(digital, channels)):
        raise RecordError(f"{path.name}: truncated, fewer than {frames} samples")
    if most == frames:
        for channel, signal in zip(channels, digital):
            _check(channel, int(np.sum(signal, dtype=np.int64)))
    aligned = []
    for channel, values in zip(channels, physical):
        there = values[channel.skew * channel.per_frame :][: wanted * channel.per_frame]
        missing = np.full(wanted * channel.per_frame - len(there), np.nan)
        values = np.concatenate([there, missing])
        if not per_millivolt(channel.unit) and channel.per_frame != header.per_frame:
            # No voltage is left out later: any values of the right number.
            times = np.arange(wanted * header.per_frame) * channel.per_frame // header.per_frame
            aligned.append((values[times], header.per_frame))
        else:
            aligned.append((values, channel.per_frame))
    return one_rate([values for values, _ in aligned], [float(n) for _, n in aligned])


def _check(channel: Channel, total: int) -> None:
    if channel.checksum is not None and (total - channel.checksum) % 65536:
        raise RecordError(
            f"{channel.file}: checksum of {channel.name[:60]} is {total % 65536}, "
            f"the header has {channel.checksum % 65536}"
        )
