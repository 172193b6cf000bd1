"""A trained run, read back from its work directory: no data and no optimiser needed."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np

from experiments.runs import build, workdir
from metaecg.data import protocols
from metaecg.data.library import Library
from metaecg.errors import MetaecgError
from metaecg.train.checkpoints import Checkpoints, digest
from metaecg.types import Learner, Task, Variables


class Trained(NamedTuple):
    """What a run learned.

    Attributes:
      config: its settings.
      facts: what else config.json says: record shape, classes of each part, fingerprints.
      learner: its functions.
      variables: its best by validation.
      step: the step they are of.
    """

    config: ml_collections.ConfigDict
    facts: dict[str, Any]
    learner: Learner
    variables: Variables
    step: int


def load(folder: Path) -> Trained:
    """Reads the best checkpoint of a work directory.

    Raises:
      MetaecgError: the folder holds no run, or no checkpoint yet; or it holds a head, and where
        its encoder came from is another by now.
    """
    facts = workdir.load(folder)
    config = workdir.load_config(folder)
    conditions = len(facts["classes"]["train"])
    learner = build.learner(config, conditions)
    width = build.width(config, conditions)
    like = jax.eval_shape(learner.init, jax.random.key(0), _example(facts, width))
    if config.freeze_encoder:  # the checkpoint holds the head; the encoder is where it came from
        kept = {k: v for k, v in like.state.items() if k == "whitening"}
        like = Variables({"encoder": {}, "head": like.params["head"]}, kept)
    checkpoints = Checkpoints(folder / "checkpoints" / "best", keep=1)
    restored = checkpoints.restore_variables(like)
    checkpoints.close()
    if restored is None:
        raise MetaecgError(f"{folder}/checkpoints/best: no checkpoint yet; train first")
    variables, meta = restored
    if config.freeze_encoder:
        where = workdir.other(folder, config.start_from)
        source = load(where).variables
        if facts.get("encoder") not in (None, encoder_digest(source)):
            raise MetaecgError(
                f"{folder}: its head was trained on another encoder than {where} now holds: train "
                "the head anew, in another folder"
            )
        params = {**variables.params, "encoder": source.params["encoder"]}
        variables = Variables(params, {**source.state, **variables.state})
    return Trained(config, facts, learner, variables, meta["best_step"])


def encoder_digest(variables: Variables) -> str:
    """sha256 of an encoder, whatever head is over it."""
    state = {k: v for k, v in variables.state.items() if k != "whitening"}
    return digest((variables.params["encoder"], state))


def check_form(trained: Trained, library: Library, name: str = "the run") -> None:
    """Asserts that a library's records have the form of those that a run was trained on.

    Args:
      trained: the run.
      library: what is to be given to it.
      name: what the message calls the run.

    Raises:
      MetaecgError: rate, length or leads differ; says both.
    """

    def words(hz: float, samples: int, leads: Sequence[str]) -> str:
        return f"{hz:g} Hz, {samples} samples, leads {' '.join(leads)}"

    record = trained.facts["record"]
    wanted = (record["hz"], record["samples"], record["leads"])
    mine = (library.hz, library.signals.shape[1], list(library.leads))
    if mine != wanted:
        raise MetaecgError(
            f"library: {words(*mine)}; {name} was trained on {words(*wanted)}: prepare it alike"
        )


def own_protocol(trained: Trained, library: Library) -> protocols.Protocol | None:
    """The protocol that a run was trained by, if `library` is its own and the file still there.

    Raises:
      MetaecgError: the file was edited since.
    """
    if not _is_of(trained, library):
        return None
    try:
        rules = protocols.load(trained.config.protocol)
    except MetaecgError:
        return None
    if trained.facts.get("protocol_digest") not in (None, rules.digest):
        raise MetaecgError(
            f"protocol {trained.config.protocol} was edited since a run was trained by it, and "
            "nobody can say which patients that run knows: bring the file back, or train anew"
        )
    return rules


def _is_of(trained: Trained, library: Library) -> bool:
    return trained.facts.get("library_fingerprint") == library.fingerprint


def check_unseen(
    trained: Trained,
    library: Library,
    splits: Iterable[protocols.Split],
    *,
    name: str,
    remedy: str,
    seen: bool = False,
) -> None:
    """Asserts that a run was trained on none of the classes and none of the patients of some parts.

    Patients can be told apart where the library is the one that it was trained on.

    Args:
      trained: the run.
      library: of the parts.
      splits: the parts.
      name: what the message calls the run.
      remedy: what the message advises where classes are shared.
      seen: the run may know the classes, and still not the patients.

    Raises:
      MetaecgError: it was; says of how many.
    """
    mine = None
    if rules := own_protocol(trained, library):
        mine = protocols.split(library, rules, "train").patients
    elif _is_of(trained, library):  # the classes are known all the same
        print(
            f"{name}: its patients cannot be compared with those to be measured, for its protocol "
            f"{trained.config.protocol} is not there any more"
        )
    for split in splits:
        shared = sorted(set(trained.facts["classes"]["train"]) & set(split.classes))
        if shared and not seen:
            raise MetaecgError(
                f"{name} was trained on {len(shared)} of the classes to be measured, such as "
                f"{shared[0]}; {remedy}"
            )
        if mine is not None and len(both := np.intersect1d(mine, split.patients)):
            raise MetaecgError(
                f"{name} was trained on {len(both)} of the patients to be measured: measure it by "
                f"its own protocol, {trained.config.protocol}"
            )


def untrained(trained: Trained, seed: int = 0) -> Trained:
    """The same encoder with random weights under the nearest centroid: what training adds to."""
    changed = {"learner": "protonet", "freeze_encoder": False}
    config = ml_collections.ConfigDict({**trained.config.to_dict(), **changed})
    learner = build.learner(config, 1)
    variables = learner.init(jax.random.key(seed), _example(trained.facts, config.way))
    return Trained(config, trained.facts, learner, variables, 0)


def fine_tuned(trained: Trained, **options: float) -> Trained:
    """The same encoder under a linear layer that starts at zero, both to descend each support.

    Args:
      trained: a run with an encoder.
      **options: config.maml's, such as rate and steps of the descent.
    """
    changed = {"learner": "finetune", "freeze_encoder": False, "whiten": False}
    config = ml_collections.ConfigDict({**trained.config.to_dict(), **changed})
    config.maml.update(options)
    learner = build.learner(config, 1)
    variables = learner.init(jax.random.key(0), _example(trained.facts, config.way))
    params = {**variables.params, "encoder": trained.variables.params["encoder"]}
    variables = Variables(params, {k: trained.variables.state[k] for k in variables.state})
    return Trained(config, trained.facts, learner, variables, trained.step)


def _example(facts: dict[str, Any], labels: int) -> Task:
    record = facts["record"]
    return build.example_task(record["samples"], len(record["leads"]), labels)
