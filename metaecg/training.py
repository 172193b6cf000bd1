"""The training step: draw, gather, compute and update on the device; pure, no I/O."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from metaecg import episodes as episodes_lib
from metaecg import tasks as tasks_lib
from metaecg.augment import NO_AUGMENTATION, Augmentation, augment
from metaecg.meta import Update
from metaecg.sequences import Sequences
from metaecg.types import Array, ArrayTree, Learner, LibraryIndex, Task, TrainState


class Data(NamedTuple):
    """One part of a library, resident on the device.

    Attributes:
      signals: int16 [R, samples, leads].
      scale: float32 [], mV per unit.
      index: rows and classes of this part.
    """

    signals: Array
    scale: Array
    index: LibraryIndex  # type: ignore[assignment]  # shadows tuple.index, of no use here


def _stream(key: Array, number: int) -> Array:
    """The root of a stream of keys beside that of the episodes, which are 0, 1, 2 … of `key`."""
    return jax.random.fold_in(jax.random.fold_in(key, 2**31 - 1), number)


Draw = Callable[[Data, Array, Array], Task]
"""(data, key, step) -> the batch of tasks of that step."""


@dataclasses.dataclass(frozen=True, eq=False)
class EpisodeDraw:
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

    def __call__(self, data: Data, key: Array, step: Array) -> Task:
        first = step * self.batch
        sampled = episodes_lib.sample_episodes(
            key, first, self.batch, data.index, way=self.way, shot=self.shot, query=self.query
        )

        def task(i, episode):
            shot_key, augment_key = jax.random.split(jax.random.fold_in(_stream(key, 1), i))
            rows = jnp.concatenate([episode.support, episode.query])
            records = tasks_lib.millivolts(data.signals, data.scale, rows)
            records = augment(augment_key, records, self.augmentation)
            shots = jax.random.randint(shot_key, (), 1, self.shot + 1) if self.vary_shot else None
            return tasks_lib.few_shot(records, episode, self.slots, shots)

        return jax.vmap(task)(first + jnp.arange(self.batch), sampled)


@dataclasses.dataclass(frozen=True, eq=False)
class RecordDraw:
    """Draws a batch of records with their multi-hot labels, uniformly: supervised learning."""

    batch: int
    augmentation: Augmentation = NO_AUGMENTATION

    def __call__(self, data: Data, key: Array, step: Array) -> Task:
        row_key, augment_key = jax.random.split(jax.random.fold_in(_stream(key, 1), step))
        rows = jax.random.randint(row_key, (self.batch,), 0, data.index.num_records)
        records = tasks_lib.millivolts(data.signals, data.scale, rows)
        labels = data.index.labels[rows].astype(jnp.float32)
        task = tasks_lib.batch_of_records(augment(augment_key, records, self.augmentation), labels)
        return jax.tree.map(lambda x: x[None], task)


@dataclasses.dataclass(frozen=True, eq=False)
class SequenceDraw:
    """Deals the sample sequences of `sequences.stream`, `batch` a step, in their order.

    Attributes:
      plan: at least steps · batch sequences.
      slots: width of the labels where they are slots of the sequence.
      batch: sequences a step.
      conditions: the labels are all classes of the index, multi-hot, instead of slots.
      augmentation: variation of the records.
    """

    plan: Sequences
    slots: int
    batch: int
    conditions: bool = False
    augmentation: Augmentation = NO_AUGMENTATION

    def __call__(self, data: Data, key: Array, step: Array) -> Task:
        at = step * self.batch + jnp.arange(self.batch)
        rows = jnp.asarray(self.plan.rows)[at]
        if self.conditions:
            labels = data.index.labels[rows].astype(jnp.float32)
        else:
            labels = jax.nn.one_hot(jnp.asarray(self.plan.slots)[at], self.slots)
        records = tasks_lib.millivolts(data.signals, data.scale, rows)
        keys = jax.vmap(lambda i: jax.random.fold_in(_stream(key, 1), i))(at)
        records = jax.vmap(lambda k, x: augment(k, x, self.augmentation))(keys, records)
        return jax.vmap(tasks_lib.group)(records, labels)


def init(learner: Learner, update: Update, draw: Draw, data: Data, key: Array) -> TrainState:
    """Returns the state before the first step."""
    init_key, draw_key = jax.random.split(key)
    variables = learner.init(init_key, draw(data, draw_key, jnp.int32(0)))
    return TrainState(jnp.int32(0), variables, update.init(variables.params), jnp.int32(0))


def train_step(
    state: TrainState, data: Data, key: Array, *, draw: Draw, update: Update
) -> tuple[TrainState, dict[str, Array]]:
    """One update. All that is random in it is derived from (key, state.step).

    A step whose loss, new variables or new optimiser state are not finite leaves both as they were,
    and is counted in `skipped`.
    """
    tasks = draw(data, key, state.step)
    step_key = jax.random.fold_in(_stream(key, 2), state.step)
    variables, opt_state, metrics = update.apply(state.variables, state.opt_state, tasks, step_key)
    new, old = (variables, opt_state), (state.variables, state.opt_state)
    finite = jnp.isfinite(metrics["loss"]) & _stays_finite(old, new)
    variables, opt_state = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, old)
    skipped = state.skipped + ~finite
    return TrainState(state.step + 1, variables, opt_state, skipped), metrics


def _stays_finite(old: ArrayTree, new: ArrayTree) -> Array:
    """Whether all that was finite still is; an optimiser may start with an infinity of its own."""
    pairs = zip(jax.tree.leaves(old), jax.tree.leaves(new))
    lost = [
        jnp.any(jnp.isfinite(a) & ~jnp.isfinite(b))
        for a, b in pairs
        if jnp.issubdtype(b.dtype, jnp.inexact)
    ]
    return ~jnp.any(jnp.array(lost))


def train_steps(
    state: TrainState, data: Data, key: Array, *, steps: int, draw: Draw, update: Update
) -> tuple[TrainState, dict[str, Array]]:
    """`steps` updates in one dispatch; the metrics have a leading axis `steps`.

    Accelerators like several, which hides the dispatch; on CPU, XLA compiles convolutions within a
    loop to code some fifty times slower, so one is best there.
    """
    if steps == 1:
        state, metrics = train_step(state, data, key, draw=draw, update=update)
        return state, jax.tree.map(lambda x: x[None], metrics)

    def body(state, _):
        return train_step(state, data, key, draw=draw, update=update)

    return lax.scan(body, state, None, length=steps)
