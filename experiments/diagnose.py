"""Diagnoses recordings from a few labelled examples of each candidate diagnosis.

    python -m experiments.diagnose --support=FOLDER|FILE.csv --query=FILE [--query=FOLDER …]
        [--workdir=DIR|--artefact=FILE] [--output=out.json] [--report=out.html]

The support is a folder with one sub-folder of recordings for each diagnosis, or a CSV file with the
columns path and label. Without --workdir and --artefact, the diagnoser that comes with the package
is used. What a file does not say is asked for: --hz, --units, --leads.
"""

import csv
import json
import os
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from experiments.runs import command_line
from metaecg import NOTICE
from metaecg.data.readers import recognise, recordings
from metaecg.data.readers.given import FASTEST, SLOWEST, UNITS, Given
from metaecg.data.readers.notes import Note
from metaecg.diagnose import artefact
from metaecg.diagnose.calibration import Calibration
from metaecg.diagnose.diagnoser import Diagnoser, Diagnosis
from metaecg.diagnose.predictor import Frozen
from metaecg.errors import MetaecgError

FLAGS = flags.FLAGS


class Model(NamedTuple):
    """What diagnoses, the form of the recordings it reads, and where it comes from."""

    frozen: Frozen
    calibration: Calibration
    record: dict[str, Any]
    provenance: dict[str, Any]


class Read(NamedTuple):
    """A recording in the model's form: float32 [samples, leads] in mV, and what was done."""

    path: str
    name: str
    signal: np.ndarray
    hz: float
    notes: tuple[Note, ...]

    @property
    def serious(self) -> tuple[str, ...]:
        """The notes that become warnings."""
        return tuple(note.text for note in self.notes if note.serious)


NOTHING = Given()


def load(workdir: str | None, file: str | None, library: str | None = None) -> Model:
    """Loads a trained run, an artefact, or the artefact that comes with the package.

    Raises:
      MetaecgError: both are named, or none is and none comes with the package.
    """
    if workdir and file:
        raise MetaecgError("--workdir and --artefact are both given; name one of them")
    if workdir:
        from experiments import calibrate  # checkpoints take seconds to import

        prepared = calibrate.ready(Path(workdir).expanduser(), library)
        return Model(prepared.frozen, prepared.calibration, prepared.record, prepared.provenance)
    if file:
        return _load(Path(file).expanduser())
    folder = Path(str(resources.files("metaecg.diagnose"))) / "shipped"
    shipped = sorted(folder.glob("*.metaecg"))
    if not shipped:
        raise MetaecgError(
            f"no diagnoser comes with this installation ({folder} has none): name a trained run by "
            "--workdir=DIR or an exported one by --artefact=FILE"
        )
    return _load(shipped[-1])


def _load(path: Path) -> Model:
    read = artefact.read(path)
    provenance = {"artefact": read.fingerprint, "file": path.name, **read.provenance}
    return Model(read.frozen, read.calibration, read.record, provenance)


