"""Ridge regression as a learner: a classifier in closed form, trained through (R2-D2)."""

import flax.linen as nn

from metaecg.learners import probes
from metaecg.learners.heads import from_head
from metaecg.networks.layers import positive
from metaecg.types import Array, Learner, Limits, Task


class Ridge(nn.Module):
    """`probes.ridge` whose penalty and scale are learned (Bertinetto et al. 2019, section 3).

    All queries see all of the support. With a few hundred episodes on a frozen encoder the two
    numbers make the answers mean what they say; end to end the encoder learns to be read so.
    """

    strength: float = 2.0
    scale: float = 8.0

    @nn.compact
    def __call__(self, task: Task) -> Array:
        """Returns logits [Q, W] of one task whose records are embeddings."""
        strength = positive(self, "log_strength", self.strength)
        return probes.ridge(task, strength, positive(self, "log_scale", self.scale))


def ridge(encoder: nn.Module) -> Learner:
    """Ridge regression on any encoder, for any way and shot."""
    return from_head(encoder, Ridge(), limits=Limits(inner_products=True))
