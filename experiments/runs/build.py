"""From a configuration to its parts: data, learner, draw and update rule."""

from pathlib import Path
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from experiments.configs.rules import by_sequences, longest_context, per_class, window
from metaecg import evaluate, learners, networks
from metaecg.data import protocols
from metaecg.data.library import Library, open_library
from metaecg.episodes import class_pairs, sequences
from metaecg.episodes.augmentation import Augmentation
from metaecg.episodes.augmentation import check as check_augmentation
from metaecg.networks import Identity, Whitened, has_option
from metaecg.networks import encoder as build_encoder
from metaecg.train import batches, streaming, updates
from metaecg.types import Learner, LibraryIndex, Task, Variables

PROCESS = "{process}"
"""Stands in config.library for the number of the process."""


class Part(NamedTuple):
    """One part of a protocol: what to draw from, its classes, and its rows in the library."""

    data: batches.Data
    classes: tuple[str, ...]
    rows: np.ndarray


class Experiment(NamedTuple):
    """All that a configuration describes."""

    config: ml_collections.ConfigDict
    learner: Learner
    draw: batches.Draw
    update: updates.Update
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
    # A folder for each process, where a library is parted between hosts.
    path = config.library.replace(PROCESS, str(jax.process_index()))
    return open_library(Path(path).expanduser())


def part(
    library: Library, protocol: protocols.Protocol, name: str, *, resident: bool = True
) -> Part:
    """One part of a protocol; `resident` loads its signals, otherwise they stay where they are."""
    split = protocols.split(library, protocol, name)
    rows = streaming.Rows(library.signals, split.rows)
    data = batches.Data(
        signals=jnp.asarray(rows[:]) if resident else rows,
        scale=jnp.float32(library.scale),
        index=LibraryIndex(labels=split.labels, patients=split.patients),
    )
    return Part(data, split.classes, split.rows)


def with_combinations(part: Part, least: int) -> Part:
    """The part with statements that occur together as classes of their own."""
    index, classes = class_pairs.with_pairs(part.data.index, part.classes, least)
    return part._replace(data=part.data._replace(index=index), classes=classes)


def learner(
    config: ml_collections.ConfigDict, num_conditions: int, *, hz: float, embedded: bool = False
) -> Learner:
    """Builds the configured learner.

    Args:
      config: the settings.
      num_conditions: size of the training vocabulary.
      hz: samples per second of the recordings.
      embedded: the learner is to read embeddings instead of signals.
    """
    entry = learners.LEARNERS[config.learner]
    network: nn.Module = Identity() if embedded else encoder(config, entry, hz)
    if config.whiten:
        network = Whitened(network)
    sizes = learners.Sizes(
        slots=width(config, num_conditions),
        longest=longest_context(config),
        conditions=num_conditions,
        by_condition=config.labels == "conditions",
    )
    return entry.build(network, sizes, config)


def encoder(config: ml_collections.ConfigDict, entry: learners.Entry, hz: float) -> nn.Module:
    """The network that embeds a recording: one encoder, or several views joined."""
    if not config.views:
        return _one_encoder(config, entry, hz)
    return networks.views(
        config.views,
        hz=hz,
        encoder=_one_encoder(config, entry, hz),
        beat_network=networks.Beat(hz=hz),
    )


def _one_encoder(config: ml_collections.ConfigDict, entry: learners.Entry, hz: float) -> nn.Module:
    options = {k: v for k, v in config.encoder_options.items() if has_option(config.encoder, k)}
    if has_option(config.encoder, "hz"):
        options["hz"] = hz
    if has_option(config.encoder, "conv") and jax.default_backend() == "cpu":
        looped = config.update_rule != "episodic" or entry.adapts_encoder
        options["conv"] = "matmul" if looped else "xla"
    return build_encoder(config.encoder, **options)


def width(config: ml_collections.ConfigDict, num_conditions: int) -> int:
    """Columns of the labels: the slots of an episode, or all conditions."""
    return num_conditions if config.labels == "conditions" else config.way


