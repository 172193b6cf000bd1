"""A trained learner as two functions of arrays, and what it says of orders of its support."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from metaecg.errors import MetaecgError
from metaecg.limits import Limits

if TYPE_CHECKING:
    from metaecg.types import Array, Learner, Task, Variables


class Predictor(NamedTuple):
    """A learner with its variables inside: all that a diagnosis needs of it.

    Attributes:
      embed: float32 [N, samples, leads], mV -> float32 [N, D].
      classify: a batch of tasks whose records are embeddings -> log-probabilities [B, Q, W].
      limits: what the learner can read of a support.
    """

    embed: "Callable[[Array], Array]"
    classify: "Callable[[Task], Array]"
    limits: Limits = Limits()

    def embed_each(self, records: np.ndarray) -> np.ndarray:
        """As `embed`, one record at a time, so that one program serves any number of them."""
        return np.concatenate([np.asarray(self.embed(record[None])) for record in records])

    def embed_windows(self, recordings: Sequence[np.ndarray]) -> np.ndarray:
        """The mean embedding of each recording's windows [windows, samples, leads]: [N, D]."""
        return np.stack([self.embed_each(windows).mean(axis=0) for windows in recordings])

    def coordinates(self, embeddings: np.ndarray) -> np.ndarray:
        """Embeddings [R, D] in as few numbers as `classify` may read: [R, min(R, D)].

        Where it depends on inner products alone, R vectors are said by their coordinates in a basis
        of what they span.
        """
        if not self._span_suffices(embeddings):
            return embeddings
        triangle: Any = np.linalg.qr(embeddings.T, mode="r")
        return np.ascontiguousarray(triangle.T)

    def basis(self, embeddings: np.ndarray) -> np.ndarray | None:
        """An orthonormal basis [D, S] of what embeddings [S, D] span, for `along`.

        None where `classify` may read more than inner products, or the basis would save nothing.
        """
        return np.linalg.qr(embeddings.T)[0] if self._span_suffices(embeddings) else None

    def _span_suffices(self, embeddings: np.ndarray) -> bool:
        """Whether coordinates in what they span tell `classify` all, and are fewer numbers."""
        return self.limits.inner_products and len(embeddings) < embeddings.shape[1]

    @classmethod
    def of(cls, learner: "Learner", variables: "Variables") -> "Predictor":
        """A learner that embeds records by themselves, ready to run.

        Raises:
          MetaecgError: the learner adapts to every episode as a whole (MAML, fine-tuning).
        """
        import jax  # half a second, which an archive that is embedded already need not wait for

        embed, classify = learner.embed, learner.classify
        if embed is None or classify is None:
            raise MetaecgError(
                "this learner does not embed records by themselves, so that its support cannot be "
                "kept for new queries; choose a learner that does not adapt its encoder to each "
                "episode"
            )
        run_embed = jax.jit(lambda v, records: embed(*v, records))
        run_classify = jax.jit(lambda v, tasks: classify(*v, tasks))
        return cls(
            lambda records: run_embed(variables, records),
            lambda tasks: run_classify(variables, tasks),
            learner.limits,
        )


def along(basis: np.ndarray | None, embeddings: np.ndarray) -> np.ndarray:
    """Embeddings [N, D] by their coordinates in a basis [D, S], and how far they are from its span.

    Lengths stay as they are, and so do inner products with whatever is in the span. A learner of
    inner products reads no more than these of examples that are in the span and of a single query.

    Returns:
      float [N, S + 1]; without a basis, the embeddings.
    """
    if basis is None:
        return embeddings
    inside = embeddings @ basis
    beyond = np.linalg.norm(embeddings - inside @ basis.T, axis=1, keepdims=True)
    return np.concatenate([inside, beyond], axis=1)


class Reading(NamedTuple):
    """Ways to read a support: B of them.

    Attributes:
      support: int32 [B, S], its rows in the order they are read; -1 is padding, on the left.
      places: int32 [B, way], the slot of each label.
    """

    support: np.ndarray
    places: np.ndarray


def readings(
    predictor: Predictor, count: int, way: int, orders: int, rng: np.random.Generator
) -> Reading:
    """Random orders of `count` support records, with labels in random slots.

    A learner that does not depend on the order is read once, as the records come.

    Args:
      predictor: the learner.
      count: support records.
      way: labels among them.
      orders: how many.
      rng: of the orders and of the slots.
    """
    support = np.tile(
        np.arange(count, dtype=np.int32), (orders if predictor.limits.ordered else 1, 1)
    )
    places = np.tile(np.arange(way, dtype=np.int32), (len(support), 1))
    if predictor.limits.ordered:
        support, places = rng.permuted(support, axis=1), rng.permuted(places, axis=1)
    return Reading(support, places)


