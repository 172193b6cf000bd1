"""The settings as flags: `--config=NAME` and a flag `--config.KEY` for every setting."""

import sys

import ml_collections
from absl import flags

from experiments.configs import settings
from experiments.configs.defaults import TABLE, Setting
from metaecg.errors import MetaecgError

flags.disclaim_key_flags()  # they belong to the command: its --help lists them


def define() -> None:
    """Defines the flags; their values are read by `config`."""
    flags.DEFINE_string(
        "config", None, f"The configuration: {', '.join(settings.NAMES)}, or a file FILE.py."
    )
    for key, setting in TABLE.items():
        # Texts until `settings.change` reads them, as it does behind a configuration's name.
        flag: flags.Flag[str] = flags.Flag(
            parser=flags.ArgumentParser(),
            serializer=None,
            name=f"config.{key}",
            default=None,
            help_string=f"{setting.help} {_may_be(setting)}",
            boolean=isinstance(setting.default, bool),
        )
        flags.DEFINE_flag(flag, module_name=sys.argv[0])


def config() -> ml_collections.ConfigDict:
    """The configuration that the flags give.

    Raises:
      MetaecgError: no configuration is given, or a setting is wrong.
    """
    if not flags.FLAGS.config:
        raise MetaecgError(f"--config is needed: one of {', '.join(settings.NAMES)}, or a file")
    found = settings.load(flags.FLAGS.config)
    for key in TABLE:
        text = flags.FLAGS[f"config.{key}"].value
        if text is not None:
            settings.change(found, key, text)
    return found


def _may_be(setting: Setting) -> str:
    """What a setting may be, and its default."""
    shown = repr(setting.default).lower() if isinstance(setting.default, bool) else setting.default
    if setting.choices:
        return f"One of {', '.join(setting.choices)}; by default {shown}."
    return f"By default {shown or repr(shown)}."
