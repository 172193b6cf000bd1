"""How well the rates that a diagnosis states hold, on episodes of a test or of any others."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from metaecg import losses
from metaecg.data import protocols
from metaecg.data.library import Library
from metaecg.diagnose.calibration import calibrated, plausible, recognition, sure
from metaecg.diagnose.fitting import Plan, draw, embed, of_supports, over_orders, surprise
from metaecg.diagnose.model import Model
from metaecg.episodes import evaluation_sets
from metaecg.episodes.support_orders import mean_over_orders
from metaecg.errors import MetaecgError
from metaecg.evaluate.patient_intervals import over_patients
from metaecg.types import Episode, LibraryIndex


def measure_part(
    model: Model,
    library: Library,
    part: protocols.Split,
    plan: Plan,
    error_rate: float = 0.1,
    sites: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """How well a model's stated rates hold on a part: a row of `measure` for each kind.

    Args:
      model: what is measured.
      library: in the form that the model reads.
      part: of the library.
      plan: of the episodes.
      error_rate: that is stated.
      sites: the hospital or device of each record of the library, to measure each by itself.

    Raises:
      MetaecgError: the part cannot fill episodes of any kind.
    """
    drawn = draw(library, part, model.predictor.limits, plan)
    embeddings = model.predictor.coordinates(embed(model.predictor, library, part.rows))
    mine = None if sites is None else np.array(sites)[part.rows]
    return [
        measure(
            model,
            embeddings,
            some,
            error_rate=error_rate,
            patients=part.patients,
            classes=part.classes,
            sites=mine,
        )
        for some in drawn
    ]


def measure_across(
    model: Model,
    examples: tuple[Library, protocols.Split],
    asked: tuple[Library, protocols.Split],
    plan: Plan,
    error_rate: float = 0.1,
) -> list[dict[str, Any]]:
    """As `measure_part`, with the examples from one archive and the queries from another.

    Args:
      model: what is measured.
      examples: a library, and the part of it that the examples are drawn from.
      asked: the same of the queries; its classes are those of `examples`, in their order.
      plan: of the episodes; both archives must be able to fill a kind by themselves.
      error_rate: that is stated.

    Raises:
      MetaecgError: one of the archives cannot fill episodes of any kind.
    """
    index = LibraryIndex(labels=asked[1].labels, patients=asked[1].patients)
    both = [embed(model.predictor, library, part.rows) for library, part in (examples, asked)]
    embeddings, first = model.predictor.coordinates(np.concatenate(both)), len(both[0])
    patients = np.concatenate(
        [examples[1].patients, asked[1].patients + examples[1].patients.max() + 1]
    )
    rows, refused = [], None
    for drawn in draw(*examples, model.predictor.limits, plan):
        try:
            others = evaluation_sets.redrawn(index, drawn, None, plan.seed)
        except MetaecgError as error:
            refused = error
            continue
        mixed = drawn._replace(query=np.asarray(others.query) + first)
        names = examples[1].classes
        rows.append(
            measure(
                model, embeddings, mixed, error_rate=error_rate, patients=patients, classes=names
            )
        )
    if not rows:
        raise MetaecgError(f"the archive that is asked cannot fill the episodes: {refused}")
    return rows


def measure(
    model: Model,
    embeddings: np.ndarray,
    episodes: Episode,
    *,
    error_rate: float = 0.1,
    orders: int = 8,
    seed: int = 1,
    patients: np.ndarray | None = None,
    classes: Sequence[str] = (),
    sites: np.ndarray | None = None,
) -> dict[str, Any]:
    """How well the stated rates hold on episodes, of test or any others; leaves [E, ...].

    Returns:
      `stated`, whether a diagnosis of this way and shot states a rate; accuracy, NLL and ECE of
      one reading as the learner states it (`raw_…`) and averaged and calibrated; `coverage` of the
      plausible sets, `worst_coverage` that of the class covered least; `set_size`; `answered`, the
      share of queries that are not 'unsure', and `wrong_answers`, the share of these that are
      wrong; `single` and `wrong_singles`, the same for queries with a single plausible label. With
      `patients` of the embedded records, `accuracy95`, an interval over them; with the names of the
      `classes`, `by_class`, and with the `sites` of the records, `by_site`: queries, accuracy,
      coverage, answered and wrong_answers of each.
    """
    way, shot = episodes.classes.shape[1], episodes.support.shape[1] // episodes.classes.shape[1]
    row = model.calibration.at(way, shot)
    truth = episodes.query_slots
    said = over_orders(model.predictor, embeddings, episodes, orders, seed)
    raw = calibrated(said[:, 0], 1.0)
    probs = mean_over_orders(calibrated(said, row.temperature), axis=1)
    examples = of_supports(model.predictor, embeddings, episodes)
    recognised = recognition(examples, episodes.support_slots, row.temperature)
    inside, answered = (f(probs, row, error_rate, recognised) for f in (plausible, sure))
    covered = np.take_along_axis(inside, truth[..., None], -1)[..., 0]
    asked = np.take_along_axis(episodes.classes, truth, 1)
    right = probs.argmax(-1) == truth
    single = inside.sum(-1) == 1
    more: dict[str, Any] = {}
    if patients is not None:
        more["accuracy95"] = over_patients(right, episodes, np.asarray(patients)).interval
    groups = {"by_class": np.array(classes)[asked] if len(classes) else None}
    groups["by_site"] = None if sites is None else sites[episodes.query]
    for name, group in groups.items():
        if group is not None:
            more[name] = {
                str(one): _of(group == one, right, covered, answered) for one in np.unique(group)
            }
    return {
        "way": way,
        "shot": shot,
        "stated": not model.calibration.outside(way, shot),
        "raw_accuracy": float((raw.argmax(-1) == truth).mean()),
        "accuracy": float(right.mean()),
        "raw_nll": surprise(raw, truth),
        "nll": surprise(probs, truth),
        "raw_ece": _calibration_error(raw, truth),
        "ece": _calibration_error(probs, truth),
        "coverage": float(covered.mean()),
        "worst_coverage": min(float(covered[asked == c].mean()) for c in np.unique(asked)),
        "set_size": float(inside.sum(-1).mean()),
        "single": float(single.mean()),
        "wrong_singles": float((single & ~right).sum() / max(1, single.sum())),
        "answered": float(answered.mean()),
        "wrong_answers": float((answered & ~right).sum() / max(1, answered.sum())),
        **more,
    }


def _of(
    mine: np.ndarray, right: np.ndarray, covered: np.ndarray, answered: np.ndarray
) -> dict[str, Any]:
    """The scores of some queries; bool [E, Q] each."""
    given = answered & mine
    return {
        "queries": int(mine.sum()),
        "accuracy": float(right[mine].mean()),
        "coverage": float(covered[mine].mean()),
        "answered": float(answered[mine].mean()),
        "wrong_answers": float((given & ~right).sum() / max(1, given.sum())),
    }


def _calibration_error(probs: np.ndarray, truth: np.ndarray) -> float:
    way = probs.shape[-1]
    flat, labels = probs.reshape(-1, way), np.eye(way)[truth.ravel()]
    return float(losses.calibration_error(jnp.asarray(flat), jnp.asarray(labels)))
