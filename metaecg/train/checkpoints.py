"""Checkpoints of a training run, the only module that knows Orbax; no pickle on disk."""

import contextlib
import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from metaecg.errors import MetaecgError
from metaecg.types import ArrayTree, TrainState, Variables


class CheckpointError(MetaecgError):
    """No checkpoint can be read."""


class Checkpoints:
    """The checkpoints of one kind (`latest`, `best`) in a work directory.

    Args:
      directory: folder to keep them in; made if missing.
      keep: how many of the newest to keep.
    """

    def __init__(self, directory: str | Path, *, keep: int = 2):
        self.directory = Path(directory).absolute()
        # Orbax names the barriers of several processes by step alone: without a prefix, those of
        # `latest` and `best` are mixed up where both write the same step, and the run stands still.
        apart = ocp.options.MultiprocessingOptions(barrier_sync_key_prefix=self.directory.name)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, cleanup_tmp_directories=True, multiprocessing_options=apart
        )
        self._manager = ocp.CheckpointManager(self.directory, options=options)

    def save(self, state: TrainState, meta: dict[str, Any]) -> None:
        """Starts to write a state and JSON facts about it; the write ends in the background.

        A run that goes on from an earlier checkpoint meets its own later ones again: one that is
        whole and the same is left alone, any other is replaced.

        Raises:
          CheckpointError: it cannot be written, now or an earlier one in the background.
        """
        step = int(state.step)
        variables, rest = _parts(state)
        digests = {"variables": digest(variables), "rest": digest(rest), "meta": _facts(meta)}
        meta = {**meta, "digest": digests}
        self.wait()
        if step in _steps(self.directory):
            found = _read(self.directory, step, {"variables": variables._asdict(), "rest": rest})
            if found and found[1]["digest"] == digests:
                return
            self._manager.delete(step)
        args = ocp.args.Composite(
            variables=ocp.args.StandardSave(variables._asdict()),
            rest=ocp.args.StandardSave(rest),
            meta=ocp.args.JsonSave(meta),
        )
        with self._writing():
            self._manager.save(step, args=args, force=True)

    def restore(self, like: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """Reads the newest checkpoint that is whole; damaged ones are passed over with a warning.

        Args:
          like: a state of the same structure, shapes, types (and shardings): arrays, or
            a `ShapeDtypeStruct` for each.

        Returns:
          (state, meta), or None where there is no checkpoint at all.

        Raises:
          CheckpointError: there are checkpoints and none can be read.
        """
        variables, rest = _parts(like)
        found = _newest(self.directory, {"variables": variables._asdict(), "rest": rest})
        if found is None:
            return None
        parts, meta = found
        return TrainState(variables=Variables(**parts["variables"]), **parts["rest"]), meta

    def wait(self) -> None:
        """Returns when everything is on disk.

        Raises:
          CheckpointError: something could not be written; earlier checkpoints are still there.
        """
        with self._writing():
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits and gives up the folder."""
        with self._writing():
            self._manager.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # Orbax and TensorStore raise many types
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(
                f"{self.directory}: a checkpoint could not be written ({reason}); earlier ones are "
                "untouched: make room and run the same command again"
            ) from error


def restore_variables(
    directory: str | Path, like: Variables
) -> tuple[Variables, dict[str, Any]] | None:
    """As `Checkpoints.restore`, for the learner's variables alone, as NumPy arrays.

    Needs no optimiser, and no devices or processes like those that saved them. Nothing in the
    folder is made, changed or deleted: a run can be read while it is trained, and where nobody may
    write.
    """
    empty = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), like)
    found = _newest(Path(directory).absolute(), {"variables": empty._asdict()})
    return None if found is None else (Variables(**found[0]["variables"]), found[1])


def _newest(
    directory: Path, like: dict[str, ArrayTree]
) -> tuple[dict[str, ArrayTree], dict[str, Any]] | None:
    """The named parts of the newest checkpoint that is whole, and its facts."""
    steps = _steps(directory)
    while steps:
        for step in steps:
            if found := _read(directory, step, like):
                return found
        # A training may have deleted a checkpoint while it was read: then there is a newer one.
        before, steps = steps, _steps(directory)
        if steps == before:
            raise CheckpointError(
                f"{directory}: none of the checkpoints {sorted(steps)} can be read; restore "
                "them from a backup, or train again in another --workdir"
            )
    return None


def _read(
    directory: Path, step: int, like: dict[str, ArrayTree]
) -> tuple[dict[str, ArrayTree], dict[str, Any]] | None:
    """The named parts of a checkpoint and its facts; None, with a warning, if it is damaged."""
    try:
        args = {name: ocp.args.StandardRestore(tree) for name, tree in like.items()}
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
            restored = reader.restore(
                directory / str(step),
                args=ocp.args.Composite(meta=ocp.args.JsonRestore(), **args),
            )
        meta = restored["meta"]
        if meta["digest"].get("meta", _facts(meta)) != _facts(meta):
            raise ValueError("meta differs from its sha256")
        for name in like:
            if digest(restored[name]) != meta["digest"][name]:
                raise ValueError(f"{name} differs from its sha256")
        return {name: restored[name] for name in like}, meta
    except Exception as error:  # Orbax raises many types for damaged files
        reason = " ".join(str(error).split())[:200]
        logging.warning("checkpoint %s/%d cannot be read: %s", directory, step, reason)
        return None


def _steps(directory: Path) -> list[int]:
    """Steps of the checkpoints that were finished, the newest first."""
    if not directory.is_dir():
        return []
    return sorted((int(p.name) for p in directory.iterdir() if p.name.isdigit()), reverse=True)


def _parts(state: TrainState) -> tuple[Variables, dict[str, ArrayTree]]:
    rest = state._asdict()
    return rest.pop("variables"), rest


def _facts(meta: dict[str, Any]) -> str:
    """sha256 of the JSON facts, the digests aside."""
    facts = {key: value for key, value in meta.items() if key != "digest"}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def digest(tree: ArrayTree) -> str:
    """sha256 over the leaves of a pytree, in order, with their shapes and types."""
    total = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        array = np.asarray(leaf)
        total.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return total.hexdigest()
