"""DICOM waveforms, read by pydicom."""

import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np

from metaecg.data.readers.lead_names import is_lead
from metaecg.data.readers.notes import Note
from metaecg.data.readers.raw import WHOLE, Part, Raw, RecordError, patient_id
from metaecg.errors import missing

# The bits that the standard allows, and what they are; companded ones (MB, AB) are not read.
_NUMBERS = {(8, "SB"): "i1", (8, "UB"): "u1", (16, "SS"): "i2", (16, "US"): "u2",
            (32, "SL"): "i4", (32, "UL"): "u4", (64, "SV"): "i8", (64, "UV"): "u8"}  # fmt: skip


def read(path: Path, part: Part = WHOLE) -> Raw:
    """Reads the first original waveform group with samples of a DICOM ECG object."""
    try:
        import pydicom
    except ImportError:
        raise RecordError(missing("reading DICOM", "pydicom", "formats")) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on values that a viewer would have to mind
        content = pydicom.dcmread(path, force=True)  # some leave the preamble out
        groups = content.get("WaveformSequence", [])
        if not groups:
            raise RecordError("a DICOM object without a waveform; is it an image?")
        full = [i for i, g in enumerate(groups) if g.get("NumberOfWaveformSamples")]
        if not full:
            raise RecordError("no sample in it")
        by_device = [i for i in full if groups[i].get("WaveformOriginality") != "DERIVED"]
        chosen = (by_device or full)[0]
        group = groups[chosen]
        channels = list(group.ChannelDefinitionSequence)
        hz = float(group.SamplingFrequency)
        little = content.original_encoding[1] is not False
        signal = _samples(group, "<" if little else ">", part.samples(hz))
        names = [_dicom_lead(channel) for channel in channels]
        units = tuple(_unit(channel) for channel in channels)
        patient = patient_id(content.get("PatientID"))
        seconds = int(group.NumberOfWaveformSamples) / hz
    notes = []
    if len(groups) > 1:
        others = {_dicom_lead(c) for i in by_device for c in groups[i].ChannelDefinitionSequence}
        text = f"waveform group {chosen + 1} of {len(groups)}"
        notes.append(Note(text, serious=bool(others - {*names})))
    return Raw(
        signal,
        hz,
        units,
        tuple(names) if all(names) else None,
        tuple(notes),
        seconds=seconds,
        patient=patient,
    )


def _samples(group: Any, order: Literal["<", ">"], wanted: int | None) -> np.ndarray:
    """The first samples of a group in the units of its channels, NaN where there is padding."""
    channels = list(group.ChannelDefinitionSequence)
    count, samples = int(group.NumberOfWaveformChannels), int(group.NumberOfWaveformSamples)
    if count != len(channels):
        raise RecordError(f"{count} channels, of which {len(channels)} are described")
    skews = {
        float(c.get("ChannelTimeSkew") or 0) * float(group.SamplingFrequency)
        + float(c.get("ChannelSampleSkew") or 0)
        for c in channels
    }
    if max(skews) - min(skews) > 0.5:
        raise RecordError("its channels are skewed against each other; export them aligned")
    kind = int(group.WaveformBitsAllocated), str(group.WaveformSampleInterpretation)
    if kind not in _NUMBERS:
        raise RecordError(f"samples of {kind[0]} bits as {kind[1]}; export them as 16 bits, SS")
    dtype = np.dtype(_NUMBERS[kind]).newbyteorder(order)
    data = bytes(group.WaveformData)
    if len(data) < samples * count * dtype.itemsize:
        raise RecordError(f"truncated, {len(data)} of {samples * count * dtype.itemsize} bytes")
    read = samples if wanted is None else min(samples, wanted)
    raw = np.frombuffer(data, dtype, read * count).reshape(read, count)

    def each(name: str, default: float) -> np.ndarray:
        values = [channel.get(name) for channel in channels]
        return np.array([default if value is None else float(value) for value in values])

    gain = each("ChannelSensitivity", 1) * each("ChannelSensitivityCorrectionFactor", 1)
    signal = raw * gain + each("ChannelBaseline", 0)
    padding = group.get("WaveformPaddingValue")
    if padding is not None:
        unused = np.frombuffer(padding, dtype)[0] if isinstance(padding, bytes) else padding
        signal[raw == unused] = np.nan
    return signal


def _code(item: Any, sequence: str, field: str) -> str:
    codes = item.get(sequence) or []
    return str(codes[0].get(field, "")) if codes else ""


def _unit(channel: Any) -> str:
    """A channel's unit; '' where it has no sensitivity, so that its samples are counts."""
    if channel.get("ChannelSensitivity") is None:
        return ""
    return _code(channel, "ChannelSensitivityUnitsSequence", "CodeValue")


def _dicom_lead(channel: Any) -> str:
    scheme = _code(channel, "ChannelSourceSequence", "CodingSchemeDesignator")
    value = _code(channel, "ChannelSourceSequence", "CodeValue")
    meaning = _code(channel, "ChannelSourceSequence", "CodeMeaning").strip()
    label = str(channel.get("ChannelLabel") or "").strip()
    said = (value if scheme in ("MDC", "SCPECG") else "", meaning, label)
    return next((name for name in said if is_lead(name)), meaning or label or value)
