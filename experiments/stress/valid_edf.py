"""EDF and BDF files in every legal way."""

from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from experiments.stress.valid import Truth, Written, inverted


class _Channel(NamedTuple):
    label: str
    unit: str
    low: float
    high: float
    digital: np.ndarray


def edf(rng: Random, folder: Path, truth: Truth) -> Written:
    """EDF and BDF of any length of a block, range, unit and label, with other channels beside."""
    truth = truth._replace(microvolts=np.nan_to_num(truth.microvolts))
    wide = rng.random() < 0.3
    per_block = min(round(truth.hz * rng.choice((1, 1, 2, 0.5))), len(truth.microvolts))
    seconds, blocks = per_block / truth.hz, len(truth.microvolts) // per_block
    truth = truth._replace(microvolts=truth.microvolts[: blocks * per_block])
    file, names = inverted(rng, truth)
    names = [name.replace("−", "-") for name in names]
    unit, factor = rng.choice((("uV", 1.0), ("mV", 1e-3), ("", 1e-3), ("V", 1e-6)))
    top = 8_388_607 if wide else 32_767
    limit = 8000 * factor * rng.choice((1, 1, -1))  # the physical maximum may be the lower one
    digital = np.rint(file.microvolts * factor / limit * top).astype(int)
    channels = [_Channel(n, unit, -limit, limit, d) for n, d in zip(names, digital.T)]
    if rng.random() < 0.4:
        noise = np.random.default_rng(rng.getrandbits(32)).integers(-99, 99, len(digital))
        label = rng.choice(("EEG Fpz-Cz", "Resp", "SpO2", "EMG chin"))
        other = _Channel(label, rng.choice(("uV", "%", "")), -100.0, 100.0, noise)
        channels.insert(rng.randrange(len(channels) + 1), other)
    path = folder / rng.choice(("r.bdf" if wide else "r.edf", "r.txt", "r"))
    path.write_bytes(_encode(channels, top, seconds, blocks))
    exact = 8000 / top + 0.001
    whole = float(f"{seconds:.8g}"[:8]) == seconds
    must = whole and len(digital) >= truth.hz / 2 and all(len(name) <= 16 for name in names)
    if not must:
        return Written(path, truth, {"units": "mV"}, exact, False, "a name or a block too long")
    how = f"{unit!r} {seconds} s {[c.label for c in channels]} {limit}"
    return Written(path, truth, {} if unit else {"units": "mV"}, exact, must, how)


def _encode(channels: list[_Channel], top: int, seconds: float, blocks: int) -> bytes:
    count, wide = len(channels), top > 32_767

    def field(value: object, size: int) -> bytes:
        text = f"{value:.8g}" if isinstance(value, float) else str(value)
        return text.encode("latin-1")[:size].ljust(size)

    content = b"\xffBIOSEMI" if wide else b"0       "
    kind = "24BIT" if wide else ""
    sizes: list[tuple[object, int]] = [
        ("X X X X", 80), ("", 80), ("01.02.03", 8), ("04.05.06", 8), (256 * (count + 1), 8),
        (kind, 44), (blocks, 8), (seconds, 8), (count, 4),
    ]  # fmt: skip
    per_block = len(channels[0].digital) // blocks
    columns = (
        ([c.label for c in channels], 16), ([""] * count, 80), ([c.unit for c in channels], 8),
        ([c.low for c in channels], 8), ([c.high for c in channels], 8), ([-top] * count, 8),
        ([top] * count, 8), ([""] * count, 80), ([per_block] * count, 8), ([""] * count, 32),
    )  # fmt: skip
    sizes += [(value, size) for values, size in columns for value in values]
    content += b"".join(field(value, size) for value, size in sizes)
    for block in range(blocks):
        for channel in channels:
            piece = channel.digital[block * per_block : (block + 1) * per_block]
            if wide:
                content += piece.astype("<i4").view("u1").reshape(-1, 4)[:, :3].tobytes()
            else:
                content += piece.astype("<i2").tobytes()
    return content
