"""WFDB records in every legal way: formats, frames, skews, offsets, gains, files and headers."""

from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from experiments.stress.valid import Truth, Written, inverted

# Of each format: bits, and bytes of a stream of samples.
_BITS = {"16": 16, "61": 16, "160": 16, "24": 24, "32": 32, "80": 8, "212": 12, "310": 10,
         "311": 10}  # fmt: skip


class _Group(NamedTuple):
    """The signals that share a file."""

    file: str
    format: str
    offset: int
    columns: list[int]


def wfdb(rng: Random, folder: Path, truth: Truth) -> Written:
    """A record of one or two files, with several samples a frame, skews and sparse headers."""
    count = len(truth.leads)
    format = rng.choice((*("16",) * 6, *_BITS))
    gain = {8: 0.02, 10: 0.1, 12: 0.4}.get(_BITS[format], rng.choice((0.5, 1.0, 2.5, -1.0)))
    per_frame = rng.choice((1, 1, 1, 1, 2, 4))
    per_frame = 1 if per_frame > 1 and truth.hz % per_frame else per_frame
    frames = len(truth.microvolts) // per_frame
    truth = truth._replace(microvolts=truth.microvolts[: frames * per_frame])
    file, names = inverted(rng, truth)
    baseline = 0 if _BITS[format] < 16 else rng.choice((0, 0, 7, -100))
    least = -(1 << (_BITS[format] - 1))
    digital = np.rint(file.microvolts * gain + baseline)
    most = np.nanmax(np.abs(digital), initial=0)
    if most >= -least:  # a large offset in few bits
        gain *= (-least - 1) / most
        digital = np.rint(file.microvolts * gain + baseline)
    digital = np.where(np.isnan(digital), least, digital).astype(int)
    skews = [0] * count
    if rng.random() < 0.15 and frames > 50:
        skews = [rng.choice((0, 1, 5)) for _ in range(count)]
        for i, skew in enumerate(skews):  # a channel is late by these frames
            late = np.full(skew * per_frame, least)
            digital[:, i] = np.concatenate([late, digital[: len(digital) - len(late), i]])
        gone = np.array(truth.microvolts)
        for i, skew in enumerate(skews):
            gone[len(gone) - skew * per_frame :, i] = np.nan
        truth = truth._replace(microvolts=gone)
    halves = [list(range(count))]
    if count > 1 and rng.random() < 0.15:
        halves = [list(range(count // 2)), list(range(count // 2, count))]
    offset = rng.choice((0, 0, 0, 24, 512))
    groups = [_Group(f"r{'_2' * i}.dat", format, offset, half) for i, half in enumerate(halves)]
    for group in groups:
        stream = digital[:, group.columns].reshape(frames, per_frame, -1).swapaxes(1, 2).ravel()
        (folder / group.file).write_bytes(bytes(group.offset) + _encode(stream, format))
    sums = rng.choice(("given", "given", "given", "zero", "none"))
    unit, scale = rng.choice((("mV", 1000), ("uV", 1), ("V", 1_000_000)))
    lines = [_first(rng, truth, count, frames, per_frame)]
    for group in groups:
        for i in group.columns:
            layout = format + (f"x{per_frame}" if per_frame > 1 else "")
            layout += f":{skews[i]}" if skews[i] else ""
            layout += f"+{offset}" if offset else ""
            total = int(digital[:, i].sum()) % 65536
            total = {"given": total - 65536 * (total > 32767), "zero": 0, "none": 0}[sums]
            zero = f"({baseline})" if rng.random() < 0.7 or baseline else ""
            fields = [group.file, layout, f"{gain * scale:.12g}{zero}/{unit}", "12", "0"]
            fields += [str(digital[0, i]), str(total), "0", names[i].strip()]
            lines.append(" ".join(fields))
    if rng.random() < 0.3:
        lines.append("# Age: 50")
    ends = rng.choice(("\n", "\n", "\r\n"))
    (folder / "r.hea").write_bytes((ends.join(lines) + ends).encode())
    if sums == "none":  # all is there but the sums: everything after the unit is left out
        lines = [" ".join(line.split()[:3]) if ".dat" in line else line for line in lines]
        (folder / "r.hea").write_bytes((ends.join(lines) + ends).encode())
    path = folder / rng.choice(("r.hea", "r.dat", "r"))
    given = {"leads": list(truth.leads)} if sums == "none" else {}
    must = all(name.isascii() for name in names) or format == "16"
    if sums == "none":  # the signs are not said
        truth = truth._replace(microvolts=truth.microvolts * _signs(names))
    how = f"{format} x{per_frame} skews {skews} offset {offset} {sums} {unit} {names} {ends!r}"
    return Written(path, truth, given, 0.51 / abs(gain), must, how)


def _signs(names: list[str]) -> np.ndarray:
    return np.array([-1 if name.startswith(("-", "−")) or "inv" in name else 1 for name in names])


def _first(rng: Random, truth: Truth, count: int, frames: int, per_frame: int) -> str:
    hz = f"{truth.hz / per_frame:g}"
    rate = rng.choice((hz, hz, f"{hz}/{hz}", f"{hz}/{hz}(0)"))
    length = rng.choice(
        (str(frames), str(frames), f"{frames} 10:11:12", f"{frames} 0:0:0 1/2/2003")
    )
    return f"r {count} {rate} {length}"


def _encode(stream: np.ndarray, format: str) -> bytes:
    """Samples as the bytes of a format."""
    if format in ("16", "61", "32"):
        return stream.astype({"16": "<i2", "61": ">i2", "32": "<i4"}[format]).tobytes()
    if format == "160":
        return (stream + 32768).astype("<u2").tobytes()
    if format == "80":
        return (stream + 128).astype("u1").tobytes()
    if format == "24":
        return stream.astype("<i4").view("u1").reshape(-1, 4)[:, :3].tobytes()
    if format == "212":
        pairs = np.concatenate([stream, np.zeros(len(stream) % 2, int)]).reshape(-1, 2) & 0xFFF
        first, second = pairs.T
        packed = [first & 0xFF, (first >> 8) | (second >> 8 << 4), second & 0xFF]
        content = np.stack(packed, axis=1).astype("u1").tobytes()
        return content[: len(content) - len(stream) % 2]
    triples = np.concatenate([stream, np.zeros(-len(stream) % 3, int)]).reshape(-1, 3) & 0x3FF
    a, b, c = triples.T
    if format == "310":
        words = np.stack([a << 1 | (c & 0x1F) << 11, b << 1 | c >> 5 << 11], axis=1)
        return words.astype("<u2").tobytes()
    return (a | b << 10 | c << 20).astype("<u4").tobytes()
