"""A run's folder: config.json, metrics.jsonl, checkpoints/latest and checkpoints/best."""

import contextlib
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_collections

from experiments.configs import settings
from experiments.configs.settings import INSIDE as INSIDE
from metaecg.data import files
from metaecg.data.files import write_whole as write_whole
from metaecg.errors import MetaecgError


def other(folder: Path, path: str) -> Path:
    """The folder of another run, as config.start_from names it in the run of `folder`."""
    if path.startswith(INSIDE):
        return Path(os.path.normpath(folder / path.removeprefix(INSIDE)))
    return Path(path).expanduser()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other trainings out of a work directory; a process that dies lets go of it.

    Makes the folder where there is none, so that one that cannot be written is found at once.

    Raises:
      MetaecgError: another training holds the folder, or it cannot be written.
    """
    refusal = (
        f"--workdir={folder}: another training is running in this folder; wait until it has ended, "
        "or choose another folder"
    )
    with contextlib.ExitStack() as held:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(files.locked(folder / ".lock", refusal))
        except OSError as error:
            raise MetaecgError(
                f"--workdir={folder}: {error.strerror}, so no run can be written there; choose "
                "another folder"
            ) from None
        yield


class Metrics:
    """Appends one JSON object a line to metrics.jsonl, each with its `step`.

    Args:
      path: the file.
      write: False in processes that leave it to another.
    """

    def __init__(self, path: Path, *, write: bool = True):
        self._path, self._write = path, write

    def write(self, **values: Any) -> None:
        """Appends a line of these values, JSON-ready; one is `step`. NaN is written as null."""
        if self._write:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(json.dumps(_finite(values), allow_nan=False) + "\n")

    def says(self, field: str) -> bool:
        """Whether some line has the field."""
        return any(field in line for line in _lines(self._path))

    def keep_until(self, step: int) -> None:
        """Drops what a run that was killed logged after the checkpoint it goes on from."""
        if self._write and self._path.exists():
            kept = [line for line in _lines(self._path) if _is_by(line, step)]
            write_whole(self._path, "".join(json.dumps(line) + "\n" for line in kept))


def metrics(folder: Path) -> list[dict[str, Any]]:
    """What a run logged, line by line, without lines that a killed process left unfinished."""
    return _lines(folder / "metrics.jsonl")


def _lines(path: Path) -> list[dict[str, Any]]:
    try:
        text = path.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    found = []
    for line in text.split("\n"):
        with contextlib.suppress(ValueError):
            fields = json.loads(line)
            if isinstance(fields, dict):
                found.append(_finite(fields))
    return found


def _finite(value: Any) -> Any:
    """The value with None for numbers that JSON does not know."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_by(line: dict[str, Any], step: int) -> bool:
    by = line.get("step")
    return isinstance(by, int | float) and by <= step


def save_config(folder: Path, config: ml_collections.ConfigDict, facts: dict[str, Any]) -> None:
    """Writes config.json, or checks that it says the same.

    Args:
      folder: the work directory.
      config: the run's settings.
      facts: what else the run depends on: classes, record shape, library fingerprint ….

    Raises:
      MetaecgError: the folder holds a run of other settings; names what differs.
    """
    mine = json.loads(json.dumps({"config": config.to_dict(), **facts}))
    path = folder / "config.json"
    if not path.exists() or not trained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(mine, indent=1, ensure_ascii=False))
        return
    # Settings that came with a later version have their default in a run that lacks them; facts
    # that did are not compared.
    old = {**mine, **load(folder), "config": load_config(folder).to_dict()}
    differ = _differences(mine, old)
    if differ:
        longer = any(line.startswith("config.steps ") for line in differ)
        raise MetaecgError(
            f"{path}: the run in this folder differs in {'; '.join(differ[:5])}; resume it as it "
            "was, or choose another folder"
            + (f", with config.start_from={folder} to train on from here" if longer else "")
        )


def trained(folder: Path) -> bool:
    """Whether a work directory holds something that was trained: a checkpoint, or one begun."""
    return any((folder / "checkpoints").glob("*/*"))


def load(folder: Path) -> dict[str, Any]:
    """Reads config.json.

    Raises:
      MetaecgError: it is missing or not JSON.
    """
    path = folder / "config.json"
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise MetaecgError(
            f"{path}: missing; is {folder} the --workdir of a training run?"
        ) from None
    except NotADirectoryError:
        raise MetaecgError(f"{folder}: is a file, and no --workdir of a training run") from None
    except ValueError as error:
        raise MetaecgError(f"{path}: not JSON ({error})") from None


def load_config(folder: Path) -> ml_collections.ConfigDict:
    """The settings of the run in a folder, over today's defaults."""
    config = settings.default()
    stored = load(folder)
    try:
        values = dict(stored["config"])
        if "update" in values:  # as the key was called before version 0.2
            values["update_rule"] = values.pop("update")
            config.snail.closed_form = "none"  # SNAIL replaced it then
        config.update(values)
    except (KeyError, TypeError, ValueError) as error:
        raise MetaecgError(f"{folder}/config.json: {error}") from None
    return config


def _differences(a: Any, b: Any, name: str = "") -> list[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        keys = sorted(a.keys() | b.keys())
        inner = (_differences(a.get(k), b.get(k), f"{name}.{k}" if name else k) for k in keys)
        return [line for lines in inner for line in lines]
    if a == b:
        return []
    return [f"{name} ({_short(b)} there, {_short(a)} here)"]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:37] + "…"
