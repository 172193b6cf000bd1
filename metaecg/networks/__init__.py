"""Networks as Linen modules, whose `init` and `apply` are pure functions."""

from metaecg.networks.encoders import (
    ENCODERS,
    Convolutional,
    Frames,
    Identity,
    Residual,
    Wide,
    encoder,
)
from metaecg.networks.snail import Snail

__all__ = [
    "ENCODERS",
    "Convolutional",
    "Frames",
    "Identity",
    "Residual",
    "Snail",
    "Wide",
    "encoder",
]
