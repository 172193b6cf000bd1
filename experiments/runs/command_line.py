"""Runs a command: flags in, one line on stderr instead of a traceback when the input is bad."""

import codecs
import difflib
import functools
import sys
from collections.abc import Callable, Iterable, Sequence

from absl import app, flags, logging

from experiments.runs import huge_pages
from metaecg.errors import MetaecgError

_PLAIN = str.maketrans({"±": "+-", "×": "x", "–": "-", "−": "-", "…": "...", "·": "*", "≤": "<="})


def run(main: Callable[[Sequence[str]], int | None]) -> None:
    """Parses the flags, calls `main` and exits the process.

    Every command ends with ``if __name__ == '__main__': command_line.run(main)``. A
    `MetaecgError`, an `OSError`, a mistyped flag or a stray argument prints one
    line on stderr and exits with status 1; Ctrl-C exits with 130; ``--help``
    with 0. So does a step for which memory is short. Anything else is a defect
    of the program and keeps its traceback.

    Args:
      main: function of the remaining arguments (the program's name alone) that
        returns None or the exit status.
    """
    huge_pages.ask()
    # A run has its own progress line; what libraries report of each save belongs in no terminal.
    logging.set_verbosity(logging.WARNING)
    print_anywhere()
    try:
        app.run(main, flags_parser=_parse)
    except KeyboardInterrupt:
        _exit("interrupted", 130)
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        sys.stdout = None
        sys.exit(141)
    except OSError as error:
        where = f"{error.filename}: " if error.filename is not None else ""
        _exit(f"{where}{error.strerror or error}", 1)
    except MetaecgError as error:
        _exit(error, 1)
    except MemoryError:
        _exit(_TOO_LARGE, 1)
    except RuntimeError as error:  # jax's own, which is not imported for this alone
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        _exit(_TOO_LARGE, 1)


_TOO_LARGE = "the memory does not suffice: make batch, way, shot or the network smaller"


def print_anywhere() -> None:
    """Lets a terminal or a file of any encoding take any character, if need be in plain signs."""
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_PLAIN)
    return "".join(sign if sign.isascii() else "?" for sign in text), error.end


def nearest(text: str, names: Iterable[str]) -> str:
    """What may have been meant, for a message: a name written alike, or one that ends so."""
    known = list(names)
    near = difflib.get_close_matches(text[:100], known, 1)
    near = near or [name for name in known if name.rpartition(".")[2] == text.lstrip("-")]
    return f" (did you mean {near[0]}?)" if near else ""


def counts(flag: str, texts: Sequence[str], least: int = 1) -> list[int]:
    """The numbers of a flag that takes several, such as ``--shots=1,5,10``.

    Raises:
      MetaecgError: there is none, one is given twice, or one is no number or less than `least`.
    """
    if len(set(texts)) < len(texts):
        raise MetaecgError(f"--{flag}={','.join(texts)}: write every number once")
    if not texts or not all(text.isdecimal() and int(text) >= least for text in texts):
        raise MetaecgError(
            f"--{flag}={','.join(texts)}: write numbers from {least} on, such as 2,5"
        )
    return [int(text) for text in texts]


def need(*names: str) -> None:
    """Asserts that flags are given.

    Raises:
      MetaecgError: one is not; says all that are needed.
    """
    if not all(flags.FLAGS[name].value for name in names):
        listed = " and ".join(f"--{name}" for name in names)
        raise MetaecgError(f"{listed} {'is' if len(names) == 1 else 'are'} needed (see --help)")


_defined: set[str] = set()


def defines_flags(define: Callable[[], None]) -> Callable[[], None]:
    """Decorates the function that defines a command's flags.

    Flags are global, and commands share names such as `workdir`: where one process uses several
    commands, the flags of the next replace those of the one before.
    """

    @functools.wraps(define)
    def replace() -> None:
        for name in _defined & set(flags.FLAGS):
            delattr(flags.FLAGS, name)
        before = set(flags.FLAGS)
        define()
        _defined.update(set(flags.FLAGS) - before)

    return replace


def _parse(argv: Sequence[str]) -> Sequence[str]:
    # absl looks for names alike recursively, letter by letter.
    for argument in argv[1:]:
        if argument.startswith("-") and len(argument.partition("=")[0]) > 100:
            _exit(f"there is no flag {ascii(argument[:60])[1:-1]}… (--help lists the flags)", 1)
    try:
        rest = flags.FLAGS(argv)
    except SystemExit:  # absl shows the help and then exits with 1
        sys.exit(0)
    except flags.UnrecognizedFlagError as error:
        hint = nearest(f"--{error.flagname}", [f"--{name}" for name in flags.FLAGS])
        _exit(f"there is no flag --{error.flagname}{hint}; --help lists the flags", 1)
    except BrokenPipeError:
        raise
    except (flags.Error, OSError, ValueError) as error:  # flags from a file, too
        _exit(f"{error} (--help lists the flags)", 1)
    if len(rest) > 1:
        _exit(f"unexpected argument {rest[1]!r}: flags are written --name=value (see --help)", 1)
    for name in _defined:
        flag = flags.FLAGS[name]
        if flag.value == "" and "." not in name:
            _exit(f"--{name} is empty: give a value, or leave the flag out", 1)
    return rest


def _exit(message: object, status: int) -> None:
    print("error: " + " ".join(str(message).split()), file=sys.stderr)
    sys.exit(status)
