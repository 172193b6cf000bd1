"""The ONNX file: JAX's numbers, all that a diagnosis needs, and a page of numpy that reads it."""

import importlib.util
import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import Tiny

from metaecg import learners, networks
from metaecg.data.readers.lead_names import STANDARD_LEADS
from metaecg.data.synthetic import generator
from metaecg.diagnose import onnx_file, plain
from metaecg.diagnose.calibration import Calibration, Row
from metaecg.diagnose.diagnoser import Diagnoser
from metaecg.diagnose.model import Form, Model
from metaecg.diagnose.predictor import Predictor
from metaecg.episodes import tasks
from metaecg.errors import MetaecgError
from metaecg.learners import whitening
from metaecg.networks import random_kernels

SCRIPT = Path(__file__).parents[2] / "docs" / "diagnose_onnx.py"
SAMPLES, LEADS = 24, 2
FORM = Form(100.0, SAMPLES, ("I", "II"))
ROW = Row(2, 1.0, 2.0, 0.5, (0.0, 0.5, 0.9), (0.4, 0.2, 0.04), (900.0, 800.0, 700.0))
MORE = ROW._replace(shot=4.0, temperature=1.0, slope=0.4, usual=0.3)
ROWS = (ROW, MORE, ROW._replace(way=4), MORE._replace(way=4))
CALIBRATION = Calibration(ROWS, (0.0,) * 8, (1.0,) * 8, 5.0)
SIGNALS = np.random.default_rng(0).normal(size=(9, SAMPLES, LEADS)).astype(np.float32)
SIGNALS -= np.median(SIGNALS, axis=1, keepdims=True)


def built(name):
    learner = learners.ridge(Tiny()) if name == "ridge" else learners.protonet(Tiny())
    rows = jnp.zeros((1, 2), jnp.int32)
    example = tasks.Task(
        jnp.zeros((1, 2, SAMPLES, LEADS)), jnp.zeros((1, 2, 3)), rows, rows, rows, jnp.ones(1)
    )
    return learner, jax.jit(learner.init)(jax.random.key(0), example)


@pytest.fixture(scope="module")
def model():
    learner, variables = built("ridge")
    provenance = {"step": 7, "ancestry": ["much"]}
    return Model(Predictor.of(learner, variables), CALIBRATION, FORM, provenance)


@pytest.fixture(scope="module")
def content(model):
    pytest.importorskip("jax2onnx", reason="the onnx extra is not installed")
    learner, variables = built("ridge")
    described = plain.description(model, plain.ridge_head(variables))
    return onnx_file.convert(lambda x: learner.embed(*variables, x), FORM, described)[0]


def test_it_embeds_as_jax_does_whatever_their_number(model, content):
    for count in (1, 9):
        off = onnx_file.differences(model.predictor.embed, content, SIGNALS[:count])
        assert off.max() < 1e-5


FORM_OF_6_S = Form(100.0, 600, ("I", "II", "V1"))


def converted(module, variables):
    embed = jax.jit(lambda records: module.apply(variables, records))
    content, _ = onnx_file.convert(embed, FORM_OF_6_S, {"notice": ""})
    # As onnxruntime-web does, which refuses shapes that are not those it infers.
    onnx = pytest.importorskip("onnx")
    onnx.shape_inference.infer_shapes(onnx.load_from_string(content), strict_mode=True)
    return embed, content


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("small", "lstm") else pytest.mark.long)
        for name in networks.ENCODERS
    ],
)
def test_every_encoder_but_the_recurrent_ones_is_converted(name):
    pytest.importorskip("jax2onnx", reason="the onnx extra is not installed")
    module = networks.encoder(name, features=8)
    variables = jax.jit(module.init)(jax.random.key(0), FORM_OF_6_S.invented())
    if name in ("lstm", "rnn"):
        with pytest.raises(MetaecgError, match="jax2onnx cannot convert this encoder"):
            converted(module, variables)
        return
    embed, content = converted(module, variables)
    for count in (1, 5):
        records = FORM_OF_6_S.invented(count)
        assert onnx_file.differences(embed, content, records).max() < 1e-5


