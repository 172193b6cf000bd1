"""Results as Markdown tables."""

from collections.abc import Iterable, Sequence
from typing import Any

from metaecg.evaluate.detection import SCORES


def episodes(rows: list[dict[str, Any]]) -> str:
    """N-way episodes: a row a learner and shot."""
    lines = [
        "| learner | episodes | accuracy | ± 95 % | over patients | macro-AUROC | ECE | Brier "
        "| first − this | over patients | p (Holm) |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        low, high = row["accuracy_patients95"]
        gap = "| | "
        if "difference" in row:
            mean, half = row["difference"]
            below, above = row["difference_patients95"]
            gap = f"{mean:+.3f} ± {half:.3f} | {below:+.3f} to {above:+.3f} | {p_value(row)}"
        lines.append(
            f"| {row['learner']} | {row['way']}-way {row['shot']}-shot | {row['accuracy']:.3f} "
            f"| {row['accuracy_ci95']:.3f} | {low:.3f}–{high:.3f} | {row['macro_auroc']:.3f} "
            f"| {row['ece']:.3f} | {row['brier']:.3f} | {gap} |"
        )
    return "\n".join(lines)


def p_value(row: dict[str, Any]) -> str:
    """The adjusted p of a row's difference, as it is written."""
    return "< 0.001" if row["p_holm"] < 0.001 else f"{row['p_holm']:.3f}"


def detection(rows: list[dict[str, Any]]) -> str:
    """Detection: means over classes, intervals over patients."""
    lines = [
        "| learner | K with, K without | AUROC | AUPRC | AUPRC, half of records with X "
        "| AUROC, first − this |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = _areas(row["macro"])
        gap = (
            "{:+.3f} ({:+.3f} to {:+.3f})".format(*row["difference"]["auroc"])
            if ("difference" in row)
            else ""
        )
        lines.append(f"| {row['learner']} | {row['shot']} | {' | '.join(cells)} | {gap} |")
    return "\n".join(lines)


STATEMENTS = ("statement", "records", "prevalence", "AUROC", "AUPRC", "AUPRC, half with X")


def statements(row: dict[str, Any]) -> list[tuple[str, ...]]:
    """Of one learner's detection, the cells of `STATEMENTS` for each class, the surest first."""
    classes = sorted(row["per_class"].items(), key=lambda item: -item[1]["auroc"])
    return [
        (name, str(found["records"]), f"{found['prevalence']:.1%}", *_areas(found))
        for name, found in classes
    ]


def _areas(found: dict[str, Any]) -> list[str]:
    """Each of `SCORES` with its interval."""
    return ["{:.3f} ({:.3f}–{:.3f})".format(found[x], *found[f"{x}_ci95"]) for x in SCORES]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells."""
    first, *others = (f"| {' | '.join(cells)} |" for cells in (head, *rows))
    return "\n".join([first, "|" + "---|" * len(head), *others])


def orders(rows: list[dict[str, Any]]) -> str:
    """How far answers depend on the order in which the support is read."""
    lines = [
        "| learner | episodes | orders | accuracy of one, least–greatest | answers changed "
        "| of their mean |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        if order := row.get("order"):
            lines.append(
                f"| {row['learner']} | {row['way']}-way {row['shot']}-shot | {order['orders']} "
                f"| {order['least']:.3f}–{order['greatest']:.3f} | {order['changed']:.1%} "
                f"| {row['accuracy']:.3f} |"
            )
    return "\n".join(lines)


def leaks(rows: list[dict[str, Any]]) -> str:
    """What the faults of public loaders add to the accuracy."""
    lines = ["| learner | episodes | fault | accuracy | added |", "|---|---|---|---|---|"]
    for row in rows:
        added = "" if row["leak"] is None else "{:+.3f} ± {:.3f}".format(*row["added"])
        lines.append(
            f"| {row['learner']} | {row['way']}-way {row['shot']}-shot | {row['leak'] or 'none'} "
            f"| {row['accuracy']:.3f} | {added} |"
        )
    return "\n".join(lines)


TABLES = {
    "rows": (
        "Episodes",
        episodes,
        "± 95 % is over episodes; 'over patients' resamples the patients who were asked; p of all "
        "differences of the table together, by Holm's method.",
    ),
    "order": ("Order of the support", orders, ""),
    "detection": (
        "Detection",
        detection,
        "One class against all else, mean over classes; intervals over patients.",
    ),
    "statements": (
        "Detection by statement, the first learner",
        lambda rows: table(STATEMENTS, statements(rows[-1])),
        "Of the most examples; prevalence is the measured part's, not the archive's or a clinic's.",
    ),
    "leaks": (
        "Leaks",
        leaks,
        "'records': drawn with replacement, so that a query may stand in the support; 'patients': "
        "a patient's other record may.",
    ),
}


def report(found: dict[str, list[Any]]) -> str:
    """All tables as Markdown, after what could not be checked."""
    first = found["rows"][0]["learner"] if found["rows"] else ""
    shown = found | {
        "order": [row for row in found["rows"] if "order" in row],
        "statements": [row for row in found.get("detection", ()) if row["learner"] == first],
    }
    tables = (
        "\n\n".join(filter(None, (f"## {title}", table(shown[name]), note)))
        for name, (title, table, note) in TABLES.items()
        if shown.get(name)
    )
    return "\n\n".join((*found.get("unchecked", ()), *tables))
