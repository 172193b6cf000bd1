"""The base class of every error that is the input's fault, not the program's."""


class MetaecgError(ValueError):
    """Bad input: a file, a field or a setting that the user can put right.

    The message is one line that names the file or setting, the field and the
    remedy; `experiments.runs.command_line.run` prints it and exits with status 1. Modules
    derive their own types from it (`LibraryError`, …) so that callers can
    distinguish them.
    """


class LibraryError(MetaecgError):
    """A sample library is malformed, damaged or in the way."""
