"""Every setting: its default, what it may be, and what it is for. Nothing else declares one."""

from collections.abc import Callable
from typing import Any, NamedTuple

from metaecg import learners, networks
from metaecg.learners.registry import attention
from metaecg.networks.snail import CLOSED_FORMS
from metaecg.networks.views import view_names

LARGEST = (1 << 31) - 1


class Setting(NamedTuple):
    """One setting; the type of its values is that of the default.

    Attributes:
      default: the value that a configuration starts from.
      help: one sentence.
      least, most: the bounds of a number, both allowed.
      above: a number may not be `least` itself.
      choices: what a text may be; empty if that is not a list.
      read: raises a ValueError for a text that is not written as it must be.
      written: how such a text is written.
    """

    default: Any
    help: str
    least: float = 0
    most: float = LARGEST
    above: bool = False
    choices: tuple[str, ...] = ()
    read: Callable[[str], Any] | None = None
    written: str = ""


def shots(text: str) -> list[int]:
    """The numbers of `1+5+10`.

    Raises:
      ValueError: one is no number from 1 on, or is there twice.
    """
    written = text.split("+")
    numbers = [int(number) for number in written if number.isascii() and number.isdigit()]
    if (
        len(numbers) < len(written)
        or min(numbers) < 1
        or max(numbers) > LARGEST
        or len(set(numbers)) < len(numbers)
    ):
        raise ValueError(f"{text!r} does not give each number of examples once")
    return numbers


def _views(text: str) -> None:
    """Raises a ValueError for what is neither empty nor names of views, each once."""
    if text:
        view_names(text)


def _many(default: int, help: str, most: int = LARGEST) -> Setting:
    return Setting(default, help, least=1, most=most)


def _rate(default: float, help: str) -> Setting:
    return Setting(default, help, above=True, most=1e6)


def _share(default: float, help: str) -> Setting:
    return Setting(default, help, most=1)


def _choice(default: str, choices: tuple[str, ...], help: str) -> Setting:
    return Setting(default, help, choices=choices)


_WIDEST, _MOST_RECORDS = 1 << 16, 1 << 20

