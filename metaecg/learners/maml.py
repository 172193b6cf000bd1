"""Learners that adapt by gradient: MAML, FOMAML, and the classifier that Reptile trains."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from metaecg import losses
from metaecg.types import Array, ArrayTree, Learner, Task, Variables


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
      encoder: without running averages (norm 'group'): a record's logits must not depend on the
        others of its batch.
      way: slots W.
      rate: of the inner gradient descent.
      steps: inner updates, in training and in prediction.
      first_order: drop second derivatives (FOMAML; Finn et al. 2017, section 5.2).
      through_adaptation: train the loss of the queries after adaptation (MAML). Otherwise train
        the plain loss of all records, which is the task loss of Reptile (Nichol et al. 2018).
    """
    probe = nn.Dense(way, kernel_init=nn.initializers.zeros)

    def init(key: Array, tasks: Task) -> Variables:
        variables = dict(encoder.init(key, tasks.records[0, :1]))
        params = variables.pop("params", {})
        if variables:
            raise ValueError("maml needs an encoder without running averages: norm='group'")
        embeddings = jax.eval_shape(encoder.apply, {"params": params}, tasks.records[0, :1])
        head = probe.init(key, jnp.zeros(embeddings.shape))["params"]
        return Variables({"encoder": params, "head": head}, variables)

    def logits(params: ArrayTree, task: Task, rows: Array) -> Array:
        embeddings: Array = encoder.apply({"params": params["encoder"]}, task.records[rows])
        scores: Array = probe.apply({"params": params["head"]}, nn.relu(embeddings))
        return jnp.where(jnp.arange(way) < task.way, scores, -jnp.inf)

    def support_loss(params: ArrayTree, task: Task) -> Array:
        real = (task.support >= 0)[:, None]
        log_probs = jax.nn.log_softmax(logits(params, task, task.support))
        labels = task.labels[task.support] * real
        return -jnp.sum(jnp.where(labels > 0, labels * log_probs, 0)) / jnp.maximum(real.sum(), 1)

    def adapt(params: ArrayTree, task: Task) -> ArrayTree:
        def step(params, _):
            gradient = jax.grad(support_loss)(params, task)
            if first_order:
                gradient = lax.stop_gradient(gradient)
            return jax.tree.map(lambda p, g: p - rate * g, params, gradient), None

        return lax.scan(step, params, None, length=steps)[0]

    def loss(params: ArrayTree, state: ArrayTree, tasks: Task, key: Array):
        del key

        def one(task: Task) -> tuple[Array, Array]:
            adapted = adapt(params, task) if through_adaptation else params
            predicted = logits(adapted, task, task.query)
            labels = task.labels[task.query]
            return losses.cross_entropy(predicted, labels), losses.accuracy(predicted, labels)

        values, accuracy = jax.vmap(one)(tasks)
        return values.mean(), (state, {"accuracy": accuracy.mean()})

    def predict(params: ArrayTree, state: ArrayTree, tasks: Task) -> Array:
        del state

        def one(task: Task) -> Array:
            return jax.nn.log_softmax(logits(adapt(params, task), task, task.query))

        return jax.vmap(one)(tasks)

    return Learner(init, predict, loss)
