"""The training loop: steps, logs, validation and checkpoints, so that stopping it loses nothing.

What a step does depends on the checkpointed state and on (seed, step) alone: a run that was killed
and resumed ends, on the same devices, in the same bits as one that was not.
"""

import functools
import itertools
import math
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from tqdm import tqdm

from experiments.runs import build, workdir
from experiments.runs.clock import Clock
from metaecg.episodes import sequences
from metaecg.errors import MetaecgError
from metaecg.train import parallel, streaming, training_step
from metaecg.train.batches import Batch, Data, Draw, SequenceDraw
from metaecg.train.checkpoints import Checkpoints
from metaecg.types import TrainState, Variables


class Terminated(Exception):
    """SIGTERM came; everything is saved."""


class SigTerm:
    """Within it, SIGTERM is noted in `came` instead of ending the process."""

    came = False

    def __enter__(self) -> "SigTerm":
        # Python gives signals to the main thread alone: a training in another is not told of them.
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        if self._main:
            signal.signal(signal.SIGTERM, self._before)

    def _note(self, *_: object) -> None:
        self.came = True


class Job(NamedTuple):
    """What the loop works on.

    Attributes:
      run: the configuration and its learner, draw and update.
      part: the training part, on the devices; or its signals are `Rows`, read step by step.
      mesh: the devices.
      key: of the draws.
      like: shapes, types and shardings of the state.
      begin: () -> the state before the first step.
      validate: variables -> scores, the one to choose the best step by in front; none where a
        protocol has no validation part.
      record_ids: the library's names of the part's rows, for messages.
      draw: number of roll-backs -> the draw from there on; run.draw at all times if not given.
    """

    run: build.Experiment
    part: build.Part
    mesh: Mesh
    key: jax.Array
    like: TrainState
    begin: Callable[[], TrainState]
    validate: Callable[[Variables], dict[str, float]]
    record_ids: np.ndarray
    draw: Callable[[int], Draw] | None = None

    def on_stream(self, number: int) -> "Job":
        """The job as it goes on after a number of roll-backs: with other draws."""
        if not number:
            return self
        run = self.run._replace(draw=self.draw(number)) if self.draw else self.run
        return self._replace(run=run, key=self.stream(number))

    def stream(self, number: int) -> jax.Array:
        """The key of the first stream of draws, or of the one after a roll-back."""
        return jax.random.fold_in(self.key, 2**31 - 1 - number) if number else self.key


def run(job: Job, folder: Path, sigterm: SigTerm) -> dict[str, Any]:
    """Trains to the configured number of steps, from the latest checkpoint if there is one.

    Returns:
      The facts beside the last checkpoint: `best` validation accuracy and its `best_step`.

    Raises:
      Terminated: SIGTERM came.
      MetaecgError: `patience` steps in a row were not finite, for the second time.
    """
    config = job.run.config
    latest = Checkpoints(folder / "checkpoints" / "latest")
    best = Checkpoints(folder / "checkpoints" / "best", keep=1)
    log = workdir.Metrics(folder / "metrics.jsonl", write=parallel.is_main())
    try:
        state, meta = _newest(job, latest)
        log.keep_until(int(state.step) or -1)  # the start may have been validated before
        if state.step:
            _say(f"resuming {folder} at step {int(state.step)}")
        silent = None if parallel.is_main() else True  # None: where there is a terminal
        with tqdm(total=config.steps, unit="step", mininterval=1, disable=silent) as bar:
            while state.step < config.steps:
                state, meta = _until_failing(job, state, meta, bar, log, latest, best, sigterm)
                if state.failing < config.patience:
                    continue
                if meta["stream"]:
                    raise MetaecgError(_hopeless(job, int(state.step) - 1, meta["stream"]))
                failed = int(state.step)
                latest.wait()
                state, meta = _newest(job, latest)
                meta["stream"] = 1
                back = int(state.step)
                log.write(step=failed, rolled_back_to=back)
                _say(
                    f"step {failed}: the last {config.patience} or more were not finite; back to "
                    f"step {back}, on with other episodes"
                )
    finally:
        latest.close()
        best.close()
    return meta


def _newest(job: Job, latest: Checkpoints) -> tuple[TrainState, dict[str, Any]]:
    """The latest checkpoint that is whole, or the beginning."""
    state, meta = latest.restore(job.like) or (job.begin(), {"best": -1.0})
    return state, {"stream": 0, **meta}


