"""The page's program computes what Python computes, as docs/specification.md says of both.

The program is run by node, where there is one.
"""

import base64
import json
import re
import shutil
import struct
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import jax
import numpy as np
import pytest
from page_vectors import CASES, FILE, computed, microvolts

import metaecg
from experiments.stress import machine_files
from metaecg.data.readers import lead_names, recordings
from metaecg.data.readers.given_by_user import Given, fill_in
from metaecg.data.readers.raw import Raw
from metaecg.diagnose import plain, support
from metaecg.diagnose.answers import diagnose
from metaecg.diagnose.background import Background
from metaecg.diagnose.calibration import Calibration, Row
from metaecg.diagnose.model import Form, Model
from metaecg.diagnose.predictor import Predictor
from metaecg.errors import MetaecgError
from metaecg.figures import standalone
from metaecg.learners import probes

PROGRAM = Path(metaecg.__file__).parent / "figures" / "page"
VECTORS = json.loads(FILE.read_text("utf-8"))
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs jobs by the page's program."""
    folder = tmp_path_factory.mktemp("page")
    for path in PROGRAM.glob("*.js"):
        shutil.copy(path, folder)
    (folder / "package.json").write_text('{"type": "module"}')

    def job(**parts):
        text = json.dumps({"leads": lead_names.table(), **parts})
        command = ["node", Path(__file__).with_name("page_program.mjs"), folder]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return job


@pytest.mark.parametrize("name", CASES)
def test_python_computes_the_vectors(name):
    """Looked at by eye when they were written; some numbers by hand are below."""
    case = {key: value for key, value in VECTORS[name].items() if key != "expected"}
    assert case == CASES[name]
    assert computed(case) == VECTORS[name]["expected"]


def test_vectors_by_hand():
    """The first samples of lead I are 150 sin(2π·3/11.5) + 40 sin(2π/4.7) = 189 µV and so on."""
    first = VECTORS["at the model's rate"]["expected"]["units"][0]
    waves = [
        800 * np.sin(2 * np.pi * i / 90)
        + 150 * np.sin(2 * np.pi * (i + 3) / 11.5)
        + 40 * np.sin(2 * np.pi * (i + 1) / 4.7)
        for i in range(3)
    ]
    assert np.diff(first[:3]).tolist() == np.diff(np.rint(waves)).tolist()
    padded = VECTORS["128 Hz, too short"]["expected"]["units"]
    assert [row[235:] for row in padded] == [[0] * 65] * 4  # 300 · 100 / 128 = 234.4
    silent = VECTORS["a lead is missing"]["expected"]["units"]
    assert silent[3] == [0] * 300
    assert np.abs(np.subtract(silent[2], np.subtract(silent[1], silent[0]))).max() <= 60  # offsets


@needs_node
def test_the_page_computes_the_vectors(run):
    """Within .01 mV is asked for; a unit of rounding is .001 mV."""
    found = run(vectors=[*VECTORS.values()])["vectors"]
    for (name, case), mine in zip(VECTORS.items(), found, strict=True):
        wanted = case["expected"]
        assert mine.get("error") == wanted.get("error"), name
        if "error" not in wanted:
            assert mine["notes"] == wanted["notes"], name
            assert np.abs(np.subtract(mine["units"], wanted["units"])).max() <= 1, name
            assert (np.array(mine["units"]) == wanted["units"]).mean() > 0.999, name


@needs_node
def test_names_and_numbers_are_written_as_python_writes_them(run):
    names = ["avr", "Lead II", "MDC_ECG_LEAD_V3", "-aVR", "aVR negative", "V1 (MEDIAN)", "ECG1",
             "MLII", "5.6.3-9-61", "Lead I (Einthoven)", "x", "C4", "minus III", "V7"]  # fmt: skip
    numbers = [(x, d) for x in (0.000012345, 0.1, 1 / 3, 2.5, 99.9999, 1234567.0, 360, 1e-9, -0.05)
               for d in (2, 3, 6)]  # fmt: skip
    found = run(names=names, numbers=numbers)
    assert found["names"] == [lead_names.lead_name(name) for name in names]
    assert found["numbers"] == [f"{x:.{digits}g}" for x, digits in numbers]


