"""A question to an archive: examples as files or as its own recordings, and the answer to it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from metaecg.diagnose.model import Model
from metaecg.diagnose.remarks import SAME, outlines
from metaecg.diagnose.support import Read
from metaecg.errors import MetaecgError
from metaecg.search import ranking
from metaecg.search.archive import Archive, unit
from metaecg.search.probability import probabilities
from metaecg.search.recordings import Recordings, embed_windows

_LEFT_OUT = 20  # examples that are left out in turn, at most
_LOOKED_AT = 20  # nearest recordings in which a copy of an example is looked for


class Example(NamedTuple):
    """A recording that is known to be what is sought, or not to be.

    Attributes:
      name: of its file, or its id in the archive.
      sought: whether it is what is sought.
      signal: float32 [samples, leads] in mV, of the model's form; of a longer recording, its first
        window.
      row: in the archive; -1: it is a file.
      notes: what a person should know of it.
      later: the windows that follow, each like `signal`.
    """

    name: str
    sought: bool
    signal: np.ndarray
    row: int = -1
    notes: tuple[str, ...] = ()
    later: tuple[np.ndarray, ...] = ()

    @property
    def windows(self) -> np.ndarray:
        """All windows: float32 [windows, samples, leads] in mV."""
        return np.stack([self.signal, *self.later])


class Question(NamedTuple):
    """Examples in the space of an archive.

    Attributes:
      examples: those given.
      placed: float32 [S, D], where they are.
      known: int [K], rows of the archive that are an example or a copy of one.
      known_as: int [K], the example that each is.
      copies: bool [K], whether it is a copy of a file, or of another row.
    """

    examples: tuple[Example, ...]
    placed: np.ndarray
    known: np.ndarray
    known_as: np.ndarray
    copies: np.ndarray

    @property
    def sought(self) -> np.ndarray:
        """bool [S], which examples are sought."""
        return np.array([example.sought for example in self.examples])


class Found(NamedTuple):
    """The answer.

    Attributes:
      scores: float32 [N]; see `ranking`.
      probabilities: float32 [N], that each is sought; see `probability`.
      nearest: int [N], the sought example that each is most like.
      order: int [N − K], the recordings that are no example nor a copy of one, likeliest first.
    """

    scores: np.ndarray
    probabilities: np.ndarray
    nearest: np.ndarray
    order: np.ndarray


def from_files(files: Sequence[tuple[Read, bool]]) -> Iterator[Example]:
    """Files that were read as examples, each with whether it is sought."""
    for read, sought in files:
        yield Example(read.name, sought, read.signal, notes=read.serious, later=read.later)


def from_ids(ids: Sequence[str], sought: bool, recordings: Recordings) -> Iterator[Example]:
    """Recordings of the archive as examples.

    Raises:
      MetaecgError: an id is none of the archive's.
    """
    row_of = {id: row for row, id in enumerate(recordings.ids)}
    for id in ids:
        if id not in row_of:
            raise MetaecgError(
                f"record {id}: no such id in the archive; its ids are like {recordings.ids[0]}"
            )
        yield Example(id, sought, recordings.signals([row_of[id]])[0], row_of[id])


def ask(
    model: Model, archive: Archive, examples: Sequence[Example], recordings: Recordings
) -> Question:
    """Places examples in an archive's space, and looks for them and for copies of them in it.

    Args:
      model: what embedded the archive.
      archive: its embeddings.
      examples: at least one of them sought.
      recordings: those of the archive; by their signals a copy is distinguished from a recording
        that is alike.

    Raises:
      MetaecgError: nothing is sought, or a recording is given as both.
    """
    if not any(example.sought for example in examples):
        raise MetaecgError(
            "there is no example of what is sought; give at least one, better five of them"
        )
    placed = _placed(model, archive, examples)
    outlined = outlines(np.stack([example.signal for example in examples]))
    alike = archive.along(unit(placed).T)
    known: dict[int, tuple[int, bool]] = {}
    for s, example in enumerate(examples):
        near = np.argpartition(-alike[:, s], min(_LOOKED_AT, len(alike) - 1))[:_LOOKED_AT]
        same = outlines(recordings.signals(near.tolist())) @ outlined[s] > SAME
        for row in {example.row, *near[same].tolist()} - {-1}:
            other = known.get(row)
            if other and examples[other[0]].sought != example.sought:
                raise MetaecgError(
                    f"{examples[other[0]].name} and {example.name} are the same recording, given "
                    "once as what is sought and once as what is not; correct one"
                )
            if other is None or row == example.row:
                known[row] = (s, row != example.row)
    rows = np.array(sorted(known), int)
    return Question(
        tuple(examples),
        placed,
        rows,
        np.array([known[row][0] for row in rows], int),
        np.array([known[row][1] for row in rows], bool),
    )


def left_out_places(archive: Archive, question: Question) -> np.ndarray:
    """The place of each sought example in the ranking by the others, in (0, 1]: float [P]."""
    of = question.placed[question.sought][:_LEFT_OUT]
    others = ranking.without_each(of)
    return _places(archive, question, others, archive.along(others))


def _places(
    archive: Archive, question: Question, others: np.ndarray, along: np.ndarray
) -> np.ndarray:
    of = question.placed[question.sought][: others.shape[1]]
    free = np.isin(np.arange(len(along)), question.known, invert=True)
    return ranking.left_out_places(of, others, along, archive.lengths, free)


def _placed(model: Model, archive: Archive, examples: Sequence[Example]) -> np.ndarray:
    """Recordings of the archive are where they are; files are embedded."""
    rows = np.array([example.row for example in examples])
    placed = np.empty((len(examples), len(archive.mean)), np.float32)
    placed[rows >= 0] = archive.placed_rows(rows[rows >= 0])
    files = [example for example in examples if example.row < 0]
    if files:
        embedded = embed_windows(model, [example.windows for example in files])
        if not np.isfinite(embedded).all():
            bad = files[int((~np.isfinite(embedded)).any(1).argmax())].name
            raise MetaecgError(f"{bad}: the model's embedding of it is not finite")
        placed[rows < 0] = archive.place(embedded)
    return placed


def answer(archive: Archive, question: Question) -> Found:
    """Ranks the whole archive; one pass over its embeddings, block by block."""
    placed, sought = question.placed, question.sought
    of = placed[sought]
    first = ranking.direction(placed, sought)[:, None]
    others = ranking.without_each(of[:_LEFT_OUT])
    products = archive.along(np.concatenate([first, unit(of).T, others], axis=1))
    scores, likeness, without = np.split(products, [1, 1 + len(of)], axis=1)
    scores = ranking.scores(scores[:, 0], archive.lengths)
    order = np.argsort(-scores, kind="stable")
    order = order[np.isin(order, question.known, invert=True)]
    chances = np.ones(len(scores))
    left_out = _places(archive, question, others, without)
    chances[order] = probabilities(len(order), left_out)
    chances[question.known] = sought[question.known_as]
    nearest = np.flatnonzero(sought)[likeness.argmax(1)]
    return Found(scores, chances.astype(np.float32), nearest, order)
