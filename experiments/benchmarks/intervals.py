"""How well PR, QRS, QT and the axis are measured, against what cardiologists and a generator know.

    python -m experiments.benchmarks.intervals --input=FOLDER --output=intervals.json

LUDB (Kalyakulina et al. 2020, doi 10.1109/ACCESS.2020.3029211) has 200 recordings whose waves two
cardiologists marked lead by lead. A boundary of a beat is the median over the leads in which it is
marked, half of them or more; an interval of a recording is the median over its beats. Recordings
are read as `metaecg diagnose` reads them, at 100 Hz and 500 Hz. Thresholds were set on patients of
odd number; those of even number are the measure of it. Without --input, synthetic recordings alone
are read, whose intervals and axis are those of their plan.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags

from experiments.benchmarks import known_beats, timing
from metaecg.data import signal as steps
from metaecg.data.synthetic import generator, heart
from metaecg.diagnose import measurements

FLAGS = flags.FLAGS
APART = 0.15
"""s between marks of one beat in two leads, at most."""


class Marked(NamedTuple):
    """A QRS of one lead and the P and T beside it, in s; NaN where one is not marked."""

    peak: float
    p_begin: float
    begin: float
    end: float
    t_end: float


def marked(symbols: Sequence[str], times: Sequence[float]) -> list[Marked]:
    """The beats of one lead, from symbols such as '( p ) ( N ) ( t )' and their times in s."""
    waves = []
    for n, symbol in enumerate(symbols):
        if symbol in ("p", "N", "t"):
            begins = n > 0 and symbols[n - 1] == "("
            ends = n + 1 < len(symbols) and symbols[n + 1] == ")"
            begin = times[n - 1] if begins else np.nan
            waves.append((symbol, begin, times[n], times[n + 1] if ends else np.nan))
    found = []
    none = ("", np.nan, np.nan, np.nan)
    for before, (symbol, begin, peak, end), after in zip(
        [none, *waves], waves, [*waves[1:], none], strict=False
    ):
        if symbol == "N":
            p_begin = before[1] if before[0] == "p" else np.nan
            t_end = after[3] if after[0] == "t" else np.nan
            found.append(Marked(peak, p_begin, begin, end, t_end))
    return found


def reference(leads: Sequence[Sequence[Marked]]) -> dict[str, float]:
    """PR, QRS and QT in ms of a recording; NaN where half of the leads have no mark of it."""
    rows = np.array(sorted(beat for lead in leads for beat in lead)).reshape(-1, 5)
    beats = np.split(rows, np.flatnonzero(np.diff(rows[:, 0]) > APART) + 1)
    middle = np.full((len(beats), 5), np.nan)
    for row, beat in zip(middle, beats):
        enough = 2 * np.isfinite(beat).sum(0) >= len(leads)
        row[enough] = np.nanmedian(beat[:, enough], axis=0)
    _, p_begin, begin, end, t_end = 1000 * middle.T
    each = {"PR": begin - p_begin, "QRS": end - begin, "QT": t_end - begin}
    known = {name: values[np.isfinite(values)] for name, values in each.items()}
    return {name: float(np.median(v)) if len(v) else np.nan for name, v in known.items()}


def ludb(folder: Path) -> tuple[list[int], list[np.ndarray], list[dict[str, float]]]:
    """Numbers, signals [samples, 12] in mV at 500 Hz, and reference intervals of LUDB.

    Raises:
      MetaecgError: the folder is not LUDB.
    """
    numbers, signals, known = [], [], []
    for number, record, notes in known_beats.ludb(folder, "input"):
        numbers.append(number)
        signals.append(record.p_signal)
        known.append(reference([marked(n.symbol, n.sample / record.fs) for n in notes]))
    return numbers, signals, known


def planned(plan: heart.Plan) -> dict[str, float]:
    """What is known of a synthetic recording by its plan; NaN where it has no one value."""
    beats = jax.tree.map(np.asarray, plan.beats)
    inside = (beats.ventricles > 0) & (beats.ventricles < 10) & (beats.ventricles_gain > 0)
    if beats.wide[inside].mean() > 0.4:  # the median beat is then of another kind
        return dict.fromkeys(("rate", "PR", "QRS", "QT", "axis"), np.nan)
    narrow = inside & ~beats.wide
    delay = (beats.ventricles - beats.atria)[narrow & (beats.atria_gain > 0) & ~beats.ectopic]
    led = len(delay) > 0.6 * narrow.sum() and np.ptp(delay) < 0.02
    length = float(plan.length[0])
    t_end = float(plan.center[0, 5] + 2 * plan.fall[0, 5])
    pace = np.median(np.asarray(plan.pace)[narrow])
    area = np.asarray(plan.fall[0, :5]) @ np.asarray(plan.dipole[0, :5])
    leads = generator.leads_from_electrodes((plan.electrodes @ area)[:, None])[0]
    return {
        "rate": 60 / np.diff(beats.ventricles[inside]).mean(),
        "PR": 1000 * float(np.median(delay)) if led else np.nan,
        "QRS": 1000 * length,
        "QT": 1000 * (length + (t_end - length) / pace),
        "axis": float(np.degrees(np.arctan2(leads[5] * 2 / 3**0.5, leads[0]))),
    }


def synthetic(count: int) -> tuple[np.ndarray, list[dict[str, float]], list[str]]:
    """Recordings [R, 1000, 12] at 100 Hz, `count` of each condition, their values, their codes."""
    condition, signals, plans = known_beats.generated(count)
    each = (jax.tree.map(lambda x, n=n: x[n], plans) for n in range(len(condition)))
    codes = [generator.CONDITIONS[c].code for c in condition]
    return np.asarray(signals), [planned(plan) for plan in each], codes


def compare(
    found: Iterable[float | None], known: Iterable[float], turn: bool = False
) -> dict[str, Any]:
    """Differences, found less known, where both are there; and how often one of them is not.

    The limits of agreement are those of Bland and Altman: bias ± 1.96 standard deviations.
    """
    mine = np.array([np.nan if value is None else value for value in found])
    theirs = np.array(list(known))
    gap = mine - theirs
    if turn:
        gap = (gap + 180) % 360 - 180
    both = gap[np.isfinite(gap)]
    bias, half = both.mean(), 1.96 * both.std(ddof=1)
    return {
        "known": int(np.isfinite(theirs).sum()),
        "measured": len(both),
        "not measured": int((np.isfinite(theirs) & np.isnan(mine)).sum()),
        "measured, not known": int((np.isnan(theirs) & np.isfinite(mine)).sum()),
        "bias": round(float(bias), 1),
        "limits of agreement": f"{bias - half:.1f} to {bias + half:.1f}",
        "mean absolute error": round(float(np.abs(both).mean()), 1),
    }


def rows_of(
    facts: Mapping[str, Any],
    found: Sequence[measurements.Measured],
    known: Sequence[Mapping[str, float]],
) -> list[dict[str, Any]]:
    """One row for each interval that is known."""
    return [
        {**facts, "what": f"{name}, {measurements.UNITS[name]}"}
        | compare((f.values[name] for f in found), (k[name] for k in known), name == "axis")
        for name in known[0]
    ]


def main(_) -> None:
    rows = []
    measure: Callable = measurements.measure
    if FLAGS.input:
        numbers, signals, known = ludb(Path(FLAGS.input).expanduser())
        for hz in (100, 500):
            brought = (steps.resample(signal, 500, hz)[0] for signal in signals)
            found = [measure(signal, hz, steps.STANDARD_LEADS) for signal in brought]
            for part, odd in (("odd: set on", 1), ("even: kept apart", 0)):
                mine = [n for n, number in enumerate(numbers) if number % 2 == odd]
                facts = {"recordings": "LUDB", "patients": part, "Hz": hz}
                rows += rows_of(facts, [found[n] for n in mine], [known[n] for n in mine])
    made, known, _ = synthetic(FLAGS.synthetic)
    found = [measure(signal, 100, generator.LEADS) for signal in made]
    rows += rows_of({"recordings": "synthetic", "patients": "all", "Hz": 100}, found, known)
    timing.report(rows, FLAGS.output)


if __name__ == "__main__":
    flags.DEFINE_string("input", None, "folder of LUDB 1.0.1, as published")
    flags.DEFINE_integer("synthetic", 5, "synthetic recordings of each condition", lower_bound=1)
    timing.run(main)
