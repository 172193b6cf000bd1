"""Networks as Linen modules, whose `init` and `apply` are pure functions."""

from metaecg.networks.beat_network import Beat
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
from metaecg.networks.views import VIEWS, Views, views

__all__ = [
    "ENCODERS",
    "VIEWS",
    "Beat",
    "Convolutional",
    "Frames",
    "Identity",
    "Residual",
    "Snail",
    "Transformer",
    "Views",
    "Whitened",
    "Wide",
    "encoder",
    "has_option",
    "views",
]
