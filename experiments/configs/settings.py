"""A run's settings: read from a configuration and the command line, checked, and cut into stages.

`defaults` says what settings there are and where they start, `rules` which of them go together.
"""

import os
import re
import runpy
from pathlib import Path
from typing import Any, NamedTuple

import ml_collections

from experiments.configs.defaults import TABLE, Setting
from experiments.configs.rules import RULES
from experiments.runs.command_line import nearest
from metaecg.errors import MetaecgError
from metaecg.learners import LEARNERS

INSIDE = "workdir:"
"""Begins a path that is relative to the work directory in which it is written."""

FOLDER = Path(__file__).parent
NAMES = tuple(
    sorted(p.stem for p in FOLDER.glob("*.py") if "\ndef get_config(" in p.read_text("utf-8"))
)
"""The configurations that come with the package."""

_MOST_TEXT, _MOST_ARGUMENTS = 1000, 100_000


class Stage(NamedTuple):
    """A stage of a run: the name of its folder within the work directory, and its settings."""

    name: str
    config: ml_collections.ConfigDict


def default() -> ml_collections.ConfigDict:
    """Returns all settings; a configuration changes those it cares about."""
    nested: dict[str, Any] = {}
    for key, setting in TABLE.items():
        *folders, name = key.split(".")
        inner = nested
        for folder in folders:
            inner = inner.setdefault(folder, {})
        inner[name] = setting.default
    return ml_collections.ConfigDict(nested)


def flat(config: ml_collections.ConfigDict, prefix: str = "") -> dict[str, Any]:
    """The settings as `key.inner: value`."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        inner = isinstance(value, ml_collections.ConfigDict)
        found |= flat(value, f"{prefix}{key}.") if inner else {prefix + key: value}
    return found


def load(text: str) -> ml_collections.ConfigDict:
    """Reads a configuration, locked against settings that there are not.

    Args:
      text: one of `NAMES`, or a file with a function `get_config() -> ConfigDict`; behind a colon,
        settings to change as `key=value,key.inner=value`.

    Raises:
      MetaecgError: there is no such configuration, its file cannot be run, or a setting is wrong.
    """
    found = re.fullmatch(r"(?P<file>\w+|.*?\.py)(:(?P<arguments>.*))?", text, re.DOTALL)
    if not found:
        raise MetaecgError(
            f"--config={_shown(text)}: give a file FILE.py, or one of {', '.join(NAMES)}"
        )
    path = Path(found["file"]).expanduser()
    if path.suffix != ".py" or (not path.exists() and path.parts[-3:-1] == FOLDER.parts[-2:]):
        # By name, or as the file is called in a checkout, from another folder.
        if path.stem not in NAMES:
            raise MetaecgError(
                f"--config={_shown(found['file'])}: there is no such configuration"
                f"{nearest(path.stem, NAMES)}; there are {', '.join(NAMES)}, and files FILE.py"
            )
        path = FOLDER / f"{path.stem}.py"
    return with_arguments(_run(path), found["arguments"]).lock()


def _run(path: Path) -> ml_collections.ConfigDict:
    try:
        config = runpy.run_path(str(path))["get_config"]()
    except FileNotFoundError:
        raise MetaecgError(f"--config={path}: there is no such file") from None
    except KeyError as error:
        raise MetaecgError(f"{path}: a configuration has a function get_config ({error})") from None
    except Exception as error:  # a configuration is a program of the user's
        raise MetaecgError(f"{path}: {type(error).__name__}: {error}") from None
    if not isinstance(config, ml_collections.ConfigDict):
        raise MetaecgError(f"{path}: get_config must return settings.default(), changed")
    return config


def with_arguments(
    config: ml_collections.ConfigDict, arguments: str | None
) -> ml_collections.ConfigDict:
    """Applies `key=value,key.inner=value`, as it may follow a configuration's name.

    Raises:
      MetaecgError: there is no such key, or the value is not what it may be.
    """
    if len(arguments or "") > _MOST_ARGUMENTS:
        raise MetaecgError(f"config arguments: more than {_MOST_ARGUMENTS} characters")
    for item in filter(None, (arguments or "").split(",")):
        key, found, text = item.partition("=")
        if not found:
            raise MetaecgError(f"config argument {_shown(item)}: write key=value")
        change(config, key, text)
    return config


def change(config: ml_collections.ConfigDict, key: str, text: str) -> None:
    """Sets one value as it is written on a command line.

    Raises:
      MetaecgError: there is no such key, or the value is not what it may be.
    """
    setting = _setting(key)
    kind = type(setting.default)
    try:
        value = _SWITCH[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError):
        raise MetaecgError(f"config.{key} = {_shown(text)}: {_KINDS[kind]} is needed") from None
    _check(key, setting, value)
    config.update_from_flattened_dict({key: value})


_SWITCH = {"true": True, "false": False, "1": True, "0": False}
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def _setting(key: str) -> Setting:
    if key not in TABLE:
        raise MetaecgError(
            f"there is no setting config.{_shown(key)[1:-1]}{nearest(key, tuple(TABLE))}; "
            "metaecg train --help lists all"
        )
    return TABLE[key]


def _check(key: str, setting: Setting, value: Any) -> None:
    """Asserts that a value is of the setting's type and one that it may have."""
    kind = type(setting.default)
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise MetaecgError(f"config.{key} = {_shown(value)}: {_KINDS[kind]} is needed")
    if isinstance(value, str):
        if len(value) > _MOST_TEXT:
            raise MetaecgError(f"config.{key}: {len(value)} characters; at most {_MOST_TEXT}")
        if setting.choices and value not in setting.choices:
            hint = nearest(value, setting.choices)
            raise MetaecgError(
                f"config.{key} = {_shown(value)}: choose one of {', '.join(setting.choices)}{hint}"
            )
        if setting.read:
            try:
                setting.read(value)
            except ValueError:
                raise MetaecgError(
                    f"config.{key} = {_shown(value)}: write {setting.written}"
                ) from None
    # A comparison with NaN is false.
    elif kind is not bool and not (
        setting.least <= value <= setting.most and (value != setting.least or not setting.above)
    ):
        low = f"above {setting.least:g} and" if setting.above else f"from {setting.least:g} and"
        raise MetaecgError(
            f"config.{key} = {_shown(value)}: a number {low} at most {setting.most:.10g} is needed"
        )


