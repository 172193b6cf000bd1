"""The exported page: all in one file, nothing from outside, no names of files, and its licences."""

import base64
import gzip
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from experiments import diagnose, export
from experiments.runs import onnxruntime_web
from metaecg import NOTICE
from metaecg.data.readers.notes import Note
from metaecg.diagnose.support import Read
from metaecg.errors import MetaecgError
from metaecg.figures import standalone
from metaecg.figures.standalone import Runtime

RUNTIME = Runtime(b"export const a = 1;", b"\0asm", "a licence <of its own>")
DESCRIBED = {
    "record": {"hz": 100.0, "samples": 4, "leads": ["I", "II"], "scale": 0.001},
    "provenance": {"step": 7, "evil": "</script><script>alert(1)</script>"},
}
SIGNAL = np.float32([[0.001, -0.5], [1.0, 2.0], [0, 0], [32.767, -32.767]])
EXAMPLES = [
    (Read("/home/jane/doe_1970.csv", "doe_1970.csv", SIGNAL, 500.0, (Note("a", True),)), label)
    for label in ("AF", "AF", "<b>")
]


@pytest.fixture(scope="module")
def page():
    return standalone.page(DESCRIBED, b"onnx", RUNTIME, EXAMPLES)


def element(page, name):
    return re.search(rf'id="{name}">(.*?)</script>', page, re.DOTALL)[1]


def test_all_is_in_it(page):
    assert json.loads(element(page, "model"))["provenance"] == DESCRIBED["provenance"]
    for name, content in (("runtime", RUNTIME.code), ("wasm", RUNTIME.wasm), ("onnx", b"onnx")):
        assert gzip.decompress(base64.b64decode(element(page, name))) == content
    assert page.count(NOTICE) == 2
    assert "Apache License 2.0" in page
    assert "a licence &lt;of its own&gt;" in page


def test_text_is_never_markup(page):
    assert "<script>alert" not in page
    assert "</script><script>" not in page


def test_nothing_is_asked_of_a_server(page):
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=\"(?!data:)", page)
    program = standalone.program()
    assert not re.search(r"\bfetch\(|XMLHttpRequest|https?://(?!www\.w3\.org/2000/svg)", program)


def test_examples_have_no_names_of_files(page):
    found = json.loads(element(page, "included"))
    assert [(each["name"], each["label"]) for each in found] == [
        ("example 1", "AF"), ("example 2", "AF"), ("example 1", "<b>")
    ]  # fmt: skip
    assert found[0]["notes"] == [{"text": "a", "serious": True}]
    assert found[0]["hz"] == 500.0
    units = np.frombuffer(base64.b64decode(found[0]["units"]), "<i2").reshape(2, 4)
    assert units.tolist() == [[1, 1000, 0, 32767], [-500, 2000, 0, -32767]]
    assert "jane" not in page
    assert "doe_" not in page


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_joined_program_is_a_program(tmp_path):
    (tmp_path / "program.mjs").write_text(standalone.program(), "utf-8")
    done = subprocess.run(["node", "--check", tmp_path / "program.mjs"], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_every_part_is_short_and_in_the_program():
    folder = standalone.resources.files("metaecg.figures") / "page"
    parts = {path.name: path.read_text("utf-8") for path in folder.iterdir()}
    assert {*parts} == {"page.css", *(f"{name}.js" for name in standalone.ORDER)}
    assert max(text.count("\n") for text in parts.values()) <= 310
    assert not re.search(r"^(import|export)\b", standalone.program(), re.MULTILINE)


def test_another_runtime_is_refused(tmp_path, monkeypatch):
    with pytest.raises(MetaecgError, match=r"no ort\.wasm\.bundle\.min\.mjs in it"):
        onnxruntime_web.load(str(tmp_path))
    for name in onnxruntime_web.FILES:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(MetaecgError, match=r"not that of onnxruntime-web 1\.\d+"):
        onnxruntime_web.load(str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MetaecgError, match=r"npm is not installed.*--onnxruntime=FOLDER"):
        onnxruntime_web.load(None)


def test_the_files_of_a_package_are_read(tmp_path, monkeypatch):
    sha = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # of x
    monkeypatch.setattr(onnxruntime_web, "FILES", {"a.mjs": sha, "b.wasm": sha})
    (tmp_path / "dist").mkdir()
    for name in ("a.mjs", "b.wasm"):
        (tmp_path / "dist" / name).write_bytes(b"x")
    read = onnxruntime_web.load(str(tmp_path))
    assert (read.code, read.wasm) == (b"x", b"x")
    assert "MIT License" in read.licence


def test_flags_of_files_are_the_same_in_both_commands():
    assert export.given is diagnose.given
