"""Reads LUDB as it is published: 200 patients of Nizhny Novgorod, 12 leads, one ECG each.

Its statements are in words of its own. ``ludb_statements.csv`` gives each the code that PTB-XL or
the challenges of 2020 and 2021 have for the same diagnosis; what they do not have gets a code of
its own. A statement counts with and without its details behind the comma or the colon: 'Ventricular
extrasystole, type: single pvc' is PVC.

Reference: Kalyakulina et al., LUDB: a new open-access validation tool for electrocardiogram
delineation algorithms, IEEE Access 8 (2020), doi 10.1109/ACCESS.2020.3029211.
"""

import functools
import re
from pathlib import Path

from metaecg.data import signal as steps
from metaecg.data.record_form import Target
from metaecg.data.sources import wfdb_folder
from metaecg.data.sources.listing import Item, read_csv
from metaecg.data.sources.source import Source
from metaecg.data.sources.statements import Statement, look_up, rows
from metaecg.errors import MetaecgError

FILE = "ludb.csv"
_NOT_STATEMENTS = ("ID", "Sex", "Age")


def open_folder(folder: Path) -> Source:
    """LUDB as a source.

    Args:
      folder: of the data set, with ``ludb.csv`` and ``data/1.hea`` ….

    Raises:
      MetaecgError: ``ludb.csv`` is missing or malformed, or has a statement that is not known.
    """
    usual = Target(100.0, 10.0, steps.STANDARD_LEADS)
    return Source("ludb", folder, list_records(folder), wfdb_folder.read, usual, statements())


def list_records(folder: Path) -> list[Item]:
    """Lists the records of ``ludb.csv``; each is of a patient of its own.

    Raises:
      MetaecgError: as `open_folder`.
    """
    file = folder / FILE
    if not file.is_file():
        raise MetaecgError(f"{file}: missing; give --input the folder that LUDB was unpacked to")
    items = {}
    for line, row in read_csv(file, ("ID", "Rhythms")):
        id = row["ID"].strip()
        if not re.fullmatch(r"\d{1,6}", id, re.ASCII) or id in items:
            raise MetaecgError(f"{file}: line {line}: ID {id[:60]!r} is no number, or there twice")
        texts = [
            text.strip()
            for column, cell in row.items()
            if column not in _NOT_STATEMENTS
            for text in cell.splitlines()
        ]
        try:
            codes = tuple(dict.fromkeys(filter(None, map(code_of, filter(None, texts)))))
        except KeyError as error:
            raise MetaecgError(
                f"{file}: line {line}: no code is known for the statement {error.args[0][:100]!r}; "
                "add it to metaecg/data/sources/ludb_statements.csv"
            ) from None
        items[id] = Item(f"data/{id}", id, id, codes)
    return list(items.values())


def code_of(text: str) -> str:
    """The code of a statement in LUDB's words; '' for what is no finding, such as a normal axis.

    Raises:
      KeyError: the statement is not known.
    """
    known = {row["text"].casefold(): row["code"] for row in _table()}
    for whole in (text, re.split("[,:]", text)[0]):
        if whole.casefold() in known:
            return known[whole.casefold()]
    raise KeyError(text)


def statements() -> dict[str, Statement]:
    """All statements by code, in the order of the table."""
    found: dict[str, Statement] = {}
    for row in _table():
        if row["code"]:
            own = Statement(row["name"]) if row["name"] else look_up(row["code"])
            found.setdefault(row["code"], own)
    return found


@functools.cache
def _table() -> tuple[dict[str, str], ...]:
    return tuple(rows("ludb_statements.csv"))
