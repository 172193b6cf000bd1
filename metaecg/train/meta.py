"""The source's two functions: the trajectory of meta-parameters, and the optimiser that walks it.

    θ_i = argmin_θ L(θ; group i), from θ_{i−1}        `meta_parameters`   [0045, 0053-0056]
    φ ← φ + optimiser(φ − θ_i), i = 1 … n, φ = θ_0      `meta_optimise`     [0048, 0057]
    θ* = φ                                             [0049]

With SGD of rate α the second line is φ ← (1−α)φ + αθ_i; with n = 1 it is Reptile. Both take any
optax transform, and those that need the value of the loss, such as `optax.lbfgs`, as well.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax
from jax import lax

from metaecg.types import Array, ArrayTree


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

    Raises:
      ValueError: there is no update to make.
    """
    if steps < 1:
        raise ValueError(f"steps = {steps}: a group needs at least one inner update")

    def of_group(theta: ArrayTree) -> Array:
        return loss(theta, group)

    def step(carry, _):
        theta, state = carry
        value, gradient = jax.value_and_grad(of_group)(theta)
        theta, state = descend(theta, state, optimizer, gradient, value, of_group)
        return (theta, state), (value, optax.tree.norm(gradient))

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
      >>> import jax.numpy as jnp
      >>> import optax
      >>> theta_star, _ = meta_optimise(jnp.float32(0), jnp.array([1.0, 1.0]), optax.sgd(0.5))
      >>> float(theta_star)
      0.75
    """
    state = optimizer.init(theta_0) if state is None else state

    def visit(carry, theta):
        phi, state = carry
        return advance(phi, state, theta, optimizer), None

    return lax.scan(visit, (theta_0, state), trajectory)[0]


def advance(
    phi: ArrayTree, state: ArrayTree, theta: ArrayTree, optimizer: optax.GradientTransformation
) -> tuple[ArrayTree, ArrayTree]:
    """One update of the meta-optimiser, fed φ − θ_i, the gradient of ½‖φ − θ_i‖² [0057].

    Returns:
      (φ, state).
    """

    def loss(phi: ArrayTree) -> Array:
        return optax.tree.norm(optax.tree.sub(phi, theta), squared=True) / 2

    gradient = optax.tree.sub(phi, theta)
    return descend(phi, state, optimizer, gradient, loss(phi), loss)


def descend(
    params: ArrayTree,
    state: ArrayTree,
    optimizer: optax.GradientTransformation,
    gradient: ArrayTree,
    value: Array,
    loss: Callable[[ArrayTree], Array],
) -> tuple[ArrayTree, ArrayTree]:
    """One update by any optax transform, which is given all that some of them ask for.

    Args:
      params, state: the parameters, and the optimiser's state.
      optimizer: the optax transform.
      gradient, value: of the loss at `params`.
      loss: params -> float [], for optimisers that search along a line.

    Returns:
      (params, state).
    """
    update = optax.with_extra_args_support(optimizer).update
    updates, state = update(gradient, state, params, value=value, grad=gradient, value_fn=loss)
    return optax.apply_updates(params, updates), state
