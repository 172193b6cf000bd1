"""The learner in an exported file, built anew: an artefact's programs are for jax alone."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.configs import settings
from experiments.runs import build
from metaecg.diagnose import artefact
from metaecg.diagnose.model import Model
from metaecg.diagnose.onnx_file import WITHIN
from metaecg.errors import MetaecgError
from metaecg.types import Learner, Variables


def settings_of(config: Any) -> dict[str, Any]:
    """A run's settings where they are not the default ones, for JSON; no paths are among them."""
    usual = settings.flat(settings.default())
    # Where things are says nothing of the run.
    left_out = ("library", "protocol", "start_from", "beat_from")
    return {
        key: value
        for key, value in settings.flat(config).items()
        if key not in left_out and value != usual.get(key)
    }


def learner_of(path: Path, model: Model) -> tuple[Learner, Variables]:
    """Builds the learner of an artefact, and compares its embeddings with the artefact's.

    Args:
      path: the artefact.
      model: what `artefact.read` made of it.

    Raises:
      MetaecgError: its provenance does not say enough, or another version wrote it.
    """
    leaves, known = artefact.parameters(path), model.provenance
    said = {"learner": known.get("learner"), "encoder": known.get("encoder")}
    if not all(said.values()):
        raise MetaecgError(f"{path}: does not say what it was built from; name its --workdir")
    # Files of version 0.1 do not say whether embeddings are whitened.
    tries = [known["settings"]] if "settings" in known else [{"whiten": w} for w in (True, False)]
    for changed in tries:
        config = settings.default()
        config.update_from_flattened_dict({**said, **changed})
        learner = build.learner(config, max(1, len(known.get("trained_on", ()))), hz=model.form.hz)
        example = build.example_task(model.form.samples, len(model.form.leads), config.way)
        like = jax.eval_shape(learner.init, jax.random.key(0), example)
        shapes, tree = jax.tree.flatten(like)
        if [leaf.shape for leaf in leaves] == [leaf.shape for leaf in shapes]:
            variables = jax.tree.unflatten(tree, leaves)
            if _alike(learner, variables, model):
                return learner, variables
    raise MetaecgError(
        f"{path}: this version builds another learner than the one in it; name its --workdir"
    )


def _alike(learner: Learner, variables: Variables, model: Model) -> bool:
    assert learner.embed is not None
    records = model.form.invented(9)
    mine = np.asarray(jax.jit(learner.embed)(*variables, records))
    theirs = np.asarray(model.predictor.embed(records))
    return bool(np.abs(mine - theirs).max() <= WITHIN * np.abs(theirs).max())
