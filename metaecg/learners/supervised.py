"""The yardstick: an encoder trained on all conditions at once, then the nearest centroid."""

import flax.linen as nn
import jax

from metaecg import losses
from metaecg.learners.heads import begin, embed_functions, embedding_learner
from metaecg.learners.protonet import Prototypes
from metaecg.types import Array, ArrayTree, Learner, Limits, Task, Variables


def supervised(encoder: nn.Module, *, num_conditions: int, cosine: bool = False) -> Learner:
    """Multi-label training of the encoder; episodes are answered by the nearest centroid.

    Args:
      encoder: records to embeddings.
      num_conditions: size C of the training vocabulary; the loss takes tasks of
        `tasks.batch_of_records` with multi-hot labels [N, C].
      cosine: compare by angle instead of Euclidean distance.
    """
    embed_train, embed = embed_functions(encoder)
    probe, centroids = nn.Dense(num_conditions), Prototypes(cosine)

    def init(key: Array, tasks: Task) -> Variables:
        encoder_key, probe_key = jax.random.split(key)
        params, state, embeddings = begin(encoder, encoder_key, tasks.records[0])
        head = probe.init(probe_key, embeddings)["params"]
        return Variables({"encoder": params, "head": head}, state)

    def loss(params: ArrayTree, state: ArrayTree, tasks: Task, key: Array):
        embeddings, state = embed_train(params["encoder"], state, tasks.records, key)
        logits = probe.apply({"params": params["head"]}, nn.relu(embeddings))
        return losses.binary_cross_entropy(logits, tasks.labels).mean(), (state, {})

    def classify(params: ArrayTree, state: ArrayTree, tasks: Task) -> Array:
        logits: Array = jax.vmap(lambda task: centroids.apply({}, task))(tasks)
        return jax.nn.log_softmax(logits)

    return embedding_learner(
        init,
        loss,
        lambda p, s, x: nn.relu(embed(p["encoder"], s, x)),
        classify,
        Limits(inner_products=True),
    )
