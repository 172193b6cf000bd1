"""Training: from episodes to better parameters, on one device or many, without losing a step.

A step draws tasks from `Data` (`EpisodeDraw`, `RecordDraw`, `SequenceDraw`) and hands them to an
`Update` (`episodic`, `trajectory`, `reptile`); `init` makes the state, `train_step` and
`train_steps` move it. `meta_parameters` and `meta_optimise` are the source's own functions. The
modules `parallel` (devices and hosts) and `checkpoints` (Orbax) are imported by name.
"""

from metaecg.train.batches import Batch, Data, Draw, EpisodeDraw, Plan, RecordDraw, SequenceDraw
from metaecg.train.meta import Report, meta_optimise, meta_parameters, minimise
from metaecg.train.streaming import Rows, gather
from metaecg.train.training_step import init, train_step, train_steps
from metaecg.train.updates import Update, episodic, reptile, trajectory

__all__ = [
    "Batch",
    "Data",
    "Draw",
    "EpisodeDraw",
    "Plan",
    "RecordDraw",
    "Report",
    "Rows",
    "SequenceDraw",
    "Update",
    "episodic",
    "gather",
    "init",
    "meta_optimise",
    "meta_parameters",
    "minimise",
    "reptile",
    "train_step",
    "train_steps",
    "trajectory",
]
