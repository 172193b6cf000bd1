"""Lists and reads the WFDB records of a folder for a library."""

from collections.abc import Iterator
from pathlib import Path

from metaecg.data.readers.lead_names import upright_name
from metaecg.data.readers.wfdb import read_signal
from metaecg.data.readers.wfdb_header import count_samples, read_header, remarks
from metaecg.data.record_form import Recorded, Target
from metaecg.data.sources import source
from metaecg.data.sources.listing import Item, label, walk
from metaecg.data.sources.source import Form, Outcome, Source
from metaecg.errors import MetaecgError


def open_folder(folder: Path, labels: str) -> Source:
    """A folder of WFDB records as a source; arguments as of `list_folder`.

    Raises:
      MetaecgError: there is no record that can be read, or the labels are malformed.
    """
    items = list_folder(folder, labels)
    return Source("wfdb", folder, items, read, source.survey(folder, items, form))


def list_folder(folder: Path, labels: str) -> list[Item]:
    """Lists the records of a folder and of its sub-folders, sorted by path.

    Args:
      folder: where the ``.hea`` files are.
      labels: 'header' (the ``#Dx:`` comment), 'folders' (the first sub-folder's name), or the path
        of a CSV file as `listing.read_labels` takes it.

    Returns:
      The items; a record without a row in the CSV has no codes. Where the patient is not known,
      each record is a patient of its own.

    Raises:
      MetaecgError: there is no record, or the CSV is malformed.
    """
    found = walk(folder)
    paths = [path.removesuffix(".hea") for path in found.files if path.endswith(".hea")]
    if not paths:
        raise MetaecgError(f"{folder}: no WFDB header (*.hea) in it; check --input")
    if labels == "header":
        items = [Item(path, path, path, None) for path in sorted(paths)]
    else:
        items = label(paths, labels, folder, endings=r"\.(hea|dat|mat)$")
    return items + found.unused()


def read(folder: Path, item: Item, target: Target) -> Iterator[Outcome]:
    """Reads one WFDB record of a folder and brings it into the library's form."""
    path = _header(folder, item)
    header = read_header(path, folder)
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
