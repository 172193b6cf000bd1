"""Eight devices (faked on the CPU) give what one gives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, Mesh, PartitionSpec
from tiny import Tiny

from metaecg import learners
from metaecg.errors import MetaecgError
from metaecg.train import batches, parallel, training_step, updates
from metaecg.train.checkpoints import Checkpoints


@pytest.fixture(scope="module")
def mesh():
    return parallel.mesh()


def one_device():
    return Mesh(np.array(jax.devices()[:1]), ("episodes",), axis_types=(AxisType.Auto,))


def test_mesh_holds_every_device(mesh):
    assert jax.device_count() == 8
    assert mesh.shape == {"episodes": 8}


def test_batches_that_do_not_divide_are_refused(mesh):
    with pytest.raises(MetaecgError, match=r"batch = 12 does not divide by the 8 devices"):
        parallel.shard_tasks(lambda *_: None, mesh, 12)
    parallel.shard_tasks(lambda *_: None, mesh, 16)
    parallel.shard_tasks(lambda *_: None, one_device(), 12)


def test_tasks_are_spread_and_the_rest_is_on_every_device(mesh, easy_tasks):
    drawn = jax.jit(parallel.shard_tasks(lambda: easy_tasks, mesh, 8))()
    for leaf in drawn:
        assert leaf.sharding.is_equivalent_to(
            jax.NamedSharding(mesh, PartitionSpec("episodes")), leaf.ndim
        )
        assert {s.data.shape[0] for s in leaf.addressable_shards} == {1}
    tree = parallel.replicate({"w": jnp.arange(3.0)}, mesh)
    assert {s.data.shape for s in tree["w"].addressable_shards} == {(3,)}
    assert len(tree["w"].sharding.device_set) == 8


def test_training_on_eight_devices_equals_one(mesh, easy_tasks):
    """Statistics of BatchNorm included: they are those of the whole batch."""
    learner = learners.protonet(Tiny())
    rule = updates.episodic(learner, optax.sgd(0.5))

    def draw(data, key, step):
        return jax.tree.map(lambda x: jnp.roll(x, step, axis=0) + 0 * data.astype(x.dtype), batch)

    batch = jax.tree.map(jnp.asarray, easy_tasks)
    states = []
    for where in (mesh, one_device()):
        data = parallel.replicate(jnp.zeros(()), where)
        spread = parallel.shard_tasks(draw, where, 8)
        start = functools.partial(training_step.init, learner, rule, spread)
        state = parallel.jit_replicated(start, where)(data, jax.random.key(0))
        step = parallel.jit_replicated(
            functools.partial(training_step.train_step, draw=spread, update=rule),
            where,
            donate_argnums=0,
        )
        for _ in range(3):
            state, metrics = step(state, data, jax.random.key(1))
        assert step._cache_size() == 1
        states.append((state, metrics))
    assert len(states[0][0].step.sharding.device_set) == 8
    for eight, one in zip(jax.tree.leaves(states[0]), jax.tree.leaves(states[1])):
        np.testing.assert_allclose(eight, one, rtol=1e-4, atol=1e-5)
    moved = states[0][0].variables.state["batch_stats"]["BatchNorm_0"]["mean"]
    assert np.abs(moved).max() > 0.01


STEPS, HALF = 20, 10


def run_on(count, data, folder=None, state=None):
    """Trains on so many devices to STEPS; saves after HALF, or goes on from a state of HALF."""
    where = Mesh(np.array(jax.devices()[:count]), ("episodes",), axis_types=(AxisType.Auto,))
    learner = learners.protonet(Tiny())
    rule = updates.episodic(learner, optax.sgd(0.1))
    draw = batches.EpisodeDraw(3, 2, 2, 4, batch=8, vary_shot=True)
    spread = parallel.shard_tasks(draw, where, 8)
    data, key = parallel.replicate(data, where), jax.random.key(1)
    start = functools.partial(training_step.init, learner, rule, draw)
    if state is None:
        state = parallel.jit_replicated(start, where)(data, key)
    else:
        like = parallel.like(jax.eval_shape(start, data, key), where)
        checkpoints = Checkpoints(state)
        state, _ = checkpoints.restore(like)
        checkpoints.close()
        assert int(state.step) == HALF
        assert len(state.step.sharding.device_set) == count
    step = parallel.jit_replicated(
        functools.partial(training_step.train_step, draw=spread, update=rule), where
    )
    while int(state.step) < STEPS:
        state, _ = step(state, data, key)
        if folder and int(state.step) == HALF:
            checkpoints = Checkpoints(folder)
            checkpoints.save(state, {})
            checkpoints.close()
    rows = jax.jit(draw.plan)(data.index, key, STEPS).rows
    return jax.tree.map(np.asarray, state.variables), np.asarray(rows)


@pytest.fixture(scope="module")
def on_one(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    return run_on(1, data, folder), folder


def assert_close(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
        np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(2, marks=pytest.mark.long),
        pytest.param(4, marks=pytest.mark.long),
        8,
    ],
)
def test_twenty_steps_are_the_same_on_any_number_of_devices(data, on_one, count):
    """Parameters and running averages to 1e-3, episodes to the bit; begun on one device or here."""
    (one, rows), folder = on_one
    variables, drawn = run_on(count, data)
    np.testing.assert_array_equal(drawn, rows)
    assert_close(variables, one)
    resumed, _ = run_on(count, data, state=folder)
    assert_close(resumed, one)
