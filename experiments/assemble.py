"""From a configuration to its parts: data, learner, draw and update rule."""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from metaecg import evaluation, learners, meta, sequences, training
from metaecg.augment import Augmentation
from metaecg.data import protocols
from metaecg.data.library import Library, open_library
from metaecg.errors import MetaecgError
from metaecg.networks import Identity
from metaecg.networks import encoder as build_encoder
from metaecg.types import Learner, LibraryIndex, Task, TrainState, Variables


class Part(NamedTuple):
    """One part of a protocol: what to draw from, its classes, and its rows in the library."""

    data: training.Data
    classes: tuple[str, ...]
    rows: np.ndarray


class Experiment(NamedTuple):
    """All that a configuration stands for."""

    config: ml_collections.ConfigDict
    learner: Learner
    draw: training.Draw
    update: meta.Update
    slots: int


def library(config: ml_collections.ConfigDict) -> Library:
    """Opens the configured library, or generates the synthetic one (the same for the same seed)."""
    if config.library == "synthetic":
        from metaecg.data import synthetic

        options = config.synthetic
        leads = tuple(options.leads.split("+")) if options.leads else None
        return synthetic.library(
            patients=options.patients, hz=options.hz, seconds=options.seconds, leads=leads
        )
    return open_library(Path(config.library).expanduser())


def part(library: Library, protocol: protocols.Protocol, name: str) -> Part:
    """Gathers one part of a protocol into arrays for the device."""
    split = protocols.split(library, protocol, name)
    data = training.Data(
        signals=jnp.asarray(library.signals[split.rows]),
        scale=jnp.float32(library.scale),
        index=LibraryIndex(labels=split.labels, patients=split.patients),
    )
    return Part(data, split.classes, split.rows)


def learner(
    config: ml_collections.ConfigDict, num_conditions: int, *, embedded: bool = False
) -> Learner:
    """Builds the configured learner.

    Args:
      config: the settings.
      num_conditions: size of the training vocabulary.
      embedded: the learner is to read embeddings instead of signals.
    """
    options = dict(config.encoder_options)
    if config.encoder in ("wide", "lstm", "rnn"):
        options.pop("norm", None)
    elif jax.default_backend() == "cpu":
        looped = config["update"] != "episodic" or config.learner in ("maml", "finetune")
        options["conv"] = "matmul" if looped else "xla"
    encoder = Identity() if embedded else build_encoder(config.encoder, **options)
    if config.learner == "snail":
        try:
            pairs = [tuple(map(int, p.split("x"))) for p in config.snail.attention.split("+")]
            attention = tuple((key, value) for key, value in pairs)
        except ValueError:
            raise MetaecgError(
                f"config.snail.attention = {config.snail.attention!r}: write KEYxVALUE+…"
            ) from None
        return learners.snail(
            encoder,
            way=config.way,
            length=config.snail.length or longest_context(config) + 1,
            attention=attention,
            filters=config.snail.filters,
            literal_dilations=config.snail.literal_dilations,
        )
    if config.learner == "protonet":
        return learners.protonet(encoder)
    if config.learner in ("maml", "finetune"):
        return learners.maml(
            encoder,
            way=config.way,
            **config.maml,
            through_adaptation=config.learner == "maml",
        )
    return learners.supervised(encoder, num_conditions=num_conditions)


def longest_context(config: ml_collections.ConfigDict) -> int:
    """Records that the context may hold: the support, or a whole sample sequence."""
    per_class = config.shot if config["update"] == "episodic" else config.shot + config.query
    return config.way * per_class


def experiment(
    config: ml_collections.ConfigDict, num_conditions: int, index: LibraryIndex | None = None
) -> Experiment:
    """Builds learner, draw and update; `index` is needed to train by sample sequences."""
    built = learner(config, num_conditions, embedded=config.freeze_encoder)
    augmentation = Augmentation() if config.freeze_encoder else Augmentation(**config.augmentation)
    draw: training.Draw
    if config.learner == "supervised":
        draw = training.RecordDraw(config.batch, augmentation)
    elif config["update"] != "episodic" and index is not None:
        plan = sequences.stream(
            index,
            config.steps * config.batch,
            way=config.way,
            per_class=config.shot + config.query,
            seed=config.seed,
        )
        draw = training.SequenceDraw(plan, config.way, config.batch, False, augmentation)
    else:
        draw = training.EpisodeDraw(
            config.way,
            config.shot,
            config.query,
            config.way,
            config.batch,
            config.vary_shot,
            augmentation,
        )
    return Experiment(config, built, draw, _update(config, built), config.way)


def _update(config: ml_collections.ConfigDict, built: Learner) -> meta.Update:
    if config["update"] == "episodic":
        return meta.episodic(built, optimizer(config))
    inner = config.inner
    rule = optax.adam(inner.rate) if inner.optimizer == "adam" else optax.sgd(inner.rate)
    length = config.way * (config.shot + config.query)
    return meta.trajectory(
        built,
        meta_optimizer(config),
        inner=optax.chain(optax.clip_by_global_norm(inner.clip), rule),
        width=length if config["update"] == "reptile" else inner.width,
        steps=inner.steps,
        permute_slots=inner.permute_slots,
    )


def meta_optimizer(config: ml_collections.ConfigDict) -> optax.GradientTransformation:
    """SGD or Adam, as the source has it [0057]; fed the pseudo-gradients φ − θ_i."""
    rule = optax.adam if config.meta.optimizer == "adam" else optax.sgd
    return rule(config.meta.rate)


def optimizer(config: ml_collections.ConfigDict) -> optax.GradientTransformation:
    """The optimiser of the episodic update: clipped, warmed up, then along the schedule."""
    updates = config.steps
    rate: optax.ScalarOrSchedule = config.learning_rate
    if config.schedule == "cosine":
        warmup = min(config.warmup, updates // 2)
        rate = optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, warmup, updates)
    if config.optimizer == "sgd":
        rule = optax.sgd(rate)
    elif config.optimizer == "adam":
        rule = optax.adam(rate)
    else:
        rule = optax.adamw(rate, weight_decay=config.weight_decay)
    return optax.chain(optax.clip_by_global_norm(config.clip), rule)


def example_task(samples: int, leads: int, labels: int) -> Task:
    """A batch of one empty task, to give `Learner.init` its shapes."""
    rows = jnp.zeros(1, jnp.int32)
    task = Task(
        jnp.zeros((1, samples, leads)), jnp.zeros((1, labels)), rows, rows, rows, jnp.int32(labels)
    )
    return jax.tree.map(lambda x: x[None], task)


def embedded(part: Part, learner: Learner, variables: Variables) -> Part:
    """The part with embeddings in place of its signals."""
    signals = evaluation.embed(learner, variables, part.data)
    return part._replace(data=part.data._replace(signals=signals, scale=jnp.float32(1)))


def start_from(state: TrainState, source: Variables) -> TrainState:
    """The state with what fits of another run's variables in place of its own.

    Raises:
      MetaecgError: the encoders differ in shape.
    """

    def alike(name: str) -> bool:
        mine, theirs = state.variables.params[name], source.params[name]
        return jax.tree.map(jnp.shape, mine) == jax.tree.map(jnp.shape, theirs)

    if not alike("encoder"):
        raise MetaecgError("config.start_from: its encoder has other shapes than config.encoder")
    names = ["encoder", "head"] if alike("head") else ["encoder"]
    params = {**state.variables.params, **{name: source.params[name] for name in names}}
    return state._replace(variables=Variables(params, source.state))
