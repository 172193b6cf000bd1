"""Fits a calibration on validation episodes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metaecg import evaluate
from metaecg.data import protocols
from metaecg.data.library import Library
from metaecg.diagnose.bounds import LEVELS, risks_by_level
from metaecg.diagnose.calibration import (
    FAR,
    STATEMENTS,
    Calibration,
    Row,
    adjusted,
    calibrated,
    closeness,
    distances,
    of_label,
    plausible,
    recognition,
)
from metaecg.diagnose.predictor import Predictor, Reading, log_probs, of_examples, readings
from metaecg.episodes.support_orders import mean_over_orders
from metaecg.errors import MetaecgError
from metaecg.train.batches import Data
from metaecg.types import Episode, LibraryIndex, Limits

WAYS, SHOTS = (2, 3, 4, 5, 8, 10, 12, 20), (1, 2, 5, 10, 20)
"""Kinds of episode that are fitted and measured, where a part of a protocol can fill them."""

SLOPES = np.linspace(0, 1, 11)
"""Candidates for `Row.slope`."""

_CHUNK = 20
"""Episodes answered at a time."""

_NUMBERS = 2**26
"""Numbers of embeddings in memory at a time."""

_TYPICAL = 0.1
"""The rate of misses at which the slope is chosen."""

_BATCH = 64
"""Recordings embedded at a time."""

_TRAINING_RECORDS = 3000  # that represent all the model was trained on


class Plan(NamedTuple):
    """The episodes of a part: how many of each kind, with how many queries a class, and a seed.

    `ways` and `shots` are all of `WAYS` and `SHOTS` where they are empty. `progress` shows how far
    an iteration over the kinds is, such as `tqdm`.
    """

    episodes: int = 200
    query: int = 5
    seed: int = 0
    ways: tuple[int, ...] = ()
    shots: tuple[int, ...] = ()
    progress: Callable[[Sequence[tuple[int, int]]], Iterable[tuple[int, int]]] = iter


PLAN = Plan()


def calibrate(
    predictor: Predictor, library: Library, protocol: protocols.Protocol, plan: Plan = PLAN
) -> Calibration:
    """Fits a calibration on the validation part of a protocol.

    Args:
      predictor: the learner.
      library: in the form that the learner reads.
      protocol: its training part gives the embeddings that a recording is compared with.
      plan: of the episodes.

    Raises:
      MetaecgError: the part cannot fill episodes of any kind.
    """
    part = protocols.split(library, protocol, "validation")
    drawn = draw(library, part, predictor.limits, plan)
    embeddings = embed(predictor, library, part.rows)
    some = embed(predictor, library, some_of_training(library, protocol))
    return fit_calibration(predictor, embeddings, drawn, some)


def some_of_training(library: Library, protocol: protocols.Protocol) -> np.ndarray:
    """Rows of the library that represent all that the model was trained on: int [T]."""
    training = protocols.split(library, protocol, "train").rows
    return np.sort(np.random.default_rng(0).permutation(training)[:_TRAINING_RECORDS])


def embed(predictor: Predictor, library: Library, rows: np.ndarray) -> np.ndarray:
    """Embeds recordings of a library as they are diagnosed: without constant offsets, whole units.

    Returns:
      float32 [len(rows), D].
    """

    def of_block(block: np.ndarray) -> np.ndarray:
        return np.asarray(predictor.embed(library.without_offsets(block)))

    # Two blocks at a time: where one waits for a single processor, the other uses those left.
    with ThreadPoolExecutor(2) as pool:
        blocks = np.resize(rows, (-(-len(rows) // _BATCH), _BATCH))
        return np.concatenate([*pool.map(of_block, blocks)])[: len(rows)]


def draw(library: Library, part: protocols.Split, limits: Limits, plan: Plan) -> Iterator[Episode]:
    """Episodes of every way and shot that a learner can read and a part can fill.

    Raises:
      MetaecgError: there is none.
    """
    index = LibraryIndex(labels=part.labels, patients=part.patients)
    data = Data(library.signals[:0], jnp.float32(library.scale), index)
    key = jax.random.key(plan.seed)
    kinds = [
        (way, shot)
        for way, shot in product(plan.ways or WAYS, plan.shots or SHOTS)
        if way <= (limits.slots or way) and way * shot <= (limits.longest or way * shot)
    ]

    def of_kind(kind: tuple[int, int]) -> Episode | MetaecgError:
        size = {"way": kind[0], "shot": kind[1], "query": plan.query}
        try:
            return evaluate.draw_episodes(data, key, plan.episodes, **size, names=part.classes)
        except MetaecgError as error:
            return error

    found, refused = False, None
    # Each kind has a program of its own, which is compiled while those before are answered.
    pool = ThreadPoolExecutor(2)
    try:
        for _, drawn in zip(plan.progress(kinds), pool.map(of_kind, kinds)):
            if isinstance(drawn, MetaecgError):
                refused = drawn
            else:
                found = True
                yield drawn
    finally:
        pool.shutdown(cancel_futures=True)
    if not found:
        raise MetaecgError(f"no episode can be drawn: {refused or 'the model reads too few'}")


def fit_calibration(
    predictor: Predictor,
    embeddings: np.ndarray,
    episodes: Iterable[Episode],
    trained_on: np.ndarray,
    *,
    orders: int = 8,
    seed: int = 0,
) -> Calibration:
    """Fits all numbers; never on test episodes.

    Args:
      predictor: the learner.
      embeddings: float32 [R, D], of the validation records.
      episodes: of validation; each entry many episodes of one way and shot, leaves [E, ...].
      trained_on: float32 [T, D], embeddings of training records.
      orders: of the support, averaged over.
      seed: of the orders.
    """
    spread = trained_on.std(0)
    spread = np.maximum(spread, 1e-3 * spread.max())  # dead units have none
    partial = Calibration((), tuple(trained_on.mean(0).tolist()), tuple(spread.tolist()), 0.0)
    return fit_rows(partial, predictor, embeddings, episodes, orders, seed)


def fit_rows(
    partial: Calibration,
    predictor: Predictor,
    embeddings: np.ndarray,
    episodes: Iterable[Episode],
    orders: int = 8,
    seed: int = 0,
) -> Calibration:
    """As `fit_calibration`; `partial` says what the model was trained on."""
    scaled = partial.scaled(embeddings)
    strange = float(np.quantile(partial.strangeness(scaled), FAR))
    read = predictor.coordinates(embeddings)
    # The episodes ask for the same pairs again and again; in blocks, which need less memory.
    blocks = np.array_split(scaled, -(-len(scaled) // 1024))
    apart = np.concatenate([distances(some, scaled).astype(np.float32) for some in blocks])
    rows = tuple(
        _fit_row(
            apart,
            drawn,
            over_orders(predictor, read, drawn, orders, seed),
            of_supports(predictor, read, drawn),
        )
        for drawn in episodes
    )
    return partial._replace(rows=rows, strange=strange)


def _fit_row(apart: np.ndarray, drawn: Episode, said: np.ndarray, examples: np.ndarray) -> Row:
    way, shot = drawn.classes.shape[1], drawn.support.shape[1] // drawn.classes.shape[1]
    truth = drawn.query_slots
    temperature = _minimise(
        lambda t: surprise(mean_over_orders(calibrated(said, t), axis=1), truth)
    )
    probs = mean_over_orders(calibrated(said, temperature), axis=1)
    away = apart[drawn.query[:, :, None], drawn.support[:, None, :]]
    belongs = drawn.support_slots[:, None, :] == truth[:, :, None]
    bandwidth = _minimise(lambda h: -np.log((closeness(away, h) * belongs).sum(-1) + 1e-12).mean())
    recognised = recognition(examples, drawn.support_slots, temperature)
    known = recognised[np.isfinite(recognised)]
    usual = float(known.mean()) if len(known) else 0.0
    risks, counts = risks_by_level(probs.max(-1), probs.argmax(-1) != truth, drawn.query)
    row = Row(way, float(shot), temperature, bandwidth, (), tuple(risks), tuple(counts), 0.0, usual)
    # At the right slope, the sets that hold every statement's truth alike are the smallest.
    tried = [
        _with_scores(row._replace(slope=float(slope)), probs, recognised, drawn)
        for slope in (SLOPES if len(known) else SLOPES[:1])
    ]
    return min(tried, key=lambda row: plausible(probs, row, _TYPICAL, recognised).sum())


def _with_scores(row: Row, probs: np.ndarray, recognised: np.ndarray, drawn: Episode) -> Row:
    """The row with scores that nine of ten statements, each by itself, are within."""
    scores = 1 - of_label(adjusted(probs, row, recognised), drawn.query_slots)
    statements = np.take_along_axis(drawn.classes, drawn.query_slots, 1)
    each = [
        np.quantile(scores[statements == s], LEVELS, method="higher") for s in np.unique(statements)
    ]
    rank = min(len(each), int(np.ceil((len(each) + 1) * STATEMENTS)))
    return row._replace(scores=tuple(np.sort(each, axis=0)[rank - 1].round(4).tolist()))


def over_orders(
    predictor: Predictor, embeddings: np.ndarray, episodes: Episode, orders: int, seed: int = 0
) -> np.ndarray:
    """Log-probabilities in episodes, their support read in random orders.

    Args:
      predictor: the learner.
      embeddings: float32 [R, D], of the rows that the episodes speak of.
      episodes: leaves [E, ...].
      orders: how many; learners that do not depend on the order are read once.

    Returns:
      float32 [E, orders, Q, way].
    """
    rng = np.random.default_rng(seed)
    count, way = episodes.support.shape[1], episodes.classes.shape[1]
    said = []
    for first in range(0, len(episodes.support), _CHUNK):
        # The last chunk is filled up, so that it needs no program of its own.
        chosen = np.resize(np.arange(first, len(episodes.support))[:_CHUNK], _CHUNK)
        rows = np.concatenate([episodes.support[chosen], episodes.query[chosen]], axis=1)
        each = [readings(predictor, count, way, orders, rng) for _ in chosen]
        times = len(each[0].support)
        answer = log_probs(
            predictor,
            np.repeat(embeddings[rows], times, axis=0),
            np.repeat(episodes.support_slots[chosen], times, axis=0),
            Reading(*(np.concatenate(parts) for parts in zip(*each))),
        )
        said.append(answer.reshape(_CHUNK, times, *answer.shape[1:]))
    return np.concatenate(said)[: len(episodes.support)]


def of_supports(predictor: Predictor, embeddings: np.ndarray, episodes: Episode) -> np.ndarray:
    """`predictor.of_examples` of the supports of episodes [E, S]: float32 [E, S, way]."""
    slots = episodes.support_slots
    size = 2 * slots.shape[1] * embeddings.shape[1]
    chunk = min(len(slots), max(1, _NUMBERS // size))
    said = []
    for first in range(0, len(slots), chunk):
        chosen = np.resize(np.arange(first, len(slots))[:chunk], chunk)
        # In as few numbers as may be: each round reads all examples of a support anew.
        read = [predictor.coordinates(embeddings[rows]) for rows in episodes.support[chosen]]
        said.append(of_examples(predictor, np.stack(read), slots[chosen]))
    return np.concatenate(said)[: len(slots)]


def surprise(probs: np.ndarray, truth: np.ndarray) -> float:
    """Negative log-likelihood of the truth, the mean over queries, in nats."""
    return float(-np.log(of_label(probs, truth) + 1e-12).mean())


def _minimise(loss) -> float:
    """The positive number of least loss, to a per mille: a grid over its logarithm, made finer."""
    low, high = np.log(1e-3), np.log(1e6)
    for _ in range(4):
        grid = np.linspace(low, high, 25)
        best = int(np.argmin([loss(x) for x in np.exp(grid)]))
        low, high = grid[max(0, best - 1)], grid[min(len(grid) - 1, best + 1)]
    return float(np.exp((low + high) / 2))
