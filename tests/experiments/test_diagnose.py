"""experiments.diagnose as its user meets it: formats, and fifteen kinds of bad input."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import wfdb
from tiny import Tiny

from experiments import diagnose
from metaecg import learners
from metaecg.data.readers.given_by_user import Given
from metaecg.diagnose import answers, artefact
from metaecg.diagnose.answers import answer
from metaecg.diagnose.calibration import Calibration, Row
from metaecg.diagnose.model import Form, Model
from metaecg.diagnose.predictor import Predictor
from metaecg.episodes import tasks
from metaecg.errors import MetaecgError

HZ, SAMPLES = 100, 1000
LEADS = ("I", "II", "III", "V1", "V6")
FORM = Form(100.0, SAMPLES, LEADS)
ROW = Row(2, 1.0, 10.0, 5.0, (0.0, 0.6), tuple(np.linspace(0.5, 0, 11)), (999.0,) * 11)
CALIBRATION = Calibration((ROW, ROW._replace(shot=30.0)), (0.0,) * 8, (1.0,) * 8, 1e9)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """An exported nearest centroid on the least encoder."""
    learner = learners.protonet(Tiny())
    rows = jnp.zeros((1, 2), jnp.int32)
    records = jnp.zeros((1, 2, SAMPLES, len(LEADS)))
    example = tasks.Task(records, jnp.zeros((1, 2, 2)), rows, rows, rows, jnp.ones(1))
    variables = jax.jit(learner.init)(jax.random.key(0), example)
    path = tmp_path_factory.mktemp("artefact") / "tiny.metaecg"
    model = Model(Predictor.of(learner, variables), CALIBRATION, FORM, {"learner": "protonet"})
    artefact.write(path, model, learner, variables)
    return path


@pytest.fixture(scope="module")
def model(file):
    return diagnose.load(None, str(file))


def ecg(rate=1.0, seed=0, seconds=10, hz=HZ):
    """Beats in mV [samples, leads], lead III as II − I."""
    rng = np.random.default_rng(seed)
    phase = np.arange(seconds * hz) / hz * rate % 1 - rng.uniform(0.3, 0.7)
    beat = np.exp(-(phase**2) / 2 / 0.02**2)
    noise = rng.normal(0, 0.02, (len(beat), 5))
    one, two, v1, v6 = (size * beat + noise[:, i] for i, size in enumerate((0.8, 1.1, -0.6, 1.3)))
    return np.stack([one, two, two - one, v1, v6], axis=1)


def write(path, mv, leads=LEADS, hz=HZ, units="mV", time=True):
    """A CSV file with time, lead names and units."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [np.arange(len(mv)) / hz] * time + list(mv.T)
    header = ["time (s)"] * time + [f"{lead} ({units})" if units else lead for lead in leads]
    np.savetxt(path, np.stack(columns, 1), "%.5f", ",", header=",".join(header), comments="")
    return path


@pytest.fixture
def case(tmp_path):
    """Two diagnoses with two examples each, and a query of the second."""
    for label, rate in (("slow", 0.8), ("fast", 1.9)):
        for i in range(2):
            write(tmp_path / "support" / label / f"{i}.csv", ecg(rate, i))
    return tmp_path / "support", write(tmp_path / "query.csv", ecg(1.9, 7))


NOTHING = Given()


def only(model, case, given=NOTHING):
    support, query = case
    return answer(model, support, [str(query)], given).diagnoses[0]


def told(model, case):
    """All warnings: about the query, and about the examples."""
    found = answer(model, case[0], [str(case[1])])
    return [*found.diagnoses[0].warnings, *found.warnings]


def test_one_record_in_three_formats_has_one_answer(model, case, tmp_path):
    pyedflib = pytest.importorskip("pyedflib", reason="the extra 'formats' is not installed")
    support, query = case
    mv = ecg(1.9, 7).round(3)
    wfdb.wrsamp(
        "q", fs=HZ, units=["mV"] * 5, sig_name=list(LEADS), p_signal=mv, fmt=["16"] * 5,
        adc_gain=[1000.0] * 5, baseline=[0] * 5, write_dir=str(tmp_path),
    )  # fmt: skip
    with pyedflib.EdfWriter(str(tmp_path / "q.edf"), 5) as edf:
        for i, lead in enumerate(LEADS):
            header = {"label": lead, "dimension": "mV", "sample_frequency": HZ}
            header |= {"physical_min": -5.0, "physical_max": 5.0, "transducer": "", "prefilter": ""}
            edf.setSignalHeader(i, header | {"digital_min": -32768, "digital_max": 32767})
        edf.writeSamples([np.ascontiguousarray(column) for column in mv.T])
    files = [str(query), str(tmp_path / "q.hea"), str(tmp_path / "q.edf")]
    found = answer(model, support, files).diagnoses
    for one in found[1:]:
        np.testing.assert_allclose(one.probs, found[0].probs, atol=1e-2)
        assert (one.answer, one.plausible) == (found[0].answer, found[0].plausible)


