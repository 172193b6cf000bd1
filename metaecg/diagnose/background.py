"""Whether a recording is like any of the candidates at all, or rather like ECGs in general.

Probabilities of candidates add up to 1 even where the diagnosis is none of them. What tells is how
much better a candidate's examples explain a recording than the background does, which are the
recordings that the model was trained on. In a space where the background varies by 1 in all
directions, a share `SHARED` of this variance is between diagnoses and the rest within each: then
both likelihoods are Gaussian and known in closed form, for any number of examples (probabilistic
linear discriminant analysis; Prince & Elder 2007, with the same share in all directions).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from metaecg.diagnose import arrays

DIRECTIONS = 256
"""Principal directions of the background that are kept, at most; 512 gain .005 of AUROC."""

SHRINKAGE = 2.0
"""Of the background's variances, in units of their mean; chosen on validation statements."""

SHARED = 0.2
"""Share of the variance that is between diagnoses; chosen on the same."""

FALSE_ALARMS = 0.1
"""Share of recordings with a candidate's diagnosis that are warned of, in validation."""


class Background(NamedTuple):
    """The space in which the background varies by 1.

    Attributes:
      directions: float32 [D, K], whole numbers from −127 to 127, as which files hold them.
      scale: float32 [K], by which products with the directions are multiplied.
      offset: float32 [K], what is then subtracted, so that the background's mean is 0.
    """

    directions: np.ndarray
    scale: np.ndarray
    offset: np.ndarray

    @classmethod
    def of(cls, embeddings: np.ndarray) -> "Background":
        """The space of some recordings' embeddings, float [T, D]."""
        centred = np.asarray(embeddings, np.float64) - embeddings.mean(0, dtype=np.float64)
        lengths, vectors = np.linalg.eigh(centred @ centred.T)  # faster than its decomposition
        kept = slice(-min(DIRECTIONS, *centred.shape), None)
        variances = np.maximum(lengths[kept], 1e-12) / len(centred)
        principal = centred.T @ vectors[:, kept] / np.sqrt(variances * len(centred))
        whitened = principal / np.sqrt(variances + SHRINKAGE * variances.mean())
        steps = np.abs(whitened).max(0) / 127
        directions = np.rint(whitened / steps)
        # One factor for all directions: their mean variance is 1, shrunk ones keep having less.
        seen = centred @ directions * steps
        scale = steps * np.sqrt(seen.shape[1] / (seen**2).sum(1).mean())
        offset = embeddings.mean(0, dtype=np.float64) @ directions * scale
        return cls(*(part.astype(np.float32) for part in (directions, scale, offset)))

    def place(self, embeddings: np.ndarray) -> np.ndarray:
        """Embeddings [..., D] in this space: float32 [..., K]."""
        return embeddings @ self.directions * self.scale - self.offset

    def packed(self) -> "Background":
        """The same with directions as int8, a quarter of the bytes, for files."""
        return self._replace(directions=self.directions.astype(np.int8))


def to_members(background: Background | None) -> dict[str, bytes]:
    """The files that a background is in an artefact, by their names."""
    fields = {} if background is None else background.packed()._asdict()
    return {f"background/{name}.npy": arrays.to_bytes(array) for name, array in fields.items()}


def of_members(members: Mapping[str, bytes]) -> Background | None:
    """What `to_members` wrote; None where an artefact has no background."""
    names = [f"background/{name}.npy" for name in Background._fields]
    if names[0] not in members:
        return None
    return Background(*(arrays.of_bytes(members[name]).astype(np.float32) for name in names))


def unlikeness(queries: np.ndarray, examples: np.ndarray, slots: np.ndarray) -> np.ndarray:
    """How much better the background explains recordings than any label's examples do.

    Args:
      queries: float32 [Q, K], of `Background.place`.
      examples: float32 [S, K], the same.
      slots: int [S], the label of each example; every label has one.

    Returns:
      float [Q], the least logarithm of a ratio of likelihoods; the higher, the more unlike all.
    """
    one_hot = np.eye(int(slots.max()) + 1, dtype=np.float32)[slots]
    counts = one_hot.sum(0)
    known = counts * SHARED / (counts * SHARED + 1 - SHARED)
    means = known[:, None] * (one_hot.T @ examples) / counts[:, None]
    spread = 1 - SHARED * known  # the variance of a further recording of the label
    square = (queries**2).sum(1)[:, None]
    away = square - 2 * queries @ means.T + (means**2).sum(1)
    ratio = (away / spread - square + queries.shape[1] * np.log(spread)) / 2
    return ratio.min(1)
