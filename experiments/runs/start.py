"""What a stage starts with in place of random numbers: encoders, whitening, fitted views."""

import jax
import ml_collections
import numpy as np

from experiments.runs import build
from metaecg import learners, networks
from metaecg.errors import MetaecgError
from metaecg.learners import probes, whitening
from metaecg.train import streaming
from metaecg.types import Array, ArrayTree, LibraryIndex, TrainState, Variables


def whiten(variables: Variables, embeddings: Array, index: LibraryIndex) -> Variables:
    """Sets the whitening that `learners.probes.base` finds on the training part."""
    known = probes.base(embeddings, index)
    whitening = {"mean": known.mean, "matrix": known.whitening}
    return Variables(variables.params, {**variables.state, "whitening": whitening})


def check_encoder(mine: ArrayTree, theirs: ArrayTree, setting: str = "start_from") -> None:
    """Asserts that another run's encoder has the parameters of the configured one.

    Args:
      mine, theirs: parameters of the configured encoder, and of the other run's.
      setting: that names the other run, for the message.

    Raises:
      MetaecgError: their names or shapes differ.
    """
    if not _alike(mine, theirs):
        raise MetaecgError(
            f"config.{setting}: its encoder has other shapes than config.encoder; give that "
            "run's encoder, encoder_options and leads"
        )


def _alike(mine: ArrayTree, theirs: ArrayTree) -> bool:
    return jax.tree.map(lambda x: x.shape, mine) == jax.tree.map(lambda x: x.shape, theirs)


def with_views(
    variables: Variables,
    config: ml_collections.ConfigDict,
    part: build.Part,
    members: dict,
    hz: float,
) -> Variables:
    """The variables with trained networks as their views, all views fitted to the training part.

    Args:
      variables: of the learner, as they were begun.
      config: its settings.
      part: the training part, with its signals.
      members: variables of the runs that `raw` and `beat_network` are from, by the name of the
        view's module: `encoder` and `beat_network`.
      hz: samples per second of the recordings.

    Raises:
      MetaecgError: a network has other shapes than the configured one.
    """
    params, state = dict(variables.params["encoder"]), dict(variables.state)
    for name, source in members.items():
        # A view reads an encoder's blocks; what the embedding alone needs is left out.
        theirs = _member(source.params["encoder"], name)
        theirs = {k: v for k, v in theirs.items() if k in params[name]}
        setting = "beat_from" if name == "beat_network" else "start_from"
        check_encoder(params[name], theirs, setting)
        params[name] = theirs
        state = {
            k: {**v, name: _member(source.state[k], name)} if name in v else v
            for k, v in state.items()
        }
    module = build.encoder(config, learners.LEARNERS[config.learner], hz)
    assert isinstance(module, networks.Views)
    signals = part.data.signals
    if not isinstance(signals, streaming.Rows):
        signals = np.asarray(signals)
    fitted = whitening.fit(
        module,
        {"params": params, **state},
        signals,
        np.asarray(part.data.index.labels),
        scale=float(part.data.scale),
    )
    fitted = dict(fitted)
    return Variables({**variables.params, "encoder": fitted.pop("params", {})}, fitted)


def _member(tree: dict, name: str) -> dict:
    """A view's variables of another run: its encoder's, or the same view's where it has views."""
    return tree.get(name, tree)


def from_run(state: TrainState, source: Variables) -> TrainState:
    """The state with what fits of another run's variables in place of its own.

    Raises:
      MetaecgError: the encoders differ in shape.
    """
    params = state.variables.params
    check_encoder(params["encoder"], source.params["encoder"])
    names = ["encoder", "head"] if _alike(params["head"], source.params["head"]) else ["encoder"]
    params = {**params, **{name: source.params[name] for name in names}}
    model_state = {k: source.state.get(k, v) for k, v in state.variables.state.items()}
    return state._replace(variables=Variables(params, model_state))
