"""Recordings written in every legal way: known millivolts, names, rates, units, gaps and orders.

A writer takes a random number generator, an empty folder and a `Truth`, and writes the truth as
the programs, devices and archives of the world do. It returns how the file has to be read; what
comes back must be the truth, or a refusal in one line.

Every choice is drawn from a `random.Random`, so that a seed, or hypothesis, can repeat it.
"""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np

from metaecg.data.readers import recordings
from metaecg.data.readers.lead_names import STANDARD_LEADS
from metaecg.errors import MetaecgError

HERTZ = (100, 125, 128, 200, 240, 250, 256, 257, 300, 360, 500, 512, 1000)


class Truth(NamedTuple):
    """What a file holds: [samples, leads] in whole µV, NaN where missing; Hz; names of leads."""

    microvolts: np.ndarray
    hz: float
    leads: tuple[str, ...]


class Written(NamedTuple):
    """How a file is to be read.

    Attributes:
      path: the file.
      truth: what must come back.
      given: what the file does not say, arguments of `recordings.read`.
      exact: how many µV a value may be off.
      must: whether the file must be read; else it may be refused.
      how: the choices that were made, to tell what was wrong.
    """

    path: Path
    truth: Truth
    given: dict[str, Any]
    exact: float = 1e-6
    must: bool = True
    how: str = ""


def draw(rng: Random, most: int = 12) -> Truth:
    """Beats with an offset in one to twelve leads in any order, some with missing samples."""
    hz = rng.choice(HERTZ)
    samples = rng.randint(hz, 3 * hz)
    leads = tuple(rng.sample(STANDARD_LEADS, rng.choice((1, 2, 3, 8, 12)) if most > 3 else 1))
    noise = np.random.default_rng(rng.getrandbits(32))
    beats = np.exp(-((np.arange(samples) / hz % 0.8 - 0.3) ** 2) / 2 / 0.02**2)
    heights = noise.uniform(500, 1500, len(leads))
    signal = beats[:, None] * heights + noise.normal(0, 20, (samples, len(leads)))
    signal = np.rint(signal + rng.choice((0, 0, 137, -650)))
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        start, length = rng.randrange(samples), rng.choice((1, 3, hz // 4))
        lead = rng.choice((slice(None), rng.randrange(len(leads))))
        if start + length < samples - 1 and start > 1:
            signal[start : start + length, lead] = np.nan
    return Truth(signal, float(hz), leads)


def spell(rng: Random, lead: str) -> str:
    """One of the names that files have for a lead."""
    others = {"I": ("MLI", "DI"), "II": ("MLII", "DII"), "III": ("MLIII", "DIII")}
    ways = (lead, lead, lead.upper(), lead.lower(), f"Lead {lead}", f"ECG {lead}", f" {lead} ",
            f"ECG Lead {lead}", f"MDC_ECG_LEAD_{lead.upper()}", f"EKG-{lead}", f"lead_{lead}",
            *others.get(lead, ()))  # fmt: skip
    return rng.choice(ways)


def inverted(rng: Random, truth: Truth) -> tuple[Truth, list[str]]:
    """The truth as a file has it, some leads upside down, and the names that say so."""
    signs = [rng.choice((1,) * 9 + (-1,)) for _ in truth.leads]
    names = [
        rng.choice((f"-{lead}", f"−{lead}", f"{lead} (inverted)")) if sign < 0 else spell(rng, lead)
        for lead, sign in zip(truth.leads, signs)
    ]
    return truth._replace(microvolts=truth.microvolts * signs), names


def check(written: Written) -> str:
    """Reads a file: 'read' if the truth comes back, 'refused', or what was wrong."""
    try:
        recording = recordings.read(written.path, **written.given)
    except MetaecgError as error:
        text = str(error)
        if "\n" in text or not text.isprintable():
            return f"wrong: not one line: {text[:200]!r}"
        return f"unexpectedly refused: {text}" if written.must else "refused"
    truth = written.truth
    if recording.leads != truth.leads:
        return f"wrong: leads {recording.leads} for {truth.leads}"
    if abs(recording.hz / truth.hz - 1) > 2e-6 + 2e-6 / (len(truth.microvolts) / truth.hz):
        return f"wrong: {recording.hz} Hz for {truth.hz} Hz"
    expected = truth.microvolts / 1000
    if recording.signal.shape != expected.shape:
        return f"wrong: shape {recording.signal.shape} for {expected.shape}"
    if not np.array_equal(np.isnan(recording.signal), np.isnan(expected)):
        return "wrong: missing samples"
    off = np.nanmax(np.abs(recording.signal - expected), initial=0) * 1000
    return "read" if off <= written.exact else f"wrong: {off:g} µV off"


Writer = Callable[[Random, Path, Truth], Written]
