"""Embeddings of a library, computed once and kept in its folder; never stale, safe when killed.

`LIBRARY/embeddings/MODEL/` holds, MODEL the first digits of the model's fingerprint,

- ``embeddings.f16``: float16 [N, D], row by row;
- ``blocks.jsonl``: a first line with the fingerprints of library and model, N and D, then a line
  for each block of rows with its CRC-32, written after the block itself.

A process that goes on after another was killed keeps the blocks whose lines agree with them. A
library that is made anew loses its embeddings with its folder, and one that was edited has another
fingerprint.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from metaecg.data import files
from metaecg.data.library import Library
from metaecg.diagnose.fitting import embed
from metaecg.diagnose.model import Model
from metaecg.errors import MetaecgError
from metaecg.search.recordings import MOST_FEATURES, compact

BLOCK = 1024
"""Recordings of a block: what a kill costs at most."""

VERSION = 1

Progress = Callable[[Iterable[int]], Iterable[int]]
"""Shows how far an iteration over the first rows of the blocks is, such as `tqdm`."""


def embeddings(
    model: Model, library: Library, folder: Path, progress: Progress = iter
) -> np.ndarray:
    """The embeddings of a library: those that are kept, after those that lack were computed.

    Args:
      model: what embeds.
      library: in the model's form.
      folder: the library's, which must be writable unless all is there.
      progress: shows how far it is, where something has to be computed.

    Returns:
      float16 [N, D], a read-only memory map.

    Raises:
      MetaecgError: the library is empty or of another form, another process is computing, or the
        file is damaged.
      OSError: the folder cannot be written.
    """
    model.form.check(library, name=str(folder))
    place = folder / "embeddings" / fingerprint(model)[:16]
    size = min(len(model.calibration.mean), MOST_FEATURES)
    head = {
        "version": VERSION,
        "library": library.fingerprint,
        "model": fingerprint(model),
        "records": len(library),
        "features": size,
    }
    if not _is_whole(place, head):
        place.mkdir(parents=True, exist_ok=True)
        refusal = f"{place}: another process computes these embeddings; wait until it is done"
        with files.locked(place / ".lock", refusal):
            _compute(model, library, place, head, progress)
    kept = np.memmap(place / "embeddings.f16", np.float16, "r", shape=(len(library), size))
    _verify(kept, _lines(place)[1:], place)
    return kept


def fingerprint(model: Model) -> str:
    """What distinguishes a model from all others: its provenance's sha256, and its form."""
    known = model.provenance
    said = {key: known.get(key) for key in ("artefact", "model", "learner", "encoder")}
    content = json.dumps([said, model.form.to_json()], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _compute(
    model: Model, library: Library, place: Path, head: dict[str, Any], progress: Progress
) -> None:
    lines = _lines(place)
    good = lines[1:] if lines[:1] == [head] else []
    row_bytes = 2 * head["features"]
    ends = np.cumsum([0, *(line["rows"] for line in good)]) * row_bytes
    path, log_path = place / "embeddings.f16", place / "blocks.jsonl"
    path.touch()
    while ends[len(good)] > path.stat().st_size:  # a line whose block never came
        good.pop()
    files.write_whole(log_path, "".join(json.dumps(line) + "\n" for line in [head, *good]))
    with open(path, "r+b") as data, open(log_path, "ab") as log:
        data.truncate(int(ends[len(good)]))
        data.seek(0, os.SEEK_END)
        first = int(ends[len(good)]) // row_bytes
        for start in progress(range(first, len(library), BLOCK)):
            rows = np.arange(start, min(start + BLOCK, len(library)))
            found = np.ascontiguousarray(compact(embed(model.predictor, library, rows)), "<f2")
            if not np.isfinite(found).all():
                bad = library.ids[rows[int((~np.isfinite(found)).any(1).argmax())]]
                raise MetaecgError(f"record {bad}: the model's embedding of it is not finite")
            data.write(found.data)
            data.flush()
            os.fsync(data.fileno())
            line = {"rows": len(rows), "crc32": zlib.crc32(found.data)}
            log.write(json.dumps(line).encode() + b"\n")
            log.flush()
        os.fsync(log.fileno())


def _is_whole(place: Path, head: dict[str, Any]) -> bool:
    lines = _lines(place)
    if lines[:1] != [head] or sum(line["rows"] for line in lines[1:]) != head["records"]:
        return False
    try:
        return (place / "embeddings.f16").stat().st_size == 2 * head["records"] * head["features"]
    except FileNotFoundError:
        return False


def _verify(kept: np.ndarray, lines: list[dict[str, Any]], place: Path) -> None:
    start = 0
    for line in lines:
        block = np.ascontiguousarray(kept[start : start + line["rows"]])
        if zlib.crc32(block.data) != line["crc32"]:
            raise MetaecgError(
                f"{place}/embeddings.f16: damaged at record {start} to "
                f"{start + line['rows'] - 1}; delete the folder, and it is computed again"
            )
        start += line["rows"]


def _lines(place: Path) -> list[dict[str, Any]]:
    """The lines of blocks.jsonl that are whole, up to the first that is not."""
    try:
        texts = (place / "blocks.jsonl").read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    found: list[dict[str, Any]] = []
    for text in texts:
        try:
            line = json.loads(text)
            if found and not all(isinstance(line[key], int) for key in ("rows", "crc32")):
                break
        except (ValueError, KeyError, TypeError):
            break
        found.append(line)
    return found
