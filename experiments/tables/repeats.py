"""Rows of several splits and seeds as one table: means, their intervals, Markdown."""

from typing import Any

import numpy as np

from experiments.tables import markdown, measure
from metaecg.evaluate import detection, statistics


def combine(repeats: list[list[dict[str, Any]]], seeds: int = 1) -> list[dict[str, Any]]:
    """One row a learner, way and shot: means over splits and seeds.

    Intervals are those of the mean, from the intervals of each repeat. The seeds of a split answer
    the same episodes and make them no narrower. `each` says how far the repeats lie apart; p of all
    differences together is adjusted by Holm's method.

    Args:
      repeats: rows of each split and seed, the seeds of a split one after another.
      seeds: how many there are of a split.
    """
    combined = []
    for (learner, way, shot), rows in _alike(repeats, ("learner", "way", "shot")).items():
        row = {"learner": learner, "way": way, "shot": shot}
        row |= {key: _mean(rows, key) for key in ("accuracy", "macro_auroc", "ece", "brier")}
        row["each"] = [r["accuracy"] for r in rows]
        row["accuracy_ci95"] = _half([r["accuracy_ci95"] for r in rows], seeds)
        ends = [(r["accuracy"], *r["accuracy_patients95"]) for r in rows]
        row["accuracy_patients95"] = _within(ends, seeds)[1:]
        if all("difference" in r for r in rows):
            means, halves = zip(*(r["difference"] for r in rows))
            row["difference"] = (float(np.mean(means)), _half(halves, seeds))
            ends = [(r["difference"][0], *r["difference_patients95"]) for r in rows]
            gap, low, high = _within(ends, seeds)
            row["difference_patients95"] = (low, high)
            # As of a normal mean: half of its 95 % interval is 1.96 standard deviations.
            row["p"] = statistics.p_value(gap, (high - low) / 2 / 1.96)
        combined.append(row)
    measure.adjust(combined)
    return combined


def combine_detection(repeats: list[list[dict[str, Any]]], seeds: int = 1) -> list[dict[str, Any]]:
    """One row a learner and shot: means over splits and seeds, as `combine` takes them."""
    combined = []
    for (learner, shot), rows in _alike(repeats, ("learner", "shot")).items():
        row = {"learner": learner, "shot": shot, "macro": _areas([r["macro"] for r in rows], seeds)}
        classes = dict.fromkeys(name for r in rows for name in r["per_class"])
        row["per_class"] = {
            name: _of_class([r["per_class"][name] for r in rows if name in r["per_class"]], seeds)
            for name in classes
        }
        if all("difference" in r for r in rows):
            ends = [r["difference"]["auroc"] for r in rows]
            row["difference"] = {"auroc": _within(ends, seeds)}
        combined.append(row)
    return combined


def _areas(found: list[dict[str, Any]], seeds: int) -> dict[str, Any]:
    areas: dict[str, Any] = {}
    for score in detection.SCORES:
        ends = [(each[score], *each[f"{score}_ci95"]) for each in found]
        areas[score], *areas[f"{score}_ci95"] = _within(ends, seeds)
    return areas


def _of_class(found: list[dict[str, Any]], seeds: int) -> dict[str, Any]:
    """Of the splits that ask for a class; its number of records is that of the first."""
    facts = {"records": found[0]["records"], "prevalence": _mean(found, "prevalence")}
    return facts | _areas(found, seeds)


def _alike(repeats: list[list[dict[str, Any]]], keys: tuple[str, ...]) -> dict[Any, list[Any]]:
    """The rows of all repeats that say the same under `keys`, together."""
    kinds: dict[Any, list[Any]] = {}
    for rows in repeats:
        for row in rows:
            kinds.setdefault(tuple(row[key] for key in keys), []).append(row)
    return kinds


def _mean(rows: list[dict[str, Any]], key: str) -> float:
    return float(np.mean([row[key] for row in rows]))


def _half(halves: Any, seeds: int) -> float:
    """Half-width of the mean's interval: splits independent, the seeds of each as one."""
    splits = [np.mean(halves[first : first + seeds]) for first in range(0, len(halves), seeds)]
    return float(np.sqrt(np.sum(np.square(splits))) / len(splits))


