"""Fixed episodes to be tested on: drawn to use records evenly, read in other orders, or spoiled."""

import numpy as np

from metaecg import episodes as episodes_lib
from metaecg.errors import MetaecgError
from metaecg.types import Episode, LibraryIndex

LEAKS = ("records", "patients")
"""What public loaders let cross from support to query; see `redrawn`."""


def balanced(
    index: LibraryIndex, seed: int, count: int, *, way: int, shot: int, query: int
) -> Episode:
    """Episodes that take, of the records eligible for a slot, those least used so far.

    The rules of `episodes` hold. A part's records are asked as evenly as its classes' sizes allow,
    so that a test of so many episodes says as much as it can of other patients.

    Args:
      index: the part of the library to draw from.
      seed: of the draw; the first episodes of a longer draw are those of a shorter one.
      count: how many.
      way, shot, query: their size.

    Returns:
      Episodes with leaves [count, ...], checked against every rule.

    Raises:
      MetaecgError: no class set can fill an episode.
    """
    episodes_lib.check_feasible(index, way=way, shot=shot, query=query)
    need, rng = shot + query, np.random.default_rng(seed)
    labels: np.ndarray = np.asarray(index.labels)
    patients, without = np.asarray(index.patients), np.asarray(index.without)
    able = np.flatnonzero(np.diagonal(without) >= need)
    uses = np.zeros(len(labels), int)
    drawn: list[tuple[np.ndarray, ...]] = []
    idle = 0
    while len(drawn) < count:
        classes = rng.permutation(able)[:way]
        order = np.lexsort((rng.random(len(labels)), uses))
        enough = without[classes[:, None], classes].min() >= need
        rows = _least_used(labels[:, classes], patients, order, need) if enough else None
        idle = idle + 1 if rows is None else 0
        if idle > 100_000:
            raise MetaecgError(f"{way}-way episodes of {need} records a class are too rare to draw")
        if rows is None:
            continue
        uses[rows] += 1
        rows = rng.permuted(rows, axis=1)
        slots = np.repeat(np.arange(way)[:, None], need, axis=1)
        parts: list[np.ndarray] = []
        for columns in (slice(shot), slice(shot, None)):
            mixed = rng.permutation(way * (shot if columns.start is None else query))
            parts += [x[:, columns].reshape(-1)[mixed] for x in (rows, slots)]
        drawn.append((classes, *parts))
    episodes = Episode(*(np.array(leaf, np.int32) for leaf in zip(*drawn)))
    episodes_lib.verify(index, episodes)
    return episodes


def _least_used(
    carries: np.ndarray, patients: np.ndarray, order: np.ndarray, need: int
) -> np.ndarray | None:
    """Returns rows [way, need], the first in `order` that obey the rules; None if too few."""
    eligible = carries & (carries.sum(1) == 1)[:, None]
    rows = np.empty((carries.shape[1], need), int)
    taken = np.zeros(patients.max() + 1, bool)
    for slot in np.argsort(eligible.sum(0), kind="stable"):  # the scarcest class chooses first
        able = order[eligible[order, slot] & ~taken[patients[order]]]
        _, first = np.unique(patients[able], return_index=True)
        if len(first) < need:
            return None
        rows[slot] = able[np.sort(first)[:need]]
        taken[patients[rows[slot]]] = True
    return rows


def reordered(episodes: Episode, seed: int) -> Episode:
    """The same episodes with the support of each in another random order."""
    support = np.asarray(episodes.support)
    order = np.random.default_rng(seed).permuted(
        np.broadcast_to(np.arange(support.shape[-1]), support.shape), axis=-1
    )
    slots = np.take_along_axis(np.asarray(episodes.support_slots), order, -1)
    return episodes._replace(support=np.take_along_axis(support, order, -1), support_slots=slots)


def redrawn(index: LibraryIndex, episodes: Episode, leak: str | None, seed: int) -> Episode:
    """Episodes of the same classes with a fault of public loaders, to measure what it adds.

    Args:
      index: the part of the library that the episodes were drawn from.
      episodes: leaves [E, ...]; their classes and slots are kept.
      leak: 'records' draws each record of a slot with replacement, so that a query may stand in
        the support; 'patients' keeps records distinct, whoever they are of; None keeps every rule,
        so that nothing else differs.
      seed: of the draw.

    Raises:
      MetaecgError: there is no such leak.
    """
    if leak is not None and leak not in LEAKS:
        raise MetaecgError(f"leak must be one of {', '.join(LEAKS)}, not {leak!r}")
    rng = np.random.default_rng(seed)
    labels, patients = np.asarray(index.labels), np.asarray(index.patients)
    support, query = np.array(episodes.support), np.array(episodes.query)
    way = episodes.classes.shape[1]
    need = (support.shape[1] + query.shape[1]) // way
    for e, classes in enumerate(np.asarray(episodes.classes)):
        carries = labels[:, classes]
        if leak is None:
            drawn = None
            while drawn is None:  # who carries several classes may be taken too early
                drawn = _least_used(carries, patients, rng.permutation(len(labels)), need)
            rows = rng.permuted(drawn, axis=1)
        else:
            alone = carries.sum(1) == 1
            eligible = [np.flatnonzero(alone & carries[:, slot]) for slot in range(way)]
            rows = np.array([rng.choice(r, need, replace=leak == "records") for r in eligible])
        for slot in range(way):
            places = np.flatnonzero(episodes.support_slots[e] == slot)
            asked = np.flatnonzero(episodes.query_slots[e] == slot)
            support[e, places], query[e, asked] = np.split(rows[slot], [len(places)])
    return episodes._replace(support=support, query=query)
