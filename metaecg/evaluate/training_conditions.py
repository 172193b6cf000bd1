"""Training conditions: those of the training, diagnosed in patients never seen [0052, 0061].

The other reading of the source's labels beside the slots of an episode: each record carries a
binary sequence, one digit a condition, and the trained model diagnoses the library's own conditions
directly. Parts are made of patients then, not of conditions.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metaecg.evaluate import statistics
from metaecg.evaluate.predictions import embed
from metaecg.train.batches import Data
from metaecg.types import Array, Learner, LibraryIndex, Task, Variables


class Parts(NamedTuple):
    """Rows int32 of an index for each purpose; no patient has records in two of them."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def part_by_patient(index: LibraryIndex, *, share: float = 0.15) -> Parts:
    """Parts an index by patients: `share` of them for validation, as many for test.

    Records that carry none of the conditions are in no part.
    """
    patients = np.asarray(index.patients)
    who = np.random.default_rng(0).permutation(np.unique(patients))
    held = round(share * len(who))
    labelled = np.asarray(index.labels).any(axis=1)

    def rows(chosen: np.ndarray) -> np.ndarray:
        return np.flatnonzero(np.isin(patients, chosen) & labelled).astype(np.int32)

    return Parts(rows(who[2 * held :]), rows(who[:held]), rows(who[held : 2 * held]))


def take(data: Data, rows: np.ndarray) -> Data:
    """Some rows of a part as a part of its own, with all of its conditions."""
    index = data.index
    labels, patients = np.asarray(index.labels)[rows], np.asarray(index.patients)[rows]
    return data._replace(signals=data.signals[rows], index=LibraryIndex(labels, patients))


def diagnose(
    learner: Learner,
    variables: Variables,
    context: Data,
    queries: Data,
    *,
    rows: np.ndarray,
    batch: int = 100,
) -> np.ndarray:
    """Probability of every condition for every query record.

    Args:
      learner: one whose labels are conditions.
      context: labelled records, known to the model beforehand.
      queries: records to diagnose.
      rows: int [S], which records of `context` a query sees, in this order.
      batch: queries at a time.

    Returns:
      float32 [R, C].

    Raises:
      ValueError: the learner does not embed records by themselves.
    """
    seen = embed(learner, variables, take(context, rows))
    labels = jnp.asarray(context.index.labels)[rows].astype(jnp.float32)
    embeddings = embed(learner, variables, queries)
    count, classify = queries.index.num_records, learner.classify
    if classify is None:
        raise ValueError("this learner does not embed records by themselves")

    padded = np.resize(np.arange(count), -(-count // batch) * batch).reshape(-1, batch)
    answers = [_answer(classify, variables, seen, labels, embeddings[r]) for r in padded]
    return np.concatenate([np.asarray(answer) for answer in answers])[:count]


# Compiled once for each learner, not once for each call: a training validates many times.
@functools.partial(jax.jit, static_argnums=0)
def _answer(classify, variables: Variables, seen: Array, labels: Array, records: Array) -> Array:
    context, batch = len(seen), len(records)
    task = Task(
        records=jnp.concatenate([seen, records]),
        labels=jnp.concatenate([labels, jnp.zeros((batch, labels.shape[1]))]),
        support=jnp.arange(context, dtype=jnp.int32),
        query=context + jnp.arange(batch, dtype=jnp.int32),
        sees=jnp.full(batch, context, jnp.int32),
        way=jnp.int32(labels.shape[1]),
    )
    return jnp.exp(classify(*variables, jax.tree.map(lambda x: x[None], task))[0])


def scores(probs: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> dict[str, float]:
    """AUROC of each condition that some record carries and some does not; float by its code.

    Args:
      probs: float [R, C].
      labels: bool [R, C], multi-hot.
      classes: codes of the C conditions.
    """
    found = {c: statistics.auroc(p, y) for c, p, y in zip(classes, probs.T, np.asarray(labels).T)}
    return {c: value for c, value in found.items() if np.isfinite(value)}


def f1(probs: np.ndarray, labels: np.ndarray, classes: tuple[str, ...]) -> dict[str, float]:
    """F1 of each condition where every record carries exactly one; else nothing.

    The likeliest condition is the answer. F1 depends on how common a condition is in the records.

    Args:
      probs: float [R, C].
      labels: bool [R, C].
      classes: codes of the C conditions.
    """
    labels = np.asarray(labels, bool)
    if not (labels.sum(axis=1) == 1).all():
        return {}
    said = probs.argmax(axis=1)[:, None] == np.arange(len(classes))
    both = said.sum(axis=0) + labels.sum(axis=0)
    return dict(zip(classes, (2 * (said & labels).sum(axis=0) / np.maximum(both, 1)).tolist()))
