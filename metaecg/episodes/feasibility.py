"""Which settings of an episode a library can fill, decided on the host."""

import bisect
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from metaecg.errors import MetaecgError
from metaecg.types import LibraryIndex

_ALL = 1_000_000  # class sets at most are looked at to say what every one of them can fill


class Shots(NamedTuple):
    """The largest shots of a way and a number of queries.

    Attributes:
      every: that every class set can fill, 0 if there is none; None where there are too many class
        sets to know.
      some: that some class set can fill, 0 if there is none.
    """

    every: int | None
    some: int


def check_feasible(
    index: LibraryIndex, *, way: int, shot: int, query: int, names: Sequence[str] | None = None
) -> None:
    """Raises unless some class set has shot + query eligible patients for every slot.

    Args:
      index: the part of a library to draw from.
      way, shot, query: of the episodes.
      names: of the classes, for the message; their columns in the index if not given.

    Raises:
      ValueError: names the class that is short and the largest shot.
    """
    if way < 2 or shot < 1 or query < 1:
        raise MetaecgError(
            f"way ≥ 2, shot ≥ 1, query ≥ 1 needed; got {way}-way, {shot}-shot, {query} queries"
        )
    classes = index.num_classes
    if way > classes:
        raise MetaecgError(f"{way}-way episodes need {way} classes; the index has {classes}")
    need = shot + query
    if next(_fillable_sets(index, way, need), None) is not None:
        return
    best, short = 0, int(np.argsort(-np.diagonal(index.without), kind="stable")[way - 1])
    for fewer in range(need - 1, 0, -1):
        chosen = next(_fillable_sets(index, way, fewer), None)
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
        f"no {way} classes have {shot} + {query} eligible patients each: at best class "
        f"{names[short] if names else short} has {best}; {remedy}"
    )


def eligible_patients(index: LibraryIndex, classes: np.ndarray) -> np.ndarray:
    """Returns int [way]: distinct patients eligible for each slot of a class set (rule 2)."""
    return np.array([len(patients) for patients in _eligible(index, classes)])


def _eligible(index: LibraryIndex, classes: np.ndarray) -> list[np.ndarray]:
    """Returns, for each slot of a class set, the patients that have a record eligible for it."""
    carries, patients = np.asarray(index.labels)[:, classes], np.asarray(index.patients)
    alone = carries.sum(1) == 1
    return [np.unique(patients[alone & column]) for column in carries.T]


def largest_shots(index: LibraryIndex, *, way: int, query: int) -> Shots:
    """The largest shot that every class set can fill, and the largest that some class set can.

    Nothing is guessed: class sets are ruled in by counts of patients, or else filled.

    Args:
      index: the records.
      way: the number of classes of a set.
      query: the number of records to diagnose of each class.
    """
    if not 2 <= way <= index.num_classes:
        return Shots(0, 0)
    patients = np.sort(np.diagonal(index.without))[::-1]

    def some(shot: int) -> bool:
        return next(_fillable_sets(index, way, shot + query), None) is not None

    def every(shot: int) -> bool:
        return _all_can_fill(index, way, shot + query)

    if math.comb(index.num_classes, way) > _ALL:
        return Shots(None, _largest(some, int(patients[way - 1]) - query))
    return Shots(
        _largest(every, int(patients[-1]) - query), _largest(some, int(patients[way - 1]) - query)
    )


def _largest(feasible: Callable[[int], bool], most: int) -> int:
    """The largest feasible shot of 0 … most, by halving: below a feasible shot all are feasible."""
    return bisect.bisect_left(range(1, max(0, most) + 1), True, key=lambda shot: not feasible(shot))


def _all_can_fill(index: LibraryIndex, way: int, need: int) -> bool:
    """Whether every class set has `need` patients for each slot."""
    without = np.asarray(index.without, np.int64)
    # Who can be eligible for a slot at least: a patient fails it only for one of the other classes.
    lacking = np.diagonal(without)[:, None] - without
    for size in range(1, way + 1):  # a set that cannot be filled spoils all that contain it
        sets = np.array(list(itertools.combinations(range(index.num_classes), size)))
        others = lacking[sets[:, :, None], sets[:, None, :]].sum(axis=2)
        least = np.sort(np.diagonal(without)[sets] - others, axis=1)
        # The scarcest slot first, each slot finds `need` patients beside those that are taken.
        certain = (least >= need * np.arange(1, size + 1)).all(axis=1)
        for chosen in sets[~certain]:
            if not _can_fill(_eligible(index, chosen), need):
                return False
    return True


def _fillable_sets(index: LibraryIndex, way: int, need: int) -> Iterator[np.ndarray]:
    """Yields the class sets each of whose slots can have `need` patients, in no special order.

    A set is grown class by class, as long as it can be filled: more classes only leave fewer
    eligible patients.
    """
    without = np.asarray(index.without)
    able = np.random.default_rng(0).permutation(np.flatnonzero(np.diagonal(without) >= need))
    fits = np.minimum(without, without.T) >= need

    def grow(chosen: np.ndarray, more: np.ndarray) -> Iterator[np.ndarray]:
        if len(chosen) == way:
            yield np.sort(chosen)
            return
        for place in range(len(more) - (way - len(chosen)) + 1):
            grown = np.append(chosen, more[place])
            rest = more[place + 1 :]
            if len(grown) == 1 or _can_fill(_eligible(index, grown), need):
                yield from grow(grown, rest[fits[more[place], rest]])

    yield from grow(able[:0], able)


def _can_fill(eligible: list[np.ndarray], need: int) -> bool:
    """Whether every slot can have `need` of its eligible patients, and no patient two slots."""
    scarcest_first = sorted(map(len, eligible))
    easily = all(size >= need * place for place, size in enumerate(scarcest_first, 1))
    return easily or assign(eligible, need) is not None


def assign(eligible: list[np.ndarray], need: int) -> list[list[int]] | None:
    """Returns `need` patients of those eligible for each slot, no patient twice; None if none fit.

    A patient may be eligible for several slots, by different records: a slot without a free patient
    takes one of another slot, along the shortest path to a slot that has one.
    """
    able = [set(patients.tolist()) for patients in eligible]
    free, held = [set(patients) for patients in able], [set[int]() for _ in able]
    for slot in np.repeat(range(len(able)), need).tolist():
        came: dict[int, tuple[int, int] | None] = {slot: None}
        queue = [slot]
        for here in queue:
            if free[here]:
                break
            for other in range(len(able)):
                if other not in came and (moving := able[here] & held[other]):
                    came[other] = (here, next(iter(moving)))
                    queue.append(other)
        else:
            return None
        patient = next(iter(free[here]))
        held[here].add(patient)
        for patients in free:
            patients.discard(patient)
        while (step := came[here]) is not None:
            before, moved = step
            held[here].remove(moved)
            held[before].add(moved)
            here = before
    return [sorted(patients) for patients in held]