def resolved(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    """The settings with what follows from them once all are given.

    With `smoke`, every stage has at most two steps and every measurement 20 episodes; a stage that
    is left out stays so.
    """
    config = config.copy_and_resolve_references()
    if config.smoke:
        for stage in (config.pretrain, config.head, config):
            stage.steps = min(stage.steps, 2)
        for key in ("validation_episodes", "test_episodes"):
            config[key] = min(config[key], 20)
    return config


def validate(config: ml_collections.ConfigDict) -> None:
    """Checks the settings of all stages, as far as they do not depend on data.

    Raises:
      MetaecgError: names the setting, its value and what it may be.
    """
    values = flat(config)
    for key in {**values, **TABLE}:
        setting = _setting(key)
        if key not in values:
            raise MetaecgError(f"config.{key} is missing: start from settings.default()")
        _check(key, setting, values[key])
    for name, checked in (("", config), *stages(config)):
        for rule in RULES:
            if wrong := rule(checked, LEARNERS[checked.learner]):
                raise MetaecgError(f"stage {name}: {wrong}" if name else wrong)


def stages(config: ml_collections.ConfigDict) -> tuple[Stage, ...]:
    """The stages of a run: pretraining and head where they have steps, then the main one, ''.

    Each but the first starts from the one before it. Their settings are those of the run, with
    what the stage changes.
    """
    supervised = {
        "learner": "supervised",
        "labels": "slots",
        "update_rule": "episodic",
        "optimizer": "adamw",
        "whiten": False,
        "freeze_encoder": False,
        "combinations": 0,
    }
    planned: list[tuple[str, dict[str, Any]]] = [("", {})]
    if config.head.steps and LEARNERS[config.learner].has_head:
        planned.insert(0, ("head", {"freeze_encoder": True, **config.head.to_dict()}))
    if config.pretrain.steps and config.learner != "supervised":
        planned.insert(0, ("pretrain", {**supervised, **config.pretrain.to_dict()}))
    found: list[Stage] = []
    for name, changes in planned:
        stage = config.copy_and_resolve_references()
        stage.update(changes)
        stage.pretrain.steps = stage.head.steps = 0
        if found:
            # Relative, so that the work directory can be moved.
            stage.start_from = INSIDE + os.path.relpath(found[-1].name, name or ".")
        found.append(Stage(name, stage))
    return tuple(found)


def _shown(value: Any) -> str:
    """A value in a message: short and printable."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
