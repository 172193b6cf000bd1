"""Who a patient is never leaves the file: all that commands say and write is searched for it."""

import importlib.util
import re
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
import wfdb

from experiments.stress.machine_files import PERSON, WRITERS
from metaecg.data.library import open_library
from metaecg.data.readers import recordings
from metaecg.data.readers.given_by_user import Given
from metaecg.data.readers.raw import RecordError
from metaecg.data.record_form import Target
from metaecg.data.sources import importing, recording_folder
from metaecg.data.sources.importing import Options

ROOT = Path(__file__).parents[2]

SECRETS = [text.encode() for text in PERSON.values()] + [b"19310203", b"02-03-19", b"20020906"]
YEAR = re.compile(rb"(?<![\w.+/])1931(?![\w.+/])")  # and not within a longer number or base64


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
        [sys.executable, *(() if command[0] == "-c" else ("-m",)), *command],
        cwd=ROOT, capture_output=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    (folder / "said").mkdir(exist_ok=True)
    (folder / "said" / f"{time.time_ns()}").write_bytes(done.stdout + done.stderr)
    return done.stdout + done.stderr


@pytest.mark.parametrize("keep", [False, True])
def test_ids_of_patients_are_kept_in_one_file_and_only_where_asked_for(tmp_path, keep):
    pytest.importorskip("ecgdatakit", reason="the vendors extra is not installed")
    for number, (name, whose) in enumerate({"a": "Q-17", "b": "q-17", "c": "Q-18"}.items()):
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(PERSON, "id", whose)
            (tmp_path / "files" / "AFIB").mkdir(parents=True, exist_ok=True)
            content = WRITERS["muse.xml"][0](beats(number))
            (tmp_path / "files" / "AFIB" / f"{name}.xml").write_bytes(content)
    np.save(tmp_path / "files" / "AFIB" / "d.npy", beats(9).astype(float) / 200)
    given = Given(500.0, "mV", ("I", "II", *(f"V{i}" for i in range(1, 7))), keep)
    source = recording_folder.open_folder(tmp_path / "files", "folders", given)
    form = Target(100.0, 10.0, ("I", "II"))
    made = importing.make_library(tmp_path / "made", source, form, Options(keep_ids=keep))
    library = open_library(tmp_path / "made")
    ids = tmp_path / "made" / "patient_ids.csv"
    assert library.patients.tolist() == [0, 0, 1, 2]  # capitals distinguish nobody
    if keep:
        assert ids.read_text() == "patient,id\n0,Q-17\n1,Q-18\n"
        assert "patient_ids.csv" in made.remarks[0]
    else:
        assert not ids.exists()
        assert "which are not kept" in made.remarks[0]
    others = [path for path in (tmp_path / "made").iterdir() if path != ids]
    assert not any(b"Q-1" in path.read_bytes() for path in others)


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
    assert leaked(tmp_path) == []


TINY = {
    "learner": "ridge", "way": 2, "shot": 1, "query": 1, "batch": 2, "steps": 2, "log_every": 1,
    "validate_every": 1, "checkpoint_every": 1, "validation_episodes": 2, "test_episodes": 2,
    "pretrain.steps": 2, "pretrain.batch": 8, "head.steps": 0, "whiten": "false",
}  # fmt: skip
PAGE = """
import sys
from absl import flags
from experiments import export
from experiments.runs import command_line, onnxruntime_web
from metaecg.figures.standalone import Runtime
onnxruntime_web.load = lambda folder: Runtime(b"", b"", "")
export.define_flags()
command_line.run(export.main)
"""
"""The command export without what it fetches from npm."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of files in all formats, 72 invented patients, and one with what commands made."""
    pytest.importorskip("ecgdatakit", reason="the vendors extra is not installed")
    files, made = tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        for label in "ABCDEFGHI":
            (files / label).mkdir()
            for number in range(8):
                patch.setitem(PERSON, "id", f"{SECRETS[0].decode()}{label}{number}")
                counts = beats(ord(label) + 9 * number, 1000)
                writers = {name: write for name, (write, _) in WRITERS.items()}
                name = [*writers, "a.edf", "a.dcm"][number % (len(writers) + 2)]
                path = files / label / f"{number}{name}"
                if name in writers:
                    path.write_bytes(writers[name](counts))
                else:
                    (write_edf if name == "a.edf" else write_dicom)(path, counts)
    run(
        made, "experiments.prepare", "--source=csv", f"--input={files}", "--hz=100",
        f"--output={made / 'library'}", "--seconds=2", "--labels=folders",
    )  # fmt: skip
    run(
        made, "experiments.make_protocol", f"--library={made / 'library'}", "--min_patients=4",
        f"--output={made / 'protocol.json'}", "--way=2", "--query=1", "--parts=34,33,33",
    )  # fmt: skip
    settings = {**TINY, "library": made / "library", "protocol": made / "protocol.json"}
    run(
        made, "experiments.train", "--config=quickstart", f"--workdir={made / 'run'}",
        *(f"--config.{name}={value}" for name, value in settings.items()),
    )  # fmt: skip
    return files, made


