"""SNAIL as a learner: the source's model, an encoder under the two-stream network."""

import flax.linen as nn

from metaecg.learners.heads import from_head
from metaecg.networks import Snail
from metaecg.types import Learner, Limits


def snail(
    encoder: nn.Module, *, way: int, length: int, conditions: bool = False, **options
) -> Learner:
    """SNAIL over embeddings (Mishra et al. 2018; [0043-0047]).

    Args:
      encoder: records to embeddings.
      way: slots W of the output, or conditions C where labels are global.
      length: positions in the longest sequence: way · shot + 1.
      conditions: the labels are a binary sequence per record over a fixed vocabulary [0052].
      **options: of `networks.Snail`. Conditions have no prototypes to correct: their answer is the
        network's alone.
    """
    if conditions:
        options["closed_form"] = "none"
    network = Snail(way=way, length=length, **options)
    limits = Limits(slots=way, longest=length - 1, ordered=True)
    return from_head(encoder, network, limits=limits, conditions=conditions)
