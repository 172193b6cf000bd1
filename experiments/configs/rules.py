"""Which settings go together: one short function for each rule, over a stage's settings.

A rule returns what is wrong with them, with the remedy, or nothing.
"""

from collections.abc import Callable

import ml_collections

from metaecg import learners
from metaecg.episodes.augmentation import Augmentation, check
from metaecg.errors import MetaecgError
from metaecg.networks import has_option
from metaecg.networks.views import view_names

Rule = Callable[[ml_collections.ConfigDict, learners.Entry], str | None]


def per_class(config: ml_collections.ConfigDict) -> int:
    """Records of each class in a sample sequence, k [0051]."""
    return config.inner.per_class or config.shot + 1


def window(config: ml_collections.ConfigDict) -> int:
    """Records in a window of a sequence; Reptile's only window is the sequence."""
    if config.update_rule == "reptile":
        return config.way * per_class(config)
    return config.inner.width or config.way * config.shot + 1


def by_sequences(config: ml_collections.ConfigDict) -> bool:
    """Whether training deals sample sequences instead of drawing episodes."""
    return config.update_rule != "episodic" or config.labels == "conditions"


def longest_context(config: ml_collections.ConfigDict) -> int:
    """Records that the context may hold: the support, or a whole sample sequence."""
    return config.way * (per_class(config) if by_sequences(config) else config.shot)


def _learned(config: ml_collections.ConfigDict) -> bool:
    """Whether the encoder does not start from random numbers."""
    return bool(config.start_from or config.pretrain.steps)


def library_given(config, _) -> str | None:
    if not config.library:
        return (
            "config.library is empty: give the folder made by metaecg prepare, as "
            "--config.library=FOLDER"
        )
    return None


def protocol_given(config, _) -> str | None:
    return None if config.protocol else "config.protocol is empty: give a name or a JSON file"


def windows_fit(config, _) -> str | None:
    records, width = config.way * per_class(config), window(config)
    if by_sequences(config) and records > 1 << 20:
        return f"config.inner.per_class: a sequence of {records} records is too long; at most 2^20"
    if by_sequences(config) and not 2 <= width <= records:
        return (
            f"config.inner.width = {width}: a sequence of {config.way} classes × "
            f"{per_class(config)} records has windows of 2 to {records}"
        )
    return None


def rule_fits_the_learner(config, entry) -> str | None:
    if config.update_rule in entry.update_rules:
        return None
    why = "adapts to the whole support" if entry.learns_episodes else "learns from single records"
    return (
        f"config.update_rule = {config.update_rule!r}: {config.learner} {why} and needs "
        f"update_rule={' or '.join(entry.update_rules)} (Reptile trains learner=finetune)"
    )


def head_has_an_encoder(config, entry) -> str | None:
    if config.head.steps and entry.has_head and not _learned(config):
        return (
            f"config.head.steps = {config.head.steps}: the head learns on an encoder that has "
            "learned before: set pretrain.steps or start_from, or head.steps=0"
        )
    return None


def frozen_encoder(config, entry) -> str | None:
    if config.freeze_encoder and not (_learned(config) and entry.has_head):
        names = ", ".join(name for name, e in learners.LEARNERS.items() if e.has_head)
        return (
            "config.freeze_encoder needs an encoder, of pretrain.steps or of a run given by "
            f"start_from=DIR, and a learner with a head: {names}"
        )
    return None


def whitening(config, entry) -> str | None:
    if not config.whiten:
        return None
    if not entry.learns_episodes:
        return (
            "config.whiten is for learners with a head: measure the nearest centroid of whitened "
            "embeddings by metaecg evaluate --probes=whitened_cosine"
        )
    if entry.adapts_encoder:
        return (
            f"config.whiten is for learners that embed records by themselves: {config.learner} "
            "adapts its encoder to each support (anil does not)"
        )
    if not _learned(config):
        return (
            "config.whiten needs an encoder that has learned something: pretrain.steps or "
            "start_from"
        )
    return None


def views_fit(config, entry) -> str | None:
    names = view_names(config.views) if config.views else ()
    if config.beat_from and "beat_network" not in names:
        return (
            f"config.beat_from = {config.beat_from!r} is of the view beat_network: name it in "
            "config.views, or give --config.beat_from= (empty)"
        )
    if not names:
        return None
    if config.whiten:
        return "config.whiten: views are whitened already, each by itself; give whiten=false"
    if entry.adapts_encoder:
        return f"config.views are fixed, and {config.learner} adapts its encoder to each support"
    if "raw" in names and not config.start_from:
        return "config.views names raw: give the run of its encoder as start_from=DIR"
    if "beat_network" in names and not config.beat_from:
        return "config.views with beat_network needs beat_from=DIR, a run of encoder=beat"
    if not (config.freeze_encoder or config.learner == "supervised"):
        return (
            "config.views are fixed: give freeze_encoder=true, and pretrain.steps=1 to fit them, "
            "so that each recording is read once"
        )
    return None


def batch_norm(config, entry) -> str | None:
    batch = has_option(config.encoder, "norm") and config.encoder_options.norm == "batch"
    if entry.adapts_encoder and batch and not _learned(config):
        return (
            f"config.learner = {config.learner!r} keeps BatchNorm's averages as they are: start "
            "from an encoder that learned them (pretrain.steps, start_from), or set "
            "encoder_options.norm=group"
        )
    return None


def norm_is_there(config, _) -> str | None:
    if config.encoder_options.norm != "batch" and not has_option(config.encoder, "norm"):
        return (
            f"config.encoder_options.norm = {config.encoder_options.norm!r}: the encoder "
            f"{config.encoder} has no normalisation; leave this setting out"
        )
    return None


def snail_length(config, _) -> str | None:
    length, needed = config.snail.length, longest_context(config) + 1
    if config.learner == "snail" and 0 < length < needed:
        return (
            f"config.snail.length = {length}: way, shot and inner.per_class make sequences of "
            f"{needed} positions; give at least as many, or 0 for just these"
        )
    return None


def transformer_heads(config, _) -> str | None:
    if config.transformer.width % config.transformer.heads:
        return (
            f"config.transformer.width = {config.transformer.width}: must be a multiple of "
            f"transformer.heads = {config.transformer.heads}"
        )
    return None


def folders_of_hosts(config, _) -> str | None:
    if "{process}" in config.library and config.signals != "streamed":
        return "config.library with {process}, a folder a host, needs signals=streamed"
    return None


def conditions(config, entry) -> str | None:
    if config.labels == "conditions" and not entry.learns_conditions:
        names = [name for name, e in learners.LEARNERS.items() if e.learns_conditions]
        return (
            f"config.labels = 'conditions' needs learner={' or '.join(names)}: {config.learner} "
            "answers for the slots of an episode"
        )
    return None


def combinations(config, entry) -> str | None:
    if config.combinations and (by_sequences(config) or not entry.learns_episodes):
        return (
            f"config.combinations = {config.combinations}: classes for episodes, and "
            f"learner={config.learner}, update_rule={config.update_rule}, labels={config.labels} "
            "draw none"
        )
    return None


def augmentation(config, _) -> str | None:
    try:
        check(Augmentation(**config.augmentation))
    except MetaecgError as error:
        return f"config.{error}"
    return None


RULES: tuple[Rule, ...] = (
    library_given,
    protocol_given,
    conditions,
    rule_fits_the_learner,
    windows_fit,
    head_has_an_encoder,
    frozen_encoder,
    whitening,
    views_fit,
    batch_norm,
    norm_is_there,
    snail_length,
    transformer_heads,
    folders_of_hosts,
    combinations,
    augmentation,
)
