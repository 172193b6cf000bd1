"""The exported file: the same numbers without the training code, and nothing from damaged files."""

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import Tiny

from metaecg import learners
from metaecg.data import synthetic
from metaecg.diagnose import artefact
from metaecg.diagnose.artefact import ArtefactError
from metaecg.diagnose.background import Background
from metaecg.diagnose.calibration import Calibration, Row
from metaecg.diagnose.diagnoser import Diagnoser
from metaecg.diagnose.model import Form, Model
from metaecg.diagnose.predictor import Predictor
from metaecg.episodes import tasks

SAMPLES, LEADS = 24, 2
FORM = Form(100.0, SAMPLES, ("I", "II"))
ROW = Row(2, 1.0, 2.0, 0.5, scores=(0.0, 0.7), risks=(0.1, 0.1), counts=(90.0, 80.0))
CALIBRATION = Calibration((ROW, ROW._replace(way=3, shot=2.0)), (0.0,) * 8, (1.0,) * 8, 5.0)
SIGNALS = np.random.default_rng(0).normal(size=(9, SAMPLES, LEADS)).astype(np.float32)
SUPPORT = [(str(i), label, SIGNALS[i]) for i, label in enumerate("ABBACA")]
LIMITS = {
    "snail": {"slots": 3, "longest": 8, "ordered": True, "inner_products": False},
    "protonet": {"slots": None, "longest": None, "ordered": False, "inner_products": True},
    "supervised": {"slots": None, "longest": None, "ordered": False, "inner_products": True},
}


def build(name):
    learner = {
        "snail": lambda: learners.snail(Tiny(), way=3, length=9, attention=((4, 3),), filters=4),
        "protonet": lambda: learners.protonet(Tiny()),
        "supervised": lambda: learners.supervised(Tiny(), num_conditions=3),
    }[name]()
    rows = jnp.zeros((1, 2), jnp.int32)
    example = tasks.Task(
        jnp.zeros((1, 2, SAMPLES, LEADS)), jnp.zeros((1, 2, 3)), rows, rows, rows, jnp.ones(1)
    )
    return learner, jax.jit(learner.init)(jax.random.key(0), example)


def write(path, name="protonet", **options):
    learner, variables = build(name)
    model = Model(Predictor.of(learner, variables), CALIBRATION, FORM, {"step": 7})
    artefact.write(path, model, learner, variables, **options)
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("artefact") / "a.metaecg")


@pytest.mark.parametrize("name", LIMITS)
def test_what_was_written_diagnoses_as_the_learner_does(name, tmp_path):
    read = artefact.read(write(tmp_path / "a.metaecg", name))
    assert read.predictor.limits._asdict() == LIMITS[name]
    assert read.calibration == CALIBRATION
    assert read.form == FORM
    assert read.provenance["step"] == 7
    assert read.provenance["file"] == "a.metaecg"
    made = read._replace(predictor=Predictor.of(*build(name)))
    for examples in (SUPPORT, SUPPORT[:2]):  # two ways, two counts
        mine, theirs = (Diagnoser(m, orders=2).fit(examples)(SIGNALS[8]) for m in (read, made))
        np.testing.assert_allclose(mine.probs, theirs.probs, atol=1e-6)
        np.testing.assert_allclose(mine.evidence, theirs.evidence, atol=1e-5)


def test_the_first_embedding_compiles_one_program(file):
    """Each parameter's shape would cost another, before the first answer."""
    jax.clear_caches()
    said = []

    def listen(event, *_, **__):
        said.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        read = artefact.read(file)
        assert not said
        read.predictor.embed(SIGNALS)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert [event.split("/")[-1] for event in said].count("backend_compile_duration") == 1


def test_half_precision_is_smaller_and_close(file, tmp_path):
    half = write(tmp_path / "half.metaecg", half=True)
    sizes = []
    for path in (file, half):
        with zipfile.ZipFile(path) as archive:
            sizes.append(
                sum(archive.getinfo(n).file_size for n in archive.namelist() if ".npy" in n)
            )
    assert sizes[1] < sizes[0]
    one, other = (np.asarray(artefact.read(p).predictor.embed(SIGNALS)) for p in (file, half))
    assert one.dtype == other.dtype == np.float32
    assert 0 < np.abs(one - other).max() < 1e-2


