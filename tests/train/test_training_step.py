"""The training step: what it draws, what it keeps, and how it goes on after an interruption."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny import Tiny

from metaecg import learners
from metaecg.episodes.augmentation import Augmentation
from metaecg.train import batches as draws
from metaecg.train import parallel, training_step, updates
from metaecg.train.checkpoints import Checkpoints
from metaecg.types import Learner, Task, TrainState, Variables

DRAW = draws.EpisodeDraw(way=3, shot=2, query=2, slots=4, batch=8, vary_shot=True)
KEY = jax.random.key(5)


@functools.cache
def update():
    learner = learners.protonet(Tiny())
    return learner, updates.episodic(learner, optax.adam(0.01))


@pytest.fixture(scope="module")
def step(data):
    """One compiled training step, and the state before the first."""
    learner, rule = update()
    init = functools.partial(training_step.init, learner, rule, DRAW)
    step = jax.jit(functools.partial(training_step.train_step, draw=DRAW, update=rule))
    return step, jax.jit(init)(data, jax.random.key(0))


def run(step, state, data, count):
    track = []
    for _ in range(count):
        state, metrics = step(state, data, KEY)
        track.append(metrics)
    return state, track


def assert_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
        np.testing.assert_array_equal(x, y)


def test_loop_compiles_once_and_learns(step, data):
    step, start = step
    state, track = run(step, start, data, 60)
    assert step._cache_size() == 1
    assert int(state.step) == 60
    assert int(state.skipped) == 0
    losses = [float(m["loss"]) for m in track]
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:10])


def test_steps_differ_and_repeat_from_the_same_state(step, data):
    step, start = step
    (first, again), (second, _) = [run(step, start, data, 2) for _ in range(2)]
    assert_equal(first, second)
    assert again[0]["loss"] != again[1]["loss"]


def test_several_steps_in_one_dispatch_equal_as_many_steps(step, data):
    step, start = step
    several = jax.jit(
        functools.partial(training_step.train_steps, steps=3, draw=DRAW, update=update()[1])
    )
    together, metrics = several(start, data, KEY)
    alone, track = run(step, start, data, 3)
    assert metrics["loss"].shape == (3,)
    np.testing.assert_allclose(metrics["loss"], [m["loss"] for m in track], rtol=1e-4)
    for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(alone)):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_resumed_from_a_checkpoint_equals_uninterrupted_to_the_bit(step, data, tmp_path):
    step, start = step
    whole, _ = run(step, start, data, 4)
    half, _ = run(step, start, data, 2)
    before = Checkpoints(tmp_path)
    before.save(half, {"best": 0.5})
    before.close()
    after = Checkpoints(tmp_path)
    state, facts = after.restore(jax.eval_shape(lambda: start))
    after.close()
    assert facts["best"] == 0.5
    assert_equal(state, half)
    assert_equal(run(step, state, data, 2)[0], whole)


def test_task_i_is_the_same_in_any_batch_and_on_any_number_of_devices(data):
    larger = draws.EpisodeDraw(3, 2, 2, 4, batch=16, vary_shot=True)
    mesh = parallel.mesh()
    sharded = jax.jit(parallel.shard_tasks(larger, mesh, 16))(data, KEY, 0)
    assert len(sharded.records.sharding.device_set) == 8
    draw = jax.jit(DRAW)
    batches = [draw(data, KEY, i) for i in range(2)]
    for whole, *parts in zip(sharded, *batches):
        np.testing.assert_array_equal(whole, np.concatenate(parts))


@pytest.fixture(scope="module")
def drawn(data):
    return jax.tree.map(np.asarray, jax.jit(DRAW)(data, KEY, 0))


def test_drawn_tasks_hold_the_library_s_records_under_their_own_classes(data, drawn):
    volts = np.asarray(data.signals).astype(np.float32) * np.float32(0.001)
    row_of = {x.tobytes(): row for row, x in enumerate(volts)}
    labels, patients = np.asarray(data.index.labels), np.asarray(data.index.patients)
    assert drawn.records.shape == (8, 12, 24, 2)
    for records, slots in zip(drawn.records, drawn.labels):
        rows = [row_of[x.tobytes()] for x in records]
        assert len(set(patients[rows])) == 12
        carried = [labels[np.array(rows)[slots[:, s] == 1]].all(0) for s in range(3)]
        assert all(c.any() for c in carried)
        assert slots.sum(0).tolist() == [4, 4, 4, 0]
        assert slots.sum(1).tolist() == [1] * 12


def test_shots_vary_from_one_to_all(drawn):
    shots = (drawn.support >= 0).sum(1) / 3
    assert set(shots) == {1, 2}
    assert (drawn.way == 3).all()
    for task in range(8):
        kept = drawn.support[task][drawn.support[task] >= 0]
        assert drawn.labels[task, kept].sum(0).tolist() == [shots[task]] * 3 + [0]


def test_records_are_drawn_with_the_library_s_labels(data):
    draw = jax.jit(draws.RecordDraw(batch=64))
    task = jax.tree.map(np.asarray, draw(data, KEY, 0))
    volts = np.asarray(data.signals).astype(np.float32) * np.float32(0.001)
    row_of = {x.tobytes(): row for row, x in enumerate(volts)}
    rows = [row_of[x.tobytes()] for x in task.records[0]]
    np.testing.assert_array_equal(task.labels[0], np.asarray(data.index.labels)[rows])
    assert len(set(rows)) > 40
    assert (np.asarray(draw(data, KEY, 1).records) != task.records).any()


def test_augmentation_is_drawn_for_each_record_and_step(data):
    draw = jax.jit(draws.RecordDraw(64, Augmentation(scale=0.5)))
    one = draws.RecordDraw(64)
    plain, loud = (np.asarray(d(data, KEY, 0).records[0]) for d in (jax.jit(one), draw))
    gains = np.abs(loud).max((1, 2)) / np.abs(plain).max((1, 2))
    np.testing.assert_allclose(loud, plain * gains[:, None, None], rtol=1e-4, atol=1e-5)
    assert np.log(gains).std() == pytest.approx(0.5, rel=0.3)


def toy(loss):
    """A learner of one vector; its task's records say what step it is."""

    def init(key, tasks):
        return Variables({"w": jnp.array([3.0, 4.0])}, {"seen": jnp.zeros(())})

    def toy_loss(params, state, tasks, key):
        return loss(params["w"], tasks.records), ({"seen": tasks.records.sum()}, {})

    return Learner(init, lambda *_: None, toy_loss)


