"""Remarks of a reader, with a severity that is set where a remark is made."""

from typing import NamedTuple


class Note(NamedTuple):
    """What a reader assumed, changed or found.

    Attributes:
      text: the remark, one line of plain English.
      serious: whether a person should see it before the answer, because it may make it wrong.
    """

    text: str
    serious: bool = False