def test_a_manifest_and_a_folder_say_the_same(model, case, tmp_path):
    _, query = case
    lines = [f"support/{label}/{i}.csv,{label}" for label in ("fast", "slow") for i in range(2)]
    manifest = tmp_path / "support.csv"
    manifest.write_text("\n".join(["Path, Label", *lines, ""]))
    np.testing.assert_array_equal(only(model, (manifest, query)).probs, only(model, case).probs)
    for text, said in (
        ("file,class\n", "no column 'path'; has file, class"),
        ("path,label\n", "no recording is listed"),
        ("path,label\na.csv\n", "line 2 lacks columns"),
        ("path,label\na.csv,\n", "line 2: path or label is missing"),
        ("path,label\na.csv,x\n", r"a\.csv: no such file"),
    ):
        manifest.write_text(text)
        with pytest.raises(MetaecgError, match=said):
            only(model, (manifest, query))
    manifest.write_bytes("path,label\na.csv,Überleitung\n".encode("latin-1"))
    with pytest.raises(MetaecgError, match="save it as 'CSV UTF-8'"):
        only(model, (manifest, query))


# The fifteen kinds of bad input, some in two forms: each spoils a case that was in order.


def empty_folder(support, query):
    return support.parent / "nothing", query


def one_class(support, query):
    for path in (support / "slow").iterdir():
        path.unlink()
    (support / "slow").rmdir()


def class_without_recordings(support, query):
    (support / "empty").mkdir()


def unreadable_file(support, query):
    query.write_bytes(b"time (s),I (mV)\n0.0,\x00\x01garbage\n")


def thousandfold_units(support, query):
    write(query, 1000 * ecg(1.9, 7))


def missing_leads(support, query):
    write(query, ecg(1.9, 7)[:, :3], LEADS[:3])


def swapped_leads(support, query):
    write(query, ecg(1.9, 7), ("II", "I", "III", "V1", "V6"))


def swapped_arms(support, query):
    one, two, three, v1, v6 = ecg(1.9, 7).T
    write(query, np.stack([-one, three, two, v1, v6], 1))


def flat_lead(support, query):
    write(query, ecg(1.9, 7) * [1, 1, 1, 0, 1])


def flat_line(support, query):
    write(query, 0 * ecg(1.9, 7))


def some_nan(support, query):
    mv = ecg(1.9, 7)
    mv[100:105, 3] = np.nan
    write(query, mv)


def long_nan(support, query):
    mv = ecg(1.9, 7)
    mv[100:400] = np.nan
    write(query, mv)


def short_strip(support, query):
    write(query, ecg(1.9, 7, seconds=2))


def duplicate(support, query):
    query.write_bytes((support / "fast" / "1.csv").read_bytes())


def unknown_extension(support, query):
    return support, query.rename(query.with_suffix(".xyz"))


def unknown_file_among_examples(support, query):
    (support / "fast" / "report.pdf").write_bytes(b"%PDF-1.4 ...")


def mixed_rates(support, query):
    write(support / "fast" / "1.csv", ecg(1.9, 1, hz=250), hz=250)


def other_rate(support, query):
    write(query, ecg(1.9, 7, hz=500), hz=500)


def absurd_hz(support, query):
    write(query, ecg(1.9, 7), hz=1e7, time=False)
    return support, query, Given(hz=1e7)


ERRORS = {
    empty_folder: "no sub-folder in it; put the recordings of each diagnosis into a sub-folder",
    one_class: "all 2 examples are of one diagnosis, fast; give examples of what it is to be dist",
    class_without_recordings: "empty: no recording in it",
    unreadable_file: "query.csv: ",
    thousandfold_units: "looks like µV read as mV",
    flat_line: "query.csv: all leads are flat",
    long_nan: r"3 s of samples of lead I are missing \(NaN\) at a stretch; at most 0.2 s",
    unknown_extension: "query.xyz: not a recording of a known format; WFDB, CSV",
    unknown_file_among_examples: r"cannot use report.pdf \(.*move it away",
    absurd_hz: "1e.07 Hz: an ECG has 20 to 50000 samples per second",
}
WARNINGS = {
    missing_leads: "MISSING LEADS V1 V6: read as zero, so that the answer may be wrong",
    swapped_leads: "I II III contradict each other .* are the leads in the order of their names",
    swapped_arms: "lead I runs against V6: are the arm electrodes swapped",
    flat_lead: "flat: V1",
    some_nan: r"5 missing samples \(NaN\) in V1",
    short_strip: "200 samples padded with zeros to 1000",
    duplicate: r"this recording is among the examples, as 1.csv \(fast\)",
    mixed_rates: "several rates .100 Hz: fast, slow; 250 Hz: fast.; where a rate goes with a diag",
    other_rate: "recorded at 500 Hz, no example is",
}


