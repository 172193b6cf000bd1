"""Views of a recording along the stages of a run: fitted once, joined with trained networks."""

import jax
import numpy as np
import pytest

from experiments.configs import settings
from experiments.runs import stages, trained, training_data
from experiments.stress import toy
from metaecg import evaluate
from metaecg.errors import MetaecgError
from metaecg.networks import VIEWS

pytestmark = pytest.mark.usefixtures("one_device")

SIZE = ",batch=8,pretrain.steps=1,head.steps=0,snail.attention=4x4,learner=ridge"


def changed(arguments):
    return settings.with_arguments(settings.default(), arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("views=kernels+echo", "write empty, or names of raw, beat_network, "),
        ("views=beat+beat", "write empty, or names of raw, beat_network, "),
        ("views=raw+beat,freeze_encoder=true,pretrain.steps=1", "start_from=DIR"),
        ("views=beat_network,freeze_encoder=true,pretrain.steps=1", "beat_from=DIR"),
        ("views=beat,whiten=true,pretrain.steps=1,freeze_encoder=true", "give whiten=false"),
        ("views=beat,learner=maml,pretrain.steps=1", "maml adapts its encoder"),
        ("views=beat", "freeze_encoder=true"),
        ("beat_from=workdirs/beat", "name it in config.views"),
        ("views=kernels,beat_from=workdirs/beat", "name it in config.views"),
    ],
)
def test_settings_that_do_not_go_with_views_are_refused_in_one_line(arguments, message):
    with pytest.raises(MetaecgError, match=message) as refused:
        settings.validate(changed("library=there,learner=ridge," + arguments))
    assert "\n" not in str(refused.value)


@pytest.mark.long
def test_views_and_trained_networks_are_joined_and_read_back(tmp_path):
    given = toy.write(tmp_path, samples=512)  # 5.12 s at 100 Hz
    stages.train(changed(f"{given},learner=supervised,pretrain.steps=0"), tmp_path / "raw")
    stages.train(
        changed(f"{given},learner=supervised,encoder=beat,pretrain.steps=0"), tmp_path / "beat"
    )
    config = changed(
        f"{given}{SIZE},freeze_encoder=true,views=raw+beat_network+beat_kernels+rhythm,"
        f"start_from={tmp_path / 'raw'},beat_from={tmp_path / 'beat'}"
    )
    stages.train(config, tmp_path / "run")
    run, raw, beat = (trained.load(tmp_path / name) for name in ("run", "raw", "beat"))
    members = run.variables.params["encoder"]
    for name, source in (("encoder", raw), ("beat_network", beat)):
        theirs = source.variables.params["encoder"]
        left_out = {*theirs} - {*members[name]}
        assert left_out == {max(k for k in theirs if k.startswith("Dense"))}, (
            "the embedding's alone"
        )
        for layer, kept in members[name].items():
            jax.tree.map(np.testing.assert_array_equal, kept, theirs[layer])
    part = training_data.open_parts(config).parts["validation"]
    embeddings = np.asarray(evaluate.embed(run.learner, run.variables, part.data, 16))
    # Four views, each of unit length times its weight.
    np.testing.assert_allclose(
        np.linalg.norm(embeddings, axis=1),
        np.sqrt(sum(VIEWS[n].weight ** 2 for n in config.views.split("+"))),
        rtol=1e-3,
    )
    assert run.ancestry.trainings == raw.ancestry.trainings, "all were trained on the same"
    # A run of views can be what another starts from: it is found to be the same again.
    config.start_from = config.beat_from = str(tmp_path / "run")
    stages.train(config, tmp_path / "again")
    again = trained.load(tmp_path / "again")
    found = np.asarray(evaluate.embed(again.learner, again.variables, part.data, 16))
    np.testing.assert_allclose(found, embeddings, atol=1e-5)
