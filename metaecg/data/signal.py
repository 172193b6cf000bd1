"""Signal steps: from whatever a file holds to mV on the library's leads, rate and length.

A step is a function of an array [samples, leads] that returns the array and a note of what was done
to it, or None where nothing was.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import scipy  # its rooms are loaded when they are named, and filters take a second

from metaecg.data.readers.lead_names import STANDARD_LEADS as STANDARD_LEADS
from metaecg.data.readers.lead_names import lead_name, upright_name
from metaecg.data.readers.notes import Note
from metaecg.errors import MetaecgError

LONGEST_GAP = 0.2
"""Seconds of missing samples that are interpolated; a P wave lasts about half of it."""

_PER_MILLIVOLT = {
    **dict.fromkeys(("mv", "millivolt", "millivolts"), 1.0),
    **dict.fromkeys(("v", "volt", "volts"), 1e-3),
    **dict.fromkeys(("uv", "µv", "μv", "microvolt", "microvolts"), 1e3),
    "nv": 1e6,
}


class SignalError(MetaecgError):
    """A signal cannot be brought into the library's form; the message says why."""


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
        if (count := have.count(lead)) != 1:
            found = f"there {count} times" if count else "missing"
            raise SignalError(f"lead {lead} is {found}; the record has {' '.join(names)}")
    return [have.index(lead_name(lead)) for lead in wanted]


def upright(signal: np.ndarray, names: Sequence[str]) -> tuple[np.ndarray, list[str], Note | None]:
    """Turns the leads whose names say that they are inverted, such as '-aVR'.

    Returns:
      The signal, the usual names without a sign, and what was done. An inverted lead that is there
      upright as well keeps its sign.
    """
    found = [upright_name(name) for name in names]
    there = {name for name, sign in found if sign > 0}
    turned = [sign < 0 and name not in there for name, sign in found]
    usual = [lead if turn or sign > 0 else f"-{lead}" for (lead, sign), turn in zip(found, turned)]
    if not any(turned):
        return signal, usual, None
    which = " ".join(f"-{lead}" for lead, turn in zip(usual, turned) if turn)
    note = Note(f"inverted in the file, turned upright: {which}")
    return np.where(turned, -signal, signal), usual, note


def per_millivolt(unit: str) -> float:
    """How many of a unit are one millivolt; 0 where the unit is no voltage."""
    return _PER_MILLIVOLT.get(unit.strip().lower(), 0.0)


def to_millivolts(signal: np.ndarray, units: Sequence[str]) -> tuple[np.ndarray, Note | None]:
    """Brings each lead from its unit (mV, V, µV, uV or nV) to mV.

    Raises:
      SignalError: a unit is none of these.
    """
    for unit in units:
        if not per_millivolt(unit):
            raise SignalError(f"unit {unit!r} is not one of mV, V, uV, nV")
    factors = np.array([per_millivolt(unit) for unit in units])
    if (factors == 1).all():
        return signal, None
    return signal / factors, Note(f"{' '.join(sorted(set(units)))} to mV")


def fill_gaps(
    signal: np.ndarray, hz: float, leads: Sequence[str] = ()
) -> tuple[np.ndarray, Note | None]:
    """Interpolates short runs of missing (NaN) samples linearly, lead by lead.

    Args:
      signal: [samples, leads].
      hz: samples per second.
      leads: names of the leads, for the error.

    Raises:
      SignalError: a run is longer than `LONGEST_GAP` seconds.
    """
    missing = ~np.isfinite(signal)
    if not missing.any():
        return signal, None
    filled = signal.copy()
    times = np.arange(len(signal))
    for lead in map(int, np.flatnonzero(missing.any(axis=0))):
        gap = missing[:, lead]
        longest = longest_run(gap)
        if longest > LONGEST_GAP * hz:
            where = f" of lead {leads[lead]}" if leads else ""
            raise SignalError(
                f"{longest / hz:g} s of samples{where} are missing (NaN) at a stretch; "
                f"at most {LONGEST_GAP} s are interpolated"
            )
        filled[gap, lead] = np.interp(times[gap], times[~gap], signal[~gap, lead])
    return filled, Note(f"{int(missing.sum())} missing samples interpolated", serious=True)


