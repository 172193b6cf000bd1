"""The trajectory of meta-parameters and its optimiser, against their definitions in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from tiny import Tiny

from metaecg import learners
from metaecg.episodes import tasks, windows
from metaecg.train import meta, parallel, updates

GROUPS, STEPS, RATE = 6, 3, 0.1


def loss(theta, group):
    """A quadratic bowl around the group's point, and a term that ties the leaves together."""
    (centre, weight), a, b = group, theta["a"], theta["b"]
    return weight * ((a - centre) ** 2).sum() + (b**4).sum() + a.sum() * b[0]


def gradient(theta, group):
    centre, weight = group
    b = np.array([1.0, 0.0]) * theta["a"].sum() + 4 * theta["b"] ** 3
    return {"a": 2 * weight * (theta["a"] - centre) + theta["b"][0], "b": b}


def theta_0():
    return {"a": np.array([1.0, -2.0, 0.5]), "b": np.array([0.3, -0.4])}


def groups():
    rng = np.random.default_rng(0)
    return rng.normal(size=(GROUPS, 3)), rng.uniform(0.5, 1.5, GROUPS)


def slow_trajectory(rate=RATE, steps=STEPS):
    """θ_i by plain gradient descent from θ_{i−1}, with the losses before and after."""
    theta, track, before, after, norms = theta_0(), [], [], [], []
    for group in zip(*groups()):
        before.append(float(loss(theta, group)))
        for _ in range(steps):
            g = gradient(theta, group)
            norm = np.sqrt(sum((x**2).sum() for x in g.values()))
            theta = {k: theta[k] - rate * g[k] for k in theta}
        track.append(theta)
        after.append(float(loss(theta, group)))
        norms.append(norm)
    return {k: np.stack([t[k] for t in track]) for k in theta}, before, after, norms


@pytest.fixture(scope="module")
def trajectory():
    with jax.enable_x64(True):
        run = functools.partial(
            meta.meta_parameters, loss, optimizer=optax.sgd(RATE), steps=STEPS, with_report=True
        )
        return jax.tree.map(np.asarray, jax.jit(run)(theta_0(), groups()))


def test_meta_parameters_are_gradient_descent_from_group_to_group(trajectory):
    thetas, _ = trajectory
    expected, *_ = slow_trajectory()
    assert thetas["a"].shape == (GROUPS, 3)
    for name in thetas:
        np.testing.assert_allclose(thetas[name], expected[name], rtol=1e-12)


def test_report_tells_how_well_each_group_was_minimised(trajectory):
    _, report = trajectory
    _, before, after, norms = slow_trajectory()
    np.testing.assert_allclose(report.before, before, rtol=1e-12)
    np.testing.assert_allclose(report.after, after, rtol=1e-12)
    np.testing.assert_allclose(report.gradient_norm, norms, rtol=1e-12)
    assert (report.after < report.before).all()


def test_inner_optimiser_s_state_is_carried_from_group_to_group():
    """With momentum the first step on a group still moves along the groups before."""
    with jax.enable_x64(True):
        inner = optax.sgd(RATE, momentum=0.9)
        run = functools.partial(meta.meta_parameters, loss, optimizer=inner)
        thetas = jax.jit(run)(theta_0(), groups())
    theta, velocity = theta_0(), {"a": 0, "b": 0}
    for i, group in enumerate(zip(*groups())):
        g = gradient(theta, group)
        velocity = {k: 0.9 * velocity[k] + g[k] for k in g}
        theta = {k: theta[k] - RATE * velocity[k] for k in g}
        np.testing.assert_allclose(thetas["a"][i], theta["a"], rtol=1e-12)


