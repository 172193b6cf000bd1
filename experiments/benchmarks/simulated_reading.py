"""How much reading a search saves: PTB-XL as the archive, its labels as the cardiologist.

    python -m experiments.benchmarks.simulated_reading --library=LIBRARY --output=rows.csv

Each statement of a protocol's part is the question, with some positives alone, each of another
patient; all recordings of these patients are left out of what is to be found. The reading goes on
as `experiments.review` does it, an answer at a time at first, ranked again after each block. Beside
it: the nearest neighbour of one example, the ranking that no answer changes, an oracle that was
fitted with all labels, and random order, of which the expectation is known.

`read@80` is the share of the readings that random order needs for 80 % of the cases; the work saved
over it, WSS@80, is 1 less that. Where the most that is read does not suffice, it is given as inf.
With --archive=part the archive is that part's own recordings, on none of which the encoder was
trained. `--part=validation` fits the coefficients of `metaecg.search.probability` as well.
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from experiments.runs import archives, command_line, model_flags
from experiments.tables import markdown
from metaecg.data import protocols
from metaecg.errors import MetaecgError
from metaecg.search import probability, ranking, remaining
from metaecg.search.archive import Archive

FLAGS = flags.FLAGS
READERS = ("review", "fixed ranking", "nearest neighbour", "oracle")
AT = (100, 300)


class Archived(NamedTuple):
    """An archive in its space: [N, D], who carries the statement: bool [N], patients: int [N]."""

    placed: np.ndarray
    labels: np.ndarray
    patients: np.ndarray


def draws(
    of: Archived, count: int, times: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of the examples, each of another patient, and which rows are not of these patients."""
    rng = np.random.default_rng(seed)
    for _ in range(times):
        rows = rng.permutation(np.flatnonzero(of.labels))
        first = np.sort(np.unique(of.patients[rows], return_index=True)[1])[:count]
        examples = rows[first]
        yield examples, ~np.isin(of.patients, of.patients[examples])


def block(read: int) -> int:
    """Readings between two rankings: each of the first hundred, then fewer of them."""
    return 1 if read < 100 else 10 if read < 500 else 50 if read < 2000 else 250


def review(of: Archived, examples: np.ndarray, free: np.ndarray, most: int) -> np.ndarray:
    """The order in which at most so many recordings are read by the loop: rows [n]."""
    unread, rows, size = free.copy(), list(examples), of.placed.shape[1]
    positive = of.placed[examples].T @ of.placed[examples]
    sums = [of.placed[examples].sum(0), np.zeros(size)]
    negative, counts, order = np.zeros((size, size)), [len(examples), 0], list[int]()
    while len(order) < most and unread.any():
        # As `ranking.direction`, from sums that grow with the answers.
        weight = min(1.0, counts[0] / max(1, counts[1]))
        if len(rows) <= size:
            sought = np.append(np.ones(len(examples), bool), of.labels[order])
            direction = ranking.direction(of.placed[rows], sought)
        else:
            matrix = positive + weight * negative + ranking.NOISE * np.eye(size)
            direction = np.linalg.solve(matrix, sums[0] + weight * ranking.NOT_SOUGHT * sums[1])
        scores = np.where(unread, of.placed @ direction.astype(np.float32), -np.inf)
        step = min(block(len(order)), int(unread.sum()))
        best = np.argpartition(-scores, step - 1)[:step]
        best = best[np.argsort(-scores[best], kind="stable")]
        unread[best] = False
        order += best.tolist()
        rows += best.tolist()
        for kind, chosen in enumerate((best[of.labels[best]], best[~of.labels[best]])):
            vectors = of.placed[chosen]
            total = positive if kind == 0 else negative
            total += vectors.T @ vectors
            sums[kind] = sums[kind] + vectors.sum(0)
            counts[kind] += len(chosen)
    return np.array(order)


