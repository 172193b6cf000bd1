"""The stages of a training, each in a work directory of its own: encoder, head, both together."""

import contextlib
import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.configs import settings
from experiments.runs import ancestry, build, loop, rebuilt, start, trained, validators, workdir
from experiments.runs.training_data import Opened, embed, open_parts
from metaecg import episodes, evaluate
from metaecg.diagnose import artefact
from metaecg.episodes import sequences
from metaecg.errors import MetaecgError
from metaecg.train import batches, parallel, streaming, training_step


def train(config, folder: str | Path) -> dict[str, Any]:
    """Runs the stages of a configuration; returns the best validation accuracy and its step.

    Raises:
      loop.Terminated: SIGTERM came; the same call goes on.
      MetaecgError: the settings or the data do not fit, or the folder is not free or not writable.
    """
    folder = Path(folder).expanduser()
    config = settings.resolved(config)
    settings.validate(config)
    stages = settings.stages(config)
    with loop.SigTerm() as sigterm, _alone(folder):
        data = open_parts(config)
        for _, stage in stages:
            _check_episodes(stage, data)
        for name, stage in stages:
            where = folder / name
            if len(stages) > 1 and parallel.is_main():
                print(f"{stage.learner}, {stage.steps} steps, in {where}")
            best = train_stage(stage, where, data, sigterm)
    return best


def _check_episodes(config, data: Opened) -> None:
    """Asserts that a stage can draw its episodes, before any other stage is trained.

    Raises:
      MetaecgError: names the class that has too few patients, or the settings to change.
    """
    train_part, held_out = data.parts["train"], data.parts.get("validation")
    try:
        if config.learner != "supervised" and not build.by_sequences(config):
            size = {"way": config.way, "shot": config.shot, "query": config.query}
            episodes.check_feasible(train_part.data.index, **size, names=train_part.classes)
        if held_out and config.labels == "slots":
            validators.feasible_shot(held_out, config)
    except MetaecgError as error:
        fewest = min(len(part.classes) for part in (train_part, held_out) if part)
        remedy = (
            f"give --config.way={fewest}, or a --config.protocol whose parts have more classes"
            if 2 <= fewest < config.way
            else "the settings are --config.way, --config.shot and --config.query"
        )
        raise MetaecgError(f"{error}; {remedy}") from None


def _alone(folder: Path) -> contextlib.AbstractContextManager[None]:
    """The lock of a work directory, held by the process that writes there."""
    return workdir.locked(folder) if parallel.is_main() else contextlib.nullcontext()


def train_stage(config, folder: Path, data: Opened, sigterm: loop.SigTerm) -> dict[str, Any]:
    """Trains to the configured number of steps; goes on where an earlier run of it stopped."""
    job = prepare(config, folder, data)
    if isinstance(job.run.draw, batches.SequenceDraw) and parallel.is_main():
        _say_epoch(job.run.draw, job.part)
    with _alone(folder / "checkpoints"):
        meta = loop.run(job, folder, sigterm)
    if parallel.is_main():
        _log_coverage(job, folder, meta["stream"])
    return meta


def prepare(config, folder: Path, data: Opened) -> loop.Job:
    """What a stage trains on and how, after all that can be refused was checked.

    Args:
      config: of the stage alone.
      folder: its work directory, which keeps the configuration from here on.
      data: as opened, or embedded by the encoder of config.start_from.

    Raises:
      MetaecgError: a setting, the data or the run to start from does not fit; the folder holds a
        run of other settings.
    """
    train_part = data.parts["train"]
    source = _source(folder, config.start_from) if config.start_from else None
    unchecked, lineage = _descend(config, data, source)
    members = {"encoder": source.variables} if source else {}
    if config.views and config.beat_from and not config.freeze_encoder:
        beat = _source(folder, config.beat_from)
        unchecked += _unseen("beat_from", config, data, beat)
        lineage = ancestry.joined(lineage, trained.ancestry_of(beat))
        members["beat_network"] = beat.variables
    seeds = _Seeds(config.seed, lineage.generation)
    build_run = functools.partial(
        build.experiment,
        config,
        len(train_part.classes),
        train_part.data.index,
        hz=data.library.hz,
    )
    run = build_run(seed=seeds.of_sequences(0))
    mesh, part = parallel.mesh(), train_part
    _check_episodes(config, data)
    if isinstance(run.draw, batches.EpisodeDraw):
        # By the rules: no record and no patient twice, own class and no other's.
        size = {"way": config.way, "shot": config.shot, "query": config.query}
        evaluate.draw_episodes(train_part.data, jax.random.key(config.seed), 16, **size)
    facts = dict(data.facts)
    if config.freeze_encoder and source:
        facts["encoder"] = trained.encoder_digest(source.variables)
        data = data if data.embedded else embed(data, config, source)
        part = data.parts["train"]
    if config.combinations and isinstance(run.draw, batches.EpisodeDraw):
        part = build.with_combinations(part, config.combinations)
    if not isinstance(part.data.signals, streaming.Rows):
        part = part._replace(data=parallel.replicate(part.data, mesh))
    init = functools.partial(training_step.init, run.learner, run.update, run.draw.of_batch)
    first = _first(run.draw, part.data)

    def begin():
        state = parallel.jit_replicated(init, mesh)(first, seeds.init)
        if config.views and not config.freeze_encoder:
            variables = start.with_views(
                state.variables, config, train_part, members, data.library.hz
            )
            return parallel.replicate(state._replace(variables=variables), mesh)
        if source and not config.freeze_encoder:
            state = start.from_run(state, source.variables)
        if config.whiten and source and (config.freeze_encoder or not source.config.whiten):
            seen = data if data.embedded else embed(data, config, source)
            embeddings = seen.parts["train"].data.signals
            variables = start.whiten(state.variables, embeddings, part.data.index)
            state = state._replace(variables=variables)
        return parallel.replicate(state, mesh)

    def draw(stream: int) -> batches.Draw:
        """The draw after `stream` roll-backs: other sequences; episodes depend on the key alone."""
        if not stream or not isinstance(run.draw, batches.SequenceDraw):
            return run.draw
        return build_run(seed=seeds.of_sequences(stream)).draw

    job = loop.Job(
        run=run,
        part=part,
        mesh=mesh,
        key=seeds.train,
        like=parallel.like(jax.eval_shape(init, first, seeds.init), mesh),
        begin=begin,
        validate=validators.validator(run, data.parts, seeds.validation),
        record_ids=np.asarray(data.library.ids)[part.rows],
        draw=draw,
    )
    if parallel.is_main():
        workdir.save_config(folder, config, facts)
        ancestry.write(folder, lineage)
        for line in unchecked:
            print(line)
    return job


