"""Episodes as index arithmetic: from a key and an index of the library to rows of the library.

The rules on clinical data, where records carry several statements and patients return:

1. the classes of an episode are distinct, and every class set that can be filled is equally likely;
   the slots are permuted at random;
2. a record is eligible for a slot if it carries the slot's class and none of the episode's others;
3. no record and no patient is twice in an episode, and every filling of the slots that obeys this
   rule is equally likely;
4. a class set that cannot fill every slot is never drawn.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from metaecg.episodes.feasibility import check_feasible
from metaecg.types import Array, Episode, LibraryIndex

_CLASS_SETS = 10_000  # are drawn before the library is given up
_TRIES = 64  # fillings are drawn at random before places are exchanged
_EXCHANGES = 8  # of each place, so that the filling forgets in which order its places were filled
_STEPS = 20_000  # of exchanging, after which a class set counts as one that cannot be filled
_CHUNK = 64  # episodes are drawn at a time: what they need stays in the processor's cache
_BLOCK = 64  # label patterns are counted together


def sample_episode(key: Array, index: LibraryIndex, *, way: int, shot: int, query: int) -> Episode:
    """Draws one episode; a pure function of `key`, for `jit`, `vmap`, `scan`, `pmap`, `shard_map`.

    The cost grows with the number of distinct label patterns, not with the number of records.

    Args:
      key: a typed PRNG key.
      index: the records to draw from.
      way: the number of classes.
      shot: the number of labelled examples of each class.
      query: the number of records to diagnose of each class.

    Returns:
      An `Episode`. Inside a transformation that traces `index` itself, an infeasible setting
      cannot raise: the rows are then -1; call `check_feasible` first.

    Raises:
      ValueError: no class set can fill the episode; names the short class and the largest shot.
    """
    _check(index, way, shot, query)
    return _sample(key, index, way=way, shot=shot, query=query)


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
      first: the number of the first episode.
      count: the number of episodes.
      index, way, shot, query: as of `sample_episode`.

    Returns:
      An `Episode` with leaves [count, ...].

    Raises:
      ValueError: as `sample_episode`.
    """
    _check(index, way, shot, query)
    numbers = first + jnp.arange(count, dtype=jnp.int32)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, numbers)
    sample = functools.partial(_sample, index=index, way=way, shot=shot, query=query)
    # Nobody waits for the slowest but those of the same chunk.
    return jax.vmap(sample)(keys) if count <= _CHUNK else lax.map(sample, keys, batch_size=_CHUNK)


def _check(index: LibraryIndex, way: int, shot: int, query: int) -> None:
    if not isinstance(index.patterns, jax.core.Tracer):
        check_feasible(index, way=way, shot=shot, query=query)


# Compiled within other programs as well: what calls it need not trace it anew.
@functools.partial(jax.jit, static_argnames=("way", "shot", "query"))
def _sample(key: Array, index: LibraryIndex, *, way: int, shot: int, query: int) -> Episode:
    draw_key, row_key, support_key, query_key = jax.random.split(key, 4)
    classes, rows = _draw(draw_key, index, way, shot + query)
    # Which of a slot's records are its examples does not depend on how they were found.
    rows = jax.random.permutation(row_key, rows, axis=1, independent=True)
    slots = jnp.broadcast_to(jnp.arange(way, dtype=jnp.int32)[:, None], rows.shape)

    def shuffled(key, columns):
        pairs = jnp.stack([rows[:, columns].reshape(-1), slots[:, columns].reshape(-1)])
        return jax.random.permutation(key, pairs, axis=1)

    support, query_ = shuffled(support_key, slice(shot)), shuffled(query_key, slice(shot, None))
    return Episode(classes, *support, *query_)


def _until(done, step, carry):
    """Repeats `step`, once at least, until `done`.

    The first step is taken before the loop, so that what is carried into the loop already varies
    over the devices of a `shard_map` as what comes out of it.
    """
    return lax.while_loop(lambda carry: ~done(carry), step, step(carry))


