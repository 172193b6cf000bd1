"""One recording as text: CSV, TSV and the like, with or without lead names, units and time."""

import csv
import re
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from metaecg.data.readers.notes import Note
from metaecg.data.readers.raw import Raw, RecordError

_TIME = ("time", "times", "t", "elapsed time", "seconds", "sec", "timestamp")
_COUNT = ("", "sample", "samples", "sample #", "sample number", "index", "n", "#", "unnamed: 0")
_PER_SECOND = {"s": 1, "sec": 1, "second": 1, "seconds": 1, "ms": 1e3, "msec": 1e3, "us": 1e6,
               "µs": 1e6, "μs": 1e6, "hh:mm:ss.mmm": 1, "mm:ss.mmm": 1, "m:s": 1}  # fmt: skip
_VOLTS = ("mv", "v", "uv", "µv", "μv", "nv")
_NONE = ("", "nan", "na", "n/a", "null", "none", "-")


def read(path: Path) -> Raw:
    """Reads a text table: one line a sample, one column a lead.

    Separated by comma, semicolon, tab or blanks; with semicolons and tabs a decimal comma is
    understood. A first line of words names the columns, units in brackets or in a second line. A
    column called time gives the rate; one called sample or index is left out. Empty cells are
    missing samples.

    Raises:
      RecordError: naming line and column.
    """
    text = _text(path)
    separator = _separator(text)
    head: list[list[str]] = []
    values = array("d")
    width = 0
    for line, cells in _rows(text, separator):
        if not values and len(head) < 2 and not any(map(_is_number, cells)):
            head.append(cells)
            continue
        width = width or len(cells)
        if len(cells) != width:
            raise RecordError(f"line {line} has {len(cells)} columns, the ones before have {width}")
        try:
            values.extend(map(float, cells))
        except ValueError:
            del values[len(values) // width * width :]
            values.extend(_number(cell, line, i, head) for i, cell in enumerate(cells))
    if not values:
        raise RecordError("no line of numbers in it")
    signal = np.array(values).reshape(-1, width)
    if any(len(cells) != width for cells in head):
        raise RecordError(f"{len(head[0])} names in the first line for {width} columns")
    names, units = _headings(head, width)
    return _without_time(signal, names, units)


def _text(path: Path) -> str:
    content = path.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise RecordError("text in UTF-16; save it as 'CSV UTF-8'")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        byte = content[error.start]
        raise RecordError(
            f"line {line}: byte 0x{byte:02x} is not UTF-8; save it as 'CSV UTF-8'"
        ) from None


def _separator(text: str) -> str:
    lines = [line for line in text[:100_000].splitlines()[:20] if line.strip()]
    last = lines[-1] if lines else ""  # a line of numbers: names may hold blanks
    return next((s for s in "\t;," if s in last), " ")


def _rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    lines = text.splitlines()
    if lines and lines[0].startswith("#"):  # as np.savetxt writes names
        lines[0] = lines[0].lstrip("# ")
    if separator == " ":
        single = len(lines[-1].split()) < 2 if lines else True
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield number, [line.strip()] if single else line.split()
        return
    reader = csv.reader(lines, delimiter=separator)
    try:
        for cells in reader:
            cells = [cell.strip(" '") for cell in cells]
            if any(cells):
                if separator != ",":
                    cells = [cell.replace(",", ".") for cell in cells]
                yield reader.line_num, cells
    except csv.Error as error:
        raise RecordError(f"line {reader.line_num}: {error}") from None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return bool(re.fullmatch(r"(\d+:)?\d+:\d+(\.\d*)?", cell))
    return cell.lower() != "nan"


def _number(cell: str, line: int, column: int, head: list[list[str]]) -> float:
    if cell.lower() in _NONE:
        return np.nan
    if not _is_number(cell):
        known = head and column < len(head[0])
        name = f" ({head[0][column]})" if known else ""
        raise RecordError(f"line {line}, column {column + 1}{name}: {cell[:40]!r} is no number")
    seconds = 0.0
    for part in cell.split(":"):  # a clock, such as 0:01.250
        seconds = 60 * seconds + float(part)
    return seconds


def _headings(head: list[list[str]], width: int) -> tuple[list[str] | None, list[str]]:
    if not head:
        return None, [""] * width
    split = [re.fullmatch(r"(.*?)\s*[(\[]\s*(\S+?)\s*[)\]]", name) for name in head[0]]
    known = (*_VOLTS, *_PER_SECOND)
    split = [match if match and match[2].lower() in known else None for match in split]
    names = [match[1] if match else name for match, name in zip(split, head[0])]
    units = [match[2] if match else "" for match in split]
    if len(head) == 2:
        for column, unit in enumerate(head[1]):
            if unit.strip("()[]").lower() not in (*known, ""):
                raise RecordError(f"line 2, column {column + 1}: {unit[:40]!r} is no number")
        units = [unit.strip("()[]") or before for unit, before in zip(head[1], units)]
    return names, units


def _without_time(signal: np.ndarray, names: list[str] | None, units: list[str]) -> Raw:
    """Takes columns of time and of counts out; the rate is that of the former."""
    hz, notes, keep = None, [], []
    for i, column in enumerate(signal.T):
        name = "" if names is None else names[i].lower().strip()
        if names is not None and name in _TIME and hz is None:
            hz = _rate(column, units[i].lower())
            notes.append(Note(f"{hz:g} Hz by the column {names[i]!r}"))
        elif names is not None and name in _COUNT:
            text = f"column {i + 1} ({names[i] or 'no name'}) left out: it counts samples"
            notes.append(Note(text))
        elif _rises_evenly(column):
            raise RecordError(
                f"column {i + 1} rises evenly, as time does: name the columns in a first line, "
                "such as 'time (s),I,II', or remove it"
            )
        else:
            keep.append(i)
    if not keep:
        raise RecordError("no column of a lead in it")
    volts = tuple(units[i] for i in keep)
    leads = None if names is None else tuple(names[i] for i in keep)
    return Raw(signal[:, keep], hz, volts if all(volts) else None, leads, tuple(notes))


def _rises_evenly(column: np.ndarray) -> bool:
    steps = np.diff(column)
    if len(steps) < 10 or not (steps > 0).all():
        return False
    line = np.linspace(column[0], column[-1], len(column))
    return bool(np.abs(column - line).max() <= steps.mean())


def _rate(times: np.ndarray, unit: str) -> float:
    if not _rises_evenly(times):
        raise RecordError("the time column does not rise evenly: one rate without gaps is wanted")
    hz = (len(times) - 1) / (times[-1] - times[0]) * _PER_SECOND.get(unit, 1)
    if not unit and not 20 <= hz <= 50_000:
        raise RecordError("the time column's unit is unclear: call it 'time (s)' or 'time (ms)'")
    whole = round(hz)
    return float(whole) if abs(whole / hz - 1) < 1e-3 else float(hz)  # times are rounded in files
