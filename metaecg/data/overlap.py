"""Whether the records to be measured are of patients or recordings that a model was trained on.

Patients are numbered within one library, and their numbers mean nothing in another one. Between
libraries recordings alone can be compared, by the hash of their signals: the same recording,
prepared in the same form, is found; another recording of the same patient is not. A check that
cannot be made is said to be none.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from metaecg.data.library import Library

DIGITS = 16
"""Of a recording's sha256; a million recordings share none by chance (3e-8)."""


class Seen(NamedTuple):
    """What a model was trained on, of JSON types: to be kept with the model.

    Attributes:
      library: the fingerprint of the library.
      patients: the numbers of its patients, sorted.
      recordings: the first `DIGITS` digits of each recording's sha256, sorted.
    """

    library: str
    patients: tuple[int, ...]
    recordings: tuple[str, ...]


class Overlap(NamedTuple):
    """What a comparison found.

    Attributes:
      patients: how many patients are shared; None where they cannot be compared.
      recordings: how many recordings are shared.
    """

    patients: int | None
    recordings: int

    @property
    def remark(self) -> str:
        """One sentence on the check that could not be made; '' where all was compared."""
        if self.patients is not None:
            return ""
        return (
            "Whether patients are shared could not be checked, for the model was trained on "
            "another library; recordings that are the same by the hash of their signals: "
            f"{self.recordings}."
        )


def seen(library: Library, rows: Iterable[int]) -> Seen:
    """What is to be remembered of some records of a library."""
    rows = np.asarray(rows, np.int64)
    patients = np.unique(library.patients[rows]).tolist()
    return Seen(
        library.fingerprint,
        tuple(patients),
        tuple(sorted({library.recordings[row][:DIGITS] for row in rows})),
    )


def compare(before: Iterable[Seen], library: Library, rows: Iterable[int]) -> Overlap:
    """Compares records to be measured with all that a model was trained on.

    Args:
      before: what the model and its ancestors were trained on.
      library: the library of the records to be measured.
      rows: their rows.

    Returns:
      What is shared. Patients are counted where every one of `before` is of this library.
    """
    before, now = list(before), seen(library, rows)
    mine = {patient for one in before if one.library == now.library for patient in one.patients}
    heard = {recording for one in before for recording in one.recordings}
    same = all(one.library == now.library for one in before)
    patients = len(mine & set(now.patients))
    return Overlap(patients if same or patients else None, len(heard & set(now.recordings)))


def of_patients(before: Seen, library: Library, patients: np.ndarray) -> Overlap:
    """Compares all recordings of some patients; in the same library the patients say enough.

    Args:
      before: what a model was trained on.
      library: the library of the patients.
      patients: their numbers.
    """
    if before.library == library.fingerprint:
        return Overlap(len(np.intersect1d(before.patients, patients)), 0)
    return compare([before], library, np.flatnonzero(np.isin(library.patients, patients)))
