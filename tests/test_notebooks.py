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
    assert f"/metaecg/blob/main/colab/{path.stem}.ipynb)" in first.source
    # One repository, named alike in the badge and in the cell that installs.
    owners = re.findall(r"github(?:\.com)?/([\w-]+)/metaecg", first.source + install.source)
    assert len(owners) == 2
    assert len(set(owners)) == 1


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
@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
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
