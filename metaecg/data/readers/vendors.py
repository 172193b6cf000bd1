"""Files of ECG machines, read by ecgdatakit: GE MUSE, Philips and HL7 XML, SCP-ECG, ISHNE."""

import importlib
import re
import struct
import warnings
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np

from metaecg.data.readers.notes import Note
from metaecg.data.readers.raw import WHOLE, Part, Raw, RecordError, patient_id, said
from metaecg.errors import missing

FORMATS = {
    "muse": ("GE MUSE XML", "ge_muse_xml.GEMuseXMLParser"),
    "philips": ("Philips XML", "sierra_xml.SierraXMLParser"),
    "aecg": ("HL7 aECG", "hl7_aecg.HL7aECGParser"),
    "scp": ("SCP-ECG", "scp_ecg.SCPECGParser"),
    "ishne": ("ISHNE", "ishne_holter.ISHNEHolterParser"),
}
"""What `recognise` calls a format, what people call it, and the class that parses it."""

_ROOTS = {"restingecg": "muse", "restingecgdata": "philips", "annotatedecg": "aecg"}
_LARGEST, _DEEPEST = 256 << 20, 100
_FAULT, _ISHNE_HEADER = -32768, 522  # of an ISHNE lead; bytes
_MOST = 1e15  # of any unit; far beyond it numbers overflow
_PULSE, _ALIKE = 1.0, 0.01  # mV: a calibration pulse, and how far leads may differ within it


def format_of(start: bytes) -> str | None:
    """The format of a file that begins so, a key of `FORMATS`; 'xml' for XML of no known machine.

    Args:
      start: the first 4,096 bytes.
    """
    if start.startswith(b"ISHNE1.0"):
        return "ishne"
    # The pointer section: a checksum, its number 0, its length, two versions and the name.
    if start[8:10] == b"\0\0" and start[16:22] == b"SCPECG":
        return "scp"
    wide = start.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = start.decode("utf-16" if wide else "latin-1", "replace").lstrip("\ufeffï»¿ \r\n\t")
    if not text.startswith(("<?xml", "<!", "<")):
        return None
    element = re.search(r"<(?:[\w.-]+:)?([A-Za-z][\w.-]*)", text)
    return _ROOTS.get(element[1].lower(), "xml") if element else "xml"


def read(format: str, path: Path, part: Part = WHOLE) -> Raw:
    """Reads the rhythm in a machine's file; representative beats are never taken for it.

    Of who the patient is, the id alone is returned.

    Args:
      format: a key of `FORMATS`.
      path: the file.
      part: how much of it to read; all but ISHNE are read whole, and cut.

    Raises:
      RecordError: ecgdatakit is not installed, or the file cannot be read or must not be.
    """
    name, place = FORMATS[format]
    parser = _parser(name, place)
    whole = _only_start(parser, path, part) if format == "ishne" else None
    if whole is None and path.stat().st_size > _LARGEST:
        raise RecordError(f"a {name} file of more than {_LARGEST >> 20} MiB; is it a recording?")
    if format in _ROOTS.values():
        _check_xml(path.read_bytes(), name)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            found = parser.parse(path)
        except (MemoryError, RecursionError):
            raise RecordError(f"damaged {name} file: its lengths are absurd") from None
        except Exception as error:  # it raises what comes first on a damaged file
            raise RecordError(f"damaged {name} file: {_said(error, path)}") from None
    raw = _raw(name, found.leads, [_said(w.message, path) for w in warned], part, whole)
    return raw._replace(patient=patient_id(found.patient.patient_id))


def _only_start(parser: Any, path: Path, part: Part) -> float | None:
    """Has the parser read no more of an ISHNE file than a part, for one of a day fills the memory.

    Returns:
      How long the recording is, in s; None where all of it is the part, or the header is damaged.
    """
    with open(path, "rb") as file:
        header = file.read(_ISHNE_HEADER)
    if len(header) < _ISHNE_HEADER:
        return None
    (before,) = struct.unpack_from("<i", header, 10)
    (leads,), (hz,) = (struct.unpack_from("<h", header, at) for at in (156, 272))
    wanted, start = part.samples(hz), _ISHNE_HEADER + before
    if wanted is None or before < 0 or hz <= 0 or not 0 < leads <= 12:
        return None
    there = (path.stat().st_size - start) // (2 * leads)
    if there <= wanted:
        return None
    # The one method that reads samples; a parser without it would read them all.
    parser._read_signal = lambda *_: (
        np.fromfile(path, "<i2", leads * wanted, offset=start).reshape(wanted, leads).T
    )
    return there / hz


def _parser(name: str, place: str) -> Any:
    module, kind = place.split(".")
    try:
        parsers = importlib.import_module(f"ecgdatakit.parsing.parsers.{module}")
    except ImportError:
        raise RecordError(missing(f"reading {name}", "ecgdatakit", "vendors")) from None
    return getattr(parsers, kind)()


