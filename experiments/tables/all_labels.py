"""What all labels would give: few examples, and all that half of the patients have, side by side.

    python -m experiments.tables.all_labels --library=LIBRARY [--artefact=FILE] [--output=FILE.json]

The protocol's oracle gives half of the test patients to training, with the labels of the test
statements. In episodes of the other half, ridge regression reads the model's embeddings of the
episode's own examples, and of every recording of the first half that has one of the asked
statements and no other of them; each statement weighs as much as any other. The model itself has
seen neither statements nor patients.
"""

import json
from pathlib import Path

import numpy as np
from absl import flags
from tqdm import tqdm

from experiments.runs import build, command_line, machine, model_flags, trained
from experiments.tables import markdown
from metaecg.data import protocols
from metaecg.data.library import open_library
from metaecg.diagnose.fitting import embed
from metaecg.episodes import evaluation_sets
from metaecg.evaluate import statistics
from metaecg.types import Episode

FLAGS = flags.FLAGS
QUERY, PENALTY = 5, 2.0


def slots(products: np.ndarray, asked: np.ndarray, rows: np.ndarray, of: np.ndarray) -> np.ndarray:
    """The likeliest slot of each query by ridge regression, in which every slot weighs alike.

    Args:
      products: float [N, N], inner products of embeddings.
      asked: int [Q], rows of the queries.
      rows: int [S], rows of the examples; at least one of each slot.
      of: int [S], the slot of each.

    Returns:
      int [Q].
    """
    way = of.max() + 1
    weight = 1 / np.bincount(of)[of]
    penalty = PENALTY * weight.sum() / len(of) / weight
    matrix = products[np.ix_(rows, rows)] + np.diag(penalty)
    values = np.linalg.solve(matrix, np.eye(way)[of] - 1 / way)
    return (products[np.ix_(asked, rows)] @ values).argmax(-1)


def accuracies(
    products: np.ndarray, own: np.ndarray, labels: np.ndarray, episodes: Episode
) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy of each episode by its own examples, and by all of the other half: [E] each.

    Args:
      products: float [N, N], inner products of embeddings.
      own: int [R], rows in them of the part that the episodes are of.
      labels: bool [N, C], what the other half's recordings have of the part's classes; no row of
        the part's own has any.
      episodes: of the part, leaves [E, ...].
    """
    found = []
    for classes, support, support_slots, query, query_slots in tqdm(
        zip(*map(np.asarray, episodes)), "episodes", total=len(episodes.classes), leave=False
    ):
        has = labels[:, classes]
        other = np.flatnonzero(has.sum(axis=1) == 1)
        few = slots(products, own[query], own[support], support_slots)
        every = slots(products, own[query], other, has[other].argmax(axis=1))
        found.append(((few == query_slots).mean(), (every == query_slots).mean()))
    few, every = np.array(found).T
    return few, every


def main(_) -> None:
    command_line.need("library")
    library = open_library(Path(FLAGS.library).expanduser())
    model = model_flags.load(None, FLAGS.artefact, leads=library.leads)
    model.form.check(library, name=FLAGS.library)
    name = FLAGS.protocol.removesuffix(":oracle")
    whole = protocols.split(library, protocols.load(name), "test")
    for remark in trained.check_unseen(
        trained.of_artefact(model), library, [whole], name="the model", remedy="measure another"
    ):
        print(f"note: {remark}")
    protocol = protocols.load(f"{name}:oracle")
    half = protocols.split(library, protocol, "train")
    part = build.part(library, protocol, "test")
    known = np.asarray(half.labels)[:, [half.classes.index(code) for code in part.classes]]
    named = known.any(axis=1)
    own = np.arange(len(part.rows))
    rows = np.concatenate([part.rows, half.rows[named]])
    labels = np.concatenate([np.zeros((len(own), len(part.classes)), bool), known[named]])
    embedded = embed(model.predictor, library, rows)
    products = embedded @ embedded.T
    found, lines = [], []
    for shot in command_line.counts("shots", FLAGS.shots):
        kind = {"way": FLAGS.way, "shot": shot, "query": QUERY, "names": part.classes}
        drawn = evaluation_sets.balanced(part.data.index, FLAGS.seed, FLAGS.episodes, **kind)
        few, every = accuracies(products, own, labels, drawn)
        scores = {"few": few, "all": every, "difference": every - few}
        row = {name: statistics.interval(values) for name, values in scores.items()}
        found.append({"shot": shot, **row})
        lines.append([str(shot), *(f"{mean:.3f} ± {half:.3f}" for mean, half in row.values())])
    head = ["examples", "these alone", "all labels of the other half", "difference"]
    print(markdown.table(head, lines))
    counts = known.sum(axis=0)
    print(f"all labels: {counts.min()} to {counts.max()} recordings of a statement")
    if FLAGS.output:
        about = {"machine": machine.facts(), "protocol": protocol.name, "way": FLAGS.way}
        text = json.dumps(about | {"episodes": FLAGS.episodes, "rows": found}, indent=1)
        Path(FLAGS.output).expanduser().write_text(text, "utf-8")


if __name__ == "__main__":
    flags.DEFINE_string("library", None, "The library to measure on.")
    flags.DEFINE_string("artefact", None, "A file made by metaecg export; none: the package's.")
    flags.DEFINE_string("protocol", "ptbxl_rare", "The name or the .json file of a protocol.")
    flags.DEFINE_integer("way", 5, "The classes of an episode.", lower_bound=2)
    flags.DEFINE_list("shots", ["1", "5", "10"], "The examples of each class.")
    flags.DEFINE_integer("episodes", 1000, "The episodes of each kind.", lower_bound=2)
    flags.DEFINE_integer("seed", 0, "The seed of the episodes.")
    flags.DEFINE_string("output", None, "A JSON file of the measurements.")
    command_line.run(main)
