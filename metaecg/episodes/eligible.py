"""The records eligible for a slot, counted and found without looking at the records.

The eligible records of a slot stand in the order of their label patterns; the n-th of them is found
by sums over blocks of patterns, so that the cost grows with the square root of the number of
patterns at most and not at all with that of the records.
"""

from typing import NamedTuple

import jax.numpy as jnp

from metaecg.types import Array, LibraryIndex

_BITS = 8  # patterns of a word, and words of a block


class Table(NamedTuple):
    """Patterns in blocks of 8 words of 8; what does not depend on the episode.

    Attributes:
      carries: uint8 [C, B, 8], bit k of word j of block b: pattern 64 b + 8 j + k carries class c.
      counts: int32 [8, B, 8], how many records have the pattern of bit k.
      starts: int32 [64 B], where in `order` they begin.
      order: int32 [R], records sorted by pattern.
    """

    carries: Array
    counts: Array
    starts: Array
    order: Array


class Eligible(NamedTuple):
    """The patterns that carry a slot's class and none of the others.

    Attributes:
      only: uint8 [way, B, 8], as `Table.carries`.
      sums: int32 [way, B, 8], their records by word.
      ends: int32 [way, B], their records up to the end of each block; the last is their number.
    """

    only: Array
    sums: Array
    ends: Array


def table(index: LibraryIndex) -> Table:
    """Returns the patterns of an index in blocks."""
    patterns, classes = index.patterns.shape
    blocks = -(-patterns // _BITS**2)
    spare = blocks * _BITS**2 - patterns
    bits = jnp.pad(index.patterns, ((0, spare), (0, 0)))
    bits = bits.reshape(blocks, _BITS, _BITS, classes).astype(jnp.uint8)
    weights = jnp.left_shift(jnp.uint8(1), jnp.arange(_BITS, dtype=jnp.uint8))
    carries = jnp.sum(bits * weights[None, None, :, None], axis=2, dtype=jnp.uint8)
    counts = jnp.pad(index.starts[1:] - index.starts[:-1], (0, spare))
    counts = counts.reshape(blocks, _BITS, _BITS)
    return Table(
        carries.transpose(2, 0, 1),
        counts.transpose(2, 0, 1),
        jnp.pad(index.starts[:-1], (0, spare)),
        index.order,
    )


def eligible(table: Table, classes: Array) -> Eligible:
    """Returns the patterns eligible for each slot of a class set [way]."""
    carries = table.carries[classes]
    once = twice = jnp.zeros_like(carries[0])
    for slot in range(len(classes)):
        once, twice = once | carries[slot], twice | (once & carries[slot])
    only = carries & ~twice[None]
    sums = sum(_bit(only, k) * table.counts[k][None] for k in range(_BITS))
    return Eligible(only, sums, jnp.cumsum(jnp.sum(sums, axis=-1), axis=-1))


def records(table: Table, eligible: Eligible, at: Array) -> Array:
    """Returns int32 [way, n]: of each slot the eligible records of numbers `at` [way, n]."""
    slot = jnp.arange(len(at))[:, None]
    # Sums along the second axis of three: the last one is then computed many numbers at a time.
    passed = eligible.ends[:, :, None] <= at[:, None, :]
    block = jnp.minimum(jnp.sum(passed, axis=1), eligible.ends.shape[1] - 1)
    rest = at - jnp.max(jnp.where(passed, eligible.ends[:, :, None], 0), axis=1)
    word, rest = _find(rest, lambda j: eligible.sums[slot, block, j])
    here = eligible.only[slot, block, word]
    bit, rest = _find(rest, lambda k: _bit(here, k) * table.counts[k, block, word])
    pattern = (block * _BITS + word) * _BITS + bit
    return table.order[table.starts[pattern] + rest]


def _find(rest: Array, size) -> tuple[Array, Array]:
    """In which of eight runs of lengths size(0) … size(7) number `rest` falls, and its place."""
    found = jnp.zeros_like(rest)
    for step in range(_BITS - 1):
        length = size(step)
        past = (found == step) & (rest >= length)
        found, rest = found + past, jnp.where(past, rest - length, rest)
    return found, rest


def _bit(words: Array, k: int) -> Array:
    return jnp.right_shift(words, jnp.uint8(k)).astype(jnp.int32) & 1
