"""What a reader returns: a recording as its file holds it, and the error where it holds none."""

from typing import NamedTuple

import numpy as np

from metaecg.data.readers.notes import Note
from metaecg.errors import MetaecgError

MISSING = "reading {} needs the package {}: pip install metaecg[formats]"


class RecordError(MetaecgError):
    """A record cannot be read, or must not be; the message says why."""


class Raw(NamedTuple):
    """A file's content.

    Attributes:
      signal: float64 [samples, channels], NaN where a sample is missing.
      hz: samples per second, or None.
      units: unit of each channel, or None.
      names: name of each channel, or None.
      notes: what the reader chose or assumed.
    """

    signal: np.ndarray
    hz: float | None = None
    units: tuple[str, ...] | None = None
    names: tuple[str, ...] | None = None
    notes: tuple[Note, ...] = ()