def test_derivatives_pass_through_the_trajectory():
    """d θ_n / d θ_0 equals central differences: the pass is one differentiable function."""
    with jax.enable_x64(True):
        run = functools.partial(meta.meta_parameters, loss, optimizer=optax.sgd(RATE), steps=STEPS)
        last = jax.jit(lambda a: run({**theta_0(), "a": a}, groups())["a"][-1].sum())
        a = jnp.asarray(theta_0()["a"])
        analytic = jax.grad(last)(a)
        for i, step in enumerate(1e-5 * np.eye(3)):
            numeric = (last(a + step) - last(a - step)) / 2e-5
            np.testing.assert_allclose(analytic[i], numeric, rtol=1e-6)


def optimise(optimizer, thetas=None, state=None):
    thetas = slow_trajectory()[0] if thetas is None else thetas
    with jax.enable_x64(True):
        out = jax.jit(functools.partial(meta.meta_optimise, optimizer=optimizer))(
            theta_0(), thetas, state=state
        )
        return jax.tree.map(np.asarray, out)


@pytest.mark.parametrize("alpha", [0.25, 1.0])
def test_sgd_is_the_exponential_moving_average(alpha):
    thetas = slow_trajectory()[0]
    star, _ = optimise(optax.sgd(alpha))
    for name, phi in theta_0().items():
        for theta in thetas[name]:
            phi = (1 - alpha) * phi + alpha * theta
        np.testing.assert_allclose(star[name], phi, rtol=1e-14)


def test_one_group_is_reptile_s_interpolation():
    thetas = jax.tree.map(lambda x: x[:1], slow_trajectory()[0])
    star, _ = optimise(optax.sgd(0.3), thetas)
    for name, start in theta_0().items():
        expected = start + 0.3 * (thetas[name][0] - start)
        np.testing.assert_allclose(star[name], expected, rtol=1e-14)


def test_adam_equals_numpy():
    """Kingma & Ba 2015, algorithm 1, fed with φ − θ_i."""
    thetas = slow_trajectory()[0]
    star, _ = optimise(optax.adam(0.1))
    for name, phi in theta_0().items():
        m = v = 0
        for t, theta in enumerate(thetas[name], start=1):
            g = phi - theta
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            phi = phi - 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        np.testing.assert_allclose(star[name], phi, rtol=1e-12)


def test_state_carried_across_sequences_is_one_long_sequence():
    adam, thetas = optax.adam(0.1), slow_trajectory()[0]
    whole, _ = optimise(adam, thetas)
    with jax.enable_x64(True):
        half, state = meta.meta_optimise(theta_0(), jax.tree.map(lambda x: x[:3], thetas), adam)
        rest, _ = meta.meta_optimise(half, jax.tree.map(lambda x: x[3:], thetas), adam, state)
        anew, _ = meta.meta_optimise(half, jax.tree.map(lambda x: x[3:], thetas), adam)
    np.testing.assert_allclose(rest["a"], whole["a"], rtol=1e-14)
    assert np.abs(np.asarray(anew["a"]) - whole["a"]).max() > 1e-3


def test_optimum_of_a_trajectory_that_stays_is_where_it_stays():
    thetas = jax.tree.map(lambda x: np.repeat(x[None], 40, 0), theta_0())
    star, _ = optimise(optax.sgd(0.5), thetas)
    np.testing.assert_allclose(star["a"], theta_0()["a"])


SEQUENCE, WIDTH, BATCH = 6, 3, 8


@functools.cache
def learner():
    return learners.protonet(Tiny(norm=False))


@pytest.fixture(scope="module")
def sequences(easy_tasks):
    """Eight sample sequences of six records."""
    records = jnp.asarray(easy_tasks.records[:, :SEQUENCE])
    return jax.vmap(tasks.group)(records, jnp.asarray(easy_tasks.labels[:, :SEQUENCE]))


@functools.cache
def variables():
    example = jax.eval_shape(
        jax.vmap(tasks.group), jnp.zeros((1, WIDTH, 24, 2)), jnp.zeros((1, WIDTH, 3))
    )
    example = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), example)
    return jax.jit(learner().init)(jax.random.key(0), example)


INNER, OUTER = optax.sgd(0.1), optax.adam(0.01)