@pytest.mark.long
@pytest.mark.usefixtures("optimised")
def test_joined_views_are_converted_to_the_same_counts():
    """Whole microvolts are counted alike whatever the order of sums; of a median beat, nearly."""
    pytest.importorskip("jax2onnx", reason="the onnx extra is not installed")
    onnxruntime = pytest.importorskip("onnxruntime")
    library = generator.library(patients=6, seconds=6.0)
    signals = library.signals[..., [0, 1, 6]]
    module = networks.views(
        "raw+beat_network+kernels+differences+rhythm+waves+beat_kernels",
        hz=100.0,
        encoder=networks.encoder("deep"),
        beat_network=networks.encoder("beat"),
        directions=8,
        dilations=3,
    )
    variables = jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, *signals.shape[1:])))
    variables = whitening.fit(module, variables, signals, library.labels, scale=0.001)
    embed, content = converted(module, variables)
    records = signals.astype(np.float32) * np.float32(0.001)
    last = 84 * 3 * len(random_kernels.dilations(90, 3))
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for parts in (np.split(records, len(records)), [records]):  # one by one, and all together
        off = np.concatenate(
            [
                np.abs(session.run(None, {"records": part})[0] - np.asarray(embed(part)))
                for part in parts
            ]
        )
        assert off[:, :-last].max() < 1e-5
        assert np.median(off[:, -last:].max(axis=1)) < 1e-5


def test_it_says_all_that_a_diagnosis_needs(content):
    onnxruntime = pytest.importorskip("onnxruntime")
    metadata = onnxruntime.InferenceSession(content).get_modelmeta().custom_metadata_map
    said = json.loads(metadata[plain.KEY])
    assert said["head"]["kind"] == "ridge"
    assert said["head"]["strength"] == pytest.approx(2.0)
    assert said["head"]["scale"] == pytest.approx(8.0)
    assert Calibration.from_json(said["calibration"]) == CALIBRATION
    assert Form.from_json(said["record"]) == FORM
    assert said["provenance"] == {"step": 7}


@pytest.mark.parametrize("labels", ["ABAB", "AABC", "AAAABBB", "ABCDE"])
def test_the_page_of_numpy_answers_as_the_diagnoser(model, content, labels, tmp_path, capsys):
    """Within the calibration, unevenly, and beyond it."""
    (tmp_path / "model.onnx").write_bytes(content)
    np.savez(tmp_path / "support.npz", signals=SIGNALS[: len(labels)], labels=list(labels))
    np.save(tmp_path / "query.npy", SIGNALS[7:])
    spec = importlib.util.spec_from_file_location("diagnose_onnx", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    files = (str(tmp_path / name) for name in ("model.onnx", "support.npz", "query.npy"))
    probs = script.main(*files)
    said = capsys.readouterr().out.splitlines()
    support = [(str(i), label, SIGNALS[i]) for i, label in enumerate(labels)]
    wanted = Diagnoser(model).fit(support)(SIGNALS[7:])
    for line, mine, theirs in zip(said, probs, wanted, strict=True):
        np.testing.assert_allclose(mine, theirs.probs, atol=1e-5)
        assert line.split(":")[0].split(" (")[0] == (theirs.answer or "unsure")
        assert set(line.split("plausible: ")[1].split(", ")) == {*theirs.plausible}


def test_the_page_needs_onnxruntime_and_numpy_alone():
    text = SCRIPT.read_text("utf-8")
    assert [line for line in text.splitlines() if line.startswith(("import", "from"))] == [
        "import json", "import sys", "import numpy as np", "import onnxruntime"
    ]  # fmt: skip
    assert len(text.splitlines()) < 130


def test_the_files_of_the_page_of_numpy_are_made_as_the_page_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("examples/AF", "examples/SR", "queries"):
        (tmp_path / folder).mkdir(parents=True)
        signal = np.random.default_rng(0).normal(size=(2 * SAMPLES, 12))
        arrays = {"signal": signal, "hz": 50, "units": "mV", "leads": STANDARD_LEADS}
        np.savez(tmp_path / folder / "a.npz", **arrays)
    page = SCRIPT.with_name("without_python.md").read_text("utf-8")
    (snippet,) = re.findall(r"(?s)```python\n(.*?)```", page)
    exec(snippet, {})
    with np.load("support.npz") as made:
        assert made["labels"].tolist() == ["AF", "SR"]
        assert made["signals"].shape == (2, 1000, 12)
    assert np.load("query.npy").shape == (1, 1000, 12)


def test_another_learner_is_refused_in_a_line():
    with pytest.raises(MetaecgError, match="only ridge regression is written"):
        plain.ridge_head(built("protonet")[1])


def test_what_gives_other_numbers_is_not_written(monkeypatch):
    pytest.importorskip("jax2onnx")
    monkeypatch.setattr(onnx_file, "differences", lambda *_: np.array([0.5]))
    with pytest.raises(MetaecgError, match=r"differ by 5\.0e-01"):
        onnx_file.convert(lambda x: x.mean(1), FORM, {"notice": ""})


@pytest.mark.parametrize("package", ["jax2onnx", "onnx", "onnxruntime"])
def test_a_missing_package_is_named(monkeypatch, package):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name != package or None)
    with pytest.raises(MetaecgError, match=rf'{package}: pip install -e "\.\[onnx\]" in the clone'):
        onnx_file.convert(lambda x: x.mean(1), FORM, {"notice": ""})
