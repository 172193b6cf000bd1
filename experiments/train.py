"""Meta-trains a learner.

    metaecg train --config=NAME --config.KEY=VALUE … --workdir=DIR

The configurations by name, and every setting with its default, are in the list of flags. Run again
with the same --workdir, the command goes on from the latest checkpoint.
"""

import functools
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags

from experiments.configs import flags as config_flags
from experiments.configs import settings
from experiments.runs import build, command_line, loop, trained, workdir
from experiments.tables import training_conditions as known
from metaecg import episodes, evaluate
from metaecg.data import protocols
from metaecg.data.library import Library
from metaecg.episodes import sequences
from metaecg.errors import MetaecgError
from metaecg.evaluate import training_conditions
from metaecg.train import batches, parallel, streaming, training_step

FLAGS = flags.FLAGS

STREAM_FROM = 8 * 2**30
"""Bytes of a training part above which config.signals = 'auto' reads it from disk step by step."""


def train(config, folder: Path) -> dict[str, Any]:
    """Runs the stages of a configuration; returns the best validation accuracy and its step.

    Raises:
      loop.Terminated: SIGTERM came; the same call goes on.
    """
    config = settings.resolved(config)
    settings.validate(config)
    stages = settings.stages(config)
    with loop.SigTerm() as sigterm:
        data = open_parts(config)
        for name, stage in stages:
            where = folder / name
            if len(stages) > 1 and parallel.is_main():
                print(f"{stage.learner}, {stage.steps} steps, in {where}")
            best = train_stage(stage, where, data, sigterm)
    return best


class Opened(NamedTuple):
    """A library, the parts to train and validate on, and what config.json says of them.

    Attributes:
      unseen: splits that training must know nothing of.
      known: their classes may be known all the same, in other patients.
      embedded: the parts hold what a frozen encoder made of the signals.
    """

    library: Library
    parts: dict[str, build.Part]
    facts: dict[str, Any]
    unseen: tuple[protocols.Split, ...]
    known: bool
    embedded: bool = False


def embed(data: Opened, config, source: trained.Trained) -> Opened:
    """The parts as the encoder of another run sees them.

    Raises:
      MetaecgError: that encoder has other shapes than the configured one.
    """
    conditions, record = len(data.parts["train"].classes), data.facts["record"]
    whole = build.learner(build.unwhitened(config), conditions)
    labels = build.width(config, conditions)
    empty = build.example_task(record["samples"], len(record["leads"]), labels)
    mine = jax.eval_shape(whole.init, jax.random.key(0), empty)
    build.check_encoder(mine.params["encoder"], source.variables.params["encoder"])
    parts = {k: build.embedded(p, whole, source.variables) for k, p in data.parts.items()}
    return data._replace(parts=parts, embedded=True)


def open_parts(config) -> Opened:
    """Opens the configured library and protocol."""
    library = build.library(config)
    protocol = protocols.load(config.protocol)
    splits = {p: protocols.split(library, protocol, p) for p in protocols.PARTS}
    protocols.check_disjoint(splits, oracle=protocol.oracle)
    if not splits["train"].classes:
        raise MetaecgError(f"protocol {protocol.name} has no train codes, and serves tests alone")
    size = len(splits["train"].rows) * library.signals[0].nbytes
    streamed = config.signals == "streamed" or (config.signals == "auto" and size > STREAM_FROM)
    parts = {
        p: build.part(library, protocol, p, resident=not streamed)
        for p in ("train", "validation")
        if splits[p].classes
    }
    if config.labels == "conditions":
        by_patient = training_conditions.part_by_patient(parts["train"].data.index)
        parts |= {
            "held out": _take(parts["train"], by_patient.validation),
            "train": _take(parts["train"], by_patient.train),
        }
    facts = {
        "record": {
            "hz": library.hz,
            "samples": library.signals.shape[1],
            "leads": list(library.leads),
        },
        "classes": {name: list(split.classes) for name, split in splits.items()},
        "library_fingerprint": library.fingerprint,
        "protocol": protocol.name,
        "protocol_digest": protocol.digest,
    }
    unseen = tuple(splits[p] for p in protocols.PARTS if p != "train")
    return Opened(library, parts, facts, unseen, protocol.oracle)


def _take(part: build.Part, rows: np.ndarray) -> build.Part:
    return part._replace(data=training_conditions.take(part.data, rows), rows=part.rows[rows])


