"""Few-shot learners, each a `Learner` of pure functions: a file, and an entry in `registry`."""

from metaecg.learners.heads import from_head
from metaecg.learners.maml import anil, maml
from metaecg.learners.matching import matching
from metaecg.learners.protonet import Prototypes, protonet
from metaecg.learners.registry import LEARNERS, Entry, Sizes
from metaecg.learners.ridge import ridge
from metaecg.learners.snail import snail
from metaecg.learners.supervised import supervised
from metaecg.learners.transformer import transformer

__all__ = [
    "LEARNERS",
    "Entry",
    "Prototypes",
    "Sizes",
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
