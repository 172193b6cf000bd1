"""Embeddings of a library, computed once and kept in its folder; never stale, safe when killed.

`LIBRARY/embeddings/MODEL/` holds, MODEL the first digits of the model's fingerprint,

- ``basis.npy``: float32 [E, D], by which the model's embeddings were shortened from E numbers to D;
- ``embeddings.f16``: float16 [N, D], row by row;
- ``blocks.jsonl``: a first line with the fingerprints of library and model, N and the CRC-32 of the
  basis, then a line for each block of rows with its CRC-32, written after the block itself;
- ``space.npz``: mean, root and lengths of the `Archive`, and the CRC-32 of what they follow from.

A process that goes on after another was killed keeps the blocks whose lines agree with them. A
library that is made anew loses its embeddings with its folder, and one that was edited has another
fingerprint.
"""

import contextlib
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from metaecg.data import files
from metaecg.data.library import Library
from metaecg.diagnose.model import Model
from metaecg.errors import MetaecgError
from metaecg.search import archive as archives
from metaecg.search.archive import MOST_FEATURES, Archive, evenly, principal

BLOCK = 1024
"""Recordings of a block: what a kill costs at most."""

VERSION = 2

Progress = Callable[[Iterable[int]], Iterable[int]]
"""Shows how far an iteration over the first rows of the blocks is, such as `tqdm`."""


def archive(model: Model, library: Library, folder: Path, progress: Progress = iter) -> Archive:
    """A library as an archive to search: what is kept of it, after what lacks was computed.

    Arguments and errors are those of `embeddings`. In a folder that cannot be written, mean, root
    and lengths are computed at every opening.
    """
    kept, basis = embeddings(model, library, folder, progress)
    place = _place(model, folder)
    content = (place / "blocks.jsonl").read_bytes()
    rules = (archives.SHRINKAGE, archives.SAMPLE, archives.BLOCK)
    crc32 = zlib.crc32(content, zlib.crc32(repr(rules).encode()))
    found: Any = _space(place / "space.npz", crc32, *kept.shape)
    if found is None:
        new = Archive.of(kept, basis)
        found = {"mean": new.mean, "root": new.root, "lengths": new.lengths}
        with contextlib.suppress(OSError):
            with open(place / ".space.new", "wb") as file:
                np.savez(file, crc32=np.int64(crc32), **found)
            os.replace(place / ".space.new", place / "space.npz")
    return Archive(kept, basis, **found)


def _space(path: Path, crc32: int, records: int, size: int) -> dict[str, np.ndarray] | None:
    """Mean, root and lengths if they are kept whole and of these embeddings."""
    shapes = {"mean": (size,), "root": (size, size), "lengths": (records,)}
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            if int(file["crc32"]) != crc32:
                return None
            found = {name: file[name] for name in shapes}
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error):
        return None
    right = all(found[n].shape == s and found[n].dtype == np.float32 for n, s in shapes.items())
    return found if right else None


def embeddings(
    model: Model, library: Library, folder: Path, progress: Progress = iter
) -> tuple[np.ndarray, np.ndarray]:
    """The embeddings of a library: those that are kept, after those that lack were computed.

    Args:
      model: what embeds.
      library: in the model's form.
      folder: the library's, which must be writable unless all is there.
      progress: shows how far it is, where something has to be computed.

    Returns:
      float16 [N, D], a read-only memory map; and the basis float32 [E, D], see `Archive`.

    Raises:
      MetaecgError: the library is empty or of another form, another process is computing, or the
        file is damaged.
      OSError: the folder cannot be written.
    """
    model.form.check(library, name=str(folder))
    place = _place(model, folder)
    head = {
        "version": VERSION,
        "library": library.fingerprint,
        "model": fingerprint(model),
        "records": len(library),
    }
    basis = _basis(place)
    if basis is None or not _is_whole(place, head, basis):
        place.mkdir(parents=True, exist_ok=True)
        refusal = f"{place}: another process computes these embeddings; wait until it is done"
        with files.locked(place / ".lock", refusal):
            basis = _compute(model, library, place, head, progress)
    shape = (len(library), basis.shape[1])
    kept = np.memmap(place / "embeddings.f16", np.float16, "r", shape=shape)
    _verify(kept, _lines(place)[1:], place)
    return kept, basis


def fingerprint(model: Model) -> str:
    """What distinguishes a model from all others: its provenance's sha256, and its form."""
    known = model.provenance
    said = {key: known.get(key) for key in ("artefact", "model", "learner", "encoder")}
    content = json.dumps([said, model.form.to_json()], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _place(model: Model, folder: Path) -> Path:
    return folder / "embeddings" / fingerprint(model)[:16]


def _compute(
    model: Model, library: Library, place: Path, head: dict[str, Any], progress: Progress
) -> np.ndarray:
    lines, basis = _lines(place), _basis(place)
    if basis is None or lines[:1] != [_with(head, basis)]:
        lines, basis = [], _new_basis(model, library, place)
    head, good = _with(head, basis), lines[1:]
    row_bytes = 2 * basis.shape[1]
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
            found = _embed(model, library, rows) @ basis
            found = np.ascontiguousarray(_finite(found, library, rows), "<f2")
            data.write(found.data)
            data.flush()
            os.fsync(data.fileno())
            line = {"rows": len(rows), "crc32": zlib.crc32(found.data)}
            log.write(json.dumps(line).encode() + b"\n")
            log.flush()
        os.fsync(log.fileno())
    return basis


def _embed(model: Model, library: Library, rows: np.ndarray) -> np.ndarray:
    from metaecg.diagnose import fitting  # with jax, which what is kept already does without

    return fitting.embed(model.predictor, library, rows)


def _finite(found: np.ndarray, library: Library, rows: np.ndarray) -> np.ndarray:
    finite = np.isfinite(found.astype(np.float16)).all(1)
    if not finite.all():
        bad = library.ids[rows[int((~finite).argmax())]]
        raise MetaecgError(f"record {bad}: the model's embedding of it is not finite")
    return found


def _new_basis(model: Model, library: Library, place: Path) -> np.ndarray:
    size = len(model.calibration.mean)
    if size <= MOST_FEATURES:
        basis = np.eye(size, dtype=np.float32)
    else:
        rows = evenly(len(library))
        basis = principal(_finite(_embed(model, library, rows), library, rows))
    with open(place / ".basis.new", "wb") as file:
        np.save(file, basis, allow_pickle=False)
    os.replace(place / ".basis.new", place / "basis.npy")
    return basis


def _basis(place: Path) -> np.ndarray | None:
    """The basis that is kept, if one can be read; its CRC-32 says whether it is the right one."""
    try:
        return np.load(place / "basis.npy", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None


def _with(head: dict[str, Any], basis: np.ndarray) -> dict[str, Any]:
    shape = list(basis.shape)
    return head | {"basis": shape, "crc32": zlib.crc32(np.ascontiguousarray(basis).data)}


def _is_whole(place: Path, head: dict[str, Any], basis: np.ndarray) -> bool:
    first, *lines = _lines(place) or [{}]
    if first != _with(head, basis) or sum(line["rows"] for line in lines) != head["records"]:
        return False
    try:
        size = (place / "embeddings.f16").stat().st_size
        return size == 2 * head["records"] * basis.shape[1]
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
