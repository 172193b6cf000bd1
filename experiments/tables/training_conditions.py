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
    carried = dict(zip(part.classes, labels.sum(axis=0).tolist()))
    return [{"condition": c, "records": carried[c], "auroc": auroc} for c, auroc in found.items()]


def table(rows: list[dict[str, Any]]) -> str:
    """The conditions as a Markdown table, the best distinguished first, and their mean."""
    ordered = sorted(rows, key=lambda row: -row["auroc"])
    lines = [[row["condition"], row["records"], f"{row['auroc']:.3f}"] for row in ordered]
    mean = np.mean([row["auroc"] for row in rows])
    lines.append([f"mean of {len(rows)}", "", f"{mean:.3f}"])
    return markdown.table(["condition", "records of test patients", "AUROC"], lines)