class _Eligible(NamedTuple):
    """The records eligible for each slot of a class set, numbered in the order of their patterns.

    Attributes:
      counts: int32 [way, B, _BLOCK], the eligible records of each pattern, in blocks of patterns.
      ends: int32 [way, B], the eligible records up to the end of each block.
    """

    counts: Array
    ends: Array

    @property
    def totals(self) -> Array:
        return self.ends[:, -1]


def _eligible(index: LibraryIndex, classes: Array) -> _Eligible:
    """Counts the records that carry the class of each slot [way] and none of the others."""
    patterns = len(index.patterns)
    spare = -patterns % _BLOCK
    carries = jnp.pad(index.patterns, ((0, spare), (0, 0))).T.reshape(-1, 1, patterns + spare)
    sizes = jnp.pad(jnp.diff(index.starts), (0, spare))
    chosen = carries[classes, 0]
    alone = jnp.sum(chosen, axis=0, dtype=jnp.int32) == 1
    counts = jnp.where(chosen & alone[None], sizes[None], 0).reshape(len(classes), -1, _BLOCK)
    sums = jnp.sum(counts, axis=-1, dtype=jnp.int32)
    return _Eligible(counts, jnp.cumsum(sums, axis=-1, dtype=jnp.int32))


def _records(index: LibraryIndex, eligible: _Eligible, numbers: Array) -> Array:
    """Returns int32 [way, n]: the rows of the eligible records of these numbers [way, n]."""
    slot = jnp.arange(len(numbers))[:, None]
    block, rest = _find(eligible.ends[:, None], numbers)
    inside = jnp.cumsum(eligible.counts[slot, block], axis=-1, dtype=jnp.int32)
    pattern, rest = _find(inside, rest)
    return index.order[index.starts[block * _BLOCK + pattern] + rest]


def _find(ends: Array, numbers: Array) -> tuple[Array, Array]:
    """In which of the runs that end at `ends` [..., n, k] each number falls, and its place there."""
    passed = ends <= numbers[..., None]
    run = jnp.sum(passed, axis=-1, dtype=jnp.int32)
    return run, numbers - jnp.max(jnp.where(passed, ends, 0), axis=-1)


def _draw(key: Array, index: LibraryIndex, way: int, need: int) -> tuple[Array, Array]:
    """Returns classes [way] and rows [way, need] that obey the four rules; rows −1 if none do."""

    def attempt(carry):
        tried, _, _ = carry
        class_key, try_key, walk_key = jax.random.split(jax.random.fold_in(key, tried), 3)
        classes, eligible = _draw_classes(class_key, index, way, need)
        rows = _fill_at_once(try_key, index, eligible, need)
        return tried + 1, classes, _fill_by_exchange(walk_key, index, eligible, rows)

    def done(carry):
        tried, _, rows = carry
        return jnp.all(rows >= 0) | (tried >= 100)

    empty = jnp.full((way, need), -1, jnp.int32)
    _, classes, rows = _until(done, attempt, (jnp.int32(0), jnp.zeros(way, jnp.int32), empty))
    return classes, rows


def _draw_classes(key: Array, index: LibraryIndex, way: int, need: int) -> tuple[Array, _Eligible]:
    """Draws a class set of which no pair, and no number of eligible records, shows it infeasible.

    All of these sets are equally likely, in every order.
    """
    able = jnp.diagonal(index.without) >= need

    def draw(carry):
        tried, _, _ = carry
        noise = jax.random.uniform(jax.random.fold_in(key, tried), able.shape, jnp.float32)
        classes = lax.top_k(jnp.where(able, noise, -1), way)[1]
        return tried + 1, classes, _eligible(index, classes)

    def done(carry):
        tried, classes, eligible = carry
        pairs = index.without[classes[:, None], classes]
        return (jnp.all(pairs >= need) & jnp.all(eligible.totals >= need)) | (tried >= _CLASS_SETS)

    nothing = jnp.zeros(way, jnp.int32)
    return _until(done, draw, (jnp.int32(0), nothing, _eligible(index, nothing)))[1:]


