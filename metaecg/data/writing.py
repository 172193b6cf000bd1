"""Writing a sample library record by record: bounded memory, all or nothing."""

import contextlib
import csv
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

try:
    import fcntl
except ImportError:  # not POSIX: what a killed writer left stays
    fcntl = None  # type: ignore[assignment]

from metaecg.data import library as lib
from metaecg.data.files import combine, csv_line, npy_header, read_json, sha256
from metaecg.data.library import Library, LibraryError
from metaecg.data.reasons import Reasons


class Writer:
    """A library under construction, in a folder beside its destination: a context manager.

    The destination appears, whole, when `finish` has returned; leaving the block before that
    removes every trace. What a writer left whose process was killed is removed by the next one, and
    the library that it was about to replace is put back.

    Args:
      path: the folder to make; its parent is made if need be.
      overwrite: whether an existing library may be replaced; anything else in the way never is.
      keep_ids: whether patient_ids.csv keeps the ids of patients that `add` is given.

    Raises:
      LibraryError: something is in the way.

    Example:
      >>> signal = np.zeros((1000, 2), np.int16)
      >>> with Writer("library") as writer:
      ...     writer.add(signal, id="1", patient="7", codes=["AFIB"])
      ...     writer.finish(vocabulary=["AFIB"], hz=100.0, leads=["I", "II"])
    """

    def __init__(self, path: str | Path, *, overwrite: bool = False, keep_ids: bool = False):
        self.path = Path(path).absolute()
        check_free(self.path, overwrite=overwrite)
        self.shape: tuple[int, ...] = ()
        self.records = 0
        self.quarantined = 0
        self._reasons = Reasons()
        self._ids: dict[int, str] | None = {} if keep_ids else None
        self._patients: dict[str, int] = {}
        self._united: dict[int, int] = {}

    def __enter__(self) -> "Writer":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._work = self.path.with_name(f".{self.path.name}.partial-{uuid.uuid4().hex[:8]}")
        try:
            self._work.mkdir()
            self._lock = _lock(self._work)
            self._folder = self._work / "new"
            self._folder.mkdir()
            self._signals = open(self._folder / "signals.npy", "wb")
            self._rows = open(self._folder / "records.csv", "wb")
            self._rows.write(csv_line(lib.COLUMNS))
            self._quarantine = open(self._folder / "quarantine.csv", "wb")
            self._quarantine.write(csv_line(("path", "reason")))
        except BaseException:  # a signal may come before `with` takes over
            _abandon(self._work, self.path)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for file in (self._signals, self._rows, self._quarantine):
                # Where writing failed, as on a full disk, so does closing: what is buffered is
                # given up with the file.
                with contextlib.suppress(OSError):
                    file.close()
        finally:
            _abandon(self._work, self.path)
            if self._lock is not None:
                os.close(self._lock)

    def add(
        self,
        signal: np.ndarray,
        *,
        id: str,
        patient: str,
        codes: Iterable[str],
        source: str = "",
        fold: int = 0,
        note: str = "",
        patient_id: str = "",
    ) -> None:
        """Appends a record.

        Args:
          signal: int16 [samples, leads], of the same shape for all.
          id: name of the record.
          patient: whose it is; equal for records of the same patient.
          codes, source, fold, note: its diagnoses; its entry in a library's sources, folds, notes.
          patient_id: to be kept, if that was asked for; '' where it is not known.

        Raises:
          LibraryError: the signal has another type or shape.
        """
        if signal.dtype != np.int16 or signal.ndim != 2:
            raise LibraryError(
                f"record {id}: signal must be int16 [samples, leads]; "
                f"got {signal.dtype} {list(signal.shape)}"
            )
        if not self.records:
            self.shape = signal.shape
            self._signals.write(npy_header((0, *self.shape)))
        if signal.shape != self.shape:
            raise LibraryError(f"record {id}: shape {signal.shape} instead of {self.shape}")
        self._signals.write(np.ascontiguousarray(signal, "<i2").data)
        number = self._patients.setdefault(patient, len(self._patients))
        if patient_id and self._ids is not None:
            self._ids.setdefault(number, patient_id)
        carried = ";".join(sorted(codes))
        self._rows.write(csv_line((id, str(number), source, str(fold), carried, note)))
        self.records += 1

    @property
    def patients(self) -> int:
        """How many patients have been named so far."""
        return len(self._patients)

    def unite(self, patient: str, other: str) -> None:
        """Takes two patients for one from now on, and in the records that are written already."""
        one, two = (
            self._same_as(self._patients.setdefault(name, len(self._patients)))
            for name in (patient, other)
        )
        if one != two:
            self._united[max(one, two)] = min(one, two)

    def _same_as(self, number: int) -> int:
        while number in self._united:
            number = self._united[number]
        return number

    def _number_again(self) -> dict[int, int]:
        """Writes records.csv with the patients that turned out to be one; returns new numbers."""
        path = self._folder / "records.csv"
        numbers: dict[int, int] = {}
        with open(path, encoding="utf-8", newline="") as old, open(f"{path}.new", "wb") as new:
            rows = csv.reader(old)
            new.write(csv_line(next(rows)))
            for id, patient, *rest in rows:
                number = numbers.setdefault(self._same_as(int(patient)), len(numbers))
                new.write(csv_line((id, str(number), *rest)))
        os.replace(f"{path}.new", path)
        return numbers

    def quarantine(self, path: str, reason: str) -> None:
        """Lists a record that is left out."""
        self._quarantine.write(csv_line((path, reason)))
        self.quarantined += 1
        if not self.records:  # else nobody will ask
            self._reasons.add(path, reason)

    def finish(self, **metadata: Any) -> None:
        """Completes the library and moves it to its destination.

        Args:
          **metadata: `vocabulary` and whichever of `hz`, `leads`, `scale`, `names`, `kinds`,
            `source`, `processing`, `bandpass` apply, as in `Library`.

        Raises:
          LibraryError: no record was added, or the metadata does not fit the records.
        """
        if not self.records:
            raise LibraryError(f"{self.path}: no record to write; quarantined: {self._reasons}")
        self._signals.seek(0)  # numpy leaves room in the header for the number of records
        self._signals.write(npy_header((self.records, *self.shape)))
        for file in (self._signals, self._rows, self._quarantine):
            file.close()
        numbers = self._number_again() if self._united else {}
        if self._ids is not None:
            rows = sorted((numbers.get(self._same_as(n), n), id) for n, id in self._ids.items())
            lines = (csv_line((str(n), id)) for n, id in (("patient", "id"), *rows))
            (self._folder / "patient_ids.csv").write_bytes(b"".join(lines))
        names = ("signals.npy", "records.csv", "quarantine.csv")
        sizes = {name: (self._folder / name).stat().st_size for name in names}
        digests = {name: sha256(self._folder / name) for name in names}
        # Through a Library of one record, so that defaults and checks are written once.
        probe = Library(
            signals=np.zeros((1, *self.shape), np.int16),
            labels=np.zeros((1, len(metadata["vocabulary"])), bool),
            patients=np.zeros(1, np.int32),
            **metadata,
        )
        about = probe.metadata() | {"shape": [self.records, *self.shape]}
        content = {
            "format": lib.FORMAT,
            "version": lib.VERSION,
            "metadata": about,
            "files": {n: {"bytes": sizes[n], "sha256": digests[n]} for n in names},
            "fingerprint": combine(about, digests["signals.npy"], digests["records.csv"]),
        }
        text = json.dumps(content, indent=1, ensure_ascii=False)
        (self._folder / "library.json").write_text(text + "\n", encoding="utf-8")
        lib.open_library(self._folder, verify=False)
        if self.path.exists():
            self.path.rename(self._work / "old")
        self._folder.rename(self.path)


