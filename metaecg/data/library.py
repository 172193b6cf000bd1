"""The sample library: int16 signals with multi-hot labels and patients, in memory or on disk.

On disk a library is a folder without any pickle in it:

- ``library.json``: format, metadata, and size and sha256 of the other files;
- ``signals.npy``: int16 [records, samples, leads], memory-mapped when opened;
- ``records.csv``: one row a record (id, patient, source, fold, labels, notes);
- ``quarantine.csv``: what was left out when the library was made, and why;
- ``patient_ids.csv``: who the patients are, only where that was asked for; nothing reads it.
"""

import csv
import dataclasses
import functools
import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from metaecg.data.coding import dense
from metaecg.data.coding import multi_hot as multi_hot
from metaecg.data.files import combine, csv_line, npy_header, read_json, sha256
from metaecg.errors import LibraryError as LibraryError

FORMAT = "metaecg library"
VERSION = 1
COLUMNS = ("id", "patient", "source", "fold", "labels", "notes")
FIELDS = ("hz", "leads", "scale", "vocabulary", "names", "kinds", "source", "processing")


@dataclasses.dataclass(frozen=True, eq=False)
class Library:
    """N diagnoses with K records each, as the source has it [0042], plus who they came from.

    Only `signals`, `labels`, `vocabulary` and `patients` have no default.

    Attributes:
      signals: int16 [R, samples, leads]; a read-only memory map when opened from disk.
      labels: bool [R, C], multi-hot.
      vocabulary: C distinct codes, such as 'AFIB'; without ';'.
      patients: int32 [R], equal where two records are of the same patient; made dense, numbered
        as they first appear.
      hz: samples per second.
      leads: names of the leads, in the order of the last axis of `signals`.
      scale: mV per unit of `signals`.
      names: C human-readable names; the codes where left out.
      kinds: C kinds of statement joined by ';', such as 'diagnostic;form'; '' where unknown.
      ids: R distinct record ids; '0' … where left out.
      sources: R paths relative to the imported folder; '' where there is none.
      folds: int32 [R], the data set's own folds; 0 where there are none.
      notes: R remarks on what was done to this one record.
      source: where the records came from, such as 'ptbxl'.
      processing: what was done to all signals, in words and in order.
      bandpass: (low, high) in Hz of the filter that all signals passed through; None without one.

    Raises:
      LibraryError: a shape or type does not fit the others.
    """

    signals: np.ndarray
    labels: np.ndarray
    vocabulary: tuple[str, ...]
    patients: np.ndarray
    hz: float = 100.0
    leads: tuple[str, ...] = ()
    scale: float = 0.001
    names: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    folds: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int32))
    notes: tuple[str, ...] = ()
    source: str = ""
    processing: tuple[str, ...] = ()
    bandpass: tuple[float, float] | None = None

    def __post_init__(self):
        def put(field: str, value: Any) -> None:
            object.__setattr__(self, field, value)

        if self.signals.ndim != 3 or self.signals.dtype != np.int16:
            raise LibraryError(
                "library: signals must be int16 [records, samples, leads]; "
                f"got {self.signals.dtype} {list(self.signals.shape)}"
            )
        records, _, leads = self.signals.shape
        if not self.signals.size:
            raise LibraryError(f"library: signals {list(self.signals.shape)} hold no sample")
        put("vocabulary", tuple(self.vocabulary))
        put("hz", float(self.hz))
        put("scale", float(self.scale))
        put("leads", tuple(self.leads) or tuple(f"lead {i}" for i in range(leads)))
        put("names", tuple(self.names) or self.vocabulary)
        put("kinds", tuple(self.kinds) or ("",) * len(self.vocabulary))
        put("ids", tuple(self.ids) or tuple(str(row) for row in range(records)))
        put("sources", tuple(self.sources) or ("",) * records)
        put("notes", tuple(self.notes) or ("",) * records)
        put("processing", tuple(self.processing))
        if self.bandpass is not None:
            put("bandpass", tuple(map(float, self.bandpass)))
            if len(self.bandpass) != 2 or not 0 < self.bandpass[0] < self.bandpass[1] < math.inf:
                raise LibraryError(f"library: bandpass {self.bandpass} must be (low, high) in Hz")
        put("labels", np.asarray(self.labels))
        put("patients", dense(np.asarray(self.patients)))
        put("folds", np.asarray(self.folds if len(self.folds) else np.zeros(records), np.int32))
        classes = len(self.vocabulary)
        if self.labels.dtype != bool or self.labels.shape != (records, classes):
            raise LibraryError(
                f"library: labels must be bool [{records}, {classes}] for {records} records and "
                f"{classes} codes; got {self.labels.dtype} {list(self.labels.shape)}"
            )
        lengths = {"leads": leads, "names": classes, "kinds": classes}
        lengths |= dict.fromkeys(("patients", "ids", "sources", "folds", "notes"), records)
        for field, length in lengths.items():
            if len(getattr(self, field)) != length:
                raise LibraryError(
                    f"library: {field} has {len(getattr(self, field))} entries instead of {length}"
                )
        texts = ("leads", "vocabulary", "names", "kinds", "ids", "sources", "notes", "processing")
        for field in texts:
            if not all(isinstance(text, str) for text in getattr(self, field)):
                raise LibraryError(f"library: {field} must be text")
        if not isinstance(self.source, str):
            raise LibraryError(f"library: source is {self.source!r}, and must be text")
        for field in ("vocabulary", "ids", "leads"):
            if len(set(getattr(self, field))) != len(getattr(self, field)):
                raise LibraryError(f"library: {field} has repeated entries")
        if bad := [code for code in self.vocabulary if not code or ";" in code]:
            raise LibraryError(f"library: vocabulary has the code {bad[0]!r}; ';' separates codes")
        if not (0 < self.hz < math.inf and 0 < self.scale < math.inf):
            raise LibraryError(f"library: hz {self.hz} and scale {self.scale} must be positive")

    def __len__(self) -> int:
        return len(self.signals)

    def millivolts(self, rows: Any = slice(None)) -> np.ndarray:
        """Signals of some records in mV: float32 [n, samples, leads], read from disk if need be."""
        # Units per mV, unlike mV per unit, is a number that float32 holds exactly.
        return np.divide(self.signals[rows], np.float32(1 / self.scale), dtype=np.float32)

    def without_offsets(self, rows: Any = slice(None)) -> np.ndarray:
        """As `millivolts`, as recordings are diagnosed: each lead less its median, in whole units.

        The median of an even number of units may lie between two, hence the rounding.
        """
        units = self.signals[rows]
        units = np.rint(units - np.median(units, axis=-2, keepdims=True))
        return np.divide(units, np.float32(1 / self.scale), dtype=np.float32)

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 of all that the library holds; the same in memory and on disk.

        A synthetic library is identified by its arguments and the generator's version instead of by
        its signals, so that it is the same library on any machine.
        """
        signals = hashlib.sha256(npy_header(self.signals.shape))
        for start in range(0, len(self), 1024):
            signals.update(np.ascontiguousarray(self.signals[start : start + 1024], "<i2").data)
        return combine(self.metadata(), signals.hexdigest(), self.records_sha256())

    @functools.cached_property
    def recordings(self) -> tuple[str, ...]:
        """sha256 of each record's signal, which finds copies within and between libraries.

        Values in mV, rate and leads count: the same recording prepared in the same form has the
        same hash in every library.
        """
        form = json.dumps([self.hz, self.leads, self.scale]).encode()
        return tuple(
            hashlib.sha256(form + np.ascontiguousarray(signal, "<i2").tobytes()).hexdigest()
            for signal in self.signals
        )

    def records_sha256(self) -> str:
        """sha256 of records.csv as it is written."""
        records = hashlib.sha256(csv_line(COLUMNS))
        for row in self.rows():
            records.update(csv_line(row))
        return records.hexdigest()

    def metadata(self) -> dict[str, Any]:
        """What library.json says of all records, of JSON types."""
        values = {field: getattr(self, field) for field in FIELDS}
        if self.bandpass:
            values["bandpass"] = self.bandpass
        return {
            "shape": list(self.signals.shape),
            **{k: list(v) if isinstance(v, tuple) else v for k, v in values.items()},
        }

    def rows(self) -> Iterator[tuple[str, ...]]:
        """The rows of records.csv, in the order of `COLUMNS`."""
        for r in range(len(self)):
            codes = sorted(self.vocabulary[c] for c in np.flatnonzero(self.labels[r]))
            patient, fold = str(self.patients[r]), str(self.folds[r])
            yield self.ids[r], patient, self.sources[r], fold, ";".join(codes), self.notes[r]


def open_library(path: str | Path, verify: bool = True) -> Library:
    """Opens a library; its signals stay on disk until they are indexed.

    Args:
      path: the library's folder.
      verify: whether to compare the sha256 of every file (about a second for 500 MB). Sizes and
        the metadata's own hash are compared either way.

    Returns:
      The library, `signals` a read-only memory map.

    Raises:
      LibraryError: it is no library, or it is truncated, edited or of another version.
    """
    path = Path(path)
    remedy = "import it again by metaecg prepare"
    try:
        about = read_json(path / "library.json")
    except FileNotFoundError:
        raise LibraryError(f"{path}: no library.json; make one by metaecg prepare") from None
    except (ValueError, OSError) as error:
        raise LibraryError(f"{path}/library.json: {error}; {remedy}") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise LibraryError(f"{path}/library.json: format is not {FORMAT!r}; {remedy}")
    if about.get("version") != VERSION:
        found = f"{about.get('version')!r:.20} instead of {VERSION}"
        raise LibraryError(f"{path}/library.json: version {found}; {remedy}")
    try:
        metadata, files = about["metadata"].copy(), about["files"]
        digests = [files[name]["sha256"] for name in ("signals.npy", "records.csv")]
        if combine(metadata, *digests) != about["fingerprint"]:
            raise LibraryError(f"{path}/library.json: fingerprint differs, edited; {remedy}")
        for name in ("signals.npy", "records.csv", "quarantine.csv"):
            _check_file(path / name, files[name], verify, remedy)
        signals = _map_signals(path / "signals.npy", metadata.pop("shape"), remedy)
    except (KeyError, TypeError, AttributeError) as error:
        raise LibraryError(f"{path}/library.json: field {error} is missing; {remedy}") from None
    except OSError as error:
        raise LibraryError(f"{path}: {error.strerror}; {remedy}") from None
    try:
        with open(path / "records.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))
        ids, patients, sources, folds, codes, notes = zip(*rows[1:], strict=True)
        library = Library(
            signals=signals,
            labels=multi_hot(codes, metadata["vocabulary"]),
            patients=np.array(patients, np.int32),
            ids=ids,
            sources=sources,
            folds=np.array(folds, np.int32),
            notes=notes,
            bandpass=metadata.get("bandpass"),
            **{field: metadata[field] for field in FIELDS},
        )
        if not library.bandpass and any("band-pass" in step for step in library.processing):
            raise LibraryError("its band-pass is given in words alone, as version 0.1 wrote it")
        # Whatever was sealed with hashes that fit: what was understood is what is written there.
        records = library.records_sha256() if verify else digests[1]
        if combine(library.metadata(), digests[0], records) != about["fingerprint"]:
            raise LibraryError("not as metaecg prepare writes it, or library.json is not")
    except (ValueError, TypeError, KeyError, OverflowError, csv.Error) as error:
        raise LibraryError(f"{path}/records.csv: {error!s:.300}; {remedy}") from None
    library.__dict__["fingerprint"] = about["fingerprint"]
    return library


def _map_signals(path: Path, shape: Any, remedy: str) -> np.ndarray:
    """Maps signals.npy, which begins with the header of this shape and holds what it says."""
    if not (isinstance(shape, list) and len(shape) == 3 and all(type(n) is int for n in shape)):
        raise LibraryError(f"{path.parent}/library.json: shape {shape!r:.40}; {remedy}")
    header = npy_header(tuple(shape))
    with open(path, "rb") as file:
        found = file.read(len(header))
    if (
        found != header
        or min(shape) < 1
        or path.stat().st_size != len(header) + 2 * math.prod(shape)
    ):
        raise LibraryError(f"{path}: is not int16 {shape}, as library.json says; {remedy}")
    return np.memmap(path, "<i2", "r", len(header), tuple(shape))


def _check_file(path: Path, expected: dict[str, Any], verify: bool, remedy: str) -> None:
    if not path.is_file():
        raise LibraryError(f"{path}: missing; {remedy}")
    if path.stat().st_size != expected["bytes"]:
        raise LibraryError(
            f"{path}: {path.stat().st_size} bytes instead of {expected['bytes']!r:.20}; {remedy}"
        )
    if verify and sha256(path) != expected["sha256"]:
        raise LibraryError(f"{path}: sha256 differs, damaged or edited; {remedy}")
