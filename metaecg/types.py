"""The nouns of the toolkit: what flows from a sample library to a trained learner."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metaecg.errors import MetaecgError
from metaecg.limits import Limits as Limits

Array = Any
"""An array of jax, or of numpy where no device is needed."""

ArrayTree = Any
"""A pytree of arrays: parameters, model state, optimiser state."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class LibraryIndex:
    """Who carries what: of a sample library, all that episodes are drawn by.

    Records with the same labels are interchangeable to the rules of an episode, so the index
    sorts the records into `patterns` once, on the host; a draw then looks at the patterns (some
    thousands at most) and never at the records, however many there are.

    Args:
      labels: bool [R, C] (or numbers that are all 0 or 1), True where record r carries class c;
        a record may carry several classes or none.
      patients: [R] hashable ids (numbers, strings, …), equal where two records are of the same
        patient.

    Attributes:
      labels: bool [R, C], as given.
      patients: int32 [R], the patients numbered from 0 in the order of their first records.
      patterns: bool [U, C], the distinct rows of `labels`; computed.
      starts: int32 [U + 1], records `order[starts[u]:starts[u + 1]]` have pattern u; computed.
      order: int32 [R], the records sorted by pattern; of each pattern, every patient's first record
        comes before the second record of any; computed.
      heads: int32 [U], how many patients have a record of each pattern; computed.
      without: int32 [C, C], how many patients have a record that carries the row's class and
        not the column's; on the diagonal, how many have one that carries the class; computed.

    Raises:
      ValueError: the shapes do not fit together, a label is missing or is neither 0 nor 1, or a
        patient is missing.
    """

    labels: Array
    patients: Array
    patterns: Array = None
    starts: Array = None
    order: Array = None
    heads: Array = None
    without: Array = None

    def __post_init__(self):
        if self.patterns is not None or self.labels is None:
            return  # a transformation of jax puts an index together again
        labels, patients = _labels(self.labels), _patients(self.patients)
        if labels.ndim != 2 or patients.shape != labels.shape[:1]:
            raise MetaecgError(
                f"an index needs labels [R, C] and patients [R]; got labels {labels.shape} "
                f"and patients {patients.shape}"
            )
        packed = np.packbits(labels, axis=1)
        _, first, pattern = np.unique(packed, axis=0, return_index=True, return_inverse=True)
        pattern = pattern.reshape(-1)
        starts = np.append(0, np.cumsum(np.bincount(pattern, minlength=len(first))))
        repeat = _repeats(pattern, patients)
        for name, value in (
            ("labels", labels),
            ("patients", patients),
            ("patterns", labels[first]),
            ("starts", starts.astype(np.int32)),
            ("order", np.lexsort((repeat, pattern)).astype(np.int32)),
            ("heads", np.bincount(pattern[repeat == 0]).astype(np.int32)),
            ("without", _patients_without(labels, patients)),
        ):
            object.__setattr__(self, name, jnp.asarray(value))

    @property
    def num_records(self) -> int:
        """R, the records."""
        return self.labels.shape[0]

    @property
    def num_classes(self) -> int:
        """C, the classes."""
        return self.labels.shape[1]


def _labels(labels: Any) -> np.ndarray:
    """Returns the labels as bool; a label that is not known must not count as carried."""
    given = np.asarray(labels)
    if given.dtype != bool and (
        given.dtype.kind not in "iufO" or not np.all((given == 0) | (given == 1))
    ):
        raise MetaecgError(
            "labels must be bool, or numbers that are all 0 or 1: decide for every record and "
            "class whether the record carries the class, and leave out what is not known"
        )
    return given.astype(bool)


def _patients(patients: Any) -> np.ndarray:
    """Returns int32 [R]: the patients numbered in the order of their first records."""
    ids = patients.tolist() if hasattr(patients, "tolist") else list(patients)
    numbers: dict[Any, int] = {}
    try:
        if any(patient is None or patient != patient for patient in ids):
            raise TypeError
        coded = [numbers.setdefault(patient, len(numbers)) for patient in ids]
    except TypeError:
        raise MetaecgError(
            "patients must be one hashable id a record, and none of them missing (None, NaN): "
            "give a record of an unknown patient an id of its own"
        ) from None
    return np.array(coded, np.int32)


def _repeats(pattern: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Returns int [R]: how many records before each are of the same pattern and patient."""
    order = np.lexsort((patients, pattern))
    new = (np.diff(pattern[order], prepend=-1) != 0) | (np.diff(patients[order], prepend=-1) != 0)
    begins = np.flatnonzero(new)
    repeats = np.empty(len(order), int)
    repeats[order] = np.arange(len(order)) - begins[np.cumsum(new) - 1]
    return repeats


def _patients_without(labels: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Returns int32 [C, C]: `LibraryIndex.without`."""
    classes = labels.shape[1]
    table = np.zeros((classes, classes), np.int32)
    by_patient = np.argsort(patients, kind="stable")
    for a in range(classes):
        rows = by_patient[labels[by_patient, a]]
        lacks = ~labels[rows]
        lacks[:, a] = True
        first = np.flatnonzero(np.diff(patients[rows], prepend=-1))
        if len(first):
            table[a] = np.logical_or.reduceat(lacks, first).sum(0)
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
        is on the left.
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
