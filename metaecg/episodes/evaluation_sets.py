"""Fixed episodes to be tested on: drawn to use records evenly, read in other orders, or spoiled."""

from collections.abc import Sequence

import numpy as np

from metaecg import episodes as episodes_lib
from metaecg.episodes.feasibility import assign
from metaecg.errors import MetaecgError
from metaecg.types import Episode, LibraryIndex

LEAKS = ("records", "patients")
"""What public loaders let cross from support to query; see `redrawn`."""


def balanced(
    index: LibraryIndex,
    seed: int,
    count: int,
    *,
    way: int,
    shot: int,
    query: int,
    names: Sequence[str] | None = None,
) -> Episode:
    """Episodes that take, of the records eligible for a slot, those least used so far.

    The rules of `sampling` hold, and every class set that can be filled is equally likely. The
    records are used as evenly as the sizes of their classes allow, so that a given number of
    episodes says as much as it can about other patients.

    Args:
      index: the records to draw from.
      seed: the seed of the draw; the first episodes of a longer draw are those of a shorter one.
      count: the number of episodes.
      way, shot, query: the size of an episode, as of `sample_episode`.
      names: of the classes, for the message; their columns in the index if not given.

    Returns:
      Episodes with leaves [count, ...], checked against every rule.

    Raises:
      MetaecgError: no class set can fill an episode.
    """
    episodes_lib.check_feasible(index, way=way, shot=shot, query=query, names=names)
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
    """Returns rows [way, need], early ones in `order`, that obey the rules; None if none do."""
    eligible = carries & (carries.sum(1) == 1)[:, None]
    rows = np.empty((carries.shape[1], need), int)
    taken = np.zeros(patients.max() + 1, bool)
    for slot in np.argsort(eligible.sum(0), kind="stable"):  # the scarcest class chooses first
        able = order[eligible[order, slot] & ~taken[patients[order]]]
        _, first = np.unique(patients[able], return_index=True)
        if len(first) < need:
            return _shared_out(eligible, patients, order, need)
        rows[slot] = able[np.sort(first)[:need]]
        taken[patients[rows[slot]]] = True
    return rows


def _shared_out(
    eligible: np.ndarray, patients: np.ndarray, order: np.ndarray, need: int
) -> np.ndarray | None:
    """`_least_used` where a class would take the patients that another one cannot do without."""
    held = assign([np.unique(patients[column]) for column in eligible.T], need)
    if held is None:
        return None
    rows = [
        next(row for row in order if eligible[row, slot] and patients[row] == patient)
        for slot, chosen in enumerate(held)
        for patient in chosen
    ]
    return np.array(rows).reshape(len(held), need)


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
      index: the records that the episodes were drawn from.
      episodes: leaves [E, ...]; their classes and slots are kept.
      leak: 'records' draws each record of a slot with replacement, so that a query may be in the
        support as well; 'patients' keeps the records distinct, whoever they are of; None keeps
        every rule, so that nothing else differs.
      seed: the seed of the draw.

    Raises:
      MetaecgError: there is no such leak, or the episodes were not drawn from this index.
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
            drawn = _least_used(carries, patients, rng.permutation(len(labels)), need)
            if drawn is None:
                raise MetaecgError(f"the classes of episode {e} cannot be filled from this index")
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
