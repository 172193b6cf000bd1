"""What a reader returns: a recording as its file holds it, and the error where it holds none."""

import hashlib
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metaecg.data.readers.notes import Note
from metaecg.errors import MetaecgError


class RecordError(MetaecgError):
    """A record cannot be read, or must not be; the message says why."""


class Part(NamedTuple):
    """How much of a recording to read.

    Attributes:
      seconds: from its start; None for all.
      hz: samples per second of files that do not say.
    """

    seconds: float | None = None
    hz: float | None = None

    def samples(self, hz: float | None = None) -> int | None:
        """How many samples to read where the file says `hz`; None for all."""
        rate = hz or self.hz
        if self.seconds is None or rate is None or not rate > 0:
            return None
        return math.ceil(self.seconds * rate)


WHOLE = Part()


class Raw(NamedTuple):
    """A file's content.

    Attributes:
      signal: float64 [samples, channels], NaN where a sample is missing.
      hz: samples per second, or None.
      units: unit of each channel, '' where the file does not say; None where it says none.
      names: name of each channel, or None.
      notes: what the reader chose or assumed.
      rate_assumed: whether `hz` is the format's default, which the file does not say.
      seconds: how long the recording is, of which `signal` may be the start; None: as `signal`.
      patient: the id of its patient in the file, which `recordings.read` hashes unless it is to be
        kept; '' where there is none.
    """

    signal: np.ndarray
    hz: float | None = None
    units: tuple[str, ...] | None = None
    names: tuple[str, ...] | None = None
    notes: tuple[Note, ...] = ()
    rate_assumed: bool = False
    seconds: float | None = None
    patient: str = ""


def patient_id(value: object) -> str:
    """The id of a patient as a file holds it; '' where that distinguishes nobody."""
    text = str(value or "").strip()
    start = text.casefold()
    if len(set(start) - set(" .-_^0x")) < 2 or start.startswith(
        ("anon", "unknown", "none", "test")
    ):
        return ""
    return text


def pseudonym(id: str) -> str:
    """A hash of a patient's id, equal where the ids are equal but for capitals; '' of ''.

    It keeps one patient's recordings together while they are imported, and is written nowhere: a
    library numbers its patients.
    """
    return id and hashlib.sha256(b"metaecg patient " + id.casefold().encode()).hexdigest()


def said(error: object) -> str:
    """What a package says of a file, on one line; what it quotes may be a name, and is cut."""
    text = " ".join(str(error).split())
    return re.sub(r"""(?<!\w)b?(['"])(?:\\.|(?!\1).)*\1(?!\w)""", "…", text)


def oriented(
    array: np.ndarray, names: Sequence[str] | None = None
) -> tuple[np.ndarray, tuple[Note, ...]]:
    """The array [samples, channels] of one that may be [channels, samples], and a note if it was.

    The axis with a name for each of its elements is that of the channels; without names, the
    shorter one.
    """
    lines, columns = array.shape
    if names is not None and len(names) in array.shape:
        turned = columns != len(names)
    else:
        turned = lines < columns
    if not turned:
        return array, ()
    return array.T, (Note(f"array [{lines}, {columns}] taken as [leads, samples]"),)
