"""Meta-trains a learner.

    python -m experiments.train --config=FILE.py[:key=value,…] --workdir=DIR

Run again with the same --workdir, it goes on from the latest checkpoint.
"""

import functools
import os
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags
from ml_collections import config_flags
from tqdm import tqdm

from experiments import assemble, cli, trained, workdir
from experiments.configs import common
from metaecg import episodes, evaluation, parallel, training
from metaecg.checkpoints import Checkpoints
from metaecg.data import protocols
from metaecg.errors import MetaecgError

FLAGS = flags.FLAGS


def train(config, folder: Path) -> dict[str, Any]:
    """Runs the stages of a configuration; returns the best validation accuracy and its step."""
    common.validate(config)
    stages = []
    supervised = {"learner": "supervised", "update": "episodic", "optimizer": "adamw"}
    for name, changes, applies in (
        ("pretrain", supervised, config.learner != "supervised"),
        ("head", {"freeze_encoder": True}, config.learner == "snail"),
    ):
        if applies and config[name].steps:
            stages.append((folder / name, {**changes, **config[name].to_dict()}))
    previous = None
    for where, changes in (*stages, (folder, {})):
        stage = config.copy_and_resolve_references()
        stage.update(changes)
        stage.pretrain.steps = stage.head.steps = 0
        if previous:
            # Relative, so that the work directory can be moved.
            stage.start_from = workdir.INSIDE + os.path.relpath(previous, where)
        if stages:
            print(f"{stage.learner}, {stage.steps} steps, in {where}")
        best = train_stage(stage, where)
        previous = where
    return best


def train_stage(config, folder: Path) -> dict[str, Any]:
    """Trains to the configured number of steps; goes on where an earlier run of it stopped."""
    library = assemble.library(config)
    protocol = protocols.load(config.protocol)
    splits = {p: protocols.split(library, protocol, p) for p in protocols.PARTS}
    protocols.check_disjoint(splits)
    parts = {p: assemble.part(library, protocol, p) for p in ("train", "validation")}
    conditions, index = len(parts["train"].classes), parts["train"].data.index
    run = assemble.experiment(config, conditions, index)
    facts = {
        "record": {
            "hz": library.hz,
            "samples": library.signals.shape[1],
            "leads": list(library.leads),
        },
        "classes": {name: list(split.classes) for name, split in splits.items()},
        "library_fingerprint": library.fingerprint,
        "protocol": protocol.name,
    }
    workdir.save_config(folder, config, facts)

    if isinstance(run.draw, training.EpisodeDraw):
        # Feasible, and by the rules: no record and no patient twice, own class and no other's.
        size = {"way": config.way, "shot": config.shot, "query": config.query}
        evaluation.draw_episodes(parts["train"].data, jax.random.key(config.seed), 16, **size)

    source = trained.load(workdir.other(folder, config.start_from)) if config.start_from else None
    if config.freeze_encoder and source:
        whole = assemble.learner(config, conditions)
        parts = {k: assemble.embedded(p, whole, source.variables) for k, p in parts.items()}

    mesh = parallel.mesh()
    data = parallel.replicate(parts["train"].data, mesh)
    draw = parallel.shard_tasks(run.draw, mesh, config.batch)
    key = jax.random.key(config.seed)
    init_key, train_key, validation_key = (jax.random.fold_in(key, i) for i in range(3))
    start = functools.partial(training.init, run.learner, run.update, draw)
    validate = _validator(config, run, parts["validation"], validation_key)

    # 1. the latest checkpoint of this folder; 2. another run; 3. random numbers.
    latest = Checkpoints(folder / "checkpoints" / "latest")
    best = Checkpoints(folder / "checkpoints" / "best", keep=1)
    restored = latest.restore(jax.eval_shape(start, data, init_key))
    if restored:
        state, meta = restored
        state = parallel.replicate(state, mesh)
        print(f"resuming {folder} at step {int(state.step)}")
    else:
        state, meta = parallel.jit_replicated(start, mesh)(data, init_key), {"best": -1.0}
        if source and not config.freeze_encoder:
            state = parallel.replicate(assemble.start_from(state, source.variables), mesh)

    step = int(state.step)
    metrics_file = workdir.Metrics(folder / "metrics.jsonl")
    compiled: dict[int, Any] = {}
    window: list[dict[str, jax.Array]] = []
    per_dispatch = config.steps_per_dispatch or (1 if jax.default_backend() == "cpu" else 20)
    began, first = time.monotonic(), step
    with tqdm(total=config.steps, initial=step, unit="step", mininterval=1) as bar:
        while step < config.steps:
            # Dispatches end where a validation or a checkpoint is due.
            due = min(
                every - step % every for every in (config.validate_every, config.checkpoint_every)
            )
            count = min(per_dispatch, due, config.steps - step)
            if count not in compiled:
                compiled[count] = parallel.jit_replicated(
                    functools.partial(
                        training.train_steps, steps=count, draw=draw, update=run.update
                    ),
                    mesh,
                    donate_argnums=0,
                )
            state, metrics = compiled[count](state, data, train_key)
            window.append(metrics)
            step += count
            bar.update(count)
            if sum(len(m["loss"]) for m in window) >= config.log_every or step == config.steps:
                values = {k: float(np.mean([np.mean(m[k]) for m in window])) for k in metrics}
                window = []
                rate = (step - first) * config.batch / (time.monotonic() - began)
                metrics_file.write(step=step, **values, rate=rate, skipped=int(state.skipped))
                shown = {"loss": f"{values['loss']:.3f}", "tasks/s": f"{rate:.1f}"}
                bar.set_postfix(shown, refresh=False)
            if step % config.validate_every == 0 or step == config.steps:
                scores = validate(state.variables)
                metrics_file.write(step=step, validation=scores)
                tqdm.write(
                    f"step {step}: validation accuracy "
                    f"{scores['accuracy']:.3f} ± {scores['accuracy_ci95']:.3f}"
                )
                if scores["accuracy"] > meta["best"]:
                    meta = {"best": scores["accuracy"], "best_step": step}
                    best.save(state, meta)
            if step % config.checkpoint_every == 0 or step == config.steps:
                latest.save(state, meta)
    latest.close()
    best.close()
    if first < step and (rows := _visited(run.draw, parts["train"], train_key, step)) is not None:
        index = parts["train"].data.index
        share = len(np.unique(rows)) / max(1, int(np.asarray(index.labels).any(1).sum()))
        by_class = dict(
            zip(parts["train"].classes, episodes.coverage(index, rows).round(3).tolist())
        )
        metrics_file.write(step=step, coverage=share, coverage_by_class=by_class)
        print(f"{share:.1%} of the training part's labelled records were in an episode")
    return meta


