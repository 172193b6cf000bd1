"""Examples in docstrings run, pages name what exists, the reference builds, and the citation."""

import ast
import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import metaecg
from experiments.__main__ import COMMANDS
from experiments.configs import settings
from experiments.configs.defaults import TABLE

ROOT = Path(__file__).parents[1]
_spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
tables = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tables)
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


@pytest.mark.slow
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


PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
COMMAND = re.compile(r"(?:python -m experiments\.|metaecg )([a-z_.]+)((?: +[^#\n&|]*)?)")
ABSL = {"help", "helpfull", "helpshort", "flagfile"}


def commands(text):
    """The commands that a page names, in code alone: (module, its arguments)."""
    text = text.replace("\\\n", " ")
    inline = re.findall(r"(?<!`)`([^`]+)`(?!`)", re.sub(r"(?s)```.*?```", "", text))
    blocks = re.findall(r"(?s)```sh\n(.*?)```", text) + re.findall(r"(?m)^ {4,}(.*)$", text)
    for code in inline + blocks:
        yield from COMMAND.findall(code)


def flags_of(module):
    """The flags that a command defines, read without running it."""
    text = (ROOT / f"experiments/{module.replace('.', '/')}.py").read_text("utf-8")
    tree = ast.parse(text)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    calls = [c for c in calls if isinstance(c.func, ast.Attribute) and c.args]
    found = {c.args[0].value for c in calls if c.func.attr.startswith("DEFINE_")}
    shared = {"archives.define_flags()": "runs.archives", "define_model()": "runs.model_flags"}
    shared["timing.run(main"] = "benchmarks.timing"
    for call, where in shared.items():
        if call in text and module != where:
            found |= flags_of(where)
    if module == "train":
        found |= {"config", *(f"config.{key}" for key in TABLE)}
    return found | {f"no{name}" for name in found} | ABSL


def test_commands_flags_and_configurations_that_a_page_names_exist():
    wrong = []
    for name, arguments in (c for page in PAGES for c in commands(page.read_text("utf-8"))):
        room = name.partition(".")[0]
        if name not in COMMANDS and room not in ("benchmarks", "stress", "tables"):
            wrong.append(name)
            continue
        if not (ROOT / f"experiments/{name.replace('.', '/')}.py").is_file():
            wrong.append(name)
            continue
        for flag, value in re.findall(r"(?:^|\s)--([\w.]+)(?:=(\S*))?", arguments):
            if flag not in flags_of(name) and flag not in ("config.KEY", "config.key"):
                wrong.append(f"{name} --{flag}")
            by_name = flag == "config" and re.fullmatch("[a-z]\\w+", value)
            if by_name and value not in settings.NAMES:
                wrong.append(f"--config={value}")
    assert wrong == []


def test_trainings_that_a_page_names_pass_every_rule_of_settings():
    checked = 0
    for page in PAGES:
        for name, arguments in commands(page.read_text("utf-8")):
            given = dict(re.findall(r"--config(\.[\w.]+)?=(\S+)", arguments))
            named = given.pop("", "")
            if name != "train" or not re.match(r"\w", named):
                continue
            config = settings.load(named)
            for key, value in given.items():
                settings.change(config, key[1:], value)
            settings.validate(config)
            checked += 1
    assert checked > 20


def test_files_and_links_that_a_page_names_exist():
    missing = []
    for page in PAGES:
        text = page.read_text("utf-8")
        named = re.findall(r"`((?:metaecg|experiments|tests|docs|colab)/[\w/.]*)[:`]", text)
        named += re.findall(r"`((?:[a-z_]+/)+[a-z_0-9]+\.py)[:`]", text)
        missing += [n for n in named if not any((ROOT / t / n).exists() for t in (".", "metaecg"))]
        linked = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
        missing += [link for link in linked if not (page.parent / link).exists()]
    assert missing == []


def test_pages_name_commands_at_all():
    named = {name for page in PAGES for name, _ in commands(page.read_text("utf-8"))}
    assert {"train", "evaluate", "prepare", "diagnose", "calibrate", "export"} <= named
    assert {"benchmarks.sampler", "stress.kill"} <= named


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == metaecg.__version__
    assert citation["authors"] == [{"name": "metaecg contributors"}]
    numbers = {r.get("number") or r.get("doi") for r in citation["references"]}
    assert {"CN109700434A", "10.1038/s41597-020-0495-6"} <= numbers


def test_tables_are_those_of_the_results_files():
    for page in tables.PAGES:
        text = page.read_text("utf-8")
        assert tables.render(text) == text, f"{page}: run: python docs/tables.py"
        by_hand = [line for line in tables.MARK.sub("", text).splitlines() if line.startswith("|")]
        measured = [line for line in by_hand if len(re.findall(r"[0-9]?\.\d\d\d", line)) > 1]
        assert measured == [], f"{page}: a table of numbers has no results file"


def test_results_say_how_they_were_measured():
    for path in sorted(tables.DOCS.glob("results/*.csv")):
        head, *body = tables.rows(path)
        assert body, path
        assert {len(row) for row in body} == {len(head)}, path
        first = path.read_text("utf-8").splitlines()[:4]
        facts = [line[2:].split(": ")[0] for line in first]
        assert facts == ["command", "machine", "seeds", "version"], path


def test_intervals_of_version_0_1_do_not_pass_for_those_over_patients():
    """They leave out what other examples would have changed, and are too narrow."""
    for path in sorted(tables.DOCS.glob("results/*.csv")):
        head, *_ = tables.rows(path)
        if "# version: 0.1" in path.read_text("utf-8").splitlines():
            assert not [name for name in head if re.search(r"over patients(?! asked)", name)], path


def test_every_results_file_is_shown_on_a_page():
    shown = {
        mark["file"]
        for page in tables.PAGES
        for mark in tables.MARK.finditer(page.read_text("utf-8"))
    }
    assert {path.name for path in tables.DOCS.glob("results/*.csv")} == shown


def test_a_table_shows_the_columns_that_are_named_and_refuses_others(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("# command: x\nlearner,a,b\nSNAIL,1,2\n")
    assert tables.table(path, "b | learner") == "| b | learner |\n|---|---|\n| 2 | SNAIL |\n"
    with pytest.raises(SystemExit, match="no column 'c'; there are learner, a, b"):
        tables.table(path, "c")


def test_libraries_that_a_page_makes_of_files_have_the_form_that_models_read():
    """Files mostly have 500 Hz, which `prepare` keeps where no flag says otherwise."""
    named = [command for page in PAGES for command in commands(page.read_text("utf-8"))]
    made = [flags for name, flags in named if name == "prepare"]
    of_files = [flags for flags in made if re.search("--source=(wfdb|csv)", flags)]
    assert [
        flags for flags in of_files if not re.search("--hz=100 --(seconds|cut)=10 ", flags)
    ] == []
