"""The pages of a diagnosis and of an evaluation: what was answered, on what grounds, how surely."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from metaecg.diagnose.answers import Answers
from metaecg.diagnose.diagnosis import Diagnosis, Evidence
from metaecg.diagnose.measurements import Measured, measure
from metaecg.diagnose.model import Form
from metaecg.diagnose.support import Example, Read
from metaecg.figures import plots
from metaecg.figures.measured import beside_examples
from metaecg.figures.pages import (
    Content,
    Drawing,
    Table,
    details,
    figure,
    on_paper,
    page,
    render,
)

__all__ = ["diagnosis_page", "evaluation_page", "page", "reference_page"]

EXAMPLES = 3
"""Supporting examples shown with an answer."""
WORST = 5
"""Classes listed as the worst."""


def diagnosis_page(*found: Answers) -> str:
    """The page of `experiments.diagnose`: each query with its answer and the grounds for it.

    Args:
      *found: the answers of one model or of several; where each model comes from is shown.

    Returns:
      Self-contained HTML; about 0.1 MB for each ECG of 10 s at 100 Hz.
    """
    rows = [
        (
            query.name,
            each.answer or "unsure",
            ", ".join(each.plausible),
            f"{max(each.probs):.0%}",
            len(each.warnings),
        )
        for answers in found
        for query, each in zip(answers.queries, answers.diagnoses)
    ]
    head = ("recording", "answer", "plausible", "highest probability", "warnings")
    support = found[0].support
    warnings = [text for each in found for text in (each.leads_read, *each.warnings) if text]
    return render(
        "diagnosis.html",
        title="Few-shot ECG diagnosis",
        overview=Table(head, rows, numbers=2),
        examples=support,
        candidates=Counter(label for _, label in support),
        warnings=[*dict.fromkeys(warnings)],
        cases=[case for answers in found for case in _cases(answers)],
        provenances=[details(answers.model.origin) for answers in found if answers.model],
    )


def _cases(answers: Answers) -> Iterator[dict[str, Any]]:
    """What is shown of each query of one model."""
    assert answers.model is not None
    form, support = answers.model.form, answers.support
    shown = {e.example for each in answers.diagnoses for e in _most(each)}
    examples = {n: measure(support[n][0].signal, form.hz, form.leads) for n in sorted(shown)}
    for each in zip(answers.queries, answers.diagnoses, answers.measured, strict=True):
        yield _case(*each, support, form, examples)


def _case(
    query: Read,
    diagnosis: Diagnosis,
    measured: Measured,
    support: Sequence[Example],
    form: Form,
    examples: Mapping[int, Measured],
) -> dict[str, Any]:
    bars, probabilities = _probabilities(diagnosis)
    shown = [e.example for e in _most(diagnosis)]
    names = [f"{label} — {example.name}" for example, label in (support[n] for n in shown)]
    beside = list(zip(names, (examples[n] for n in shown)))
    table, beats = beside_examples(query.name, measured, beside, form)
    return {
        "name": query.name,
        "answer": diagnosis.answer,
        "probability": max(diagnosis.probs),
        "plausible": diagnosis.plausible,
        "rate": diagnosis.error_rate,
        "warnings": diagnosis.warnings,
        "ecg": on_paper(query.signal, form, query.name),
        "bars": bars,
        "probabilities": probabilities,
        "measured": table,
        "unmeasured": measured.unmeasured,
        "grounds": measured.grounds,
        "beats": beats,
        "evidence": _evidence(diagnosis, support, form),
        "notes": [note.text for note in query.notes],
    }


def evaluation_page(results: Mapping[str, Any], curves: Sequence[Mapping[str, Any]] = ()) -> str:
    """The page of `experiments.evaluate`.

    Args:
      results: what it wrote to results.json. Where the rows have `reliability`, a list of
        bins with `confidence`, `accuracy` and `count`, calibration is drawn.
      curves: rows of the run's metrics.jsonl.

    Returns:
      Self-contained HTML.
    """
    rows = results["rows"]
    first = rows[0]["learner"]
    mine = max((row for row in rows if row["learner"] == first), key=lambda row: row["shot"])
    kind = f"{first}, {mine['way']}-way {mine['shot']}-shot"
    sections: list[tuple[str, Sequence[Content]]] = [
        ("Scores", _scores(results)),
        ("Accuracy by shot", [_by_shot(rows)]),
        (f"Classes: {kind}", _classes(mine)),
    ]
    calibrated = [row for row in rows if row["learner"] == first and row.get("reliability")]
    if calibrated:
        sections.append((f"Calibration: {first}", [[*map(_reliability, calibrated)]]))
    if any("loss" in row for row in curves):
        alt = "Training loss by step"
        if checks := plots.validated(curves):
            last = checks[-1]["validation"]["accuracy"]
            alt = f"Training loss and validation accuracy by step; last validation {last:.1%}"
        sections.append(("Learning curves", [figure(plots.learning_curves(curves), alt, alt)]))
    known = {key: results[key] for key in ("command", "seed", "library", "machine", "seconds")
             if key in results}  # fmt: skip
    runs = {name: f"step {run['step']}" for name, run in results.get("runs", {}).items()}
    sections.append(("Where this comes from", [details(known | {"run": runs})]))
    title = f"Few-shot accuracy on {results['protocol']}, {results['part']} part"
    return page(title, sections)


def reference_page(
    title: str,
    rows: Sequence[Mapping[str, Any]],
    classes: Mapping[str, Mapping[str, Any]],
    tables: Mapping[str, tuple[Sequence[str], Sequence[Sequence[str]]]],
    known: Mapping[str, object],
) -> str:
    """The page of `experiments.compare_learners`: what its tables do not show.

    Args:
      title: its name.
      rows: of the learners whose accuracy by shot is drawn, as `plots.by_shot` takes them, with
        intervals over patients.
      classes: by a heading for each split, a row of an evaluation: `per_class`, `confusion`, `way`.
      tables: by a heading, head and cells of what else there is.
      known: where all comes from, shown as a table.

    Returns:
      Self-contained HTML.
    """
    scores = [
        (
            row["learner"],
            row["shot"],
            f"{row['accuracy']:.3f} ± {row['accuracy_ci95']:.3f}",
            "{:.3f} – {:.3f}".format(*row["accuracy_patients95"]),
        )
        for row in rows
    ]
    head = ("learner", "shot", "accuracy, ± 95 % over episodes", "over patients")
    sections: list[tuple[str, Sequence[Content]]] = [
        ("Accuracy by shot", [_by_shot(rows), Table(head, scores, numbers=3)])
    ]
    sections += [(heading, _classes(row)) for heading, row in classes.items()]
    sections += [(heading, [Table(*cells)]) for heading, cells in tables.items()]
    return page(title, [*sections, ("Where this comes from", [details(known)])])


def _probabilities(d: Diagnosis) -> tuple[Drawing, Table]:
    rows = [
        (
            d.labels[i],
            "yes" if d.labels[i] in d.plausible else "no",
            f"{d.probs[i]:.1%}",
            f"{d.low[i]:.1%} – {d.high[i]:.1%}",
        )
        for i in np.argsort(-np.asarray(d.probs), kind="stable")
    ]
    bars = plots.probabilities(d.labels, d.probs, d.low, d.high, marked=d.plausible)
    alt = "Probabilities: " + ", ".join(f"{row[0]} {row[2]} (from {row[3]})" for row in rows)
    head = ("diagnosis", "plausible", "probability", "range")
    about = (
        "Full bars: plausible; hatched: not. Range and line: the lowest and highest probability "
        "in other orders of the examples, and with any one of them left out."
    )
    return figure(bars, alt, about), Table(head, rows, numbers=2)


def _most(diagnosis: Diagnosis) -> list[Evidence]:
    """The examples that are shown."""
    return sorted(diagnosis.evidence, key=lambda e: (-e.weight, -abs(e.effect)))[:EXAMPLES]


def _evidence(diagnosis: Diagnosis, support: Sequence[Example], form: Form) -> list[Drawing]:
    top = diagnosis.answer or diagnosis.labels[int(np.argmax(diagnosis.probs))]
    drawn = []
    for evidence in _most(diagnosis):
        example, label = support[evidence.example]
        points = 100 * evidence.effect
        change = f"{abs(points):.1f} points {'lower' if points > 0 else 'higher'}"
        title = f"{label} — {example.name}"
        caption = f"{title}: weight {evidence.weight:.0%}; without it the probability of {top} " + (
            f"would be {change}" if abs(points) >= 0.05 else "would stay the same"
        )
        drawn.append(on_paper(example.signal, form, title, caption))
    return drawn


def _scores(results: Mapping[str, Any]) -> list[Content]:
    rows = []
    for row in results["rows"]:
        low, high = row.get("accuracy_patients95", (None, None))
        mean, half = row.get("difference", (None, None))
        rows.append(
            (
                row["learner"],
                f"{row['way']}-way {row['shot']}-shot",
                row["episodes"],
                f"{row['accuracy']:.3f} ± {row['accuracy_ci95']:.3f}",
                "" if low is None else f"{low:.3f} – {high:.3f}",
                f"{row['macro_auroc']:.3f}",
                f"{row['ece']:.3f}",
                "" if mean is None else f"{mean:+.3f} ± {half:.3f}",
            )
        )
    head = ("learner", "episode", "episodes", "accuracy", "over patients", "macro-AUROC", "ECE",
            "first − this")  # fmt: skip
    return [
        Table(head, rows, numbers=6),
        "± is a 95 % interval over episodes. 'Over patients' resamples the patients, and is the "
        "one to quote for others. 'First − this' is paired on the same episodes.",
    ]


def _by_shot(rows: Sequence[Mapping[str, Any]]) -> Drawing:
    series = plots.by_shot(rows)
    alt = "Accuracy by shot: " + "; ".join(
        f"{name} " + ", ".join(f"{p[0]}-shot {p[1]:.1%}" for p in points)
        for name, points in series.items()
    )
    over = "patients" if "accuracy_patients95" in rows[0] else "episodes"
    drawn = plots.shots_curve(series, chance=1 / rows[0]["way"])
    return figure(drawn, alt, f"Intervals of 95 % over {over}.")


def _classes(row: Mapping[str, Any]) -> list[Content]:
    names, matrix = list(row["per_class"]), np.asarray(row["confusion"])
    asked = np.flatnonzero(matrix.sum(axis=1))  # as `per_class` lists them
    matrix = matrix[np.ix_(asked, asked)]
    recalls = {name: scores["recall"] for name, scores in row["per_class"].items()}
    worst = sorted(recalls, key=lambda name: recalls[name])[:WORST]
    rows = []
    for name in worst:
        counts = matrix[names.index(name)].copy()
        counts[names.index(name)] = 0
        taken = [f"{names[i]} ({counts[i]})" for i in np.argsort(-counts)[:3] if counts[i]]
        scores = row["per_class"][name]
        auroc = f"{scores['auroc']:.3f}"
        rows.append((name, ", ".join(taken), scores["queries"], f"{recalls[name]:.1%}", auroc))
    head = ("class", "mostly taken for (queries)", "queries", "recall", "AUROC")
    listed = ", ".join(f"{name} {recall:.0%}" for name, recall in recalls.items())
    bars = plots.per_class_bars(recalls, chance=1 / row["way"])
    grid = plots.confusion(matrix, names)
    alt = f"Confusion matrix of {len(names)} classes; share answered rightly: {listed}"
    return [
        Table(head, rows, numbers=3, caption="Worst classes"),
        figure(bars, f"Recall by class: {listed}", "Share of each class answered rightly."),
        figure(grid, alt, "Rows the truth, columns the answer, in % of the row."),
    ]


def _reliability(row: Mapping[str, Any]) -> Drawing:
    bins = row["reliability"]
    kind = f"{row['way']}-way {row['shot']}-shot"
    values = [
        np.array([b[key] for b in bins], float) for key in ("confidence", "accuracy", "count")
    ]
    alt = f"Calibration, {kind}: " + ", ".join(
        f"confidence {c:.0%} accuracy {a:.0%} ({int(n)})" for c, a, n in zip(*values) if n
    )
    caption = f"{kind}: expected calibration error {row['ece']:.3f}."
    return figure(plots.calibration(*values, title=kind), alt, caption)
