"""Every learner of the reference benchmark: its settings and its training on one split and seed."""

from pathlib import Path
from typing import Any

from experiments.configs import ptbxl
from experiments.configs import settings as config_settings
from experiments.runs import loop, stages, trained, training_data, workdir
from experiments.tables import learners

ENCODER = "supervised encoder"
"""The run that all others start from, and the first of the table: its nearest centroid."""

FINE_TUNED = "fine-tuned supervised encoder"
"""On each support, all of it: gradient descent of a run that is not trained any further."""

_HEAD = {"freeze_encoder": True, "steps": 200, "batch": 16, "learning_rate": 1e-3}
_TUNED = {"steps": 150, "batch": 4, "learning_rate": 3e-4}
_WHITENED = {"learner": "protonet", "cosine": True, "whiten": True, **_TUNED}
_ADAPTED = {"shot": 5, "vary_shot": False, "warmup": 20, **_TUNED, "steps": 60}
DESCENT = {"rate": 0.01, "steps": 5}  # at 0.05 the encoder forgets more than the support teaches

LEARNERS: dict[str, dict[str, Any]] = {
    ENCODER: {"learner": "supervised", "batch": 128, "learning_rate": 2e-3, "steps": 1000},
    # Its head starts from less than the others': it has to find out what labels are for.
    "SNAIL (frozen encoder)": {"learner": "snail", **_HEAD, "steps": 600},
    "transformer (frozen encoder)": {"learner": "transformer", **_HEAD},
    "matching network (frozen encoder)": {"learner": "matching", **_HEAD},
    "ridge (frozen whitened encoder)": {"learner": "ridge", "whiten": True, **_HEAD},
    "ANIL (frozen whitened encoder)": {"learner": "anil", "whiten": True, **_HEAD},
    "ProtoNet": {"learner": "protonet", **_TUNED},
    "ridge (whitened)": {"learner": "ridge", "whiten": True, **_TUNED},
    "ProtoNet (whitened)": _WHITENED,
    "ProtoNet (whitened; combinations)": {**_WHITENED, "combinations": 100},
    "MAML": {"learner": "maml", "maml": DESCENT, **_ADAPTED},
    "FOMAML": {"learner": "maml", "maml": {**DESCENT, "first_order": True}, **_ADAPTED},
    "Reptile": {
        "learner": "finetune",
        "maml": DESCENT,
        "update_rule": "reptile",
        "inner": {"optimizer": "sgd", **DESCENT},  # as it will descend when it is asked
        **_ADAPTED,
    },
}
"""Settings of each learner over those of experiments/configs/ptbxl.py."""

NAMES = (*LEARNERS, FINE_TUNED)

PROBED = {
    ENCODER,
    "ProtoNet (whitened)",
    "ProtoNet (whitened; combinations)",
    learners.RANDOM,
}
"""Encoders that --probes read as well; the frozen ones are the first's."""


def settings(
    name: str,
    protocol: str,
    seed: int,
    *,
    library: str,
    encoder: str,
    longer: float = 1,
    smoke: bool = False,
) -> Any:
    """The configuration of one learner on one split; its encoder's folder is beside its own."""
    config = ptbxl.get_config(f"library={library},protocol={protocol},encoder={encoder}")
    config.pretrain.steps = config.head.steps = 0
    if name != ENCODER:
        # Relative, so that the output may be moved, and be named otherwise when one goes on.
        config.start_from = f"{workdir.INSIDE}../{_file(ENCODER)}"
    config.update({"seed": seed, **LEARNERS[name]})
    config.steps = round(config.steps * longer)
    config.validate_every = config.checkpoint_every = min(config.steps, config.validate_every)
    if smoke:
        config.update({"way": 2, "shot": 1, "query": 1, "steps": 2, "batch": 8})
        config.update({"validate_every": 2, "validation_episodes": 10})
    config_settings.validate(config)
    return config


def train_all(
    names: list[str],
    protocol: str,
    seed: int,
    folder: Path,
    sigterm: loop.SigTerm,
    **options: Any,
) -> dict[str, trained.Trained]:
    """Trains the learners of one split and seed, the encoder first; returns them by name.

    Args:
      names: of `LEARNERS`.
      protocol, seed: of all of them.
      folder: of their work directories.
      sigterm: in which they are trained.
      **options: the others of `settings`.
    """
    runs: dict[str, trained.Trained] = {}
    raw = embedded = None
    for name in names:
        config = settings(name, protocol, seed, **options)
        where = folder / _file(name)
        print(f"{protocol}, seed {seed}: {name}, {config.steps} steps")
        raw = raw or training_data.open_parts(config)
        if config.freeze_encoder and embedded is None:
            embedded = training_data.embed(raw, config, runs[ENCODER])
        data = embedded if config.freeze_encoder and embedded else raw
        stages.train_stage(config, where, data, sigterm)
        runs[name] = trained.load(where)
    return runs


def _file(name: str) -> str:
    return name.replace(" ", "_")
