"""Names of the codes that ECG archives use, SNOMED CT and SCP-ECG, and which codes are equivalent.

The table ``statements.csv`` holds the SNOMED CT codes of the PhysioNet/CinC challenges of 2020 and
2021 with the challenges' abbreviations, and the 71 SCP-ECG statements of PTB-XL with their kinds.

The table ``equivalent_codes.csv`` gives each code that has an equivalent one common code, with the
reason. It holds true equivalents alone:

- the pairs of SNOMED CT codes that the challenges scored as equal;
- a SNOMED CT code and the SCP-ECG statement that the challenges coded by it in PTB-XL, where the
  two mean the same and are on as many records;
- a SNOMED CT code and its abbreviation in the challenges, of three letters or more ('AF' is the one
  of two). An abbreviation that is an SCP-ECG statement of another meaning ('AMI') keeps the
  statement's meaning.

Complete and incomplete blocks, bigeminy of unknown origin and ventricular bigeminy, paroxysmal and
other atrial fibrillation, and an infarction and its site are different diagnoses. Beware of
archives with abbreviations of their own: the list of Chapman-Shaoxing calls atrial flutter 'AF'.

References: Perez Alday et al. 2020, doi 10.1088/1361-6579/abc960; Reyna et al. 2021,
doi 10.23919/CinC53138.2021.9662687; Wagner et al. 2020, doi 10.1038/s41597-020-0495-6.
"""

import csv
import functools
import re
from importlib import resources
from typing import NamedTuple


class Statement(NamedTuple):
    """What a code means; `kinds` is any of 'diagnostic', 'form', 'rhythm' joined by ';'."""

    name: str
    kinds: str = ""


@functools.cache
def table() -> dict[str, Statement]:
    """All statements of the two systems by code."""
    return {row["code"]: Statement(row["name"], row["kinds"]) for row in rows("statements.csv")}


def look_up(code: str) -> Statement:
    """The statement with this code or abbreviation; one named like the code where it is unknown."""
    return table().get(code) or table().get(_abbreviations().get(code, ""), Statement(code))


def canonical(code: str) -> str:
    """The one code of all that are equivalent to `code`; `code` itself where none is.

    Codes, the challenges' abbreviations and the statements' names are understood, in capitals or
    not: '164889003', 'AF', 'AFIB' and 'Atrial fibrillation' all give 'AFIB'. Where PTB-XL has a
    statement, its code is the common one.
    """
    return _canonical().get(_plain(code), code)


@functools.cache
def _canonical() -> dict[str, str]:
    common = {code: code for code in table()}
    common |= {row["code"]: row["canonical"] for row in rows("equivalent_codes.csv")}
    # Names first: where a code is written like a name, it is the code that counts.
    names = {_plain(statement.name): common[code] for code, statement in table().items()}
    return (
        names
        | {_plain(code): code for code in common.values()}
        | {_plain(code): to for code, to in common.items()}
    )


@functools.cache
def _abbreviations() -> dict[str, str]:
    """The code of each abbreviation that is a common code."""
    common = {row["canonical"] for row in rows("equivalent_codes.csv")}
    return {
        row["abbreviation"]: row["code"]
        for row in rows("statements.csv")
        if row["abbreviation"] in common
    }


def _plain(text: str) -> str:
    return re.sub(r"[\s_-]+", " ", text).strip().casefold()


def rows(name: str) -> csv.DictReader:
    """The rows of a table beside this module."""
    text = resources.files("metaecg.data.sources").joinpath(name).read_text("utf-8")
    return csv.DictReader(text.splitlines())
