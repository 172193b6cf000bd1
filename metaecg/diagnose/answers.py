"""From files to answers: examples and queries are read, diagnosed, and put into text and JSON.

found = answers.answer(model, Path("support"), ["query.csv"])
print(answers.as_text(found))
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metaecg import NOTICE
from metaecg.data.readers.given_by_user import Given
from metaecg.diagnose import measurements
from metaecg.diagnose import support as files
from metaecg.diagnose.diagnoser import Diagnoser, Diagnosis
from metaecg.diagnose.measurements import Measured
from metaecg.diagnose.model import Model
from metaecg.diagnose.support import Example, Read
from metaecg.errors import MetaecgError

_NOTHING = Given()


class Answers(NamedTuple):
    """What was found.

    Attributes:
      support: the examples.
      queries: the recordings that could be read.
      diagnoses: of each query.
      warnings: about the examples, which hold for every query.
      failed: of queries that could not be read, `recording` and `error`.
      error_rate: that was asked for.
      by_diagnosis: the plausible sets were calibrated for each diagnosis, not for all together.
      measured: intervals and axis of each query; they play no part in its diagnosis.
    """

    support: Sequence[Example]
    queries: Sequence[Read]
    diagnoses: Sequence[Diagnosis]
    warnings: Sequence[str]
    failed: Sequence[dict[str, str]] = ()
    error_rate: float = 0.1
    by_diagnosis: bool = False
    measured: Sequence[Measured] = ()


def answer(
    model: Model,
    support: Path,
    queries: Sequence[str],
    given: Given = _NOTHING,
    error_rate: float = 0.1,
) -> Answers:
    """Reads everything and diagnoses what can be read.

    Args:
      model: what diagnoses.
      support: a folder of sub-folders, or a CSV file.
      queries: recordings, or folders of them.
      given: what the files do not say.
      error_rate: of wrong answers and of missed diagnoses.

    Raises:
      MetaecgError: an example cannot be read, or no query can, or there are too few or too many.
    """
    paths, listed = files.list_queries(queries), files.list_support(support)
    examples = [(files.read(path, model.form, given), label) for path, label in listed]
    good, failed = [], []
    for path in paths:
        try:
            good.append(files.read(path, model.form, given))
        except (MetaecgError, OSError) as error:
            said = " ".join(files.shown(str(error)).split())
            failed.append({"recording": files.shown(path), "error": said})
    if not good:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise MetaecgError(f"{failed[0]['error']}{more}")
    return diagnose(model, examples, good, error_rate)._replace(failed=failed)


def diagnose(
    model: Model, support: Sequence[Example], queries: Sequence[Read], error_rate: float = 0.1
) -> Answers:
    """Diagnoses recordings that are in the model's form; see `answer`."""
    diagnoser = Diagnoser(model, error_rate).fit(
        [(each.name, label, each.windows) for each, label in support]
    )
    found = [
        diagnosis._replace(warnings=(*files.about_query(query, support), *diagnosis.warnings))
        for query, diagnosis in zip(queries, diagnoser([query.windows for query in queries]))
    ]
    general = [*diagnoser.warnings, *files.about_examples(support)]
    # Calibrations of version 0.1 hold for all diagnoses together.
    by_diagnosis = any(row.slope for row in model.calibration.rows)
    measured = [
        measurements.measure(query.signal, model.form.hz, model.form.leads) for query in queries
    ]
    return Answers(support, queries, found, general, (), error_rate, by_diagnosis, measured)


def as_json(answers: Answers, provenance: dict[str, Any]) -> dict[str, Any]:
    """All that was found, with names in place of rows, for `json.dumps`."""
    return {
        "note": NOTICE,
        "error_rate": answers.error_rate,
        # What the model was trained on, recording by recording, is in its own file.
        "provenance": {key: value for key, value in provenance.items() if key != "ancestry"},
        "support": [
            {"recording": r.path, "label": label, "notes": [note.text for note in r.notes]}
            for r, label in answers.support
        ],
        "warnings": list(answers.warnings),
        "diagnoses": [
            _as_json(diagnosis, query, answers.support) | {"measurements": measured.as_json()}
            for diagnosis, query, measured in zip(
                answers.diagnoses, answers.queries, answers.measured, strict=True
            )
        ],
        "failed": list(answers.failed),
    }


def _as_json(diagnosis: Diagnosis, query: Read, support: Sequence[Example]) -> dict[str, Any]:
    values = zip(diagnosis.labels, diagnosis.probs, diagnosis.low, diagnosis.high)
    return {
        "recording": query.path,
        "answer": diagnosis.answer,
        "plausible": list(diagnosis.plausible),
        "error_rate": diagnosis.error_rate,
        "likeness": diagnosis.likeness,
        "probabilities": {
            label: {"probability": float(p), "low": float(low), "high": float(high)}
            for label, p, low, high in values
        },
        "evidence": [
            {**e._asdict(), "recording": support[e.example][0].path, "label": support[e.example][1]}
            for e in diagnosis.evidence
        ],
        "warnings": list(diagnosis.warnings),
        "notes": [note.text for note in query.notes],
    }


def as_text(answers: Answers) -> str:
    """A ranked table of each diagnosis, then what holds for all of them."""
    parts = [
        _as_text(diagnosis, query, answers.support, measured)
        for diagnosis, query, measured in zip(
            answers.diagnoses, answers.queries, answers.measured, strict=True
        )
    ]
    if answers.warnings:
        parts.append("\n".join(f"warning: {warning}" for warning in answers.warnings))
    if any(diagnosis.error_rate is not None for diagnosis in answers.diagnoses):
        each = ", for nine in ten diagnoses" if answers.by_diagnosis else ""
        parts.append(
            f"Of recordings whose diagnosis is among the candidates, at most about "
            f"{answers.error_rate:.0%} have a plausible set without it{each}, where they are like "
            f"those of the validation; and at most about {answers.error_rate:.0%} of the answers "
            "are wrong."
        )
    parts.append(f"No diagnosis but the candidates can be answered. {NOTICE}")
    return "\n\n".join(parts)


def _as_text(
    diagnosis: Diagnosis, query: Read, support: Sequence[Example], measured: Measured
) -> str:
    lines = [f"{query.name}: {diagnosis.answer or 'unsure'}"]
    width = max(map(len, diagnosis.labels))
    for i in np.argsort(-diagnosis.probs, kind="stable"):
        label = diagnosis.labels[i]
        lines.append(
            f"  {diagnosis.probs[i]:6.1%}  {label:{width}}  "
            f"{diagnosis.low[i]:6.1%} – {diagnosis.high[i]:6.1%}"
            + ("  plausible" if label in diagnosis.plausible else "")
        )
    grounds = [
        f"{support[e.example][0].name} ({support[e.example][1]}, {e.weight:.0%}; without it "
        f"{-100 * e.effect:+.1f} points)"
        for e in diagnosis.evidence[:3]
    ]
    lines.append(f"  most weight: {', '.join(grounds)}")
    lines.append(f"  measured: {measured.as_text()}")
    return "\n".join(lines + [f"  warning: {warning}" for warning in diagnosis.warnings])
