"""Imports go down only, read from the source: no module is run."""

import ast
import sys
from pathlib import Path

import pytest

import metaecg

ROOT = Path(metaecg.__file__).parent
MODULES = {
    ".".join(("metaecg", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in ROOT.rglob("*.py")
}
CORE = ("types", "errors", "eligible", "episodes", "sequences", "tasks", "losses", "augment")
CORE += ("networks", "learners", "meta", "draws", "streaming", "training", "evaluation")
CORE += ("statistics", "benchmark", "combinations", "detection", "vocabulary")
# From the bottom up; a module may import modules on its own level or below.
LEVELS = [
    ("errors", "types"),
    (
        "augment",
        "combinations",
        "eligible",
        "episodes",
        "losses",
        "sequences",
        "statistics",
        "tasks",
    ),
    ("networks",),
    ("learners",),
    ("meta",),
    ("draws",),
    ("training", "streaming"),
    ("benchmark", "detection", "evaluation", "parallel", "checkpoints"),
    ("frozen", "vocabulary"),
    ("calibration",),
    ("artefact", "diagnosis", "paper", "plots"),
    ("pages",),
    ("report",),
]
ONLY_IN = {
    "orbax": ("checkpoints",),
    "wfdb": ("data",),
    "pandas": ("data",),
    "scipy": ("data",),
    "pyedflib": ("data",),
    "pydicom": ("data",),
    "matplotlib": ("pages", "paper", "plots"),
    "absl": (),
    "ml_collections": (),
    "experiments": (),
    "tests": (),
}


def imports(module, *, at_load=False):
    """Names of the modules that a module imports, anywhere in it or (at_load) when it is loaded."""
    found = set()
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    for node in tree.body if at_load else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in MODULES else node.module)
    return found


def part(module):
    return module.split(".")[1] if "." in module else ""


def level(module):
    return next((i for i, parts in enumerate(LEVELS) if part(module) in parts), None)


def test_modules_are_found_and_the_core_is_whole():
    parts = {part(module) for module in MODULES}
    assert set(CORE) <= parts
    assert "metaecg.networks.blocks" in imports("metaecg.networks.snail")
    assert "metaecg.losses" in imports("metaecg.learners.embedded")


@pytest.mark.parametrize("module", [m for m in MODULES if part(m) in CORE])
def test_core_imports_jax_flax_optax_and_numpy_alone(module):
    allowed = {"jax", "flax", "optax", "numpy", "metaecg"} | sys.stdlib_module_names
    assert {name.split(".")[0] for name in imports(module)} <= allowed
    inside = {part(name) for name in imports(module) if name.startswith("metaecg.")}
    assert inside <= set(CORE)


@pytest.mark.parametrize("name", ["frozen", "calibration", "diagnosis", "artefact"])
def test_a_diagnosis_needs_jax_and_numpy_alone(name):
    allowed = {"jax", "numpy", "metaecg"} | sys.stdlib_module_names
    assert {found.split(".")[0] for found in imports(f"metaecg.{name}")} <= allowed


@pytest.mark.parametrize("module", [m for m in MODULES if level(m) is not None])
def test_imports_go_down_only(module):
    for name in imports(module):
        if name.startswith("metaecg."):
            assert level(name) is not None, f"{module} imports {name}, which stands above it"
            assert level(name) <= level(module), f"{module} imports {name}, which stands above it"


def test_no_two_modules_import_each_other():
    inside = {m: imports(m, at_load=True) & set(MODULES) - {m} for m in MODULES}
    done: set[str] = set()
    while len(done) < len(inside):
        free = {m for m, needs in inside.items() if m not in done and needs <= done}
        assert free, f"a circle among {sorted(set(inside) - done)}"
        done |= free


@pytest.mark.parametrize("module", MODULES)
def test_packages_are_imported_where_they_belong(module):
    for name in imports(module):
        allowed = ONLY_IN.get(name.split(".")[0])
        assert allowed is None or part(module) in allowed, f"{module} imports {name}"
