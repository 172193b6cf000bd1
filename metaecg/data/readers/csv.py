"""One recording as text: CSV, TSV and the like, with or without lead names, units and time."""

import csv
import itertools
import re
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metaecg.data.readers import csv_columns
from metaecg.data.readers.csv_columns import is_number, number
from metaecg.data.readers.lead_names import is_lead
from metaecg.data.readers.notes import Note
from metaecg.data.readers.raw import WHOLE, Part, Raw, RecordError, oriented

_TAIL = 1 << 16  # bytes at the end that show the separator
_SOME_NAMED = "some lines begin with the name of a lead and others do not"
_LOOK = 512  # rows that show the rate where only a part is read


class _Layout(NamedTuple):
    """How the cells of a line are separated, and how many there are."""

    separator: str
    width: int

    def cells(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """The cells of each line; none of an empty one."""
        if self.separator == " ":
            for line in lines:
                cells = line.split() if self.width > 1 else [line.strip()] * bool(line.strip())
                yield [cell.strip("\"'") for cell in cells]
            return
        for cells in csv.reader(lines, delimiter=self.separator, skipinitialspace=True):
            yield [cell.strip(" '") for cell in cells] if len(cells) > 1 or any(cells) else []


class _Rows(NamedTuple):
    """The lines before the numbers, the numbers, the names that lines of numbers begin with."""

    head: list[list[str]]
    signal: np.ndarray
    names: list[str]
    cut: bool


def read(path: Path, part: Part = WHOLE) -> Raw:
    """Reads a text table: one line a sample, one column a lead; or one line a lead.

    Separated by tab, semicolon, bar, comma or blanks; a decimal comma is understood wherever it
    does not separate. Lines of words before the numbers name the columns, the units in brackets or
    in a line of their own, or say the rate, the lead and the unit ('Sample Rate,512 hertz'). A
    column of time gives the rate; one that counts samples is left out. Empty cells, and lines that
    a column of time or of counts lacks, are missing samples.

    Raises:
      RecordError: naming line and column.
    """
    with open(path, "rb") as start:
        utf16 = start.read(2) in (b"\xff\xfe", b"\xfe\xff")
    try:
        with open(path, encoding="utf-16" if utf16 else "utf-8-sig") as file:
            first = file.readline(1000)
            declared = re.fullmatch(r'"?sep=(.)"?\s*', first)
            file.seek(0)
            layout = _layout(path, file.encoding, declared[1] if declared else None, first)
            skipped = 1 if declared else 0
            rows = _parse(itertools.islice(file, skipped, None), layout, part, skipped)
    except UnicodeError as error:
        raise RecordError(_undecodable(path, str(error))) from None
    except csv.Error as error:
        raise RecordError(f"no table of text: {error}") from None
    if "OpenSignals" in first:
        raise RecordError("an OpenSignals file holds raw counts; convert them to mV and save a CSV")
    if rows.names:
        return Raw(rows.signal.T, names=tuple(rows.names), notes=(Note("lines taken as leads"),))
    if not rows.head and len(rows.signal) < layout.width:
        signal, notes = oriented(rows.signal)
        return Raw(signal, notes=notes)
    raw = csv_columns.interpret(rows.head, rows.signal, layout.separator)
    if rows.cut:
        note = Note(f"only the first {part.seconds:g} s of the file were read")
        signal = raw.signal[: part.samples(raw.hz)]
        raw = raw._replace(signal=signal, notes=(*raw.notes, note))
    return raw


def _undecodable(path: Path, reason: str) -> str:
    content = path.read_bytes()
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = content[: error.start].count(b"\n") + 1, content[error.start]
        return f"line {line}: byte 0x{byte:02x} is not UTF-8; save it as 'CSV UTF-8'"
    return f"no text ({reason}); save it as 'CSV UTF-8'"


def _layout(path: Path, encoding: str, declared: str | None, first: str) -> _Layout:
    """The separator that makes equally many numbers of each of the last lines."""
    with open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL) // 2 * 2)
        text = file.read().decode(encoding, "replace")
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
    whole = lines if size <= _TAIL or len(lines) < 2 else lines[1:]
    last = whole[-20:] if len(whole) > 20 else whole[-max(1, len(whole) // 2) :]
    likely = [declared] if declared else [s for s in "\t;|, " if any(s in line for line in last)]
    for separator in likely:
        rows = list(_Layout(separator, 2).cells(last))
        widths = {len(cells) for cells in rows}
        cells = [cell for row in rows for cell in row[len(row) > 2 :]]
        points = cells if separator == "," else [cell.replace(",", ".") for cell in cells]
        fits = all(number(cell) is not None for cell in points)
        if len(widths) == 1 and fits and widths != {1}:
            if separator == "," and _has_decimal_commas(rows, first):
                break
            return _Layout(separator, widths.pop())
    alone = all(number(line.strip(" \"'").replace(",", ".")) is not None for line in last)
    if alone or not likely:
        return _Layout(" ", 1)
    return _Layout(likely[0], len(next(_Layout(likely[0], 2).cells(last[-1:]), [])))


def _parse(lines: Iterable[str], layout: _Layout, part: Part, line: int) -> _Rows:
    head: list[list[str]] = []
    names: list[str] = []
    first: list[list[str]] = []
    blank: list[int] = []
    values = array("d")
    width, rows, most = layout.width, 0, None
    for cells in layout.cells(lines):
        line += 1
        if not cells:
            blank += [rows] * bool(rows)
            continue
        decimal = layout.separator != "," and any("," in cell for cell in cells)
        numbers = [cell.replace(",", ".") for cell in cells] if decimal else cells
        if not rows and _is_head(numbers, width):
            head.append(cells)
            if cells[0].startswith("#"):  # as np.savetxt writes names
                bare = cells[0].lstrip("# ").strip("\"' ")
                head[-1] = [bare, *cells[1:]] if bare or len(cells) == width else cells[1:]
            continue
        if len(cells) != width:
            raise RecordError(f"line {line} has {len(cells)} columns, the ones before have {width}")
        if width > 2 and is_lead(cells[0]):
            alone = rows == 1 and not names and not first[0][0]
            if alone and csv_columns.numbers_columns([*first, cells]):
                head.append(first.pop())  # numbers of samples, and no sample
                values, rows = array("d"), 0
            if rows and not names:
                raise RecordError(_SOME_NAMED)
            names.append(cells[0])
            numbers = numbers[1:]
        try:
            values.extend(map(float, numbers))
        except ValueError:
            del values[rows * (width - bool(names)) :]
            values.extend(_numbers(numbers, line, head))
        rows += 1
        if rows <= _LOOK:
            first.append(cells)
        if rows == _LOOK and part.seconds is not None:
            look = np.array(values).reshape(rows, -1)
            hz = csv_columns.interpret(head, look, layout.separator).hz or part.hz
            most = None if hz is None else part.samples(hz)
        if most is not None and rows > most:
            break
    if not values:
        raise RecordError("no line of numbers in it; if it is no recording, move it away")
    if len(names) not in (0, rows):
        raise RecordError(_SOME_NAMED)
    blank = [place for place in blank if place < rows]  # at the end they say nothing
    if blank and blank != list(range(1, rows)):
        raise RecordError(
            f"an empty line after {blank[0]} lines of numbers: is a sample missing? write empty "
            "cells, such as ',,' or 'nan', or remove the line"
        )
    signal = np.array(values).reshape(rows, -1)
    if not head and csv_columns.numbers_columns(first):
        head, signal = [first[0]], signal[1:]
    return _Rows(head, signal, names, most is not None and rows > most)


def _is_head(cells: list[str], width: int) -> bool:
    """Whether a line before the numbers is none of them: a row of missing samples is."""
    if len(cells) != width or cells[0].startswith("#"):
        return True
    numbered = width > 1 and cells[1:] == [str(i) for i in range(width - 1)]
    if numbered and number(cells[0]) is None and not is_lead(cells[0]):
        return True  # such as time,0,1,2
    return not any(map(is_number, cells)) and any(number(cell) is None for cell in cells)


def _numbers(cells: list[str], line: int, head: list[list[str]]) -> Iterator[float]:
    for column, cell in enumerate(cells):
        value = number(cell)
        if value is None:
            known = head and column < len(head[0])
            name = f" ({head[0][column]})" if known else ""
            # Without the cell, which may be the patient's name.
            raise RecordError(f"line {line}, column {column + 1}{name}: no number")
        yield value


def _has_decimal_commas(rows: list[list[str]], first: str) -> bool:
    """Whether lines with one comma are single numbers such as 0,123.

    Raises:
      RecordError: nobody can know.
    """
    later = [cell for row in rows for cell in row[1:]]
    if not all(re.fullmatch(r"\d+", cell) for cell in later):
        return False  # a sign, a point or an empty cell begins no decimals
    leading = any(re.fullmatch(r"0\d+", cell) for cell in later)
    alike = len({len(cell) for cell in later}) == 1 and len(rows) >= 10
    names = [cell for cell in first.strip().split(",") if not is_number(cell.strip(" \"'"))]
    if len(rows[0]) == 2 and (leading or (alike and (len(later[0]) == 1 or len(names) == 1))):
        return True
    if leading or (len(rows[0]) == 2 and alike and not names):
        raise RecordError(
            "commas may be decimal commas or separate columns; separate the columns by semicolons, "
            "or write decimal points"
        )
    return False
