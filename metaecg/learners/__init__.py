"""Few-shot learners, each a `Learner` of pure functions; adding one is adding a file."""

from metaecg.learners.heads import from_head
from metaecg.learners.maml import anil, maml
from metaecg.learners.matching import matching
from metaecg.learners.protonet import Prototypes, protonet
from metaecg.learners.ridge import ridge
from metaecg.learners.snail import snail
from metaecg.learners.supervised import supervised
from metaecg.learners.transformer import transformer

__all__ = [
    "Prototypes",
    "anil",
    "from_head",
    "maml",
    "matching",
    "protonet",
    "ridge",
    "snail",
    "supervised",
    "transformer",
]
