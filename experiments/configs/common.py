"""What a configuration holds: every setting with its default, and the check of what was given."""

import difflib
from typing import Any

import ml_collections

from metaecg.errors import MetaecgError

HEADS = ("snail", "transformer", "matching", "ridge", "anil")
"""Learners with parameters of their own over the embeddings."""


def default() -> ml_collections.ConfigDict:
    """Returns all settings; a config file changes those it cares about."""
    return ml_collections.ConfigDict(
        {
            "seed": 0,
            # What to learn from: a folder made by experiments.prepare, or 'synthetic'.
            "library": "synthetic",
            "protocol": "synthetic",
            # Where signals are while training: 'resident' on the devices, 'streamed' from disk a
            # step at a time, or 'auto': streamed where the training part is above 8 GiB.
            "signals": "auto",
            "synthetic": {"patients": 1200, "hz": 100.0, "seconds": 10.0, "leads": ""},
            # The problem.
            "way": 5,
            "shot": 5,
            "query": 5,
            "vary_shot": False,
            # Training statements that so many patients carry together, and as many each alone, are
            # a class more for episodes; 0: none.
            "combinations": 0,
            # What labels mean: 'slots' of an episode, so that diagnoses never seen can be told
            # apart; or the 'conditions' of the training part themselves, diagnosed in other
            # patients.
            "labels": "slots",
            # The learner: snail, transformer, protonet, matching, ridge, supervised, maml, anil or
            # finetune; the encoder: small, medium, residual, wide, lstm or rnn.
            "learner": "snail",
            "encoder": "small",
            "encoder_options": {"norm": "batch"},
            # Centre and whiten embeddings by the scatter of the training part, once pretraining is
            # done: heads then see diagnoses spread alike in all directions.
            "whiten": False,
            "snail": {
                "attention": "64x32+256x128+512x256",
                "filters": 128,
                "literal_dilations": False,
                # The answer in closed form that SNAIL corrects; none: the source's plain form.
                "closed_form": "prototypes",
                "length": 0,  # positions of the longest sequence; 0: what way and shot need
            },
            "transformer": {
                "width": 128,
                "layers": 2,
                "heads": 4,
                "order_free": True,
                "readout": "prototypes",  # or slots
            },
            "cosine": False,  # protonet and supervised compare by angle
            # Of anil too: rate and steps of the inner descent.
            "maml": {"rate": 0.05, "steps": 5, "first_order": False},
            # Stages before the main one, each in a folder of its own within the work directory; 0
            # steps leave one out. First the encoder learns all training conditions at once, then
            # the head learns episodes on embeddings computed once, then both go on together.
            "pretrain": {"steps": 0, "batch": 128, "learning_rate": 2e-3},
            "head": {"steps": 0, "batch": 16, "learning_rate": 1e-3, "inner": {"rate": 1e-3}},
            # A run to start from: its encoder, and its head where that fits; '' starts from random
            # numbers. With freeze_encoder only the head learns, from embeddings computed once.
            "start_from": "",
            "freeze_encoder": False,
            # The update: episodic (gradient of the episodes' loss), trajectory (the source's) or
            # reptile (a trajectory of one group).
            "update_rule": "episodic",
            # Of trajectory and reptile: how a group's loss is minimised, and the meta-optimiser.
            "inner": {
                "optimizer": "adam",
                "rate": 1e-3,
                "steps": 1,
                "per_class": 0,  # records of each class in a sequence; 0: shot + 1
                "width": 0,  # records in a window; 0: way · shot + 1, a support and a query
                "clip": 1.0,
                "permute_slots": True,
                "carry": True,  # the optimiser's state and schedule, from sequence to sequence
            },
            "meta": {"optimizer": "sgd", "rate": 0.5},
            # Of episodic.
            "optimizer": "adamw",
            "learning_rate": 1e-3,
            "weight_decay": 1e-4,
            "clip": 1.0,
            "schedule": "cosine",
            "warmup": 100,
            "steps": 2000,
            "batch": 4,
            "augmentation": {
                "scale": 0.0,
                "lead_dropout": 0.0,
                "wander": 0.0,
                "noise": 0.0,
                "crop": 1.0,
                "warp": 0.0,
            },
            # The loop.
            "steps_per_dispatch": 0,  # 0: 1 on CPU, 20 on accelerators
            "log_every": 20,
            # After so many steps in a row that were not finite: once, back to the latest
            # checkpoint with other episodes; then stop.
            "patience": 20,
            "checkpoint_every": 500,
            "validate_every": 500,
            "validation_episodes": 300,
            "smoke": False,  # a few steps of everything, to see that it runs
            # What experiments.evaluate measures; lists in a config are joined by +.
            "test_shots": "1+5+10",
            "test_episodes": 1000,
        }
    )


