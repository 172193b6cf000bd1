"""How well the rates that a diagnosis states hold, on episodes of a test or of any others."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from metaecg import losses
from metaecg.data import protocols
from metaecg.data.library import Library
from metaecg.diagnose.calibration import calibrated, plausible, recognition, sure
from metaecg.diagnose.fitting import Plan, draw, embed, of_supports, over_orders, surprise
from metaecg.diagnose.model import Model
from metaecg.episodes.support_orders import mean_over_orders
from metaecg.types import Episode


def measure_part(
    model: Model, library: Library, part: protocols.Split, plan: Plan, error_rate: float = 0.1
) -> list[dict[str, Any]]:
    """How well a model's stated rates hold on a part: a row of `measure` for each kind.

    Raises:
      MetaecgError: the part cannot fill episodes of any kind.
    """
    drawn = draw(library, part, model.predictor.limits, plan)
    embeddings = embed(model.predictor, library, part.rows)
    return [measure(model, embeddings, some, error_rate=error_rate) for some in drawn]


def measure(
    model: Model,
    embeddings: np.ndarray,
    episodes: Episode,
    *,
    error_rate: float = 0.1,
    orders: int = 8,
    seed: int = 1,
) -> dict[str, Any]:
    """How well the stated rates hold on episodes, of test or any others; leaves [E, ...].

    Returns:
      `stated`, whether a diagnosis of this way and shot states a rate; accuracy, NLL and ECE of
      one reading as the learner states it (`raw_…`) and averaged and calibrated; `coverage` of the
      plausible sets, `worst_coverage` that of the class covered least; `set_size`; `answered`, the
      share of queries that are not 'unsure', and `wrong_answers`, the share of these that are
      wrong; `single` and `wrong_singles`, the same for queries with a single plausible label.
    """
    way, shot = episodes.classes.shape[1], episodes.support.shape[1] // episodes.classes.shape[1]
    row = model.calibration.at(way, shot)
    said, truth = (
        over_orders(model.predictor, embeddings, episodes, orders, seed),
        episodes.query_slots,
    )
    raw, probs = (
        calibrated(said[:, 0], 1.0),
        mean_over_orders(calibrated(said, row.temperature), axis=1),
    )
    examples = of_supports(model.predictor, embeddings, episodes)
    recognised = recognition(examples, episodes.support_slots, row.temperature)
    inside, answered = (f(probs, row, error_rate, recognised) for f in (plausible, sure))
    covered = np.take_along_axis(inside, truth[..., None], -1)[..., 0]
    classes = np.take_along_axis(episodes.classes, truth, 1)
    right = probs.argmax(-1) == truth
    single = inside.sum(-1) == 1
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
        "worst_coverage": min(float(covered[classes == c].mean()) for c in np.unique(classes)),
        "set_size": float(inside.sum(-1).mean()),
        "single": float(single.mean()),
        "wrong_singles": float((single & ~right).sum() / max(1, single.sum())),
        "answered": float(answered.mean()),
        "wrong_answers": float((answered & ~right).sum() / max(1, answered.sum())),
    }


def _calibration_error(probs: np.ndarray, truth: np.ndarray) -> float:
    way = probs.shape[-1]
    flat, labels = probs.reshape(-1, way), np.eye(way)[truth.ravel()]
    return float(losses.calibration_error(jnp.asarray(flat), jnp.asarray(labels)))
