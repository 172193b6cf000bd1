"""Many episodes to numbers that can be trusted: accuracy, intervals, AUROC, calibration."""

import functools
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metaecg import episodes as episodes_lib
from metaecg import losses
from metaecg.episodes import tasks as tasks_lib
from metaecg.evaluate import statistics
from metaecg.train.batches import Data
from metaecg.types import Array, Episode, Learner, Variables


class Predictions(NamedTuple):
    """What a learner said in E episodes.

    Attributes:
      episodes: the episodes, leaves [E, ...].
      probs: float32 [E, Q, way].
    """

    episodes: Episode
    probs: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """bool [E, Q]."""
        return self.probs.argmax(-1) == self.episodes.query_slots


def draw_episodes(
    data: Data, key: Array, count: int, *, way: int, shot: int, query: int
) -> Episode:
    """The fixed test episodes of a key, checked against every rule; leaves [count, ...].

    Raises:
      ValueError: no class set can fill an episode.
    """
    episodes_lib.check_feasible(data.index, way=way, shot=shot, query=query)
    sample = functools.partial(
        episodes_lib.sample_episodes, count=count, way=way, shot=shot, query=query
    )
    drawn = jax.tree.map(np.asarray, jax.jit(sample)(key, 0, index=data.index))
    episodes_lib.verify(data.index, drawn)
    return drawn


