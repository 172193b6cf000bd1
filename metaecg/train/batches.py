"""Which records a training step learns from, and the tasks that they become.

A draw works in two steps, so that a library need not fit in memory: `plan` names rows by the index
alone, `tasks` takes the records of those rows. Everything is a function of (key, step).
"""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from metaecg import episodes as episodes_lib
from metaecg.episodes import tasks as tasks_lib
from metaecg.episodes.augmentation import NO_AUGMENTATION, Augmentation, augment
from metaecg.episodes.sequences import Sequences
from metaecg.types import Array, LibraryIndex, Task


class Data(NamedTuple):
    """One part of a library.

    Attributes:
      signals: int16 [R, samples, leads]; on the device, or anything that rows index on the host.
      scale: float32 [], mV per unit.
      index: rows and classes of this part.
    """

    signals: Array
    scale: Array
    index: LibraryIndex  # type: ignore[assignment]  # shadows tuple.index, of no use here


class Plan(NamedTuple):
    """What a step needs to know before any signal is read.

    Attributes:
      rows: int32 [B, N], the records of each task.
      facts: what `tasks` makes of them, such as the episodes; leaves [B, ...].
    """

    rows: Array
    facts: Any


class Batch(NamedTuple):
    """The records of one step, on their way to the device.

    Attributes:
      plan: names the records.
      signals: int16 [B, N, samples, leads], those records.
      scale: float32 [], mV per unit.
    """

    plan: Plan
    signals: Array
    scale: Array


class Draw:
    """(data, key, step) -> the batch of tasks of that step, the same whatever holds the data."""

    batch: int
    """Tasks a step; of `RecordDraw`, records of its one task."""
    axis: ClassVar[int] = 0
    """Which axis of a plan's rows is of that length."""

    def plan(self, index: LibraryIndex, key: Array, step: Array) -> Plan:
        """Chooses the rows of a step."""
        raise NotImplementedError

    def tasks(self, plan: Plan, records: Array, key: Array, step: Array) -> Task:
        """Makes a step's records, float32 mV [B, N, samples, leads], into tasks."""
        raise NotImplementedError

    def __call__(self, data: Data, key: Array, step: Array) -> Task:
        plan = self.plan(data.index, key, step)
        records = tasks_lib.millivolts(data.signals, data.scale, plan.rows)
        return self.tasks(plan, records, key, step)

    def of_batch(self, batch: Batch, key: Array, step: Array) -> Task:
        """The tasks of a step whose records are gathered already; those of `__call__`."""
        records = batch.signals.astype(jnp.float32) * batch.scale
        return self.tasks(batch.plan, records, key, step)


def stream_key(key: Array, number: int) -> Array:
    """The root of a stream of keys beside that of the episodes, which are 0, 1, 2 … of `key`."""
    return jax.random.fold_in(jax.random.fold_in(key, 2**31 - 1), number)


@dataclasses.dataclass(frozen=True, eq=False)
class EpisodeDraw(Draw):
    """Draws `batch` few-shot tasks; task i of the run depends on the key and i alone.

    Attributes:
      way, shot, query: size of the episodes.
      slots: width of the labels, ≥ way.
      batch: episodes a step.
      vary_shot: use 1 … shot examples, drawn anew for each episode.
      augmentation: variation of the records.
    """

    way: int
    shot: int
    query: int
    slots: int
    batch: int
    vary_shot: bool = False
    augmentation: Augmentation = NO_AUGMENTATION

    def plan(self, index: LibraryIndex, key: Array, step: Array) -> Plan:
        sampled = episodes_lib.sample_episodes(
            key,
            step * self.batch,
            self.batch,
            index,
            way=self.way,
            shot=self.shot,
            query=self.query,
        )
        return Plan(jnp.concatenate([sampled.support, sampled.query], axis=-1), sampled)

    def tasks(self, plan: Plan, records: Array, key: Array, step: Array) -> Task:
        def task(i, episode, records):
            shot_key, augment_key = jax.random.split(jax.random.fold_in(stream_key(key, 1), i))
            records = augment(augment_key, records, self.augmentation)
            shots = jax.random.randint(shot_key, (), 1, self.shot + 1) if self.vary_shot else None
            return tasks_lib.few_shot(records, episode, self.slots, shots)

        return jax.vmap(task)(step * self.batch + jnp.arange(self.batch), plan.facts, records)


@dataclasses.dataclass(frozen=True, eq=False)
class RecordDraw(Draw):
    """Draws a batch of records with their multi-hot labels, uniformly: supervised learning."""

    batch: int
    augmentation: Augmentation = NO_AUGMENTATION
    axis: ClassVar[int] = 1

    def plan(self, index: LibraryIndex, key: Array, step: Array) -> Plan:
        row_key, _ = jax.random.split(jax.random.fold_in(stream_key(key, 1), step))
        rows = jax.random.randint(row_key, (1, self.batch), 0, index.num_records)
        return Plan(rows, index.labels[rows].astype(jnp.float32))

    def tasks(self, plan: Plan, records: Array, key: Array, step: Array) -> Task:
        _, augment_key = jax.random.split(jax.random.fold_in(stream_key(key, 1), step))
        records = augment(augment_key, records[0], self.augmentation)
        task = tasks_lib.batch_of_records(records, plan.facts[0])
        return jax.tree.map(lambda x: x[None], task)


@dataclasses.dataclass(frozen=True, eq=False)
class SequenceDraw(Draw):
    """Deals the sample sequences of `sequences.stream`, `batch` a step, in their order.

    Attributes:
      sequences: at least steps · batch of them.
      slots: width of the labels where they are slots of the sequence.
      batch: sequences a step.
      conditions: the labels are all classes of the index, multi-hot, instead of slots.
      augmentation: variation of the records.
    """

    sequences: Sequences
    slots: int
    batch: int
    conditions: bool = False
    augmentation: Augmentation = NO_AUGMENTATION

    def _numbers(self, step: Array) -> Array:
        return step * self.batch + jnp.arange(self.batch)

    def plan(self, index: LibraryIndex, key: Array, step: Array) -> Plan:
        at = self._numbers(step)
        rows = jnp.asarray(self.sequences.rows)[at]
        if self.conditions:
            return Plan(rows, index.labels[rows].astype(jnp.float32))
        return Plan(rows, jax.nn.one_hot(jnp.asarray(self.sequences.slots)[at], self.slots))

    def tasks(self, plan: Plan, records: Array, key: Array, step: Array) -> Task:
        fold = jax.vmap(lambda i: jax.random.fold_in(stream_key(key, 1), i))
        keys = fold(self._numbers(step))
        records = jax.vmap(lambda k, x: augment(k, x, self.augmentation))(keys, records)
        return jax.vmap(tasks_lib.group)(records, plan.facts)