@pytest.mark.long
def test_what_a_training_reads_of_such_files_does_not_say_who_the_patients_are(trained):
    files, made = trained
    assert len((made / "library" / "records.csv").read_text().splitlines()) == 1 + 72
    names = {path.name for path in files.rglob("*.*")}
    assert len({name[1:] for name in names}) == len(WRITERS) + 2
    assert {found.split(":")[0] for found in leaked(files)} == names  # as they should
    assert leaked(made) == []


@pytest.mark.long
def test_nor_does_what_is_made_of_the_model(trained, tmp_path):
    files, made = trained
    model, page = made / "a.metaecg", made / "a.html"
    few = ("--ways=2", "--shots=1", "--episodes=2")
    run(made, "experiments.calibrate", f"--workdir={made / 'run'}", *few)
    run(made, "experiments.evaluate", f"--workdir={made / 'run'}", "--episodes=2")
    run(made, "experiments.export", f"--workdir={made / 'run'}", f"--output={model}")
    run(
        made, "experiments.calibrate", f"--artefact={model}", f"--library={made / 'library'}",
        f"--protocol={made / 'protocol.json'}", f"--output={made / 'measured.json'}", *few,
    )  # fmt: skip
    if importlib.util.find_spec("jax2onnx"):
        chosen = (f"--artefact={model}", f"--support={files}")
        run(made, "-c", PAGE, "--format=html", *chosen, f"--output={page}")
        run(
            made, "experiments.export", "--format=onnx", f"--artefact={model}",
            f"--output={made / 'a.onnx'}",
        )  # fmt: skip
    asked = (f"--artefact={model}", f"--support={files / 'A'}")
    for where in (f"--library={made / 'library'}", f"--input={files / 'B'}"):
        run(
            made, "experiments.find", *asked, where, f"--output={made / 'ranked.csv'}",
            f"--report={made / 'found.html'}",
        )  # fmt: skip
    run(
        made, "experiments.diagnose", f"--artefact={model}", f"--support={files}",
        f"--query={files / 'C'}", f"--report={made / 'report.html'}",
        f"--output={made / 'answer.json'}",
    )  # fmt: skip
    assert leaked(made) == []


def read(asked):
    with urllib.request.urlopen(asked, timeout=120) as answer:
        return answer.read()


@pytest.mark.long
def test_nor_does_a_review(trained):
    pytest.importorskip("bottle", reason="the extra 'review' is not installed")
    files, made = trained
    session = (f"--session={made / 'session'}", f"--library={made / 'library'}")
    begin = (*session, f"--workdir={made / 'run'}", f"--support={files / 'A'}")
    with (
        open(made / "said.of.review", "wb") as said,
        subprocess.Popen(
            [sys.executable, "-m", "experiments.review", *begin],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=said,
        ) as server,
    ):  # fmt: skip
        try:
            address = server.stdout.readline().decode().strip()
            shown = read(address)
            (made / "shown.html").write_bytes(shown)
            id = re.search(rb'name="id" value="([^"]+)"', shown)[1].decode()
            origin = "/".join(address.split("/")[:3])
            answer = urllib.request.Request(
                f"{address}answer", f"id={id}&verdict=yes".encode(), {"Origin": origin}
            )
            (made / "next.html").write_bytes(read(answer))
            assert (made / "session" / "answers.jsonl").stat().st_size
        finally:
            server.kill()
    run(
        made, "experiments.review", *session, f"--workdir={made / 'run'}",
        f"--export={made / 'exported'}", "--label=A",
    )  # fmt: skip
    assert len([*(made / "exported").iterdir()]) > 1
    assert leaked(made) == []


HEADER = "r 1 100 10\nr.dat 16 200/mV 16 0 0 0 0 I\n"
DAMAGED = {
    "a.hea": HEADER.replace("200/mV", "200/mV Mustermann").encode(),
    "b.hea": (HEADER + "PID-88123 Mustermann, Wilhelmina\n").encode(),
    "c.csv": b"I,II,name\n" + b"0.1,0.2,Mustermann\n" * 50,
    "d.csv": b"I,II\n" + b"0.1,0.2\n" * 50 + b"0.1,Mustermann\n",
    "e.xml": WRITERS["aecg.xml"][0](beats(0, 100)).replace(b"<digits>", b"<digits>Mustermann "),
}
"""Files in which a name stands where a number is expected."""


@pytest.mark.parametrize("name", DAMAGED)
def test_errors_do_not_quote_the_content_of_files(name, tmp_path):
    (tmp_path / name).write_bytes(DAMAGED[name])
    with pytest.raises(RecordError) as caught:
        recordings.read(tmp_path / name)
    assert not [secret for secret in SECRETS if secret in str(caught.value).encode()]


def leaked(folder):
    """The secrets in the files of a folder, other than in signals, with the file's name."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "signals.npy":
            contents = [path.read_bytes()]
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    contents += [archive.read(name) for name in archive.namelist()]
            found += [
                f"{path.name}: {secret.decode()}"
                for secret in SECRETS
                if any(secret in content for content in contents)
            ]
            found += [f"{path.name}: the year" for content in contents if YEAR.search(content)]
    return found
