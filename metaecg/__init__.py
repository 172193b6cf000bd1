"""Few-shot ECG diagnosis by meta-learning: pure functions in JAX.

    from metaecg import episodes, learners, losses, meta, networks

The rooms, from files to the answer: `data`, `episodes`, `networks`, `learners`, `train`,
`evaluate`, `diagnose`, `search` and `figures`. A room is loaded when it is first named.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metaecg import (
        data,
        diagnose,
        episodes,
        evaluate,
        figures,
        learners,
        losses,
        networks,
        search,
        train,
    )
    from metaecg.train import meta

NOTICE = "Research software, not a medical device."
__version__ = "0.2.0"
__all__ = [
    "NOTICE",
    "data",
    "diagnose",
    "episodes",
    "evaluate",
    "figures",
    "learners",
    "losses",
    "meta",
    "networks",
    "search",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'metaecg' has no attribute {name!r}")
    return importlib.import_module("metaecg.train.meta" if name == "meta" else f"metaecg.{name}")
