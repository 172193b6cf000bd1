"""What is in a folder of recordings: the files, and their labels and patients from a CSV file."""

import csv
import functools
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from metaecg.data.readers.wfdb_header import split_codes
from metaecg.errors import MetaecgError

NOTHING = ("", "nan", "na", "n/a", "<na>", "nat", "none", "null", "unknown", "?", "-")
"""What tables write where there is no label or no patient, in capitals or not."""


_NEEDED = ("path", "label")
_LOOSE = (
    "no label: it lies in --input itself, and labels are the names of sub-folders; give --input "
    "the folder above, or --labels=FILE.csv"
)
_ROWLESS = "no row of {} names it; a path there is relative to --input or to the file"
_DECLARED = re.compile(r'"?sep=(.)"?\s*')  # Excel's first line
_WHOLE = re.compile(r"^(\d+)\.0$", re.ASCII)  # pandas writes 164889003.0 beside an empty cell


class Item(NamedTuple):
    """A recording to import.

    Attributes:
      path: relative to the folder of the recordings.
      id: name of the record.
      patient: whose recording it is.
      codes: its labels; None where its header lists them.
      fold: of the archive's own split; 0 where there is none.
      problem: why it cannot be imported, where that is known before it is read.
    """

    path: str
    id: str
    patient: str
    codes: tuple[str, ...] | None
    fold: int = 0
    problem: str = ""


class Walk(NamedTuple):
    """The files of a folder and of its sub-folders, and the linked folders that lead elsewhere."""

    files: tuple[str, ...]
    elsewhere: tuple[str, ...]

    def unused(self) -> list[Item]:
        """The linked folders as items that cannot be imported."""
        problem = "a linked folder that leads outside of --input; copy it, or import it by itself"
        return [Item(path, path, path, (), problem=problem) for path in self.elsewhere]


def walk(folder: Path) -> Walk:
    """Lists all files but hidden ones, by paths relative to the folder.

    Linked folders are entered where they lead to a place inside the folder, but not in circles.

    Raises:
      MetaecgError: there is no such folder.
    """
    if not folder.is_dir():
        raise MetaecgError(f"{folder}: no such folder; give --input the folder of the recordings")
    root = Path(os.path.realpath(folder))
    files, elsewhere = [], []
    for where, names, found in os.walk(folder, followlinks=True):
        here = Path(os.path.realpath(where))
        enter = []
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(where, name)
            target = Path(os.path.realpath(path))
            if path.is_symlink() and not target.is_relative_to(root):
                elsewhere.append(path.relative_to(folder).as_posix())
            elif not (path.is_symlink() and here.is_relative_to(target)):
                enter.append(name)
        names[:] = enter
        files += [Path(where, name).relative_to(folder).as_posix() for name in found]
    return Walk(tuple(files), tuple(elsewhere))


def label(paths: Iterable[str], labels: str, folder: Path, *, endings: str = r"$") -> list[Item]:
    """Items of the paths, sorted, with labels from 'folders' or from a CSV file.

    Args:
      paths: relative to the folder of the recordings.
      labels: 'folders' (the first sub-folder's name), or the path of a CSV file, see `read_labels`.
      folder: the folder of the recordings.
      endings: pattern of what the CSV file's paths may end in and `paths` do not.

    Raises:
      MetaecgError: the CSV file is missing or malformed.
    """
    if labels == "folders":
        parts = [(path, path.split("/")[0] if "/" in path else "") for path in sorted(paths)]
        return [
            Item(path, path, path, split_codes(name), problem="" if name else _LOOSE)
            for path, name in parts
        ]
    file = Path(labels)
    rows = read_labels(file, Places(folder, paths, endings))
    items = []
    for path in sorted({*paths, *rows}):
        patient, codes = rows.get(path, (path, ()))
        why = f"its row in {file.name} has none" if path in rows else _ROWLESS.format(file.name)
        items.append(Item(path, path, patient, codes, problem="" if codes else f"no label: {why}"))
    return items


def unread_columns(labels: str) -> tuple[str, ...]:
    """A remark on the columns of a CSV file of labels that `read_labels` does not read, if any.

    Args:
      labels: as `label` takes them; what is no CSV file has no remark.
    """
    if not Path(labels).is_file():
        return ()
    _, row = next(read_csv(Path(labels), _NEEDED, any_case=True), (0, {}))
    others = [name for name in row if name and name not in (*_NEEDED, "patient")]
    if not others:
        return ()
    more = f" and {len(others) - 5} more" if len(others) > 5 else ""
    named = ", ".join(repr(name[:60]) for name in others[:5])
    return (f"not read in {Path(labels).name}: {named}{more}; read are path, label and patient",)


