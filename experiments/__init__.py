"""The commands: prepare, train, evaluate, diagnose …; their configurations and work directories."""

import contextlib
import os
import sys
from pathlib import Path
from types import TracebackType

# Compiled steps are kept between runs; jax reads this when it is first imported.
with contextlib.suppress(RuntimeError):  # there is no home folder
    os.environ.setdefault(
        "JAX_COMPILATION_CACHE_DIR", str(Path.home() / ".cache" / "metaecg" / "xla")
    )
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Ctrl-C while modules are imported ends in one line as it does later."""
    if issubclass(kind, KeyboardInterrupt):
        print("error: interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


# Python calls the program so while it looks for the module to run by `python -m`; and where this
# package is imported by another program, that program's handling of errors stays as it is.
if sys.argv[0] == "-m" or Path(sys.argv[0]).stem == "metaecg":
    sys.excepthook = _report
