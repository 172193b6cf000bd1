"""The exported file: the same numbers without the training code, and nothing from damaged files."""

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
from metaecg.diagnose import artefact
from metaecg.diagnose.artefact import ArtefactError
from metaecg.diagnose.calibration import Calibration, Row
from metaecg.diagnose.diagnoser import Diagnoser
from metaecg.diagnose.predictor import freeze
from metaecg.episodes import tasks

SAMPLES, LEADS = 24, 2
RECORD = {"hz": 100.0, "samples": SAMPLES, "leads": ["I", "II"]}
ROW = Row(2, 1.0, 2.0, 0.5, 5.0, scores=(0.0, 0.7), risks=(0.1, 0.1))
CALIBRATION = Calibration((ROW,), (0.0,) * 8, (1.0,) * 8, 5.0)
SIGNALS = np.random.default_rng(0).normal(size=(9, SAMPLES, LEADS)).astype(np.float32)
SUPPORT = [(str(i), label, SIGNALS[i]) for i, label in enumerate("ABBACA")]
LIMITS = {
    "snail": {"slots": 3, "longest": 8, "ordered": True},
    "protonet": {"slots": None, "longest": None, "ordered": False},
    "supervised": {"slots": None, "longest": None, "ordered": False},
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
    kept = {"record": RECORD, "provenance": {"step": 7}, **LIMITS[name], **options}
    artefact.write(path, learner, variables, CALIBRATION, **kept)
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return write(tmp_path_factory.mktemp("artefact") / "a.metaecg")


@pytest.mark.parametrize("name", LIMITS)
def test_what_was_written_diagnoses_as_the_learner_does(name, tmp_path):
    read = artefact.read(write(tmp_path / "a.metaecg", name))
    assert (read.frozen.slots, read.frozen.longest, read.frozen.ordered) == tuple(
        LIMITS[name].values()
    )
    assert read.calibration == CALIBRATION
    assert read.record == RECORD
    assert read.provenance == {"step": 7}
    frozen = freeze(*build(name), **LIMITS[name])
    for examples in (SUPPORT, SUPPORT[:2]):  # two ways, two counts
        mine, theirs = (
            Diagnoser(f, CALIBRATION, orders=2).fit(examples)(SIGNALS[8])
            for f in (read.frozen, frozen)
        )
        np.testing.assert_allclose(mine.probs, theirs.probs, atol=1e-6)
        np.testing.assert_allclose(mine.evidence, theirs.evidence, atol=1e-5)


def test_half_precision_is_smaller_and_close(file, tmp_path):
    half = write(tmp_path / "half.metaecg", half=True)
    sizes = []
    for path in (file, half):
        with zipfile.ZipFile(path) as archive:
            sizes.append(
                sum(archive.getinfo(n).file_size for n in archive.namelist() if ".npy" in n)
            )
    assert sizes[1] < sizes[0]
    one, other = (np.asarray(artefact.read(p).frozen.embed(SIGNALS)) for p in (file, half))
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
assert metaecg.diagnose.artefact.read(sys.argv[1]).frozen.ordered
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
            assert read.fingerprint == whole.fingerprint
    assert len(said) > 40
    assert all(str(damaged) in line and "\n" not in line for line in said)
    for length in (0, 10, len(content) // 2, len(content) - 5):
        damaged.write_bytes(content[:length])
        with pytest.raises(ArtefactError, match=r"not made by experiments\.export, or cut short"):
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
        "not made by experiments.export": {"manifest_json": '{"format": "zip of photos"}'},
        "not made": {"manifest_json": "no JSON"},
        "made by": {"classify_bin": None},
    }
    for said, changed in forged.items():
        path = rewritten(file, tmp_path / "forged", **changed)
        with pytest.raises(ArtefactError, match=said):
            artefact.read(path)
    (tmp_path / "letter").write_text("Dear colleague")
    with pytest.raises(ArtefactError, match=r"letter: not made by experiments\.export"):
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
    with pytest.raises(ArtefactError, match="export one that does not adapt its encoder"):
        artefact.write(
            tmp_path / "a", learner, build("protonet")[1], CALIBRATION, record=RECORD,
            provenance={}, **LIMITS["protonet"],
        )  # fmt: skip
