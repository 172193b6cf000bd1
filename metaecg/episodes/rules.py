"""Episodes checked on the host, by the rules of `sampling`, and what they visit of a library."""

import numpy as np

from metaecg.errors import MetaecgError
from metaecg.types import Episode, LibraryIndex


def verify(index: LibraryIndex, episodes: Episode) -> None:
    """Asserts on the host that drawn episodes (any leading axes) obey the rules.

    Raises:
      ValueError: names the first episode that breaks a rule, and the rule.
    """
    labels, patients = np.asarray(index.labels), np.asarray(index.patients)
    way = episodes.classes.shape[-1]
    flat = [np.asarray(x).reshape(-1, x.shape[-1]) for x in episodes]
    classes, support, support_slots, query, query_slots = flat
    rows = np.concatenate([support, query], axis=1)
    slots = np.concatenate([support_slots, query_slots], axis=1)

    def fail(broken: np.ndarray, rule: str) -> None:
        if broken.any():
            raise MetaecgError(f"episode {int(np.flatnonzero(broken)[0])} breaks a rule: {rule}")

    counts = [(s[..., None] == np.arange(way)).sum(1) for s in (support_slots, query_slots)]
    uneven = np.any([(c != c[:, :1]).any(1) for c in counts], axis=0)
    fail((rows < 0).any(1) | uneven, "every slot is filled, as often as the others")
    fail(_repeats(classes), "classes are distinct")
    carried = np.take_along_axis(labels[rows], classes[:, None, :], axis=2)
    fail((carried != (slots[..., None] == np.arange(way))).any((1, 2)), "own class and no other's")
    fail(_repeats(rows), "no record twice")
    fail(_repeats(patients[rows]), "no patient twice")


def _repeats(values: np.ndarray) -> np.ndarray:
    ordered = np.sort(values, axis=1)
    return (ordered[:, 1:] == ordered[:, :-1]).any(1)


def coverage(index: LibraryIndex, rows: np.ndarray) -> np.ndarray:
    """Returns float [C]: the share of each class's records among `rows` (any shape; [0012])."""
    labels = np.asarray(index.labels)
    seen = np.zeros(len(labels), bool)
    seen[np.asarray(rows).reshape(-1)] = True
    return (labels & seen[:, None]).sum(0) / np.maximum(labels.sum(0), 1)
