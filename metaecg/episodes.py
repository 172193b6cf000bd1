"""Episodes as index arithmetic: from a key and an index of the library to rows of it.

The rules on clinical data, where records carry several statements and patients return:

1. the classes of an episode are distinct and drawn uniformly; slots are permuted at random;
2. a record is eligible for a slot if it carries that slot's class and none of the episode's others;
3. no record and no patient stands twice in an episode;
4. a class set that cannot fill every slot is never drawn.
"""

import itertools
import math
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from metaecg.errors import MetaecgError
from metaecg.types import Array, Episode, LibraryIndex

# A class set that has the patients fills its slots within a few rounds; one that looked as if it
# had them and has not is given up after this many, and another is drawn.
_ROUNDS = 200
_CLASS_SETS = 10_000


def sample_episode(key: Array, index: LibraryIndex, *, way: int, shot: int, query: int) -> Episode:
    """Draws one episode; a pure function of `key`, for `jit` and `vmap`.

    The cost does not grow with the number of records, only with that of distinct label patterns.

    Args:
      key: a typed PRNG key.
      index: the part of the library to draw from.
      way: number of classes.
      shot: labelled examples of each class.
      query: records to diagnose of each class.

    Returns:
      An `Episode`. Inside a transformation that traces `index` itself, an infeasible setting
      cannot raise: the rows are then -1; call `check_feasible` first.

    Raises:
      ValueError: no class set can fill the episode; names the short class and the largest shot.
    """
    if not isinstance(index.patterns, jax.core.Tracer):
        check_feasible(index, way=way, shot=shot, query=query)
    draw_key, support_key, query_key = jax.random.split(key, 3)
    classes, rows = _draw(draw_key, index, way, shot + query)
    slots = jnp.arange(way, dtype=jnp.int32)[:, None]

    def shuffled(key, rows):
        order = jax.random.permutation(key, rows.size)
        return rows.reshape(-1)[order], jnp.broadcast_to(slots, rows.shape).reshape(-1)[order]

    return Episode(
        classes, *shuffled(support_key, rows[:, :shot]), *shuffled(query_key, rows[:, shot:])
    )


def sample_episodes(
    key: Array,
    first: Array | int,
    count: int,
    index: LibraryIndex,
    *,
    way: int,
    shot: int,
    query: int,
) -> Episode:
    """Draws episodes first … first + count − 1 of the stream of `key`, stacked on a leading axis.

    Episode i depends on (key, i) alone: not on the batch it is drawn in, nor on the device.
    """
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(first + jnp.arange(count))
    return jax.vmap(lambda k: sample_episode(k, index, way=way, shot=shot, query=query))(keys)


def _draw(key: Array, index: LibraryIndex, way: int, need: int) -> tuple[Array, Array]:
    """Returns classes [way] and rows [way, need] that obey the four rules."""

    def unfilled(carry):
        tried, _, rows = carry
        return jnp.any(rows < 0) & (tried < 100)

    def attempt(carry):
        tried, _, _ = carry
        class_key, row_key = jax.random.split(jax.random.fold_in(key, tried))
        classes = _draw_classes(class_key, index, way, need)
        return tried + 1, classes, _fill(row_key, index, classes, need)

    empty = jnp.full((way, need), -1, jnp.int32)
    carry = (jnp.int32(0), jnp.zeros(way, jnp.int32), empty)
    _, classes, rows = lax.while_loop(unfilled, attempt, carry)
    return classes, jnp.where(jnp.all(rows >= 0), rows, -1)


def _draw_classes(key: Array, index: LibraryIndex, way: int, need: int) -> Array:
    """Returns distinct classes, uniform among the sets that no pair of them rules out."""
    lacking = jnp.diagonal(index.without) < need

    def draw(tried):
        order = jax.random.permutation(jax.random.fold_in(key, tried), index.num_classes)
        return order[jnp.argsort(lacking[order], stable=True)][:way]

    def short(carry):
        tried, classes = carry
        enough = index.without[classes[:, None], classes] >= need
        return ~jnp.all(enough) & (tried < _CLASS_SETS)

    carry = (jnp.int32(1), draw(jnp.int32(0)))
    return lax.while_loop(short, lambda c: (c[0] + 1, draw(c[0])), carry)[1].astype(jnp.int32)


