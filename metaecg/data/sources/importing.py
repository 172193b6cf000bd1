"""Imports the recordings of a source into a library: in parallel, in order, with bounded memory.

What cannot be used is quarantined with its reason, never dropped in silence.
"""

import concurrent.futures
import difflib
import functools
import hashlib
import multiprocessing
import signal as signals
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metaecg.data.readers.raw import RecordError
from metaecg.data.record_form import Target
from metaecg.data.sources.listing import Item
from metaecg.data.sources.source import Outcome, Reader, Source, read_item
from metaecg.data.sources.statements import canonical, look_up
from metaecg.data.writing import Writer
from metaecg.errors import MetaecgError

CHUNK = 64
"""Records a worker reads before it answers: 1.5 MB of 10 s at 100 Hz."""


class Options(NamedTuple):
    """How to import.

    Attributes:
      workers: processes that read; 1 reads in this one.
      strict: whether to stop at the first record that cannot be used.
      merge: whether equivalent codes become one, `statements.canonical`.
      overwrite: whether an existing library may be replaced.
      keep_ids: whether the ids of patients are written into the library's patient_ids.csv.
    """

    workers: int = 1
    strict: bool = False
    merge: bool = False
    overwrite: bool = False
    keep_ids: bool = False


USUAL = Options()


class Imported(NamedTuple):
    """What an import came to: records by code, how many are quarantined, and remarks."""

    counts: Counter[str]
    quarantined: int
    remarks: tuple[str, ...]


