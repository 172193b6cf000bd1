"""Networks as Linen modules, whose `init` and `apply` are pure functions."""

from metaecg.networks.encoders import ENCODERS, Frames, Residual, Small, Wide, encoder
from metaecg.networks.snail import Snail

__all__ = ["ENCODERS", "Frames", "Residual", "Small", "Snail", "Wide", "encoder"]
