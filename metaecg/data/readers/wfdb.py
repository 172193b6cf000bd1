"""Reads the samples of WFDB records, their checksums verified.

Formats of whole bytes (16 in `.dat`, and in the `.mat` of the PhysioNet/CinC challenges) are read
here, packed ones by the wfdb package, which verifies neither checksums nor where a header points.

Reference: https://wfdb.io/spec/header-files.html
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from metaecg.data.readers.raw import WHOLE, Part, Raw, RecordError, said
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
      samples: how many to return at most; None for all. The checksums of formats of whole
        bytes are verified over the whole file nevertheless; of packed ones where all of it is read.

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
    most = min(frames, wanted + max(channel.skew for channel in header.channels))
    formats = {channel.format for channel in header.channels}
    reader = _read_plain if formats <= {*_PLAIN} else _read_with_wfdb
    physical = reader(path, header, frames, most)
    if all(channel.per_frame == 1 and not channel.skew for channel in header.channels):
        return physical if isinstance(physical, np.ndarray) else np.stack(physical, axis=1)
    return _aligned(physical, header, wanted)[:samples]


class _Plain(NamedTuple):
    """A format of whole bytes: its type, what is taken from a number, and what is missing."""

    type: str
    zero: int
    missing: int


_PLAIN = {
    "16": _Plain("<i2", 0, -32768),
    "61": _Plain(">i2", 0, -32768),
    "160": _Plain("<u2", 32768, -32768),
    "80": _Plain("u1", 128, -128),
    "32": _Plain("<i4", 0, -(2**31)),
}

_BLOCK = 1 << 20


def _read_plain(
    path: Path, header: Header, frames: int, most: int
) -> np.ndarray | list[np.ndarray]:
    """The first frames of formats of whole bytes, in the channels' units.

    The checksums are verified over all frames, block by block.

    Returns:
      [frames, channels] of one file with a sample a frame; else one array a channel.
    """
    found = {}
    for file in dict.fromkeys(channel.file for channel in header.channels):
        sharing = [channel for channel in header.channels if channel.file == file]
        type, zero, missing = _PLAIN[sharing[0].format]
        width = sum(channel.per_frame for channel in sharing)
        with open(data_file(path, file), "rb") as samples:
            samples.seek(sharing[0].offset)
            digital = np.fromfile(samples, type, most * width).reshape(most, width)
            totals = digital.sum(axis=0, dtype=np.int64)
            for start in range(most, frames, _BLOCK):
                block = np.fromfile(samples, type, min(_BLOCK, frames - start) * width)
                totals += block.reshape(-1, width).sum(axis=0, dtype=np.int64)
        if zero:
            digital = digital.astype(np.int64) - zero
        ends = np.cumsum([channel.per_frame for channel in sharing])
        for channel, end in zip(sharing, ends):
            total = totals[end - channel.per_frame : end].sum()
            _check(channel, int(total) - zero * frames * channel.per_frame)
        repeats = [channel.per_frame for channel in sharing]
        baselines = np.repeat([channel.baseline for channel in sharing], repeats)
        physical = (digital - baselines) / np.repeat([c.gain for c in sharing], repeats)
        physical[digital == missing] = np.nan
        found[file] = iter(np.split(physical, ends[:-1], axis=1))
    if len(found) == 1 and width == len(header.channels):
        return physical
    return [next(found[channel.file]).reshape(-1) for channel in header.channels]


def _read_with_wfdb(path: Path, header: Header, frames: int, most: int) -> list[np.ndarray]:
    """The first frames of packed and compressed formats, in the channels' units."""
    import wfdb  # a second to import, and most archives never need it

    name = str(path.with_suffix(""))
    if "::" in name:
        raise RecordError(f"{path.name}: rename it; wfdb takes '::' for an address")
    channels = header.channels
    for capital in (path.name, *(c.file for c in channels)):
        if not (path.parent / capital).is_file() or path.suffix != ".hea":
            raise RecordError(f"{path.name}: rename {capital}, its capitals differ")
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
        raise RecordError(f"{path.name}: wfdb cannot read it: {said(error)}") from error
    if any(len(d) < most * c.per_frame for d, c in zip(digital, channels)):
        raise RecordError(f"{path.name}: truncated, fewer than {frames} samples")
    if most == frames:
        for channel, signal in zip(channels, digital):
            _check(channel, int(np.sum(signal, dtype=np.int64)))
    return physical


def _aligned(physical: np.ndarray | list[np.ndarray], header: Header, frames: int) -> np.ndarray:
    """The frames of channels that are late by their skew, at the rate of the fastest voltage."""
    columns = physical.T if isinstance(physical, np.ndarray) else physical
    aligned, rates = [], []
    for channel, values in zip(header.channels, columns):
        count = frames * channel.per_frame
        there = values[channel.skew * channel.per_frame :][:count]
        values = np.concatenate([there, np.full(count - len(there), np.nan)])
        if not per_millivolt(channel.unit) and channel.per_frame != header.per_frame:
            # No voltage is left out later: any values of the right number.
            values = values[
                np.arange(frames * header.per_frame) * channel.per_frame // header.per_frame
            ]
            rates.append(float(header.per_frame))
        else:
            rates.append(float(channel.per_frame))
        aligned.append(values)
    return one_rate(aligned, rates)


def _check(channel: Channel, total: int) -> None:
    if channel.checksum is not None and (total - channel.checksum) % 65536:
        raise RecordError(
            f"{channel.file}: checksum of {channel.name[:60]} is {total % 65536}, "
            f"the header has {channel.checksum % 65536}"
        )
