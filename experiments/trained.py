"""A trained run, read back from its work directory: no data and no optimiser needed."""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_collections

from experiments import assemble, workdir
from metaecg.checkpoints import Checkpoints
from metaecg.errors import MetaecgError
from metaecg.types import Learner, Variables


class Trained(NamedTuple):
    """What a run learned.

    Attributes:
      config: its settings.
      facts: what else config.json says: record shape, classes of each part, fingerprints.
      learner: its functions.
      slots: width of the labels they take.
      variables: its best by validation.
      step: the step they are of.
    """

    config: ml_collections.ConfigDict
    facts: dict[str, Any]
    learner: Learner
    slots: int
    variables: Variables
    step: int


def load(folder: Path) -> Trained:
    """Reads the best checkpoint of a work directory.

    Raises:
      MetaecgError: the folder holds no run, or no checkpoint yet.
    """
    facts = workdir.load(folder)
    config = workdir.load_config(folder)
    conditions = len(facts["classes"]["train"])
    run = assemble.experiment(config, conditions)
    checkpoints = Checkpoints(folder / "checkpoints" / "best", keep=1)
    restored = checkpoints.restore_variables(_shapes(run.learner, facts, run.slots))
    checkpoints.close()
    if restored is None:
        raise MetaecgError(f"{folder}/checkpoints/best: no checkpoint yet; train first")
    variables, meta = restored
    return Trained(config, facts, run.learner, run.slots, variables, meta["best_step"])


def untrained(trained: Trained, seed: int = 0) -> Trained:
    """The same encoder with random weights under the nearest centroid: what training adds to."""
    config = ml_collections.ConfigDict({**trained.config.to_dict(), "learner": "protonet"})
    run = assemble.experiment(config, 1)
    record = trained.facts["record"]
    task = assemble.example_task(record["samples"], len(record["leads"]), trained.slots)
    variables = run.learner.init(jax.random.key(seed), task)
    return Trained(config, trained.facts, run.learner, trained.slots, variables, 0)


def _shapes(learner: Learner, facts: dict[str, Any], labels: int) -> Variables:
    record = facts["record"]
    task = assemble.example_task(record["samples"], len(record["leads"]), labels)
    return jax.eval_shape(learner.init, jax.random.key(0), task)
