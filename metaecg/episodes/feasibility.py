"""Which settings of an episode a library can fill, decided on the host."""

import itertools
import math
from collections.abc import Iterable

import numpy as np

from metaecg.errors import MetaecgError
from metaecg.types import LibraryIndex

_SOME = 2_000  # class sets are looked at; all of them where they are no more


def check_feasible(index: LibraryIndex, *, way: int, shot: int, query: int) -> None:
    """Raises unless some class set has shot + query eligible patients for every slot.

    Raises:
      ValueError: names the class that is short (its column in the index) and the largest shot.
    """
    if way < 2 or shot < 1 or query < 1:
        raise MetaecgError(
            f"way ≥ 2, shot ≥ 1, query ≥ 1 needed; got {way}-way, {shot}-shot, {query} queries"
        )
    classes = index.num_classes
    if way > classes:
        raise MetaecgError(f"{way}-way episodes need {way} classes; the index has {classes}")
    need = shot + query
    if _feasible_set(index, way, need) is not None:
        return
    best, short = 0, int(np.argsort(-np.diagonal(index.without), kind="stable")[way - 1])
    for fewer in range(need - 1, 0, -1):
        chosen = _feasible_set(index, way, fewer)
        if chosen is not None:
            best, short = fewer, int(chosen[eligible_patients(index, chosen).argmin()])
            break
    largest = best - query
    remedy = (
        f"the largest feasible shot is {largest}"
        if largest > 0
        else "no shot is feasible: lower `way` or `query`"
    )
    raise MetaecgError(
        f"no {way} classes have {shot} + {query} eligible patients each: at best class {short} has "
        f"{best}; {remedy}"
    )


def eligible_patients(index: LibraryIndex, classes: np.ndarray) -> np.ndarray:
    """Returns int [way]: distinct patients eligible for each slot of a class set (rule 2)."""
    return np.array([len(patients) for patients in _eligible(index, classes)])


def _eligible(index: LibraryIndex, classes: np.ndarray) -> list[np.ndarray]:
    """Returns, for each slot of a class set, the patients that have a record eligible for it."""
    carries, patients = np.asarray(index.labels)[:, classes], np.asarray(index.patients)
    alone = carries.sum(1) == 1
    return [np.unique(patients[alone & column]) for column in carries.T]


def _feasible_set(index: LibraryIndex, way: int, need: int) -> np.ndarray | None:
    """Returns classes each of whose slots can have `need` patients, or None where it finds none.

    Sets of classes that have the patients by themselves are tried: every one of them, or some where
    they are many.
    """
    without = np.asarray(index.without)
    able = np.flatnonzero(np.diagonal(without) >= need)
    if len(able) < way:
        return None
    if math.comb(len(able), way) <= _SOME:
        sets: Iterable[np.ndarray] = map(np.array, itertools.combinations(able, way))
    else:
        rng = np.random.default_rng(0)
        sets = (np.sort(rng.choice(able, way, replace=False)) for _ in range(_SOME))
    for chosen in sets:
        pairs = without[chosen[:, None], chosen[None, :]]
        if pairs.min() >= need and _can_fill(_eligible(index, chosen), need):
            return chosen
    return None


def _can_fill(eligible: list[np.ndarray], need: int) -> bool:
    """Whether every slot can have `need` of its eligible patients, and no patient two slots.

    A patient may be eligible for several slots, by different records: places are given by
    augmenting paths (Kuhn 1955). A slot with `way * need` patients can always be filled after the
    others, whoever is taken, so that no more of its patients are looked at.
    """
    enough = [patients[: len(eligible) * need].tolist() for patients in eligible]
    slot_of: dict[int, int] = {}

    def place(slot: int, visited: set[int]) -> bool:
        for patient in enough[slot]:
            if patient not in visited:
                visited.add(patient)
                if patient not in slot_of or place(slot_of[patient], visited):
                    slot_of[patient] = slot
                    return True
        return False

    return all(place(slot, set()) for slot in range(len(enough)) for _ in range(need))
