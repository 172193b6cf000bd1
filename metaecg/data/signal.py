"""Signal steps: from whatever a file holds to mV on the library's leads, rate and length.

A step is a function of an array [samples, leads] that returns the array and a note of what was done
to it, or None where nothing was.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from scipy import signal as filters

from metaecg.data.readers.notes import Note
from metaecg.errors import MetaecgError

STANDARD_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

LONGEST_GAP = 0.2
"""Seconds of missing samples that are interpolated; a P wave lasts about half of it."""

_ALIASES = {
    "MLI": "I", "MLII": "II", "MLIII": "III", "DI": "I", "DII": "II", "DIII": "III",
    "D1": "I", "D2": "II", "D3": "III", "1": "I", "2": "II", "3": "III",
    "MV1": "V1", "MV2": "V2", "MV3": "V3", "MV4": "V4", "MV5": "V5", "MV6": "V6",
    "C1": "V1", "C2": "V2", "C3": "V3", "C4": "V4", "C5": "V5", "C6": "V6",
}  # fmt: skip
_PER_MILLIVOLT = {"mv": 1.0, "v": 1e-3, "uv": 1e3, "µv": 1e3, "μv": 1e3, "nv": 1e6}


class SignalError(MetaecgError):
    """A signal cannot be brought into the library's form; the message says why."""


def lead_name(name: str) -> str:
    """The usual spelling of a lead: 'AVR', 'Lead II' and 'MLII' become 'aVR', 'II' and 'II'."""
    short = name.strip().upper()
    for prefix in ("LEAD", "ECG", "EKG"):
        short = short.removeprefix(prefix).strip(" _-:.")
    short = _ALIASES.get(short, short)
    usual = {lead.upper(): lead for lead in STANDARD_LEADS}
    return usual.get(short, short or name)