def _fill(key: Array, index: LibraryIndex, classes: Array, need: int) -> Array:
    """Returns rows [way, need] for given classes; -1 where no record could be placed.

    Every empty place draws a record uniformly from those eligible for its slot, and keeps it unless
    the patient already has a place or is drawn by an earlier one; again until all are filled.
    """
    way = len(classes)
    carries = index.patterns[:, classes]
    only = carries & (jnp.sum(carries, axis=1, keepdims=True) == 1)
    counts = index.starts[1:] - index.starts[:-1]
    ends = jnp.cumsum(jnp.where(only, counts[:, None], 0).T, axis=1)
    totals = ends[:, -1]

    def draw(key):
        at = jax.random.randint(key, (way, need), 0, jnp.maximum(totals, 1)[:, None])
        u = jax.vmap(lambda e, a: jnp.searchsorted(e, a, side="right", method="scan_unrolled"))(
            ends, at
        )
        before = jnp.take_along_axis(ends, u, axis=1) - counts[u]
        return index.order[index.starts[u] + at - before].reshape(-1)

    places = way * need
    earlier = jnp.tri(places, k=-1, dtype=bool)

    def unfilled(carry):
        tried, rows = carry
        return jnp.any(rows < 0) & (tried < _ROUNDS) & jnp.all(totals >= need)

    def place(carry):
        tried, rows = carry
        drawn = draw(jax.random.fold_in(key, tried))
        who, empty = index.patients[drawn], rows < 0
        placed = jnp.where(empty, -1, index.patients[rows])
        taken = jnp.any((who[:, None] == placed[None, :]) & ~empty[None, :], axis=1)
        rival = jnp.any((who[:, None] == who[None, :]) & empty[None, :] & earlier, axis=1)
        return tried + 1, jnp.where(empty & ~taken & ~rival, drawn, rows)

    rows = lax.while_loop(unfilled, place, (jnp.int32(0), jnp.full(places, -1, jnp.int32)))[1]
    return rows.reshape(way, need)


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


def check_feasible(index: LibraryIndex, *, way: int, shot: int, query: int) -> None:
    """Raises unless some class set has shot + query eligible patients for every slot.

    Raises:
      ValueError: names the class that is short (its column in the index) and the largest shot.
    """
    if way < 2 or shot < 1 or query < 1:
        raise MetaecgError(
            f"way ≥ 2, shot ≥ 1, query ≥ 1 needed; got {way}-way, {shot}-shot, {query} queries"
        )
    known = index.__dict__.setdefault("_feasible", set())
    if (way, shot + query) in known:
        return
    classes = index.num_classes
    if way > classes:
        raise MetaecgError(f"{way}-way episodes need {way} classes; the index has {classes}")
    need = shot + query
    if _feasible_set(index, way, need) is not None:
        known.add((way, need))
        return
    best, short = 0, int(np.argsort(-np.diagonal(index.without), kind="stable")[way - 1])
    for fewer in range(need - 1, 0, -1):
        chosen = _feasible_set(index, way, fewer)
        if chosen is not None:
            best, short = fewer, int(chosen[eligible_patients(index, chosen).argmin()])
            break
    largest = best - query
    remedy = (
        f"the largest feasible shot is {largest}"
        if largest > 0
        else "no shot is feasible: lower `way` or `query`"
    )
    raise MetaecgError(
        f"no {way} classes have {shot} + {query} eligible patients each: at best class {short} has "
        f"{best}; {remedy}"
    )


def eligible_patients(index: LibraryIndex, classes: np.ndarray) -> np.ndarray:
    """Returns int [way]: distinct patients eligible for each slot of a class set (rule 2)."""
    carries = np.asarray(index.labels)[:, classes]
    patients = np.asarray(index.patients)
    alone = carries.sum(1) == 1
    return np.array([len(np.unique(patients[alone & carries[:, s]])) for s in range(len(classes))])


