"""From files to answers: examples and queries are read, diagnosed, and put into text and JSON.

found = answers.answer(model, Path("support"), ["query.csv"])
print(answers.as_text(found))
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metaecg import NOTICE
from metaecg.data.readers.given_by_user import Given
from metaecg.data.readers.lead_names import STANDARD_LEADS
from metaecg.diagnose import few_leads, measurements
from metaecg.diagnose import support as files
from metaecg.diagnose.diagnoser import Diagnoser
from metaecg.diagnose.diagnosis import Diagnosis
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
      model: what diagnosed.
      leads_read: which leads and why, where it is not all twelve; '' where it is.
    """

    support: Sequence[Example]
    queries: Sequence[Read]
    diagnoses: Sequence[Diagnosis]
    warnings: Sequence[str]
    failed: Sequence[dict[str, str]] = ()
    error_rate: float = 0.1
    by_diagnosis: bool = False
    measured: Sequence[Measured] = ()
    model: Model | None = None
    leads_read: str = ""


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
    listed, paths = files.list_support(support), files.list_queries(queries)
    found = _answer(model, listed, paths, given, error_rate)
    _check_some(found.queries, found.failed)
    return found


def answer_by_leads(
    choose: Callable[[frozenset[str]], Model],
    support: Path,
    queries: Sequence[str],
    given: Given = _NOTHING,
    error_rate: float = 0.1,
) -> list[Answers]:
    """Reads everything, and diagnoses each query by a model that suits the leads that are there.

    Args:
      choose: the model for the standard leads that a query and all examples have, such as
        `few_leads.suiting`.
      support, queries, given, error_rate: as of `answer`.

    Returns:
      An item for each model that was chosen, the one of the most leads first.

    Raises:
      MetaecgError: as of `answer`.
    """
    paths, listed = files.list_queries(queries), files.list_support(support)
    seconds = few_leads.SECONDS
    common = frozenset(STANDARD_LEADS).intersection(
        *(files.leads_of(path, given, seconds) for path, _ in listed)
    )
    groups: dict[tuple[str, ...], list[Path]] = {}
    for path in paths:
        try:
            there = few_leads.to_read(common, files.leads_of(path, given, seconds))
        except (MetaecgError, OSError):  # said when it is read
            there = common
        groups.setdefault(choose(there).form.leads, []).append(path)
    found = []
    for leads, group in sorted(groups.items(), key=lambda item: -len(item[0])):
        model = choose(frozenset(leads))
        answers = _answer(model, listed, group, given, error_rate, few_leads.SPARE)
        if len(leads) < len(STANDARD_LEADS):
            said = (
                f"leads read: {' '.join(leads)}, which all examples and these recordings have; a "
                "model for these leads answered, and what is stated holds for it"
            )
            answers = answers._replace(leads_read=said)
        found.append(answers)
    _check_some(
        [query for each in found for query in each.queries],
        [failure for each in found for failure in each.failed],
    )
    return found


def _answer(
    model: Model,
    listed: Sequence[tuple[Path, str]],
    queries: Sequence[Path],
    given: Given,
    error_rate: float,
    spare: int = 0,
) -> Answers:
    examples = [(files.read(path, model.form, given), label) for path, label in listed]
    good, failed = [], []
    for path in queries:
        try:
            good.append(files.read(path, model.form, given))
        except (MetaecgError, OSError) as error:
            said = " ".join(files.shown(str(error)).split())
            failed.append({"recording": files.shown(path), "error": said})
    return diagnose(model, examples, good, error_rate, spare)._replace(failed=failed)


def _check_some(queries: Sequence[Read], failed: Sequence[dict[str, str]]) -> None:
    if not queries:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise MetaecgError(f"{failed[0]['error']}{more}")


def diagnose(
    model: Model,
    support: Sequence[Example],
    queries: Sequence[Read],
    error_rate: float = 0.1,
    spare: int = 0,
) -> Answers:
    """Diagnoses recordings that are in the model's form; see `answer` and `Diagnoser.spare`."""
    diagnoser = Diagnoser(model, error_rate, spare).fit(
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
    return Answers(support, queries, found, general, (), error_rate, by_diagnosis, measured, model)


def as_json(*found: Answers) -> dict[str, Any]:
    """All that was found, with names in place of rows, for `json.dumps`.

    Args:
      *found: the answers of one model or of several; the provenance is of the first, and so are
        what was done to the examples and the warnings about them.
    """
    first = found[0]
    provenance = first.model.provenance if first.model else {}
    return {
        "note": NOTICE,
        "error_rate": first.error_rate,
        # What the model was trained on, recording by recording, is in its own file.
        "provenance": {key: value for key, value in provenance.items() if key != "ancestry"},
        "support": [
            {"recording": r.path, "label": label, "notes": [note.text for note in r.notes]}
            for r, label in first.support
        ],
        "warnings": list(first.warnings),
        "diagnoses": [
            _as_json(diagnosis, query, each.support)
            | {"measurements": measured.as_json(), "read_by": _reader(each)}
            for each in found
            for diagnosis, query, measured in zip(
                each.diagnoses, each.queries, each.measured, strict=True
            )
        ],
        "failed": [failure for each in found for failure in each.failed],
    }


def _reader(answers: Answers) -> dict[str, Any]:
    """Which leads were read, by which exported model, and why."""
    if answers.model is None:
        return {}
    known = answers.model.provenance
    leads = {"leads": list(answers.model.form.leads), "artefact": known.get("artefact")}
    return leads | ({"why": answers.leads_read} if answers.leads_read else {})


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
    if answers.leads_read:
        parts.append(f"note: {answers.leads_read}")
    if answers.warnings:
        parts.append("\n".join(f"warning: {warning}" for warning in answers.warnings))
    if any(diagnosis.error_rate is not None for diagnosis in answers.diagnoses):
        each = ", for nine in ten diagnoses" if answers.by_diagnosis else ""
        rate = f"{100 * answers.error_rate:.3g}%"
        parts.append(
            f"Of recordings whose diagnosis is among the candidates, at most about {rate} have a "
            f"plausible set without it{each}, where they are like those of the validation; and at "
            f"most about {rate} of the answers are wrong."
        )
    parts.append(f"No diagnosis but the candidates can be answered. {NOTICE}")
    return "\n\n".join(parts)


def _as_text(
    diagnosis: Diagnosis, query: Read, support: Sequence[Example], measured: Measured
) -> str:
    lines = [f"{query.name}: {diagnosis.answer or 'unsure'}"]
    if diagnosis.answer is None and diagnosis.error_rate and len(diagnosis.plausible) == 1:
        lines[0] += f"; {diagnosis.plausible[0]} is not certain enough to be answered"
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
    within = " in the first window" if query.later else ""
    lines.append(f"  measured{within}: {measured.as_text()}")
    return "\n".join(lines + [f"  warning: {warning}" for warning in diagnosis.warnings])
