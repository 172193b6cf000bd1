"""The notebooks: text and notebook say the same, hold no outputs, and run from end to end."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import jupytext
import pytest

ROOT = Path(__file__).parents[1]
TEXTS = sorted(ROOT.glob("colab/*.py"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """What one notebook compiled, the others need not."""
    return tmp_path_factory.mktemp("cache")


def read(path):
    return jupytext.read(path).cells


def test_there_are_four():
    assert [path.stem[0] for path in TEXTS] == ["1", "2", "3", "4"]
    assert {path.stem for path in ROOT.glob("colab/*.ipynb")} == {path.stem for path in TEXTS}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_text_and_notebook_say_the_same(path):
    text, notebook = read(path), read(path.with_suffix(".ipynb"))
    remedy = "run: jupytext --sync colab/*.py"
    assert [(c.cell_type, c.source) for c in text] == [(c.cell_type, c.source) for c in notebook], (
        remedy
    )
    for cell in notebook:
        assert not cell.get("outputs"), "strip the outputs"
        assert not cell.get("execution_count"), "strip the outputs"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_it_opens_with_what_it_does_and_how_long_it_takes(path):
    first, install = read(path)[:2]
    assert "**What it does.**" in first.source
    assert re.search(r"\*\*How long it takes\.\*\*.*minute", first.source, re.DOTALL)
    # Whose copy it is, nobody but the reader knows: a link to somebody's would lead nowhere.
    assert not re.search(r"github\.com|OWNER", path.read_text("utf-8"))
    assert install.source.startswith('REPOSITORY = ""')


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("address", ["", "https://example.org/me/metaecg"])
def test_on_colab_the_first_cell_installs_the_readers_copy_or_asks_where_it_is(
    path, address, monkeypatch
):
    """The cell runs as on Colab, with the module that tells Colab from other places."""
    cell = read(path)[1].source.replace('REPOSITORY = ""', f"REPOSITORY = {address!r}")
    ran = []
    monkeypatch.setitem(sys.modules, "google.colab", None)
    monkeypatch.setattr(subprocess, "run", lambda command, **_: ran.append(command))
    code = "".join(line for line in cell.splitlines(True) if "%cd" not in line)
    if address:
        exec(code, {})
        assert ran == [f"git clone -q --depth=1 {address} metaecg && pip install -q -e ./metaecg"]
    else:
        with pytest.raises(AssertionError, match="address of your copy"):
            exec(code, {})
        assert not ran


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_what_it_imports_is_there(path):
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    taken = [n for n in nodes if isinstance(n, ast.ImportFrom) and n.level == 0]
    ours = [n for n in taken if n.module.split(".")[0] in ("metaecg", "experiments")]
    assert ours
    for node in ours:
        module = importlib.import_module(node.module)
        for alias in node.names:
            name = f"{node.module}.{alias.name}"
            assert hasattr(module, alias.name) or importlib.util.find_spec(name), name


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [TEXTS[0], *(pytest.param(path, marks=pytest.mark.long) for path in TEXTS[1:])],
    ids=[path.stem for path in TEXTS],
)
def test_it_runs_from_end_to_end(path, cache, tmp_path):
    quickly = {
        "METAECG_SMOKE": "1",
        "MPLBACKEND": "agg",
        "PYTHONPATH": str(ROOT),
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    }
    done = subprocess.run(
        [sys.executable, path],
        cwd=tmp_path,
        env=os.environ | quickly,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