WITHOUT_METAECG = """
import io, json, sys, zipfile
import jax, numpy as np
from jax import export
with zipfile.ZipFile(sys.argv[1]) as archive:
    manifest = json.loads(archive.read("manifest.json"))
    embed, classify = (export.deserialize(bytearray(archive.read(f"{n}.bin")))
                       for n in ("embed", "classify"))
    parameters = [np.load(io.BytesIO(archive.read(f"parameters/{n:04d}.npy")))
                  for n in range(manifest["parameters"])]
signals = np.load(sys.argv[2])
records = np.asarray(embed.call(parameters, signals))
slots = np.zeros((1, 9, 3), np.float32)
slots[0, [0, 1, 2, 3], [0, 1, 2, 0]] = 1
rows = np.arange(9, dtype=np.int32)[None]
said = classify.call(parameters, records[None], slots, rows[:, :4], rows[:, 4:],
                     np.full((1, 5), 4, np.int32), np.array([3], np.int32))
for name in ("flax", "optax", "orbax", "absl", "metaecg"):
    assert name not in sys.modules, name

import metaecg.diagnose.artefact, metaecg.diagnose.diagnoser
for name in ("flax", "optax", "orbax", "absl", "experiments", "metaecg.learners"):
    assert name not in sys.modules, name
assert metaecg.diagnose.artefact.read(sys.argv[1]).predictor.limits.ordered
print(json.dumps(np.asarray(said).tolist()))
"""


def test_jax_and_numpy_alone_give_the_same_numbers(tmp_path):
    path = write(tmp_path / "a.metaecg", "snail")
    np.save(tmp_path / "signals.npy", SIGNALS)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_METAECG, path, tmp_path / "signals.npy"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    learner, variables = build("snail")
    labels = np.zeros((1, 9, 3), np.float32)
    labels[0, [0, 1, 2, 3], [0, 1, 2, 0]] = 1
    rows = np.arange(9, dtype=np.int32)[None]
    task = tasks.Task(
        SIGNALS[None], labels, rows[:, :4], rows[:, 4:], np.full((1, 5), 4), np.array([3])
    )
    said = jax.jit(learner.predict)(*variables, jax.tree.map(jnp.asarray, task))
    np.testing.assert_allclose(json.loads(done.stdout), said, atol=1e-5)


