"""The learners by name: how each is built from settings, and what it goes together with."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn

from metaecg.learners.maml import anil, maml
from metaecg.learners.matching import matching
from metaecg.learners.protonet import protonet
from metaecg.learners.ridge import ridge
from metaecg.learners.snail import snail
from metaecg.learners.supervised import supervised
from metaecg.learners.transformer import transformer
from metaecg.types import Learner


class Sizes(NamedTuple):
    """What a learner is built for.

    Attributes:
      slots: width W of the labels: the slots of an episode, or all conditions.
      longest: the most support records, S.
      conditions: the classes of the training part, C.
      by_condition: the labels mean the conditions instead of an episode's slots.
    """

    slots: int
    longest: int
    conditions: int
    by_condition: bool = False


class Entry(NamedTuple):
    """A learner as configurations know it.

    Attributes:
      build: (encoder, sizes, settings) -> Learner; settings has the fields that the learner reads.
      update_rules: the rules that can train it.
      has_head: it has parameters of its own over the embeddings, which can learn on an encoder
        that stays as it is.
      adapts_encoder: it adapts its encoder to each support, so that no record has an embedding
        by itself.
      learns_episodes: it is trained by episodes; otherwise by single records.
      learns_conditions: its labels may also mean the conditions of the training part.
    """

    build: Callable[[nn.Module, Sizes, Any], Learner]
    update_rules: tuple[str, ...] = ("episodic", "trajectory", "reptile")
    has_head: bool = False
    adapts_encoder: bool = False
    learns_episodes: bool = True
    learns_conditions: bool = False


def attention(text: str) -> tuple[tuple[int, int], ...]:
    """Key and value size of each attention block of SNAIL, from `64x32+256x128`.

    Raises:
      ValueError: it is not written so, or a size is not positive.
    """
    pairs = [tuple(map(int, pair.split("x"))) for pair in text.split("+")]
    if any(len(pair) != 2 or min(pair) < 1 for pair in pairs):
        raise ValueError(f"{text!r} does not give a key and a value size for each block")
    return tuple((key, value) for key, value in pairs)


def _snail(encoder: nn.Module, sizes: Sizes, settings: Any) -> Learner:
    return snail(
        encoder,
        way=sizes.slots,
        length=settings.snail.length or sizes.longest + 1,
        conditions=sizes.by_condition,
        attention=attention(settings.snail.attention),
        filters=settings.snail.filters,
        literal_dilations=settings.snail.literal_dilations,
        closed_form=settings.snail.closed_form,
    )


def _transformer(encoder: nn.Module, sizes: Sizes, settings: Any) -> Learner:
    return transformer(encoder, way=sizes.slots, length=sizes.longest + 1, **settings.transformer)


def _anil(encoder: nn.Module, sizes: Sizes, settings: Any) -> Learner:
    return anil(encoder, way=sizes.slots, rate=settings.maml.rate, steps=settings.maml.steps)


def _maml(encoder: nn.Module, sizes: Sizes, settings: Any) -> Learner:
    return maml(encoder, way=sizes.slots, **settings.maml)


def _finetune(encoder: nn.Module, sizes: Sizes, settings: Any) -> Learner:
    return maml(encoder, way=sizes.slots, **settings.maml, through_adaptation=False)


def _protonet(encoder: nn.Module, sizes: Sizes, settings: Any) -> Learner:
    return protonet(encoder, cosine=settings.cosine)


def _supervised(encoder: nn.Module, sizes: Sizes, settings: Any) -> Learner:
    return supervised(encoder, num_conditions=sizes.conditions, cosine=settings.cosine)


_EPISODIC = ("episodic",)

LEARNERS: dict[str, Entry] = {
    "snail": Entry(_snail, has_head=True, learns_conditions=True),
    "transformer": Entry(_transformer, has_head=True),
    "protonet": Entry(_protonet),
    "matching": Entry(lambda encoder, *_: matching(encoder), has_head=True),
    # These adapt to the whole support at once, which a sequence's records never see.
    "ridge": Entry(lambda encoder, *_: ridge(encoder), _EPISODIC, has_head=True),
    "anil": Entry(_anil, _EPISODIC, has_head=True),
    "maml": Entry(_maml, _EPISODIC, adapts_encoder=True),
    "finetune": Entry(_finetune, adapts_encoder=True),
    "supervised": Entry(_supervised, _EPISODIC, learns_episodes=False),
}