def list_support(support: Path) -> list[tuple[Path, str]]:
    """The labelled recordings of a folder of sub-folders, or of a CSV file; (path, label) each.

    Raises:
      MetaecgError: there are none, a diagnosis has none, or the CSV file is malformed.
    """
    if support.is_file():
        return _manifest(support)
    if not support.is_dir():
        raise MetaecgError(
            f"--support={_shown(support)}: there is no such folder or file; give a folder with a "
            "sub-folder of recordings for each diagnosis, or a CSV file of path,label"
        )
    labels = sorted(p for p in support.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not labels:
        raise MetaecgError(
            f"--support={_shown(support)}: no sub-folder in it; put the recordings of each "
            "diagnosis into a sub-folder that bears its name"
        )
    return [(path, _shown(folder.name)) for folder in labels for path in recognise.find(folder)]


def _manifest(path: Path) -> list[tuple[Path, str]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise MetaecgError(
            f"--support={_shown(path)}: no CSV text in UTF-8 ({error}); save it as 'CSV UTF-8'"
        ) from None
    columns = [cell.strip().lower() for cell in rows[0]] if rows else []
    at = [columns.index(name) for name in ("path", "label") if name in columns]
    if len(at) < 2:
        raise MetaecgError(
            f"--support={_shown(path)}: its first line must name the columns path and label"
        )
    found = []
    for number, row in enumerate(rows[1:], 2):
        cells = [row[i].strip() if i < len(row) else "" for i in at]
        if not all(cells):
            raise MetaecgError(f"{_shown(path)}, line {number}: path or label is missing")
        found.append((path.parent / cells[0], cells[1]))
    if not found:
        raise MetaecgError(f"--support={_shown(path)}: no recording is listed in it")
    return found


def list_queries(queries: Sequence[str]) -> list[Path]:
    """The recordings named, those of a folder in its place."""
    found: list[Path] = []
    for query in queries:
        path = Path(query).expanduser()
        found += recognise.find(path) if path.is_dir() else [path]
    return found


def read(path: Path, record: dict[str, Any], given: Given) -> Read:
    """Reads a recording and brings it into the model's form."""
    seconds = record["samples"] / record["hz"]  # of a long recording, not all of it is needed
    recording = recordings.read(path, **given._asdict(), seconds=seconds)
    band = record.get("bandpass")
    signal, notes = recordings.adapt(
        recording,
        hz=record["hz"],
        leads=record["leads"],
        samples=record["samples"],
        bandpass=None if band is None else (band[0], band[1]),
        scale=record.get("scale", 0.001),
    )
    return Read(_shown(path), _shown(path.name), signal, recording.hz, notes)


def about_support(support: Sequence[tuple[Read, str]]) -> list[str]:
    """What the reader should know of the examples as a whole."""
    warnings = [f"example {r.name} ({label}): {n}" for r, label in support for n in r.serious]
    rates: dict[float, set[str]] = {}
    for each, label in support:
        rates.setdefault(each.hz, set()).add(label)
    if len(rates) > 1:
        listed = "; ".join(f"{hz:g} Hz: {', '.join(sorted(rates[hz]))}" for hz in sorted(rates))
        warnings.append(
            f"the examples were recorded at several rates ({listed}); where a rate goes with a "
            "diagnosis, devices may be told apart instead of hearts"
        )
    return warnings


def diagnose(
    model: Model,
    support: Sequence[tuple[Read, str]],
    queries: Sequence[Read],
    error_rate: float = 0.1,
) -> list[Diagnosis]:
    """One diagnosis for each query, the warnings about its recording among the diagnosis's."""
    diagnoser = Diagnoser(model.frozen, model.calibration, error_rate).fit(
        [(each.name, label, each.signal) for each, label in support]
    )
    found = diagnoser([query.signal for query in queries])
    general = about_support(support)
    rates = {each.hz for each, _ in support}
    return [
        diagnosis._replace(
            warnings=(
                *query.serious,
                *(
                    [f"recorded at {query.hz:g} Hz, no example is; all were brought to one rate"]
                    if query.hz not in rates
                    else []
                ),
                *diagnosis.warnings,
                *general,
            )
        )
        for query, diagnosis in zip(queries, found)
    ]


class Answers(NamedTuple):
    """What a command found: `failed` are queries that could not be read, with the reason."""

    support: list[tuple[Read, str]]
    queries: list[Read]
    diagnoses: list[Diagnosis]
    failed: list[dict[str, str]]


def answer(
    model: Model,
    support: Path,
    queries: Sequence[str],
    given: Given = NOTHING,
    error_rate: float = 0.1,
) -> Answers:
    """Reads everything and diagnoses what can be read.

    Raises:
      MetaecgError: an example cannot be read, or no query can, or there are too few or too many.
    """
    paths, listed = list_queries(queries), list_support(support)
    examples = [(read(path, model.record, given), label) for path, label in listed]
    good, failed = [], []
    for path in paths:
        try:
            good.append(read(path, model.record, given))
        except (MetaecgError, OSError) as error:
            said = " ".join(_shown(str(error)).split())
            failed.append({"recording": _shown(path), "error": said})
    if not good:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise MetaecgError(f"{failed[0]['error']}{more}")
    return Answers(examples, good, diagnose(model, examples, good, error_rate), failed)


def as_json(
    diagnosis: Diagnosis, query: Read, support: Sequence[tuple[Read, str]]
) -> dict[str, Any]:
    """A diagnosis with names in place of rows, for JSON."""
    values = zip(diagnosis.labels, diagnosis.probs, diagnosis.low, diagnosis.high)
    return {
        "recording": query.path,
        "answer": diagnosis.answer,
        "plausible": list(diagnosis.plausible),
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


def as_text(diagnosis: Diagnosis, query: Read, support: Sequence[tuple[Read, str]]) -> str:
    """A ranked table of one diagnosis."""
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
    return "\n".join(lines + [f"  warning: {warning}" for warning in diagnosis.warnings])


def _shown(name: str | os.PathLike) -> str:
    """A path as text that can be printed and stored, whatever the encoding of its name."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _given() -> Given:
    if FLAGS.units is not None and FLAGS.units.lower() not in map(str.lower, UNITS):
        raise MetaecgError(f"--units={FLAGS.units}: choose one of {', '.join(UNITS)}")
    if FLAGS.hz is not None and not SLOWEST <= FLAGS.hz <= FASTEST:
        raise MetaecgError(
            f"--hz={FLAGS.hz:g}: an ECG has {SLOWEST} to {FASTEST} samples per second"
        )
    return Given(FLAGS.hz, FLAGS.units, tuple(FLAGS.leads) if FLAGS.leads else None)


@command_line.defines_flags
def define_flags() -> None:
    flags.DEFINE_string("workdir", None, "folder of a trained run")
    flags.DEFINE_string("artefact", None, "file made by experiments.export")
    flags.DEFINE_string(
        "support", None, "labelled examples: a folder of sub-folders, or a CSV file"
    )
    flags.DEFINE_multi_string("query", [], "recording or folder of recordings; may be repeated")
    flags.DEFINE_string("output", None, "JSON file of all that was found")
    flags.DEFINE_string("report", None, "HTML page to read and print")
    flags.DEFINE_float("hz", None, "samples per second of files that do not say")
    flags.DEFINE_string("units", None, "mV, uV, V or nV, of files that do not say")
    flags.DEFINE_list("leads", None, "names of the leads in order, of files that do not say")
    flags.DEFINE_float("error_rate", 0.1, "rate of wrong answers and of missed diagnoses to accept")
    flags.DEFINE_string("library", None, "of --workdir: library to calibrate on, if it has moved")


def main(_) -> int:
    if FLAGS.support is None or not FLAGS.query:
        raise MetaecgError("--support and --query are needed (see --help)")
    if not 0 < FLAGS.error_rate < 1:
        raise MetaecgError(f"--error_rate={FLAGS.error_rate:g}: must be between 0 and 1")
    given = _given()
    model = load(FLAGS.workdir, FLAGS.artefact, FLAGS.library)
    support, queries, found, failed = answer(
        model, Path(FLAGS.support).expanduser(), FLAGS.query, given, FLAGS.error_rate
    )
    for query, diagnosis in zip(queries, found):
        print(as_text(diagnosis, query, support) + "\n")
    print(
        f"Plausible sets miss the diagnosis, and answers are wrong, in about "
        f"{FLAGS.error_rate:.0%} of recordings like those of the validation whose diagnosis is "
        f"among the candidates. No other diagnosis can be answered. {NOTICE}"
    )
    if FLAGS.output:
        results = {
            "note": NOTICE,
            "error_rate": FLAGS.error_rate,
            "provenance": model.provenance,
            "support": [
                {"recording": r.path, "label": label, "notes": [note.text for note in r.notes]}
                for r, label in support
            ],
            "diagnoses": [as_json(d, q, support) for q, d in zip(queries, found)],
            "failed": failed,
        }
        text = json.dumps(results, indent=1, ensure_ascii=False)
        Path(FLAGS.output).expanduser().write_text(text, encoding="utf-8")
    if FLAGS.report:
        from metaecg.figures import report  # so does matplotlib

        cases = [(q.name, d, q.signal, [n.text for n in q.notes]) for q, d in zip(queries, found)]
        page = report.diagnosis_page(
            cases,
            [(each.name, label, each.signal) for each, label in support],
            {key: value for key, value in model.provenance.items() if key != "measured"},
            hz=model.record["hz"],
            leads=model.record["leads"],
        )
        Path(FLAGS.report).expanduser().write_text(page, encoding="utf-8")
    for failure in failed:
        print(f"error: {failure['error']}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
