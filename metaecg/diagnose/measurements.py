"""What a cardiologist would check: rate, PR, QRS, QT, QTc and the frontal axis, of the median beat.

measured = measure(signal, 100.0, ("I", "II", "V1"))

The beats found are laid upon each other at `HZ`, whatever the recording's own rate, and their
median is measured. Each number is None, with the reason, where it cannot be told.

QRS reaches from where the slope of all leads together rises to where it falls silent. T ends in
each lead where the tangent of its steepest descent meets the level before QRS (Lepeschkin and
Surawicz 1952), and P begins where that of its steepest ascent meets the level before it; both
follow clear leads only. QTc is QT / RR^½ (Bazett 1920) and QT / RR^⅓ (Fridericia 1920), RR the mean
interval in s. The axis is that of the net area of QRS in I and aVF, of which aVF counts 2/√3 times
as it is augmented. Thresholds and offsets were set on LUDB (docs/specification.md says on which
part), whose cardiologists see waves begin and end a little outside of what slope or tangent says.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from metaecg.signals.fine_beat import AFTER, BEFORE, HZ, NEAR, FineBeat, fine_beat

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

_BEGIN, _END, _QUIET = 0.25, 0.10, 10  # of the steepest slope; samples that stay below
_BEGIN_EARLIER, _END_LATER, _T_LATER, _P_EARLIER = 6.0, 5.0, 8.0, 1.0  # samples
_CLEAR_P, _LEAST_P, _LEAST_T = 8.0, 0.03, 0.05  # times its noise; mV
_SLOW = 0.8  # of the size of P: a level before QRS that is part of QRS, as a delta wave is
_LONGEST = 260.0  # ms of QRS; of 500 recordings of PTB-XL drawn at random the longest had 236
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
        leads = f"{self.leads} lead{'s' if self.leads != 1 else ''}"
        return f"median of {self.beats} of {self.found} beats, {leads}"

    @property
    def shown(self) -> dict[str, str]:
        """The values that are there, in whole numbers with their units."""
        return {
            name: f"{value:.0f}{' ' if UNITS[name] == 'ms' else ''}{UNITS[name]}"
            for name, value in self.values.items()
            if value is not None
        }

    @property
    def unmeasured(self) -> list[str]:
        """What is not measurable and why, each reason once."""
        return [
            f"{' and '.join(n for n, w in self.why.items() if w == why)} not measurable: {why}"
            for why in dict.fromkeys(self.why.values())
        ]

    def as_text(self) -> str:
        """All in one line."""
        if not self.beats:
            return f"nothing: {self.why['rate']}"
        there = [f"{name} {value}" for name, value in self.shown.items()]
        return "; ".join([", ".join(there), *self.unmeasured, self.grounds])

    def as_json(self) -> dict[str, Any]:
        """For `json.dumps`: each value rounded to tenths, or null and why."""
        each = {
            name: {"value": None if value is None else round(value, 1), "unit": UNITS[name]}
            | ({"not measurable": self.why[name]} if value is None else {})
            for name, value in self.values.items()
        }
        marks = {name: round(1000 * at, 1) for name, at in self.marks.items()}
        return {**each, "ms from R": marks, "rests on": self.grounds}


def measure(signal: np.ndarray, hz: float, leads: Sequence[str]) -> Measured:
    """Measures one recording.

    Args:
      signal: finite, [samples, leads] in mV.
      hz: samples per second.
      leads: their usual names, 'I', 'aVF', 'V1' …, in any case.
    """
    signal = np.asarray(signal, np.float64)
    there = np.flatnonzero(np.ptp(signal, axis=0) > 0).tolist()
    shown = np.zeros((BEFORE + AFTER, len(leads)), np.float32)
    beat = fine_beat(signal[:, there], hz)
    if beat is None:
        why = dict.fromkeys(UNITS, "fewer than two beats were found")
        return Measured(dict.fromkeys(UNITS), why, 0, 0, len(there), shown, {})
    shown[:, there] = beat.median
    begin, end = _qrs(beat)
    t_end = _t(beat, begin, end)
    p_begin = _p(beat, begin, t_end)
    lasts = (end - begin) * 1000 / HZ
    found: dict[str, float | str] = {
        "rate": 60 / beat.gap,
        "PR": p_begin if isinstance(p_begin, str) else (begin - p_begin) * 1000 / HZ,
        "QRS": lasts,
        "QT": t_end if isinstance(t_end, str) else (t_end - begin) * 1000 / HZ,
    }
    qt = found["QT"]
    for name, power in (("Bazett", 1 / 2), ("Fridericia", 1 / 3)):
        found[f"QTc ({name})"] = qt if isinstance(qt, str) else qt / beat.gap**power
    found["axis"] = _axis(beat, begin, end, [leads[i].upper() for i in there])
    rows = {"P": p_begin, "QRS": begin, "QRS end": end, "T end": t_end}
    if lasts > _LONGEST:
        unclear = f"QRS would last {lasts:.0f} ms: where it begins or ends is not clear"
        found = {name: x if name == "rate" else unclear for name, x in found.items()}
        rows = {}
    values = {name: None if isinstance(x, str) else float(x) for name, x in found.items()}
    why = {name: x for name, x in found.items() if isinstance(x, str)}
    marks = {n: (row - BEFORE) / HZ for n, row in rows.items() if not isinstance(row, str)}
    return Measured(values, why, len(beat.apart), beat.found, len(there), shown, marks)


def _smooth(x: np.ndarray, width: int) -> np.ndarray:
    """The mean over a centred window of an odd width."""
    return np.convolve(np.pad(x, width // 2, mode="edge"), np.ones(width) / width, "valid")


def _qrs(beat: FineBeat) -> tuple[float, float]:
    """The rows at which QRS begins and ends."""
    slope = _smooth(np.sqrt((np.gradient(beat.median, axis=0) ** 2).mean(1)), 5)
    core = slope[BEFORE - NEAR : BEFORE + NEAR]
    steep = BEFORE - NEAR + np.flatnonzero(core > 0.3 * core.max())
    begin, end = int(steep[0]), int(steep[-1])
    while begin > _QUIET and slope[begin - _QUIET : begin].max() >= _BEGIN * core.max():
        begin -= 1
    latest = len(slope) - _QUIET - 1
    while end < latest and slope[end + 1 : end + 1 + _QUIET].max() >= _END * core.max():
        end += 1
    return begin - _BEGIN_EARLIER, end + _END_LATER


def _level(beat: FineBeat, begin: float) -> np.ndarray:
    """The level of each lead just before QRS, mV."""
    row = max(10, int(begin))
    return beat.median[row - 10 : row].mean(0)


def _t(beat: FineBeat, begin: float, end: float) -> float | str:
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
    return (
        found if found < last else "T goes on to where it can no longer be told from what follows"
    )


def _p(beat: FineBeat, begin: float, t_end: float | str) -> float | str:
    """The row at which P begins, along its main direction in all leads; else why not."""
    if beat.irregular > _IRREGULAR:
        return "the rhythm is irregular"
    gap = beat.gap * HZ
    # The T before it is where that of the median beat is, one beat earlier.
    after_t = begin - 0.55 * gap if isinstance(t_end, str) else t_end - gap - _T_LATER
    first = int(max(begin - 190, after_t, beat.first))
    last = int(begin) - 10
    if last - first < 30:
        return "there is no room for P between the beats"
    before_qrs = _level(beat, begin)
    usual = np.median(beat.median[first:last], axis=0)
    size = np.linalg.norm(beat.median[first : last - 20] - usual, axis=1).max()
    if last - first > 100 and np.linalg.norm(before_qrs - usual) > _SLOW * size:
        return "P is not told from QRS, which rises slowly"
    away = beat.median - before_qrs
    direction = np.linalg.svd(away[first:last], full_matrices=False)[2][0]
    along = away @ direction
    if -along[first:last].min() > along[first:last].max():
        along, direction = -along, -direction
    along = _smooth(along, 9)
    top = first + int(along[first:last].argmax())
    # What is left of other things after averaging: f waves, P waves at other times, muscle.
    noise = (beat.apart @ direction)[:, first:last]
    noise = noise[~np.isnan(noise).all(axis=1)]  # of a beat at the start there may be nothing
    noise = noise - np.nanmean(noise, axis=1, keepdims=True)
    left = np.sqrt(np.nanmean(noise**2) / len(noise)) if len(noise) else np.inf
    height = along[top] - max(0.0, along[first : top + 1].min())
    if height < _CLEAR_P * left or np.abs(away[top]).max() < _LEAST_P:
        return "no clear P"
    slope = np.gradient(along)
    early = max(first, top - 60)
    steepest = early + int(slope[early : top + 1].argmax())
    if slope[steepest] <= 0 or steepest - 8 <= first:
        return "P is not told from what is before it"
    flat = along[max(first, steepest - 60) : steepest - 20]
    level = np.median(flat) if len(flat) > 5 else along[first:steepest].min()
    return float(steepest - (along[steepest] - level) / slope[steepest]) - _P_EARLIER


def _axis(beat: FineBeat, begin: float, end: float, leads: Sequence[str]) -> float | str:
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
