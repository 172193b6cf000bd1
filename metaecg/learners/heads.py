"""Learners that embed each record by itself and then compare: an encoder and a head."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from metaecg import losses
from metaecg.types import Array, ArrayTree, Learner, Limits, Task, Variables

_ANY = Limits()


def embed_functions(encoder: nn.Module):
    """Returns (train, infer): records in a batch of tasks [B, N, ...] to embeddings [B, N, D].

    The encoder takes all records of all tasks as one flat batch, so that BatchNorm means the same
    for every learner and on any number of devices.
    """

    def train(params: ArrayTree, state: ArrayTree, records: Array, key: Array):
        flat = records.reshape(-1, *records.shape[2:])
        embeddings, state = encoder.apply(
            {"params": params, **state},
            flat,
            train=True,
            mutable=list(state),
            rngs={"dropout": key},
        )
        return embeddings.reshape(*records.shape[:2], -1), state

    def infer(params: ArrayTree, state: ArrayTree, records: Array) -> Array:
        return encoder.apply({"params": params, **state}, records)

    return train, infer


def begin(encoder: nn.Module, key: Array, records: Array) -> tuple[ArrayTree, ArrayTree, Array]:
    """The encoder's first parameters and state, and zeros in place of the embeddings of records."""
    state = dict(encoder.init(key, records[:1]))
    params = state.pop("params", {})
    like = jax.eval_shape(encoder.apply, {"params": params, **state}, records)
    return params, state, jnp.zeros(like.shape, like.dtype)


def from_head(
    encoder: nn.Module,
    head: nn.Module,
    *,
    limits: Limits = _ANY,
    conditions: bool = False,
) -> Learner:
    """A learner from an encoder and a head over embeddings, both Linen modules.

    Args:
      encoder: `encoder(records [N, ...], train=...) -> [N, D]`.
      head: `head(task) -> logits [Q, W]` for one task whose records are embeddings.
      limits: what the head can read of a support; by default, anything in any order.
      conditions: labels are multi-hot over a fixed vocabulary, and the loss is sigmoid, instead of
        slots of the episode and softmax.
    """
    embed_train, embed = embed_functions(encoder)
    objective = losses.binary_cross_entropy if conditions else losses.cross_entropy

    def init(key: Array, tasks: Task) -> Variables:
        encoder_key, head_key = jax.random.split(key)
        task = jax.tree.map(lambda x: x[0], tasks)
        params, state, embeddings = begin(encoder, encoder_key, task.records)
        head_params = head.init(head_key, task._replace(records=embeddings)).get("params", {})
        return Variables({"encoder": params, "head": head_params}, state)

    def logits(params: ArrayTree, tasks: Task) -> Array:
        return jax.vmap(lambda task: head.apply({"params": params["head"]}, task))(tasks)

    def loss(params: ArrayTree, state: ArrayTree, tasks: Task, key: Array):
        embeddings, state = embed_train(params["encoder"], state, tasks.records, key)
        predicted = logits(params, tasks._replace(records=embeddings))
        labels = query_labels(tasks)
        metrics = {} if conditions else {"accuracy": losses.accuracy(predicted, labels).mean()}
        return objective(predicted, labels).mean(), (state, metrics)

    def classify(params: ArrayTree, state: ArrayTree, tasks: Task) -> Array:
        del state
        predicted = logits(params, tasks)
        return jax.nn.log_sigmoid(predicted) if conditions else jax.nn.log_softmax(predicted)

    return embedding_learner(
        init, loss, lambda p, s, x: embed(p["encoder"], s, x), classify, limits
    )


def embedding_learner(init, loss, embed, classify, limits: Limits = _ANY) -> Learner:
    """A learner whose `predict` is `classify` after `embed`; both stay reachable by themselves."""

    def predict(params: ArrayTree, state: ArrayTree, tasks: Task) -> Array:
        flat = tasks.records.reshape(-1, *tasks.records.shape[2:])
        embeddings = embed(params, state, flat).reshape(*tasks.records.shape[:2], -1)
        return classify(params, state, tasks._replace(records=embeddings))

    return Learner(init, predict, loss, embed, classify, limits)


def query_labels(tasks: Task) -> Array:
    """Returns the labels of the queries, float32 [B, Q, W]."""
    return jnp.take_along_axis(tasks.labels, tasks.query[..., None], axis=-2)
