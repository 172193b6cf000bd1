"""The base class of every error that is the input's fault, not the program's."""

import importlib.util


class MetaecgError(ValueError):
    """Bad input: a file, a field or a setting that the user can put right.

    The message is one line that names the file or setting, the field and the
    remedy; `experiments.runs.command_line.run` prints it and exits with status 1. Modules
    derive their own types from it (`LibraryError`, …) so that callers can
    distinguish them.
    """


def missing(what: str, package: str, extra: str) -> str:
    """What is said where an optional package is not installed, and how to install it."""
    return (
        f'{what} needs the package {package}: pip install -e ".[{extra}]" in the clone of metaecg'
    )


def check_installed(what: str, package: str, extra: str) -> None:
    """Asserts that an optional package is there, without the time that importing it takes.

    Raises:
      MetaecgError: it is not; see `missing`.
    """
    if importlib.util.find_spec(package) is None:
        raise MetaecgError(missing(what, package, extra))


class LibraryError(MetaecgError):
    """A sample library is malformed, damaged or in the way."""
