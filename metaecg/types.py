"""The nouns of the toolkit: what flows from a sample library to a trained learner."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Array = Any
"""An array of jax, or of numpy where no device is needed."""

ArrayTree = Any
"""A pytree of arrays: parameters, model state, optimiser state."""


@jax.tree_util.register_pytree_node_class
class LibraryIndex:
    """Who carries what: the part of a sample library that episodes are drawn from.

    Records with the same statements are interchangeable to the rules of an episode, so the index
    sorts them into `patterns` once, on the host; a draw then looks at the patterns (some
    thousands at most) and never at the records, however many there are.

    Args:
      labels: bool [R, C], True where record r carries class c (multi-hot).
      patients: int32 [R], equal where two records are of the same patient.

    Attributes:
      patterns: bool [U, C], the distinct rows of `labels`.
      starts: int32 [U + 1], records `order[starts[u]:starts[u + 1]]` have pattern u.
      order: int32 [R], the records sorted by pattern.
      without: int32 [C, C], how many patients have a record that carries the row's class and
        not the column's; on the diagonal, how many have one that carries the class.

    Raises:
      ValueError: the shapes do not fit together.
    """

    labels: Array
    patients: Array
    patterns: Array
    starts: Array
    order: Array
    without: Array

    def __init__(self, labels: Any, patients: Any):
        labels = np.asarray(labels, dtype=bool)
        patients = np.asarray(patients, dtype=np.int32)
        if labels.ndim != 2 or patients.shape != labels.shape[:1]:
            raise ValueError(
                f"labels must be bool [R, C] and patients int32 [R]; got labels {labels.shape} "
                f"and patients {patients.shape}"
            )
        packed = np.packbits(labels, axis=1)
        _, first, pattern = np.unique(packed, axis=0, return_index=True, return_inverse=True)
        pattern = pattern.reshape(-1)
        self.labels = jnp.asarray(labels)
        self.patients = jnp.asarray(patients)
        self.patterns = jnp.asarray(labels[first])
        counts = np.bincount(pattern, minlength=len(first))
        self.starts = jnp.asarray(np.concatenate([[0], np.cumsum(counts)]), jnp.int32)
        self.order = jnp.asarray(np.argsort(pattern, kind="stable"), jnp.int32)
        self.without = jnp.asarray(_patients_without(labels, patients), jnp.int32)

    @property
    def num_records(self) -> int:
        """R, the records."""
        return self.labels.shape[0]

    @property
    def num_classes(self) -> int:
        """C, the classes."""
        return self.labels.shape[1]

    def tree_flatten(self):
        return (
            self.labels,
            self.patients,
            self.patterns,
            self.starts,
            self.order,
            self.without,
        ), None

    @classmethod
    def tree_unflatten(cls, _, children):
        index = object.__new__(cls)
        (
            index.labels,
            index.patients,
            index.patterns,
            index.starts,
            index.order,
            index.without,
        ) = children
        return index


def _patients_without(labels: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Returns int [C, C]: patients with a record that carries a and not b (diagonal: carries a)."""
    classes = labels.shape[1]
    table = np.zeros((classes, classes), np.int64)
    for a in range(classes):
        rows = np.flatnonzero(labels[:, a])
        lacks = ~labels[rows]
        lacks[:, a] = True
        who, inverse = np.unique(patients[rows], return_inverse=True)
        for b in range(classes):
            table[a, b] = np.count_nonzero(
                np.bincount(inverse[lacks[:, b]], minlength=len(who)) if len(who) else []
            )
    return table


class Episode(NamedTuple):
    """One few-shot problem, as rows of a library.

    Attributes:
      classes: int32 [way], the class in each slot.
      support: int32 [way * shot], rows of the labelled examples, in random order.
      support_slots: int32 [way * shot], the slot of each.
      query: int32 [way * query], rows of the records to diagnose, in random order.
      query_slots: int32 [way * query], the slot of each: the answer.
    """

    classes: Array
    support: Array
    support_slots: Array
    query: Array
    query_slots: Array


class Task(NamedTuple):
    """An episode with its records gathered, as a learner sees it.

    The same noun serves the few-shot problem (support, then queries that see all of it) and the
    source's sample groups (every record is a query that sees the records before it, [0051-0053]):
    `support` and `query` are rows of `records`, so each record is embedded once in either case.

    Attributes:
      records: float32 [N, samples, leads], mV (or any input that the learner's encoder takes).
      labels: float32 [N, W], one-hot slots, or multi-hot conditions where labels are global.
      support: int32 [S], rows of `records` in the order the context reads them; -1 is padding and
        stands on the left.
      query: int32 [Q], rows of `records`.
      sees: int32 [Q], query r sees `support[:sees[r]]` and itself.
      way: int32 [], slots in use; the logits of the others are masked.
    """

    records: Array
    labels: Array
    support: Array
    query: Array
    sees: Array
    way: Array


class Variables(NamedTuple):
    """What a learner learns (`params`) and what it only tracks (`state`: BatchNorm's averages)."""

    params: ArrayTree
    state: ArrayTree


class Limits(NamedTuple):
    """What a learner can read of a support.

    Attributes:
      slots: width W of the labels that it was built for; None where it takes any.
      longest: the most support records that it reads; None where there is no limit.
      ordered: its answer depends on the order of the support and on the slot of each class.
    """

    slots: int | None = None
    longest: int | None = None
    ordered: bool = False


class Learner(NamedTuple):
    """A few-shot learner: pure functions over a batch of tasks, and what it can read.

    Attributes:
      init: (key, tasks) -> Variables.
      loss: (params, state, tasks, key) -> (loss [], (state, metrics)); training mode.
      predict: (params, state, tasks) -> float32 [B, Q, W], log-probabilities of the slots (of each
        condition by itself where labels are global); inference mode.
      embed: (params, state, records [N, ...]) -> [N, D], of learners that embed a record whatever
        the episode; None of the others.
      classify: `predict` for tasks whose records are embeddings; None where `embed` is. Evaluating
        thousands of episodes embeds a library once this way.
      limits: what it can read of a support.
    """

    init: Callable[..., Variables]
    predict: Callable[..., Array]
    loss: Callable[..., tuple[Array, tuple[ArrayTree, dict[str, Array]]]]
    embed: Callable[..., Array] | None = None
    classify: Callable[..., Array] | None = None
    limits: Limits = Limits()


class TrainState(NamedTuple):
    """All that the rest of a training run depends on.

    Attributes:
      step: int32 [], updates done.
      variables: the learner's parameters and state.
      opt_state: the (meta-)optimiser's state.
      skipped: int32 [], updates skipped because loss or gradient was not finite.
      failing: int32 [], how many of the last updates in a row were.
    """

    step: Array
    variables: Variables
    opt_state: ArrayTree
    skipped: Array
    failing: Array
