"""Update rules take any optax transform, those that need the value of the loss as well."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

from metaecg.train import meta, training_step, updates
from metaecg.types import Learner, Task, Variables

NAMES = sorted(
    name
    for name, made in vars(optax).items()
    if inspect.isfunction(made)
    and made.__module__ == "optax._src.alias"
    and name != "optimistic_adam"  # deprecated in favour of optimistic_adam_v2
)


def alias(name):
    """The optimiser of an optax alias, at a rate of .01 where it takes one."""
    if name in ("lbfgs", "polyak_sgd"):
        return getattr(optax, name)()
    return getattr(optax, name)(0.01, **({"key": 0} if name == "noisy_sgd" else {}))


def bowl(theta, group):
    return jnp.sum((theta["a"] - group) ** 2) + jnp.sum(theta["b"] ** 2)


def test_the_aliases_are_found():
    assert {"adam", "sgd", "lbfgs", "polyak_sgd", "adafactor", "lion"} <= {*NAMES}
    assert len(NAMES) > 20


@pytest.mark.parametrize("name", NAMES)
def test_meta_parameters_and_meta_optimise_take_every_alias(name):
    optimizer = alias(name)
    start = {"a": jnp.array([1.0, -2.0]), "b": jnp.ones((2, 3))}
    groups = jnp.array([[0.0, 0.5], [0.2, 0.4], [0.1, 0.3]])

    @jax.jit
    def walk(start):
        thetas, report = meta.meta_parameters(
            bowl, start, groups, optimizer, steps=2, with_report=True
        )
        return thetas, report, meta.meta_optimise(start, thetas, optimizer)[0]

    thetas, report, star = walk(start)
    for tree in (thetas, report, star):
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(tree))
    assert (np.asarray(thetas["a"][-1]) != start["a"]).any()
    assert (np.asarray(star["a"]) != start["a"]).any()


@pytest.mark.parametrize("name", ["lbfgs", "polyak_sgd", "adam", "chain", "plateau"])
@pytest.mark.parametrize("rule", ["episodic", "trajectory", "reptile"])
def test_update_rules_take_optimisers_that_need_the_loss(name, rule):
    plateau = contrib.reduce_on_plateau(patience=2)
    chains = {
        "chain": lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.polyak_sgd()),
        "plateau": lambda: optax.chain(optax.sgd(0.01), plateau),
    }
    optimizer = chains[name]() if name in chains else alias(name)

    def loss(params, state, tasks, key):
        return jnp.mean((tasks.records - params["w"][None, None]) ** 2), (state, {})

    learner = Learner(lambda key, tasks: Variables({"w": jnp.zeros(2)}, {}), None, loss)
    one = jnp.zeros((2, 4), jnp.int32)
    tasks = Task(jnp.ones((2, 4, 2)), jnp.ones((2, 4, 2)), one, one, one, jnp.ones(2, jnp.int32))
    update = {
        "episodic": lambda: updates.episodic(learner, optimizer),
        "trajectory": lambda: updates.trajectory(learner, optimizer, inner=optimizer, width=2),
        "reptile": lambda: updates.reptile(learner, optimizer, inner=optimizer),
    }[rule]()
    state = training_step.init(learner, update, lambda *_: tasks, None, jax.random.key(0))
    step = jax.jit(
        lambda state: training_step.train_steps(
            state, None, jax.random.key(1), steps=3, draw=lambda *_: tasks, update=update
        )
    )
    after, metrics = step(state)
    assert int(after.skipped) == 0
    assert metrics["loss"][-1] < metrics["loss"][0]
    assert (np.asarray(after.variables.params["w"]) > 0).all()


def test_a_group_needs_an_update():
    with pytest.raises(ValueError, match="steps = 0: a group needs at least one inner update"):
        meta.meta_parameters(bowl, {"a": jnp.zeros(2)}, jnp.zeros((1, 2)), optax.sgd(1), steps=0)
