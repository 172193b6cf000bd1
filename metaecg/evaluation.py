"""Many episodes to numbers that can be trusted: accuracy, intervals, AUROC, calibration."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metaecg import episodes as episodes_lib
from metaecg import losses
from metaecg import tasks as tasks_lib
from metaecg.training import Data
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
    """The fixed test episodes of a key, checked against every rule; leaves [count, ...]."""
    episodes_lib.check_feasible(data.index, way=way, shot=shot, query=query)
    sample = functools.partial(
        episodes_lib.sample_episodes, count=count, way=way, shot=shot, query=query
    )
    drawn = jax.tree.map(np.asarray, jax.jit(sample)(key, 0, index=data.index))
    episodes_lib.verify(data.index, drawn)
    return drawn


def embed(learner: Learner, variables: Variables, data: Data, batch: int = 256) -> Array:
    """Embeds every record of a part once: float [R, D]."""
    embed_records = learner.embed
    if embed_records is None:
        raise ValueError("this learner does not embed records by themselves")
    rows = np.arange(data.index.num_records)
    padded = np.resize(rows, -(-len(rows) // batch) * batch).reshape(-1, batch)

    @jax.jit
    def run(variables, data, rows):
        return embed_records(*variables, tasks_lib.millivolts(data.signals, data.scale, rows))

    return jnp.concatenate([run(variables, data, r) for r in padded])[: len(rows)]


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
    way, count = episodes.classes.shape[-1], len(episodes.classes)
    if embeddings is None and learner.embed is not None:
        embeddings = embed(learner, variables, data)

    @jax.jit
    def run(variables, data, embeddings, chunk):
        def task(episode):
            rows = jnp.concatenate([episode.support, episode.query])
            if embeddings is None:
                records = tasks_lib.millivolts(data.signals, data.scale, rows)
            else:
                records = embeddings[rows]
            return tasks_lib.few_shot(records, episode, slots)

        answer = learner.predict
        if embeddings is not None and learner.classify is not None:
            answer = learner.classify
        return jnp.exp(answer(*variables, jax.vmap(task)(chunk)))[..., :way]

    padded = np.resize(np.arange(count), -(-count // batch) * batch).reshape(-1, batch)
    chunks = (jax.tree.map(lambda x, rows=rows: x[rows], episodes) for rows in padded)
    probs = [np.asarray(run(variables, data, embeddings, chunk)) for chunk in chunks]
    return Predictions(episodes, np.concatenate(probs)[:count])


def interval(values: np.ndarray) -> tuple[float, float]:
    """Mean and half-width of its 95 % interval over episodes, 1.96 s/√E."""
    values = np.asarray(values, float)
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return float(values.mean()), float(half)


def patient_interval(
    correct: np.ndarray, patients: np.ndarray, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the accuracy by resampling patients, the independent units of a library.

    Episodes re-use the records of rare classes, so that the interval over episodes only says how
    well the accuracy *on these patients* is known; this one says how well it is on others.

    Args:
      correct: bool [...], whether each query was answered rightly.
      patients: int [...], whose record each query was.
      draws: bootstrap samples of the patients, with replacement.
      seed: of the bootstrap.

    Returns:
      (low, high).
    """
    _, who = np.unique(patients, return_inverse=True)
    who = who.reshape(-1)
    asked = np.bincount(who).astype(float)
    right = np.bincount(who, weights=np.asarray(correct, float).reshape(-1))
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(asked), np.full(len(asked), 1 / len(asked)), size=draws)
    low, high = np.quantile((weights @ right) / (weights @ asked), [0.025, 0.975])
    return float(low), float(high)


def summarise(
    predictions: Predictions, classes: tuple[str, ...], patients: np.ndarray | None = None
) -> dict[str, Any]:
    """All scores of one learner on one kind of episode, as JSON-ready values.

    Args:
      predictions: what the learner said.
      classes: names of the index's columns.
      patients: int [R], to add `accuracy_patients95`, the interval by patient bootstrap.

    Returns:
      accuracy and its 95 % half-width over episodes; macro-AUROC (one class against the episode's
      others, mean over classes); ECE and Brier score; per class: queries, recall, AUROC; and the
      confusion matrix, rows the truth.
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
                "auroc": auroc(scores[mine], positive[mine]),
            }
    mean, half = interval(predictions.correct.mean(1))
    flat, labels = probs.reshape(-1, way), np.eye(way)[episodes.query_slots.ravel()]
    extra: dict[str, Any] = {}
    if patients is not None:
        who = np.asarray(patients)[episodes.query]
        extra["accuracy_patients95"] = patient_interval(predictions.correct, who)
    return {
        "accuracy": mean,
        "accuracy_ci95": half,
        **extra,
        "macro_auroc": float(np.mean([c["auroc"] for c in per_class.values()])),
        "ece": float(losses.calibration_error(jnp.asarray(flat), jnp.asarray(labels))),
        "brier": float(losses.brier(jnp.asarray(flat), jnp.asarray(labels))),
        "episodes": len(probs),
        "per_class": per_class,
        "confusion": confusion.tolist(),
    }


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve: P(a positive scores above a negative), ties counted half."""
    positive = np.asarray(positive, bool)
    _, rank, ties = np.unique(scores, return_inverse=True, return_counts=True)
    average_rank = np.cumsum(ties) - (ties - 1) / 2
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return float("nan")
    return float((average_rank[rank][positive].sum() - n * (n + 1) / 2) / (n * m))


def paired_difference(a: Predictions, b: Predictions) -> tuple[float, float]:
    """Accuracy of a minus that of b on the same episodes: mean and 95 % half-width.

    Raises:
      ValueError: the two did not answer the same episodes.
    """
    if not all(np.array_equal(x, y) for x, y in zip(a.episodes, b.episodes)):
        raise ValueError("a paired difference needs predictions of the same episodes")
    return interval(a.correct.mean(1) - b.correct.mean(1))