def test_every_damaged_byte_is_noticed(file, tmp_path):
    content = file.read_bytes()
    whole, damaged = artefact.read(file), tmp_path / "damaged"
    said = []
    for at in np.random.default_rng(0).integers(0, len(content), 60):
        changed = bytearray(content)
        changed[at] ^= 0xFF
        damaged.write_bytes(changed)
        try:
            read = artefact.read(damaged)
        except ArtefactError as error:
            said.append(str(error))
        else:  # a date or a flag of the archive, which carries nothing
            assert read.provenance["artefact"] == whole.provenance["artefact"]
    assert len(said) > 40
    assert all(str(damaged) in line and "\n" not in line for line in said)
    for length in (0, 10, len(content) // 2, len(content) - 5):
        damaged.write_bytes(content[:length])
        with pytest.raises(ArtefactError, match="not made by metaecg export, or cut short"):
            artefact.read(damaged)


def rewritten(file, path, **changed):
    """The archive with members replaced, the archive itself in order."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = changed.get(name.replace(".", "_").replace("/", "_"), old.read(name))
            if content is not None:
                new.writestr(name, content)
    return path


def test_foreign_and_forged_files_are_refused(file, tmp_path):
    with zipfile.ZipFile(file) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        parameter = archive.read("parameters/0000.npy")
    forged = {
        "embed.bin differs from its sha256": {"embed_bin": b"something else"},
        "0000.npy differs": {"parameters_0000_npy": parameter[:-1] + b"\1"},
        "manifest.json differs": {"manifest_json": json.dumps({**manifest, "slots": 4})},
        "version 2 of the format, this program reads 1": {
            "manifest_json": json.dumps({**manifest, "version": 2})
        },
        "not made by metaecg export": {"manifest_json": '{"format": "zip of photos"}'},
        "not made": {"manifest_json": "no JSON"},
        "made by": {"classify_bin": None},
    }
    for said, changed in forged.items():
        path = rewritten(file, tmp_path / "forged", **changed)
        with pytest.raises(ArtefactError, match=said):
            artefact.read(path)
    (tmp_path / "letter").write_text("Dear colleague")
    with pytest.raises(ArtefactError, match="letter: not made by metaecg export"):
        artefact.read(tmp_path / "letter")
    with pytest.raises(FileNotFoundError):
        artefact.read(tmp_path / "missing")


def test_no_folder_of_this_machine_is_in_the_file(file):
    """Programs name the source files they come from: by their own names alone."""
    here = str(Path(artefact.__file__).parents[2]).encode()
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            assert here not in content
            assert b"site-packages" not in content
        assert b"artefact.py" in archive.read("embed.bin")


def test_learners_that_adapt_cannot_be_exported(tmp_path):
    learner = learners.maml(Tiny(norm=False), way=3)
    model = artefact.read(write(tmp_path / "protonet"))
    with pytest.raises(ArtefactError, match="export one that does not adapt its encoder"):
        artefact.write(tmp_path / "a", model, learner, build("protonet")[1])


def test_another_calibration_is_written_and_all_else_stays(file, tmp_path):
    whole = artefact.read(file)
    other = CALIBRATION._replace(strange=7.0)
    artefact.recalibrate(
        file, tmp_path / "b", whole._replace(calibration=other, provenance={"step": 8})
    )
    read = artefact.read(tmp_path / "b")
    assert read.calibration == other
    assert (read.form, read.predictor.limits) == (whole.form, whole.predictor.limits)
    assert read.provenance["step"] == 8
    with zipfile.ZipFile(file) as one, zipfile.ZipFile(tmp_path / "b") as two:
        for name in one.namelist():
            assert "manifest" in name or one.read(name) == two.read(name)


def test_a_background_is_added_and_read_and_kept(file, tmp_path):
    whole = artefact.read(file)
    assert whole.background is None
    made = Background.of(np.asarray(whole.predictor.embed(SIGNALS)))
    artefact.recalibrate(file, tmp_path / "b", whole._replace(background=made))
    read = artefact.read(tmp_path / "b")
    assert all(np.array_equal(a, b) for a, b in zip(read.background, made))
    artefact.recalibrate(tmp_path / "b", tmp_path / "c", read._replace(background=None))
    assert artefact.read(tmp_path / "c").background is not None
    content = (tmp_path / "b").read_bytes()
    with zipfile.ZipFile(tmp_path / "b") as archive:
        at = archive.getinfo("background/scale.npy").header_offset + 60
    (tmp_path / "d").write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with pytest.raises(ArtefactError, match="damaged"):
        artefact.read(tmp_path / "d")


def test_calibrations_of_version_0_1_are_read(file, tmp_path):
    with zipfile.ZipFile(file) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    for row in manifest["calibration"]["rows"]:
        del row["counts"]
        row["far"] = 3.0
    text = json.dumps(manifest)
    seal = hashlib.sha256(text.encode()).hexdigest()
    old = rewritten(file, tmp_path / "old", manifest_json=text, manifest_sha256=seal)
    assert artefact.read(old).calibration.rows[0] == ROW._replace(counts=())


@pytest.mark.parametrize(
    ("version", "flatbuffers", "said"),
    [
        ("0.6.2", True, r"needs jax 0\.10 or newer .*0\.6\.2 is installed: pip install --upgrade"),
        ("0.10.0", False, r"package flatbuffers, which is not installed: pip install flatbuffers"),
    ],
)
def test_an_installation_that_cannot_run_it_is_told_what_to_install(
    file, monkeypatch, version, flatbuffers, said
):
    monkeypatch.setattr(artefact.importlib.metadata, "version", lambda _: version)
    found = object() if flatbuffers else None
    monkeypatch.setattr(artefact.importlib.util, "find_spec", lambda _: found)
    with pytest.raises(ArtefactError, match=said) as raised:
        artefact.read(file)
    assert "\n" not in str(raised.value)


def test_programs_of_a_newer_jax_are_named_by_the_first_call(file, tmp_path):
    with zipfile.ZipFile(file) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    program = b"what a later jax writes"
    manifest["jax"] = "99.0.1"
    manifest["members"]["embed.bin"] = hashlib.sha256(program).hexdigest()
    text = json.dumps(manifest)
    seal = hashlib.sha256(text.encode()).hexdigest()
    changed = {"manifest_json": text, "manifest_sha256": seal, "embed_bin": program}
    newer = artefact.read(rewritten(file, tmp_path / "newer", **changed))
    with pytest.raises(ArtefactError, match=r"made by jax 99\.0\.1 .* install a newer jax"):
        newer.predictor.embed(SIGNALS)


@pytest.mark.slow
def test_the_shipped_diagnoser_finds_a_wrong_gain():
    """Of ECGs that it never saw the like of few are called strange, and ten times as large all."""
    model = artefact.shipped()
    form = model.form
    made = synthetic.library(
        patients=8, seed=1, hz=form.hz, seconds=form.samples / form.hz, leads=form.leads
    )
    records = (made.signals[:12] * made.scale).astype(np.float32)
    records -= np.median(records, axis=1, keepdims=True)
    found = np.concatenate([model.predictor.embed(size * records) for size in (1, 10)])
    scaled = model.calibration.scaled(found)
    strange = model.calibration.strangeness(scaled) > model.calibration.strange
    assert strange[:12].mean() < 0.25
    assert strange[12:].all()