class Places:
    """Finds the recording that a CSV file means by a path.

    A path is relative to the folder of the recordings or to the CSV file's own, or absolute; with
    the file's ending or, where one file alone has this name, without.
    """

    def __init__(self, folder: Path, paths: Iterable[str], endings: str):
        self.root, self.endings, self.paths = Path(os.path.realpath(folder)), endings, set(paths)
        self.stems: dict[str, list[str]] = {}
        self._resolve = functools.cache(os.path.realpath)  # a call asks the disk of every folder
        for path in self.paths:
            self.stems.setdefault(PurePosixPath(path).with_suffix("").as_posix(), []).append(path)

    def find(self, text: str, beside: Path) -> str:
        """The recording's path, or that of the file that is not there.

        Raises:
          MetaecgError: several files have this name without an ending.
        """
        plain = PurePosixPath(text.strip().replace("\\", "/"))
        for name in self._names(plain, beside):
            for short in (name, re.sub(self.endings, "", name)):
                if short in self.paths:
                    return short
            alike = self.stems.get(name, [])
            if len(alike) > 1:
                raise MetaecgError(f"{text[:200]!r} is any of {', '.join(sorted(alike)[:3])}")
            if alike:
                return alike[0]
        return re.sub(self.endings, "", plain.as_posix())

    def _names(self, plain: PurePosixPath, beside: Path) -> Iterator[str]:
        """What a path may be called within the folder; most are found by the first name."""
        yield plain.as_posix()
        for base in (self.root, beside):
            # Links in the folder keep their names: parents alone are resolved.
            path = Path(os.path.normpath(Path(self._resolve(str(base)), plain)))
            for p in (path, Path(self._resolve(str(path.parent)), path.name)):
                if p.is_relative_to(self.root):
                    yield p.relative_to(self.root).as_posix()


def read_labels(file: Path, places: Places) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Patient and labels of each recording that a CSV file lists.

    Columns path, label and, if known, patient, in capitals or not; several rows a path and several
    labels joined by ';' are allowed. A label that is empty or 'nan' is none, and a recording whose
    patient is empty or 'nan' is a patient of its own.

    Raises:
      MetaecgError: the file is missing, malformed, or contradicts itself.
    """
    if not file.is_file():
        raise MetaecgError(f"{file}: no such file; --labels is header, folders or a CSV file")
    patients: dict[str, str] = {}
    codes: dict[str, tuple[str, ...]] = {}
    for line, row in read_csv(file, _NEEDED, any_case=True):
        for text in (row["path"], row["label"], row.get("patient", "")):
            if not text.isprintable():
                raise MetaecgError(f"{file}: line {line}: {text[:60]!r} is not printable")
        if not any(map(str.strip, row.values())):
            continue
        if not row["path"].strip():
            raise MetaecgError(f"{file}: line {line}: no path")
        try:
            path = places.find(row["path"], file.parent)
        except MetaecgError as error:
            raise MetaecgError(f"{file}: line {line}: {error}") from None
        patient = row.get("patient", "").strip()
        if patient.lower() not in NOTHING and patients.setdefault(path, patient) != patient:
            raise MetaecgError(
                f"{file}: line {line}: patient {patient!r:.60} of {path:.200}, which is "
                f"{patients[path]!r:.60}'s in another line"
            )
        new = (re.sub(_WHOLE, r"\1", code) for code in split_codes(row["label"]))
        codes[path] = tuple(dict.fromkeys((*codes.get(path, ()), *new)))
    named = set(patients.values())
    return {
        path: (patients.get(path, f"record {path}" if path in named else path), known(found))
        for path, found in codes.items()
    }


def known(codes: Iterable[str]) -> tuple[str, ...]:
    """The codes without words for 'none'."""
    return tuple(code for code in codes if code.lower() not in NOTHING)


def read_csv(
    file: Path, columns: Iterable[str], *, any_case: bool = False
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with a line of column names, each with its line number.

    Args:
      file: in UTF-8, its cells separated by commas, or by semicolons or tabs if the names are.
      columns: names of those that must be there.
      any_case: whether the names may be in capitals and have blanks around them.

    Raises:
      MetaecgError: one of `columns` is missing, a column is there twice, a row is short or long, or
        it is no UTF-8 CSV file.
    """
    try:
        with open(file, encoding="utf-8-sig", newline="") as lines:
            first = lines.readline(1 << 16)
            separator = max(",;\t", key=first.count)
            if declared := _DECLARED.fullmatch(first):
                separator = declared[1]
            else:
                lines.seek(0)
            # Strict: else a quotation mark without its pair swallows the rest of the file.
            reader = csv.DictReader(lines, strict=True, delimiter=separator)
            names = list(reader.fieldnames or ())
            if any_case:
                names = [name.strip().lower() for name in names]
                reader.fieldnames = names
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
                        f"what holds a {'comma' if separator == ',' else separator!r}"
                    )
                if None in row.values():
                    raise MetaecgError(f"{file}: line {reader.line_num} lacks columns")
                yield reader.line_num, row
    except (csv.Error, UnicodeDecodeError) as error:
        raise MetaecgError(
            f"{file}: no CSV file in UTF-8: {error}; save it as 'CSV UTF-8'"
        ) from None