class _Seeds:
    """The keys of a stage, all of the configured seed.

    What is drawn for training depends on the stage as well, by the number of those before it:
    otherwise each would be given the episodes of the one before again, in their order.
    """

    def __init__(self, seed: int, generation: int):
        key = jax.random.key(seed)
        self.init, self.train, self.validation = (jax.random.fold_in(key, i) for i in range(3))
        if generation:
            self.train = jax.random.fold_in(self.train, generation)
        self._numbers = (seed, generation)

    def of_sequences(self, stream: int) -> int:
        """The seed of the sample sequences after `stream` roll-backs."""
        seed, generation = self._numbers
        if not generation and not stream:
            return seed
        mixed = np.random.SeedSequence((seed, generation, stream))
        return int(mixed.generate_state(1)[0])


def _source(folder: Path, path: str) -> trained.Trained:
    """The run of a work directory, the model of an artefact, or the one that is shipped."""
    where = artefact.shipped_path() if path == "shipped" else workdir.other(folder, path)
    if not where.is_file():
        return trained.load(where)
    model = artefact.read(where)
    variables = rebuilt.learner_of(where, model)[1]
    return trained.of_artefact(model)._replace(variables=variables)


def _unseen(key: str, config, data: Opened, source: trained.Trained) -> list[str]:
    return trained.check_unseen(
        source,
        data.library,
        data.unseen,
        name=f"config.{key} = {config[key]}: that run",
        remedy="start from one of the same protocol",
        seen=data.oracle,
    )


def _descend(
    config, data: Opened, source: trained.Trained | None
) -> tuple[list[str], ancestry.Ancestry]:
    """What could not be checked of the run that a stage starts from, and the stage's ancestry."""
    unchecked = _unseen("start_from", config, data, source) if source else []
    rows, parent = data.parts["train"].rows, source.ancestry if source else None
    lineage = ancestry.descend(data.library, rows, data.facts, parent)
    if build.PROCESS in config.library and jax.process_count() > 1:
        gap = "it was trained on a library of each process, and only that of process 0 is known"
        lineage = dataclasses.replace(lineage, gaps=(*lineage.gaps, gap))
    return unchecked, lineage


def _first(draw: batches.Draw, data: batches.Data) -> batches.Batch:
    """A first step's empty records, for the shapes."""
    plan = jax.eval_shape(draw.plan, data.index, jax.random.key(0), jnp.int32(0))
    plan = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), plan)
    empty = np.zeros((*plan.rows.shape, *data.signals.shape[1:]), data.signals.dtype)
    return batches.Batch(plan, empty, np.float32(data.scale))


def _say_epoch(draw: batches.SequenceDraw, part: build.Part) -> None:
    curve = sequences.coverage_curve(part.data.index, draw.sequences)
    if curve[-1] == 1:
        print(f"all of the training part's records are visited in {curve.argmax() + 1} sequences")


def _log_coverage(job: loop.Job, folder: Path, stream: int) -> None:
    """Writes and prints the share of the training part's labelled records that were drawn."""
    index, steps = job.part.data.index, job.run.config.steps
    log = workdir.Metrics(folder / "metrics.jsonl")
    if log.says("coverage_by_class"):
        return
    rows = loop.visited(job, steps, stream)
    labelled = np.flatnonzero(np.asarray(index.labels).any(axis=1))
    share = float(np.isin(labelled, rows).mean())
    by_class = dict(zip(job.part.classes, episodes.coverage(index, rows).round(3).tolist()))
    log.write(step=steps, coverage=share, coverage_by_class=by_class)
    print(f"{share:.1%} of the training part's labelled records were in a task")
