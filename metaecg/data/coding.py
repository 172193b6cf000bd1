"""Patients as dense numbers and codes as columns: how a library keeps them in arrays."""

from collections.abc import Iterable

import numpy as np

from metaecg.errors import LibraryError


def dense(patients: np.ndarray) -> np.ndarray:
    """Patients renumbered 0, 1, … as they first appear: int32 [R]."""
    _, first, inverse = np.unique(patients, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int32)


def multi_hot(codes: Iterable[str], vocabulary: Iterable[str]) -> np.ndarray:
    """Codes joined by ';', one string a record, as bool [R, C]."""
    column = {code: c for c, code in enumerate(dict.fromkeys(vocabulary))}
    carried_codes = [joined.split(";") if joined else [] for joined in codes]
    rows, columns = list[int](), list[int]()
    for row, carried in enumerate(carried_codes):
        for code in carried:
            if code not in column:
                raise LibraryError(f"record {row} has the code {code!r}, which is unknown")
            rows.append(row)
            columns.append(column[code])
    labels = np.zeros((len(carried_codes), len(column)), bool)
    labels[rows, columns] = True
    return labels
