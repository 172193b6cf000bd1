"""How well a diagnosis that is none of the candidates is noticed.

    python -m experiments.benchmarks.none_of_these --library=LIBRARY [--artefact=FILE]

In each episode, each class in turn is taken from the candidates: the diagnosis of its recordings is
then no candidate, and that of the others is one. How well a score distinguishes the two is the area
under the ROC curve; the scores are the highest probability and the likeness that `Diagnosis`
states. The interval is for other patients asked, whose answers are resampled. A recording is warned
of where its likeness is `FALSE_ALARMS` or less.
"""

from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from experiments.runs import command_line, model_flags
from experiments.tables import markdown
from metaecg.data import protocols
from metaecg.data.library import open_library
from metaecg.diagnose import artefact
from metaecg.diagnose.background import FALSE_ALARMS, unlikeness
from metaecg.diagnose.calibration import calibrated
from metaecg.diagnose.fitting import Plan, draw, embed, over_orders
from metaecg.diagnose.model import Model
from metaecg.episodes.support_orders import mean_over_orders
from metaecg.errors import MetaecgError
from metaecg.types import Episode

FLAGS = flags.FLAGS
RESAMPLES = 500


def without(drawn: Episode, slot: int) -> Episode:
    """Episodes whose class of one slot is no candidate; its queries stay, with the slot −1."""
    kept = drawn.support_slots != slot
    number = np.delete(np.arange(drawn.classes.shape[1]), slot).searchsorted
    lines = len(kept)
    asked = np.where(drawn.query_slots == slot, -1, number(drawn.query_slots))
    return Episode(
        np.delete(drawn.classes, slot, axis=1),
        drawn.support[kept].reshape(lines, -1),
        number(drawn.support_slots[kept]).reshape(lines, -1),
        drawn.query,
        asked,
    )


def ranked(score: np.ndarray) -> np.ndarray:
    """The place of each score [N] among the different ones, from the lowest: int [N]."""
    return np.unique(score, return_inverse=True)[1].reshape(-1)


def area(level: np.ndarray, none: np.ndarray, weight: np.ndarray) -> float:
    """The area under the ROC curve of recordings with weights, the higher the level the surer.

    Args:
      level: int [N], `ranked`.
      none: bool [N], whether the diagnosis is no candidate.
      weight: float [N], how often each counts.
    """
    size = level.max() + 1
    those, others = (np.bincount(level, weight * of, size) for of in (none, ~none))
    below = others.cumsum() - others / 2  # equal ones count by half
    return float((those * below).sum() / (those.sum() * others.sum()))


def measure(model: Model, drawn: Episode, embeddings: np.ndarray, patients: np.ndarray) -> Any:
    """A row of the table: what is noticed in episodes of one more class than candidates.

    Args:
      model: with a background.
      drawn: leaves [E, ...].
      embeddings: float32 [R, D], of the records that the episodes speak of.
      patients: int [R].
    """
    assert model.background is not None
    way, shot = drawn.classes.shape[1] - 1, drawn.support.shape[1] // drawn.classes.shape[1]
    row = model.calibration.at(way, shot)
    read, placed = model.predictor.coordinates(embeddings), model.background.place(embeddings)
    parts: list[tuple[Any, ...]] = []
    for slot in range(way + 1):
        some = without(drawn, slot)
        said = over_orders(model.predictor, read, some, orders=8)
        sure = mean_over_orders(calibrated(said, row.temperature), axis=1).max(-1)
        each = zip(some.query, some.support, some.support_slots)
        apart = [unlikeness(placed[q], placed[s], slots) for q, s, slots in each]
        left_out = np.broadcast_to(drawn.classes[:, slot, None], some.query.shape)
        parts.append((-sure, apart, some.query_slots < 0, patients[some.query], left_out))
    unsure, unlike, none, asked, left = (np.ravel(each) for each in zip(*parts))
    likeness = row.likeness(unlike)
    assert likeness is not None
    who, unsure, unlike = ranked(asked), ranked(unsure), ranked(unlike)
    rng, one = np.random.default_rng(0), np.ones(len(none))
    drawn_anew = (
        np.bincount(rng.integers(0, who.max() + 1, who.max() + 1), minlength=who.max() + 1)
        for _ in range(RESAMPLES)
    )
    low, high = np.quantile([area(unlike, none, of[who]) for of in drawn_anew], [0.025, 0.975])
    mine = {c: left == c for c in np.unique(left)}
    by_class = [area(unlike[m], none[m], one[m]) for m in mine.values()]
    warned = likeness <= FALSE_ALARMS
    return {
        "candidates": way,
        "examples of each": shot,
        "AUROC of the highest probability": f"{area(unsure, none, one):.3f}",
        "AUROC of the likeness": f"{area(unlike, none, one):.3f}",
        "over patients asked": f"{low:.3f}–{high:.3f}",
        "by statement": f"{min(by_class):.2f}–{max(by_class):.2f}",
        "warned of candidates": f"{warned[~none].mean():.1%}",
        "warned of others": f"{warned[none].mean():.1%}",
    }


@command_line.defines_flags
def define_flags() -> None:
    flags.DEFINE_string("library", None, "The library to measure on.", required=True)
    flags.DEFINE_string("artefact", None, "The model; the package's if left out.")
    flags.DEFINE_string("protocol", "ptbxl_rare", "The protocol.")
    flags.DEFINE_enum("part", "test", ["test", "validation"], "The part to measure on.")
    flags.DEFINE_integer("episodes", 400, "The episodes of each kind.", lower_bound=2)
    flags.DEFINE_list("ways", ["2", "4", "8"], "Numbers of candidates.")
    flags.DEFINE_list("shots", ["1", "5", "10"], "Numbers of examples.")


def main(_) -> None:
    path = model_flags.artefact_path(FLAGS.artefact)
    model, library = artefact.read(path), open_library(Path(FLAGS.library).expanduser())
    if model.background is None:
        raise MetaecgError(f"{path}: it has no background; see metaecg calibrate --refine")
    part = protocols.split(library, protocols.load(FLAGS.protocol), FLAGS.part)
    embeddings = embed(model.predictor, library, part.rows)
    ways, shots = (tuple(map(int, given)) for given in (FLAGS.ways, FLAGS.shots))
    plan = Plan(FLAGS.episodes, seed=1, ways=tuple(way + 1 for way in ways), shots=shots)
    kinds = draw(library, part, model.predictor.limits, plan)
    rows = [measure(model, drawn, embeddings, part.patients) for drawn in kinds]
    print(markdown.table([*rows[0]], [list(row.values()) for row in rows]))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
