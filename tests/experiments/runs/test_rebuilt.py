"""An artefact's learner is built anew from what the file says, or refused."""

import jax
import numpy as np
import pytest

from experiments import export
from experiments.configs import settings
from experiments.runs import build, rebuilt
from metaecg.diagnose import artefact, onnx_file
from metaecg.diagnose.calibration import Calibration, Row
from metaecg.diagnose.model import Form, Model
from metaecg.diagnose.predictor import Predictor
from metaecg.errors import MetaecgError

FORM = Form(100.0, 32, ("I", "II"))
CALIBRATION = Calibration(
    (Row(2, 1.0, 1.0, 1.0, (0.0, 1.0), (0.1, 0.1)),), (0.0,) * 128, (1.0,) * 128, 9.0
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """An artefact of a learner with settings that are not the default ones."""
    config = settings.default()
    config.update({"learner": "ridge", "whiten": True, "library": "/home/someone/library"})
    config.encoder_options.norm = "group"
    learner = build.learner(config, 3, hz=100)
    variables = jax.jit(learner.init)(jax.random.key(0), build.example_task(32, 2, config.way))
    known = {"learner": "ridge", "encoder": "small", "settings": rebuilt.settings_of(config)}
    model = Model(Predictor.of(learner, variables), CALIBRATION, FORM, known)
    path = tmp_path_factory.mktemp("artefact") / "a.metaecg"
    artefact.write(path, model, learner, variables)
    return path


def test_settings_hold_no_paths(written):
    assert artefact.read(written).provenance["settings"] == {
        "learner": "ridge", "whiten": True, "encoder_options.norm": "group"
    }  # fmt: skip


def test_the_learner_gives_the_artefacts_embeddings(written):
    model, learner, variables = export.load(None, written)
    records = FORM.invented(5)
    np.testing.assert_allclose(
        learner.embed(*variables, records), model.predictor.embed(records), atol=1e-5
    )


def test_a_file_that_is_written_anew_says_and_answers_what_it_did(written, tmp_path):
    old, new = artefact.read(written), tmp_path / "new.metaecg"
    assert "differ from the model's by at most 0.0" in export.renew(written, new)
    found = artefact.read(new)
    assert (found.calibration, found.form) == (old.calibration, old.form)
    assert found.provenance == {
        **old.provenance, "file": "new.metaecg", "half": False,
        "artefact": found.provenance["artefact"],
    }  # fmt: skip
    export.renew(new, tmp_path / "half.metaecg", half=True)
    export.renew(tmp_path / "half.metaecg", tmp_path / "again.metaecg")  # stays so
    half, again = tmp_path / "half.metaecg", tmp_path / "again.metaecg"
    assert half.stat().st_size < 0.8 * new.stat().st_size
    assert artefact.read(again).provenance["half"]
    assert abs(again.stat().st_size - half.stat().st_size) < 100


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"settings": {"whiten": False}}, "builds another learner"),
        ({"settings": {"whiten": True}}, "builds another learner"),  # same shapes, another norm
        ({"encoder": None}, "does not say what it was built from"),
    ],
)
def test_what_is_another_learner_is_refused(written, changed, message):
    model = artefact.read(written)
    model = model._replace(provenance={**model.provenance, **changed})
    with pytest.raises(MetaecgError, match=message):
        rebuilt.learner_of(written, model)


def test_an_artefact_becomes_onnx(written):
    pytest.importorskip("jax2onnx", reason="the onnx extra is not installed")
    loaded = export.load(None, written)
    content, _ = export.as_onnx(*loaded)
    off = onnx_file.differences(loaded[0].predictor.embed, content, FORM.invented(7))
    assert off.max() < 1e-5


@pytest.mark.slow
def test_an_artefact_of_one_example_a_class_is_compared_with_its_run(tmp_path):
    config = settings.default()
    config.update({"learner": "snail", "way": 2, "shot": 1})
    learner = build.learner(config, 3, hz=100)
    variables = jax.jit(learner.init)(jax.random.key(0), build.example_task(32, 2, 2))
    model = Model(Predictor.of(learner, variables), CALIBRATION, FORM, {"learner": "snail"})
    artefact.write(tmp_path / "a.metaecg", model, learner, variables)
    assert export._difference(model, artefact.read(tmp_path / "a.metaecg")) < 1e-3
