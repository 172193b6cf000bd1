"""The form of a library: one rate, length and set of leads, and how recordings get this form."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from metaecg.data import signal as steps
from metaecg.data.readers.leads import LIMB, complete
from metaecg.data.readers.notes import Note


class Target(NamedTuple):
    """The form that all records are brought into.

    Attributes:
      hz: samples per second.
      seconds: length of a record.
      leads: usual names.
      bandpass: (low, high) in Hz, or None.
      scale: mV per unit of the int16 signals.
      cut: whether a longer recording becomes several records, instead of its first `seconds` alone.
    """

    hz: float
    seconds: float
    leads: tuple[str, ...]
    bandpass: tuple[float, float] | None = None
    scale: float = 0.001
    cut: bool = False

    @property
    def samples(self) -> int:
        """Samples of each lead."""
        return round(self.hz * self.seconds)

    def describe(self) -> tuple[str, ...]:
        """The steps in words and in order, for `Library.processing`."""
        band = self.bandpass
        length = f"first {self.seconds:g} s, shorter ones"
        if self.cut:
            length = f"cut into pieces of {self.seconds:g} s, recordings shorter than one"
        return (
            f"leads {' '.join(self.leads)} by name, to mV",
            f"{length} padded with zeros at the end",
            f"up to {steps.LONGEST_GAP} s of missing samples interpolated",
            *([f"band-pass {band[0]:g}–{band[1]:g} Hz, zero phase"] if band else []),
            f"{self.hz:g} Hz, resampled where the record had another rate",
            f"rounded to {self.scale:g} mV",
        )


class Recorded(NamedTuple):
    """A recording as it was read: [samples, channels], Hz, unit and name of each channel."""

    signal: np.ndarray
    hz: float
    units: Sequence[str]
    names: Sequence[str]


def pieces(recorded: Recorded, target: Target) -> Iterator[tuple[float, Recorded]]:
    """The pieces that become records, each with its start in seconds.

    Without `target.cut`, and where the recording is shorter than two pieces, it is one. What is
    left at the end and is shorter than a piece is left out.
    """
    count = int(len(recorded.signal) / recorded.hz / target.seconds + 1e-9) if target.cut else 1
    for number in range(max(1, count)):
        start = round(number * target.seconds * recorded.hz)
        end = round((number + 1) * target.seconds * recorded.hz) if count > 1 else None
        yield number * target.seconds, recorded._replace(signal=recorded.signal[start:end])


def transform(
    signal: np.ndarray, hz: float, units: Sequence[str], names: Sequence[str], target: Target
) -> tuple[np.ndarray, tuple[Note, ...]]:
    """Brings one recording into the library's form.

    Limb leads that are missing are computed from two others.

    Args:
      signal: [samples, channels] in `units`, NaN where a sample is missing.
      hz: samples per second.
      units: unit of each channel.
      names: lead of each channel.
      target: the form wanted.

    Returns:
      int16 [target.samples, leads] in units of `target.scale` mV, and what was done.

    Raises:
      SignalError: it cannot be done.
    """
    signal, names, turned = steps.upright(signal, names)
    done = [turned]

    def note(result: tuple[np.ndarray, Note | None]) -> np.ndarray:
        done.append(result[1])
        return result[0]

    if missing := [lead for lead in target.leads if lead in LIMB and lead not in names]:
        limbs = [i for i, name in enumerate(names) if name in {*LIMB, *target.leads}]
        signal = note(steps.to_millivolts(signal[:, limbs], [units[i] for i in limbs]))
        signal, names, notes = complete(signal, [names[i] for i in limbs], target.leads)
        units = ["mV"] * len(names)
        done += [n for n in notes if n.text.startswith((*missing,))]
    columns = steps.match_leads(names, target.leads)
    signal = note(steps.to_millivolts(signal[:, columns], [units[c] for c in columns]))
    whole = len(signal)
    signal = signal[: math.ceil(target.seconds * hz)]
    if len(signal) < whole:
        done.append(Note(f"first {target.seconds:g} of {whole / hz:g} s"))
    signal = note(steps.fill_gaps(signal, hz, target.leads))
    if target.bandpass:
        signal, _ = steps.bandpass(signal, hz, *target.bandpass)
    signal = note(steps.resample(signal, hz, target.hz))
    signal = note(steps.crop_or_pad(signal, target.samples))
    units_of_scale = steps.quantise(signal, target.scale)
    done.append(steps.check_flat(units_of_scale, target.leads))
    return units_of_scale, tuple(filter(None, done))