def experiment(
    config: ml_collections.ConfigDict,
    num_conditions: int,
    index: LibraryIndex | None = None,
    *,
    hz: float,
    seed: int | None = None,
) -> Experiment:
    """Builds learner, draw and update.

    Args:
      config: the settings.
      num_conditions: size of the training vocabulary.
      index: needed to train by sample sequences.
      hz: samples per second of the recordings.
      seed: of the sample sequences; config.seed where it is not given.
    """
    built = learner(config, num_conditions, hz=hz, embedded=config.freeze_encoder)
    augmentation = Augmentation() if config.freeze_encoder else Augmentation(**config.augmentation)
    check_augmentation(augmentation)
    draw: batches.Draw
    if config.learner == "supervised":
        draw = batches.RecordDraw(config.batch, augmentation)
    elif by_sequences(config) and index is not None:
        plan = sequences.stream(
            index,
            config.steps * config.batch,
            way=config.way,
            per_class=per_class(config),
            seed=config.seed if seed is None else seed,
        )
        conditions = config.labels == "conditions"
        draw = batches.SequenceDraw(plan, config.way, config.batch, conditions, augmentation)
    else:
        draw = batches.EpisodeDraw(
            config.way,
            config.shot,
            config.query,
            config.way,
            config.batch,
            config.vary_shot,
            augmentation,
        )
    slots = width(config, num_conditions)
    return Experiment(config, built, draw, _update(config, built), slots)


def _update(config: ml_collections.ConfigDict, built: Learner) -> updates.Update:
    if config.update_rule == "episodic":
        return updates.episodic(built, optimizer(config))
    inner, length = config.inner, config.way * per_class(config)
    rate: optax.ScalarOrSchedule = inner.rate
    if inner.carry and config.schedule == "cosine":
        rate = optax.cosine_decay_schedule(
            inner.rate, config.steps * (length - window(config) + 1) * inner.steps
        )
    rule = optax.adam(rate) if inner.optimizer == "adam" else optax.sgd(rate)
    options = {
        "inner": _clipped(inner.clip, rule),
        "steps": inner.steps,
        "permute_slots": inner.permute_slots and config.labels == "slots",
        "carry_inner": inner.carry,
    }
    if config.update_rule == "reptile":
        return updates.reptile(built, meta_optimizer(config), **options)
    return updates.trajectory(built, meta_optimizer(config), width=window(config), **options)


def meta_optimizer(config: ml_collections.ConfigDict) -> optax.GradientTransformation:
    """SGD or Adam, as the source has it [0057]; fed the pseudo-gradients φ − θ_i."""
    rule = optax.adam if config.meta.optimizer == "adam" else optax.sgd
    return rule(config.meta.rate)


def optimizer(config: ml_collections.ConfigDict) -> optax.GradientTransformation:
    """The optimiser of the episodic update: clipped, warmed up, then along the schedule."""
    rate: optax.ScalarOrSchedule = config.learning_rate
    if config.schedule == "cosine":
        warmup = min(config.warmup, config.steps // 2)
        rate = optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, warmup, config.steps)
    if config.optimizer == "sgd":
        rule = optax.sgd(rate)
    elif config.optimizer == "adam":
        rule = optax.adam(rate)
    else:
        rule = optax.adamw(rate, weight_decay=config.weight_decay)
    if config.views and not config.freeze_encoder:
        # The networks among the views stay as they were trained.
        rule = optax.chain(
            rule, optax.masked(optax.set_to_zero(), {"encoder": True, "head": False})
        )
    return _clipped(config.clip, rule)


def _clipped(norm: float, rule: optax.GradientTransformation) -> optax.GradientTransformation:
    """The rule on gradients of at most this norm; 0 leaves them as they are."""
    # The identity keeps the optimiser's state as it is with clipping, so that either reads the
    # other's checkpoints.
    return optax.chain(optax.clip_by_global_norm(norm) if norm else optax.identity(), rule)


def example_task(samples: int, leads: int, labels: int) -> Task:
    """A batch of one empty task, to give `Learner.init` its shapes."""
    rows = jnp.zeros(1, jnp.int32)
    task = Task(
        jnp.zeros((1, samples, leads)), jnp.zeros((1, labels)), rows, rows, rows, jnp.int32(labels)
    )
    return jax.tree.map(lambda x: x[None], task)


def unwhitened(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """The configuration of the same learner on embeddings as the encoder gives them."""
    return ml_collections.ConfigDict({**config.to_dict(), "whiten": False})


def embedded(part: Part, learner: Learner, variables: Variables, batch: int = 256) -> Part:
    """The part with embeddings in place of its signals, `batch` recordings read at a time."""
    signals = evaluate.embed(learner, variables, part.data, batch)
    return part._replace(data=part.data._replace(signals=signals, scale=jnp.float32(1)))