def _beats(samples, leads=3, seed=0):
    """Millivolts in steps of 1/200 mV."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples)[:, None] / samples * 8
    wave = np.exp(-(((time % 1) - 0.4) ** 2) / 0.002) * np.linspace(0.4, 1.2, leads)
    return np.rint(200 * (wave + rng.normal(0, 0.02, (samples, leads)))) / 200


def _csv(signal, head, separator=",", decimal=".", time=None):
    rows = [[f"{x:.3f}".replace(".", decimal) for x in row] for row in signal]
    if time:
        rows = [[f"{i / time:.4f}", *row] for i, row in enumerate(rows)]
    return "\n".join(separator.join(cells) for cells in [*head, *rows]) + "\n"


S = _beats(500)
TABLES = {
    "plain.csv": (_csv(S, [["I", "II", "V1"]]), {"hz": 250.0, "units": "mV"}),
    "units.csv": (_csv(1000 * S, [["time (s)", "I (uV)", "II (uV)", "V1 (uV)"]], time=250), {}),
    "german.txt": (_csv(S, [["I", "II", "V1"]], ";", ","), {"hz": 250.0, "units": "mV"}),
    "tabs.tsv": (_csv(S, [["t", "I", "II", "V1"], ["s", "mV", "mV", "mV"]], "\t", time=250), {}),
    "counted.csv": (
        "\n".join(["sample,I,II,V1", *(f"{i}," + ",".join(map(str, r)) for i, r in enumerate(S)
                   if i != 7)]),
        {"hz": 250.0, "units": "mV"},
    ),
    "gap.csv": (
        _csv(S, [["I", "II", "V1"]]).replace(f"{S[9, 0]:.3f},", "nan,", 1),
        {"hz": 250.0, "units": "mV"},
    ),
    "bare.csv": (_csv(S, []), {"hz": 250.0, "units": "mV", "leads": ["I", "II", "V1"]}),
    "silent.csv": (_csv(S, []), {}),
    "wrong.csv": (_csv(S, [["I", "II", "V1"]]).replace(f"{S[3, 1]:.3f}", "abc", 1), {"hz": 250.0,
                  "units": "mV"}),
    "counts.csv": (_csv(1000 * S, [["I", "II", "V1"]]), {"hz": 250.0, "units": "mV"}),
    "short.csv": (_csv(S[:60], [["I", "II", "V1"]]) + "1,2\n", {"hz": 250.0, "units": "mV"}),
}  # fmt: skip


@needs_node
def test_tables_are_read_as_python_reads_them(run, tmp_path):
    jobs, wanted = [], []
    for name, (text, given) in TABLES.items():
        (tmp_path / name).write_text(text, "utf-8")
        jobs.append({"name": name, "bytes": _base64(text.encode()), "given": given})
        try:
            wanted.append(recordings.read(tmp_path / name, **given))
        except MetaecgError as error:
            wanted.append(error)
    for name, mine, theirs in zip(TABLES, run(files=jobs)["files"], wanted, strict=True):
        if isinstance(theirs, MetaecgError):
            assert "error" in mine, name
            continue
        _same(mine, theirs, name)


@needs_node
def test_what_cannot_be_read_is_said_in_a_line(run):
    def job(name, content=b"x", **more):
        return {"name": name, "bytes": _base64(content), **more}

    jobs = [job(name, text.encode(), given=given) for name, (text, given) in TABLES.items()]
    jobs = [each for each in jobs if each["name"] in ("silent.csv", "wrong.csv", "counts.csv")]
    jobs += [
        job("a.edf"), job("b.csv", b"\xff\xfa\x00"), job("c.xml", b"<ClinicalDocument/>"),
        job("d.hea", b"d 1 100 10\nd.dat 16 200\n"), job("e.hea", b"nothing"), job("f.csv", b""),
        job("g.xml", b"<RestingECG><Waveform><WaveformType>Median</WaveformType></Waveform>"),
        job("h.csv", b"1,2\n3,4\n" * 20), job("i.csv", b"I,II\n1.5,2.5\n\n3.5,4.5\n"),
        job("j.csv", b"I,0.1,0.2,0.3\nII,0.2,0.3,0.4\n"),
    ]  # fmt: skip
    said = [each["error"] for each in run(files=jobs)["files"]]
    assert said == [
        "the file does not say; give the rate (samples per second), the unit (mV, uV, V or nV), "
        "the names of the 3 leads in order",
        "line 3, column 2: 'abc' is no number",
        said[2],
        said[3],
        "no text in UTF-8; save it as 'CSV UTF-8'",
        "XML of another kind than GE MUSE; metaecg diagnose reads more",
        "d.dat: missing; give it together with its header",
        "no WFDB record line",
        "the file is empty",
        "MUSE XML without a rhythm strip; its median beats are not read",
        said[10],
        said[11],
        "one line a lead; this page reads one line a sample, so turn the table",
    ]
    assert "give the unit uV" in said[2]
    assert "metaecg diagnose reads more" in said[3]
    assert "decimal commas" in said[10]
    assert "an empty line among the numbers" in said[11]


def _wfdb(digital, format, gain):
    """Header and samples of a record, as wfdb.io/spec has them."""
    flat = digital.reshape(-1)
    if format == "212":
        one, two = (flat[i::2] & 0xFFF for i in (0, 1))
        high = (one >> 8) | (two >> 8 << 4)
        content = np.stack([one & 0xFF, high, two & 0xFF], axis=1).astype("u1").tobytes()
    else:
        kind, zero = {"16": ("<i2", 0), "61": (">i2", 0), "80": ("u1", 128), "160": ("<u2", 32768),
                      "32": ("<i4", 0)}[format]  # fmt: skip
        content = (flat + zero).astype(kind).tobytes()
    lines = [f"r 3 250 {len(digital)}"]
    for name, base, column in zip(["I", "MLII", "v1"], (3, 0, -5), digital.T):
        check = int(column.sum()) % 65536
        lines.append(f"r.dat {format} {gain}({base})/mV 12 0 {column[0]} {check} 0 {name}")
    return "\n".join(lines).encode(), content


@needs_node
@pytest.mark.parametrize("format", ["16", "80", "212", "32", "61", "160"])
def test_wfdb_records_are_read_as_python_reads_them(run, tmp_path, format):
    gain = 60 if format == "80" else 200
    digital = np.rint(S * gain).astype(np.int64)
    digital[5, 1] = {"80": -128, "212": -2048, "32": -(2**31)}.get(format, -32768)
    header, data = _wfdb(digital, format, gain)
    (tmp_path / "r.hea").write_bytes(header)
    (tmp_path / "r.dat").write_bytes(data)
    job = {"name": "r.hea", "bytes": _base64(header), "beside": {"r.dat": _base64(data)}}
    broken = {**job, "beside": {"r.dat": _base64(bytes([data[0] ^ 1]) + data[1:])}}
    cut = {**job, "beside": {"r.dat": _base64(data[:-9])}}
    mine, *wrong = run(files=[job, broken, cut])["files"]
    _same(mine, recordings.read(tmp_path / "r.hea"), format)
    assert "checksum of I is" in wrong[0]["error"]
    assert "truncated" in wrong[1]["error"]


def _same(mine, theirs, name):
    assert mine["hz"] == theirs.hz, name
    assert mine["leads"] == [*theirs.leads], name
    assert mine["notes"] == [[note.text, note.serious] for note in theirs.notes], name
    columns = np.array(mine["columns"], float).T  # None becomes NaN
    np.testing.assert_allclose(columns, theirs.signal, atol=1e-9, err_msg=name)


def _base64(content):
    return base64.b64encode(content).decode()


def muse(signal, hz=500, step=4.88):
    """A MUSE file as its format is described, with median beats before the rhythm."""

    def waveform(kind, columns):
        leads = "".join(
            f"<LeadData><LeadSampleCountTotal>{len(column)}</LeadSampleCountTotal>"
            f"<LeadAmplitudeUnitsPerBit>{step}</LeadAmplitudeUnitsPerBit>"
            f"<LeadAmplitudeUnits>MICROVOLTS</LeadAmplitudeUnits><LeadID>{name}</LeadID>"
            f"<LeadSampleSize>2</LeadSampleSize><WaveFormData>"
            f"{_base64(struct.pack(f'<{len(column)}h', *column))}</WaveFormData></LeadData>"
            for name, column in columns.items()
        )
        return (
            f"<Waveform><WaveformType>{kind}</WaveformType><SampleBase>{hz}</SampleBase>"
            f"<SampleExponent>0</SampleExponent>{leads}</Waveform>"
        )

    beats = {name: [9] * 20 for name in signal}
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?><!DOCTYPE RestingECG SYSTEM "restecg.dtd">'
        f"<RestingECG><!-- Bj\xf6rn -->{waveform('Median', beats)}{waveform('Rhythm', signal)}"
        "</RestingECG>"
    ).encode("latin-1")


@needs_node
def test_muse_files_give_the_rhythm_in_millivolts(run):
    columns = {"I": [100, -200, 300] * 200, "V1": [0, 50, -50] * 200}
    content = muse(columns)
    short = content.replace(b"Total>600<", b"Total>601<")
    jobs = [{"name": "m.xml", "bytes": _base64(each)} for each in (content, short)]
    mine, wrong = run(files=jobs)["files"]
    assert wrong == {"error": "lead I: 600 of 601 samples"}
    assert (mine["hz"], mine["leads"]) == (500, ["I", "V1"])
    np.testing.assert_allclose(mine["columns"][0][:3], [0.488, -0.976, 1.464])
    np.testing.assert_allclose(mine["columns"][1][:3], [0.0, 0.244, -0.244])
    assert len(mine["columns"][0]) == 600
    assert mine["notes"][0] == ["uV to mV", False]


@needs_node
def test_a_calibration_pulse_in_a_muse_file_is_cut_off_as_by_python(run, tmp_path):
    pytest.importorskip("ecgdatakit", reason="the vendors extra is not installed")
    written = machine_files.counts()
    step = np.repeat([0, 205, 0], [50, 100, 50])[:, None]  # · 4.88 µV
    for kept in (written, np.concatenate([written, np.repeat(step, 8, axis=1)])):
        (tmp_path / "m.xml").write_bytes(machine_files.muse(kept))
        theirs = recordings.read(tmp_path / "m.xml")
        assert len(theirs.signal) == len(written)
        content = _base64((tmp_path / "m.xml").read_bytes())
        (mine,) = run(files=[{"name": "m.xml", "bytes": content}])["files"]
        _same(mine, theirs, "m.xml")
    assert "the calibration pulse at its end, 0.4 s, is cut off" in [n[0] for n in mine["notes"]]


FORM = Form(100.0, 40, ("I", "II"))
LEVELS = tuple(np.linspace(0.02, 0.9, 11))
ROW = Row(2, 1.0, 2.0, 0.5, LEVELS, tuple(np.linspace(0.4, 0.01, 11)), (900.0,) * 11)
ROWS = tuple(
    ROW._replace(
        way=way,
        shot=shot,
        temperature=1 / shot,
        slope=shot / 9,
        usual=way / 9,
        unlike=tuple(np.linspace(-3, 1, 101)),
    )
    for way in (2, 5)
    for shot in (1.0, 6.0)
)


def _model(rng):
    """Embeddings that are easy to know: products of the signals with a fixed matrix."""
    matrix = rng.normal(size=(80, 12)).astype(np.float32)
    mean, spread = tuple(rng.normal(size=12)), tuple(rng.uniform(0.5, 2, 12))

    def embed(records):
        return np.asarray(records).reshape(len(records), -1) @ matrix

    def classify(tasks):
        return jax.nn.log_softmax(jax.vmap(lambda t: probes.ridge(t, 0.7, 9.0))(tasks))

    calibration = Calibration(ROWS, mean, spread, 2.0)
    background = Background.of(rng.normal(size=(60, 12)).astype(np.float32) * 3)
    return Model(Predictor(embed, classify), calibration, FORM, {}, background)


@needs_node
def test_long_recordings_are_cut_into_the_same_windows(run):
    """A second is read at 100 Hz: 1.9 s are one window, 7.5 s six, and two of three can be read."""
    leads = {"I": [[800, 70, 0]], "II": [[500, 90, 5]]}
    form = {"hz": 100, "samples": 100, "leads": ["I", "II"], "scale": 0.001, "bandpass": None}
    cases = [
        {"hz": hz, "samples": samples, "leads": leads, "form": form, "missing": missing}
        for hz, samples, missing in (
            (100, 190, []),
            (100, 750, []),
            (250, 800, [["II", 300, 80]]),
            (250, 750, [["I", 0, 80], ["I", 300, 80], ["I", 600, 80]]),
        )
    ]
    theirs = run(windows=cases)["windows"]
    counts = []
    for case, found in zip(cases, theirs):
        raw = Raw(microvolts(case), case["hz"], ("uV",) * 2, ("I", "II"))
        whole = fill_in(raw, Given())
        recording = recordings.Recording(whole.signal, whole.hz, whole.leads, "x", whole.notes)
        form = Form(100.0, 100, ("I", "II"))
        if "error" in found:
            with pytest.raises(MetaecgError, match=re.escape(found["error"])):
                support.windows(recording, form)
            counts.append(0)
            continue
        signals, notes = support.windows(recording, form)
        counts.append(len(signals))
        units = [np.rint(signal.T / np.float32(0.001)).astype(int).tolist() for signal in signals]
        assert found["notes"] == [[note.text, note.serious] for note in notes]
        assert np.abs(np.subtract(found["windows"], units)).max() <= 1
    assert counts == [1, 6, 2, 0]


@needs_node
@pytest.mark.parametrize(
    ("labels", "rate"),
    [
        pytest.param("ABBBB", 0.2, marks=pytest.mark.long),
        ("ABCABC", 0.3),
        ("ABCDEF", 0.1),
    ],
)
def test_answers_are_those_of_the_diagnoser(run, labels, rate):
    """Unevenly many examples, a single one of a label, ways between and beyond those fitted."""
    rng = np.random.default_rng(len(labels))
    model = _model(rng)
    units = rng.normal(0, 300, (len(labels) + 5, 2, 40)).astype(np.int16)
    units[: len(labels)] += (200 * np.array([ord(x) % 7 for x in labels]))[:, None, None].astype(
        np.int16
    ) * (np.arange(40) > 20)
    units[-1, 1] = 0  # a flat lead
    units[-2] = units[0]  # one of the examples
    units[-3, :, 17:] = 0  # padded
    records = [
        support.Read(
            f"r{i}", f"r{i}", np.float32(u.T) * np.float32(0.001), 50.0 * (1 + (i == 1)), ()
        )
        for i, u in enumerate(units)
    ]
    count = len(labels)
    wanted = diagnose(model, [*zip(records, labels)], records[count:], rate)
    described = plain.description(model, {"kind": "ridge", "strength": 0.7, "scale": 9.0})
    embeddings = model.predictor.embed(np.stack([each.signal for each in records])).tolist()
    given = [
        {"name": r.name, "windows": [u.tolist()], "hz": r.hz, "notes": [], "embedding": e}
        for r, u, e in zip(records, units, embeddings)
    ]
    examples = [{**each, "label": label} for each, label in zip(given, labels)]
    described["background"] = standalone.packed_background(model.background)
    job = {"model": described, "examples": examples, "queries": given[count:], "rate": rate}
    mine = run(answers=[job])["answers"][0]
    assert mine["warnings"] == [*wanted.warnings]
    warned = 0
    for found, theirs in zip(mine["found"], wanted.diagnoses, strict=True):
        assert found["labels"] == [*theirs.labels]
        for part in ("probs", "low", "high"):
            np.testing.assert_allclose(found[part], getattr(theirs, part), atol=1e-5)
        assert found["answer"] == theirs.answer
        assert found["plausible"] == [*theirs.plausible]
        assert found["errorRate"] == theirs.error_rate
        assert found["warnings"] == [*theirs.warnings]
        warned += "possibly none" in " ".join(theirs.warnings)
        assert [e["example"] for e in found["evidence"]] == [e.example for e in theirs.evidence]
        for name in ("weight", "effect"):
            mine_, others = (
                [e[name] for e in found["evidence"]],
                [getattr(e, name) for e in theirs.evidence],
            )
            np.testing.assert_allclose(mine_, others, atol=1e-5)
    assert (0 < warned < len(wanted.diagnoses)) == (labels != "ABCDEF")


@needs_node
def test_papers_are_true_to_scale(run):
    twelve = [*lead_names.STANDARD_LEADS]
    signal = [[0.0, 1.0, *[0.0] * 998]] * 12
    svg, odd = run(papers=[
        {"columns": signal, "hz": 100, "leads": twelve, "title": "a < b & \"c\""},
        {"columns": signal[:2], "hz": 100, "leads": ["V5", "V6"], "title": ""},
    ])["papers"]  # fmt: skip
    for text, size in ((svg, ("270mm", "135mm")), (odd, ("270mm", "75mm"))):
        root = ElementTree.fromstring(text)
        assert (root.get("width"), root.get("height")) == size
        lines = [e.get("points") for e in root.iter() if e.tag.endswith("polyline")]
        x0, y0, x1, y1, *_ = map(float, lines[0].split())
        assert (x1 - x0, y0 - y1) == pytest.approx((0.25, 10.0))  # 25 mm/s, 10 mm/mV
    assert svg.count("<polyline") == 13
