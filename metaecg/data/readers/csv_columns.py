"""What the columns of a text table are: leads, time, counts of samples; their names and units."""

import datetime
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from metaecg.data.readers.notes import Note
from metaecg.data.readers.raw import Raw, RecordError
from metaecg.data.signal import per_millivolt

_TIME = ("time", "times", "t", "elapsed time", "seconds", "sec", "timestamp", "datetime", "date",
         "date time", "time stamp", "milliseconds")  # fmt: skip
_COUNT = ("", "sample", "samples", "sample #", "sample number", "sample_number", "sampleno",
          "sample no", "index", "idx", "n", "#", "nseq", "unnamed: 0")  # fmt: skip
_PER_SECOND = {"s": 1, "sec": 1, "second": 1, "seconds": 1, "ms": 1e3, "msec": 1e3,
               "milliseconds": 1e3, "us": 1e6, "µs": 1e6, "μs": 1e6, "hh:mm:ss.mmm": 1,
               "mm:ss.mmm": 1, "m:s": 1}  # fmt: skip
_MISSING = ("", "nan", "na", "n/a", "#n/a", "null", "none", "-")
_MOST_ROWS = 1 << 24
_KEY = re.compile(r"\W*([A-Za-z][A-Za-z _]*?)\s*[,:;=\t|]\s*(\S.*)")
_RATE = re.compile(r"(sampl\w*[ _]?(rate|freq\w*)|fs|hz|rate|frequency)", re.IGNORECASE)
_HERTZ = re.compile(r"(\d+(?:\.\d+)?)\s*(hertz|hz|sps|samples\b.*|/s)?\W*", re.IGNORECASE)


class Heading(NamedTuple):
    """What the lines before the numbers say of the columns."""

    names: list[str] | None
    units: list[str]
    hz: float | None = None
    notes: tuple[Note, ...] = ()


def is_number(cell: str) -> bool:
    """Whether a cell holds a number, a time of day or a date; a missing sample is none."""
    return cell.lower() not in _MISSING and number(cell) is not None


def number(cell: str) -> float | None:
    """The number in a cell: NaN of a missing sample, seconds of a time; None of anything else."""
    if cell.lower() in _MISSING:
        return np.nan
    try:
        return float(cell) if "_" not in cell else None
    except ValueError:
        pass
    if re.fullmatch(r"(\d+:)?\d+:\d+(\.\d*)?", cell):  # a clock, such as 0:01.250
        seconds = 0.0
        for digits in cell.split(":"):
            seconds = 60 * seconds + float(digits)
        return seconds
    if re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:", cell):
        try:
            moment = datetime.datetime.fromisoformat(cell)
        except ValueError:
            return None
        epoch = datetime.datetime(2000, 1, 1, tzinfo=moment.tzinfo)
        return (moment - epoch).total_seconds()
    return None