def embed(
    learner: Learner,
    variables: Variables,
    data: Data,
    batch: int = 256,
    *,
    rows: np.ndarray | None = None,
) -> Array:
    """Embeds records of a part once each, a batch of signals at a time: float [R, D].

    Args:
      learner, variables: the encoder is theirs.
      data: the part.
      batch: records embedded at a time.
      rows: int [R], the records; all of the part if not given.

    Raises:
      ValueError: the learner does not embed records by themselves.
    """
    embed_records = learner.embed
    if embed_records is None:
        raise ValueError("this learner does not embed records by themselves")
    rows = np.arange(data.index.num_records) if rows is None else rows
    padded = np.resize(rows, -(-len(rows) // batch) * batch).reshape(-1, batch)
    parts = [_embed(embed_records, variables, data.signals[r], data.scale) for r in padded]
    return jnp.concatenate(parts)[: len(rows)]


# Compiled once for each learner, not once for each call: a training validates many times.
@functools.partial(jax.jit, static_argnums=0)
def _embed(embed_records, variables, signals, scale):
    return embed_records(*variables, signals.astype(jnp.float32) * scale)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _answer(answer, slots, variables, records, episodes):
    tasks = jax.vmap(lambda x, episode: tasks_lib.few_shot(x, episode, slots))(records, episodes)
    return jnp.exp(answer(*variables, tasks))[..., : episodes.classes.shape[-1]]


def predict(
    learner: Learner,
    variables: Variables,
    data: Data,
    episodes: Episode,
    slots: int,
    *,
    embeddings: Array | None = None,
    batch: int = 50,
) -> Predictions:
    """A learner's answers to fixed episodes.

    Learners that embed records do so once for the whole part; the others read the signals of
    every episode.

    Args:
      slots: width of the labels the learner was built for.
      embeddings: what `embed` returned, to use it for several kinds of episodes.
      batch: episodes predicted at a time.
    """
    count = len(episodes.classes)
    if embeddings is None and learner.embed is not None:
        embeddings = embed(learner, variables, data)
    answer = learner.predict
    if embeddings is not None and learner.classify is not None:
        answer = learner.classify
    probs = []
    for at in np.resize(np.arange(count), -(-count // batch) * batch).reshape(-1, batch):
        chunk = jax.tree.map(lambda x, at=at: x[at], episodes)
        rows = np.concatenate([chunk.support, chunk.query], axis=1)
        if embeddings is None:
            records = data.signals[rows].astype(np.float32) * data.scale
        else:
            records = embeddings[rows]
        probs.append(np.asarray(_answer(answer, slots, variables, records, chunk)))
    return Predictions(episodes, np.concatenate(probs)[:count])


def summarise(
    predictions: Predictions, classes: tuple[str, ...], patients: np.ndarray | None = None
) -> dict[str, Any]:
    """All scores of one learner on one kind of episode, as JSON-ready values.

    Args:
      predictions: what the learner said.
      classes: names of the index's columns.
      patients: int [R], to add `accuracy_patients95`, the interval by patient bootstrap, and
        `reuse`, how often records were asked.

    Returns:
      accuracy and its 95 % half-width over episodes; macro-AUROC (one class against the episode's
      others, mean over classes); ECE, the reliability behind it and Brier score; per class:
      queries, recall, AUROC; and the confusion matrix, rows the truth.
    """
    episodes, probs = predictions
    way, count = probs.shape[-1], len(classes)
    truth = np.take_along_axis(episodes.classes, episodes.query_slots, axis=1)
    said = np.take_along_axis(episodes.classes, probs.argmax(-1), axis=1)
    confusion = np.zeros((count, count), int)
    np.add.at(confusion, (truth.ravel(), said.ravel()), 1)

    column = np.broadcast_to(episodes.classes[:, None, :], probs.shape).ravel()
    positive = (episodes.query_slots[..., None] == np.arange(way)).ravel()
    scores = probs.ravel()
    per_class = {}
    for c, name in enumerate(classes):
        mine, total = column == c, int(confusion[c].sum())
        if total:
            per_class[name] = {
                "queries": total,
                "recall": float(confusion[c, c] / total),
                "auroc": statistics.auroc(scores[mine], positive[mine]),
            }
    mean, half = statistics.interval(predictions.correct.mean(1))
    flat, labels = probs.reshape(-1, way), np.eye(way)[episodes.query_slots.ravel()]
    extra: dict[str, Any] = {}
    if patients is not None:
        patients = np.asarray(patients)
        who = patients[episodes.query]
        extra["accuracy_patients95"] = statistics.patient_interval(predictions.correct, who)
        extra["reuse"] = reuse(episodes, patients)
    return {
        "accuracy": mean,
        "accuracy_ci95": half,
        **extra,
        "macro_auroc": float(np.mean([c["auroc"] for c in per_class.values()])),
        "ece": float(losses.calibration_error(jnp.asarray(flat), jnp.asarray(labels))),
        "brier": float(losses.brier(jnp.asarray(flat), jnp.asarray(labels))),
        "reliability": statistics.reliability(flat, episodes.query_slots.ravel()),
        "episodes": len(probs),
        "per_class": per_class,
        "confusion": confusion.tolist(),
    }


def reuse(episodes: Episode, patients: np.ndarray) -> dict[str, float]:
    """How evenly the episodes ask: distinct records and patients, and uses of a record."""
    _, uses = np.unique(np.asarray(episodes.query), return_counts=True)
    return {
        "records": len(uses),
        "patients": len(np.unique(patients[episodes.query])),
        "mean_uses": float(uses.mean()),
        "most_uses": int(uses.max()),
    }


def paired_difference(a: Predictions, b: Predictions) -> tuple[float, float]:
    """Accuracy of a minus that of b on the same episodes: mean and 95 % half-width.

    Raises:
      ValueError: the two did not answer the same episodes.
    """
    return statistics.interval(_gap(a, b).mean(1))


def paired_over_patients(
    a: Predictions, b: Predictions, patients: np.ndarray
) -> tuple[float, float, float]:
    """Accuracy of a minus that of b for other patients: 95 % interval and two-sided p.

    Both come from resampling the patients that the queries were of; p from their spread.

    Returns:
      (low, high, p); p of one comparison, to be adjusted where there are several.

    Raises:
      ValueError: the two did not answer the same episodes.
    """
    gap, who = _gap(a, b), np.asarray(patients)[a.episodes.query]
    means = statistics.patient_means(gap, who)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high), statistics.p_value(float(gap.mean()), float(means.std()))


def _gap(a: Predictions, b: Predictions) -> np.ndarray:
    """float [E, Q]: 1 where a alone was right, −1 where b alone was."""

    def problem(episodes: Episode) -> list[np.ndarray]:
        order = np.argsort(episodes.support, axis=-1)  # in which it is read does not matter
        support = [np.take_along_axis(x, order, -1) for x in episodes[1:3]]
        return [episodes.classes, *support, episodes.query, episodes.query_slots]

    if not all(map(np.array_equal, problem(a.episodes), problem(b.episodes))):
        raise ValueError("a paired difference needs predictions of the same episodes")
    return a.correct.astype(float) - b.correct


def over_orders(said: Sequence[Predictions]) -> tuple[Predictions, dict[str, float]]:
    """Answers to the same episodes, their support read in several orders.

    Args:
      said: the answers of each order.

    Returns:
      The answers by the mean of the log-probabilities, and the sensitivity to order: the number of
      orders, the least and greatest accuracy of one, its standard deviation, and the share of
      answers that an order changes, mean over all pairs of orders.
    """
    logs = np.mean([np.log(np.maximum(p.probs, 1e-30)) for p in said], axis=0)
    probs = np.exp(logs - logs.max(-1, keepdims=True))
    answers = np.array([p.probs.argmax(-1) for p in said])
    accuracies = [float(p.correct.mean()) for p in said]
    pairs = [np.mean(a != b) for a, b in itertools.combinations(answers, 2)]
    sensitivity = {
        "orders": len(said),
        "least": min(accuracies),
        "greatest": max(accuracies),
        "deviation": float(np.std(accuracies)),
        "changed": float(np.mean(pairs)) if pairs else 0.0,
    }
    return said[0]._replace(probs=probs / probs.sum(-1, keepdims=True)), sensitivity
