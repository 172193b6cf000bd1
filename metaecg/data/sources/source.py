"""What a source of recordings is: items, a reader of one of them, and the form that is usual."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metaecg.data import signal as steps
from metaecg.data.readers.leads import LIMB
from metaecg.data.readers.raw import RecordError
from metaecg.data.reasons import Reasons
from metaecg.data.record_form import Recorded, Target, pieces, transform
from metaecg.data.sources.listing import Item, known
from metaecg.data.sources.statements import Statement
from metaecg.errors import MetaecgError


class Form(NamedTuple):
    """What a record says of itself: samples per second, length in s, names of its leads."""

    hz: float
    seconds: float
    leads: tuple[str, ...]


class Outcome(NamedTuple):
    """A record that was read, or the reason why it was not; `start` in s, of a piece.

    `patient` is the hash of an id in the file, '' where it has none.
    """

    signal: np.ndarray | None
    codes: tuple[str, ...]
    note: str
    reason: str
    start: float | None = None
    patient: str = ""


Reader = Callable[[Path, Item, Target], Iterable[Outcome]]
"""(folder, item, target) -> the records of a recording; raises where there is none. Picklable."""


class Source(NamedTuple):
    """Recordings that can be imported.

    Attributes:
      name: of the kind of source, such as 'ptbxl'.
      folder: what the paths of the items are relative to.
      items: the recordings.
      read: reads one of them.
      usual: the form that they are brought into where no other is asked for.
      statements: those that the source itself describes, by code.
      remarks: what whoever imports it is to know of its labels.
    """

    name: str
    folder: Path
    items: Sequence[Item]
    read: Reader
    usual: Target
    statements: Mapping[str, Statement] = {}
    remarks: tuple[str, ...] = ()


def read_item(folder: Path, item: Item, target: Target, read: Reader) -> list[Outcome]:
    """The records of one item, or the reason why there is none."""
    try:
        if item.problem:
            raise RecordError(item.problem)
        return list(read(folder, item, target))
    except (MetaecgError, OSError) as error:
        return [refused(error)]


def records(
    recorded: Recorded, codes: tuple[str, ...], notes: Sequence[str], target: Target
) -> Iterator[Outcome]:
    """The records that a recording becomes: one, or with `target.cut` one of each piece.

    Args:
      recorded: the recording.
      codes: its labels.
      notes: what was noticed in reading it.
      target: the form wanted.
    """
    for start, piece in pieces(recorded, target):
        at = start if target.cut else None
        try:
            signal, done = transform(*piece, target)
            texts = [*notes, *(note.text for note in done)]
            yield Outcome(signal, codes, "; ".join(filter(None, texts)), "", at)
        except MetaecgError as error:
            where = f"from {start:g} s: " if target.cut else ""
            yield refused(f"{where}{error}")


def refused(error: object) -> Outcome:
    """The outcome of a record that cannot be used: the error as one printable line."""
    reason = " ".join(str(error).split())
    return Outcome(None, (), "", "".join(c if c.isprintable() else "?" for c in reason)[:300])


def check_codes(codes: tuple[str, ...]) -> tuple[str, ...]:
    """Returns a record's labels but words for 'none'.

    Raises:
      RecordError: there is none, or one is not printable.
    """
    if not known(codes):
        raise RecordError(f"no label{': ' + codes[0] + ' says nothing' if codes else ''}")
    for code in codes:
        if not code.isprintable():
            raise RecordError(f"label {code[:60]!r} is not printable")
    return known(codes)


def check_path(item: Item) -> None:
    """Refuses a path that leads out of the folder, or that cannot be written down.

    Raises:
      RecordError: naming what is wrong.
    """
    if item.path.startswith("/") or ".." in item.path.split("/"):
        raise RecordError("points outside the folder")
    if not item.path.isprintable():  # or not UTF-8
        raise RecordError("its name is not printable; rename it")


def survey(folder: Path, items: Sequence[Item], form: Callable[[Path, Item], Form]) -> Target:
    """The commonest rate, length and leads among some 200 records, spread over the usable items.

    Where the limb leads that are missing can be computed, the leads are the twelve standard ones.

    Args:
      folder: what the paths of the items are relative to.
      items: the records.
      form: says what one is like.

    Raises:
      MetaecgError: no record can be read; says the commonest reasons.
    """
    usable = [item for item in items if not item.problem]
    forms, reasons = [], Reasons()
    for item in items:
        if item.problem:
            reasons.add(item.path, item.problem)
    for item in usable[:: max(1, len(usable) // 200)]:
        try:
            forms.append(form(folder, item))
        except (MetaecgError, OSError) as error:
            reasons.add(item.path, str(error))
    if not forms:
        raise MetaecgError(f"{folder}: no record can be read: {reasons}")
    hz, seconds, leads = map(_commonest, zip(*forms))
    computed = set(LIMB) if len(set(LIMB) & set(leads)) > 1 else set()
    if set(steps.STANDARD_LEADS) <= set(leads) | computed:
        leads = steps.STANDARD_LEADS
    return Target(hz, seconds, leads)


def _commonest(values: Iterable):
    return Counter(values).most_common(1)[0][0]
