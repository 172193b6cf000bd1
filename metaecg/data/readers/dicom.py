"""DICOM waveforms, read by pydicom."""

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from metaecg.data.readers.notes import Note
from metaecg.data.readers.raw import MISSING, Raw, RecordError


def read(path: Path) -> Raw:
    """Reads the first original waveform group of a DICOM ECG object."""
    try:
        import pydicom
    except ImportError:
        raise RecordError(MISSING.format("DICOM", "pydicom")) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on values that a viewer would have to mind
        content = pydicom.dcmread(path)
        groups = content.get("WaveformSequence", [])
        if not groups:
            raise RecordError("a DICOM object without a waveform; is it an image?")
        original = (g.get("WaveformOriginality", "ORIGINAL") == "ORIGINAL" for g in groups)
        first = next((i for i, is_original in enumerate(original) if is_original), 0)
        group = groups[first]
        signal = content.waveform_array(first)
        padding = group.get("WaveformPaddingValue")
        if padding is not None:
            raw = pydicom.waveforms.multiplex_array(content, first, as_raw=True)
            unused = np.frombuffer(padding, raw.dtype) if isinstance(padding, bytes) else padding
            signal[raw == unused] = np.nan
    channels = group.ChannelDefinitionSequence
    units = [_code(c, "ChannelSensitivityUnitsSequence", "CodeValue") for c in channels]
    names = [_dicom_lead(c) for c in channels]
    note = Note(f"waveform group {first + 1} of {len(groups)}")
    return Raw(
        signal,
        float(group.SamplingFrequency),
        tuple(map(str, units)) if all(units) else None,
        tuple(map(str, names)) if all(names) else None,
        (note,) if len(groups) > 1 else (),
    )


def _code(item: Any, sequence: str, field: str) -> str:
    codes = item.get(sequence) or []
    return str(codes[0].get(field, "")) if codes else ""


# DICOM PS3.16, CID 3001: the number that ends a lead's code, in MDC (2:1) and SCP-ECG (5.6.3-9-1).
_NUMBERED = {"1": "I", "2": "II", "61": "III", "62": "aVR", "63": "aVL", "64": "aVF"}
_NUMBERED |= {str(n + 2): f"V{n}" for n in range(1, 7)}


def _dicom_lead(channel: Any) -> str:
    scheme = _code(channel, "ChannelSourceSequence", "CodingSchemeDesignator")
    code = re.search(r"[:-](\d+)$", _code(channel, "ChannelSourceSequence", "CodeValue"))
    if scheme in ("MDC", "SCPECG") and code and code[1] in _NUMBERED:
        return _NUMBERED[code[1]]
    meaning = _code(channel, "ChannelSourceSequence", "CodeMeaning")
    return re.sub(r"\(.*\)", "", meaning).strip() or str(channel.get("ChannelLabel", ""))