def _until_failing(job, state, meta, bar, log, latest, best, sigterm):
    """Steps until the last one, SIGTERM, or too many in a row that are not finite."""
    job = job.on_stream(meta["stream"])
    config, step, curve, key = job.run.config, int(state.step), _coverage_curve(job), job.key
    bar.n = bar.initial = step
    losses: list[dict[str, jax.Array]] = []
    clock = Clock(config.batch)
    if not step and config.validate_start:
        meta = _validated(job, state, meta, log, best)
    for count, data in _dispatches(job, key, step):
        state, metrics = clock.run(count, _compiled(job, count), state, data, key)
        losses.append(metrics)
        step += count
        bar.update(count)
        if _due(config, "log_every", step):
            values = {k: _mean([m[k] for m in losses]) for k in metrics}
            losses = []
            rate = clock.tasks / clock.seconds() if clock.tasks else math.nan
            values |= {"rate": rate, "skipped": int(state.skipped)}
            if curve is not None:
                values["coverage"] = float(curve[step * config.batch - 1])
            log.write(step=step, **values)
            shown = {"loss": f"{values['loss']:.3f}", "tasks/s": f"{rate:.1f}"}
            bar.set_postfix(shown, refresh=False)
            if state.failing >= config.patience:
                return state, meta
        if _due(config, "validate_every", step):
            meta = _validated(job, state, meta, log, best)
        stopped = parallel.any_process(sigterm.came) and step < config.steps
        if _due(config, "checkpoint_every", step) or stopped:
            latest.save(state, meta)
        if stopped:
            latest.wait()
            raise Terminated(f"stopped by SIGTERM at step {step} of {config.steps}, saved")
    return state, meta


def _validated(job, state, meta, log, best) -> dict[str, Any]:
    """The facts after a validation of the state, which is kept if it is the best so far."""
    step, scores = int(state.step), job.validate(parallel.local(state.variables))
    # Without anything to validate on, the last step is the best.
    metric, score = next(iter(scores.items()), ("step", float(step)))
    interval = f" ± {scores['accuracy_ci95']:.3f}" if "accuracy_ci95" in scores else ""
    if scores:
        log.write(step=step, validation=scores)
        _say(f"step {step}: validation {metric} {score:.3f}{interval}")
    if score > meta["best"]:
        meta = {**meta, "metric": metric, "best": score, "best_step": step}
        best.save(state, meta)
    return meta


def _mean(values: list[jax.Array]) -> float:
    """The mean over steps, without those that were not finite; NaN where none was."""
    numbers = np.concatenate([np.ravel(value) for value in values])
    finite = numbers[np.isfinite(numbers)]
    return float(finite.mean()) if len(finite) else math.nan


def _say(line: str) -> None:
    if parallel.is_main():
        tqdm.write(line)


def _due(config, every: str, step: int) -> bool:
    return step % config[every] == 0 or step == config.steps


def _dispatches(job: Job, key, first: int) -> Iterator[tuple[int, Data | Batch]]:
    """Yields how many steps to take at once, up to where something is due, and their data."""
    config, data = job.run.config, job.part.data
    if isinstance(data.signals, streaming.Rows):
        shared = build.PROCESS not in config.library
        steps = streaming.gather(
            job.run.draw, data, key, first, config.steps, job.mesh, shared=shared
        )
        yield from zip(itertools.repeat(1), steps)
        return
    if isinstance(job.run.draw, SequenceDraw):
        for step in range(first, config.steps):
            plan = job.run.draw.plan(data.index, key, jnp.int32(step))
            yield 1, Batch(plan, data.signals[np.asarray(plan.rows)], data.scale)
        return
    most = config.steps_per_dispatch or (1 if jax.default_backend() == "cpu" else 20)
    every = [config[k] for k in ("log_every", "validate_every", "checkpoint_every")]
    while first < config.steps:
        count = min(most, config.steps - first, *(e - first % e for e in every))
        yield count, data
        first += count


@functools.lru_cache(maxsize=8)
def _compile(draw, update, mesh: Mesh, batch: int, count: int):
    step = functools.partial(
        training_step.train_steps,
        steps=count,
        draw=parallel.shard_tasks(draw, mesh, batch),
        update=update,
    )
    return parallel.jit_replicated(step, mesh, donate_argnums=0)


def _compiled(job: Job, count: int):
    draw = job.run.draw.of_batch if _gathers(job) else job.run.draw
    return _compile(draw, job.run.update, job.mesh, job.run.config.batch, count)


def _gathers(job: Job) -> bool:
    """Whether the host gathers the records of a step: from disk, or of a sequence it has dealt."""
    streamed = isinstance(job.part.data.signals, streaming.Rows)
    return streamed or isinstance(job.run.draw, SequenceDraw)


def _coverage_curve(job: Job) -> np.ndarray | None:
    """Of sample sequences: the share of the labelled records that the first t + 1 of them visit."""
    draw = job.run.draw
    if not isinstance(draw, SequenceDraw):
        return None
    return sequences.coverage_curve(job.part.data.index, draw.sequences)


def visited(job: Job, steps: int, stream: int = 0) -> np.ndarray:
    """Rows of the first steps, planned again; int [steps, …]."""
    job = job.on_stream(stream)
    plan = jax.jit(job.run.draw.plan)
    return np.stack([np.asarray(plan(job.part.data.index, job.key, i).rows) for i in range(steps)])


def _hopeless(job: Job, step: int, stream: int) -> str:
    """Says which recordings the last step that was not finite had drawn."""
    job = job.on_stream(stream)
    plan = job.run.draw.plan(job.part.data.index, job.key, step)
    ids = job.record_ids[np.unique(np.asarray(plan.rows))]
    shown = ", ".join(ids[:20]) + (f" and {len(ids) - 20} more" if len(ids) > 20 else "")
    return (
        f"step {step}: {job.run.config.patience} steps in a row were not finite, again after a "
        f"roll-back with other episodes; the last drew the records {shown}. Look at these, or "
        "lower config.learning_rate (config.inner.rate) in another --workdir"
    )
