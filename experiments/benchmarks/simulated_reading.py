"""How much reading a search saves: PTB-XL as the archive, its labels as the cardiologist.

    python -m experiments.benchmarks.simulated_reading --library=LIBRARY --output=rows.csv

Each statement of a protocol's part is the question, with some positives alone, each of another
patient; all recordings of these patients are left out of what is to be found. The reading goes on
as `experiments.review` does it, an answer at a time at first, ranked again after each block. Beside
it: the nearest neighbour of one example, the ranking that no answer changes, an oracle that was
fitted with all labels, and random order, of which the expectation is known; and the loop that also
asks for what is unlike all that was read, 'mixed'.

`read@80` is the share of the readings that random order needs for 80 % of the cases; the work saved
over it, WSS@80, is 1 less that. Where the most that is read does not suffice, it is given as inf.
With --archive=part the archive is that part's own recordings, on none of which the encoder was
trained. `--part=validation` fits the coefficients of `metaecg.search.probability` as well.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from experiments.benchmarks import stated
from experiments.benchmarks.readers import READERS, Archived, draws, orders
from experiments.runs import archives, command_line
from experiments.tables import csv_table, markdown, searches
from metaecg.data import protocols
from metaecg.errors import MetaecgError
from metaecg.figures import plots
from metaecg.search import probability
from metaecg.search.archive import Archive

FLAGS = flags.FLAGS
AT = (100, 300)
GRID = np.geomspace(0.0005, 1, 40)
"""Shares of the archive that were read, of the curves."""


def score(of: Archived, order: np.ndarray, free: np.ndarray) -> dict[str, float]:
    """What a reading in this order finds."""
    hits = of.labels[order]
    cases, total = int((of.labels & free).sum()), int(free.sum())
    found = np.cumsum(hits)
    row = {"precision@20": float(hits[:20].mean())}
    row |= {f"found@{at}": float(found[min(at, len(found)) - 1]) for at in AT}
    for recall in (0.8, 0.95):
        needed = int(np.ceil(recall * cases))
        random = needed * (total + 1) / (cases + 1)  # expected readings in random order
        read = np.argmax(found >= needed) + 1 if found[-1] >= needed else np.inf
        row[f"read@{recall * 100:.0f}"] = read / random
    return row


def curve(of: Archived, order: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Share of the cases that was found after each share of `GRID` was read; not so far: NaN."""
    found = np.cumsum(of.labels[order]) / int((of.labels & free).sum())
    read = np.maximum(1, np.round(GRID * free.sum()).astype(int))
    return np.where(read <= len(found), found[np.minimum(read, len(found)) - 1], np.nan)


def measure(of: Archived, code: str, curves: dict[str, list[np.ndarray]]) -> list[dict[str, Any]]:
    """A row for each reader: means over the draws, of read@… medians, least and greatest.

    To `curves` is added, for each reader, the mean over the draws of `curve`.
    """
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in READERS}
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in READERS}
    most = int(FLAGS.most * len(of.labels))
    for examples, free in asked(of):
        for name, order in orders(of, examples, free, most).items():
            rows[name].append(score(of, order, free))
            drawn[name].append(curve(of, order, free))
    for name, found_at in drawn.items():
        curves[name].append(np.mean(found_at, axis=0))
    cases, total = int(of.labels.sum()), len(of.labels)
    found = []
    for name, each in rows.items():
        mean = {
            key: float((np.median if "read" in key else np.mean)([row[key] for row in each]))
            for key in each[0]
        }
        spread = [row["read@80"] for row in each]
        found.append(
            {"statement": code, "cases": cases, "prevalence": cases / total, "reader": name}
            | mean
            | {"read@80 least": min(spread), "read@80 most": max(spread)}
        )
    return found


def asked(of: Archived) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The draws of a statement."""
    return draws(of, FLAGS.examples, FLAGS.draws, FLAGS.seed)


def quartiles(curves: dict[str, list[np.ndarray]]) -> list[dict[str, Any]]:
    """Of each reader at each share that was read: median and quartiles over the statements."""
    return [
        {"reader": name, "read": float(at)}
        | dict(zip(("lower quartile", "median", "upper quartile"), map(float, values)))
        for name, each in curves.items()
        for at, values in zip(GRID, np.percentile(each, [25, 50, 75], axis=0).T)
        if np.isfinite(values).all()
    ]


def main(_) -> None:
    if not FLAGS.library:
        raise MetaecgError("--library is needed: PTB-XL, made by metaecg prepare")
    opened = archives.open_prepared(FLAGS.library)
    library = opened.library
    assert library is not None
    part = protocols.split(library, protocols.load(FLAGS.protocol), FLAGS.part)
    rows = part.rows if FLAGS.archive == "part" else np.arange(len(library))
    archive = Archive.of(np.asarray(opened.archive.embeddings[rows]))
    placed = np.concatenate([each for _, each in archive.placed()])
    of = {}
    for code in part.classes:
        labels = library.labels[rows, library.vocabulary.index(code)]
        if len(np.unique(library.patients[rows][labels])) > FLAGS.examples:
            of[code] = Archived(placed, labels, library.patients[rows], archive.lengths)
    if FLAGS.part == "validation":
        coefficients, usual = stated.fit(of, asked)
        print("COEFFICIENTS", np.round(coefficients, 3).tolist(), "USUAL", round(usual, 3))
        probability.COEFFICIENTS = tuple(coefficients)
    measured: list[dict[str, Any]] = []
    curves: dict[str, list[np.ndarray]] = {name: [] for name in READERS}
    for code, one in of.items():
        measured += measure(one, code, curves)
        at80 = (f"{row['read@80']:.3f}" for row in measured[-len(READERS) :])
        print(code, *at80, file=sys.stderr)
        csv_table.write(measured, FLAGS.output)
        csv_table.write(quartiles(curves), FLAGS.curves)
    if FLAGS.figure:
        plots.reading_curves(quartiles(curves)).savefig(Path(FLAGS.figure).expanduser())
    print(searches.by_statement(measured, READERS))
    print(searches.by_reader(measured, READERS))
    print(markdown.table(["stated", "recordings", "mean", "sought"], stated.reliability(of, asked)))
    if FLAGS.stopping:
        told = stated.stopping(archive, of, asked)
        print(searches.when_to_stop(told, FLAGS.draws))


if __name__ == "__main__":
    flags.DEFINE_string("library", None, "folder of a prepared library")
    flags.DEFINE_string("workdir", None, "folder of a trained run that embeds")
    flags.DEFINE_string("artefact", None, "exported model that embeds; none: the package's")
    flags.DEFINE_string("protocol", "ptbxl_rare", "name or .json file of a protocol")
    flags.DEFINE_enum("part", "test", ["validation", "test"], "whose statements are asked")
    flags.DEFINE_enum("archive", "all", ["all", "part"], "which recordings are searched")
    flags.DEFINE_integer("examples", 5, "positives that are given", lower_bound=1)
    flags.DEFINE_integer("draws", 5, "of the examples", lower_bound=1)
    flags.DEFINE_float("most", 0.25, "share of the archive that is read at most")
    flags.DEFINE_bool("stopping", False, "measure what a review says is left, too")
    flags.DEFINE_integer("seed", 0, "of the draws")
    flags.DEFINE_string("output", None, "CSV file of all rows")
    flags.DEFINE_string("curves", None, "CSV file of found against read")
    flags.DEFINE_string("figure", None, "SVG or PNG file of the same")
    command_line.run(main)