def at_steps(values):
    """A draw whose records at step i are values[i]."""

    def draw(data, key, step):
        one = jnp.zeros(1, jnp.int32)
        return Task(jnp.asarray(values)[step], jnp.ones((1, 1)), one, one, one, jnp.int32(1))

    return draw


def walk(loss, values):
    learner, draw = toy(loss), at_steps(values)
    rule = updates.episodic(learner, optax.adam(0.1))
    state = training_step.init(learner, rule, draw, None, KEY)
    step = jax.jit(functools.partial(training_step.train_step, draw=draw, update=rule))
    states = [state]
    for _ in values:
        states.append(step(states[-1], None, KEY)[0])
    return states


def bowl(w, x):
    return jnp.sum((w - x) ** 2)


@pytest.mark.parametrize(
    ("loss", "values"),
    [
        (bowl, [1.0, np.nan, 1.0]),
        (bowl, [1.0, np.inf, 1.0]),
        (lambda w, x: jnp.sum(jnp.sqrt(jnp.abs(w * (x - 1)))), [2.0, 1.0, 2.0]),
        (lambda w, x: jnp.sum(w) * x, [1.0, 1e25, 1.0]),
    ],
    ids=["loss NaN", "loss infinite", "gradient NaN", "gradient's square infinite"],
)
def test_steps_that_are_not_finite_are_skipped_and_counted(loss, values):
    start, first, bad, last = walk(loss, values)
    assert [int(s.skipped) for s in (start, first, bad, last)] == [0, 0, 1, 1]
    assert [int(s.step) for s in (start, first, bad, last)] == [0, 1, 2, 3]
    assert_equal((bad.variables, bad.opt_state), (first.variables, first.opt_state))
    assert (np.asarray(last.variables.params["w"]) != bad.variables.params["w"]).all()
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(last))


def test_running_averages_that_are_not_finite_are_not_kept():
    _, first, bad, _ = walk(lambda w, x: jnp.sum(w**2), [1.0, np.nan, 1.0])
    assert float(bad.variables.state["seen"]) == 1
    assert int(bad.skipped) == 1
    assert_equal(bad.variables, first.variables)


def test_state_is_a_pytree_of_arrays(step):
    _, start = step
    assert isinstance(start, TrainState)
    assert all(isinstance(x, jax.Array) for x in jax.tree.leaves(start))
    assert start.step.dtype == start.skipped.dtype == jnp.int32
