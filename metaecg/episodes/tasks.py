"""From rows of a library to tasks: the records of an episode, gathered and re-indexed."""

import jax
import jax.numpy as jnp

from metaecg.types import Array, Episode, Task


def millivolts(signals: Array, scale: float, rows: Array) -> Array:
    """Gathers records as float32 mV: signals int16 [R, samples, leads], rows int32 [...]."""
    return signals[rows].astype(jnp.float32) * jnp.float32(scale)


def few_shot(records: Array, episode: Episode, slots: int, shots: Array | None = None) -> Task:
    """The few-shot task of one episode: every query sees the whole support.

    Args:
      records: [S + Q, ...], the episode's support records, then its queries.
      episode: gives the slots of the records, and the way.
      slots: width W of the labels; the episode's way may be less.
      shots: int32 [], use only this many examples of each class; the others become padding on the
        left of the support. None uses all.

    Returns:
      A `Task` with `records` as they are.

    Raises:
      ValueError: the episode has more classes than there are slots.
    """
    way, support, query = len(episode.classes), len(episode.support), len(episode.query)
    if way > slots:
        raise ValueError(f"a {way}-way episode does not fit {slots} slots")
    order = jnp.arange(support, dtype=jnp.int32)
    if shots is not None:
        same = episode.support_slots[:, None] == episode.support_slots[None, :]
        kept = jnp.sum(same & (order[None, :] < order[:, None]), axis=1) < shots
        left = jnp.argsort(kept, stable=True).astype(jnp.int32)
        order = jnp.where(kept[left], left, -1)
    of_all = jnp.concatenate([episode.support_slots, episode.query_slots])
    return Task(
        records=records,
        labels=jax.nn.one_hot(of_all, slots, dtype=jnp.float32),
        support=order,
        query=support + jnp.arange(query, dtype=jnp.int32),
        sees=jnp.full(query, support, jnp.int32),
        way=jnp.int32(way),
    )


def group(records: Array, labels: Array) -> Task:
    """The task of one of the source's sample groups: each record sees those before it [0053].

    Args:
      records: [w, ...], the window's records in order.
      labels: float32 [w, W], one-hot slots or multi-hot conditions.
    """
    width, slots = labels.shape
    order = jnp.arange(width, dtype=jnp.int32)
    return Task(records, labels, order, order, order, jnp.int32(slots))


def batch_of_records(records: Array, labels: Array) -> Task:
    """Records without an episode, for supervised learning: nothing is context, all is query."""
    count, conditions = labels.shape
    order = jnp.arange(count, dtype=jnp.int32)
    return Task(records, labels, order[:0], order, jnp.zeros_like(order), jnp.int32(conditions))
