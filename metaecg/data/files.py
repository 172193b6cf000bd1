"""The bytes of a library's files, what is hashed of them, locks, and JSON that may be hostile."""

import contextlib
import csv
import errno
import hashlib
import io
import json
import math
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from metaecg.errors import MetaecgError


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
    # A file's name need not be UTF-8, and is in quarantine.csv nevertheless.
    return (line.getvalue()[:-2] + "\n").encode("utf-8", "backslashreplace")


def combine(metadata: dict[str, Any], signals: str, records: str) -> str:
    """The fingerprint: sha256 of the metadata and of the hashes of the two files.

    A synthetic library is what its arguments and the generator's version say, and these are in the
    metadata: its signals, which a CPU rounds in its own way, do not count.
    """
    if metadata.get("source") == SYNTHETIC:
        signals = ""
    content = {"metadata": metadata, "signals": signals, "records": records}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


SYNTHETIC = "synthetic"
"""The source of the libraries that the package's own generator makes."""

LARGEST_JSON = 1 << 24
"""Bytes; the library.json of 100,000 statements is smaller."""


def read_json(path: Path) -> Any:
    """Reads a JSON file of whatever origin.

    Raises:
      ValueError: it is too large, not UTF-8, no JSON, nested too deeply, repeats a key or holds a
        number that is none (NaN, Infinity, 1e999).
      OSError: it cannot be read, or is no file.
    """
    if not path.is_file():  # a pipe would be waited for
        raise FileNotFoundError(f"{path}: no such file")
    with open(path, "rb") as file:
        content = file.read(LARGEST_JSON + 1)
    if len(content) > LARGEST_JSON:
        raise ValueError(f"larger than {LARGEST_JSON} bytes")
    try:
        value = json.loads(
            content.decode("utf-8"),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_no_key_twice,
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a surrogate pair is no text
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"not JSON ({error})") from None
    return value


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a number")


def _finite(text: str) -> float:
    if not math.isfinite(float(text)):
        _refuse_constant(text[:40])
    return float(text)


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in value if keys.count(key) > 1)
        raise ValueError(f"key {twice[:40]!r} is there twice")
    return value


def sha256(path: Path) -> str:
    """The sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def locked(path: Path, refusal: str) -> Iterator[None]:
    """Keeps other processes out while a file is held; a process that dies lets go of it.

    Args:
      path: the file, made where there is none.
      refusal: what is said where another process holds it.

    Raises:
      MetaecgError: `refusal`.
      OSError: the file cannot be made, or its file system knows no locks.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not _lock(file):
            raise MetaecgError(refusal)
        yield
    finally:
        os.close(file)


def _lock(file: int) -> bool:
    """Locks an open file until it is closed or the process ends; False where another has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            raise
        return False
    return True


def write_whole(path: Path, text: str) -> None:
    """Writes a file such that, whatever happens, the old or the new one is there whole."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    os.replace(new, path)
