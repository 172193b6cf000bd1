"""What all tests share: jax's settings, and a small library in memory."""

import os

# Before numpy starts: several tests run at a time, and threads of each would wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Commands that tests run shall not start themselves anew for huge pages: nothing here is large.
os.environ.setdefault("GLIBC_TUNABLES", "")

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from metaecg.train import parallel
from metaecg.train.batches import Data
from metaecg.types import LibraryIndex, Task

# Before jax starts; a setting and not XLA_FLAGS, so that commands run by tests do not inherit it.
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")

CLASSES, RECORDS, PATIENTS, SAMPLES, LEADS = 6, 180, 90, 24, 2


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items):
    """What is long is slow."""
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def _compile_once(tmp_path_factory):
    """What one test compiled, others of this session load, in commands that they start as well."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    kept = os.environ.get("JAX_COMPILATION_CACHE_DIR", str(shared / "compiled"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("jax_compilation_cache_dir", kept),
            ("jax_persistent_cache_min_compile_time_secs", 0.5),
        ):
            jax.config.update(name, value)
            patch.setenv(name.upper(), str(value))
        yield


@pytest.fixture(scope="module", autouse=True)
def _compile_quickly(request):
    """Compiling tiny programs is most of a test's time; in tests/data, where they run long, not."""
    jax.config.update("jax_disable_most_optimizations", "data" not in request.path.parts)


@pytest.fixture(scope="module")
def one_device():
    """Runs are given one device instead of eight: they compile in a third of the time."""
    one = jax.make_mesh((1,), ("episodes",), (AxisType.Auto,), devices=jax.devices()[:1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "mesh", lambda: one)
        yield


@pytest.fixture
def optimised():
    """Programs are compiled as they are in use."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture(scope="session")
def index():
    """180 records of 90 patients in 6 classes: a third carries two classes, a few carry none."""
    rng = np.random.default_rng(0)
    labels = np.eye(CLASSES, dtype=bool)[rng.integers(0, CLASSES, RECORDS)]
    both = rng.random(RECORDS) < 1 / 3
    labels[both] |= np.eye(CLASSES, dtype=bool)[rng.integers(0, CLASSES, both.sum())]
    labels[rng.random(RECORDS) < 0.03] = False
    return LibraryIndex(labels, rng.integers(0, PATIENTS, RECORDS))


@pytest.fixture(scope="session")
def data(index):
    """Signals in which every class adds a sine of its own frequency, in steps of 1 µV."""
    rng = np.random.default_rng(1)
    time = np.arange(SAMPLES)[None, :, None]
    classes = np.arange(CLASSES)[:, None, None]
    waves = 800 * np.sin(np.pi * (classes + 1) * time / SAMPLES + np.arange(LEADS) * np.pi / 2)
    signals = np.einsum("rc,ctl->rtl", np.asarray(index.labels), waves)
    signals = signals + rng.normal(0, 100, signals.shape)
    return Data(jnp.asarray(signals.round(), jnp.int16), jnp.float32(0.001), index)


@pytest.fixture(scope="session")
def easy_tasks():
    """Eight 3-way 1-shot tasks with two queries a class: each class has a sine of its own."""
    rng = np.random.default_rng(2)
    slots = np.tile(np.arange(3), (8, 3))
    for part in (slots[:, :3], slots[:, 3:]):
        rng.permuted(part, axis=1, out=part)
    waves = np.stack([rng.permutation(6)[:3] + 1 for _ in range(8)])
    turns = np.take_along_axis(waves, slots, axis=1)[..., None] * np.arange(SAMPLES) / SAMPLES
    records = np.sin(np.pi * turns[..., None] + np.arange(LEADS) * np.pi / 2)
    records = records + rng.normal(0, 0.2, records.shape)
    rows = np.tile(np.arange(9, dtype=np.int32), (8, 1))
    return Task(
        records=records.astype(np.float32),
        labels=np.eye(3, dtype=np.float32)[slots],
        support=rows[:, :3],
        query=rows[:, 3:],
        sees=np.full((8, 6), 3, np.int32),
        way=np.full(8, 3, np.int32),
    )
