"""Learners by name: each says what it can read, in one place."""

import flax.linen as nn
import pytest

from experiments.configs import settings
from metaecg import learners
from metaecg.types import Limits

ENCODER = nn.Dense(8)
SIZES = learners.Sizes(slots=5, longest=25, conditions=31)


def limits(name, **changes):
    config = settings.default()
    config.update(changes)
    return learners.LEARNERS[name].build(ENCODER, SIZES, config).limits


def test_learners_say_what_they_can_read():
    free, fixed = Limits(None, None, False, inner_products=True), Limits(5, None, False)
    assert limits("snail") == Limits(5, 25, True)
    assert limits("snail", snail={"length": 9}) == Limits(5, 8, True)
    assert limits("transformer") == fixed
    assert limits("transformer", transformer={"order_free": False}) == Limits(5, 25, True)
    for name in ("anil", "maml", "finetune"):
        assert limits(name) == fixed
    for name in ("protonet", "matching", "ridge", "supervised"):
        assert limits(name) == free
    assert len(learners.LEARNERS) == 9


def test_entries_tell_the_truth_about_what_they_build():
    for name, entry in learners.LEARNERS.items():
        built = entry.build(ENCODER, SIZES, settings.default())
        assert (built.embed is None) == entry.adapts_encoder, name


@pytest.mark.parametrize("text", ["0x0", "4x", "4", "4x4x4", "", "4x4+", "-1x2", "axb"])
def test_attention_blocks_are_written_as_pairs_of_sizes(text):
    with pytest.raises(ValueError, match=r"key and a value size|invalid literal"):
        learners.registry.attention(text)


def test_attention_blocks_are_read():
    assert learners.registry.attention("64x32+256x128") == ((64, 32), (256, 128))
