"""What the shipped model takes each statement of a part for.

    python -m experiments.tables.confused --library=libraries/ptbxl

Episodes of five candidates with five examples and five queries of each, which use records evenly.
Of each statement: its kind, how often it is answered rightly, and the statement that is answered in
its place most often where both are candidates. Choose by the validation part; the test part is for
the end.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from absl import flags

from experiments.runs import command_line
from metaecg.data import protocols
from metaecg.data.library import open_library
from metaecg.data.sources import statements
from metaecg.diagnose import artefact, fitting
from metaecg.episodes import evaluation_sets
from metaecg.types import Episode, LibraryIndex

FLAGS = flags.FLAGS


def confusion(answers: np.ndarray, episodes: Episode, classes: int) -> tuple[np.ndarray, ...]:
    """How often a class is answered as another where both are candidates.

    Args:
      answers: int [E, Q], the slot that each query was answered with.
      episodes: leaves [E, ...].
      classes: how many there are.

    Returns:
      (share, asked): float [classes, classes], the share of the queries of a row's class that were
      answered with the column's, of those that could be; int [classes], the queries of each.
    """
    given, possible = (np.zeros((classes, classes)) for _ in range(2))
    truth = np.take_along_axis(episodes.classes, episodes.query_slots, axis=1)
    np.add.at(given, (truth, np.take_along_axis(episodes.classes, answers, axis=1)), 1)
    np.add.at(possible, (truth[..., None], episodes.classes[:, None, :]), 1)
    return given / np.maximum(possible, 1), possible.diagonal().astype(int)


def main(_) -> None:
    command_line.need("library")
    library, model = open_library(Path(FLAGS.library).expanduser()), artefact.shipped()
    part = protocols.split(library, protocols.load(FLAGS.protocol), FLAGS.part)
    index = LibraryIndex(labels=part.labels, patients=part.patients)
    drawn = evaluation_sets.balanced(
        index, FLAGS.seed, FLAGS.episodes, way=5, shot=5, query=5, names=part.classes
    )
    embeddings = fitting.embed(model.predictor, library, part.rows)
    said = fitting.over_orders(model.predictor, embeddings, drawn, orders=1, seed=0)[:, 0]
    share, asked = confusion(said.argmax(-1), drawn, len(part.classes))
    right = share.diagonal().copy()
    np.fill_diagonal(share, -1.0)
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(
        ("statement", "meaning", "kind", "queries", "right", "most often taken for", "in")
    )
    for c in np.argsort(-right, kind="stable"):
        code, other = part.classes[c], share[c].argmax()
        meaning = statements.look_up(code)
        table.writerow(
            (
                *(code, meaning.name, meaning.kinds.replace(";", ", "), asked[c]),
                *(f"{right[c]:.2f}", part.classes[other], f"{share[c, other]:.2f}"),
            )
        )


@command_line.defines_flags
def define_flags() -> None:
    flags.DEFINE_string("library", None, "The sample library, in the form of the diagnoser.")
    flags.DEFINE_string("protocol", "ptbxl_rare", "Whose part is asked.")
    flags.DEFINE_enum("part", "validation", ["validation", "test"], "Of the protocol.")
    flags.DEFINE_integer("episodes", 1000, "How many.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "Of the episodes.", lower_bound=0)


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
