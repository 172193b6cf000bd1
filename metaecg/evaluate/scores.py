"""Predictions to numbers: accuracy, intervals, AUROC, calibration, paired differences."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from metaecg import losses
from metaecg.episodes.support_orders import mean_over_orders
from metaecg.evaluate import statistics
from metaecg.evaluate.patient_intervals import Estimate, over_patients
from metaecg.evaluate.predictions import Predictions
from metaecg.types import Episode


def summarise(
    predictions: Predictions, classes: tuple[str, ...], patients: np.ndarray | None = None
) -> dict[str, Any]:
    """All scores of one learner on one kind of episode, as JSON-ready values.

    Args:
      predictions: what the learner said.
      classes: names of the index's columns.
      patients: int [R], to add `accuracy_patients95`, the interval over patients and episodes
        (`intervals`), and `reuse`, how often records were asked.

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
        extra["accuracy_patients95"] = over_patients(
            predictions.correct, episodes, patients
        ).interval
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


def paired_over_patients(a: Predictions, b: Predictions, patients: np.ndarray) -> Estimate:
    """Accuracy of a minus that of b, with its interval and p over patients and episodes.

    Returns:
      See `intervals`; its p is of one comparison, to be adjusted where there are several.

    Raises:
      ValueError: the two did not answer the same episodes.
    """
    return over_patients(_gap(a, b), a.episodes, patients)


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
      The answers by the mean of the probabilities (`mean_over_orders`), and the sensitivity to
      order: the number of orders, the least and greatest accuracy of one, its standard deviation,
      and the share of answers that an order changes, mean over all pairs of orders.
    """
    probs = mean_over_orders(np.stack([p.probs for p in said]), axis=0)
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
    return said[0]._replace(probs=probs), sensitivity