@functools.cache
def folded():
    update = updates.trajectory(learner(), OUTER, inner=INNER, width=WIDTH, steps=2)
    return update, jax.jit(update.apply)


def group_loss(params, group):
    batch = jax.tree.map(lambda x: x[None], tasks.group(*group))
    return learner().loss(params, {}, batch, jax.random.key(0))[0]


@functools.cache
def stacked():
    """The trajectories of a batch of sequences by `meta_parameters`, with their reports."""

    def walk(params, records, labels):
        at = windows(SEQUENCE, WIDTH)
        return meta.meta_parameters(
            group_loss, params, (records[at], labels[at]), INNER, steps=2, with_report=True
        )

    return jax.jit(jax.vmap(walk, (None, 0, 0)))


def test_folded_trajectory_equals_the_stacked_one(sequences):
    """Mean θ_i over the sequences, one after another into the meta-optimiser."""
    start = variables().params
    update, apply = folded()
    got, opt_state, metrics = apply(variables(), update.init(start), sequences, jax.random.key(1))
    thetas, report = stacked()(start, sequences.records, sequences.labels)
    mean = jax.tree.map(lambda x: x.mean(0), thetas)
    star, state = meta.meta_optimise(start, mean, OUTER)
    for a, b in zip(jax.tree.leaves((got.params, opt_state)), jax.tree.leaves((star, state))):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(metrics["loss"], report.before.mean(), rtol=1e-4)
    np.testing.assert_allclose(metrics["loss_after"], report.after.mean(), rtol=1e-4)
    moved = [np.abs(np.asarray(a) - b).max() for a, b in zip(*map(jax.tree.leaves, (start, star)))]
    assert np.median(moved) > 1e-3


def test_trajectory_on_eight_devices_equals_one(sequences):
    update, apply = folded()
    mesh = parallel.mesh()
    spread = jax.device_put(sequences, NamedSharding(mesh, PartitionSpec("episodes")))
    state = update.init(variables().params)
    one, _, metrics_one = apply(variables(), state, sequences, jax.random.key(1))
    on_eight = parallel.replicate((variables(), state), mesh)
    eight, _, metrics_eight = apply(*on_eight, spread, jax.random.key(1))
    for a, b in zip(jax.tree.leaves((eight, metrics_eight)), jax.tree.leaves((one, metrics_one))):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_gradient_of_the_inner_pass_equals_finite_differences(sequences):
    """Along random directions of all parameters, in float64."""
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), variables().params)
        group = (np.asarray(sequences.records[0, :WIDTH], float), np.eye(3))
        value = jax.jit(lambda params: group_loss(params, group))
        analytic = jax.jit(jax.grad(value))(params)
        for _ in range(3):
            direction = jax.tree.map(lambda x: rng.normal(size=x.shape), params)
            step = jax.tree.map(lambda x: 1e-6 * x, direction)
            up = value(jax.tree.map(jnp.add, params, step))
            down = value(jax.tree.map(jnp.subtract, params, step))
            along = optax.tree.vdot(analytic, direction)
            np.testing.assert_allclose(along, (up - down) / 2e-6, rtol=1e-5, atol=1e-7)


def test_episodic_update_is_a_step_along_the_gradient(easy_tasks):
    made, start = learner(), variables()
    update = updates.episodic(made, optax.sgd(0.5))
    after, _, metrics = jax.jit(update.apply)(
        start, update.init(start.params), easy_tasks, jax.random.key(0)
    )
    (value, _), slope = jax.jit(jax.value_and_grad(made.loss, has_aux=True))(
        *start, easy_tasks, jax.random.key(0)
    )
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-5)
    norm = np.sqrt(sum((np.asarray(g) ** 2).sum() for g in jax.tree.leaves(slope)))
    np.testing.assert_allclose(metrics["gradient_norm"], norm, rtol=1e-4)
    for p, g, q in zip(*map(jax.tree.leaves, (start.params, slope, after.params))):
        np.testing.assert_allclose(q, p - 0.5 * g, rtol=1e-4, atol=1e-5)
