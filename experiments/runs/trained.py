"""A trained run, read back from its work directory: no data and no optimiser needed."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections

from experiments.configs import settings
from experiments.runs import ancestry as lineage
from experiments.runs import build, leak_guard, workdir
from metaecg.data import protocols
from metaecg.data.library import Library
from metaecg.diagnose.model import Form, Model
from metaecg.errors import MetaecgError
from metaecg.train.checkpoints import digest, restore_variables
from metaecg.types import Learner, Task, Variables


class Trained(NamedTuple):
    """What a run learned.

    Attributes:
      config: its settings.
      facts: what else config.json says: record shape, classes of each part, fingerprints.
      learner: its functions.
      variables: its best by validation.
      step: the step they are of.
      ancestry: what it and its ancestors were trained on; None of a run that was not read from a
        work directory, whose facts are all that is known.
    """

    config: ml_collections.ConfigDict
    facts: dict[str, Any]
    learner: Learner
    variables: Variables
    step: int
    ancestry: lineage.Ancestry | None = None


def load(folder: str | Path) -> Trained:
    """Reads the best checkpoint of a work directory.

    Raises:
      MetaecgError: the folder holds no run, or no checkpoint yet; or it holds a head, and where
        its encoder came from is another by now.
    """
    folder = Path(folder).expanduser()
    facts = workdir.load(folder)
    config = workdir.load_config(folder)
    conditions = len(facts["classes"]["train"])
    learner = build.learner(config, conditions, hz=facts["record"]["hz"])
    width = build.width(config, conditions)
    like = jax.eval_shape(learner.init, jax.random.key(0), _example(facts, width))
    if config.freeze_encoder:  # the checkpoint holds the head; the encoder is where it came from
        kept = {k: v for k, v in like.state.items() if k == "whitening"}
        like = Variables({"encoder": {}, "head": like.params["head"]}, kept)
    restored = restore_variables(folder / "checkpoints" / "best", like)
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
    return Trained(config, facts, learner, variables, meta["best_step"], lineage.read(folder))


def of_artefact(model: Model) -> Trained:
    """An exported model as a run: records lose offsets and are whole units, as when diagnosed."""
    predictor, form, known = model.predictor, model.form, model.provenance
    config = settings.default()
    config.protocol = str(known.get("protocol", ""))
    facts = {
        "record": {"hz": form.hz, "samples": form.samples, "leads": list(form.leads)},
        "library_fingerprint": known.get("library"),
        "protocol_digest": known.get("protocol_sha256"),
        "model": model.origin,
    }

    def embed(params, state, records):
        del params, state  # the predictor has its own
        units = (records - jnp.median(records, axis=1, keepdims=True)) / form.scale
        return predictor.embed(jnp.round(units) * form.scale)

    def classify(params, state, tasks):
        del params, state
        return predictor.classify(tasks)

    def refuse(*_):
        raise MetaecgError("an exported model cannot be trained")

    learner = Learner(refuse, classify, refuse, embed, classify, predictor.limits)
    ancestry = lineage.of_provenance(known)
    return Trained(config, facts, learner, Variables({}, {}), int(known.get("step", 0)), ancestry)


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
    record = trained.facts["record"]
    form = Form(record["hz"], record["samples"], tuple(record["leads"]))
    form.check(library, reader=f"{name} was trained on")


def own_protocol(trained: Trained, library: Library) -> protocols.Protocol | None:
    """The protocol that a run was trained by, if `library` is its own and the file still there.

    Raises:
      MetaecgError: the file was edited since.
    """
    if trained.facts.get("library_fingerprint") != library.fingerprint:
        return None
    try:
        rules = protocols.load(trained.config.protocol)
    except MetaecgError:
        return None
    leak_guard.check_unedited(rules, trained.facts.get("protocol_digest"))
    return rules


def check_unseen(
    trained: Trained,
    library: Library,
    splits: Iterable[protocols.Split],
    *,
    name: str,
    remedy: str,
    seen: bool = False,
) -> list[str]:
    """`leak_guard.check` of a run: of it and of all that it started from."""
    known = ancestry_of(trained)
    return leak_guard.check(known, library, splits, name=name, remedy=remedy, seen=seen)


def ancestry_of(trained: Trained) -> lineage.Ancestry:
    """What a run and its ancestors were trained on, as far as it is known."""
    return trained.ancestry or lineage.of_earlier_version(trained.facts, trained.config)


def untrained(trained: Trained, seed: int = 0) -> Trained:
    """The same encoder with random weights under the nearest centroid: what training adds to."""
    changed = {"learner": "protonet", "freeze_encoder": False}
    config = ml_collections.ConfigDict({**trained.config.to_dict(), **changed})
    learner = build.learner(config, 1, hz=trained.facts["record"]["hz"])
    variables = learner.init(jax.random.key(seed), _example(trained.facts, config.way))
    return Trained(config, trained.facts, learner, variables, 0, lineage.Ancestry(()))


def fine_tuned(trained: Trained, **options: float) -> Trained:
    """The same encoder under a linear layer that starts at zero, both to descend each support.

    Args:
      trained: a run with an encoder.
      **options: config.maml's, such as rate and steps of the descent.
    """
    changed = {"learner": "finetune", "freeze_encoder": False, "whiten": False}
    config = ml_collections.ConfigDict({**trained.config.to_dict(), **changed})
    config.maml.update(options)
    learner = build.learner(config, 1, hz=trained.facts["record"]["hz"])
    variables = learner.init(jax.random.key(0), _example(trained.facts, config.way))
    params = {**variables.params, "encoder": trained.variables.params["encoder"]}
    variables = Variables(params, {k: trained.variables.state[k] for k in variables.state})
    return trained._replace(config=config, learner=learner, variables=variables)


def _example(facts: dict[str, Any], labels: int) -> Task:
    record = facts["record"]
    return build.example_task(record["samples"], len(record["leads"]), labels)
