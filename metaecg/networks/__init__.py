"""Networks as Linen modules, whose `init` and `apply` are pure functions."""

from metaecg.networks.encoders import ENCODERS, Convolutional, Frames, Residual, Wide, encoder
from metaecg.networks.snail import Snail

__all__ = ["ENCODERS", "Convolutional", "Frames", "Residual", "Snail", "Wide", "encoder"]
