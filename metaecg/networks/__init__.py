"""Networks as Linen modules, whose `init` and `apply` are pure functions."""

from metaecg.networks.encoders import (
    ENCODERS,
    Convolutional,
    Frames,
    Identity,
    Residual,
    Whitened,
    Wide,
    encoder,
    has_option,
)
from metaecg.networks.snail import Snail
from metaecg.networks.transformer import Transformer

__all__ = [
    "ENCODERS",
    "Convolutional",
    "Frames",
    "Identity",
    "Residual",
    "Snail",
    "Transformer",
    "Whitened",
    "Wide",
    "encoder",
    "has_option",
]
