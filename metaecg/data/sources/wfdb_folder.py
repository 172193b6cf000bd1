"""Lists the WFDB records of a folder with their labels and patients."""

import csv
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from metaecg.data.readers.wfdb import split_codes
from metaecg.errors import MetaecgError


class Item(NamedTuple):
    """A record to import: `codes` is None where its header lists them."""

    path: str
    id: str
    patient: str
    codes: tuple[str, ...] | None
    fold: int = 0


def list_folder(folder: Path, labels: str) -> list[Item]:
    """Lists the records of a folder and of its sub-folders, sorted by path.

    Args:
      folder: where the ``.hea`` files are.
      labels: 'header' (the ``#Dx:`` comment), 'folders' (the first sub-folder's name), or the path
        of a CSV file with columns path, label and, if known, patient: paths relative to `folder`,
        several rows a path and several labels joined by ';' allowed.

    Returns:
      The items; a record without a row in the CSV has no codes. Where the patient is not known, it
      is the record.

    Raises:
      MetaecgError: there is no record, or the CSV is malformed.
    """
    paths = [path.removesuffix(".hea") for path in walk(folder) if path.endswith(".hea")]
    if not paths:
        raise MetaecgError(f"{folder}: no WFDB header (*.hea) in it; check --input")
    if labels == "header":
        return [Item(path, path, path, None) for path in sorted(paths)]
    return label(paths, labels, endings=r"\.(hea|dat|mat)$")


def walk(folder: Path) -> list[str]:
    """Paths of all files in a folder and in its sub-folders but hidden ones, relative to it.

    Raises:
      MetaecgError: there is no such folder.
    """
    if not folder.is_dir():
        raise MetaecgError(f"{folder}: no such folder; give --input the folder of the recordings")
    found = []
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(where, name).relative_to(folder).as_posix() for name in files]
    return found


def label(paths: Iterable[str], labels: str, *, endings: str = r"$") -> list[Item]:
    """Items of the paths, sorted, with labels from 'folders' or from a CSV file.

    Args:
      paths: relative to the folder of the recordings.
      labels: as `list_folder` takes them, but not 'header'.
      endings: pattern of what the CSV file's paths may end in and `paths` do not.

    Raises:
      MetaecgError: the CSV file is missing or malformed.
    """
    if labels == "folders":
        parts = [(path, path.split("/")[0] if "/" in path else "") for path in sorted(paths)]
        return [Item(path, path, path, split_codes(name)) for path, name in parts]
    rows = _read_labels(Path(labels), endings)
    return [Item(path, path, *rows.get(path, (path, ()))) for path in sorted({*paths, *rows})]


def _read_labels(file: Path, endings: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    if not file.is_file():
        raise MetaecgError(f"{file}: no such file; --labels is header, folders or a CSV file")
    rows: dict[str, tuple[str, tuple[str, ...]]] = {}
    for line, row in read_csv(file, ("path", "label")):
        for text in (row["path"], row["label"], row.get("patient", "")):
            if not text.isprintable():
                raise MetaecgError(f"{file}: line {line}: {text[:60]!r} is not printable")
        path = re.sub(endings, "", row["path"].strip().replace("\\", "/"))
        path = PurePosixPath(path).as_posix()
        patient = row.get("patient", "").strip() or path
        known, codes = rows.get(path, (patient, ()))
        if known != patient:
            raise MetaecgError(
                f"{file}: line {line}: patient {patient!r:.60} of {path:.200}, which is "
                f"{known!r:.60}'s in another line"
            )
        rows[path] = (patient, tuple(dict.fromkeys((*codes, *split_codes(row["label"])))))
    return rows


def read_csv(file: Path, columns: Iterable[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with a line of column names, each with its line number.

    Raises:
      MetaecgError: one of `columns` is missing, a column is there twice, a row is short or long, or
        it is no UTF-8 CSV file.
    """
    try:
        with open(file, encoding="utf-8-sig", newline="") as lines:
            # Strict: else a quotation mark without its pair swallows the rest of the file.
            reader = csv.DictReader(lines, strict=True)
            names = list(reader.fieldnames or ())
            for column in columns:
                if column not in names:
                    has = repr(", ".join(names)[:200])[1:-1]
                    raise MetaecgError(f"{file}: no column {column!r}; has {has}")
            for name in names:
                if names.count(name) > 1:
                    raise MetaecgError(f"{file}: column {name[:60]!r} is there twice")
            for row in reader:
                if None in row:
                    raise MetaecgError(
                        f"{file}: line {reader.line_num} has more columns than the first; quote "
                        "what holds a comma"
                    )
                if None in row.values():
                    raise MetaecgError(f"{file}: line {reader.line_num} lacks columns")
                yield reader.line_num, row
    except (csv.Error, UnicodeDecodeError) as error:
        raise MetaecgError(f"{file}: no CSV file in UTF-8: {error}") from None
