"""Update rules: a way to turn a batch of tasks into better parameters, for any learner.

episodic      the gradient of the episodes' loss into an optimiser, as SNAIL is usually trained
trajectory    the source's: meta-parameters along a sample sequence into a meta-optimiser
reptile       a trajectory of one group, the whole sequence (Nichol et al. 2018)
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from metaecg.episodes import tasks as tasks_lib
from metaecg.episodes import windows
from metaecg.train.meta import advance, descend, minimise
from metaecg.types import Array, ArrayTree, Learner, Task, Variables


class Update(NamedTuple):
    """A way to turn tasks into better parameters; any learner, any training loop.

    Attributes:
      init: params -> opt_state.
      apply: (variables, opt_state, tasks, key) -> (variables, opt_state, metrics).
    """

    init: Callable[[ArrayTree], ArrayTree]
    apply: Callable[..., tuple[Variables, ArrayTree, dict[str, Array]]]


def episodic(learner: Learner, optimizer: optax.GradientTransformation) -> Update:
    """The usual update: the gradient of the mean episode loss into an optimiser."""

    def apply(variables: Variables, opt_state, tasks: Task, key: Array):
        def loss(params):
            return learner.loss(params, variables.state, tasks, key)

        (value, (state, metrics)), gradient = jax.value_and_grad(loss, has_aux=True)(
            variables.params
        )
        params, opt_state = descend(
            variables.params, opt_state, optimizer, gradient, value, lambda params: loss(params)[0]
        )
        metrics = {"loss": value, "gradient_norm": optax.tree.norm(gradient), **metrics}
        return Variables(params, state), opt_state, metrics

    return Update(optimizer.init, apply)


def trajectory(
    learner: Learner,
    meta_optimizer: optax.GradientTransformation,
    *,
    inner: optax.GradientTransformation,
    width: int | None,
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
      width: records in a window; None takes the whole sequence as the only one.
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
        groups = windows(length, width or length)

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


def reptile(
    learner: Learner, meta_optimizer: optax.GradientTransformation, **options: Any
) -> Update:
    """Reptile: a trajectory of one group, the whole sequence; options as of `trajectory`."""
    return trajectory(learner, meta_optimizer, width=None, **options)