def longest_run(is_true: np.ndarray) -> int:
    """The length of the longest run of True in a boolean array of one axis."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_true, [0]])))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def bandpass(
    signal: np.ndarray, hz: float, low: float, high: float
) -> tuple[np.ndarray, Note | None]:
    """Zero-phase Butterworth filter, second order each way, from `low` to `high` Hz.

    Raises:
      SignalError: not 0 < low < high < hz / 2, or the signal is too short to filter.
    """
    if not 0 < low < high < hz / 2:
        raise SignalError(f"band-pass {low:g}–{high:g} Hz needs 0 < low < high < {hz / 2:g} Hz")
    sections = scipy.signal.butter(2, (low, high), "bandpass", fs=hz, output="sos")
    if len(signal) <= 15:
        raise SignalError(f"{len(signal)} samples are too few to filter")
    filtered = scipy.signal.sosfiltfilt(sections, signal, axis=0)
    return filtered, Note(f"band-pass {low:g}–{high:g} Hz")


def resample(signal: np.ndarray, hz: float, to: float) -> tuple[np.ndarray, Note | None]:
    """Changes the rate by a rational ratio with an anti-aliasing filter.

    Args:
      signal: [samples, leads], finite.
      hz: rate of `signal`, samples per second.
      to: rate wanted; where equal the very array is returned.

    Returns:
      [ceil(samples · to / hz), leads], and what was done. Where no fraction of small terms is the
      ratio of the rates, the nearest is taken: a wave is at most 0.1 ms off after 10 s.

    Raises:
      SignalError: a rate is not positive, or one rate is more than 10,000 times the other.
    """
    if not (hz > 0 and to > 0):
        raise SignalError(f"rates must be positive: {hz:g} Hz to {to:g} Hz")
    if hz == to:
        return signal, None
    if not 1e-4 <= to / hz <= 1e4:
        raise SignalError(f"{hz:g} Hz to {to:g} Hz: give a rate nearer to that of the recording")
    exact = Fraction(to) / Fraction(hz)
    for terms in (1_000, 10_000, 100_000):
        ratio = exact.limit_denominator(terms)
        if abs(float(ratio / exact) - 1) <= 1e-5 and ratio.numerator <= terms:
            break
    # The line through the ends is set aside, so that an offset does not ring at the edges.
    up, down = ratio.numerator, ratio.denominator
    resampled = scipy.signal.resample_poly(signal, up, down, axis=0, padtype="line")
    return resampled, Note(f"{hz:g} Hz to {to:g} Hz")


def one_rate(channels: Sequence[np.ndarray], rates: Sequence[float]) -> np.ndarray:
    """Brings channels of several rates to the highest of these.

    Args:
      channels: float64 [samples] each, NaN where a sample is missing, of one length in seconds.
      rates: samples per second of each.

    Returns:
      float64 [samples, channels]; what was near a missing sample is missing, too.
    """
    highest = max(rates)
    if min(rates) == highest:
        shortest = min(map(len, channels))
        return np.stack([channel[:shortest] for channel in channels], axis=1)
    brought = []
    for channel, hz in zip(channels, rates):
        missing = np.isnan(channel)
        if not missing.all():
            times = np.arange(len(channel))
            known = np.interp(times, times[~missing], channel[~missing])
            after = np.arange(round(len(channel) * highest / hz)) * hz / highest
            around = np.floor(after).astype(int), np.ceil(after).astype(int)
            lost = np.any([missing[np.minimum(i, len(channel) - 1)] for i in around], axis=0)
            channel = resample(known[:, None], hz, highest)[0][: len(after), 0]
            channel = np.where(lost[: len(channel)], np.nan, channel)
        else:
            channel = np.full(round(len(channel) * highest / hz), np.nan)
        brought.append(channel)
    return one_rate(brought, [highest] * len(brought))


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
    """Names the leads without any change in them; None where there is none.

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
