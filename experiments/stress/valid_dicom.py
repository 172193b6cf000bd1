"""DICOM waveforms in every legal way."""

from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from experiments.stress.valid import Truth, Written, inverted

_MDC = {"I": 1, "II": 2, "III": 61, "aVR": 62, "aVL": 63, "aVF": 64,
        **{f"V{n}": n + 2 for n in range(1, 7)}}  # fmt: skip
_KINDS = {"SS": "i2", "US": "u2", "SL": "i4", "SB": "i1"}


def dicom(rng: Random, folder: Path, truth: Truth) -> Written:
    """A waveform of any number type, byte order, code of leads, sensitivity and padding."""
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset

    file, names = inverted(rng, truth)
    coding = rng.choice(("MDC", "SCPECG", "meaning", "label"))
    if coding in ("MDC", "SCPECG"):
        names = [rng.choice((f"2:{_MDC[lead]}", f"MDC_ECG_LEAD_{lead}")) if coding == "MDC"
                 else f"5.6.3-9-{_MDC[lead]}" for lead in truth.leads]  # fmt: skip
        file = truth
    kind, order = rng.choice(list(_KINDS)), rng.choice(("<", "<", ">"))
    dtype = np.dtype(order + _KINDS[kind])
    info = np.iinfo(dtype)
    signal = file.microvolts
    span = np.nanmax(np.abs(signal)) or 1.0
    step = 2 * span / 250 if kind == "SB" else rng.choice((0.5, 1.0, 2.5))
    baseline = -span - 1 if kind == "US" else rng.choice((0.0, 0.0, 100.0))
    baseline = 0.0 if kind == "SB" else baseline
    digital = np.rint((signal - baseline) / step)
    padding = int(info.min) if info.min < 0 else int(info.max)
    holes = bool(np.isnan(digital).any())
    digital = np.where(np.isnan(digital), padding, digital).astype(dtype)
    unit, factor = rng.choice((("uV", 1.0), ("mV", 1e-3), ("V", 1e-6)))

    def code(value: str, scheme: str, meaning: str) -> list[Any]:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
        return [item]

    channels: list[Any] = []
    corrected = rng.random() < 0.5
    for name in names:
        channel = Dataset()
        if coding in ("MDC", "SCPECG"):
            channel.ChannelSourceSequence = code(name[:16], coding, "a lead")
            if len(name) > 16:
                channel.ChannelSourceSequence[0].CodeValue = f"2:{_MDC[truth.leads[len(channels)]]}"
        elif coding == "meaning":
            channel.ChannelSourceSequence = code("X1", "99LOCAL", name.replace("−", "-"))
        else:
            channel.ChannelSourceSequence = code("X1", "99LOCAL", "")
            channel.ChannelLabel = name.replace("−", "-")[:16]
        channel.ChannelSensitivityUnitsSequence = code(unit, "UCUM", "volts")
        sensitivity = step * factor / (2 if corrected else 1)
        channel.ChannelSensitivity = f"{sensitivity:.10g}"
        if corrected:
            channel.ChannelSensitivityCorrectionFactor = "2"
        if baseline or rng.random() < 0.5:
            channel.ChannelBaseline = f"{baseline * factor:.10g}"
        channel.WaveformBitsStored = dtype.itemsize * 8
        channels.append(channel)
    group = Dataset()
    group.WaveformOriginality, group.SamplingFrequency = "ORIGINAL", f"{truth.hz:g}"
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = len(names), len(signal)
    group.ChannelDefinitionSequence = channels
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 8 * dtype.itemsize, kind
    if holes or rng.random() < 0.5:
        group.WaveformPaddingValue = np.array(padding, dtype).tobytes()
    data = digital.tobytes()
    group.WaveformData = data + b"\0" * (len(data) % 2)
    content = Dataset()
    content.SOPClassUID, content.Modality = "1.2.840.10008.5.1.4.1.1.9.1.1", "ECG"
    content.SOPInstanceUID = "1.2.3.4"
    content.WaveformSequence = [group]
    syntax = pydicom.uid.ExplicitVRBigEndian
    if order == "<":
        syntax = rng.choice(
            (pydicom.uid.ExplicitVRLittleEndian, pydicom.uid.ImplicitVRLittleEndian)
        )
    content.file_meta = FileMetaDataset()
    content.file_meta.TransferSyntaxUID = syntax
    content.file_meta.MediaStorageSOPClassUID = content.SOPClassUID
    content.file_meta.MediaStorageSOPInstanceUID = content.SOPInstanceUID
    for each, name in ((group, "WaveformData"), (group, "WaveformPaddingValue")):
        if name in each:
            each[name].VR = "OB" if dtype.itemsize == 1 else "OW"
    path = folder / rng.choice(("r.dcm", "r", "r.txt"))
    content.save_as(path, enforce_file_format=True)
    if rng.random() < 0.1 and order == "<":
        path.write_bytes(path.read_bytes()[128 + 4 :])  # some devices leave the preamble out
    how = f"{kind} {syntax.name} {coding} {unit} {names} step {step:g} baseline {baseline:g}"
    must = coding != "label" or all(len(name.replace("−", "-")) <= 16 for name in names)
    return Written(path, truth, {}, step / 2 + 0.01, must, how)
