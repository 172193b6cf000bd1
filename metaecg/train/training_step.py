"""The training step: draw, gather, compute and update on the device; pure, no I/O."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from metaecg.train.batches import Batch, Data, stream_key
from metaecg.train.updates import Update
from metaecg.types import Array, ArrayTree, Learner, Task, TrainState

Source = Data | Batch
"""What a step is given: a part of a library, or the records of that step alone."""

Draw = Callable[[Any, Array, Array], Task]
"""(source, key, step) -> the tasks of that step: a `batches.Draw`, or its `of_batch`."""


def init(learner: Learner, update: Update, draw: Draw, data: Source, key: Array) -> TrainState:
    """Returns the state before the first step, its shapes those of a draw from `data`."""
    init_key, draw_key = jax.random.split(key)
    variables = learner.init(init_key, draw(data, draw_key, jnp.int32(0)))
    step, skipped, failing = (
        jnp.int32(0) for _ in range(3)
    )  # one buffer could not be donated twice
    return TrainState(step, variables, update.init(variables.params), skipped, failing)


def train_step(
    state: TrainState, data: Source, key: Array, *, draw: Draw, update: Update
) -> tuple[TrainState, dict[str, Array]]:
    """One update. All that is random in it is derived from (key, state.step).

    A step whose loss, new variables or new optimiser state are not finite leaves both as they were,
    and is counted in `skipped` and `failing`.

    Args:
      state: before the step.
      data: what `draw` makes the tasks of.
      key: of the whole run, the same at every step.
      draw: names the tasks of the step; see `batches`.
      update: turns them into better variables; see `updates`.

    Returns:
      The state after it, and metrics, float [] by name, the `loss` (nats) among them.
    """
    tasks = draw(data, key, state.step)
    step_key = jax.random.fold_in(stream_key(key, 2), state.step)
    variables, opt_state, metrics = update.apply(state.variables, state.opt_state, tasks, step_key)
    new, old = (variables, opt_state), (state.variables, state.opt_state)
    finite = jnp.isfinite(metrics["loss"]) & _stays_finite(old, new)
    variables, opt_state = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, old)
    skipped, failing = state.skipped + ~finite, jnp.where(finite, 0, state.failing + 1)
    return TrainState(state.step + 1, variables, opt_state, skipped, failing), metrics


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
    state: TrainState,
    data: Source,
    key: Array,
    *,
    steps: int,
    draw: Draw,
    update: Update,
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
