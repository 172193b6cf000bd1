"""Lists and reads the single recordings of a folder for a library: CSV, NPY, EDF, DICOM and others.

What `recordings.read` reads of one file, with labels as `listing` finds them. WFDB records are left
to `wfdb_folder`, which verifies where their headers point.
"""

import functools
import os
from collections.abc import Iterator
from pathlib import Path

from metaecg.data.readers import recordings
from metaecg.data.readers.given_by_user import Given
from metaecg.data.readers.raw import RecordError
from metaecg.data.readers.recognise import FORMATS, among, recognise
from metaecg.data.readers.recordings import Recording
from metaecg.data.readers.wfdb_header import check_file
from metaecg.data.record_form import Recorded, Target
from metaecg.data.sources import source
from metaecg.data.sources.listing import Item, label, unread_columns, walk
from metaecg.data.sources.source import Form, Outcome, Source
from metaecg.errors import MetaecgError

NOTHING = Given()


def open_folder(folder: Path, labels: str, given: Given = NOTHING) -> Source:
    """A folder of single recordings as a source.

    Args:
      folder, labels: as `list_folder` takes them.
      given: what files do not say.

    Raises:
      MetaecgError: there is no recording that can be read, or the labels are malformed.
    """
    items = list_folder(folder, labels)
    usual = source.survey(folder, items, functools.partial(form, given=given))
    reader = functools.partial(read, given=given)
    return Source("csv", folder, items, reader, usual, remarks=unread_columns(labels))


def list_folder(folder: Path, labels: str) -> list[Item]:
    """Lists the files of a folder and of its sub-folders, sorted by path.

    Args:
      folder: where the files are; hidden ones, licences and the like are left out, and a WFDB
        record is listed by its header.
      labels: 'folders' (the first sub-folder's name), or the path of a CSV file as
        `listing.read_labels` takes it.

    Returns:
      The items, what turns out to be no recording among them.

    Raises:
      MetaecgError: there is no file, or the CSV file is malformed.
    """
    if labels == "header":
        raise MetaecgError(
            "--labels=header: only WFDB headers hold labels; choose folders or a CSV file"
        )
    table = None if labels == "folders" else os.path.realpath(labels)
    found = walk(folder)
    paths = [
        path.relative_to(folder).as_posix()
        for path in among(folder / path for path in found.files)
        if os.path.realpath(path) != table
    ]
    if not paths:
        raise MetaecgError(f"{folder}: no file in it ({FORMATS}); check --input")
    return label(paths, labels, folder) + found.unused()


def read(folder: Path, item: Item, target: Target, given: Given = NOTHING) -> Iterator[Outcome]:
    """Reads one recording of a folder and brings it into the library's form.

    Args:
      folder, item, target: as an `source.Reader` takes them.
      given: what files do not say.
    """
    codes = source.check_codes(item.codes or ())
    recording = _load(folder, item, given)
    in_mv = ["mV"] * len(recording.leads)
    recorded = Recorded(recording.signal, recording.hz, in_mv, recording.leads)
    notes = [_as_flags(note.text) for note in recording.notes]
    for outcome in source.records(recorded, codes, notes, target):
        yield outcome._replace(patient=recording.patient)


def form(folder: Path, item: Item, given: Given = NOTHING) -> Form:
    """The form of one recording, for `source.survey`; arguments as of `read`.

    Raises:
      RecordError, OSError: it cannot be read.
    """
    recording = _load(folder, item, given)
    return Form(recording.hz, len(recording.signal) / recording.hz, recording.leads)


def _load(folder: Path, item: Item, given: Given) -> Recording:
    source.check_path(item)
    path = folder / item.path
    check_file(path, folder)
    if recognise(path)[0] == "wfdb":
        raise RecordError("a WFDB record; import it by --source=wfdb")
    try:
        return recordings.read(path, **given._asdict())
    except RecordError as error:
        raise RecordError(_as_flags(str(error).removeprefix(f"{path}: "))) from None


def _as_flags(text: str) -> str:
    """What `recordings` says, in the words of `experiments.prepare`: its --hz is the library's."""
    return text.replace("--hz", "--file_hz").replace("--leads", "--file_leads")
