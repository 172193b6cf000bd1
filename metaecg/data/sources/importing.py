"""Imports listed records into a library: in parallel, in order, with bounded memory.

What cannot be used is quarantined with its reason, never dropped in silence.
"""

import concurrent.futures
import math
import multiprocessing
import signal as signals
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metaecg.data import signal as steps
from metaecg.data.readers.notes import Note
from metaecg.data.readers.raw import RecordError
from metaecg.data.readers.wfdb import (
    count_samples,
    read_header,
    read_signal,
    unverified,
)
from metaecg.data.sources.wfdb_folder import Item
from metaecg.data.writing import Writer
from metaecg.errors import MetaecgError

CHUNK = 64
"""Records a worker reads before it answers: 1.5 MB of 10 s at 100 Hz."""


class Target(NamedTuple):
    """The form that all records are brought into; `bandpass` is (low, high) in Hz or None."""

    hz: float
    seconds: float
    leads: tuple[str, ...]
    bandpass: tuple[float, float] | None = None
    scale: float = 0.001

    @property
    def samples(self) -> int:
        """Of each lead."""
        return round(self.hz * self.seconds)

    def describe(self) -> tuple[str, ...]:
        """The steps in words and in order, for `Library.processing`."""
        band = self.bandpass
        return (
            f"leads {' '.join(self.leads)} by name, to mV",
            f"first {self.seconds:g} s, shorter ones padded with zeros at the end",
            f"up to {steps.LONGEST_GAP} s of missing samples interpolated",
            *([f"band-pass {band[0]:g}–{band[1]:g} Hz, zero phase"] if band else []),
            f"{self.hz:g} Hz, resampled where the record had another rate",
            f"rounded to {self.scale:g} mV",
        )


class Form(NamedTuple):
    """What a record says of itself: samples per second, length in s, names of its leads."""

    hz: float
    seconds: float
    leads: tuple[str, ...]


class Outcome(NamedTuple):
    """A record that was read, or the reason why it was not."""

    signal: np.ndarray | None
    codes: tuple[str, ...]
    note: str
    reason: str


def transform(
    signal: np.ndarray, hz: float, units: Sequence[str], names: Sequence[str], target: Target
) -> tuple[np.ndarray, tuple[Note, ...]]:
    """Brings one recording into the library's form.

    Args:
      signal: [samples, channels] in `units`, NaN where a sample is missing.
      hz: samples per second.
      units: unit of each channel.
      names: lead of each channel.
      target: the form wanted.

    Returns:
      int16 [target.samples, leads] in units of `target.scale` mV, and what was done.

    Raises:
      SignalError: it cannot be done.
    """
    columns = steps.match_leads(names, target.leads)
    done: list[Note | None] = []

    def note(result: tuple[np.ndarray, Note | None]) -> np.ndarray:
        done.append(result[1])
        return result[0]

    signal = note(steps.to_millivolts(signal[:, columns], [units[c] for c in columns]))
    whole = len(signal)
    signal = signal[: math.ceil(target.seconds * hz)]
    if len(signal) < whole:
        done.append(Note(f"first {target.seconds:g} of {whole / hz:g} s"))
    signal = note(steps.fill_gaps(signal, hz))
    if target.bandpass:
        signal, _ = steps.bandpass(signal, hz, *target.bandpass)
    signal = note(steps.resample(signal, hz, target.hz))
    signal = note(steps.crop_or_pad(signal, target.samples))
    units_of_scale = steps.quantise(signal, target.scale)
    done.append(steps.check_flat(units_of_scale, target.leads))
    return units_of_scale, tuple(filter(None, done))


Reader = Callable[[Path, Item, Target], Outcome]
"""(folder, item, target) -> the record in the library's form, or why not; to be pickled."""


def read(folder: Path, item: Item, target: Target) -> Outcome:
    """Reads one WFDB record of a folder and brings it into the library's form."""
    try:
        path = _header(folder, item)
        header = read_header(path, folder)
        codes = check_codes(header.codes if item.codes is None else item.codes)
        units, names = [c.unit for c in header.channels], [c.name for c in header.channels]
        signal = read_signal(path, header, folder)
        signal, done = transform(signal, header.hz, units, names, target)
        texts = [unverified(header), *(note.text for note in done)]
        return Outcome(signal, codes, "; ".join(filter(None, texts)), "")
    except (MetaecgError, OSError) as error:
        return refused(error)


def form(folder: Path, item: Item) -> Form:
    """The form of one WFDB record whose files hold what its header says.

    Raises:
      RecordError, OSError: it cannot be read.
    """
    path = _header(folder, item)
    header = read_header(path, folder)
    seconds = count_samples(path, header, folder) / header.hz
    return Form(header.hz, seconds, tuple(steps.lead_name(c.name) for c in header.channels))


