"""Examples in docstrings run, the reference covers all modules and builds, the citation is ours."""

import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import metaecg

ROOT = Path(__file__).parents[1]
MODULES = [m.name for m in pkgutil.walk_packages(metaecg.__path__, "metaecg.")]
WITH_EXAMPLES = [
    name for name in MODULES if ">>> " in Path(importlib.util.find_spec(name).origin).read_text()
]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_in_docstrings_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # an example may write
    failed, attempted = doctest.testmod(importlib.import_module(name))
    assert attempted, "the examples are in no docstring that doctest finds"
    assert not failed


def test_some_modules_have_examples():
    assert {"metaecg.episodes.sequences", "metaecg.train.meta"} <= set(WITH_EXAMPLES)


def test_the_reference_builds_without_a_warning(tmp_path):
    for package in ("sphinx", "furo", "myst_parser"):
        pytest.importorskip(package, reason="the docs extra is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", ROOT / "docs", tmp_path],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    pages = "".join(path.read_text("utf-8") for path in (tmp_path / "api").glob("metaecg*.html"))
    assert [name for name in MODULES if f'id="module-{name}"' not in pages] == []
    assert 'id="metaecg.episodes.sampling.sample_episode"' in pages
    assert (tmp_path / "promises.html").is_file()
    assert (tmp_path / "devices.html").is_file()


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == metaecg.__version__
    assert citation["authors"] == [{"name": "metaecg contributors"}]
    numbers = {r.get("number") or r.get("doi") for r in citation["references"]}
    assert {"CN109700434A", "10.1038/s41597-020-0495-6"} <= numbers
