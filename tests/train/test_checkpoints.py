"""Checkpoints: all of a state comes back, and a damaged one is never taken for whole."""

import contextlib
import gc
import logging
import pickle
import resource
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from metaecg.train import checkpoints, parallel
from metaecg.train.checkpoints import CheckpointError, Checkpoints, digest, restore_variables
from metaecg.types import TrainState, Variables

# Orbax leaves coroutines behind where a read fails; they are collected within the test.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _collect():
    yield
    gc.collect()


def state(step):
    """A state whose every leaf differs from those of other steps."""
    params = {"w": jnp.arange(300.0).reshape(10, 30) + step, "b": jnp.full(3, step, jnp.bfloat16)}
    variables = Variables(params, {"batch_stats": {"mean": jnp.full(4, step / 7)}})
    optimizer = optax.adam(0.1)
    _, opt_state = optimizer.update(params, optimizer.init(params))
    return TrainState(jnp.int32(step), variables, opt_state, jnp.int32(step % 3), jnp.int32(0))


LIKE = jax.eval_shape(lambda: state(1))


def assert_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(x, y)


def restore(folder, like=LIKE):
    writer = Checkpoints(folder)
    try:
        return writer.restore(like)
    finally:
        writer.close()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Checkpoints of steps 5 and 8."""
    folder = tmp_path_factory.mktemp("run")
    writer = Checkpoints(folder)
    writer.save(state(5), {"best": 0.25})
    writer.save(state(8), {"best": 0.75})
    writer.close()
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return Path(shutil.copytree(saved, tmp_path / "run"))


def test_newest_state_and_its_facts_come_back(saved):
    found, meta = restore(saved)
    assert_equal(found, state(8))
    assert meta["best"] == 0.75


def test_variables_come_back_without_the_optimiser(saved):
    found, meta = restore_variables(saved, LIKE.variables)
    assert_equal(found, state(8).variables)
    assert meta["best"] == 0.75


def test_reading_makes_changes_and_deletes_nothing(folder):
    """Nor what a training that is writing has not finished."""
    unfinished = folder / "9.orbax-checkpoint-tmp-123"
    unfinished.mkdir()

    def everything():
        return sorted((p, p.stat().st_mtime_ns) for p in (folder, *folder.rglob("*")))

    before = everything()
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    found, _ = restore_variables(folder, LIKE.variables)
    assert_equal(found, state(8).variables)
    assert everything() == before
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert restore_variables(folder / "none", LIKE.variables) is None
    assert everything() == before


def test_a_checkpoint_that_is_deleted_while_it_is_read_gives_way_to_the_newer(folder, monkeypatch):
    read, deleted = checkpoints._read, []

    def delete_first(directory, step, like):
        if not deleted:
            deleted.append(step)
            shutil.copytree(directory / "8", directory / "11")
            for old in ("5", "8"):
                shutil.rmtree(directory / old)
        return read(directory, step, like)

    monkeypatch.setattr(checkpoints, "_read", delete_first)
    found, _ = restore_variables(folder, LIKE.variables)
    assert_equal(found, state(8).variables)


def test_state_comes_back_onto_every_device(saved):
    mesh = parallel.mesh()
    like = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=parallel.replicated(mesh)), LIKE
    )
    found, _ = restore(saved, like)
    assert_equal(found, state(8))
    assert all(len(x.sharding.device_set) == 8 for x in jax.tree.leaves(found))


def test_folder_without_checkpoints_holds_none(tmp_path):
    assert restore(tmp_path / "new") is None


def test_only_the_newest_are_kept(tmp_path):
    writer = Checkpoints(tmp_path, keep=1)
    for step in (1, 2):
        writer.save(state(step), {})
    writer.close()
    assert sorted(int(p.name) for p in tmp_path.iterdir() if p.name.isdigit()) == [2]
    assert_equal(restore(tmp_path)[0], state(2))


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def files(folder, step=8):
    return sorted(p for p in (folder / str(step)).rglob("*") if p.is_file())


@pytest.mark.parametrize("damage", [truncate, flip, Path.unlink])
def test_damage_to_any_file_is_found_or_harmless(saved, folder, damage, caplog):
    """Whatever file is hit, what comes back is the newest state as saved, or the one before it."""
    fell_back = set()
    for whole in files(saved):
        path = folder / whole.relative_to(saved)
        damage(path)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            found, meta = restore(folder)
        step = int(found.step)
        assert_equal(found, state(step))
        assert meta["best"] == {5: 0.25, 8: 0.75}[step]
        if step == 5:
            fell_back.add(whole.parent.name)
            assert any(f"{folder}/8 cannot be read" in m for m in caplog.messages)
        if not (folder / "8").exists():
            shutil.copytree(saved / "8", folder / "8")
        shutil.copy(whole, path)
    assert {"meta", "d"} <= fell_back


def test_edited_facts_are_found(folder, caplog):
    path = folder / "8" / "meta" / "metadata"
    content = path.read_text()
    assert "0.75" in content
    path.write_text(content.replace("0.75", "0.95"))
    with caplog.at_level(logging.WARNING):
        found, meta = restore(folder)
    assert (int(found.step), meta["best"]) == (5, 0.25)


def test_values_that_decode_but_differ_are_found(folder, caplog):
    """Another checkpoint's arrays in the place of this one's."""
    for part in ("variables", "rest"):
        shutil.rmtree(folder / "8" / part)
        shutil.copytree(folder / "5" / part, folder / "8" / part)
    with caplog.at_level(logging.WARNING):
        found, _ = restore(folder)
    assert int(found.step) == 5
    assert any("differs from its sha256" in m for m in caplog.messages)


def test_nothing_but_damaged_checkpoints_is_an_error(folder):
    for step in (5, 8):
        for path in files(folder, step):
            if path.parent.name == "d":
                truncate(path)
    with pytest.raises(CheckpointError, match=r"none of the checkpoints \[5, 8\] can be read"):
        restore(folder)


def test_state_of_another_shape_is_an_error(saved):
    params = {**LIKE.variables.params, "w": jax.ShapeDtypeStruct((30, 10), jnp.float32)}
    other = LIKE._replace(variables=LIKE.variables._replace(params=params))
    with pytest.raises(CheckpointError, match="none of the checkpoints"):
        restore(saved, other)


def test_digest_tells_values_shapes_and_types_apart():
    trees = [
        {"a": np.zeros(4, np.float32)},
        {"a": np.zeros((2, 2), np.float32)},
        {"a": np.zeros(4, np.int32)},
        {"a": np.array([0, 0, 0, 1], np.float32)},
        {"a": -np.zeros(4, np.float32)},
    ]
    assert len({digest(tree) for tree in trees}) == 5
    assert digest(trees[0]) == digest({"a": jnp.zeros(4)})


def test_a_disk_that_is_full_loses_nothing_earlier(folder):
    """A limit on the size of files stands for the full disk."""
    writer = Checkpoints(folder)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, hard))
    try:
        writer.save(state(11), {"best": 0.9})
        with pytest.raises(CheckpointError, match=r"could not be written .* make room"):
            writer.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        with contextlib.suppress(CheckpointError):
            writer.close()
    found, facts = restore(folder)
    assert_equal(found, state(8))
    assert facts["best"] == 0.75


def test_a_checkpoint_met_again_is_left_alone_if_whole_and_replaced_if_not(folder, caplog):
    """As by a run that was killed after it had saved, or whose newest was damaged."""
    times = {path: path.stat().st_mtime_ns for path in files(folder, 8)}
    writer = Checkpoints(folder)
    writer.save(state(8), {"best": 0.75})
    writer.close()
    assert {path: path.stat().st_mtime_ns for path in files(folder, 8)} == times
    for path in files(folder, 8):
        if path.parent.name == "d":
            truncate(path)
    writer = Checkpoints(folder)
    with caplog.at_level(logging.WARNING):
        writer.save(state(8), {"best": 0.75})
        writer.close()
    found, _ = restore(folder)
    assert_equal(found, state(8))


class Hostile:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_pickle_in_the_place_of_any_file_is_not_opened(saved, folder, tmp_path):
    mark = tmp_path / "opened"
    for path in files(folder, 8):
        path.write_bytes(pickle.dumps(Hostile(mark)))
    found, _ = restore(folder)
    assert int(found.step) == 5
    assert not mark.exists()