def match_leads(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Finds leads by name, whatever their order and spelling.

    Args:
      names: the leads of a record, as its file calls them.
      wanted: the leads to find.

    Returns:
      The position in `names` of each wanted lead.

    Raises:
      SignalError: a wanted lead is not there, or there twice.
    """
    have = [lead_name(name) for name in names]
    for lead in map(lead_name, wanted):
        if have.count(lead) != 1:
            raise SignalError(
                f"lead {lead} is there {have.count(lead)} times; the record has {' '.join(names)}"
            )
    return [have.index(lead_name(lead)) for lead in wanted]


def to_millivolts(signal: np.ndarray, units: Sequence[str]) -> tuple[np.ndarray, Note | None]:
    """Brings each lead from its unit (mV, V, µV, uV or nV) to mV.

    Raises:
      SignalError: a unit is none of these.
    """
    for unit in units:
        if unit.strip().lower() not in _PER_MILLIVOLT:
            raise SignalError(f"unit {unit!r} is not one of mV, V, uV, nV")
    factors = np.array([_PER_MILLIVOLT[unit.strip().lower()] for unit in units])
    if (factors == 1).all():
        return signal, None
    return signal / factors, Note(f"{' '.join(sorted(set(units)))} to mV")


def fill_gaps(signal: np.ndarray, hz: float) -> tuple[np.ndarray, Note | None]:
    """Interpolates short runs of missing (NaN) samples linearly, lead by lead.

    Raises:
      SignalError: a run is longer than `LONGEST_GAP` seconds.
    """
    missing = ~np.isfinite(signal)
    if not missing.any():
        return signal, None
    longest = 0
    filled = signal.copy()
    times = np.arange(len(signal))
    for lead in np.flatnonzero(missing.any(axis=0)):
        gap = missing[:, lead]
        edges = np.flatnonzero(np.diff(np.concatenate([[0], gap, [0]])))
        longest = max(longest, int((edges[1::2] - edges[::2]).max()))
        if longest > LONGEST_GAP * hz:
            raise SignalError(
                f"{longest / hz:g} s of samples are missing (NaN) at a stretch; "
                f"at most {LONGEST_GAP} s are interpolated"
            )
        filled[gap, lead] = np.interp(times[gap], times[~gap], signal[~gap, lead])
    return filled, Note(f"{int(missing.sum())} missing samples interpolated", serious=True)


def bandpass(
    signal: np.ndarray, hz: float, low: float, high: float
) -> tuple[np.ndarray, Note | None]:
    """Zero-phase Butterworth filter, second order each way, from `low` to `high` Hz.

    Raises:
      SignalError: not 0 < low < high < hz / 2, or the signal is too short to filter.
    """
    if not 0 < low < high < hz / 2:
        raise SignalError(f"band-pass {low:g}–{high:g} Hz needs 0 < low < high < {hz / 2:g} Hz")
    sections = filters.butter(2, (low, high), "bandpass", fs=hz, output="sos")
    if len(signal) <= 15:
        raise SignalError(f"{len(signal)} samples are too few to filter")
    return filters.sosfiltfilt(sections, signal, axis=0), Note(f"band-pass {low:g}–{high:g} Hz")


def resample(signal: np.ndarray, hz: float, to: float) -> tuple[np.ndarray, Note | None]:
    """Changes the rate by a rational ratio with an anti-aliasing filter.

    Args:
      signal: [samples, leads], finite.
      hz: rate of `signal`, samples per second.
      to: rate wanted; where equal the very array is returned.

    Returns:
      [ceil(samples · to / hz), leads], and what was done.

    Raises:
      SignalError: a rate is not positive, or the ratio is no fraction with terms up to 1000.
    """
    if not (hz > 0 and to > 0):
        raise SignalError(f"rates must be positive: {hz:g} Hz to {to:g} Hz")
    if hz == to:
        return signal, None
    ratio = (Fraction(to) / Fraction(hz)).limit_denominator(1000)
    if not ratio or ratio.numerator > 1000 or abs(float(ratio) * hz / to - 1) > 1e-6:
        raise SignalError(f"{hz:g} Hz to {to:g} Hz is no fraction with terms up to 1000")
    # The line through the ends is set aside, so that an offset does not ring at the edges.
    up, down = ratio.numerator, ratio.denominator
    resampled = filters.resample_poly(signal, up, down, axis=0, padtype="line")
    return resampled, Note(f"{hz:g} Hz to {to:g} Hz")


def crop_or_pad(signal: np.ndarray, samples: int) -> tuple[np.ndarray, Note | None]:
    """The first `samples` samples; a shorter signal is followed by zeros.

    Raises:
      SignalError: the signal is empty.
    """
    have = len(signal)
    if not have:
        raise SignalError("the signal is empty")
    if have == samples:
        return signal, None
    if have > samples:
        return signal[:samples], Note(f"first {samples} of {have} samples")
    padding = np.zeros((samples - have, signal.shape[1]), signal.dtype)
    note = Note(f"{have} samples padded with zeros to {samples}", serious=True)
    return np.concatenate([signal, padding]), note


def check_flat(signal: np.ndarray, leads: Sequence[str]) -> Note | None:
    """Names the leads without any change in them; None where there are none.

    Raises:
      SignalError: all leads are flat.
    """
    flat = [lead for lead, span in zip(leads, np.ptp(signal, axis=0)) if span == 0]
    if len(flat) == signal.shape[1]:
        raise SignalError("all leads are flat")
    return Note(f"flat: {' '.join(flat)}", serious=True) if flat else None


def quantise(signal: np.ndarray, scale: float) -> np.ndarray:
    """mV to int16 units of `scale` mV, rounded to the nearest.

    Raises:
      SignalError: a value does not fit.
    """
    units = np.rint(signal / scale)
    largest = np.abs(units).max()
    if not largest <= 32767:  # NaN is refused, too
        raise SignalError(
            f"amplitude of {largest * scale:.6g} mV is beyond ±{32767 * scale:g} mV; "
            "the gain or unit in the header is likely wrong"
        )
    return units.astype(np.int16)
