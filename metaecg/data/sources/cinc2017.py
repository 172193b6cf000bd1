"""Reads the archive of the PhysioNet/CinC challenge of 2017: one lead, 300 Hz, 9 to 61 s.

Each recording has one of four labels: atrial fibrillation, normal, another rhythm, or too noisy.
A hand-held device between both arms made them, which gives lead I, upside down where the device was
held upside down. Who was recorded is not published, so each recording counts as a patient of its
own.

Reference: Clifford et al., AF classification from a short single lead ECG recording: the
PhysioNet/Computing in Cardiology challenge 2017, doi 10.22489/CinC.2017.065-469.
"""

from collections.abc import Iterator
from pathlib import Path

from metaecg.data.readers.wfdb import read_signal
from metaecg.data.readers.wfdb_header import read_header, remarks
from metaecg.data.record_form import Recorded, Target
from metaecg.data.sources import source
from metaecg.data.sources.listing import Item, read_csv
from metaecg.data.sources.source import Outcome, Source
from metaecg.data.sources.statements import Statement
from metaecg.errors import MetaecgError

LEAD = "I"
CODES = {
    **{"A": "AFIB", "N": "SR", "O": "OTHER", "~": "NOISE"},
    **{"atrial fibrillation": "AFIB", "normal": "SR", "other rhythm": "OTHER", "noisy": "NOISE"},
}
"""The code of each label, as the challenge writes it and in words."""

STATEMENTS = {
    "SR": Statement("normal sinus rhythm", "rhythm"),
    "AFIB": Statement("atrial fibrillation", "rhythm"),
    "OTHER": Statement("another rhythm", "rhythm"),
    "NOISE": Statement("too noisy to classify"),
}

_LABELS = ("REFERENCE-v3.csv", "REFERENCE.csv", "labels.csv")


def open_folder(folder: Path) -> Source:
    """The archive as a source, 30 s at 300 Hz if nothing else is asked for.

    Args:
      folder: with the recordings and ``REFERENCE-v3.csv``, ``REFERENCE.csv`` (the name and the
        letter of each, without a line of column names) or ``labels.csv`` (path,label).

    Raises:
      MetaecgError: the labels are missing or malformed.
    """
    usual = Target(300.0, 30.0, (LEAD,))
    return Source("cinc2017", folder, list_records(folder), read, usual, STATEMENTS)


def list_records(folder: Path) -> list[Item]:
    """Lists the recordings that have a label.

    Raises:
      MetaecgError: as `open_folder`.
    """
    file = next((folder / name for name in _LABELS if (folder / name).is_file()), None)
    if file is None:
        raise MetaecgError(
            f"{folder}: none of {', '.join(_LABELS)} in it; give --input the folder of the "
            "challenge's training recordings"
        )
    items: dict[str, Item] = {}
    for line, name, label in _labels(file):
        if label not in CODES:
            raise MetaecgError(
                f"{file}: line {line}: label {label[:60]!r} is none of {', '.join(CODES)}"
            )
        if not name or name in items:
            raise MetaecgError(f"{file}: line {line}: {name[:60]!r} is no name, or there twice")
        items[name] = Item(name, name, name, (CODES[label],))
    return list(items.values())


def _labels(file: Path) -> Iterator[tuple[int, str, str]]:
    if file.name == "labels.csv":
        for line, row in read_csv(file, ("path", "label"), any_case=True):
            yield line, row["path"].strip(), row["label"].strip()
        return
    for line, text in enumerate(file.read_text("utf-8", "replace").splitlines(), 1):
        name, _, label = text.partition(",")
        yield line, name.strip(), label.strip()


def read(folder: Path, item: Item, target: Target) -> Iterator[Outcome]:
    """Reads one recording, whose only lead the header calls 'ECG', and brings it into the form.

    Raises:
      MetaecgError: it cannot be read, or has several leads.
    """
    source.check_path(item)
    path = folder / f"{item.path}.hea"
    header = read_header(path, folder)
    if len(header.channels) != 1:
        raise MetaecgError(f"{len(header.channels)} leads, where this archive has one")
    units = [header.channels[0].unit]
    recorded = Recorded(read_signal(path, header, folder), header.hz, units, [LEAD])
    notes = [note.text for note in remarks(header)]
    return source.records(recorded, source.check_codes(item.codes or ()), notes, target)
