"""Episodes as index arithmetic: from a key and an index of the library to rows of it.

The rules on clinical data, where records carry several statements and patients return:

1. the classes of an episode are distinct and drawn uniformly; slots are permuted at random;
2. a record is eligible for a slot if it carries that slot's class and none of the episode's others;
3. no record and no patient stands twice in an episode;
4. a class set that cannot fill every slot is never drawn.
"""

import functools
import itertools
import math
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from metaecg.episodes import eligible as eligible_lib
from metaecg.episodes.eligible import Table
from metaecg.errors import MetaecgError
from metaecg.types import Array, Episode, LibraryIndex

# A class set that has the patients fills its slots within a few rounds; one that looked as if it
# had them and has not is given up after this many, and another is drawn.
_ROUNDS = 200
_CLASS_SETS = 10_000

_CHECK_EVERY = 4  # rounds, after which slots are looked for that cannot be filled any more
_CHUNK = 64  # episodes of a large batch that are drawn at a time: what they need stays in cache
_QUICK = 3  # rounds within which most of them are filled
_REPAIR = 8  # of the others are drawn anew at a time, since the slowest of them decides


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
    classes, rows = _draw(draw_key, index, way=way, need=shot + query)
    return _episode(classes, rows, support_key, query_key, shot)


def _episode(classes: Array, rows: Array, support_key: Array, query_key: Array, shot: int):
    slots = jnp.arange(len(classes), dtype=jnp.int32)[:, None]

    def shuffled(key, rows):
        order = _permutation(key, rows.size)
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

    Args:
      key: a typed PRNG key, the root of the stream.
      first: number of the first episode.
      count: how many.
      index, way, shot, query: as of `sample_episode`.

    Returns:
      An `Episode` with leaves [count, ...].

    Raises:
      ValueError: as `sample_episode`.
    """
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(first + jnp.arange(count))
    if count <= _CHUNK:
        return jax.vmap(lambda k: sample_episode(k, index, way=way, shot=shot, query=query))(keys)
    if not isinstance(index.patterns, jax.core.Tracer):
        check_feasible(index, way=way, shot=shot, query=query)
    draw_keys, support_keys, query_keys = jax.vmap(lambda k: jax.random.split(k, 3), out_axes=1)(
        keys
    )
    classes, rows = _draw_many(draw_keys, index, way, shot + query)
    order = functools.partial(_episode, shot=shot)
    return lax.map(
        lambda x: order(*x), (classes, rows, support_keys, query_keys), batch_size=_CHUNK
    )


def _draw_many(keys: Array, index: LibraryIndex, way: int, need: int) -> tuple[Array, Array]:
    """`_draw` for many keys, where none waits for the slowest.

    All get a few rounds, which suffice for most. The others are drawn anew, a few at a time.
    """
    table = eligible_lib.table(index)

    def quick(key):
        class_key, row_key = _attempt_keys(key, 0)
        classes = _classes(class_key, 0, index, way, need)
        found = eligible_lib.eligible(table, classes)
        rows = jnp.full((way, need), -1, jnp.int32)
        for tried in range(_QUICK):
            rows = _place(row_key, tried, rows, index, table, found)
        return classes, jnp.where(_possible(classes, index, need), rows, -1)

    def unfilled(carry):
        return jnp.any(carry[0])

    def repair(carry):
        left, classes, rows = carry
        # Where fewer are left, the last episode is drawn beside them; the same as it is already,
        # or the one that it is to become.
        (at,) = jnp.nonzero(left, size=_REPAIR, fill_value=len(keys) - 1)
        new_classes, new_rows = jax.vmap(lambda k: _draw(k, index, way=way, need=need))(keys[at])
        return left.at[at].set(False), classes.at[at].set(new_classes), rows.at[at].set(new_rows)

    classes, rows = lax.map(quick, keys, batch_size=_CHUNK)
    left = jnp.any(rows < 0, axis=(1, 2))
    return lax.while_loop(unfilled, repair, (left, classes, rows))[1:]


# Within other programs as well: what calls it need not trace it anew, which takes a second.
@functools.partial(jax.jit, static_argnames=("way", "need"))
def _draw(key: Array, index: LibraryIndex, *, way: int, need: int) -> tuple[Array, Array]:
    """Returns classes [way] and rows [way, need] that obey the four rules."""
    table = eligible_lib.table(index)

    def unfilled(carry):
        tried, _, rows = carry
        return jnp.any(rows < 0) & (tried < 100)

    def attempt(carry):
        tried, _, _ = carry
        class_key, row_key = _attempt_keys(key, tried)
        classes = _draw_classes(class_key, index, way, need)
        return tried + 1, classes, _fill(row_key, index, table, classes, need)

    empty = jnp.full((way, need), -1, jnp.int32)
    carry = (jnp.int32(0), jnp.zeros(way, jnp.int32), empty)
    _, classes, rows = lax.while_loop(unfilled, attempt, carry)
    return classes, jnp.where(jnp.all(rows >= 0), rows, -1)


def _attempt_keys(key: Array, tried: Array | int) -> Array:
    return jax.random.split(jax.random.fold_in(key, tried))


def _draw_classes(key: Array, index: LibraryIndex, way: int, need: int) -> Array:
    """Returns distinct classes, uniform among the sets that no pair of them rules out."""

    def short(carry):
        tried, classes = carry
        return ~_possible(classes, index, need) & (tried < _CLASS_SETS)

    def draw(tried):
        return tried + 1, _classes(key, tried, index, way, need)

    return lax.while_loop(short, lambda carry: draw(carry[0]), draw(jnp.int32(0)))[1]


def _classes(key: Array, tried: Array | int, index: LibraryIndex, way: int, need: int) -> Array:
    """Returns `way` distinct classes of those that have the patients by themselves."""
    order = _permutation(jax.random.fold_in(key, tried), index.num_classes)
    able = jnp.diagonal(index.without)[order] >= need
    # Those that are able in front, all in the order drawn.
    place = jnp.where(able, jnp.cumsum(able) - 1, jnp.sum(able) + jnp.cumsum(~able) - 1)
    return _ordered(order, place)[:way]


def _possible(classes: Array, index: LibraryIndex, need: int) -> Array:
    """Whether no pair of the classes rules the set out."""
    return jnp.all(index.without[classes[:, None], classes] >= need)


def _fill(key: Array, index: LibraryIndex, table: Table, classes: Array, need: int) -> Array:
    """Returns rows [way, need] for given classes; -1 where no record could be placed."""
    found = eligible_lib.eligible(table, classes)
    totals = found.ends[:, -1]
    # Slots with few eligible records may come to have no free patient. All of these are looked at.
    few = 4 * need
    every = jnp.broadcast_to(jnp.arange(few), (len(classes), few))
    candidates = index.patients[eligible_lib.records(table, found, every)]
    candidates = jnp.where(every < totals[:, None], candidates, -1)

    def hopeless(rows):
        """Whether some slot has an empty place, and all patients eligible for it have one."""
        placed = jnp.where(rows < 0, -1, index.patients[rows]).reshape(-1)
        free = jnp.all(candidates[None] != placed[:, None, None], axis=0) & (candidates >= 0)
        short = jnp.any(rows < 0, axis=1) & ~jnp.any(free, axis=1) & (totals <= few)
        return jnp.any(short)

    def unfilled(carry):
        tried, rows = carry
        return jnp.any(rows < 0) & (tried < _ROUNDS) & jnp.all(totals >= need) & ~hopeless(rows)

    def rounds(carry):
        tried, rows = carry
        for more in range(_CHECK_EVERY):
            rows = _place(key, tried + more, rows, index, table, found)
        return tried + _CHECK_EVERY, rows

    empty = jnp.full((len(classes), need), -1, jnp.int32)
    return lax.while_loop(unfilled, rounds, (jnp.int32(0), empty))[1]


@jax.jit
def _place(
    key: Array,
    tried: Array | int,
    rows: Array,
    index: LibraryIndex,
    table: Table,
    found: eligible_lib.Eligible,
) -> Array:
    """One round: fills some of the empty places (-1) of rows [way, need].

    Every empty place draws a record uniformly from those eligible for its slot, and keeps it unless
    the patient already has a place or is drawn by an earlier one.
    """
    totals = found.ends[:, -1:]
    at = jax.random.randint(jax.random.fold_in(key, tried), rows.shape, 0, jnp.maximum(totals, 1))
    drawn = eligible_lib.records(table, found, at).reshape(-1)
    empty = rows.reshape(-1) < 0
    who = index.patients[jnp.where(empty, drawn, rows.reshape(-1))]
    place = jnp.arange(len(who))
    # A place gives way to those that are filled, and of the empty ones to those before it. What
    # is compared with stands along the first axis, so that the result is computed by vectors.
    before = ~empty[:, None] | (place[:, None] < place[None, :])
    rival = jnp.any((who[:, None] == who[None, :]) & before & empty[None, :], axis=0)
    return jnp.where(empty & ~rival, drawn, rows.reshape(-1)).reshape(rows.shape)


def _permutation(key: Array, size: int) -> Array:
    """`jax.random.permutation(key, size)`; for small sizes by counting, as CPUs sort slowly."""
    if size > 256:
        return jax.random.permutation(key, size)
    bits, place = jax.random.bits(jax.random.split(key)[1], (size,)), jnp.arange(size)
    first = (bits[:, None] == bits[None, :]) & (place[:, None] < place[None, :])
    return _ordered(place, jnp.sum((bits[:, None] < bits[None, :]) | first, axis=0))


def _ordered(values: Array, place: Array) -> Array:
    """Returns `values` [n], each at its place: a permutation of 0 … n − 1."""
    here = place[:, None] == jnp.arange(len(place))[None, :]
    return jnp.sum(jnp.where(here, values[:, None], 0), axis=0)


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