def _visited(draw: training.Draw, part: assemble.Part, key, steps: int) -> np.ndarray | None:
    """Rows of the first steps, dealt or sampled again; None where records are drawn singly."""
    if isinstance(draw, training.SequenceDraw):
        return draw.plan.rows[: steps * draw.batch]
    if not isinstance(draw, training.EpisodeDraw):
        return None
    sample = jax.jit(
        functools.partial(
            episodes.sample_episodes, count=256, way=draw.way, shot=draw.shot, query=draw.query
        )
    )
    count, rows = steps * draw.batch, []
    for start in range(0, count, 256):
        drawn = sample(key, start, index=part.data.index)
        rows.append(np.concatenate([drawn.support, drawn.query], axis=1)[: count - start])
    return np.concatenate(rows)


def _validator(config, run: assemble.Experiment, part: assemble.Part, key):
    """Returns a function from variables to scores on fixed validation episodes."""
    drawn = evaluation.draw_episodes(
        part.data,
        key,
        config.validation_episodes,
        way=config.way,
        shot=_feasible_shot(part, config),
        query=config.query,
    )

    def validate(variables):
        predictions = evaluation.predict(run.learner, variables, part.data, drawn, run.slots)
        scores = evaluation.summarise(predictions, part.classes)
        return {k: v for k, v in scores.items() if isinstance(v, float)}

    return validate


def _feasible_shot(part: assemble.Part, config) -> int:
    """The most examples, up to 5, that the rare classes of validation allow."""
    for shot in range(min(config.shot, 5), 0, -1):
        try:
            episodes.check_feasible(part.data.index, way=config.way, shot=shot, query=config.query)
            return shot
        except MetaecgError as error:
            reason = error
    raise MetaecgError(f"validation part: {reason}")


def define_flags() -> None:
    config_flags.DEFINE_config_file("config", None, "configuration, FILE.py[:key=value,…]")
    flags.DEFINE_string("workdir", None, "folder of this run; resumed if it holds one")


def main(_) -> None:
    if FLAGS.config is None or FLAGS.workdir is None:
        raise MetaecgError("--config and --workdir are needed (see --help)")
    folder = Path(FLAGS.workdir).expanduser()
    meta = train(FLAGS.config, folder)
    print(f"best validation accuracy {meta['best']:.3f} at step {meta.get('best_step')}")
    print(f"next: python -m experiments.evaluate --workdir={FLAGS.workdir}")


if __name__ == "__main__":
    define_flags()
    cli.run(main)