def refused(error: Exception) -> Outcome:
    """The outcome of a record that cannot be used: the error as one printable line."""
    reason = " ".join(str(error).split())
    return Outcome(None, (), "", "".join(c if c.isprintable() else "?" for c in reason)[:300])


def check_codes(codes: tuple[str, ...]) -> tuple[str, ...]:
    """Returns a record's labels.

    Raises:
      RecordError: there is none, or one is not printable.
    """
    if not codes:
        raise RecordError("no label")
    for code in codes:
        if not code.isprintable():
            raise RecordError(f"label {code[:60]!r} is not printable")
    return codes


def check_path(item: Item) -> None:
    """Refuses a path that leads out of the folder, or that cannot be written down.

    Raises:
      RecordError: naming what is wrong.
    """
    if item.path.startswith("/") or ".." in item.path.split("/"):
        raise RecordError("points outside the folder")
    if not item.path.isprintable():  # or not UTF-8
        raise RecordError("its name is not printable; rename it")


def _header(folder: Path, item: Item) -> Path:
    check_path(item)
    return folder / f"{item.path}.hea"


def import_records(
    writer: Writer,
    folder: Path,
    items: Sequence[Item],
    target: Target,
    *,
    workers: int = 1,
    strict: bool = False,
    progress: Callable[[Iterable], Iterable] = iter,
    reader: Reader = read,
) -> Counter[str]:
    """Reads the items into the writer, in their order.

    Args:
      writer: the library under construction.
      folder: what the paths of the items are relative to.
      items: the records to read.
      target: the form that they are brought into.
      workers: processes that read; 1 reads in this one.
      strict: whether to stop at the first record that cannot be used.
      progress: wraps the iteration over the outcomes, such as a progress bar.
      reader: reads one of them; by default a WFDB record.

    Returns:
      How many records carry each code.

    Raises:
      RecordError: a record cannot be used and `strict` is set.
      MetaecgError: a worker died.
    """
    counts: Counter[str] = Counter()
    chunks = [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]
    outcomes = _outcomes(folder, chunks, target, workers, reader)
    for item, outcome in progress(zip(items, outcomes)):
        if outcome.signal is None:
            if strict:
                raise RecordError(f"{item.path}: {outcome.reason}")
            writer.quarantine(item.path, outcome.reason)
            continue
        writer.add(
            outcome.signal,
            id=item.id,
            patient=item.patient,
            codes=outcome.codes,
            source=item.path,
            fold=item.fold,
            note=outcome.note,
        )
        counts.update(outcome.codes)
    return counts


def survey(
    folder: Path,
    items: Sequence[Item],
    most: int = 200,
    *,
    form: Callable[[Path, Item], Form] = form,
) -> Target:
    """The commonest rate, length and leads among up to `most` records, spread over the items.

    Args:
      folder: what the paths of the items are relative to.
      items: the records.
      most: how many to look at, about.
      form: says what one is like; by default of a WFDB record.

    Raises:
      MetaecgError: no record can be read.
    """
    forms, last = [], ""
    for item in items[:: max(1, len(items) // most)]:
        try:
            forms.append(form(folder, item))
        except (MetaecgError, OSError) as error:
            last = f"; the last: {item.path[:200]!r}: {error}"
    if not forms:
        raise MetaecgError(f"{folder}: no record can be read{last}")
    hz, seconds, leads = map(_commonest, zip(*forms))
    if set(steps.STANDARD_LEADS) <= set(leads):
        leads = steps.STANDARD_LEADS
    return Target(hz, seconds, leads)


def _commonest(values: Iterable):
    return Counter(values).most_common(1)[0][0]


def _outcomes(
    folder: Path,
    chunks: Sequence[Sequence[Item]],
    target: Target,
    workers: int,
    reader: Reader,
) -> Iterator[Outcome]:
    if workers <= 1:
        for chunk in chunks:
            yield from _read_chunk(folder, chunk, target, reader)
        return
    # Spawned, not forked: the parent may hold threads. A window of chunks bounds the memory.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, context, _ignore_interrupts) as pool:
        waiting: deque[concurrent.futures.Future[list[Outcome]]] = deque()
        try:
            for chunk in chunks:
                waiting.append(pool.submit(_read_chunk, folder, chunk, target, reader))
                if len(waiting) > 3 * workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        except concurrent.futures.process.BrokenProcessPool:
            raise MetaecgError("a reading process died; try fewer --workers") from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _read_chunk(
    folder: Path, chunk: Sequence[Item], target: Target, reader: Reader
) -> list[Outcome]:
    return [reader(folder, item, target) for item in chunk]


def _ignore_interrupts() -> None:
    # Ctrl-C is the parent's to handle; workers end with its pool.
    signals.signal(signals.SIGINT, signals.SIG_IGN)
