"""SNAIL as a learner: the source's model, an encoder under the two-stream network."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from metaecg.learners.embedded import from_head
from metaecg.networks import Snail
from metaecg.types import Array, ArrayTree, Learner, Task, Variables


def snail(
    encoder: nn.Module, *, way: int, length: int, conditions: bool = False, **options
) -> Learner:
    """SNAIL over embeddings (Mishra et al. 2018; [0043-0047]).

    Args:
      encoder: records to embeddings.
      way: slots W of the output, or conditions C where labels are global.
      length: positions in the longest sequence: way · shot + 1.
      conditions: the labels are a binary sequence per record over a fixed vocabulary [0052].
      **options: of `networks.Snail`.
    """
    learner = from_head(encoder, Snail(way=way, length=length, **options), conditions=conditions)

    def init(key: Array, tasks: Task) -> Variables:
        variables = learner.init(key, tasks)
        params = {**variables.params, "head": _alike(variables.params["head"])}
        return variables._replace(params=params)

    return learner._replace(init=init)


def _alike(head: ArrayTree) -> ArrayTree:
    """Starts every attention's queries equal to its keys.

    Attention then begins as similarity of embeddings rather than as a random form, and finds the
    like-labelled records of the context within hundreds of episodes instead of many thousands.
    """
    return {
        name: {**block, "query": jax.tree.map(jnp.copy, block["key"])} if "key" in block else block
        for name, block in head.items()
    }
