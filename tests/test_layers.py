"""Imports go down only, read from the source: no module is run."""

import ast
import functools
import sys
from pathlib import Path

import metaecg

ROOT = Path(metaecg.__file__).parent
MODULES = {
    ".".join(("metaecg", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in ROOT.rglob("*.py")
}
# From the bottom up; a room may import those below it.
ROOMS = (
    "errors",
    "limits",
    "types",
    "losses",
    "signals",
    "episodes",
    "networks",
    "learners",
    "train",
    "evaluate",
    "data",
    "diagnose",
    "search",
    "figures",
)
# Modules that need more than jax, flax, optax and numpy; the core imports none of them.
BEYOND = ("data", "diagnose", "search", "figures", "train.checkpoints", "train.parallel")
ONLY_IN = {
    "orbax": ("train.checkpoints",),
    "wfdb": ("data.readers",),
    "scipy": (
        "data",
        "evaluate.patient_intervals",
        "diagnose.bounds",
        "diagnose.fitting",
        "search.remaining",
    ),
    "pyedflib": ("data.readers",),
    "pydicom": ("data.readers",),
    "jax2onnx": ("diagnose.onnx_file",),
    "onnx": ("diagnose.onnx_file",),
    "onnxruntime": ("diagnose.onnx_file",),
    "matplotlib": ("figures",),
    "jinja2": ("figures",),
    "absl": (),
    "ml_collections": (),
    "experiments": (),
    "tests": (),
}


@functools.cache
def imports(module):
    """Names of the modules that a module imports, anywhere in it: within a function as well."""
    found = set()
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in MODULES else node.module)
    return found


def room(module):
    return module.split(".")[1] if "." in module else ""


def within(module, places):
    return any(f"{module}.".startswith(f"metaecg.{place}.") for place in places)


CORE = [m for m in MODULES if "." in m and not within(m, BEYOND)]


def test_modules_are_found_and_every_room_is_known():
    assert {room(module) for module in MODULES} == {"", *ROOMS}
    assert "metaecg.networks.snail_blocks" in imports("metaecg.networks.snail")
    assert "metaecg.losses" in imports("metaecg.learners.heads")
    assert {"metaecg.episodes.sampling", "metaecg.train.meta", "metaecg.networks.snail"} <= {*CORE}


def test_core_imports_jax_flax_optax_numpy_and_scipy_alone():
    allowed = {"jax", "flax", "optax", "numpy", "scipy", "metaecg"} | sys.stdlib_module_names
    for module in CORE:
        assert {name.split(".")[0] for name in imports(module)} <= allowed, module
        assert {n for n in imports(module) if n.startswith("metaecg.")} <= {*CORE}, module


def needed(module, done):
    """Names of all packages that a module needs, itself or through modules and rooms it imports."""
    found = set()
    for name in imports(module):
        if name not in MODULES:
            found.add(name.split(".")[0])
            continue
        rooms = name.split(".")
        for within_room in (".".join(rooms[:n]) for n in range(2, len(rooms) + 1)):
            if within_room not in done:
                done.add(within_room)
                found |= needed(within_room, done)
    return found


DIAGNOSIS = (
    "arrays",
    "background",
    "calibration",
    "predictor",
    "model",
    "remarks",
    "diagnoser",
    "diagnosis",
    "artefact",
    "sealed_file",
    "plain",
    "measurements",
    "few_leads",
)
READING = ("support", "answers")


def test_a_diagnosis_needs_jax_and_numpy_alone_and_to_read_files_scipy_and_wfdb():
    allowed = {"jax", "numpy"} | sys.stdlib_module_names
    reading = allowed | {"scipy", "wfdb", "pydicom", "pyedflib", "tqdm"}
    for module in DIAGNOSIS + READING:
        found = needed(f"metaecg.diagnose.{module}", set())
        assert found <= (reading if module in READING else allowed), module


def test_every_module_of_the_diagnosis_is_listed_or_fits_or_measures():
    modules = {m.split(".")[2] for m in MODULES if m.startswith("metaecg.diagnose.")}
    fits = {"bounds", "fitting", "refining", "stated_rates", "onnx_file"}
    assert modules == {*DIAGNOSIS, *READING, *fits}


def test_imports_go_down_only():
    pairs = [(m, name) for m in MODULES if room(m) for name in imports(m)]
    for module, name in pairs:
        if name.startswith("metaecg."):
            assert ROOMS.index(room(name)) <= ROOMS.index(room(module)), f"{module} imports {name}"


def test_no_two_modules_import_each_other():
    inside = {m: imports(m) & set(MODULES) - {m, "metaecg"} for m in MODULES}
    done: set[str] = {"metaecg"}
    while len(done) < len(inside):
        free = {m for m, needs in inside.items() if m not in done and needs <= done}
        assert free, f"a circle among {sorted(set(inside) - done)}"
        done |= free


def test_packages_are_imported_where_they_belong():
    for module, name in ((m, name) for m in MODULES for name in imports(m)):
        allowed = ONLY_IN.get(name.split(".")[0])
        assert allowed is None or within(module, allowed), f"{module} imports {name}"
