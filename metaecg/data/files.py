"""The bytes of a library's files and what is hashed of them."""

import csv
import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np


def npy_header(shape: tuple[int, ...]) -> bytes:
    """The header of an int16 ``.npy`` file; its length does not depend on the first axis."""
    header = io.BytesIO()
    fields = {"descr": "<i2", "fortran_order": False, "shape": tuple(shape)}
    np.lib.format.write_array_header_1_0(header, fields)
    return header.getvalue()


def csv_line(row: Iterable[str]) -> bytes:
    """One line of a CSV file, quoted where need be."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(row)  # so that a lone \r is quoted, too
    return (line.getvalue()[:-2] + "\n").encode("utf-8")


def combine(metadata: dict[str, Any], signals: str, records: str) -> str:
    """The fingerprint: sha256 of the metadata and of the hashes of the two files."""
    content = {"metadata": metadata, "signals": signals, "records": records}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sha256(path: Path) -> str:
    """The sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
