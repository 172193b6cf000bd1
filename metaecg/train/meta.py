"""Meta-updates: the source's trajectory of meta-parameters and its optimiser, and the usual one.

    θ_i = argmin_θ L(θ; group i), from θ_{i−1}        `meta_parameters`   [0045, 0053-0056]
    φ ← φ + optimiser(φ − θ_i), i = 1 … n, φ = θ_0      `meta_optimise`     [0048, 0057]
    θ* = φ                                             [0049]

With SGD of rate α the second line is φ ← (1−α)φ + αθ_i; with n = 1 it is Reptile.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from metaecg.episodes import tasks as tasks_lib
from metaecg.episodes import windows
from metaecg.types import Array, ArrayTree, Learner, Task, Variables


class Update(NamedTuple):
    """A way to turn tasks into better parameters; any learner, any training loop.

    Attributes:
      init: params -> opt_state.
      apply: (variables, opt_state, tasks, key) -> (variables, opt_state, metrics).
    """

    init: Callable[[ArrayTree], ArrayTree]
    apply: Callable[..., tuple[Variables, ArrayTree, dict[str, Array]]]


class Report(NamedTuple):
    """How well a group's loss was minimised: all float [], or [n] along a trajectory.

    Attributes:
      before: loss of group i at θ_{i−1}.
      after: loss of group i at θ_i.
      gradient_norm: at the last inner step's start.
    """

    before: Array
    after: Array
    gradient_norm: Array


def minimise(
    loss: Callable[[ArrayTree, Any], Array],
    theta: ArrayTree,
    group: Any,
    optimizer: optax.GradientTransformation,
    state: ArrayTree,
    *,
    steps: int,
) -> tuple[ArrayTree, ArrayTree, Report]:
    """Moves θ towards the minimum of one group's loss: `steps` updates stand for the argmin [0045].

    Args:
      loss: (params, group) -> float [], the expected loss over the group's label pairs.
      theta: where to start, θ_{i−1}.
      group: sample group i.
      optimizer, state: inner optimiser, and its state.
      steps: updates.

    Returns:
      (θ_i, the optimiser's state, report).
    """

    def step(carry, _):
        theta, state = carry
        value, gradient = jax.value_and_grad(loss)(theta, group)
        updates, state = optimizer.update(gradient, state, theta)
        return (optax.apply_updates(theta, updates), state), (value, optax.tree.norm(gradient))

    (theta, state), (values, norms) = lax.scan(step, (theta, state), None, length=steps)
    return theta, state, Report(values[0], loss(theta, group), norms[-1])


def meta_parameters(
    loss: Callable[[ArrayTree, Any], Array],
    theta_0: ArrayTree,
    groups: Any,
    optimizer: optax.GradientTransformation,
    *,
    steps: int = 1,
    with_report: bool = False,
):
    """The trajectory θ_1 … θ_n of one sample sequence [0053-0056].

    Args:
      loss: (params, group) -> float [], the expected loss over a group's label pairs.
      theta_0: initial parameters.
      groups: pytree whose leaves have a leading axis n, the sample groups in order.
      optimizer: inner optimiser; its state is carried from group to group.
      steps: inner updates on each group.
      with_report: also return a `Report` with leaves [n].

    Returns:
      Pytree like `theta_0` with a leading axis n; θ_i minimises group i, starting from θ_{i−1}.
    """

    def visit(carry, group):
        theta, state, report = minimise(loss, carry[0], group, optimizer, carry[1], steps=steps)
        return (theta, state), (theta, report)

    _, (trajectory, report) = lax.scan(visit, (theta_0, optimizer.init(theta_0)), groups)
    return (trajectory, report) if with_report else trajectory


def meta_optimise(
    theta_0: ArrayTree,
    trajectory: ArrayTree,
    optimizer: optax.GradientTransformation,
    state: ArrayTree | None = None,
) -> tuple[ArrayTree, ArrayTree]:
    """The meta-optimiser: θ_0, then θ_1 … θ_n one after another, to the optimum θ* [0048, 0057].

    Args:
      theta_0: initial parameters, φ's start.
      trajectory: pytree with a leading axis n, as `meta_parameters` returns.
      optimizer: any optax transform; it is fed the pseudo-gradients φ − θ_i.
      state: its state from the sequences before; None starts anew.

    Returns:
      (θ*, state).

    Example:
      >>> theta_star, _ = meta_optimise(jnp.float32(0), jnp.array([1.0, 1.0]), optax.sgd(0.5))
      >>> float(theta_star)
      0.75
    """
    state = optimizer.init(theta_0) if state is None else state

    def visit(carry, theta):
        phi, state = carry
        return advance(phi, state, theta, optimizer), None

    return lax.scan(visit, (theta_0, state), trajectory)[0]


def advance(phi, state, theta, optimizer):
    """One update of the meta-optimiser, fed φ − θ_i; returns (φ, state)."""
    updates, state = optimizer.update(optax.tree.sub(phi, theta), state, phi)
    return optax.apply_updates(phi, updates), state


def trajectory(
    learner: Learner,
    meta_optimizer: optax.GradientTransformation,
    *,
    inner: optax.GradientTransformation,
    width: int,
    steps: int = 1,
    permute_slots: bool = False,
    carry_inner: bool = False,
) -> Update:
    """The source's update: tasks are sample sequences, and every window of them a group.

    The trajectory is folded into φ as it goes, so that memory does not grow with its length. Where
    there are several sequences, each walks its own trajectory from the same θ_0, and the mean of
    their θ_i is what the meta-optimiser receives as the i-th.

    Args:
      learner: any learner; each record of a window is predicted from those before it.
      meta_optimizer: SGD or Adam in the source; any optax transform.
      inner: optimiser of a group's loss.
      width: records in a window.
      steps: inner updates on each group.
      permute_slots: name the slots anew in every group. Neighbouring groups share most of their
        records: where these keep their slots, θ_i learns them by heart instead of learning to
        read them from the context, and θ* knows nothing of other sequences.
      carry_inner: hand the inner optimiser's state (Adam's averages, the step of a schedule) from
        each batch of sequences to the next, its mean over the batch, instead of starting anew.
    """

    def apply(variables: Variables, opt_state, tasks: Task, key: Array):
        theta_0, (count, length) = variables.params, tasks.records.shape[:2]
        opt_state, inner_state = opt_state
        groups = windows(length, width)

        def walk(theta, state, inner_state, records, labels, at, key):
            labels = labels[at]
            if permute_slots:
                key, slot_key = jax.random.split(key)
                labels = jax.random.permutation(slot_key, labels, axis=1)
            group = jax.tree.map(lambda x: x[None], tasks_lib.group(records[at], labels))

            def loss(params, group):
                return learner.loss(params, state, group, key)[0]

            theta, inner_state, report = minimise(
                loss, theta, group, inner, inner_state, steps=steps
            )
            state = learner.loss(theta, state, group, key)[1][0]
            return theta, state, inner_state, report

        def visit(carry, group):
            thetas, states, inner_states, phi, opt_state = carry
            at, key = group
            keys = jax.random.split(key, count)
            thetas, states, inner_states, report = jax.vmap(walk, (0, 0, 0, 0, 0, None, 0))(
                thetas, states, inner_states, tasks.records, tasks.labels, at, keys
            )
            mean = mean_over_sequences(thetas)
            phi, opt_state = advance(phi, opt_state, mean, meta_optimizer)
            distance = optax.tree.norm(optax.tree.sub(mean, theta_0))
            report = jax.tree.map(jnp.mean, report)
            return (thetas, states, inner_states, phi, opt_state), (report, distance)

        def repeat(tree: ArrayTree) -> ArrayTree:
            return jax.tree.map(lambda x: jnp.repeat(x[None], count, 0), tree)

        def mean_over_sequences(tree: ArrayTree) -> ArrayTree:
            return jax.tree.map(lambda x: x.mean(0).astype(x.dtype), tree)

        carry = (*map(repeat, (theta_0, variables.state, inner_state)), theta_0, opt_state)
        keys = jax.random.split(key, len(groups))
        carry, (report, distance) = lax.scan(visit, carry, (groups, keys))
        _, states, inner_states, phi, opt_state = carry
        state = mean_over_sequences(states)
        if carry_inner:
            inner_state = mean_over_sequences(inner_states)
        metrics = {
            "loss": report.before.mean(),
            "loss_after": report.after.mean(),
            "gradient_norm": report.gradient_norm.mean(),
            "distance": distance[-1],
        }
        return Variables(phi, state), (opt_state, inner_state), metrics

    def init(params: ArrayTree):
        return meta_optimizer.init(params), inner.init(params)

    return Update(init, apply)


def episodic(learner: Learner, optimizer: optax.GradientTransformation) -> Update:
    """The usual update: the gradient of the mean episode loss into an optimiser."""

    def apply(variables: Variables, opt_state, tasks: Task, key: Array):
        (loss, (state, metrics)), gradient = jax.value_and_grad(learner.loss, has_aux=True)(
            variables.params, variables.state, tasks, key
        )
        updates, opt_state = optimizer.update(gradient, opt_state, variables.params)
        params = optax.apply_updates(variables.params, updates)
        metrics = {"loss": loss, "gradient_norm": optax.tree.norm(gradient), **metrics}
        return Variables(params, state), opt_state, metrics

    return Update(optimizer.init, apply)