def numbers_columns(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row numbers the columns, as pandas does: 0,1,…,11, ,0,1,…,11 or 0.0,1.0,….

    Raises:
      RecordError: it may also be a sample.
    """
    first, rest = list(rows[0]), rows[1:]
    if len(first) > 1 and not first[0]:
        first, rest = first[1:], [row[1:] for row in rest]
    if len(first) > 2:
        first = [cell.removesuffix(".0") for cell in first]
    if first not in ([str(i + n) for i in range(len(first))] for n in (0, 1)) or not rest:
        return False
    if len(first) > 2:
        return True
    others = [cell for row in rest for cell in row if is_number(cell)]
    if any(re.fullmatch(r"-?\d+", cell) for cell in others):
        if len(first) == 1 and (first != ["0"] or others[0] == "0"):
            return False
        raise RecordError(
            f"the first line is {','.join(first)}: numbers of columns or a sample? name the "
            "columns in it, such as I,II"
        )
    return True


def interpret(head: list[list[str]], signal: np.ndarray, separator: str) -> Raw:
    """The leads of a table: without columns of time and of counts; the rate is that of the former.

    Args:
      head: cells of the lines before the numbers.
      signal: the numbers, NaN where a cell is empty.
      separator: what the cells were separated by.

    Raises:
      RecordError: the lines before do not fit, or time does not rise evenly.
    """
    heading = _heading(head, signal.shape[1], separator)
    names, units = heading.names, heading.units
    if np.isnan(signal[:, -1]).all() and signal.shape[1] > 1 and not (names and names[-1]):
        signal, units = signal[:, :-1], units[:-1]  # each line ends with a separator
        names = None if names is None else names[:-1]
    words = ["?"] * signal.shape[1] if names is None else [name.lower().strip() for name in names]
    time = next((i for i, word in enumerate(words) if word in _TIME), None)
    hz, notes = heading.hz, list(heading.notes)
    leads, places = [], None
    for i, word in enumerate(words):
        if i == time:
            places, hz = _rate(signal[:, i], units[i].lower())
            notes.append(Note(f"{hz:g} Hz by the column {names[i] if names else ''!r}"))
        elif word in _COUNT:
            text = f"column {i + 1} ({word or 'no name'}) left out: it counts samples"
            notes.append(Note(text))
            if time is None and places is None:
                places = _places(signal[:, i])[0]
        elif _rises(signal[:, i]):
            raise RecordError(
                f"column {i + 1} rises in each line, as time does: name the columns in a first "
                "line, such as 'time (s),I,II', or remove it"
            )
        else:
            leads.append(i)
    if not leads:
        raise RecordError("no column of a lead in it")
    signal = _spread(signal[:, leads], places)
    kept = tuple(units[i] for i in leads)
    said = None if names is None else tuple(names[i] for i in leads)
    if said and all(name.removesuffix(".0").isdigit() for name in said):  # the columns are numbered
        said = None
    elif said and said == tuple(f"V{i + 1}" for i in range(len(said))):
        if len(said) > 6:  # more than the chest leads, and so R's names
            said = None
        else:
            text = "taken as the chest leads; R calls columns without a name V1, V2, … as well"
            notes.append(Note(f"{' '.join(said)} {text}", serious=True))
    return Raw(signal, hz, kept if any(kept) else None, said, tuple(notes))


def _heading(head: list[list[str]], width: int, separator: str) -> Heading:
    before, units = [list(cells) for cells in head], [""] * width
    names: list[str] | None = None
    hz = lead = unit = None
    known = (*_PER_SECOND, "")
    if len(before) > 1 and len(before[-1]) == width == len(before[-2]):
        second = [cell.strip("()[]") for cell in before[-1]]
        if all(per_millivolt(cell) or cell.lower() in known for cell in second):
            units = second
            before.pop()
        elif len(before) == 2 and width > 1:
            odd = next(i for i, c in enumerate(second) if not per_millivolt(c))
            raise RecordError(f"line 2, column {odd + 1}: no number")
    if before and not (_said(before[-1], separator) and width == 1):
        names = before.pop()
        if len(names) != width:
            raise RecordError(f"{len(names)} names in the first line for {width} columns")
    unread = 0
    for cells in before:
        key, value = _said(cells, separator) or ("", "")
        rate = _HERTZ.fullmatch(value)
        if _RATE.fullmatch(key) and rate:
            hz = float(rate[1])
        elif key.lower() in ("lead", "leads") and width == 1:
            lead = value
        elif key.lower() in ("unit", "units") and per_millivolt(value.strip("\"' ")):
            unit = value.strip("\"' ")
        else:
            unread += 1
    notes = (Note(f"{unread} lines before the table not read"),) if unread else ()
    if names is None:
        names = None if lead is None else [lead]
    else:
        split = [re.fullmatch(r"(.*?)\s*[(\[]\s*(\S+?)\s*[)\]]", name) for name in names]
        split += [None] * width
        for i, match in enumerate(split[:width]):
            if match and (per_millivolt(match[2]) or match[2].lower() in _PER_SECOND):
                names[i], units[i] = match[1], units[i] or match[2]
            elif found := re.fullmatch(r"(time|t)[_ ](s|sec|seconds|ms|msec|us)", names[i].lower()):
                names[i], units[i] = found[1], found[2]
    if unit:
        units = [each or unit for each in units]
    return Heading(names, units, hz, notes)


def _said(cells: list[str], separator: str) -> tuple[str, str] | None:
    match = _KEY.fullmatch(separator.join(cells).strip(' "'))
    return (match[1], match[2]) if match else None


def _rises(column: np.ndarray) -> bool:
    steps = np.diff(column)
    return len(steps) >= 10 and bool((steps > 0).all())


def _places(column: np.ndarray) -> tuple[np.ndarray, float]:
    """The place of each row on an even grid, from 0 on, and the grid's step.

    Raises:
      RecordError: the column does not rise evenly, but for rows that are missing.
    """
    steps = np.diff(column)
    error = RecordError(
        "the time column does not rise evenly: one rate is wanted, and time in each line"
    )
    if not len(steps) or not (steps > 0).all():  # of NaN, too
        raise error
    usual = steps[steps < 1.5 * np.median(steps)].mean()
    places = np.concatenate([[0], np.cumsum(np.maximum(1, np.rint(steps / usual)))])
    if places[-1] > _MOST_ROWS:
        raise RecordError("a gap in the time column is too long; cut the recording there")
    step = (column[-1] - column[0]) / places[-1]
    if np.abs(column - column[0] - places * step).max() > 0.5 * step:
        raise error
    return places.astype(np.int64), float(step)


def _rate(times: np.ndarray, unit: str) -> tuple[np.ndarray, float]:
    places, step = _places(times)
    per_second = _PER_SECOND.get(unit, 1)
    hz = per_second / step
    if not unit and not 20 <= hz <= 50_000:
        raise RecordError("the time column's unit is unclear: call it 'time (s)' or 'time (ms)'")
    # Times are rounded in files: a whole rate that fits them as well is meant.
    elapsed, whole = times - times[0], float(round(hz))
    off = np.abs(elapsed - places * step).max()
    if whole and np.abs(elapsed - places * per_second / whole).max() <= 2 * off + 1e-6 * step:
        return places, whole
    return places, hz


def _spread(signal: np.ndarray, places: np.ndarray | None) -> np.ndarray:
    """The rows at their places; rows that are missing are NaN."""
    if places is None or places[-1] == len(signal) - 1:
        return signal
    spread = np.full((places[-1] + 1, signal.shape[1]), np.nan)
    spread[places] = signal
    return spread
