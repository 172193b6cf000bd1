"""The source's sample sequences: M classes × k records, until all were visited [0012, 0051].

Drawing records independently would need some hundred thousand sequences to visit the last record
of a common class. Here each class deals its records like a shuffled deck, without replacement, and
classes take turns in shuffled rounds, each once a round: rare classes come as often as common ones
and start their deck anew, and an epoch ends soon after ⌈n/k⌉ rounds of N/M sequences, n being the
largest deck. A record is dealt by the rarest class that it carries, which keeps that deck small.
"""

from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from metaecg.errors import MetaecgError
from metaecg.types import Array, LibraryIndex


class Sequences(NamedTuple):
    """Sample sequences Ψ_1 … Ψ_Mk, one a row.

    Attributes:
      classes: int32 [T, M], the class in each slot.
      rows: int32 [T, Mk], rows of the index, in random order.
      slots: int32 [T, Mk], the slot of each.
    """

    classes: np.ndarray
    rows: np.ndarray
    slots: np.ndarray


def windows(length: int, width: int) -> Array:
    """The source's sample groups [0013, 0051]: windows of a sequence, sliding by one.

    Args:
      length: number of records in the sequence, Mk.
      width: records in a group, w = j − i + 1.

    Returns:
      int32 [length − width + 1, width], positions in the sequence.

    Example:
      >>> windows(5, 4).tolist()
      [[0, 1, 2, 3], [1, 2, 3, 4]]

    Raises:
      ValueError: width is not in 2 … length (1 ≤ i < j ≤ Mk in claim 2).
    """
    if not 2 <= width <= length:
        raise MetaecgError(
            f"a window has 2 to {length} of the sequence's {length} records, not {width}"
        )
    first = jnp.arange(length - width + 1, dtype=jnp.int32)
    return first[:, None] + jnp.arange(width, dtype=jnp.int32)[None, :]


def epoch(index: LibraryIndex, *, way: int, per_class: int, seed: int) -> Sequences:
    """Deals sequences until every record that carries a class of the index was in one.

    Records and patients are distinct within a sequence, and a record carries its own class and none
    of the sequence's others, as in `episodes`.

    Args:
      index: the part of the library to visit.
      way: classes of a sequence, M.
      per_class: records of each, k.
      seed: of the shuffles.

    Raises:
      MetaecgError: no sequence can be dealt, or a record fits in none (each names what is short).
    """
    labels: np.ndarray = np.asarray(index.labels)
    patients = np.asarray(index.patients)
    classes = labels.shape[1]
    if not 1 < way <= classes:
        raise MetaecgError(f"sequences of {way} classes from an index of {classes}: 2 to {classes}")
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(labels[:, c]) for c in range(classes)]
    sizes = np.array([len(m) for m in members])
    home = np.where(labels, sizes, len(labels) + 1).argmin(axis=1)
    waiting = np.array(labels.any(axis=1))
    decks = [rng.permutation(np.flatnonzero(waiting & (home == c))) for c in range(classes)]

    dealt, idle = [], 0
    for chosen in _turns(classes, way, rng):
        hands = _deal(chosen, per_class, labels, patients, decks, members, rng)
        if hands is None or not waiting[hands].any():
            idle += 1
        else:
            idle = 0
        if hands is not None:
            waiting[hands] = False
            for c in chosen:
                decks[c] = decks[c][waiting[decks[c]]]
            order = rng.permutation(hands.size)
            slots = np.repeat(np.arange(way), per_class)
            dealt.append((chosen, hands.reshape(-1)[order], slots[order]))
        if not waiting.any():
            break
        if idle > 100 * classes:
            row = int(np.flatnonzero(waiting)[0])
            raise MetaecgError(
                f"{int(waiting.sum())} records, such as row {row}, fit no sequence of {way} "
                f"classes × {per_class} records: lower `way` or the records per class"
            )
    return Sequences(*(np.array(column, np.int32) for column in zip(*dealt)))


def stream(index: LibraryIndex, count: int, *, way: int, per_class: int, seed: int) -> Sequences:
    """The first `count` sequences, epoch after epoch; a longer stream begins with a shorter."""
    epochs: list[Sequences] = []
    while sum(len(e.rows) for e in epochs) < count:
        seeds = (seed, len(epochs))
        mixed = int(np.random.SeedSequence(seeds).generate_state(1)[0])
        epochs.append(epoch(index, way=way, per_class=per_class, seed=mixed))
    return Sequences(*(np.concatenate(column)[:count] for column in zip(*epochs)))


def coverage_curve(index: LibraryIndex, sequences: Sequences) -> np.ndarray:
    """Share of the labelled records that the first t + 1 sequences visited; float [T]."""
    _, first = np.unique(sequences.rows.reshape(-1), return_index=True)
    new = np.bincount(first // sequences.rows.shape[1], minlength=len(sequences.rows))
    return np.cumsum(new) / np.asarray(index.labels).any(axis=1).sum()


def _turns(classes: int, way: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yields class sets [way]; every class has its turn once in each round of all classes."""
    queue = np.zeros(0, int)
    while True:
        fresh = rng.permutation(classes)
        # Classes still waiting from the round before go last, so that no set holds one twice.
        fresh = np.concatenate([fresh[~np.isin(fresh, queue)], fresh[np.isin(fresh, queue)]])
        queue = np.concatenate([queue, fresh])
        while len(queue) >= way and len(set(queue[:way])) == way:
            yield rng.permutation(queue[:way])
            queue = queue[way:]


def _deal(chosen, per_class, labels, patients, decks, members, rng) -> np.ndarray | None:
    """Returns rows [way, per_class]: from the decks first, then from all members; None if short."""
    taken: set[int] = set()
    hands = np.empty((len(chosen), per_class), int)

    def take(hand: list[int], cards: np.ndarray, others: np.ndarray) -> None:
        for row in cards[~labels[cards[:, None], others].any(axis=1)]:
            if len(hand) == per_class:
                return
            if patients[row] not in taken:
                taken.add(patients[row])
                hand.append(row)

    # The scarcest class chooses its patients first.
    for s in sorted(range(len(chosen)), key=lambda s: len(members[chosen[s]])):
        others = np.delete(chosen, s)
        deck, everyone = decks[chosen[s]], members[chosen[s]]
        hand: list[int] = []
        # Most of a deck fits: look at a few times more cards than needed before all of them.
        look = 4 * per_class
        take(hand, deck[:look], others)
        if len(hand) < per_class:
            take(hand, deck[look:], others)
        if len(hand) < per_class:
            take(hand, everyone[rng.integers(len(everyone), size=look)], others)
        if len(hand) < per_class:
            take(hand, rng.permutation(everyone), others)
        if len(hand) < per_class:
            return None
        hands[s] = hand
    return hands
