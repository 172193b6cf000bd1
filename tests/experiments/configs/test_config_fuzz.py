"""Any settings: what is accepted is what was written, and trains; all else is refused."""

import functools
import random

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

from experiments.configs import settings
from experiments.configs.defaults import TABLE
from experiments.runs import build, stages
from experiments.stress import fuzz, stored_files
from metaecg.errors import MetaecgError
from metaecg.train import batches, training_step
from metaecg.types import LibraryIndex

DEFAULT = settings.flat(settings.default())


@hypothesis.settings(max_examples=100, deadline=None, derandomize=True, database=None)
@hypothesis.given(st.randoms(use_true_random=False))
def test_damaged_arguments_never_pass(rng):
    assert stored_files.Config(None).attempt(rng) in fuzz.VERDICTS[:-1]


def changed(text):
    return settings.with_arguments(settings.default(), text)


def test_sound_arguments_pass():
    for key, value in DEFAULT.items():
        if "," not in str(value):
            config = changed(f"{key}={value}")
            settings.validate(config)
            assert config == settings.default()


def test_numbers_are_within_their_bounds_and_texts_short():
    wrong = {
        float: ("nan", "inf", "-inf", "-1", "1e300", "", "one"),
        int: ("-1", "9" * 12, "9" * 4000, "9" * 5000, "1e3", "٣x", "", "1.0"),
        bool: ("2", "", "yes!", "None"),
        str: ("x" * 1001,),
    }
    for key, value in DEFAULT.items():
        for text in wrong[type(value)]:
            with pytest.raises(MetaecgError, match=rf"^config\.{key}") as caught:
                changed(f"{key}={text}")
            assert len(str(caught.value)) < 300
            assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "x" * 90_000,
        "x" * 90_000 + "=1",
        "steps=" + "x" * 90_000,
        "st\x1beps=1",
        "steps=\udcff",
        "learner=\udcff",
        "test_shots=\n1",
        "way=5," * 1_000_000,
    ],
)
def test_messages_are_one_short_printable_line(text):
    with pytest.raises(MetaecgError) as caught:
        settings.validate(changed(text))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


INDEX = LibraryIndex(np.eye(6, dtype=bool)[np.arange(60) % 6], np.arange(60))


def values(key, rng):
    """Settings that may trouble each other: often the default, else the least, few, or much."""
    setting = TABLE[key]
    if key in ("views", "beat_from"):  # which go with few of the others
        return setting.default
    if rng.random() < 0.6 or key in ("library", "protocol", "seed"):
        return setting.default
    if isinstance(setting.default, bool):
        return not setting.default
    if setting.choices:
        return rng.choice(setting.choices)
    if isinstance(setting.default, str):
        given = {"start_from": "run", "snail.attention": rng.choice(["1x1", "3x2+2x3+1x9+4x4"])}
        return given.get(key, setting.default)
    kind, least = type(setting.default), setting.least
    some = [kind(least), kind(least + 1), kind(least + 2), kind(max(least, 7))]
    if kind is float:
        some.append(float(setting.most))
    low = least if not setting.above else least + 1e-9
    return rng.choice([x for x in some if low <= x <= setting.most])


def traced(stage, frozen_features=8):
    """Traces a step of a stage on 60 records of 5 s and six classes, without computing anything."""
    run = build.experiment(stage, 6, INDEX, hz=100)
    shape = (60, frozen_features) if stage.freeze_encoder else (60, 512, 2)
    data = batches.Data(jnp.zeros(shape, jnp.int16), jnp.float32(1), INDEX)
    part = build.Part(data, tuple("abcdef"), np.arange(60))
    if stage.combinations and isinstance(run.draw, batches.EpisodeDraw):
        part = build.with_combinations(part, stage.combinations)
    if isinstance(run.draw, batches.EpisodeDraw):
        stages.evaluate.draw_episodes(
            part.data, jax.random.key(0), 2, way=stage.way, shot=stage.shot, query=stage.query
        )
    first, key = stages._first(run.draw, part.data), jax.random.key(0)
    init = functools.partial(training_step.init, run.learner, run.update, run.draw.of_batch)
    state = jax.eval_shape(init, first, key)
    step = functools.partial(training_step.train_step, draw=run.draw.of_batch, update=run.update)
    after, metrics = jax.eval_shape(step, state, first, key)
    assert jax.tree.map(lambda x: x.shape, after) == jax.tree.map(lambda x: x.shape, state)
    assert metrics["loss"].shape == ()


def attempt(seed):
    """Draws settings at random; returns whether they were accepted and could be trained."""
    rng = random.Random(seed)
    config = settings.default()
    config.update_from_flattened_dict({key: values(key, rng) for key in TABLE})
    config.steps = min(config.steps, 3)
    try:
        settings.validate(settings.resolved(config))
        for _, stage in settings.stages(config):
            traced(stage)
    except MetaecgError as error:
        said = str(error)
    else:
        return True
    assert said.isprintable()
    assert len(said) < 600
    return False


@pytest.mark.long
def test_random_settings_train_or_are_refused():
    assert sum(attempt(seed) for seed in range(20)) > 1


@pytest.mark.long
def test_more_random_settings_train_or_are_refused():
    assert sum(attempt(seed) for seed in range(160, 300)) > 11