TABLE: dict[str, Setting] = {
    "seed": Setting(0, "The seed of the parameters, of the draws and of the validation episodes."),
    # What to learn from.
    "library": Setting(
        "synthetic", "The folder made by metaecg prepare, or 'synthetic' to generate ECGs."
    ),
    "protocol": Setting(
        "synthetic",
        "Which classes and patients train, validate and test: a name or a JSON file.",
    ),
    "signals": _choice(
        "auto",
        ("auto", "resident", "streamed"),
        "Where the signals are while training: on the devices, read from disk a step at a time, "
        "or 'auto', which streams a training part above 8 GiB.",
    ),
    "synthetic.patients": _many(1200, "The patients of the synthetic library.", _MOST_RECORDS),
    "synthetic.hz": Setting(
        100.0, "The sampling rate of the synthetic library in Hz.", least=1, most=10_000
    ),
    "synthetic.seconds": Setting(
        10.0, "The length of a synthetic recording in s.", least=0.1, most=3600
    ),
    "synthetic.leads": Setting(
        "", "The leads of the synthetic library, joined by + as in I+II; all twelve if empty."
    ),
    # The problem.
    "way": Setting(5, "The classes of an episode.", least=2, most=10_000),
    "shot": _many(5, "The labelled examples of each class in an episode.", _MOST_RECORDS),
    "query": _many(5, "The records of each class that an episode asks for.", _MOST_RECORDS),
    "vary_shot": Setting(False, "Draw the shot of each training episode anew, from 1 to `shot`."),
    "combinations": Setting(
        0,
        "Two training statements are a further class for episodes where at least this number of "
        "patients carry both and as many carry each alone; 0 makes none.",
    ),
    "labels": _choice(
        "slots",
        ("slots", "conditions"),
        "What labels mean: the slots of an episode, for diagnoses never seen; or the conditions "
        "of the training part, diagnosed in other patients.",
    ),
    # The learner.
    "learner": _choice("snail", tuple(learners.LEARNERS), "What learns to diagnose."),
    "encoder": _choice("small", tuple(networks.ENCODERS), "The network that embeds a recording."),
    "encoder_options.norm": _choice(
        "batch", ("batch", "group"), "The normalisation of a convolutional encoder."
    ),
    "views": Setting(
        "",
        "Views of a recording in place of the encoder, joined by + as in kernels+beat+rhythm: raw "
        "is the encoder of `start_from`, beat_network that of `beat_from`; the others need no "
        "training.",
        read=_views,
        written=f"empty, or names of {', '.join(networks.VIEWS)} joined by +",
    ),
    "beat_from": Setting("", "The run of encoder=beat whose network is the view beat_network."),
    "whiten": Setting(
        False,
        "Centre and whiten the embeddings by the scatter of the training part, once pretraining "
        "is done.",
    ),
    "snail.attention": Setting(
        "64x32+256x128+512x256",
        "The key and value sizes of SNAIL's attention blocks.",
        read=attention,
        written="positive sizes as KEYxVALUE, blocks joined by +, such as 32x32+64x64",
    ),
    "snail.filters": _many(128, "The features that each dense block of SNAIL adds.", _WIDEST),
    "snail.literal_dilations": Setting(
        False, "Dilate by 2, 4, 8 … as the paper prints it, instead of by 1, 2, 4 …."
    ),
    "snail.closed_form": _choice(
        "prototypes",
        CLOSED_FORMS,
        "The answer in closed form that SNAIL corrects; 'none' is the source's plain form.",
    ),
    "snail.length": Setting(
        0,
        "The positions of SNAIL's longest sequence; 0 takes what way and shot need.",
        most=_MOST_RECORDS,
    ),
    "transformer.width": _many(128, "The width of the transformer's tokens.", _WIDEST),
    "transformer.layers": _many(2, "The layers of the transformer.", 1000),
    "transformer.heads": _many(4, "The attention heads of a layer; they divide the width.", 1000),
    "transformer.order_free": Setting(True, "The order of the examples does not matter."),
    "transformer.readout": _choice(
        "prototypes", ("prototypes", "slots"), "How the transformer's answer is read."
    ),
    "cosine": Setting(False, "The learners protonet and supervised compare by angle."),
    "maml.rate": _rate(0.05, "The rate of the inner descent of maml, anil and finetune."),
    "maml.steps": _many(5, "The steps of that descent.", 10_000),
    "maml.first_order": Setting(False, "maml leaves the second derivatives out."),
    # Stages before the main one, each in a folder of its own within the work directory.
    "pretrain.steps": Setting(
        0, "The steps of a first stage: the encoder learns all training conditions; 0 omits it."
    ),
    "pretrain.batch": _many(128, "The records of a step of that stage.", _MOST_RECORDS),
    "pretrain.learning_rate": _rate(2e-3, "The learning rate of that stage."),
    "head.steps": Setting(
        0,
        "The steps of a second stage: the head learns episodes on embeddings that are computed "
        "once; 0 omits it.",
    ),
    "head.batch": _many(16, "The episodes of a step of that stage.", _MOST_RECORDS),
    "head.learning_rate": _rate(1e-3, "The learning rate of that stage."),
    "head.inner.rate": _rate(1e-3, "The inner rate of that stage."),
    "start_from": Setting(
        "",
        "A run to start from: its encoder, and its head where that fits; empty starts from random "
        "numbers.",
    ),
    "freeze_encoder": Setting(False, "Only the head learns, on embeddings that are computed once."),
    # The update rule.
    "update_rule": _choice(
        "episodic",
        ("episodic", "trajectory", "reptile"),
        "How parameters are updated: by the gradient of the episodes' loss, by the source's "
        "trajectory of meta-parameters, or by Reptile, which is a trajectory of one group.",
    ),
    "inner.optimizer": _choice(
        "adam", ("adam", "sgd"), "What minimises the loss of a group, of trajectory and reptile."
    ),
    "inner.rate": _rate(1e-3, "The rate of the inner optimiser."),
    "inner.steps": _many(1, "The inner steps in each group.", 100_000),
    "inner.per_class": Setting(
        0, "The records of each class in a sequence; 0 takes shot + 1.", most=_MOST_RECORDS
    ),
    "inner.width": Setting(
        0,
        "The records in a window of a sequence; 0 takes way · shot + 1, a support and a query.",
        most=_MOST_RECORDS,
    ),
    "inner.clip": Setting(1.0, "The largest norm of an inner gradient; 0 leaves it as it is."),
    "inner.permute_slots": Setting(True, "Name the slots anew in every window."),
    "inner.carry": Setting(
        True, "Carry the state and the schedule of the inner optimiser from sequence to sequence."
    ),
    "meta.optimizer": _choice("sgd", ("sgd", "adam"), "What moves the meta-parameters [0057]."),
    "meta.rate": _rate(0.5, "The rate of the meta-optimiser."),
    "optimizer": _choice("adamw", ("adamw", "adam", "sgd"), "The optimiser of the episodic rule."),
    "learning_rate": _rate(1e-3, "The learning rate of the episodic rule."),
    "weight_decay": Setting(1e-4, "The weight decay of adamw."),
    "clip": Setting(1.0, "The largest norm of a gradient; 0 leaves it as it is."),
    "schedule": _choice(
        "cosine", ("cosine", "constant"), "How the learning rate changes over the steps."
    ),
    "warmup": Setting(100, "The steps over which the learning rate rises from 0."),
    "steps": _many(2000, "The steps of the main stage."),
    "batch": _many(4, "The episodes, sequences or records of a step.", _MOST_RECORDS),
    # How records are varied while training.
    "augmentation.scale": Setting(
        0.0, "The standard deviation of the logarithm of a recording's gain.", most=10
    ),
    "augmentation.lead_dropout": _share(0.0, "The probability that a lead is lost."),
    "augmentation.wander": Setting(0.0, "The amplitude of baseline wander in mV.", most=1000),
    "augmentation.noise": Setting(0.0, "The standard deviation of noise in mV.", most=1000),
    "augmentation.crop": Setting(
        1.0, "The share of a recording that is kept, from a random start.", above=True, most=1
    ),
    "augmentation.warp": Setting(
        0.0, "The standard deviation of the logarithm of a recording's speed.", most=10
    ),
    # The loop.
    "steps_per_dispatch": Setting(
        0, "The steps sent to the device at once; 0 takes 1 on a CPU and 20 on accelerators."
    ),
    "log_every": _many(20, "The steps between two lines of metrics.jsonl."),
    "patience": _many(
        20,
        "After this number of steps in a row that were not finite, go back to the latest "
        "checkpoint once and on with other episodes, then stop.",
    ),
    "checkpoint_every": _many(500, "The steps between two checkpoints."),
    "validate_every": _many(500, "The steps between two validations."),
    "validate_start": Setting(
        False,
        "Whether the start is validated, too, and kept where no later step is better: for learners "
        "that start from a closed form.",
    ),
    "validation_episodes": Setting(
        300, "The episodes of a validation.", least=2, most=_MOST_RECORDS
    ),
    "smoke": Setting(
        False, "Two steps of each stage and 20 episodes of each kind, to see that all of it runs."
    ),
    # What experiments.evaluate measures.
    "test_shots": Setting(
        "1+5+10",
        "The numbers of examples that metaecg evaluate measures.",
        read=shots,
        written="different numbers from 1 on, joined by +, such as 1+5+10",
    ),
    "test_episodes": Setting(
        1000, "The episodes of each kind that it measures.", least=2, most=_MOST_RECORDS
    ),
}
