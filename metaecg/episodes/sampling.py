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

import jax
import jax.numpy as jnp
from jax import lax

from metaecg.episodes.feasibility import check_feasible
from metaecg.episodes.slot_filling import Eligible, eligible_records, fill
from metaecg.types import Array, Episode, LibraryIndex

_CLASS_SETS = 10_000  # are drawn before the library is given up
_CHUNK = 64  # episodes are drawn at a time: what they need stays in the processor's cache


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
    # Nobody waits for the slowest but those of the same chunk. All chunks are of one size, for a
    # program for those left over would take as long to compile again.
    chunks = -(-count // _CHUNK)
    size = -(-count // max(chunks, 1))
    numbers = first + jnp.arange(chunks * size, dtype=jnp.int32)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, numbers)
    sample = functools.partial(_sample, index=index, way=way, shot=shot, query=query)
    if chunks <= 1:
        return jax.vmap(sample)(keys)
    drawn = lax.map(sample, keys, batch_size=size)
    return jax.tree.map(lambda leaf: leaf[:count], drawn)


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


def _draw(key: Array, index: LibraryIndex, way: int, need: int) -> tuple[Array, Array]:
    """Returns classes [way] and rows [way, need] that obey the four rules; rows −1 if none do."""

    def attempt(carry):
        class_key, row_key = jax.random.split(key)
        tried, classes, eligible = _draw_classes(class_key, index, way, need, carry[0])
        row_key = jax.random.fold_in(row_key, tried)
        return tried, classes, fill(row_key, index, classes, eligible, need)

    def unfilled(carry):
        tried, _, rows = carry
        return jnp.any(rows < 0) & (tried < _CLASS_SETS)

    zero = _zero(key, index)
    start = zero, jnp.full(way, zero), jnp.full((way, need), zero - 1)
    return lax.while_loop(unfilled, attempt, start)[1:]


def _zero(key: Array, index: LibraryIndex) -> Array:
    """int32 [], 0: with it, a loop's start varies over devices as `key` and `index` do."""
    return 0 * (jax.random.bits(key).astype(jnp.int32) + index.order[0])


def _draw_classes(
    key: Array, index: LibraryIndex, way: int, need: int, tried: Array
) -> tuple[Array, Array, Eligible]:
    """Draws a class set of which no pair, and no number of eligible records, shows it infeasible.

    All of these sets are equally likely, in every order. The sets that were tried are counted on.
    """
    able, sizes = jnp.diagonal(index.without) >= need, jnp.diff(index.starts)

    def draw(carry):
        tried, _, _ = carry
        noise = jax.random.uniform(jax.random.fold_in(key, tried), able.shape, jnp.float32)
        classes = lax.top_k(jnp.where(able, noise, -1), way)[1]
        return tried + 1, classes, eligible_records(index, classes, sizes)

    def short(carry):
        tried, classes, eligible = carry
        pairs = jnp.min(index.without[classes[:, None], classes])
        return (jnp.minimum(pairs, jnp.min(eligible.totals)) < need) & (tried < _CLASS_SETS)

    none = jnp.full(way, 0 * tried)  # the same class in all slots: no record is eligible
    return lax.while_loop(short, draw, (tried, none, eligible_records(index, none, sizes)))
