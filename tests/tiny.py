"""The least encoder that has everything: parameters, and running averages if asked for."""

import flax.linen as nn


class Tiny(nn.Module):
    """Linear, BatchNorm, tanh."""

    features: int = 8
    norm: bool = True

    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.Dense(self.features)(x.reshape(x.shape[0], -1))
        if self.norm:
            x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        return nn.tanh(x)
