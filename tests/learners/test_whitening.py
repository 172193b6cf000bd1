"""Whitened embeddings along the stages of a run."""

import numpy as np
import pytest

from experiments.configs import settings
from experiments.runs import build, stages, trained, training_data
from experiments.stress import toy
from metaecg import evaluate
from metaecg.errors import MetaecgError
from metaecg.learners import probes


def changed(arguments):
    return settings.with_arguments(settings.default(), arguments)


pytestmark = pytest.mark.usefixtures("one_device")


@pytest.mark.long
def test_heads_and_the_final_stage_read_what_the_training_part_whitens(tmp_path):
    config = changed(toy.write(tmp_path) + ",whiten=true,batch=8,head.batch=8")
    stages.train(config, tmp_path / "run")
    part = training_data.open_parts(config).parts["train"]
    first = trained.load(tmp_path / "run" / "pretrain")
    plain = build.learner(build.unwhitened(config), 3, hz=100)
    raw = np.asarray(evaluate.embed(plain, first.variables, part.data))
    known = probes.base(raw, part.data.index)

    head = trained.load(tmp_path / "run" / "head")
    np.testing.assert_allclose(head.variables.state["whitening"]["mean"], known.mean, atol=1e-6)
    np.testing.assert_allclose(
        evaluate.embed(head.learner, head.variables, part.data),
        (raw - np.asarray(known.mean)) @ np.asarray(known.whitening),
        rtol=1e-4,
        atol=1e-4,
    )
    last = trained.load(tmp_path / "run")
    for name, matrix in head.variables.state["whitening"].items():
        np.testing.assert_array_equal(last.variables.state["whitening"][name], matrix)


@pytest.mark.long
def test_a_head_on_a_whitened_run_is_whitened_and_a_run_without_is_not(tmp_path):
    given = toy.write(tmp_path) + ",batch=8"
    two = ",head.steps=0,learner=protonet"
    whitened = changed(f"{given}{two},whiten=true")
    stages.train(whitened, tmp_path / "run")
    given += f",pretrain.steps=0,head.steps=0,start_from={tmp_path / 'run'}"
    head = changed(f"{given},learner=matching,whiten=true,freeze_encoder=true")
    stages.train(head, tmp_path / "head")
    part = training_data.open_parts(head).parts["train"]
    plain = build.learner(build.unwhitened(head), 3, hz=100)
    source = trained.load(tmp_path / "run").variables
    known = probes.base(evaluate.embed(plain, source, part.data), part.data.index)
    found = trained.load(tmp_path / "head").variables.state["whitening"]
    np.testing.assert_allclose(found["matrix"], known.whitening, rtol=1e-3, atol=1e-4)
    bare = changed(f"{given},learner=protonet")
    stages.train(bare, tmp_path / "bare")
    assert "whitening" not in trained.load(tmp_path / "bare").variables.state


def test_an_encoder_that_has_learned_nothing_is_not_whitened():
    config = changed("whiten=true")
    with pytest.raises(MetaecgError, match=r"whiten needs .* or start_from"):
        settings.validate(config)


def test_a_supervised_learner_has_no_use_for_it(tmp_path):
    given = toy.write(tmp_path) + ",whiten=true,learner=supervised"
    with pytest.raises(MetaecgError, match="probes=whitened_cosine"):
        stages.train(changed(given), tmp_path / "run")