def spoiled(spoil, case):
    (case[0].parent / "nothing").mkdir()
    return spoil(*case) or case


@pytest.mark.parametrize("spoil", ERRORS, ids=lambda f: f.__name__)
def test_an_error_says_what_is_wrong(spoil, model, case):
    support, query, *given = spoiled(spoil, case)
    with pytest.raises(MetaecgError, match=ERRORS[spoil]) as raised:
        only(model, (support, query), *given)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("spoil", WARNINGS, ids=lambda f: f.__name__)
def test_a_warning_says_what_to_look_at(spoil, model, case):
    assert told(model, case) == []
    warnings = told(model, spoiled(spoil, case))
    assert any(re.search(WARNINGS[spoil], warning) for warning in warnings), warnings


def test_names_in_any_encoding_are_read_and_shown(model, case):
    support, query = case
    latin = os.fsdecode("Überleitung".encode("latin-1"))
    try:
        (support / "fast").rename(support / latin)
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    other = query.rename(query.with_name(os.fsdecode(b"caf\xe9.csv")))
    found = answer(model, support, [str(other)])
    assert found.diagnoses[0].labels == ("slow", "\\xdcberleitung")
    text, content = answers.as_text(found), answers.as_json(found)
    for shown in (text, json.dumps(content, ensure_ascii=False)):
        assert "caf\\xe9.csv" in shown.replace("\\\\", "\\")
        shown.encode("utf-8")


def test_a_query_that_cannot_be_read_does_not_stop_the_others(model, case):
    support, query = case
    broken = query.with_name("broken.csv")
    broken.write_text("")
    found = answer(model, support, [str(broken), str(query), str(query.with_name("gone.csv"))])
    assert [q.name for q in found.queries] == ["query.csv"]
    assert [f["error"].split(": ")[-1] for f in found.failed] == [
        "the file is empty",
        "no such file",
    ]
    assert len(found.diagnoses) == 1


def test_what_files_do_not_say_is_asked_for_and_taken(model, case):
    support, query = case
    np.save(query.with_suffix(".npy"), (1000 * ecg(1.9, 7)).astype(np.float32))
    bare = (support, query.with_suffix(".npy"))
    with pytest.raises(MetaecgError, match=r"give --hz .*--units .*--leads"):
        only(model, bare)
    given = only(model, bare, Given(100.0, "uV", LEADS))
    np.testing.assert_allclose(given.probs, only(model, case).probs, atol=1e-3)


def test_each_thing_is_said_once(model, case):
    """Twenty examples without V6 give one line, not twenty with every query."""
    support, query = case
    for label, rate in (("slow", 0.8), ("fast", 1.9)):
        for i in range(10):
            write(support / label / f"{i}.csv", ecg(rate, i)[:, :4], LEADS[:4])
    other = write(query.with_name("other.csv"), ecg(0.8, 9))
    found = answer(model, support, [str(query), str(other)])
    assert [d.warnings for d in found.diagnoses] == [(), ()]
    (said,) = [w for w in found.warnings if "MISSING LEADS V6" in w]
    assert said.startswith("20 of 20 examples, 0.csv (fast), 1.csv (fast), 2.csv (fast) and 17")
    text = answers.as_text(found)
    assert text.count("MISSING LEADS") == 1
    assert "in about" not in text  # no rate is stated
    content = answers.as_json(found)
    assert [d["error_rate"] for d in content["diagnoses"]] == [None, None]
    assert content["warnings"] == list(found.warnings)


def test_many_missing_leads_are_one_line_of_a_query_and_one_of_all_examples(model, case):
    support, query = case
    for path in (*support.glob("*/*.csv"), query):
        write(path, ecg(0.8, int(path.stem == "1"))[:, :1], LEADS[:1])
    found = answer(model, support, [str(query)] * 3)
    missing = "MISSING LEADS II III V1 V6"
    for lines in (*(d.warnings for d in found.diagnoses), found.warnings):
        assert [line.count(missing) for line in lines if "MISSING" in line] == [1]
    assert answers.as_text(found).count("MISSING LEADS") == 3 + 1


