"""Labelled examples and queries as files: listed, and read into the form of a model."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metaecg.data.readers import recognise, recordings
from metaecg.data.readers.given_by_user import Given
from metaecg.data.readers.lead_names import STANDARD_LEADS
from metaecg.data.readers.leads import complete
from metaecg.data.readers.notes import Note
from metaecg.data.readers.raw import RecordError
from metaecg.data.sources.listing import read_csv
from metaecg.diagnose.model import Form
from metaecg.errors import MetaecgError

MOST_WINDOWS = 6
"""Windows of a long recording that are read, from its start: a minute of a model of ten seconds."""


class Read(NamedTuple):
    """A recording in a model's form.

    Attributes:
      path: where it came from.
      name: the name of its file.
      signal: float32 [samples, leads] in mV; of a longer recording, the first window.
      hz: the rate at which it was recorded.
      notes: what was assumed, changed or found.
      later: the windows that follow, each like `signal`.
    """

    path: str
    name: str
    signal: np.ndarray
    hz: float
    notes: tuple[Note, ...]
    later: tuple[np.ndarray, ...] = ()

    @property
    def windows(self) -> np.ndarray:
        """All windows: float32 [windows, samples, leads] in mV."""
        return np.stack([self.signal, *self.later])

    @property
    def serious(self) -> tuple[str, ...]:
        """The notes that a person should see before the answer."""
        return tuple(note.text for note in self.notes if note.serious)


Example = tuple[Read, str]
"""A recording and its label."""


def list_support(support: Path) -> list[tuple[Path, str]]:
    """The labelled recordings of a folder of sub-folders, or of a CSV file; (path, label) each.

    Raises:
      MetaecgError: there are none, a diagnosis has none, or the CSV file is malformed or names a
        file that is not there.
    """
    if support.is_file():
        return _manifest(support)
    if not support.is_dir():
        raise MetaecgError(
            f"--support={shown(support)}: there is no such folder or file; give a folder with a "
            "sub-folder of recordings for each diagnosis, or a CSV file of path,label"
        )
    labels = sorted(p for p in support.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not labels:
        raise MetaecgError(
            f"--support={shown(support)}: no sub-folder in it; put the recordings of each "
            "diagnosis into a sub-folder that bears its name"
        )
    return [(path, shown(folder.name)) for folder in labels for path in recognise.find(folder)]


def _manifest(path: Path) -> list[tuple[Path, str]]:
    found = []
    for number, row in read_csv(path, ("path", "label"), any_case=True):
        cells = [row[name].strip() for name in ("path", "label")]
        if any(cells) and not all(cells):
            raise MetaecgError(f"{shown(path)}: line {number}: path or label is missing")
        if all(cells):
            recording = path.parent / cells[0]
            if not recognise.is_there(recording):
                raise MetaecgError(
                    f"{shown(path)}: line {number}: {shown(recording)}: no such file; a path is "
                    f"relative to the folder of {shown(path.name)}"
                )
            found.append((recording, cells[1]))
    if not found:
        raise MetaecgError(f"--support={shown(path)}: no recording is listed in it")
    return found


def list_queries(queries: Sequence[str]) -> list[Path]:
    """The recordings named, those of a folder in its place.

    Raises:
      MetaecgError: none of them is there, or a folder holds what is no recording.
    """
    found: list[Path] = []
    for query in queries:
        path = Path(query).expanduser()
        found += recognise.find(path) if path.is_dir() else [path]
    if not any(map(recognise.is_there, found)):  # of several, those that are there are read
        raise MetaecgError(
            f"--query={', --query='.join(queries)}: no such file; give a recording or a folder of "
            "recordings"
        )
    return found


def read(path: Path, form: Form, given: Given, most: int = MOST_WINDOWS) -> Read:
    """Reads a recording and brings it into a model's form.

    A recording of twice the model's length or longer is read in windows that follow each other,
    `most` at most. Windows that cannot be read are left out, with a note.

    Raises:
      MetaecgError: it cannot be read, or not brought into this form.
      OSError: the file cannot be opened.
    """
    seconds = form.samples / form.hz
    recording = recordings.read(path, **given._asdict(), seconds=most * seconds)
    signals, notes = windows(recording, form, most)
    return Read(shown(path), shown(path.name), signals[0], recording.hz, notes, (*signals[1:],))


def leads_of(path: Path, given: Given, seconds: float, most: int = MOST_WINDOWS) -> frozenset[str]:
    """The standard leads that a recording has or that its limb leads determine.

    A lead that never changes in one of the windows that would be read is not there.

    Args:
      path: the file.
      given: what it does not say.
      seconds: the length of a window.
      most: windows that would be read.

    Raises:
      MetaecgError: it cannot be read.
      OSError: the file cannot be opened.
    """
    recording = recordings.read(path, **given._asdict(), seconds=most * seconds)
    there = set(STANDARD_LEADS)
    for piece in recordings.windows(recording, seconds, most):
        signal, names, _ = complete(piece.signal, piece.leads, STANDARD_LEADS)
        changes = np.fmax.reduce(signal) > np.fmin.reduce(signal)
        there &= {name for name, changed in zip(names, changes) if changed}
    return frozenset(there)


def windows(
    recording: recordings.Recording, form: Form, most: int = MOST_WINDOWS
) -> tuple[list[np.ndarray], tuple[Note, ...]]:
    """The windows of a recording in a model's form, [samples, leads] each, and the notes on all.

    Raises:
      RecordError: none can be brought into this form.
    """
    seconds = form.samples / form.hz
    pieces = recordings.windows(recording, seconds, most)
    signals: list[np.ndarray] = []
    notes: list[Note] = []
    failed: list[RecordError] = []
    for piece in pieces:
        try:
            signal, said = recordings.adapt(
                piece,
                hz=form.hz,
                leads=form.leads,
                samples=form.samples,
                bandpass=form.bandpass,
                scale=form.scale,
            )
        except RecordError as error:
            failed.append(error)
            continue
        signals.append(signal)
        notes += said
    if not signals:
        raise failed[0]
    if len(pieces) > 1:
        whole = len(recording.signal) / recording.hz
        if whole > len(pieces) * seconds + 1 / recording.hz:
            notes.append(Note(f"first {len(pieces) * seconds:g} of {whole:g} s"))
        text = f"read in {len(signals)} windows of {seconds:g} s, their embeddings averaged"
        notes.append(Note(text))
    if failed:
        reason = str(failed[0]).removeprefix(f"{recording.source}: ")
        text = f"{len(failed)} of {len(pieces)} windows left out, the first for: {reason}"
        notes.append(Note(text, serious=True))
    return signals, tuple(dict.fromkeys(notes))


def about_examples(support: Sequence[Example]) -> list[str]:
    """What the reader should know of the examples as a whole, each thing once."""
    remarked: dict[str, list[str]] = {}
    rates: dict[float, set[str]] = {}
    for each, label in support:
        rates.setdefault(each.hz, set()).add(label)
        for text in each.serious:
            remarked.setdefault(text, []).append(f"{each.name} ({label})")
    warnings = []
    for text, names in remarked.items():
        if len(names) == 1:
            warnings.append(f"example {names[0]}: {text}")
        else:
            rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
            which = f"{', '.join(names[:3])}{rest}"
            warnings.append(f"{len(names)} of {len(support)} examples, {which}: {text}")
    if len(rates) > 1:
        listed = "; ".join(f"{hz:g} Hz: {', '.join(sorted(rates[hz]))}" for hz in sorted(rates))
        warnings.append(
            f"the examples were recorded at several rates ({listed}); where a rate goes with a "
            "diagnosis, devices may be distinguished instead of hearts"
        )
    return warnings


def about_query(query: Read, support: Sequence[Example]) -> list[str]:
    """What the reader should know of one query as a recording."""
    warnings = list(query.serious)
    if query.hz not in {each.hz for each, _ in support}:
        warnings.append(f"recorded at {query.hz:g} Hz, no example is; all were brought to one rate")
    return warnings


def shown(name: str | os.PathLike) -> str:
    """A path as text that can be printed and stored, whatever the encoding of its name."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
