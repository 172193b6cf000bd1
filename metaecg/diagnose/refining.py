"""A calibration that is there is fitted anew on another archive, or is given what it lacks."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from metaecg.data import protocols
from metaecg.data.library import Library
from metaecg.diagnose.background import Background, unlikeness
from metaecg.diagnose.bounds import LEVELS, risks_by_level
from metaecg.diagnose.calibration import Calibration, Row, calibrated
from metaecg.diagnose.fitting import (
    PLAN,
    Plan,
    draw,
    embed,
    fit_rows,
    over_orders,
    some_of_training,
)
from metaecg.diagnose.model import Model
from metaecg.episodes.support_orders import mean_over_orders
from metaecg.errors import MetaecgError
from metaecg.types import Episode

EPISODES = 1000
"""Of each kind. By 200, a bound on the wrong answers depends on which were drawn, by a point."""


def recalibrate(
    model: Model, library: Library, part: protocols.Split, plan: Plan = PLAN
) -> Calibration:
    """Fits a model's calibration anew on part of another archive.

    What the calibration says of the records that the model was trained on stays.

    Raises:
      MetaecgError: the part cannot fill episodes of any kind.
    """
    drawn = [*draw(library, part, model.predictor.limits, plan)]
    embeddings = embed(model.predictor, library, part.rows)
    fitted = fit_rows(model.calibration, model.predictor, embeddings, drawn)
    placed = model.placed(embeddings)
    if placed is None:
        return fitted
    unlike = (unlike_by_level(placed, some) for some in drawn)
    return fitted._replace(rows=tuple(r._replace(unlike=u) for r, u in zip(fitted.rows, unlike)))


def refine(
    model: Model,
    library: Library,
    protocol: protocols.Protocol,
    query: int = 5,
    progress: Callable[[Sequence[tuple[int, float]]], Iterable[tuple[int, float]]] = iter,
) -> Model:
    """A model with bounds of many episodes, and a background for diagnoses that are no candidates.

    Temperatures and plausible sets stay as they are, and so does every probability.

    Args:
      model: with a calibration; what it says of a kind that the part cannot fill stays.
      library: in the form that the model reads.
      protocol: its training part is the background, its validation part gives the episodes.
      query: queries of each class.
      progress: shows how far an iteration over the kinds of episodes is, such as `tqdm`.

    Raises:
      MetaecgError: there is no training part, or the validation part fills no kind of episode.
    """
    predictor, rows = model.predictor, {(r.way, r.shot): r for r in model.calibration.rows}
    training = some_of_training(library, protocol)
    if not len(training):
        raise MetaecgError(
            f"protocol {protocol.name} has no training part in this library, and that would be the "
            "background; name the one that the model was trained by"
        )
    background = Background.of(embed(predictor, library, training))
    part = protocols.split(library, protocol, "validation")
    embeddings = embed(predictor, library, part.rows)
    read, placed = predictor.coordinates(embeddings), background.place(embeddings)
    for way, shot in progress([*rows]):
        plan = Plan(EPISODES, query, ways=(way,), shots=(int(shot),))
        try:
            (drawn,) = draw(library, part, predictor.limits, plan)
        except MetaecgError:
            continue
        said = over_orders(predictor, read, drawn, orders=8)
        rows[way, shot] = _refined(rows[way, shot], drawn, said, placed)
    if not any(row.unlike for row in rows.values()):
        raise MetaecgError("no kind of episode that was calibrated can be drawn from the part")
    calibration = model.calibration._replace(rows=tuple(rows.values()))
    return model._replace(calibration=calibration, background=background)


def _refined(row: Row, drawn: Episode, said: np.ndarray, placed: np.ndarray) -> Row:
    probs = mean_over_orders(calibrated(said, row.temperature), axis=1)
    wrong = probs.argmax(-1) != drawn.query_slots
    risks, counts = risks_by_level(probs.max(-1), wrong, drawn.query)
    return row._replace(risks=risks, counts=counts, unlike=unlike_by_level(placed, drawn))


def unlike_by_level(placed: np.ndarray, episodes: Episode) -> tuple[float, ...]:
    """`Row.unlike`, of episodes in which every query's diagnosis is a candidate.

    Args:
      placed: float32 [R, K], the records that the episodes speak of, of `Background.place`.
      episodes: leaves [E, ...].
    """
    each = zip(episodes.query, episodes.support, episodes.support_slots)
    found = [unlikeness(placed[query], placed[some], slots) for query, some, slots in each]
    levels = np.quantile(np.array(found, float), LEVELS, method="higher")
    return tuple(levels.round(2).tolist())
