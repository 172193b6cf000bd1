"""What a cardiologist would check: rate, PR, QRS, QT, QTc and the frontal axis, of the median beat.

measured = measure(signal, 100.0, ("I", "II", "V1"))

The beats found are laid upon each other at `HZ`, whatever the recording's own rate, and their
median is measured. Each number is None, with the reason, where it cannot be told.

QRS reaches from where the slope of all leads together rises to where it falls silent. T ends in
each lead where the tangent of its steepest descent meets the level before QRS (Lepeschkin and
Surawicz 1952), and P begins where that of its steepest ascent meets the level before it; both
follow clear leads only. QTc is QT / RR^½ (Bazett 1920) and QT / RR^⅓ (Fridericia 1920), RR the mean
interval in s. The axis is that of the net area of QRS in I and aVF, of which aVF counts 2/√3 times
as it is augmented. Thresholds and offsets were set on half of LUDB (docs/specification.md), whose
cardiologists see waves begin and end a little outside of what a slope or a tangent says.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metaecg.signals import beats
from metaecg.types import Array

HZ = 500
"""Samples a second of the median beat."""
BEFORE, AFTER = 225, 375
"""Its samples before the R peak and from it on: −0.45 s to +0.75 s."""

UNITS = {
    "rate": "/min",
    "PR": "ms",
    "QRS": "ms",
    "QT": "ms",
    "QTc (Bazett)": "ms",
    "QTc (Fridericia)": "ms",
    "axis": "°",
}
"""What is measured, and in what."""

_PASS = 0.5, 45.0  # Hz: wander below, mains and muscle above
_ALIGNED, _NEAR = 20, 50  # samples: how far a beat is moved, and half of the QRS it is moved by
_ALIKE = 0.9  # correlation with the median; premature beats are left out
_BEGIN, _END, _QUIET = 0.25, 0.10, 10  # of the steepest slope; samples that stay below
_BEGIN_EARLIER, _END_LATER, _T_LATER, _P_EARLIER = 6.0, 5.0, 8.0, 1.0  # samples
_CLEAR_P, _LEAST_P, _LEAST_T = 8.0, 0.03, 0.05  # times its noise; mV
_IRREGULAR = 0.14  # median deviation of RR from the median RR
_NET = 0.1  # of the area of QRS: less than this is no direction


class Measured(NamedTuple):
    """What was measured of one recording.

    Attributes:
      values: by the names of `UNITS`, None where it is not measurable; the axis is in (−180, 180].
      why: the reason for each None.
      beats: how many beats the median is of.
      found: how many were found; one of another form than most is left out.
      leads: how many leads were read; those without any change are not.
      beat: float32 [BEFORE + AFTER, leads], the median beat in mV at `HZ`; zeros where there is
        none.
      marks: seconds from the R peak of 'P', 'QRS', 'QRS end' and 'T end', where they are known.
    """

    values: dict[str, float | None]
    why: dict[str, str]
    beats: int
    found: int
    leads: int
    beat: np.ndarray
    marks: dict[str, float]

    @property
    def grounds(self) -> str:
        """What the numbers rest on, in words."""
        return f"median of {self.beats} of {self.found} beats, {self.leads} leads"

    @property
    def shown(self) -> dict[str, str]:
        """Each value with its unit, in whole numbers, or 'not measurable' and why."""
        return {
            name: f"not measurable: {self.why[name]}"
            if value is None
            else f"{value:.0f}{'' if UNITS[name] in '°/min' else ' '}{UNITS[name]}"
            for name, value in self.values.items()
        }

    def as_text(self) -> str:
        """All in one line; each reason once."""
        if not self.beats:
            return f"nothing: {self.why['rate']}"
        there = [f"{name} {self.shown[name]}" for name, v in self.values.items() if v is not None]
        gone = [
            f"{' and '.join(n for n, w in self.why.items() if w == why)} not measurable: {why}"
            for why in dict.fromkeys(self.why.values())
        ]
        return "; ".join([", ".join(there), *gone, self.grounds])

    def as_json(self) -> dict[str, Any]:
        """For `json.dumps`: each value rounded to tenths, or null and why."""
        each = {
            name: {"value": None if value is None else round(value, 1), "unit": UNITS[name]}
            | ({"not measurable": self.why[name]} if value is None else {})
            for name, value in self.values.items()
        }
        marks = {name: round(1000 * at, 1) for name, at in self.marks.items()}
        return {**each, "ms from R": marks, "rests on": self.grounds}


class _Beat(NamedTuple):
    """The median beat of the leads that change, and what is known of it.

    Attributes:
      median: float64 [BEFORE + AFTER, leads], mV.
      apart: like it, of each beat the distance from it; NaN beyond the recording's ends.
      first, last: the rows that half of the beats have, or more.
      found: how many beats there are in the recording.
      gap: s, the mean interval between two beats.
      irregular: median deviation of the intervals, in units of the median one.
    """

    median: np.ndarray
    apart: np.ndarray
    first: int
    last: int
    found: int
    gap: float
    irregular: float


def measure(signal: np.ndarray, hz: float, leads: Sequence[str]) -> Measured:
    """Measures one recording.

    Args:
      signal: finite, [samples, leads] in mV.
      hz: samples per second.
      leads: their usual names, 'I', 'aVF', 'V1' …, in any case.
    """
    values: dict[str, float | None] = dict.fromkeys(UNITS)
    signal = np.asarray(signal, np.float64)
    there = np.flatnonzero(np.ptp(signal, axis=0) > 0)
    shown = np.zeros((BEFORE + AFTER, len(leads)), np.float32)
    beat = _beat(signal[:, there], hz) if len(there) and hz >= 50 and len(signal) >= 5 * hz else None
    if beat is None:
        why = dict.fromkeys(UNITS, "fewer than two beats were found")
        return Measured(values, why, 0, 0, len(there), shown, {})
    shown[:, there] = beat.median
    values["rate"] = 60 / beat.gap
    why: dict[str, str] = {}
    begin, end = _qrs(beat)
    marks = {"QRS": begin, "QRS end": end}
    values["QRS"] = end - begin
    names = [leads[i].upper() for i in there]
    for name, found in (
        ("P", _p(beat, begin)),
        ("T end", _t(beat, begin, end)),
        ("axis", _axis(beat, begin, end, names)),
    ):
        whole = {"P": "PR", "T end": "QT"}.get(name, name)
        if isinstance(found, str):
            why[whole] = found
        elif name == "axis":
            values["axis"] = found
        else:
            marks[name] = found
            values[whole] = abs(found - begin)
    for name in ("PR", "QRS", "QT"):
        if values[name] is not None:
            values[name] *= 1000 / HZ
    if values["QT"] is None:
        why |= {name: why["QT"] for name in UNITS if name.startswith("QTc")}
    else:
        values["QTc (Bazett)"] = values["QT"] / beat.gap**0.5
        values["QTc (Fridericia)"] = values["QT"] / beat.gap ** (1 / 3)
    seconds = {name: (row - BEFORE) / HZ for name, row in marks.items()}
    return Measured(values, why, len(beat.apart), beat.found, len(there), shown, seconds)


@functools.cache
def _find() -> Callable[[Array], beats.Peaks]:
    return jax.jit(lambda x: beats.find_peaks(beats.without_wander(x)))


def _fine(signal: np.ndarray, hz: float) -> np.ndarray:
    """A recording within `_PASS` at `HZ`; sample i is at (i + ½) / HZ − ½ / hz seconds."""
    samples, wanted = len(signal), round(len(signal) * HZ / hz)
    spectrum = np.fft.rfft(np.concatenate([signal, signal[::-1]]), axis=0)[: wanted + 1]
    at = np.arange(len(spectrum))
    f = at * hz / (2 * samples)
    response = f**4 / (f**4 + _PASS[0] ** 4) / (1 + (f / _PASS[1]) ** 8)
    response = response * np.exp(1j * np.pi * at * 0.5 * (1 / wanted - 1 / samples))
    fine = np.fft.irfft(spectrum * response[:, None], 2 * wanted, axis=0)[:wanted]
    return fine * (wanted / samples)


def _beat(signal: np.ndarray, hz: float) -> _Beat | None:
    """The median beat of a recording [samples, leads]; None with fewer than two beats."""
    standard = beats.at_standard_rate(jnp.asarray(signal[None], jnp.float32), hz)
    peaks = _find()(standard)
    at = np.asarray(peaks.at[0])[np.asarray(peaks.real[0])]
    at = np.round((at + 0.5) * HZ / beats.HZ - 0.5).astype(int)
    x = _fine(signal, hz)
    whole = at[(at >= _NEAR + _ALIGNED) & (at < len(x) - _NEAR - _ALIGNED)]
    if len(whole) < 2:
        return None
    moves = np.arange(-_ALIGNED, _ALIGNED + 1)
    for _ in range(2):  # the second time upon a sharper median
        form = _centred(np.median(_cut(x, whole, _NEAR, _NEAR), axis=0))
        placed, alike = [], []
        for n in whole:
            moved = np.clip(n + moves, _NEAR, len(x) - _NEAR)
            piece = _centred(_cut(x, moved, _NEAR, _NEAR))
            size = np.sqrt((piece**2).sum((1, 2)) * (form**2).sum())
            likeness = (piece * form).sum((1, 2)) / (size + 1e-12)
            placed.append(moved[likeness.argmax()])
            alike.append(likeness.max())
        whole = np.array(placed)
    whole = whole[np.array(alike) > _ALIKE]
    if len(whole) < 2:
        return None
    pieces = _cut(x, whole, BEFORE, AFTER)
    known = np.isfinite(pieces[..., 0]).mean(0) >= 0.5
    rows = np.flatnonzero(known)
    median = np.zeros(pieces.shape[1:])
    median[rows] = np.nanmedian(pieces[:, rows], axis=0)
    gaps = np.diff(at) / HZ
    irregular = np.median(np.abs(gaps - np.median(gaps))) / np.median(gaps)
    first, last = int(rows[0]), int(rows[-1]) + 1
    return _Beat(median, pieces - median, first, last, len(at), gaps.mean(), irregular)


def _cut(x: np.ndarray, at: np.ndarray, before: int, after: int) -> np.ndarray:
    """Pieces [N, before + after, leads] around rows; NaN beyond the ends."""
    rows = at[:, None] + np.arange(-before, after)
    inside = (rows >= 0) & (rows < len(x))
    return np.where(inside[..., None], x[np.clip(rows, 0, len(x) - 1)], np.nan)


def _centred(pieces: np.ndarray) -> np.ndarray:
    return pieces - pieces.mean(-2, keepdims=True)


def _smooth(x: np.ndarray, width: int) -> np.ndarray:
    """The mean over a centred window of an odd width."""
    return np.convolve(np.pad(x, width // 2, mode="edge"), np.ones(width) / width, "valid")


def _qrs(beat: _Beat) -> tuple[float, float]:
    """The rows at which QRS begins and ends."""
    slope = _smooth(np.sqrt((np.gradient(beat.median, axis=0) ** 2).mean(1)), 5)
    core = slope[BEFORE - _NEAR : BEFORE + _NEAR]
    steep = BEFORE - _NEAR + np.flatnonzero(core > 0.3 * core.max())
    begin, end = int(steep[0]), int(steep[-1])
    while begin > _QUIET and slope[begin - _QUIET : begin].max() >= _BEGIN * core.max():
        begin -= 1
    latest = len(slope) - _QUIET - 1
    while end < latest and slope[end + 1 : end + 1 + _QUIET].max() >= _END * core.max():
        end += 1
    return begin - _BEGIN_EARLIER, end + _END_LATER


def _level(beat: _Beat, begin: float) -> np.ndarray:
    """The level of each lead just before QRS, mV."""
    row = max(10, int(begin))
    return beat.median[row - 10 : row].mean(0)


def _t(beat: _Beat, begin: float, end: float) -> float | str:
    """The row at which T ends, the median of leads with a clear T; else why not."""
    gap = beat.gap * HZ
    first = int(end) + 30
    last = int(min(beat.last, begin + gap - 20, begin + 0.62 * gap + 60))
    if last - first < 40:
        return "the next beat, or the end of the recording, comes before the end of T"
    ends, heights = [], []
    for lead in (beat.median - _level(beat, begin)).T:
        lead = _smooth(lead, 9)
        lead = lead * np.sign(lead[first + np.abs(lead[first:last]).argmax()])
        top = first + int(lead[first:last].argmax())
        slope = np.gradient(lead)
        steepest = top + int(slope[top : min(top + 90, last)].argmin())
        if slope[steepest] < 0:
            ends.append(steepest - lead[steepest] / slope[steepest])
            heights.append(lead[top])
    if not ends or max(heights) < _LEAST_T:
        return "T is flat"
    found = float(np.median(np.array(ends)[np.array(heights) > 0.3 * max(heights)])) + _T_LATER
    return found if found < last else "T goes on to where it can no longer be told from what follows"


def _p(beat: _Beat, begin: float) -> float | str:
    """The row at which P begins, along its main direction in all leads; else why not."""
    if beat.irregular > _IRREGULAR:
        return "the rhythm is irregular"
    first = int(max(begin - 160, begin - 0.55 * beat.gap * HZ, beat.first))
    last = int(begin) - 10
    if last - first < 30:
        return "there is no room for P between the beats"
    away = beat.median - _level(beat, begin)
    direction = np.linalg.svd(away[first:last], full_matrices=False)[2][0]
    along = away @ direction
    if -along[first:last].min() > along[first:last].max():
        along, direction = -along, -direction
    along = _smooth(along, 9)
    top = first + int(along[first:last].argmax())
    # What is left of other things after averaging: f waves, P waves at other times, muscle.
    noise = (beat.apart @ direction)[:, first:last]
    noise = noise - np.nanmean(noise, axis=1, keepdims=True)
    left = np.sqrt(np.nanmean(noise**2) / len(noise))
    height = along[top] - max(0.0, along[first : top + 1].min())
    if height < _CLEAR_P * left or np.abs(away[top]).max() < _LEAST_P:
        return "no clear P"
    slope = np.gradient(along)
    early = max(first, top - 60)
    steepest = early + int(slope[early : top + 1].argmax())
    if steepest - 20 <= first or slope[steepest] <= 0:
        return "P is not told from what is before it"
    level = np.median(along[max(first, steepest - 60) : steepest - 20])
    return float(steepest - (along[steepest] - level) / slope[steepest]) - _P_EARLIER


def _axis(beat: _Beat, begin: float, end: float, leads: Sequence[str]) -> float | str:
    """The frontal axis in degrees; else why not."""
    if "I" not in leads or not {"II", "AVF"} & set(leads):
        return "the leads I and II, or I and aVF, are needed"
    qrs = (beat.median - _level(beat, begin))[int(begin) : int(end) + 1]
    area = dict(zip(leads, qrs.sum(0)))
    down = area["AVF"] if "AVF" in area else area["II"] - area["I"] / 2
    x, y = area["I"], down * 2 / 3**0.5
    if np.hypot(x, y) < _NET * np.abs(qrs[:, [leads.index("I")]]).sum():
        return "QRS points nowhere in the frontal plane"
    return float(np.degrees(np.arctan2(y, x)))