def by_direction(of: Archived, direction: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The order of a ranking that no answer changes."""
    scores = np.where(free, of.placed @ direction.astype(np.float32), -np.inf)
    return np.argsort(-scores, kind="stable")[: int(free.sum())]


def orders(
    of: Archived, examples: np.ndarray, free: np.ndarray, most: int
) -> dict[str, np.ndarray]:
    """The order of reading of each of `READERS`."""
    some = of.placed[examples]
    sought = np.ones(len(examples), bool)
    everything = np.flatnonzero(free)
    return {
        "review": review(of, examples, free, most),
        "fixed ranking": by_direction(of, ranking.direction(some, sought), free),
        "nearest neighbour": by_direction(of, some[0], free),
        "oracle": by_direction(
            of, ranking.direction(of.placed[everything], of.labels[everything]), free
        ),
    }


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


def measure(of: Archived, code: str, seed: int) -> list[dict[str, Any]]:
    """A row for each reader: means over the draws, of read@… medians, least and greatest."""
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in READERS}
    most = int(FLAGS.most * len(of.labels))
    for examples, free in draws(of, FLAGS.examples, FLAGS.draws, seed):
        for name, order in orders(of, examples, free, most).items():
            rows[name].append(score(of, order, free))
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


def fit(of: dict[str, Archived], seed: int) -> tuple[np.ndarray, float]:
    """The coefficients of `probability`, and its usual mean log place, by logistic regression."""
    kept, usual = [], []
    for one in of.values():
        for examples, free in draws(one, FLAGS.examples, FLAGS.draws, seed):
            places = left_out(one, examples, free)
            order = by_direction(
                one, ranking.direction(one.placed[examples], np.ones(len(examples), bool)), free
            )
            kept.append((places, one.labels[order]))
            usual.append(np.log(places).mean())
    probability.USUAL = float(np.mean(usual))
    inputs = np.concatenate([probability.features(len(y), places) for places, y in kept])
    sought = np.concatenate([y for _, y in kept])
    found = np.array([-5.0, 0, 0, 0])
    for _ in range(100):
        chance = 1 / (1 + np.exp(-inputs @ found))
        curvature = (inputs.T * (chance * (1 - chance))) @ inputs + 1e-3 * np.eye(4)
        step = np.linalg.solve(curvature, inputs.T @ (sought - chance) - 1e-3 * found)
        found = found + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-8:
            break
    return found, probability.USUAL


def left_out(of: Archived, examples: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The place of each example in the ranking by the others."""
    placed = of.placed[examples]
    others = ranking.without_each(placed)
    own = np.einsum("pd,dp->p", placed, others)
    above = (of.placed[free] @ others.astype(np.float32) > own).sum(0)
    return (above + 1) / (free.sum() + 1)


def reliability(of: dict[str, Archived], seed: int) -> list[tuple[str, int, str, str]]:
    """Stated probability against the share that is sought, over all statements and draws."""
    edges = np.array([0, 0.02, 0.05, 0.1, 0.2, 0.4, 1])
    sums = np.zeros((len(edges) - 1, 3))
    for one in of.values():
        for examples, free in draws(one, FLAGS.examples, FLAGS.draws, seed):
            order = by_direction(
                one, ranking.direction(one.placed[examples], np.ones(len(examples), bool)), free
            )
            stated = probability.probabilities(len(order), left_out(one, examples, free))
            at = np.digitize(stated, edges[1:-1])
            for bin in range(len(sums)):
                mine = at == bin
                sums[bin] += mine.sum(), stated[mine].sum(), one.labels[order][mine].sum()
    return [
        (f"{low:g} to {high:g}", int(n), f"{said / max(n, 1):.3f}", f"{true / max(n, 1):.3f}")
        for low, high, (n, said, true) in zip(edges, edges[1:], sums)
    ]


def stopping(of: dict[str, Archived], seed: int) -> list[dict[str, Any]]:
    """How far the expectation of what is left was right, by `expectation`, in two draws of each."""
    rows = []
    for code, one in of.items():
        for examples, free in draws(one, FLAGS.examples, 2, seed):
            order = review(one, examples, free, min(1500, int(free.sum())))
            rows.append({"statement": code, **expectation(one, examples, free, order)})
    return rows


def expectation(
    of: Archived, examples: np.ndarray, free: np.ndarray, order: np.ndarray
) -> dict[str, Any]:
    """What was expected to be left, and what was: places are taken as read, 1, 2, 3 …."""
    total, cases = int(free.sum()), int((of.labels & free).sum())
    found, row = np.cumsum(of.labels[order]), dict[str, Any]()
    prior = remaining.prior(left_out(of, examples, free))
    for read in (*AT, 1000):
        at = np.arange(1, read + 1) / total
        curve = remaining.curve(at, of.labels[order[:read]].astype(float), prior)
        rest = np.arange(read + 1, total + 1) / total
        row[f"expected@{read}"] = (1 / (1 + np.exp(-curve[0] - curve[1] * np.log(rest)))).sum()
        row[f"left@{read}"] = cases - found[read - 1]
    return row


def main(_) -> None:
    if not FLAGS.library:
        raise MetaecgError("--library is needed: PTB-XL, made by experiments.prepare")
    model = model_flags.load(FLAGS.workdir, FLAGS.artefact)
    opened = archives.open_prepared(model, FLAGS.library)
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
            of[code] = Archived(placed, labels, library.patients[rows])
    if FLAGS.part == "validation":
        coefficients, usual = fit(of, FLAGS.seed)
        print("COEFFICIENTS", np.round(coefficients, 3).tolist(), "USUAL", round(usual, 3))
        probability.COEFFICIENTS = tuple(coefficients)
    measured: list[dict[str, Any]] = []
    for code, one in of.items():
        measured += measure(one, code, FLAGS.seed)
        print(code, *(f"{row['read@80']:.3f}" for row in measured[-4:]), file=sys.stderr)
        if FLAGS.output:
            with open(Path(FLAGS.output).expanduser(), "w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(measured[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(
                    {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()}
                    for row in measured
                )
    names = ("precision@20", *(f"found@{at}" for at in AT), "read@80", "read@95")
    body = []
    for reader in READERS:  # means over the statements, medians of read@…
        mine = [row for row in measured if row["reader"] == reader]
        middle = [
            f"{(np.median if 'read' in name else np.mean)([row[name] for row in mine]):.3f}"
            for name in names
        ]
        body.append([reader, *middle])
    print(markdown.table(["reader", *names], body))
    print(markdown.table(["stated", "recordings", "mean", "sought"], reliability(of, FLAGS.seed)))
    if FLAGS.stopping:
        found = stopping(of, FLAGS.seed)
        head = list(found[0])
        cells = [[f"{v:.0f}" if i else v for i, v in enumerate(row.values())] for row in found]
        print(markdown.table(head, cells))


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
    flags.DEFINE_bool("stopping", False, "measure the expectation of what is left as well")
    flags.DEFINE_integer("seed", 0, "of the draws")
    flags.DEFINE_string("output", None, "CSV file of all rows")
    command_line.run(main)