@pytest.mark.parametrize("spoil", [missing_leads, flat_lead])
def test_an_ecg_with_leads_missing_is_answered_unsure_and_without_a_rate(spoil, model, case):
    diagnosis = only(model, spoiled(spoil, case))
    assert (diagnosis.answer, diagnosis.error_rate) == (None, None)
    assert set(diagnosis.plausible) == {"slow", "fast"}


def test_models_that_are_not_there(tmp_path, monkeypatch):
    with pytest.raises(MetaecgError, match="--workdir and --artefact are both given"):
        diagnose.load("a", "b")
    monkeypatch.setattr(artefact.resources, "files", lambda _: tmp_path)
    with pytest.raises(MetaecgError, match="no diagnoser comes with this installation"):
        diagnose.load(None, None)


def test_the_diagnoser_of_the_package_is_used(file, tmp_path, monkeypatch):
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped" / "tiny.metaecg").write_bytes(file.read_bytes())
    monkeypatch.setattr(artefact.resources, "files", lambda _: tmp_path)
    assert diagnose.load(None, None).provenance["file"] == "tiny.metaecg"


def run(*arguments):
    command = [sys.executable, "-m", "experiments.diagnose", *map(str, arguments)]
    root = Path(diagnose.__file__).parents[1]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)


def test_the_command_prints_and_writes_what_it_found(file, case, tmp_path):
    support, query = case
    output, page = tmp_path / "out.json", tmp_path / "out.html"
    done = run(
        f"--artefact={file}", f"--support={support}", f"--query={query}",
        f"--query={tmp_path / 'gone.csv'}", f"--output={output}", f"--report={page}",
    )  # fmt: skip
    assert done.returncode == 1  # one of the two could not be read
    assert done.stderr == f"error: {tmp_path / 'gone.csv'}: no such file\n"
    for shown in ("query.csv: ", "plausible", "most weight: ", "not a medical device"):
        assert shown in done.stdout
    results = json.loads(output.read_text("utf-8"))
    assert results["provenance"]["artefact"] == artefact.read(file).provenance["artefact"]
    assert [r["label"] for r in results["support"]] == ["fast", "fast", "slow", "slow"]
    (found,) = results["diagnoses"]
    assert sum(p["probability"] for p in found["probabilities"].values()) == pytest.approx(1)
    assert sum(e["weight"] for e in found["evidence"]) == pytest.approx(1)
    assert found["recording"] == str(query)
    assert "<html" in page.read_text("utf-8")


def test_bad_arguments_end_in_one_line(file, tmp_path):
    done = run(f"--artefact={__file__}", f"--support={tmp_path}", "--query=q")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")


def test_the_text_says_why_it_is_unsure_at_what_rate_and_of_which_window(model, case):
    found = answer(model, case[0], [str(case[1])], error_rate=0.004)
    (said,) = found.diagnoses
    only = said._replace(answer=None, plausible=("fast",), error_rate=0.004)
    text = answers.as_text(found._replace(diagnoses=[only]))
    assert "query.csv: unsure; fast is not certain enough to be answered\n" in text
    assert text.count("at most about 0.4% ") == 2
    assert "  measured: rate" in text
    both = answers.as_text(found._replace(diagnoses=[only._replace(plausible=("fast", "slow"))]))
    assert "query.csv: unsure\n" in both
    (query,) = found.queries
    longer = query._replace(later=(query.signal,))
    assert "  measured in the first window: rate" in answers.as_text(
        found._replace(queries=[longer])
    )


def test_intervals_are_said_and_written_beside_the_answer(model, case):
    found = answer(model, case[0], [str(case[1])])
    (content,) = answers.as_json(found)["diagnoses"]
    measured = content["measurements"]
    assert measured["rate"] == {"value": pytest.approx(114, abs=1), "unit": "/min"}
    assert measured["PR"]["value"] is None
    assert measured["PR"]["not measurable"]
    assert measured["axis"]["value"] == pytest.approx(45, abs=5)  # I 0.8, II 1.1, so aVF 0.7 mV
    assert re.fullmatch(r"median of \d+ of \d+ beats, 5 leads", measured["rests on"])
    said = answers.as_text(found)
    assert "measured: rate 114/min, QRS" in said
    assert "not measurable: " in said