def make_library(
    path: Path,
    source: Source,
    target: Target,
    options: Options = USUAL,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Imported:
    """Imports a source into a new library.

    Args:
      path: the folder to make.
      source: the recordings.
      target: the form that they are brought into.
      options: how.
      progress: wraps the iteration over the recordings, such as a progress bar.

    Raises:
      MetaecgError: no record can be used, something is in the way, or, with `strict`, a record
        cannot be used.
    """
    with Writer(path, overwrite=options.overwrite, keep_ids=options.keep_ids) as writer:
        counts, copies, named = import_records(writer, source, target, options, progress)
        # A data set's own list keeps its order; statements outside of it follow.
        own = source.statements
        vocabulary = [*own, *sorted(set(counts) - set(own))]
        statements = [own.get(code) or look_up(code) for code in vocabulary]
        writer.finish(
            vocabulary=vocabulary,
            names=[statement.name for statement in statements],
            kinds=[statement.kinds for statement in statements],
            hz=target.hz,
            leads=target.leads,
            scale=target.scale,
            source=source.name,
            processing=target.describe(),
            bandpass=target.bandpass,
        )
        remarks = tuple(_remarks(source, counts, copies, named, options.keep_ids))
        return Imported(counts, writer.quarantined, remarks)


def _remarks(
    source: Source, counts: Counter[str], copies: int, named: bool, kept: bool
) -> Iterator[str]:
    yield from source.remarks
    if kept:
        yield "patient_ids.csv in the library says who its patients are; nothing else reads it"
    if source.name not in ("ptbxl", "ludb") and all(
        item.patient == item.path for item in source.items
    ):
        yield (
            "patients are distinguished by the ids inside the files"
            + ("" if kept else ", which are not kept (--keep_ids keeps them)")
            if named
            else "no patients are given, so every recording counts as a patient of its own"
        )
    if copies:
        yield (
            f"{_records(copies)} with the very signal of another one, counted as of the same "
            "patient (see the notes in records.csv)"
        )
    codes: dict[str, list[str]] = {}
    for code in sorted(counts):
        codes.setdefault(canonical(code), []).append(code)
    if several := [" and ".join(same) for same in codes.values() if len(same) > 1]:
        yield (
            f"equivalent codes are separate classes: {', '.join(several[:5])}; "
            "--equivalent_codes=merge makes each of them one class"
        )
    yield from _rare({code: n for code, n in counts.items() if code not in source.statements})


def _rare(counts: Mapping[str, int]) -> Iterator[str]:
    """A remark on the labels of one or two records, those first that look misspelt."""
    near = {code: _nearest(code, counts) for code, n in counts.items() if n < 3}
    rare = sorted(near, key=lambda code: (not near[code], code))
    if rare:
        said = [f"{code} ({_records(counts[code])}{near[code]})" for code in rare[:5]]
        more = f" and {len(rare) - 5} more" if len(rare) > 5 else ""
        yield f"labels of one or two records: {', '.join(said)}{more}; correct what is misspelt"


def _records(number: int) -> str:
    return f"{number} record{'s' if number != 1 else ''}"


def _nearest(code: str, counts: Mapping[str, int]) -> str:
    """What a label may be a misspelling of: the nearest one of more records that is written alike.

    A code of a standard is what it says.
    """
    if look_up(code).name != code:
        return ""
    others = {other.casefold(): other for other in counts if counts[other] > counts[code]}
    near = difflib.get_close_matches(code.casefold(), others, 1)
    return f", nearest {others[near[0]]}" if near else ""


def import_records(
    writer: Writer,
    source: Source,
    target: Target,
    options: Options = USUAL,
    progress: Callable[[Iterable], Iterable] = iter,
) -> tuple[Counter[str], int, bool]:
    """Reads the items of a source into the writer, in their order; arguments as of `make_library`.

    Records of the very same signal are taken for records of the same patient.

    Returns:
      How many records carry each code, how many have the signal of an earlier one, and whether a
      file said whose it is.

    Raises:
      RecordError: a record cannot be used and `strict` is set.
      MetaecgError: a worker died.
    """
    counts: Counter[str] = Counter()
    first: dict[bytes, tuple[str, str]] = {}
    copies, named = 0, False
    for item, outcomes in progress(zip(source.items, _read_all(source, target, options.workers))):
        for outcome in outcomes:
            if outcome.signal is None:
                if options.strict:
                    raise RecordError(f"{item.path}: {outcome.reason}")
                writer.quarantine(item.path, outcome.reason)
                continue
            codes, id, note = outcome.codes, item.id, outcome.note
            if options.merge:
                codes = tuple(dict.fromkeys(map(canonical, codes)))
            # A list of patients is believed before the files.
            listed = "" if item.patient == item.path else item.patient
            named |= bool(outcome.patient and not listed)
            whose = listed or outcome.patient.casefold() or item.patient
            if outcome.start is not None:
                id += f" from {outcome.start:g} s"
            twin, patient = first.setdefault(_digest(outcome.signal), (id, whose))
            if twin != id:
                copies += 1
                note = "; ".join(filter(None, (note, f"the same signal as {twin}")))
                writer.unite(patient, whose)
            writer.add(
                outcome.signal,
                id=id,
                patient=whose,
                codes=codes,
                source=item.path,
                fold=item.fold,
                note=note,
                patient_id=listed or outcome.patient,
            )
            counts.update(codes)
    return counts, copies, named


def _digest(signal: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(signal).data).digest()


def _read_all(source: Source, target: Target, workers: int) -> Iterator[list[Outcome]]:
    chunk_of = functools.partial(_read_chunk, source.folder, source.read, target)
    items = source.items
    chunks = [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]
    if workers <= 1:
        for chunk in chunks:
            yield from chunk_of(chunk)
        return
    # Spawned, not forked: the parent may hold threads. A window of chunks bounds the memory.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, context, _ignore_interrupts) as pool:
        waiting: deque[concurrent.futures.Future[list[list[Outcome]]]] = deque()
        try:
            for chunk in chunks:
                waiting.append(pool.submit(chunk_of, chunk))
                if len(waiting) > 3 * workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        except concurrent.futures.process.BrokenProcessPool:
            raise MetaecgError("a reading process died; try fewer --workers") from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _read_chunk(
    folder: Path, read: Reader, target: Target, chunk: Sequence[Item]
) -> list[list[Outcome]]:
    return [read_item(folder, item, target, read) for item in chunk]


def _ignore_interrupts() -> None:
    # Ctrl-C is the parent's to handle; workers end with its pool.
    signals.signal(signals.SIGINT, signals.SIG_IGN)