def _raw(name: str, leads: list[Any], warned: list[str], part: Part, seconds: float | None) -> Raw:
    """What was parsed; `seconds` is the length of a recording of which the start alone was."""
    if not leads or not any(len(lead.samples) for lead in leads):
        raise RecordError(f"a {name} file without a rhythm; are there representative beats alone?")
    if wrong := [text for text in warned if "CRC" in text or "checksum" in text.lower()]:
        raise RecordError(f"damaged {name} file: {wrong[0]}")
    sizes = {(len(lead.samples), float(lead.sampling_rate)) for lead in leads}
    if len(sizes) > 1:
        listed = ", ".join(f"{count} at {hz:g} Hz" for count, hz in sorted(sizes))
        raise RecordError(f"its leads differ in samples or rate: {listed}; export them alike")
    ((_, hz),) = sizes
    columns, units = zip(*(_lead(lead, name) for lead in leads))
    signal, notes = np.stack(columns, axis=1), [Note(text, serious=True) for text in warned]
    if seconds is None:
        signal, said_of_pulse = without_pulse(signal, units, hz)
        notes += said_of_pulse
    whole, wanted = len(signal), part.samples(hz)
    return Raw(
        signal if wanted is None else signal[:wanted],
        hz if hz > 0 else None,
        units,
        tuple(lead.label for lead in leads),
        tuple(notes),
        seconds=seconds or (whole / hz if hz > 0 else None),
    )


def _lead(lead: Any, name: str) -> tuple[np.ndarray, str]:
    """The samples of a lead [samples] and their unit; without a gain, counts that have none.

    Raises:
      RecordError: a sample is beyond what any machine measures.
    """
    samples, unit = np.asarray(lead.samples, float), lead.units
    if name == "ISHNE":
        samples = np.where(samples == _FAULT, np.nan, samples)
    if name == FORMATS["aecg"][0] and not lead.adc_resolution:
        unit = ""  # its parser takes a scale that is not there for one
    elif lead.is_raw:
        unit = lead.resolution_unit or ""
    values = samples
    if lead.is_raw and unit:
        with np.errstate(over="ignore", invalid="ignore"):
            values = samples * lead.resolution + lead.offset
    if (np.abs([samples, values]) > _MOST).any():
        raise RecordError(
            f"damaged {name} file: lead {said(lead.label)} has samples above {_MOST:g}"
        )
    return values, unit


def without_pulse(
    signal: np.ndarray, units: tuple[str, ...], hz: float
) -> tuple[np.ndarray, list[Note]]:
    """What a machine's file holds without a calibration pulse at its end, with a note of one.

    Args:
      signal: float [samples, leads].
      units: of the leads; a pulse is known in mV or uV.
      hz: samples per second.
    """
    steps = {"mV": 1.0, "uV": 1000.0}
    alike = len(set(units)) == 1 and units[0] in steps
    pulse = _calibration(signal / steps[units[0]], hz) if alike else 0
    if not pulse:
        return signal, []
    text = f"the calibration pulse at its end, {pulse / hz:g} s, is cut off"
    return signal[: len(signal) - pulse], [Note(text)]


def _calibration(signal: np.ndarray, hz: float) -> int:
    """How many samples at the end are a calibration pulse: all leads step alike by 1 mV there.

    Args:
      signal: float [samples, leads] in mV.
      hz: samples per second.
    """
    tail = signal[-int(2 * hz) :]
    if signal.shape[1] < 2 or not tail.size:
        return 0
    from_end = tail - tail[-1]
    spread, middle = np.ptp(from_end, axis=1), from_end.mean(axis=1)
    # Samples before it may be alike by chance, but not of its height.
    apart = np.flatnonzero((spread > _ALIKE) | (middle < -0.05 * _PULSE) | (middle > 1.05 * _PULSE))
    alike = from_end[apart[-1] + 1 :] if len(apart) else from_end[:0]
    return len(alike) if alike.size and abs(np.ptp(alike) - _PULSE) < 0.05 else 0


def _check_xml(content: bytes, name: str) -> None:
    """Refuses XML that is not well-formed, fetches, multiplies or is nested without end.

    Raises:
      RecordError: says which, and where.
    """
    depth = 0

    def enter(*_: object) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise RecordError(f"a {name} file nested more than {_DEEPEST} deep; it is no recording")

    def leave(*_: object) -> None:
        nonlocal depth
        depth -= 1

    def refuse(*_: object) -> None:
        raise RecordError(
            f"a {name} file with a document type definition, which could fetch or multiply "
            "content; take the line <!DOCTYPE …> out"
        )

    def declare(_: str, system: str | None, public: str | None, inner: int) -> None:
        # GE MUSE names a file beside its own, which nobody reads; anything more is refused.
        if inner or public or (system and ":" in system):
            refuse()

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = enter, leave
    parser.EntityDeclHandler = refuse
    parser.StartDoctypeDeclHandler = declare
    try:
        parser.Parse(content, True)
    # A LookupError or ValueError is of an encoding that nobody knows.
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise RecordError(f"damaged {name} file: {error}") from None


def _said(message: object, path: Path) -> str:
    """A message of the parser on one line, without the path, which the caller says."""
    text = said(message).replace(str(path), "it").replace(path.name, "it")
    return text[:200] or type(message).__name__
