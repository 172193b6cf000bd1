"""Who a patient is never leaves the file: all that commands say and write is searched for it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import wfdb

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests" / "data" / "readers"))
from vendor_files import PERSON, WRITERS  # noqa: E402

SECRETS = [text.encode() for text in PERSON.values()] + [b"1931", b"02-03-19"]


def beats(seed, samples=5000, leads=8, hz=500):
    """Counts [samples, leads] that look like an ECG."""
    rng = np.random.default_rng(seed)
    phase = np.arange(samples) / hz * (0.9 + seed % 2) % 1 - 0.5
    beat = 200 * np.exp(-(phase**2) / 2 / 0.02**2)
    size = np.linspace(0.5, 1.5, leads)
    return np.round(beat[:, None] * size + rng.normal(0, 4, (samples, leads))).astype(int)


def write_wfdb(folder, name, counts):
    comments = [f"{key}: {value}" for key, value in PERSON.items()] + ["Dx: 426783006"]
    wfdb.wrsamp(
        name, fs=500, units=["mV"] * 8, sig_name=["I", "II", *(f"V{i}" for i in range(1, 7))],
        p_signal=counts / 200, fmt=["16"] * 8, write_dir=str(folder), comments=comments,
    )  # fmt: skip


def write_edf(path, counts):
    pyedflib = pytest.importorskip("pyedflib", reason="the extra 'formats' is not installed")
    names = ["I", "II", *(f"V{i}" for i in range(1, 7))]
    with pyedflib.EdfWriter(str(path), 8) as edf:
        edf.setPatientName(f"{PERSON['first']}_{PERSON['last']}")
        edf.setPatientCode(PERSON["id"])
        edf.setAdmincode(PERSON["hospital"].replace(" ", "_"))
        edf.setTechnician(PERSON["doctor"].replace(" ", "_"))
        for i, lead in enumerate(names):
            header = {"label": lead, "dimension": "mV", "sample_frequency": 500}
            header |= {"physical_min": -5.0, "physical_max": 5.0, "transducer": "", "prefilter": ""}
            edf.setSignalHeader(i, header | {"digital_min": -32768, "digital_max": 32767})
        edf.writeSamples([np.ascontiguousarray(column) for column in (counts / 200).T])


def write_dicom(path, counts):
    pydicom = pytest.importorskip("pydicom", reason="the extra 'formats' is not installed")
    from pydicom.dataset import Dataset, FileMetaDataset

    content, group = Dataset(), Dataset()
    content.PatientName = f"{PERSON['last']}^{PERSON['first']}"
    content.PatientID, content.PatientBirthDate = PERSON["id"], "19310203"
    content.InstitutionName = PERSON["hospital"]
    content.ReferringPhysicianName = PERSON["doctor"]
    content.SOPClassUID, content.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.9.1.1", "1.2.3"
    group.SamplingFrequency, group.NumberOfWaveformChannels = 500, 8
    group.NumberOfWaveformSamples, group.WaveformBitsAllocated = len(counts), 16
    group.WaveformSampleInterpretation, group.WaveformOriginality = "SS", "ORIGINAL"
    channels = []
    for lead in ["I", "II", *(f"V{i}" for i in range(1, 7))]:
        channel, unit = Dataset(), Dataset()
        channel.ChannelLabel = lead
        unit.CodeValue = "uV"
        channel.ChannelSensitivity, channel.ChannelSensitivityUnitsSequence = 5, [unit]
        channels.append(channel)
    group.ChannelDefinitionSequence = channels
    group.WaveformData = counts.astype("<i2").tobytes()
    content.WaveformSequence = [group]
    content.file_meta = FileMetaDataset()
    content.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    pydicom.dcmwrite(path, content, enforce_file_format=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of every format that can say who the patient is, in two diagnoses, and broken ones."""
    pytest.importorskip("ecgdatakit", reason="the vendors extra is not installed")
    folder = tmp_path_factory.mktemp("hospital")
    for number, label in enumerate(("AFIB", "LBBB")):
        (folder / "files" / label).mkdir(parents=True)
        (folder / "wfdb" / label).mkdir(parents=True)
        for twice in range(2):
            seed = number + 2 * twice
            for name, (write, _) in WRITERS.items():
                path = folder / "files" / label / f"{twice}{name}"
                path.write_bytes(write(beats(seed)))
            write_edf(folder / "files" / label / f"{twice}.edf", beats(seed))
            write_dicom(folder / "files" / label / f"{twice}.dcm", beats(seed))
            write_wfdb(folder / "wfdb" / label, f"r{twice}", beats(seed))
    broken = (folder / "files" / "AFIB" / "0muse.xml").read_bytes()
    (folder / "files" / "AFIB" / "broken.xml").write_bytes(broken[:4000])
    return folder


def run(folder, *command):
    """What a command says on both streams."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (folder / "said").mkdir(exist_ok=True)
    (folder / "said" / command[0]).write_bytes(done.stdout + done.stderr)
    return done.stdout + done.stderr


@pytest.mark.slow
def test_no_command_says_or_writes_who_the_patient_is(folder, tmp_path):
    assert any(SECRETS[0] in path.read_bytes() for path in folder.rglob("*.xml"))
    form = ("--hz=100", "--seconds=10", "--labels=folders")
    said = run(
        tmp_path, "experiments.prepare", "--source=csv", f"--input={folder / 'files'}",
        f"--output={tmp_path / 'library'}", *form,
    )  # fmt: skip
    assert b"patients are distinguished by the ids inside the files, which are not kept" in said
    records = (tmp_path / "library" / "records.csv").read_text().splitlines()
    assert len(records) == 1 + 2 * 2 * 7
    # All files with an id are of one invented person; EDF files are not asked for theirs.
    assert len({line.split(",")[1] for line in records[1:] if ".edf" not in line}) == 1
    run(
        tmp_path, "experiments.prepare", "--source=wfdb", f"--input={folder / 'wfdb'}",
        f"--output={tmp_path / 'wfdb'}", *form,
    )  # fmt: skip
    (folder / "files" / "AFIB" / "broken.xml").unlink()  # an example that cannot be read is refused
    query = folder / "files" / "LBBB"
    run(
        tmp_path, "experiments.diagnose", f"--support={folder / 'files'}",
        *(f"--query={query / name}" for name in ("0muse.xml", "0.dcm", "0.edf", "0scp.scp")),
        f"--report={tmp_path / 'report.html'}", f"--output={tmp_path / 'answer.json'}",
    )  # fmt: skip
    leaked = [
        f"{path.name}: {secret.decode()}"
        for path in tmp_path.rglob("*")
        if path.is_file() and path.name != "signals.npy"
        for secret in SECRETS
        if secret in path.read_bytes()
    ]
    assert leaked == []