def without_each(reading: Reading) -> Reading:
    """Every reading without each record in turn: row b·S + s is reading b without record s."""
    count = reading.support.shape[1]
    left_out = np.tile(np.arange(count), len(reading.support))
    support = np.repeat(reading.support, count, axis=0)
    gone = support == left_out[:, None]
    first = np.argsort(~gone, axis=1, kind="stable")  # its place becomes padding, on the left
    support = np.take_along_axis(np.where(gone, -1, support), first, axis=1)
    return Reading(support, np.repeat(reading.places, count, axis=0))


def log_probs(
    predictor: Predictor, embeddings: np.ndarray, labels: np.ndarray, reading: Reading
) -> np.ndarray:
    """What a learner says of queries, support read in several ways.

    Args:
      predictor: the learner.
      embeddings: float32 [B, S + Q, D] or [1, S + Q, D], the support's records, then the queries.
      labels: int [B, S] or [1, S], the label of each support record.
      reading: B ways to read it.

    Returns:
      float32 [B, Q, way], in the order of the labels.

    Raises:
      MetaecgError: there are more labels than the learner has slots.
    """
    from metaecg.types import Task

    batch, way = reading.places.shape
    shared = (len(embeddings), labels.shape[1])
    total, count = embeddings.shape[1], labels.shape[1]
    if len(embeddings) not in (1, batch) or len(labels) not in (1, batch):
        raise ValueError(f"{batch} readings of {shared} do not fit together")
    slots = way if predictor.limits.slots is None else predictor.limits.slots
    if way > slots:
        raise MetaecgError(f"{way} labels do not fit the {slots} slots of this model")
    mine = np.take_along_axis(reading.places, np.broadcast_to(labels, (batch, count)), axis=1)
    one_hot = np.zeros((batch, total, slots), np.float32)
    one_hot[:, :count] = np.eye(slots, dtype=np.float32)[mine]
    queries = np.arange(count, total, dtype=np.int32)
    tasks = Task(
        records=np.broadcast_to(embeddings, (batch, *embeddings.shape[1:])),
        labels=one_hot,
        support=reading.support,
        query=np.broadcast_to(queries, (batch, len(queries))),
        sees=np.full((batch, len(queries)), count, np.int32),
        way=np.full(batch, way, np.int32),
    )
    said = np.asarray(predictor.classify(tasks))
    return np.take_along_axis(said, reading.places[:, None, :], axis=2)


FOLDS = 5
"""Rounds in which examples are left out, at most."""


def of_examples(predictor: Predictor, embeddings: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What a learner says of each example when that one is left out, with a share of all others.

    In each of `FOLDS` rounds, or of as many as the largest label has examples, as large a share of
    every label's examples is left out and answered. A label's only example is never left out.

    Args:
      predictor: the learner; one that depends on the order reads the examples as they come.
      embeddings: float32 [B, S, D], of B supports.
      labels: int [B, S].

    Returns:
      Log-probabilities [B, S, way]; NaN for the only example of a label.
    """
    way = int(labels.max()) + 1
    one_hot = labels[..., None] == np.arange(way)
    counts = np.take_along_axis(one_hot.sum(1), labels, axis=1)
    rounds = min(FOLDS, int(counts.max()))
    place = np.take_along_axis(one_hot.cumsum(1), labels[..., None], axis=2)[..., 0] - 1
    # Fewer examples than rounds: each is left out in one of them.
    mine = np.where(counts > 1, place % rounds, -1)
    said = np.full((*labels.shape, way), np.nan, np.float32)
    places = np.tile(np.arange(way, dtype=np.int32), (len(labels), 1))
    for one in range(rounds):
        out = mine == one
        support = np.where(out, -1, np.arange(labels.shape[1], dtype=np.int32))
        support = np.take_along_axis(support, np.argsort(~out, axis=1, kind="stable"), axis=1)
        both = np.concatenate([embeddings, embeddings], axis=1)
        answer = log_probs(predictor, both, labels, Reading(support, places))
        said = np.where(out[..., None], answer, said)
    return said