def _feasible_set(index: LibraryIndex, way: int, need: int) -> np.ndarray | None:
    """Returns classes each of whose slots can have `need` patients, or None where it finds none.

    Sets of classes that have the patients by themselves are tried: every one of them, or 2,000
    where they are many.
    """
    without = np.asarray(index.without)
    able = np.flatnonzero(np.diagonal(without) >= need)
    if len(able) < way:
        return None
    if math.comb(len(able), way) <= 2_000:
        sets: Iterable[np.ndarray] = map(np.array, itertools.combinations(able, way))
    else:
        rng = np.random.default_rng(0)
        sets = (np.sort(rng.choice(able, way, replace=False)) for _ in range(2_000))
    for chosen in sets:
        pairs = without[chosen[:, None], chosen[None, :]]
        if pairs.min() >= need and _can_place(index, chosen, need):
            return chosen
    return None


def _can_place(index: LibraryIndex, classes: np.ndarray, need: int) -> bool:
    """Whether every slot can have `need` eligible patients and no patient two slots.

    A patient may be eligible for several slots, by different records: places are given by
    augmenting paths (Kuhn 1955).
    """
    carries, patients = np.asarray(index.labels)[:, classes], np.asarray(index.patients)
    alone = carries.sum(1) == 1
    eligible = [np.unique(patients[alone & column]).tolist() for column in carries.T]
    slot_of: dict[int, int] = {}

    def place(slot: int, visited: set[int]) -> bool:
        for patient in eligible[slot]:
            if patient not in visited:
                visited.add(patient)
                if patient not in slot_of or place(slot_of[patient], visited):
                    slot_of[patient] = slot
                    return True
        return False

    return all(place(slot, set()) for slot in range(len(classes)) for _ in range(need))


def verify(index: LibraryIndex, episodes: Episode) -> None:
    """Asserts on the host that drawn episodes (any leading axes) obey the rules.

    Raises:
      ValueError: names the first episode that breaks a rule, and the rule.
    """
    labels, patients = np.asarray(index.labels), np.asarray(index.patients)
    way = episodes.classes.shape[-1]
    flat = [np.asarray(x).reshape(-1, x.shape[-1]) for x in episodes]
    classes, support, support_slots, query, query_slots = flat
    rows = np.concatenate([support, query], axis=1)
    slots = np.concatenate([support_slots, query_slots], axis=1)

    def fail(broken: np.ndarray, rule: str) -> None:
        if broken.any():
            raise MetaecgError(f"episode {int(np.flatnonzero(broken)[0])} breaks a rule: {rule}")

    counts = [(s[..., None] == np.arange(way)).sum(1) for s in (support_slots, query_slots)]
    uneven = np.any([(c != c[:, :1]).any(1) for c in counts], axis=0)
    fail((rows < 0).any(1) | uneven, "every slot is filled, as often as the others")
    fail(_repeats(classes), "classes are distinct")
    carried = np.take_along_axis(labels[rows], classes[:, None, :], axis=2)
    fail((carried != (slots[..., None] == np.arange(way))).any((1, 2)), "own class and no other's")
    fail(_repeats(rows), "no record twice")
    fail(_repeats(patients[rows]), "no patient twice")


def _repeats(values: np.ndarray) -> np.ndarray:
    ordered = np.sort(values, axis=1)
    return (ordered[:, 1:] == ordered[:, :-1]).any(1)


def coverage(index: LibraryIndex, rows: np.ndarray) -> np.ndarray:
    """Returns float [C]: the share of each class's records among `rows` (any shape; [0012])."""
    labels = np.asarray(index.labels)
    seen = np.zeros(len(labels), bool)
    seen[np.asarray(rows).reshape(-1)] = True
    return (labels & seen[:, None]).sum(0) / np.maximum(labels.sum(0), 1)