def with_arguments(
    config: ml_collections.ConfigDict, arguments: str | None
) -> ml_collections.ConfigDict:
    """Applies the `key=value,key.inner=value` behind the config's file name.

    Values become of the type of the default that they replace.

    Raises:
      MetaecgError: an unknown key (names the nearest one) or a value of the wrong type.
    """
    if len(arguments or "") > 100_000:
        raise MetaecgError("config arguments: more than 100,000 characters")
    flat = _flat(config)
    for item in filter(None, (arguments or "").split(",")):
        key, found, text = item.partition("=")
        if not found:
            raise MetaecgError(f"config argument {item[:60]!r}: write key=value")
        if key not in flat:
            near = difflib.get_close_matches(key, flat, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise MetaecgError(
                f"config has no key {key[:60]!r}{hint} (there are {', '.join(flat)})"
            )
        config.update_from_flattened_dict({key: _parse(key, text, flat[key])})
    return config


def shortened(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """Cuts every stage to two steps and every measurement to 20 episodes, if config.smoke is set.

    A config file ends with it; a stage that is left out stays so.
    """
    if config.smoke:
        for stage in (config.pretrain, config.head, config):
            stage.steps = min(stage.steps, 2)
        for key in ("validation_episodes", "test_episodes"):
            config[key] = min(config[key], 20)
    return config


def validate(config: ml_collections.ConfigDict) -> None:
    """Checks the settings that do not depend on data.

    Raises:
      MetaecgError: names the key, its value and what it may be.
    """
    choices = {
        "learner": (
            "snail",
            "transformer",
            "protonet",
            "matching",
            "ridge",
            "supervised",
            "maml",
            "anil",
            "finetune",
        ),
        "update_rule": ("episodic", "trajectory", "reptile"),
        "optimizer": ("adamw", "adam", "sgd"),
        "schedule": ("cosine", "constant"),
        "labels": ("slots", "conditions"),
        "signals": ("auto", "resident", "streamed"),
    }
    for key, allowed in choices.items():
        if config[key] not in allowed:
            raise MetaecgError(
                f"config.{key} = {config[key]!r:.60}: choose one of {', '.join(allowed)}"
            )
    for key in ("inner", "meta"):
        if config[key].optimizer not in ("adam", "sgd"):
            raise MetaecgError(
                f"config.{key}.optimizer = {config[key].optimizer!r:.60}: choose one of adam, sgd"
            )
    for key, value in _flat(config).items():
        if isinstance(value, int | float) and not 0 <= value < 1 << 31:  # nor NaN
            raise MetaecgError(f"config.{key}: a number from 0 to {(1 << 31) - 1} is needed")
        if isinstance(value, str) and len(value) > 1000:
            raise MetaecgError(f"config.{key}: {len(value)} characters; at most 1000 are taken")
    positive = (
        "way",
        "shot",
        "query",
        "steps",
        "batch",
        "log_every",
        "patience",
        "checkpoint_every",
        "validate_every",
        "validation_episodes",
        "test_episodes",
        "learning_rate",
    )
    for key in positive:
        if config[key] <= 0:
            raise MetaecgError(f"config.{key} = {config[key]}: must be positive")
    per_class = config.inner.per_class or config.shot + 1
    records, width = config.way * per_class, config.inner.width or config.way * config.shot + 1
    if config.update_rule == "trajectory" and not 2 <= width <= records:
        raise MetaecgError(
            f"config.inner.width = {width}: a sequence of {config.way} classes × {per_class} "
            f"records has windows of 2 to {records}"
        )
    if not config.library:
        raise MetaecgError(
            "config.library is empty: give the folder made by experiments.prepare, as "
            "--config=FILE.py:library=FOLDER"
        )
    learned = config.start_from or config.pretrain.steps
    if config.freeze_encoder and (not learned or config.learner not in HEADS):
        raise MetaecgError(
            "config.freeze_encoder needs an encoder, of pretrain.steps or of a run given by "
            f"start_from=DIR, and a learner with a head: {', '.join(HEADS)}"
        )
    if config.whiten and config.learner == "supervised":
        raise MetaecgError(
            "config.whiten is for learners with a head: measure the nearest centroid of whitened "
            "embeddings by experiments.evaluate --probes=whitened_cosine"
        )
    if config.whiten and config.learner in ("maml", "finetune"):
        raise MetaecgError(
            f"config.whiten is for learners that embed records by themselves: {config.learner} "
            "adapts its encoder to each support (anil does not)"
        )
    if config.whiten and not learned:
        raise MetaecgError(
            "config.whiten needs an encoder that has learned something: pretrain.steps or "
            "start_from"
        )
    batch_norm = config.encoder in ("small", "medium", "residual") and (
        config.encoder_options.get("norm", "batch") == "batch"
    )
    if config.learner in ("maml", "finetune") and batch_norm and not learned:
        raise MetaecgError(
            f"config.learner = {config.learner!r} keeps BatchNorm's averages as they are: start "
            "from an encoder that learned them (pretrain.steps, start_from), or set "
            "encoder_options.norm=group"
        )
    if config.learner in ("maml", "anil", "ridge") and config.update_rule != "episodic":
        raise MetaecgError(
            f"config.update_rule = {config.update_rule!r}: {config.learner} adapts to the whole "
            "support and needs update_rule=episodic (Reptile trains learner=finetune)"
        )
    transformer = config.transformer
    if transformer.heads < 1 or transformer.width % transformer.heads:
        raise MetaecgError(
            f"config.transformer.width = {transformer.width}: must be a multiple of "
            f"transformer.heads = {transformer.heads}"
        )
    if transformer.readout not in ("prototypes", "slots"):
        raise MetaecgError(
            f"config.transformer.readout = {transformer.readout!r}: choose one of prototypes, slots"
        )
    if "{process}" in config.library and config.signals != "streamed":
        raise MetaecgError("config.library with {process}, a folder a host, needs signals=streamed")
    if config.labels == "conditions" and config.learner != "snail":
        raise MetaecgError(f"config.labels = 'conditions' needs learner=snail: {config.learner}")
    episodic = config.update_rule == "episodic" and config.labels == "slots"
    if config.combinations and (config.learner == "supervised" or not episodic):
        raise MetaecgError(
            f"config.combinations = {config.combinations}: classes for episodes, and "
            f"learner={config.learner}, update_rule={config.update_rule}, labels={config.labels} "
            "draw none"
        )
    if not 0 < config.augmentation.crop <= 1:
        raise MetaecgError(f"config.augmentation.crop = {config.augmentation.crop}: 0 < crop ≤ 1")


def _flat(config: ml_collections.ConfigDict, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, ml_collections.ConfigDict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _parse(key: str, text: str, old: Any) -> Any:
    try:
        if isinstance(old, bool):
            return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
        return type(old)(text)
    except (ValueError, KeyError):
        raise MetaecgError(
            f"config argument {key}={ascii(text[:60])[1:-1]}: a {type(old).__name__} is needed"
        ) from None
