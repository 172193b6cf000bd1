"""More tasks from few classes: statements that occur together, as classes of their own.

A record of left ventricular hypertrophy with ST depression is neither like hypertrophy alone nor
like ST depression alone; an episode may ask to distinguish the three.
"""

from itertools import combinations

import numpy as np

from metaecg.types import LibraryIndex


def pairs(index: LibraryIndex, least: int) -> list[tuple[int, int]]:
    """Pairs of classes that at least `least` patients carry together, and as many each alone.

    Classes of which one implies the other make no pair: together they are no third thing.

    Args:
      index: the records.
      least: patients, ≥ 1.
    """
    labels, patients = np.asarray(index.labels), np.asarray(index.patients)
    without = np.asarray(index.without)
    found = []
    for a, b in combinations(range(index.num_classes), 2):
        together = len(np.unique(patients[labels[:, a] & labels[:, b]]))
        if min(together, without[a, b], without[b, a]) >= least:
            found.append((a, b))
    return found


def with_pairs(
    index: LibraryIndex, classes: tuple[str, ...], least: int
) -> tuple[LibraryIndex, tuple[str, ...]]:
    """The index with a class more for each of its `pairs`, behind its own; and all their names.

    An episode never holds a pair beside one of its two classes, since every record of a slot lacks
    the classes of the others.

    Args:
      index: the records; their order and patients stay as they are.
      classes: names of its C classes.
      least: patients, as of `pairs`.

    Returns:
      An index of labels [R, C + pairs], and names such as `LVH & STD_`.
    """
    labels = np.asarray(index.labels)
    found = pairs(index, least)
    together = [labels[:, a] & labels[:, b] for a, b in found]
    names = tuple(f"{classes[a]} & {classes[b]}" for a, b in found)
    joined = np.column_stack([labels, *together])
    return LibraryIndex(joined, np.asarray(index.patients)), (*classes, *names)
