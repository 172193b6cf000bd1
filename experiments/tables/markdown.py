"""Results as Markdown tables, and what each table says in plain words."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from metaecg.evaluate.detection import SCORES
from metaecg.evaluate.patient_intervals import FEW

Row = dict[str, Any]


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table of cells; every command and benchmark writes its tables by this function."""
    first, *others = (f"| {' | '.join(map(str, cells))} |" for cells in (head, *rows))
    return "\n".join([first, "|" + "---|" * len(head), *others])


def kind(row: Row) -> str:
    """The way and the shot of a row's episodes."""
    return f"{row['way']}-way {row['shot']}-shot"


def p_value(row: Row) -> str:
    """The adjusted p of a row's difference, as it is written."""
    return "< 0.001" if row["p_holm"] < 0.001 else f"{row['p_holm']:.3f}"


def episodes(rows: list[Row]) -> str:
    """N-way episodes: a row a learner and shot."""
    head = ["learner", "episodes", "accuracy", "± 95 %", "over patients", "macro-AUROC", "ECE"]
    head += ["Brier", "first − this", "over patients", "p (Holm)"]
    return table(head, map(_of_episodes, rows))


def _of_episodes(row: Row) -> list[str]:
    gap = ["", "", ""]
    if "difference" in row:
        gap = ["{:+.3f} ± {:.3f}".format(*row["difference"])]
        gap += ["{:+.3f} to {:+.3f}".format(*row["difference_patients95"]), p_value(row)]
    over = "{:.3f}–{:.3f}".format(*row["accuracy_patients95"])
    numbers = [f"{row[key]:.3f}" for key in ("macro_auroc", "ece", "brier")]
    first = [row["learner"], kind(row), f"{row['accuracy']:.3f}", f"{row['accuracy_ci95']:.3f}"]
    return [*first, over, *numbers, *gap]


def detection(rows: list[Row]) -> str:
    """Detection: means over classes, intervals over patients."""
    head = ["learner", "K with, K without", "AUROC", "AUPRC", "AUPRC, half of records with X"]
    lines = []
    for row in rows:
        gap = ""
        if "difference" in row:
            gap = "{:+.3f} ({:+.3f} to {:+.3f})".format(*row["difference"]["auroc"])
        lines.append([row["learner"], row["shot"], *_areas(row["macro"]), gap])
    return table([*head, "AUROC, first − this"], lines)


STATEMENTS = ("statement", "records", "prevalence", "AUROC", "AUPRC", "AUPRC, half with X")


def statements(row: Row) -> list[tuple[str, ...]]:
    """Of one learner's detection, the cells of `STATEMENTS` for each class, the surest first."""
    classes = sorted(row["per_class"].items(), key=lambda item: -item[1]["auroc"])
    return [
        (name, str(found["records"]), f"{found['prevalence']:.1%}", *_areas(found))
        for name, found in classes
    ]


def _areas(found: Row) -> list[str]:
    """Each of `SCORES` with its interval."""
    return ["{:.3f} ({:.3f}–{:.3f})".format(found[x], *found[f"{x}_ci95"]) for x in SCORES]


def orders(rows: list[Row]) -> str:
    """How far answers depend on the order in which the support is read."""
    head = ["learner", "episodes", "orders", "accuracy of one, least–greatest"]
    lines = []
    for row in rows:
        if order := row.get("order"):
            ends = f"{order['least']:.3f}–{order['greatest']:.3f}"
            changed = f"{order['changed']:.1%}"
            cells = [row["learner"], kind(row), order["orders"], ends, changed]
            lines.append([*cells, f"{row['accuracy']:.3f}"])
    return table([*head, "answers changed", "accuracy of their mean"], lines)


def leaks(rows: list[Row]) -> str:
    """What the faults of public loaders add to the accuracy."""
    lines = []
    for row in rows:
        added = "" if row["leak"] is None else "{:+.3f} ± {:.3f}".format(*row["added"])
        cells = [row["learner"], kind(row), row["leak"] or "none", f"{row['accuracy']:.3f}", added]
        lines.append(cells)
    return table(["learner", "episodes", "fault", "accuracy", "added"], lines)


TABLES: dict[str, tuple[str, Callable[[list[Row]], str], str]] = {
    "rows": (
        "Episodes",
        episodes,
        "'± 95 %' is the interval for other episodes of the same patients. 'Over patients' is the "
        "95 % interval for other patients and other episodes: each patient counts as one who is "
        "asked and as one who serves as an example. p is the probability of a difference this "
        "large or larger between two learners that are equally good; the p values of one table "
        "are adjusted together by Holm's method. docs/statistics.md says how they are computed.",
    ),
    "order": (
        "Order of the support",
        orders,
        "The same examples are read in several random orders. The mean over the orders is the "
        "arithmetic mean of their probabilities.",
    ),
    "detection": (
        "Detection",
        detection,
        "Each class is distinguished from all else; the scores are means over the classes. The "
        "intervals are for other patients and other examples.",
    ),
    "statements": (
        "Detection by statement, the first learner",
        lambda rows: table(STATEMENTS, statements(max(rows, key=lambda row: row["shot"]))),
        "The rows are those of the most examples. The prevalence is that of the measured split, "
        "not of the archive or of a clinic.",
    ),
    "leaks": (
        "Leaks",
        leaks,
        "'records': records are drawn with replacement, so that a query may be among the examples. "
        "'patients': another record of the patient may be.",
    ),
}


def report(found: dict[str, list[Row]]) -> str:
    """All tables as Markdown, below what limits them: leaks not checked for, few patients."""
    first = found["rows"][0]["learner"] if found["rows"] else ""
    shown = found | {
        "order": [row for row in found["rows"] if "order" in row],
        "statements": [row for row in found.get("detection", ()) if row["learner"] == first],
    }
    blocks = [unchecked(found), few_patients(found)]
    for name, (title, write, note) in TABLES.items():
        if shown.get(name):
            blocks += [f"## {title}", write(shown[name]), note]
    return "\n\n".join(filter(None, blocks))


def unchecked(found: dict[str, list[Any]]) -> str:
    """What could not be compared with what the runs were trained on, or nothing."""
    return "\n\n".join(dict.fromkeys(found.get("unchecked", ())))


def few_patients(found: dict[str, list[Row]]) -> str:
    """A warning where intervals rest on fewer than `FEW` patients, or nothing."""
    asked = [row["reuse"]["patients"] for row in found["rows"] if "reuse" in row]
    lines = []
    if asked and min(asked) < FEW:
        lines.append(
            f"Only {min(asked)} patients were asked. Below {FEW} patients an interval over "
            "patients is a rough guess, and so is p."
        )
    classes = {
        name: scores["patients"]
        for row in found.get("detection", ())
        for name, scores in row["per_class"].items()
        if scores["patients"] < FEW
    }
    if classes:
        named = ", ".join(f"{name} ({count})" for name, count in sorted(classes.items()))
        lines.append(
            f"Fewer than {FEW} patients have these statements, whose intervals are rough guesses: "
            f"{named}."
        )
    return "\n\n".join(lines)
