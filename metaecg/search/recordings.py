"""The recordings of an archive as a search sees them: of a library, or of a folder of files."""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metaecg.data.library import Library
from metaecg.data.readers import recognise
from metaecg.data.readers.given_by_user import Given
from metaecg.data.readers.lead_names import STANDARD_LEADS
from metaecg.diagnose import few_leads, support
from metaecg.diagnose.model import Model
from metaecg.errors import MetaecgError
from metaecg.search.archive import Archive, evenly, principal

BATCH = 64
"""Recordings embedded at a time, as those of a library are, so that one program serves all."""


LOOKED_AT = 100
"""Recordings of an archive, evenly, whose leads are looked at."""


class Recordings(NamedTuple):
    """What is known of N recordings beside their embeddings.

    Attributes:
      ids: N distinct names.
      sources: N paths of files; '' where there is none.
      notes: N remarks on how each was read; '' where there is none.
      patients: int [N], equal where two are known to be of one patient; -1 where nothing is known.
      signals: rows -> float32 [n, samples, leads] in mV, as the model reads them.
    """

    ids: Sequence[str]
    sources: Sequence[str]
    notes: Sequence[str]
    patients: np.ndarray
    signals: Callable[[Sequence[int]], np.ndarray]


def of_library(library: Library) -> Recordings:
    """Those of a library, each lead without its constant offset."""

    def signals(rows: Sequence[int]) -> np.ndarray:
        return library.without_offsets(np.asarray(rows, int))

    return Recordings(library.ids, library.sources, library.notes, library.patients, signals)


def list_folder(folder: Path) -> list[Path]:
    """The files of a folder and of its sub-folders that may be recordings.

    Raises:
      MetaecgError: there is no such folder.
    """
    if not folder.is_dir():
        raise MetaecgError(f"--input={support.shown(folder)}: there is no such folder")
    every = (Path(at) / name for at, _, names in os.walk(folder) for name in sorted(names))
    return recognise.among(sorted(every))


def suiting_model(archive: Sequence[Path], examples: Sequence[Path], given: Given) -> Model:
    """The model for the leads that every example and nine in ten recordings of an archive have.

    Files that cannot be read are not counted; `of_folder` says what is wrong with them.

    Args:
      archive: the recordings, of which `LOOKED_AT` are looked at, evenly.
      examples: all of which are looked at.
      given: what the files do not say.

    Raises:
      ArtefactError: no model comes with this installation.
    """
    some = _leads(archive[:: -(-len(archive) // LOOKED_AT) or 1], given)
    common = {
        lead for lead in STANDARD_LEADS if sum(lead in have for have in some) >= 0.9 * len(some)
    }
    return few_leads.suiting(common.intersection(*_leads(examples, given)))


def _leads(paths: Iterable[Path], given: Given) -> list[frozenset[str]]:
    found = []
    for path in paths:
        try:
            found.append(support.leads_of(path, given, few_leads.SECONDS))
        except (MetaecgError, OSError):
            continue
    return found


def of_folder(
    folder: Path,
    model: Model,
    given: Given,
    progress: Callable[[Iterable[Path]], Iterable[Path]] = iter,
) -> tuple[Recordings, Archive, list[str]]:
    """The files of a folder and its sub-folders, read and embedded one after the other.

    Of a recording that is read in windows, the mean of their embeddings is taken.

    Returns:
      the recordings, their archive, and one line for each that cannot be read.

    Raises:
      MetaecgError: there is none that can be read.
    """
    listed = list_folder(folder)
    paths: list[Path] = []
    failed: list[str] = []
    notes: list[str] = []
    embedded: list[np.ndarray] = []
    waiting: list[np.ndarray] = []

    def empty() -> None:
        embedded.append(embed_windows(model, waiting).astype(np.float16))
        waiting.clear()

    for path in progress(listed):
        try:
            read = support.read(path, model.form, given)
        except (MetaecgError, OSError) as error:
            failed.append(" ".join(support.shown(str(error)).split()))
            continue
        paths.append(path)
        notes.append("; ".join(read.serious))
        waiting.append(read.windows)
        if sum(map(len, waiting)) >= BATCH:
            empty()
    if not paths:
        first = f" (the first: {failed[0]})" if failed else ""
        raise MetaecgError(f"--input={support.shown(folder)}: no recording can be read{first}")
    if waiting:
        empty()
    names = [support.shown(path.relative_to(folder)) for path in paths]

    def signals(rows: Sequence[int]) -> np.ndarray:
        return np.stack(
            [support.read(paths[row], model.form, given, most=1).signal for row in rows]
        )

    nobody = np.full(len(paths), -1)
    recordings = Recordings(names, names, notes, nobody, signals)
    found = np.concatenate(embedded)
    basis = principal(found[evenly(len(found))])
    blocks = [np.asarray(block, np.float32) @ basis for block in embedded]
    return recordings, Archive.of(np.concatenate(blocks), basis), failed


def embed(model: Model, signals: np.ndarray) -> np.ndarray:
    """Embeds a few recordings by the program that embeds an archive: float32 [n, E]."""
    count = len(signals)
    filled = np.resize(signals, (-(-count // BATCH) * BATCH, *signals.shape[1:]))
    blocks = (filled[start : start + BATCH] for start in range(0, len(filled), BATCH))
    return np.concatenate([np.asarray(model.predictor.embed(block)) for block in blocks])[:count]


def embed_windows(model: Model, recordings: Sequence[np.ndarray]) -> np.ndarray:
    """The mean embedding of each recording's windows [windows, samples, leads]: float32 [n, E]."""
    counts = np.array([len(windows) for windows in recordings])
    found = embed(model, np.concatenate(recordings))
    return np.add.reduceat(found, np.cumsum(counts) - counts) / counts[:, None].astype(np.float32)