def _fill_at_once(key: Array, index: LibraryIndex, eligible: _Eligible, need: int) -> Array:
    """Draws the places of all slots until no patient has two; −1 where that did not come about.

    A slot is drawn again until its own patients differ, and all are drawn again where a patient has
    two slots. This is sampling by rejection, so that every filling is equally likely.
    """
    way, totals = len(eligible.ends), eligible.totals[:, None]
    slot = jnp.repeat(jnp.arange(way), need)
    ranges = jnp.maximum(totals - need + jnp.arange(need, dtype=jnp.int32)[None], 0)

    def draw(carry):
        tried, rows, again = carry
        numbers = jax.random.randint(
            jax.random.fold_in(key, tried), (way, need), 0, ranges + 1, jnp.int32
        )

        def distinct(k, numbers):  # without replacement: Floyd's algorithm (Bentley & Floyd 1987)
            taken = (numbers == numbers[:, k, None]) & (jnp.arange(need) < k)[None]
            value = jnp.where(jnp.any(taken, axis=1), ranges[:, k], numbers[:, k])
            return numbers.at[:, k].set(value)

        numbers = lax.fori_loop(1, need, distinct, numbers)
        rows = jnp.where(again[:, None], _records(index, eligible, numbers), rows)
        who = index.patients[rows].reshape(-1)
        twice = (who[:, None] == who[None]) & ~jnp.eye(len(who), dtype=bool)
        same = slot[:, None] == slot[None]
        within = jnp.any((twice & same).reshape(way, -1), axis=1)
        across = jnp.any(twice & ~same)
        return tried + 1, rows, jnp.where(jnp.any(within), within, across)

    def done(carry):
        tried, _, again = carry
        return ~jnp.any(again) | (tried >= _TRIES)

    start = jnp.int32(0), jnp.zeros((way, need), jnp.int32), jnp.ones(way, bool)
    _, rows, again = _until(done, draw, start)
    return jnp.where(jnp.any(again) | jnp.any(totals < need), -1, rows)


def _fill_by_exchange(key: Array, index: LibraryIndex, eligible: _Eligible, rows: Array) -> Array:
    """Fills empty rows [way, need] (−1) of a class set that leaves few fillings, one place a step.

    An empty place takes a random record eligible for its slot; where the patient has a place
    already, that one is emptied. If any filling exists, one is found sooner or later. A full
    episode is then disturbed many times, by giving a random place another record: this random walk
    (Broder 1986) is reversible, and leaves every filling equally likely.
    """
    way, need = rows.shape
    totals = jnp.maximum(eligible.totals[:, None], 1)

    def step(carry):
        steps, left, rows = carry
        place_key, row_key = jax.random.split(jax.random.fold_in(key, steps))
        full = jnp.all(rows >= 0)
        anywhere = jax.random.randint(place_key, (), 0, way * need, jnp.int32)
        place = jnp.where(full, anywhere, jnp.argmax(rows < 0))
        numbers = jax.random.randint(row_key, (way, 1), 0, totals, jnp.int32)
        drawn = _records(index, eligible, numbers)[place // need, 0]
        theirs = (rows >= 0) & (index.patients[rows] == index.patients[drawn])
        rows = jnp.where(theirs, -1, rows).at[place].set(drawn)
        return steps + 1, left - full, rows

    def unsettled(carry):
        steps, left, rows = carry
        return ((left > 0) | jnp.any(rows < 0)) & (steps < _STEPS)

    left = jnp.where(rows[0, 0] < 0, _EXCHANGES * way * need, 0)
    rows = lax.while_loop(unsettled, step, (0 * left, left, rows.reshape(-1)))[2]
    return jnp.where(jnp.all(rows >= 0), rows, -1).reshape(way, need)
