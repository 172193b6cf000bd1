"""From a few known cases to a score for every recording of an archive.

Regularised least squares in the archive's space. A sought recording has the value 1, and one that
was read and is not sought has `NOT_SOUGHT`. The archive as a whole, next to nothing of which is
sought, has the value 0, which is where its mean was put. Unlabelled recordings may be taken for
negatives without changing the ranking, for the probability of being labelled is that of being
sought times a constant (Elkan & Noto 2008).
"""

import numpy as np

from metaecg.diagnose.model import Model
from metaecg.search.archive import Archive
from metaecg.search.recordings import embed

NOISE = 10.0
"""Of the regression, a recording's mean squared length being 1; chosen on validation statements."""

NOT_SOUGHT = -0.3
"""The value of a recording that was read and is not sought; chosen on the same."""

UNUSUAL = 0.3
"""What a recording gains where it is unusual; chosen on the same. See `scores`."""


def rank(
    model: Model, archive: Archive, positives: np.ndarray, negatives: np.ndarray | None = None
) -> np.ndarray:
    """Scores all recordings of an archive by their likeness to some examples.

    Args:
      model: what embedded the archive.
      archive: its embeddings; see `cache.archive` and `Archive.of`.
      positives: float32 [P, samples, leads] in mV, of the model's form: what is sought.
      negatives: the same of what it must not be mistaken for; None: nothing.

    Returns:
      float32 [N]; the higher the score, the likelier the recording is one of those sought.
    """
    signals = positives if negatives is None else np.concatenate([positives, negatives])
    placed = archive.place(embed(model, np.asarray(signals, np.float32)))
    sought = np.arange(len(signals)) < len(positives)
    return scores(archive.along(direction(placed, sought)), archive.lengths)


def scores(along: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Products with a direction, and what is likely before any example: what is rare is unusual.

    Args:
      along: float32 [N] or [N, n], products of all recordings with one direction or n.
      lengths: float32 [N], `Archive.lengths`.

    Returns:
      float32, of the shape of `along`.
    """
    return along + gains(along, lengths, lengths)


def gains(along: np.ndarray, lengths: np.ndarray, of: np.ndarray) -> np.ndarray:
    """What recordings gain by being unusual, in the archive of `scores`.

    It is `UNUSUAL` of the products' spread for each spread by which the length is above the mean.

    Args:
      along, lengths: as of `scores`.
      of: float [M], lengths of the recordings that gain.

    Returns:
      float [M] or [M, n].
    """
    unusual = (of - lengths.mean()) / max(float(lengths.std()), 1e-6)
    return UNUSUAL * np.multiply.outer(unusual, along.std(axis=0))


def left_out_places(
    placed: np.ndarray,
    others: np.ndarray,
    along: np.ndarray,
    lengths: np.ndarray,
    counted: np.ndarray,
) -> np.ndarray:
    """The place of each sought example in the ranking by the others, in (0, 1]: float [n].

    Args:
      placed: float32 [n, D], the examples in the archive's space.
      others: float [D, n], of `without_each`.
      along: float32 [N, n], products of all recordings with these directions.
      lengths: float32 [N], `Archive.lengths`.
      counted: bool [N], the recordings that are ranked.
    """
    gained = np.diagonal(gains(along, lengths, np.linalg.norm(placed, axis=1)))
    own = np.einsum("pd,dp->p", placed, others) + gained
    above = (scores(along, lengths)[counted] > own).sum(0)
    return (above + 1) / (counted.sum() + 1)


def weights(sought: np.ndarray) -> np.ndarray:
    """How much each example counts: all that is not sought at most as much as all that is.

    Without this, a hundred recordings that were read in vain would outweigh the few cases.
    """
    others = len(sought) - sought.sum()
    return np.where(sought, 1.0, min(1.0, sought.sum() / max(1, others)))


def direction(placed: np.ndarray, sought: np.ndarray) -> np.ndarray:
    """The vector [D] along which the examples have their values.

    Args:
      placed: float32 [S, D], the examples in the archive's space.
      sought: bool [S], which of them are sought.
    """
    values, weight = np.where(sought, 1.0, NOT_SOUGHT), weights(sought)
    count, size = placed.shape
    if count <= size:
        matrix = placed @ placed.T + np.diag(NOISE / weight)
        return placed.T @ np.linalg.solve(matrix, values)
    weighted = placed * weight[:, None]
    return np.linalg.solve(weighted.T @ placed + NOISE * np.eye(size), weighted.T @ values)


def without_each(placed: np.ndarray) -> np.ndarray:
    """The direction of the others for each of P sought examples [P, D]: float [D, P].

    One example has no others: it has no column.
    """
    count = len(placed) if len(placed) > 1 else 0
    every = np.ones(max(count - 1, 0), bool)
    columns = [direction(np.delete(placed, i, axis=0), every) for i in range(count)]
    return np.stack(columns, axis=1) if columns else np.zeros((placed.shape[1], 0))
