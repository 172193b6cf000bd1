"""Learners that adapt by gradient: MAML, FOMAML, ANIL, and the classifier that Reptile trains."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from metaecg import losses
from metaecg.learners.heads import begin, from_head
from metaecg.types import Array, ArrayTree, Learner, Limits, Task, Variables


def support_loss(logits: Array, task: Task) -> Array:
    """Mean cross-entropy of the support's records, logits [S, W]; padding does not count."""
    real = (task.support >= 0)[:, None]
    labels = task.labels[task.support] * real
    log_probs = jax.nn.log_softmax(logits)
    return -jnp.sum(jnp.where(labels > 0, labels * log_probs, 0)) / jnp.maximum(real.sum(), 1)


def descend(
    loss: Callable[[ArrayTree], Array],
    params: ArrayTree,
    rate: float,
    steps: int,
    first_order: bool = False,
) -> ArrayTree:
    """Parameters after `steps` steps down the gradient; first order drops second derivatives."""

    def step(params: ArrayTree, _):
        gradient = jax.grad(loss)(params)
        if first_order:
            gradient = lax.stop_gradient(gradient)
        return jax.tree.map(lambda p, g: p - rate * g, params, gradient), None

    return lax.scan(step, params, None, length=steps)[0]


def maml(
    encoder: nn.Module,
    *,
    way: int,
    rate: float = 0.05,
    steps: int = 5,
    first_order: bool = False,
    through_adaptation: bool = True,
) -> Learner:
    """An encoder and a linear layer that descend the support's loss before they answer.

    Args:
      encoder: its running averages, if it has any, stay as they are, so that a record's logits do
        not depend on the others of its batch: start from an encoder that learned them.
      way: slots W.
      rate: of the inner gradient descent.
      steps: inner updates, in training and in prediction.
      first_order: drop second derivatives (FOMAML; Finn et al. 2017, section 5.2).
      through_adaptation: train the loss of the queries after adaptation (MAML). Otherwise train
        the plain loss of all records, which is the task loss of Reptile (Nichol et al. 2018).
    """
    probe = nn.Dense(way, kernel_init=nn.initializers.zeros)

    def init(key: Array, tasks: Task) -> Variables:
        params, state, embeddings = begin(encoder, key, tasks.records[0])
        head = probe.init(key, embeddings)["params"]
        return Variables({"encoder": params, "head": head}, state)

    def logits(params: ArrayTree, state: ArrayTree, task: Task, rows: Array) -> Array:
        variables = {"params": params["encoder"], **state}
        embeddings: Array = encoder.apply(variables, task.records[rows])
        scores: Array = probe.apply({"params": params["head"]}, nn.relu(embeddings))
        return jnp.where(jnp.arange(way) < task.way, scores, -jnp.inf)

    def adapt(params: ArrayTree, state: ArrayTree, task: Task) -> ArrayTree:
        def inner(params: ArrayTree) -> Array:
            return support_loss(logits(params, state, task, task.support), task)

        return descend(inner, params, rate, steps, first_order)

    def loss(params: ArrayTree, state: ArrayTree, tasks: Task, key: Array):
        del key

        def one(task: Task) -> tuple[Array, Array]:
            adapted = adapt(params, state, task) if through_adaptation else params
            predicted = logits(adapted, state, task, task.query)
            labels = task.labels[task.query]
            return losses.cross_entropy(predicted, labels), losses.accuracy(predicted, labels)

        values, accuracy = jax.vmap(one)(tasks)
        return values.mean(), (state, {"accuracy": accuracy.mean()})

    def predict(params: ArrayTree, state: ArrayTree, tasks: Task) -> Array:
        def one(task: Task) -> Array:
            adapted = adapt(params, state, task)
            return jax.nn.log_softmax(logits(adapted, state, task, task.query))

        # One after another is a fifth faster on a CPU, and an answer, unlike a step of training, is
        # not spread over devices.
        return lax.platform_dependent(
            tasks, cpu=lambda tasks: lax.map(one, tasks), default=jax.vmap(one)
        )

    return Learner(init, predict, loss, limits=Limits(slots=way))


class AdaptedLinear(nn.Module):
    """A linear layer that descends the support's loss before it answers; all queries see it all.

    Its parameters are where the descent starts, and are learned through it.
    """

    way: int
    rate: float = 0.05
    steps: int = 5

    @nn.compact
    def __call__(self, task: Task) -> Array:
        """Returns logits [Q, W] of one task whose records are embeddings."""
        features = nn.relu(task.records)
        kernel = self.param(
            "kernel", nn.initializers.zeros, (features.shape[-1], self.way), jnp.float32
        )
        bias = self.param("bias", nn.initializers.zeros, (self.way,), jnp.float32)
        used = jnp.arange(self.way) < task.way

        def logits(head: ArrayTree, rows: Array) -> Array:
            return jnp.where(used, features[rows] @ head[0] + head[1][None], -jnp.inf)

        def inner(head: ArrayTree) -> Array:
            return support_loss(logits(head, task.support), task)

        return logits(descend(inner, (kernel, bias), self.rate, self.steps), task.query)


def anil(encoder: nn.Module, *, way: int, rate: float = 0.05, steps: int = 5) -> Learner:
    """MAML whose inner loop moves the last layer alone (Raghu et al. 2020, ANIL).

    A record's embedding does not depend on the episode, so that any encoder serves.

    Args:
      encoder: records to embeddings.
      way: slots W.
      rate, steps: of the inner gradient descent, in training and in prediction.
    """
    return from_head(encoder, AdaptedLinear(way, rate, steps), limits=Limits(slots=way))
