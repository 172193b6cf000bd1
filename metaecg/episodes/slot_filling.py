"""Slots filled with records: rows for a class set, every valid filling equally likely.

What a loop starts with is computed from what it is given, even where it is zero: under `shard_map`
it then varies over the devices as what comes out of the loop does.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from metaecg.types import Array, LibraryIndex

_BLOCK = 64  # label patterns are counted together
_TRIES = 64  # fillings are drawn at random before one is searched for
_SEEN = 4  # times the episode's records are looked at in each slot by the search
_EXCHANGES = 8  # of each place, so that a filling that was searched for forgets how it was found
_STEPS = 4_000  # of exchanging at most


class Eligible(NamedTuple):
    """The records eligible for each slot of a class set, numbered in the order of their patterns.

    Attributes:
      counts: int32 [way, B, _BLOCK], the eligible records of each pattern, in blocks of patterns.
      ends: int32 [way, B], the eligible records up to the end of each block.
    """

    counts: Array
    ends: Array

    @property
    def totals(self) -> Array:
        """int32 [way, 1], the eligible records of each slot."""
        return self.ends[:, -1:]


def eligible_records(index: LibraryIndex, classes: Array, sizes: Array) -> Eligible:
    """The records that carry the class of each slot [way] and none of the others.

    Args:
      index: the records.
      classes: int32 [way], the class of each slot.
      sizes: int32 [U], of the records of each pattern only the first of these numbers count.
    """
    spare = -len(sizes) % _BLOCK
    chosen = jnp.pad(index.patterns, ((0, spare), (0, 0))).T[classes]
    alone = jnp.sum(chosen, axis=0, dtype=jnp.int32) == 1
    counts = jnp.where(chosen & alone[None], jnp.pad(sizes, (0, spare))[None], 0)
    counts = counts.reshape(len(classes), -1, _BLOCK)
    sums = jnp.sum(counts, axis=-1, dtype=jnp.int32)
    return Eligible(counts, jnp.cumsum(sums, axis=-1, dtype=jnp.int32))


def _records(index: LibraryIndex, eligible: Eligible, numbers: Array) -> Array:
    """Returns int32 [way, n]: the rows of the eligible records of these numbers [way, n]."""
    slot = jnp.arange(len(numbers))[:, None]
    block, rest = _find(eligible.ends[:, None], numbers)
    inside = jnp.cumsum(eligible.counts[slot, block], axis=-1, dtype=jnp.int32)
    pattern, rest = _find(inside, rest)
    return index.order[index.starts[block * _BLOCK + pattern] + rest]


def _find(ends: Array, numbers: Array) -> tuple[Array, Array]:
    """Which of the runs ending at `ends` [..., n, k] holds each number [..., n], and where."""
    passed = ends <= numbers[..., None]
    run = jnp.sum(passed, axis=-1, dtype=jnp.int32)
    return run, numbers - jnp.max(jnp.where(passed, ends, 0), axis=-1)


def fill(key: Array, index: LibraryIndex, classes: Array, eligible: Eligible, need: int) -> Array:
    """Returns rows [way, need] with no patient twice; −1 if the class set has no such filling."""
    draw_key, search_key, exchange_key = jax.random.split(key, 3)

    def search(carry):
        # Nothing here may be computed before it is known to be needed, which is hardly ever.
        (rows, failed), chosen, here = lax.optimization_barrier((carry, classes, search_key))
        rows = _search(here, index, eligible_records(index, chosen, index.heads), rows)
        return _exchange(exchange_key, index, eligible, rows), ~failed

    # A loop of one step at most: under `vmap`, `cond` would search for every episode.
    drawn = _draw(draw_key, index, eligible, need)
    return lax.while_loop(lambda carry: carry[1], search, drawn)[0]


def _draw(key: Array, index: LibraryIndex, eligible: Eligible, need: int) -> tuple[Array, Array]:
    """Draws the records of all slots until no patient is twice; and whether that failed.

    A slot is drawn again until its own patients differ, and all are drawn again where a patient is
    in two slots. This is sampling by rejection, so that every filling is equally likely.
    """
    way, totals = len(eligible.ends), eligible.totals
    slot = jnp.repeat(jnp.arange(way), need)
    ranges = jnp.maximum(totals - need + jnp.arange(need, dtype=jnp.int32)[None], 0)

    def draw(carry):
        tried, rows, again = carry
        draw_key = jax.random.fold_in(key, tried)
        numbers = jax.random.randint(draw_key, (way, need), 0, ranges + 1, jnp.int32)

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

    def unfilled(carry):
        tried, _, again = carry
        return jnp.any(again) & (tried < _TRIES)

    zero = 0 * totals
    start = zero[0, 0], jnp.broadcast_to(zero, (way, need)), zero[:, 0] == 0
    _, rows, again = lax.while_loop(unfilled, draw, start)
    return rows, jnp.any(again)


def _search(key: Array, index: LibraryIndex, heads: Eligible, rows: Array) -> Array:
    """Returns a filling [way, need], or −1 where there is none.

    An empty place takes a patient without a place, or else one of the slot that is nearest to such
    a patient, where a place becomes empty instead. The distances only grow, and one above `way`
    proves that there is no filling (local search allocation, Khosla 2013). Of each slot, several
    times the episode's patients are enough to look at.

    Args:
      key: in which order the patients are looked at.
      index: the records.
      heads: the first record of each patient in each pattern.
      rows: int32 [way, need], for their shape.
    """
    way, need = rows.shape
    seen = _SEEN * rows.size
    order = jax.random.permutation(key, seen)[None]
    # Spread over all: order * totals // seen, without a product that is too large for int32.
    numbers = order * (heads.totals // seen) + order * (heads.totals % seen) // seen
    known = _records(index, heads, numbers)
    patients = index.patients[known]

    def step(carry):
        rows, distances = carry
        place = jnp.argmax(rows < 0)
        slot = place // need
        held = jnp.where(rows < 0, -1, index.patients[rows])
        theirs = patients[slot][:, None] == held[None]
        holder = jnp.where(jnp.any(theirs, axis=1), jnp.argmax(theirs, axis=1) // need, way)
        far = jnp.append(distances, 0).at[slot].set(way)[holder]
        best = jnp.argmin(far)
        rows = jnp.where(theirs[best], -1, rows).at[place].set(known[slot, best])
        return rows, distances.at[slot].set(far[best] + 1)

    def unfilled(carry):
        rows, distances = carry
        return jnp.any(rows < 0) & jnp.all(distances <= way)

    start = 0 * rows.reshape(-1) - 1, 0 * heads.totals[:, 0]
    found, distances = lax.while_loop(unfilled, step, start)
    return jnp.where(jnp.all(distances <= way), found, -1).reshape(way, need)


def _exchange(key: Array, index: LibraryIndex, eligible: Eligible, rows: Array) -> Array:
    """Exchanges the records of a filling [way, need], so that all fillings become equally likely.

    A random place is emptied. An empty place takes a random record eligible for its slot; where the
    patient has a place already, that one is emptied. One exchange is done when no place is empty.
    This random walk is reversible and gets from any filling to any other (Broder 1986).
    """
    way, need = rows.shape

    def step(carry):
        steps, left, walk, full = carry
        place_key, row_key = jax.random.split(jax.random.fold_in(key, steps))
        anywhere = jax.random.randint(place_key, (), 0, walk.size, jnp.int32)
        place = jnp.where(jnp.any(walk < 0), jnp.argmax(walk < 0).astype(jnp.int32), anywhere)
        numbers = jax.random.randint(row_key, (way, 1), 0, eligible.totals, jnp.int32)
        drawn = _records(index, eligible, numbers)[place // need, 0]
        theirs = (walk >= 0) & (index.patients[walk] == index.patients[drawn])
        walk = jnp.where(theirs, -1, walk).at[place].set(drawn)
        done = jnp.all(walk >= 0)
        return steps + 1, left - done, walk, jnp.where(done, walk, full)

    def unsettled(carry):
        steps, left, _, _ = carry
        return (left > 0) & (steps < _STEPS)

    flat = rows.reshape(-1)
    left = jnp.where(jnp.all(rows >= 0), jnp.int32(_EXCHANGES * rows.size), 0)
    return lax.while_loop(unsettled, step, (0 * left, left, flat, flat))[3].reshape(way, need)