def check_free(path: Path, *, overwrite: bool) -> None:
    """Asserts that a library can be made in a folder; removes what killed writers left there.

    Args:
      path: the folder to make.
      overwrite: whether an existing library may be replaced.

    Raises:
      LibraryError: something is in the way.
    """
    _clear(path)
    above = next((p for p in path.absolute().parents if p.exists()), None)
    if above is not None and not above.is_dir():
        raise LibraryError(f"{path}: {above} is a file, where a folder is needed; choose another")
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        if not _is_library(path):
            raise LibraryError(f"{path}: exists and is not a library; choose another --output")
        if not overwrite:
            raise LibraryError(f"{path}: the library exists; add --overwrite to replace it")


def save(library: Library, path: str | Path, *, overwrite: bool = False) -> None:
    """Writes a library to a folder; `open_library` gives it back with the same fingerprint.

    Args:
      library: what to write.
      path: the folder to make.
      overwrite: whether an existing library may be replaced.

    Raises:
      LibraryError: something is in the way.
    """
    with Writer(path, overwrite=overwrite) as writer:
        for signal, (id, patient, source, fold, codes, note) in zip(
            library.signals, library.rows()
        ):
            writer.add(
                signal,
                id=id,
                patient=patient,
                codes=codes.split(";") if codes else (),
                source=source,
                fold=int(fold),
                note=note,
            )
        metadata = library.metadata()
        del metadata["shape"]
        writer.finish(**metadata)


def _is_library(path: Path) -> bool:
    try:
        return read_json(path / "library.json")["format"] == lib.FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _lock(folder: Path) -> int | None:
    """Locks a folder until the descriptor is closed or the process ends, however it ends."""
    if fcntl is None:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process has it, or the file system knows no locks
        os.close(descriptor)
        return None
    return descriptor


def _clear(path: Path) -> None:
    """Removes what writers of `path` left whose processes are dead."""
    left = re.compile(rf"\.{re.escape(path.name)}\.partial-[0-9a-f]{{8}}")
    for work in path.parent.iterdir() if path.parent.is_dir() else ():
        if left.fullmatch(work.name) and (lock := _lock(work)) is not None:
            _abandon(work, path)
            os.close(lock)


def _abandon(work: Path, path: Path) -> None:
    if (work / "old").exists() and not path.exists():
        (work / "old").rename(path)
    shutil.rmtree(work, ignore_errors=True)
