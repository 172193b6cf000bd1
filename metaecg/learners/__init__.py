"""Few-shot learners, each a `Learner` of pure functions; adding one is adding a file."""

from metaecg.learners.embedded import from_head
from metaecg.learners.maml import maml
from metaecg.learners.protonet import Prototypes, protonet
from metaecg.learners.snail import snail
from metaecg.learners.supervised import supervised

__all__ = ["Prototypes", "from_head", "maml", "protonet", "snail", "supervised"]
