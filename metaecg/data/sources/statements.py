"""Names of the codes that ECG archives use: SNOMED CT and SCP-ECG.

The table ``statements.csv`` holds the SNOMED CT codes of the PhysioNet/CinC challenges of 2020 and
2021 with the challenges' abbreviations, and the 71 SCP-ECG statements of PTB-XL with their kinds.

References: Perez Alday et al. 2020, doi 10.1088/1361-6579/abc960; Reyna et al. 2021,
doi 10.23919/CinC53138.2021.9662687; Wagner et al. 2020, doi 10.1038/s41597-020-0495-6.
"""

import csv
import functools
from importlib import resources
from typing import NamedTuple


class Statement(NamedTuple):
    """What a code stands for; `kinds` is any of 'diagnostic', 'form', 'rhythm' joined by ';'."""

    name: str
    kinds: str = ""


@functools.cache
def table() -> dict[str, Statement]:
    """All known statements by code."""
    text = resources.files("metaecg.data.sources").joinpath("statements.csv").read_text("utf-8")
    return {
        row["code"]: Statement(row["name"], row["kinds"])
        for row in csv.DictReader(text.splitlines())
    }


def look_up(code: str) -> Statement:
    """The statement with this code; one named like the code where it is unknown."""
    return table().get(code, Statement(code))
