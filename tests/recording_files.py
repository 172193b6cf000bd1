"""Recordings written in every format, for the tests of readers and sources."""

import numpy as np
import pytest
import wfdb

from metaecg.data.readers.recordings import Recording

HZ, LEADS = 250.0, ("I", "II", "V1")
CSV = {"hz": HZ, "units": "mV", "leads": LEADS}


def signal(leads=3, samples=2000, hz=HZ, seed=0):
    """Beats of 1 mV on a little noise, in whole µV."""
    rng = np.random.default_rng(seed)
    beats = np.exp(-((np.arange(samples) / hz % 0.8 - 0.3) ** 2) / 2 / 0.02**2)
    mv = beats[:, None] * np.linspace(0.7, 1.3, leads) + rng.normal(0, 0.02, (samples, leads))
    return mv.round(3)


MV = signal()


def said(notes):
    """The texts of notes, serious ones with an exclamation mark before them."""
    return tuple("! " * note.serious + note.text for note in notes)


def write_wfdb(folder, mv=MV, name="r", format="16", leads=LEADS, units="mV", gain=1000.0):
    count = mv.shape[1]
    wfdb.wrsamp(
        name, fs=HZ, units=[units] * count, sig_name=list(leads), p_signal=mv, fmt=[format] * count,
        adc_gain=[gain] * count, baseline=[0] * count, write_dir=str(folder),
    )  # fmt: skip
    return folder / f"{name}.hea"


def write_csv(path, mv=MV, names=("I (mV)", "II (mV)", "V1 (mV)"), separator=",", time=True):
    rows = [[f"{value:.3f}" for value in row] for row in mv]
    if time:
        rows = [[f"{i / HZ:.4f}", *row] for i, row in enumerate(rows)]
        names = ("time (s)", *names)
    lines = [separator.join(row) for row in ([list(names), *rows] if names else rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_edf(path, mv=MV, labels=LEADS, units="mV", rates=None, limit=5.0):
    """EDF+ with `limit` units at the ends of 16 bits."""
    pyedflib = pytest.importorskip("pyedflib", reason="the extra 'formats' is not installed")
    with pyedflib.EdfWriter(str(path), mv.shape[1], pyedflib.FILETYPE_EDFPLUS) as file:
        for i, label in enumerate(labels):
            header = {"label": label, "dimension": units, "physical_min": -limit}
            header |= {"sample_frequency": (rates or [HZ] * len(labels))[i], "transducer": ""}
            header |= {"physical_max": limit, "digital_min": -32768, "digital_max": 32767}
            file.setSignalHeader(i, header | {"prefilter": ""})
        file.writeSamples([np.ascontiguousarray(column) for column in mv.T])
    return path


def write_dicom(path, mv=MV, codes=(("2:1", "MDC"), ("2:2", "MDC"), ("2:3", "MDC")), edit=None):
    """A general ECG waveform in units of 1 µV, written with pydicom."""
    pydicom = pytest.importorskip("pydicom", reason="the extra 'formats' is not installed")
    from pydicom.dataset import Dataset, FileMetaDataset

    def code(value, scheme, meaning):
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
        return [item]

    channels = []
    for value, scheme in codes:
        channel = Dataset()
        meaning = value if scheme == "99LOCAL" else "some lead"
        channel.ChannelSourceSequence = code(value, scheme, meaning)
        channel.ChannelSensitivityUnitsSequence = code("uV", "UCUM", "microvolt")
        channel.ChannelSensitivity = "0.5"
        channel.ChannelSensitivityCorrectionFactor = "2"
        channel.ChannelBaseline = "0"
        channels.append(channel)
    group = Dataset()
    group.WaveformOriginality, group.SamplingFrequency = "ORIGINAL", "250"
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = mv.shape[1], len(mv)
    group.ChannelDefinitionSequence = channels
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 16, "SS"
    digital = np.where(np.isnan(mv), -32768, np.nan_to_num(mv * 1000)).round().astype("<i2")
    group.WaveformPaddingValue = np.int16(-32768).tobytes()
    group.WaveformData = digital.tobytes()
    file = Dataset()
    file.SOPClassUID, file.Modality = "1.2.840.10008.5.1.4.1.1.9.1.2", "ECG"
    file.SOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=["one"])
    file.WaveformSequence = [group]
    if edit:
        edit(file)
    file.file_meta = FileMetaDataset()
    file.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID
    file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID
    file.save_as(path, enforce_file_format=True)
    return path


def write_npy(path):
    np.save(path, MV.astype(np.float32))
    return path


def write_npz(path):
    np.savez(path, signal=MV.T, fs=HZ, leads=np.array(LEADS), units="mV")
    return path


def recorded(mv, leads, hz=HZ):
    return Recording(mv, hz, tuple(leads), "r.csv", ())
