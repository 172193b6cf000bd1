"""Lists and reads the WFDB records of a folder for a library."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from metaecg.data.readers import csv
from metaecg.data.readers.lead_names import is_lead, upright_name
from metaecg.data.readers.raw import Part, RecordError
from metaecg.data.readers.recognise import among, recognise
from metaecg.data.readers.wfdb import read_signal
from metaecg.data.readers.wfdb_header import count_samples, read_header, remarks
from metaecg.data.record_form import Recorded, Target
from metaecg.data.sources import source
from metaecg.data.sources.listing import Item, label, unread_columns, walk
from metaecg.data.sources.source import Form, Outcome, Source
from metaecg.errors import MetaecgError

_RECORDED = (".dat", ".mat", ".edf", ".bdf", ".dcm", ".scp", ".ecg", ".npy", ".npz", ".h5", ".hdf5")
"""Endings of files that are recordings though they cannot be read."""

_FEWEST = 100
"""Lines of a text table of samples, more than most tables about recordings that hold numbers."""


def open_folder(folder: Path, labels: str) -> Source:
    """A folder of WFDB records as a source; arguments as of `list_folder`.

    Raises:
      MetaecgError: there is no record that can be read, or the labels are malformed.
    """
    items = list_folder(folder, labels)
    usual = source.survey(folder, items, form)
    return Source("wfdb", folder, items, read, usual, remarks=unread_columns(labels))


def list_folder(folder: Path, labels: str) -> list[Item]:
    """Lists the records of a folder and of its sub-folders, sorted by path.

    Args:
      folder: where the ``.hea`` files are.
      labels: 'header' (the ``#Dx:`` comment), 'folders' (the first sub-folder's name), or the path
        of a CSV file as `listing.read_labels` takes it.

    Returns:
      The items; those without a label, and recordings of other formats, with that problem. Where
      the patient is not known, each record is a patient of its own.

    Raises:
      MetaecgError: there is no record, or the CSV is malformed.
    """
    found = walk(folder)
    paths = [path.removesuffix(".hea") for path in found.files if path.endswith(".hea")]
    if not paths:
        raise MetaecgError(
            f"{folder}: no WFDB header (*.hea) in it; check --input, or read files of other "
            "formats by --source=csv"
        )
    others = _others(folder, found.files, labels)
    if labels == "header":
        items = [Item(path, path, path, None) for path in sorted((*paths, *others))]
    else:
        items = label((*paths, *others), labels, folder, endings=r"\.(hea|dat|mat)$")
    items = [item._replace(problem=others.get(item.path, item.problem)) for item in items]
    return items + found.unused()


def _others(folder: Path, files: Iterable[str], labels: str) -> dict[str, str]:
    """The recordings that no header describes, each with why it is not imported."""
    table = os.path.realpath(labels)
    rest = [path for path in among(folder / file for file in files) if path.suffix != ".hea"]
    found = {path: _other(path) for path in rest if os.path.realpath(path) != table}
    return {path.relative_to(folder).as_posix(): why for path, why in found.items() if why}


def _other(path: Path) -> str:
    """Why a file is not imported if it is a recording; '' if it is none, as are annotations."""
    try:
        format, _ = recognise(path)
    except (RecordError, OSError) as error:
        return str(error) if path.suffix.lower() in _RECORDED else ""
    if format == "wfdb":
        return "a WFDB header with another ending; rename it to .hea"
    if format == "table" and not _holds_samples(path):
        return ""
    if format == "npz" and path.suffix.lower() != ".npz":  # a table of Excel is a ZIP file as well
        return ""
    return "not a WFDB record; import it by --source=csv"


def _holds_samples(path: Path) -> bool:
    """Whether a text table is a recording, and no list of labels, of patients or of beats."""
    try:
        raw = csv.read(path, Part(seconds=10.0, hz=100.0))
    except (MetaecgError, OSError):
        return False
    named = raw.names is None or raw.hz is not None or any(map(is_lead, raw.names))
    return named and len(raw.signal) >= _FEWEST


def read(folder: Path, item: Item, target: Target) -> Iterator[Outcome]:
    """Reads one WFDB record of a folder and brings it into the library's form."""
    path = _header(folder, item)
    header = read_header(path, folder)
    if item.codes is None and not header.codes:
        raise RecordError(
            "no label: its header has no Dx comment; give --labels=FILE.csv or --labels=folders"
        )
    codes = source.check_codes(header.codes if item.codes is None else item.codes)
    units, names = [c.unit for c in header.channels], [c.name for c in header.channels]
    recorded = Recorded(read_signal(path, header, folder), header.hz, units, names)
    return source.records(recorded, codes, [note.text for note in remarks(header)], target)


def form(folder: Path, item: Item) -> Form:
    """The form of one WFDB record whose files hold what its header says.

    Raises:
      RecordError, OSError: it cannot be read.
    """
    path = _header(folder, item)
    header = read_header(path, folder)
    seconds = count_samples(path, header, folder) / header.hz
    return Form(header.hz, seconds, tuple(upright_name(c.name)[0] for c in header.channels))


def _header(folder: Path, item: Item) -> Path:
    source.check_path(item)
    return folder / f"{item.path}.hea"
