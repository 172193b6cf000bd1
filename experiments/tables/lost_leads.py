"""How a recording is diagnosed that lost some chest leads, which all examples have.

    python -m experiments.tables.lost_leads --library=LIBRARY --part=test [--output=FILE.csv]

The library has the twelve leads. The model of twelve that comes with the package reads zeros for
what is lost, and states the rates of its calibration, which is of whole recordings. Beside it, in
the same episodes, stands the model of leads I and II, which reads these of examples and recordings.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from experiments.runs import command_line
from experiments.tables import csv_table, markdown
from metaecg.data import protocols
from metaecg.data.library import Library, open_library
from metaecg.diagnose import artefact, few_leads, stated_rates
from metaecg.diagnose.fitting import Plan, draw, embed
from metaecg.diagnose.model import Model
from metaecg.errors import MetaecgError
from metaecg.types import Episode

FLAGS = flags.FLAGS
LOST = ("", "V1", "V3", "V6", "V1 V2", "V5 V6", "V1 V2 V3", "V4 V5 V6", "V1 V2 V3 V4 V5 V6")


def part_without(library: Library, rows: np.ndarray, lost: Sequence[str]) -> Library:
    """Some records of a library, their lost leads zero."""
    signals = np.array(library.signals[rows])
    signals[:, :, [library.leads.index(lead) for lead in lost]] = 0
    return _of(library, rows, signals, library.leads)


def part_of_leads(library: Library, rows: np.ndarray, leads: Sequence[str]) -> Library:
    """Some leads of some records of a library."""
    columns = [library.leads.index(lead) for lead in leads]
    return _of(library, rows, np.array(library.signals[rows][:, :, columns]), tuple(leads))


def _of(library: Library, rows: np.ndarray, signals: np.ndarray, leads: tuple[str, ...]) -> Library:
    return Library(
        signals,
        library.labels[rows],
        library.vocabulary,
        library.patients[rows],
        hz=library.hz,
        leads=leads,
        scale=library.scale,
    )


def measure(
    model: Model, embeddings: np.ndarray, drawn: Sequence[Episode], part: protocols.Split
) -> Iterator[dict[str, Any]]:
    """The rates of `stated_rates.measure` for each kind of episode."""
    read, patients = model.predictor.coordinates(embeddings), np.tile(part.patients, 2)
    for some in drawn:
        yield stated_rates.measure(model, read, some, patients=patients, classes=part.classes)


def _row(lost: str, by: str, rates: dict[str, Any]) -> dict[str, Any]:
    low, high = rates["accuracy95"]
    accuracy, covered, least = (
        f"{rates[name]:.3f}" for name in ("accuracy", "coverage", "worst_coverage")
    )
    answered, wrong = (f"{rates[name]:.1%}" for name in ("answered", "wrong_answers"))
    return {
        "way": rates["way"],
        "shot": rates["shot"],
        "lost": lost or "none",
        "by": by,
        "accuracy": accuracy,
        "over patients": f"{low:.3f}–{high:.3f}",
        "coverage": covered,
        "least of a statement": least,
        "answered": answered,
        "wrong among these": wrong if rates["answered"] else "none given",
    }


def main(_) -> None:
    command_line.need("library")
    library = open_library(Path(FLAGS.library).expanduser())
    part = protocols.split(library, protocols.load(FLAGS.protocol), FLAGS.part)
    model, few = artefact.shipped(), few_leads.suiting({"I", "II"})
    model.form.check(library, name=FLAGS.library)
    if few.form.leads != ("I", "II"):
        raise MetaecgError("no model for leads I and II comes with this installation")
    plan = Plan(
        FLAGS.episodes,
        seed=FLAGS.seed,
        ways=tuple(command_line.counts("ways", FLAGS.ways, least=2)),
        shots=tuple(command_line.counts("shots", FLAGS.shots)),
    )
    drawn = list(draw(library, part, model.predictor.limits, plan))
    # Records follow that are the same but for what they lost; queries are taken from these.
    asked = [some._replace(query=np.asarray(some.query) + len(part.rows)) for some in drawn]
    own = np.arange(len(part.rows))
    whole, rows = embed(model.predictor, library, part.rows), []
    for lost in LOST:
        without = whole
        if lost:
            without = embed(model.predictor, part_without(library, part.rows, lost.split()), own)
        both = np.concatenate([whole, without])
        rows += [_row(lost, "twelve", each) for each in measure(model, both, asked, part)]
    limb = embed(few.predictor, part_of_leads(library, part.rows, few.form.leads), own)
    rows += [_row(LOST[-1], "I and II", each) for each in measure(few, limb, drawn, part)]
    rows.sort(key=lambda row: (row["way"], row["shot"]))
    print(markdown.table([*rows[0]], [list(row.values()) for row in rows]))
    csv_table.write(rows, FLAGS.output)


if __name__ == "__main__":
    flags.DEFINE_string("library", None, "The library of twelve leads to measure on.")
    flags.DEFINE_string("protocol", "ptbxl_rare", "The name or the .json file of a protocol.")
    flags.DEFINE_enum("part", "validation", ["validation", "test"], "Whose classes are asked.")
    flags.DEFINE_list("ways", ["2", "5"], "The classes of an episode.")
    flags.DEFINE_list("shots", ["1", "5"], "The examples of a class.")
    flags.DEFINE_integer("episodes", 300, "The episodes of each kind.", lower_bound=2)
    flags.DEFINE_integer("seed", 1, "The seed of the episodes.")
    flags.DEFINE_string("output", None, "A CSV file of the table.")
    command_line.run(main)
