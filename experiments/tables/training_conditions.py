"""A run with labels=conditions: its own training conditions, in patients it never saw."""

from typing import Any

import numpy as np

from experiments.runs import build, trained, training_data, validators
from experiments.tables import markdown
from metaecg.data import protocols
from metaecg.data.library import Library
from metaecg.evaluate import training_conditions


def measure(
    run: trained.Trained, library: Library, protocol: protocols.Protocol
) -> list[dict[str, Any]]:
    """Per condition: records of the test patients that carry it, and the AUROC among all theirs.

    Where every record carries exactly one condition, F1 of each as well.

    Raises:
      MetaecgError: the run or one of its ancestors was trained on the test patients.
    """
    part = build.part(library, protocol, "train")
    rows = training_conditions.part_by_patient(part.data.index)
    held_out = training_data.held_out(library, part, rows.test)
    for line in trained.check_unseen(run, library, [held_out], name="the run", remedy=""):
        print(line)
    known, test = (training_conditions.take(part.data, r) for r in (rows.train, rows.test))
    probs = training_conditions.diagnose(
        run.learner, run.variables, known, test, rows=validators.context(run.config, known.index)
    )
    labels = np.asarray(test.index.labels)
    found = training_conditions.scores(probs, labels, part.classes)
    f1 = training_conditions.f1(probs, labels, part.classes)
    carried = dict(zip(part.classes, labels.sum(axis=0).tolist()))
    return [
        {"condition": c, "records": carried[c], "auroc": auroc} | ({"f1": f1[c]} if f1 else {})
        for c, auroc in found.items()
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """The conditions as a Markdown table, the best distinguished first, and their mean."""
    scores = {"auroc": "AUROC", "f1": "F1"} if "f1" in rows[0] else {"auroc": "AUROC"}
    ordered = sorted(rows, key=lambda row: -row["auroc"])
    lines = [
        [row["condition"], row["records"], *(f"{row[score]:.3f}" for score in scores)]
        for row in ordered
    ]
    means = [f"{np.mean([row[score] for row in rows]):.3f}" for score in scores]
    lines.append([f"mean of {len(rows)}", "", *means])
    return markdown.table(["condition", "records of test patients", *scores.values()], lines)