def train_stage(config, folder: Path, data: Opened, sigterm: loop.SigTerm) -> dict[str, Any]:
    """Trains to the configured number of steps; goes on where an earlier run of it stopped."""
    conditions = len(data.parts["train"].classes)
    run = build.experiment(config, conditions, data.parts["train"].data.index)
    source = trained.load(workdir.other(folder, config.start_from)) if config.start_from else None
    facts = dict(data.facts)
    if config.freeze_encoder and source:
        facts["encoder"] = trained.encoder_digest(source.variables)
    if parallel.is_main():
        workdir.save_config(folder, config, facts)

    if isinstance(run.draw, batches.EpisodeDraw):
        # Feasible, and by the rules: no record and no patient twice, own class and no other's.
        size = {"way": config.way, "shot": config.shot, "query": config.query}
        evaluate.draw_episodes(data.parts["train"].data, jax.random.key(config.seed), 16, **size)

    if source:
        trained.check_unseen(
            source,
            data.library,
            data.unseen,
            name=f"config.start_from = {config.start_from}: that run",
            remedy="start from one of the same protocol",
            seen=data.known,
        )
    if config.freeze_encoder and source and not data.embedded:
        data = embed(data, config, source)

    mesh, parts = parallel.mesh(), data.parts
    part = parts["train"]
    if config.combinations and isinstance(run.draw, batches.EpisodeDraw):
        part = build.with_combinations(part, config.combinations)
    if not isinstance(part.data.signals, streaming.Rows):
        part = part._replace(data=parallel.replicate(part.data, mesh))
    key = jax.random.key(config.seed)
    init_key, train_key, validation_key = (jax.random.fold_in(key, i) for i in range(3))

    start = functools.partial(training_step.init, run.learner, run.update, run.draw)
    first = _first(run.draw, part.data)

    def begin():
        state = parallel.jit_replicated(start, mesh)(first, init_key)
        if source and not config.freeze_encoder:
            state = build.start_from(state, source.variables)
        if config.whiten and source and (config.freeze_encoder or not source.config.whiten):
            seen = data if data.embedded else embed(data, config, source)
            embeddings = seen.parts["train"].data.signals
            variables = build.whiten(state.variables, embeddings, part.data.index)
            state = state._replace(variables=variables)
        return parallel.replicate(state, mesh)

    job = loop.Job(
        run=run,
        part=part,
        mesh=mesh,
        key=train_key,
        like=parallel.like(jax.eval_shape(start, first, init_key), mesh),
        begin=begin,
        validate=(
            _validator(config, run, parts.get("validation"), validation_key)
            if config.labels == "slots"
            else _conditions_validator(run, parts["train"], parts["held out"])
        ),
        record_ids=np.asarray(data.library.ids)[part.rows],
    )
    if isinstance(run.draw, batches.SequenceDraw) and parallel.is_main():
        _say_epoch(run.draw, part)
    meta = loop.run(job, folder, sigterm)
    if parallel.is_main():
        _log_coverage(job, folder, meta["stream"])
    return meta


def _first(
    draw: batches.Draw, data: batches.Data
) -> batches.Data | batches.Planned | batches.Gathered:
    """Data for the shapes of a first step: empty records where the signals are on disk."""
    if not isinstance(data.signals, streaming.Rows):
        if isinstance(draw, batches.SequenceDraw):
            return batches.Planned(draw.plan(data.index, jax.random.key(0), 0), data)
        return data
    plan = jax.tree.map(np.asarray, draw.plan(data.index, jax.random.key(0), 0))
    empty = np.zeros((*plan.rows.shape, *data.signals.shape[1:]), data.signals.dtype)
    return batches.Gathered(plan, empty, np.float32(data.scale))


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


def _validator(config, run: build.Experiment, part: build.Part | None, key):
    """Returns a function from variables to scores on fixed validation episodes, if any."""
    if part is None:
        return lambda variables: {}
    drawn = evaluate.draw_episodes(
        part.data,
        key,
        config.validation_episodes,
        way=config.way,
        shot=_feasible_shot(part, config),
        query=config.query,
    )

    def validate(variables):
        predictions = evaluate.predict(run.learner, variables, part.data, drawn, run.slots)
        scores = evaluate.summarise(predictions, part.classes)
        # Hosts with libraries of their own measure different numbers: the main one's count.
        numbers = {k: v for k, v in scores.items() if isinstance(v, float)}
        return {k: float(v) for k, v in parallel.from_main(numbers).items()}

    return validate


def _conditions_validator(run: build.Experiment, training_part: build.Part, held_out: build.Part):
    """Returns a function from variables to scores on the training conditions of other patients."""
    context = known.context(run.config, training_part.data.index)

    def validate(variables):
        probs = training_conditions.diagnose(
            run.learner, variables, training_part.data, held_out.data, rows=context
        )
        found = training_conditions.scores(probs, held_out.data.index.labels, held_out.classes)
        mean = parallel.from_main({"macro_auroc": np.mean(list(found.values()))})
        return {k: float(v) for k, v in mean.items()}

    return validate


def _feasible_shot(part: build.Part, config) -> int:
    """The most examples, up to 5, that the rare classes of validation allow."""
    for shot in range(min(config.shot, 5), 0, -1):
        try:
            episodes.check_feasible(part.data.index, way=config.way, shot=shot, query=config.query)
            return shot
        except MetaecgError as error:
            reason = error
    raise MetaecgError(f"validation part: {reason}")


@command_line.defines_flags
def define_flags() -> None:
    config_flags.define()
    flags.DEFINE_string("workdir", None, "folder of this run; resumed if it holds one")
    flags.DEFINE_string(
        "coordinator",
        None,
        "HOST:PORT of process 0 where several processes train together; 'auto' on a cluster that "
        "says so itself (SLURM, Open MPI, TPU pod slice)",
    )
    flags.DEFINE_integer("num_processes", None, "how many there are", lower_bound=1)
    flags.DEFINE_integer("process_id", None, "which this is, from 0", lower_bound=0)


def main(_) -> None:
    config = config_flags.config()
    if not FLAGS.workdir:
        raise MetaecgError("--workdir is needed (see --help)")
    folder = Path(FLAGS.workdir).expanduser()
    parallel.start(FLAGS.coordinator, FLAGS.num_processes, FLAGS.process_id)
    try:
        meta = train(config, folder)
    except loop.Terminated as stop:
        print(f"{stop}; the same command goes on from there")
        return
    if not parallel.is_main():
        return
    metric = meta.get("metric", "accuracy")
    if metric == "step":
        print("the protocol has no validation part: the last step is kept")
    else:
        print(f"best validation {metric} {meta['best']:.3f} at step {meta.get('best_step')}")
    print(f"next: python -m experiments.evaluate --workdir={FLAGS.workdir}")


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
