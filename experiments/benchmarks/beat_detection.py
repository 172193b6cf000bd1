"""How well R peaks are found, against beats that are known: LUDB's annotations and synthetic ones.

    python -m experiments.benchmarks.beat_detection --ludb=FOLDER [--page=FILE.html]

LUDB (Kalyakulina et al. 2020, doi 10.1109/ACCESS.2020.3029211) has 200 recordings of 12 leads at
500 Hz whose QRS complexes two cardiologists marked lead by lead; from the first marked one to the
last, found and marked beats are compared. Read with 12 leads, a recording's beats are those marked
in half of them or more, each at its median time; read with one lead, they are that lead's own.
Without --ludb, the synthetic recordings alone are read. --page shows twenty of the recordings, of
LUDB where it is given, with the beats that were found and the median beat.
"""

from collections.abc import Iterable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.benchmarks import known_beats, timing
from metaecg.data.synthetic import generator
from metaecg.diagnose.model import Form
from metaecg.figures import pages
from metaecg.signals import beats

FLAGS = flags.FLAGS
TOLERANCE = 0.075
SHOWN = 20  # recordings of the page
SEEN: dict[str, list[int]] = {"12 leads": list(range(12))} | {
    name: [n] for n, name in enumerate(generator.LEADS)
}


def match(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Pairs found and true beats, each with one other at most; all in s, in order.

    Returns:
      For each true beat, found less true time in s; NaN where none was found.
    """
    gaps, free = np.full(len(true), np.nan), list(found)
    for n, time in enumerate(true):
        if free:
            nearest = min(free, key=lambda other: abs(other - time))
            if abs(nearest - time) <= TOLERANCE:
                gaps[n] = nearest - time
                free.remove(nearest)
    return gaps


def score(found: Iterable[np.ndarray], true: Iterable[np.ndarray]) -> dict[str, float]:
    """Sensitivity, precision and mean absolute error over recordings, where beats are known."""
    gaps, told = [], 0
    for mine, theirs in zip(found, true, strict=True):
        if len(theirs):
            inside = (mine >= theirs[0] - TOLERANCE) & (mine <= theirs[-1] + TOLERANCE)
            told += int(inside.sum())
            gaps.append(match(mine[inside], theirs))
    all_gaps = np.concatenate(gaps)
    hit = np.isfinite(all_gaps)
    return {
        "beats": len(all_gaps),
        "sensitivity": hit.mean(),
        "precision": hit.sum() / max(1, told),
        "error, ms": 1e3 * float(np.abs(all_gaps[hit]).mean()) if hit.any() else np.nan,
    }


def detect(signals: np.ndarray, hz: float) -> tuple[list[np.ndarray], np.ndarray]:
    """The times in s of the beats of recordings [N, samples, leads], and their median beats."""
    find = jax.jit(lambda x: beats.find_beats(beats.at_standard_rate(x, hz))[:2])
    peaks, median = jax.tree.map(np.asarray, find(jnp.asarray(signals)))
    times = [(at[real] + 0.5) / beats.HZ - 0.5 / hz for at, real in zip(peaks.at, peaks.real)]
    return times, median


def agreed(marks: list[np.ndarray]) -> np.ndarray:
    """Times that half of the leads or more have a mark at, the medians of marks within 0.15 s."""
    times = np.sort(np.concatenate(marks))
    groups = np.split(times, np.flatnonzero(np.diff(times) > 0.15) + 1)
    return np.array([np.median(group) for group in groups if len(group) * 2 >= len(marks)])


def ludb(folder: Path) -> tuple[np.ndarray, list[list[np.ndarray]]]:
    """Signals [200, samples, 12] in mV at 500 Hz, and the marked QRS of each lead in s.

    Raises:
      MetaecgError: the folder is not LUDB.
    """
    signals, marks = [], []
    for _, record, notes in known_beats.ludb(folder, "ludb"):
        signals.append(record.p_signal.astype(np.float32))
        marks.append([note.sample[np.array(note.symbol) == "N"] / record.fs for note in notes])
    return np.stack(signals), marks


def synthetic(count: int) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """Recordings of 10 s at 100 Hz, `count` of each condition.

    Returns:
      The signals [R, samples, 12] in mV, the middle of each QRS in s, and each one's condition.
    """
    condition, signals, plans = known_beats.generated(count)
    length = np.where(plans.beats.wide, plans.length[:, 1:], plans.length[:, :1])
    middle = np.asarray(plans.beats.ventricles) + length / 2
    # A beat that the recording's ends cut may be found or not.
    known = (np.asarray(plans.beats.ventricles_gain) > 0) & (middle > 0.1) & (middle < 9.9)
    return np.asarray(signals), [m[k] for m, k in zip(middle, known)], condition


def page(signals: np.ndarray, hz: float, names: list[str]) -> str:
    """HTML of recordings [N, samples, 12] in mV: leads II and V1 with their beats, median beats."""
    some = [generator.LEADS.index(lead) for lead in ("II", "V1")]
    strips = Form(hz, signals.shape[1], ("II", "V1"))
    whole = Form(beats.HZ, beats.BEFORE + beats.AFTER, tuple(generator.LEADS))
    sections = []
    for signal, found, median, name in zip(signals, *detect(signals, hz), names, strict=True):
        said, peak = f"{len(found)} beats were found", beats.BEFORE / beats.HZ
        drawn = [
            pages.on_paper(signal[:, some], strips, name, said, found.tolist()),
            pages.on_paper(median, whole, "median beat", name, [peak]),
        ]
        sections.append((name, drawn))
    return pages.page("Beats that were found, and the median beat", sections)


def main(_) -> None:
    rows, hz, title = [], 100, "synthetic recording {}"
    signals, middles, _ = synthetic(FLAGS.synthetic)
    for name in ("12 leads", "I", "II"):
        found, _ = detect(signals[:, :, SEEN[name]], 100)
        rows.append({"recordings": "synthetic", "read": name, **score(found, middles)})
    if FLAGS.ludb:
        hz, title = 500, "LUDB {}"
        signals, marks = ludb(Path(FLAGS.ludb).expanduser())
        for name, leads in SEEN.items():
            true = [agreed(m) if len(leads) > 1 else m[leads[0]] for m in marks]
            found, _ = detect(signals[:, :, leads], 500)
            rows.append({"recordings": "LUDB", "read": name, **score(found, true)})
    timing.report(rows, FLAGS.output, tolerance=TOLERANCE)
    if FLAGS.page:
        some = np.linspace(0, len(signals) - 1, SHOWN).round().astype(int)
        html = page(signals[some], hz, [title.format(n + 1) for n in some])
        Path(FLAGS.page).expanduser().write_text(html, "utf-8")


if __name__ == "__main__":
    flags.DEFINE_string("ludb", None, "folder of LUDB 1.0.1, as published")
    flags.DEFINE_string("page", None, "HTML file of twenty recordings with their beats")
    flags.DEFINE_integer("synthetic", 10, "synthetic recordings of each condition", lower_bound=1)
    timing.run(main)
