"""From episodes to tasks, literally."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaecg.episodes import tasks
from metaecg.types import Episode

# Rows of some library; the slots of the support are 1, 0, 0, 1, 0, 1.
EPISODE = Episode(
    classes=jnp.array([4, 7]),
    support=jnp.array([10, 20, 21, 11, 22, 12]),
    support_slots=jnp.array([1, 0, 0, 1, 0, 1]),
    query=jnp.array([23, 13]),
    query_slots=jnp.array([0, 1]),
)
RECORDS = jnp.arange(8.0)[:, None]


def test_few_shot_literal():
    task = tasks.few_shot(RECORDS, EPISODE, 3)
    assert task.records is RECORDS
    assert task.labels.argmax(1).tolist() == [1, 0, 0, 1, 0, 1, 0, 1]
    assert task.labels.shape == (8, 3)
    assert task.labels.sum(1).tolist() == [1.0] * 8
    assert task.support.tolist() == [0, 1, 2, 3, 4, 5]
    assert task.query.tolist() == [6, 7]
    assert task.sees.tolist() == [6, 6]
    assert int(task.way) == 2


@pytest.mark.parametrize(
    ("shots", "support"),
    [
        (1, [-1, -1, -1, -1, 0, 1]),
        (2, [-1, -1, 0, 1, 2, 3]),
        (3, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_fewer_shots_keep_the_first_of_each_class_and_pad_on_the_left(shots, support):
    task = jax.jit(tasks.few_shot, static_argnums=2)(RECORDS, EPISODE, 2, jnp.int32(shots))
    assert task.support.tolist() == support
    assert task.query.tolist() == [6, 7]
    assert task.sees.tolist() == [6, 6]


def test_more_classes_than_slots_are_refused():
    with pytest.raises(ValueError, match="2-way episode does not fit 1 slots"):
        tasks.few_shot(RECORDS, EPISODE, 1)


def test_group_literal():
    """Every record of a window is predicted from those before it."""
    labels = jnp.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    task = tasks.group(RECORDS[:3], labels)
    assert task.support.tolist() == task.query.tolist() == task.sees.tolist() == [0, 1, 2]
    assert task.labels is labels
    assert int(task.way) == 2


def test_batch_of_records_literal():
    task = tasks.batch_of_records(RECORDS[:3], jnp.ones((3, 5)))
    assert task.support.tolist() == []
    assert task.query.tolist() == [0, 1, 2]
    assert task.sees.tolist() == [0, 0, 0]
    assert int(task.way) == 5


def test_types_are_the_same_whatever_makes_a_task():
    made = [
        tasks.few_shot(RECORDS, EPISODE, 2),
        tasks.few_shot(RECORDS, EPISODE, 2, jnp.int32(1)),
        tasks.group(RECORDS[:3], jnp.ones((3, 2))),
        tasks.batch_of_records(RECORDS[:3], jnp.ones((3, 2))),
    ]
    for task in made:
        assert [x.dtype.name for x in task] == ["float32"] * 2 + ["int32"] * 4


def test_millivolts_are_units_times_scale():
    signals = jnp.array([[[1000], [-500]], [[0], [32767]]], jnp.int16)
    volts = tasks.millivolts(signals, jnp.float32(0.001), jnp.array([1, 0, 1]))
    assert volts.dtype == jnp.float32
    np.testing.assert_allclose(volts[..., 0], [[0, 32.767], [1, -0.5], [0, 32.767]], rtol=1e-6)
