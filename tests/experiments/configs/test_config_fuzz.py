"""Config arguments: what is accepted is what was written, all else is refused in one line."""

import hypothesis
import pytest
from hypothesis import strategies as st

from experiments.configs import settings
from experiments.stress import fuzz, stored
from metaecg.errors import MetaecgError

DEFAULT = settings.flat(settings.default())


@hypothesis.settings(max_examples=100, deadline=None, derandomize=True, database=None)
@hypothesis.given(st.randoms(use_true_random=False))
def test_damaged_arguments_never_pass(rng):
    assert stored.Config(None).attempt(rng) in fuzz.VERDICTS[:-1]


def test_sound_arguments_pass():
    for key, value in DEFAULT.items():
        if "," not in str(value):
            changed = settings.with_arguments(settings.default(), f"{key}={value}")
            settings.validate(changed)
            assert changed == settings.default()


@pytest.mark.parametrize("key", [k for k, value in DEFAULT.items() if type(value) is float])
@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "-1", "1e300"])
def test_numbers_are_finite_and_not_negative(key, text):
    with pytest.raises(MetaecgError, match=rf"config\.{key}"):
        settings.validate(settings.with_arguments(settings.default(), f"{key}={text}"))


@pytest.mark.parametrize("key", [k for k, value in DEFAULT.items() if type(value) is int])
@pytest.mark.parametrize("text", ["-1", "9" * 12, "9" * 4000, "9" * 5000, "1e3", "٣x", ""])
def test_counts_are_counts(key, text):
    with pytest.raises(MetaecgError, match=key) as caught:
        settings.validate(settings.with_arguments(settings.default(), f"{key}={text}"))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "text",
    [
        "x" * 90_000,
        "x" * 90_000 + "=1",
        "steps=" + "x" * 90_000,
        "st\x1beps=1",
        "steps=\udcff",
        "way=5," * 1_000_000,
    ],
)
def test_messages_are_one_short_printable_line(text):
    with pytest.raises(MetaecgError) as caught:
        settings.with_arguments(settings.default(), text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 2000