def _within(ends: Any, seeds: int) -> tuple[float, float, float]:
    """Mean, low and high of (value, low, high) of each repeat, by the rule of `_half`."""
    value, low, high = np.transpose(ends)
    mean = float(value.mean())
    return mean, mean - _half(value - low, seeds), mean + _half(high - value, seeds)


def ranked(rows: list[dict[str, Any]], way: int) -> list[str]:
    """Learners by their accuracy at the middle of the shots, best first."""
    mine = [row for row in rows if row["way"] == way]
    shot = middle([row["shot"] for row in mine])
    read = [row for row in mine if row["shot"] == shot]
    return [row["learner"] for row in sorted(read, key=lambda row: -row["accuracy"])]


def best(rows: list[dict[str, Any]], way: int) -> list[dict[str, Any]]:
    """Rows of the seven best learners at most, as many as a figure can show."""
    names = ranked(rows, way)[:7]
    return [r for name in names for r in rows if (r["learner"], r["way"]) == (name, way)]


def by_class(
    repeats: list[list[dict[str, Any]]], seeds: int, learner: str, way: int, shot: int
) -> list[dict[str, Any]]:
    """Of each split, the classes a learner distinguished: counts are added over seeds, else means.

    Args:
      repeats: as `combine` takes them.
      seeds: how many there are of a split.
      learner, way, shot: of the rows to take.

    Returns:
      Rows with `way`, `confusion` and `per_class`, as `evaluate.summarise` gives them.
    """
    wanted = {"learner": learner, "way": way, "shot": shot}
    mine = [next(r for r in rows if wanted.items() <= r.items()) for rows in repeats]
    found = []
    for first in range(0, len(mine), seeds):
        rows = mine[first : first + seeds]
        confusion = np.sum([row["confusion"] for row in rows], axis=0)
        per_class = {}
        for name in rows[0]["per_class"]:
            of_name = [row["per_class"][name] for row in rows]
            per_class[name] = {key: _mean(of_name, key) for key in ("recall", "auroc")}
            per_class[name]["queries"] = sum(scores["queries"] for scores in of_name)
        found.append({"way": way, "confusion": confusion.tolist(), "per_class": per_class})
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """The combined rows as Markdown, a table for each way; more is said of its middle shot."""
    return "\n\n".join(_of_way(rows, way) for way in dict.fromkeys(row["way"] for row in rows))


def _of_way(rows: list[dict[str, Any]], way: int) -> str:
    mine = {(row["learner"], row["shot"]): row for row in rows if row["way"] == way}
    shots = sorted({shot for _, shot in mine})
    most = middle(shots)
    more = ["over patients", "first − this", "over patients", "p (Holm)"]
    more += ["macro-AUROC", "ECE", "Brier", "each"]
    heads = [f"{way}-way", *(f"{n}-shot" for n in shots), *(f"{x}, {most}-shot" for x in more)]
    lines = []
    for learner in dict.fromkeys(learner for learner, _ in mine):
        cells = [learner]
        for shot in shots:
            row = mine.get((learner, shot))
            cells.append("{accuracy:.3f} ± {accuracy_ci95:.3f}".format(**row) if row else "")
        row = mine.get((learner, most))
        cells += _more(row) if row else [""] * len(more)
        lines.append(cells)
    return markdown.table(heads, lines)


def middle(shots: list[int]) -> int:
    """The shot of which more is said."""
    shots = sorted(set(shots))
    return shots[len(shots) // 2]


def _more(row: dict[str, Any]) -> list[str]:
    gap = ["", "", ""]
    if "difference" in row:
        gap = ["{:+.3f} ± {:.3f}".format(*row["difference"])]
        gap.append("{:+.3f} to {:+.3f}".format(*row["difference_patients95"]))
        gap.append(markdown.p_value(row))
    cells = ["{:.3f}–{:.3f}".format(*row["accuracy_patients95"]), *gap]
    cells += [f"{row[key]:.3f}" for key in ("macro_auroc", "ece", "brier")]
    return [*cells, " ".join(f"{accuracy:.3f}" for accuracy in row["each"])]
