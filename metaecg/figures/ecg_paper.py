"""ECGs on paper, true to scale: 25 mm/s, 10 mm/mV, a grid of 1 and 5 mm."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

MM = 1 / 25.4
"""Inches, in which figures are measured."""

# All in mm.
PER_SECOND, PER_MILLIVOLT = 25.0, 10.0
_EDGE, _PULSE, _TITLE, _FOOT = 5.0, 10.0, 10.0, 5.0
_COLUMNS = (("I", "II", "III"), ("AVR", "AVL", "AVF"), ("V1", "V2", "V3"), ("V4", "V5", "V6"))


def ecg(
    signal_mv: np.ndarray,
    hz: float,
    leads: Sequence[str],
    *,
    title: str = "",
    seconds: float = 10.0,
    marks: Sequence[float] = (),
) -> Figure:
    """An ECG on paper: 25 mm/s and 10 mm/mV, a calibration pulse before each row.

    The twelve standard leads are shown in the usual 3 × 4 with lead II below, each column going on
    in time where the one before it ended; up to 5 s in 6 × 2, all of each lead. Other leads get a
    strip each. The median of each lead is taken off, as a recorder's high-pass would; leads without
    any change are called flat.

    Args:
      signal_mv: [samples, leads] in mV; NaN leaves a gap.
      hz: samples per second.
      leads: names of the leads.
      title: written above.
      seconds: at most as much is shown, from the start.
      marks: seconds from the start at which a line is drawn through each lead.

    Returns:
      A figure of the paper's size in mm: 270 × 135 for twelve leads of 10 s.

    Raises:
      ValueError: the signal's shape does not fit the leads.
    """
    signal_mv = np.asarray(signal_mv, float)
    if signal_mv.ndim != 2 or signal_mv.shape[1] != len(leads):
        raise ValueError(f"signal of shape {signal_mv.shape} for {len(leads)} leads")
    whole = len(signal_mv) / hz
    signal_mv = signal_mv[: max(1, round(seconds * hz))]
    count = len(signal_mv)
    shown = count / hz
    at = {lead.upper(): i for i, lead in enumerate(leads)}
    # Of each row: lead, its first and last sample, and where on the paper it starts, in samples.
    if set(at) != {lead for column in _COLUMNS for lead in column}:
        rows = [[(i, 0, count, 0)] for i in range(len(leads))]
    elif shown > 5:
        ends = [round(count * c / 4) for c in range(5)]
        columns = [[at[lead] for lead in column] for column in _COLUMNS]
        rows = [
            [(columns[c][r], ends[c], ends[c + 1], ends[c]) for c in range(4)] for r in range(3)
        ]
        rows.append([(at["II"], 0, count, 0)])
    else:
        order = [at[lead] for column in _COLUMNS for lead in column]
        rows = [[(order[r], 0, count, 0), (order[r + 6], 0, count, count)] for r in range(6)]
    seconds_across = max(start + last - first for *_, (_, first, last, start) in rows) / hz
    width = max(2 * _EDGE + _PULSE + PER_SECOND * seconds_across, 60.0)
    width = 5 * float(np.ceil(width / 5 - 1e-6))  # whole large squares
    tall = 30.0 if len(rows) <= 4 else 25.0  # so that it fits on A4
    height = _TITLE + tall * len(rows) + _FOOT
    figure = Figure(figsize=(width * MM, height * MM))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    _paper(axes, width, height)
    pen: dict[str, Any] = {"color": "black", "linewidth": 0.7, "solid_joinstyle": "round"}
    for r, row in enumerate(rows):
        base = height - _TITLE - tall * (r + 0.6)
        pulse = np.array([(0, 0), (1.5, 0), (1.5, 10), (6.5, 10), (6.5, 0), (8, 0)])
        axes.plot(pulse[:, 0] + _EDGE, pulse[:, 1] + base, gid="pulse", **pen)
        for lead, first, last, start in row:
            finite = signal_mv[np.isfinite(signal_mv[:, lead]), lead]
            centre = np.median(finite) if finite.size else 0.0
            values = signal_mv[first : last + 1, lead]  # to where the next one begins
            x = _EDGE + _PULSE + PER_SECOND * (start + np.arange(len(values))) / hz
            axes.plot(x, base + PER_MILLIVOLT * (values - centre), gid=f"lead {leads[lead]}", **pen)
            for mark in marks:
                across = x[0] + PER_SECOND * mark
                axes.plot([across] * 2, [base - 6, base + 8], color="#0060a8", linewidth=0.4)
            name = plain(leads[lead]) + ("" if finite.size and np.ptp(finite) else " (flat)")
            axes.text(x[0] + 1, base + 11.5, name, weight="bold", size=8)
            if start:
                axes.plot([x[0], x[0]], [base - 2, base + 2], **pen | {"linewidth": 0.4})
    axes.text(_EDGE, height - 6.5, plain(title), size=10)
    part = f"  ·  first {shown:g} of {whole:g} s" if whole > shown + 0.5 / hz else ""
    axes.text(_EDGE, 1.8, f"25 mm/s  ·  10 mm/mV{part}", size=8)
    return figure


def plain(text: str) -> str:
    """Text that matplotlib does not take for a formula."""
    return text.replace("$", r"\$")


def _paper(axes: Axes, width: float, height: float) -> None:
    for step, colour, pen in ((1, "#f7dada", 0.25), (5, "#e6a3a3", 0.45)):
        across = np.arange(0, height + 1e-6, step)
        along = np.arange(0, width + 1e-6, step)
        lines = [((0, y), (width, y)) for y in across] + [((x, 0), (x, height)) for x in along]
        codes = [Path.MOVETO, Path.LINETO] * len(lines)
        path = Path(np.array(lines).reshape(-1, 2), codes)  # one path keeps an SVG small
        axes.add_patch(PathPatch(path, edgecolor=colour, facecolor="none", linewidth=pen))
