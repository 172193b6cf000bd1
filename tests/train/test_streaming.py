"""A library read from disk gives the tasks, and the training, of one in memory."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import Tiny

from metaecg import learners
from metaecg.episodes import sequences
from metaecg.episodes.augmentation import Augmentation
from metaecg.train import batches, parallel, streaming, training_step, updates

KEY = jax.random.key(3)
LOUD = Augmentation(scale=0.3, lead_dropout=0.2, crop=0.9)


@pytest.fixture(scope="module")
def on_disk(data, tmp_path_factory):
    """The shared data as a memory map, behind rows in another order than on disk."""
    signals = np.asarray(data.signals)
    order = np.random.default_rng(0).permutation(len(signals))
    path = tmp_path_factory.mktemp("disk") / "signals.npy"
    np.save(path, signals[np.argsort(order)])
    return data._replace(signals=streaming.Rows(np.load(path, mmap_mode="r"), order))


def test_rows_are_those_of_the_map(data, on_disk):
    signals = np.asarray(data.signals)
    assert on_disk.signals.shape == signals.shape
    assert len(on_disk.signals) == len(signals)
    for at in (np.array([[3, 1], [0, 3]]), slice(2, 5), slice(None)):
        np.testing.assert_array_equal(on_disk.signals[at], signals[at])
    assert not isinstance(on_disk.signals[np.array([1])], np.memmap)


def plans(index):
    dealt = sequences.stream(index, 16, way=3, per_class=4, seed=0)
    return {
        "episodes": batches.EpisodeDraw(3, 2, 2, 4, 8, vary_shot=True, augmentation=LOUD),
        "records": batches.RecordDraw(16, LOUD),
        "sequences": batches.SequenceDraw(dealt, 3, 8, False, LOUD),
        "conditions": batches.SequenceDraw(dealt, 3, 8, True),
    }


@pytest.mark.parametrize("kind", ["episodes", "records", "sequences", "conditions"])
@pytest.mark.parametrize("shared", [pytest.param(True, marks=pytest.mark.long), False])
def test_gathered_tasks_are_those_drawn_in_memory(data, on_disk, kind, shared):
    draw, mesh = plans(data.index)[kind], parallel.mesh()
    key = KEY if shared else jax.random.fold_in(KEY, 0)  # process 0 of 1
    steps = list(streaming.gather(draw, on_disk, key if shared else KEY, 0, 2, mesh, shared=shared))
    assert len(steps) == 2
    for step, gathered in enumerate(steps):
        assert len(gathered.signals.sharding.device_set) == 8
        plan = draw.plan(data.index, key, jnp.int32(step))
        np.testing.assert_array_equal(gathered.plan.rows, plan.rows)
        records = data.signals[plan.rows].astype(jnp.float32) * data.scale
        expected = draw.tasks(plan, records, KEY, jnp.int32(step))
        for a, b in zip(draw.of_batch(gathered, KEY, jnp.int32(step)), expected):
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def test_training_from_disk_is_training_from_memory(data, on_disk):
    learner = learners.protonet(Tiny())
    rule, draw = updates.episodic(learner, optax.adam(0.01)), plans(data.index)["episodes"]
    step, from_disk = (
        jax.jit(functools.partial(training_step.train_step, draw=d, update=rule))
        for d in (draw, draw.of_batch)
    )
    state = jax.jit(functools.partial(training_step.init, learner, rule, draw))(data, KEY)
    one = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("episodes",))
    memory = disk = state
    for gathered in streaming.gather(draw, on_disk, KEY, 0, 3, one):
        memory, _ = step(memory, data, KEY)
        disk, _ = from_disk(disk, gathered, KEY)
    assert int(disk.step) == 3
    for a, b in zip(jax.tree.leaves(memory), jax.tree.leaves(disk)):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_no_more_is_read_ahead_than_asked_for(data, on_disk):
    read = []

    class Counting(streaming.Rows):
        def __getitem__(self, at):
            read.append(1)
            return super().__getitem__(at)

    signals = Counting(np.asarray(data.signals), np.arange(data.index.num_records))
    one = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("episodes",))
    source = streaming.gather(
        plans(data.index)["episodes"], data._replace(signals=signals), KEY, 0, 50, one, ahead=2
    )
    for _ in range(3):
        next(source)
    source.close()
    assert len(read) <= 5
