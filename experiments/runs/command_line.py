"""Runs a command: flags in, one line on stderr instead of a traceback when the input is bad."""

import sys
from collections.abc import Callable, Sequence

from absl import app, flags, logging

from metaecg.errors import MetaecgError


def run(main: Callable[[Sequence[str]], int | None]) -> None:
    """Parses the flags, calls `main` and exits the process.

    Every command ends with ``if __name__ == '__main__': cli.run(main)``. A
    `MetaecgError`, an `OSError`, a mistyped flag or a stray argument prints one
    line on stderr and exits with status 1; Ctrl-C exits with 130; ``--help``
    with 0. Anything else is a defect of the program and keeps its traceback.

    Args:
      main: function of the remaining arguments (the program's name alone) that
        returns None or the exit status.
    """
    # A run has its own progress line; what libraries report of each save belongs in no terminal.
    logging.set_verbosity(logging.WARNING)
    try:
        app.run(main, flags_parser=_parse)
    except KeyboardInterrupt:
        _exit("interrupted", 130)
    except (MetaecgError, OSError) as error:
        _exit(error, 1)


def counts(flag: str, texts: Sequence[str], least: int = 1) -> list[int]:
    """The numbers of a flag that takes several, such as ``--shots=1,5,10``.

    Raises:
      MetaecgError: there is none, one is given twice, or one is no number or less than `least`.
    """
    if len(set(texts)) < len(texts):
        raise MetaecgError(f"--{flag}={','.join(texts)}: write every number once")
    if not texts or not all(text.isdigit() and int(text) >= least for text in texts):
        raise MetaecgError(
            f"--{flag}={','.join(texts)}: write numbers from {least} on, such as 2,5"
        )
    return [int(text) for text in texts]


def _parse(argv: Sequence[str]) -> Sequence[str]:
    try:
        rest = flags.FLAGS(argv)
    except SystemExit:  # absl shows the help and then exits with 1
        sys.exit(0)
    # A config file is executed while its flag is parsed, hence the plain types;
    # ValueError covers MetaecgError.
    except (flags.Error, OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        _exit(f"{error} (--help lists the flags)", 1)
    if len(rest) > 1:
        _exit(f"unexpected argument {rest[1]!r}: flags are written --name=value (see --help)", 1)
    return rest


def _exit(message: object, status: int) -> None:
    print("error: " + " ".join(str(message).split()), file=sys.stderr)
    sys.exit(status)
