"""The command prepare, run as a user runs it, and how commands fail."""

import importlib.util
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import wfdb
from absl import flags
from absl.testing import flagsaver

from experiments import prepare
from experiments.runs import command_line
from metaecg.data import library as lib
from metaecg.data.readers.lead_names import STANDARD_LEADS
from metaecg.errors import MetaecgError


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "experiments.prepare", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Six 12-lead records of 3 s at 250 Hz in sub-folders by diagnosis, one of them damaged."""
    folder = tmp_path_factory.mktemp("records")
    generator = np.random.default_rng(0)
    for number in range(6):
        where = folder / ("AFIB" if number % 2 else "my class")
        where.mkdir(exist_ok=True)
        wfdb.wrsamp(
            f"r{number}", fs=250, units=["mV"] * 12, sig_name=list(STANDARD_LEADS),
            p_signal=np.cumsum(generator.normal(0, 0.01, (750, 12)), axis=0), fmt=["16"] * 12,
            comments=["Dx: 164889003,427172004" if number % 2 else "Dx: 426783006"],
            write_dir=str(where),
        )  # fmt: skip
    (folder / "AFIB" / "r5.dat").write_bytes(b"short")
    return folder


@pytest.fixture
def run():
    """Runs the command in this process with some flags."""
    prepare.define_flags()
    flags.FLAGS(["prepare", "--source=wfdb", "--output=none"])

    def run(**values):
        with flagsaver.flagsaver(**({"source": "wfdb", "workers": 1} | values)):
            prepare.main([])

    return run


def test_whole_command(records, tmp_path):
    output = tmp_path / "a"
    done = command("--source=wfdb", f"--input={records}", f"--output={output}", "--workers=1")
    assert done.returncode == 0, done.stderr
    assert "       3  426783006  sinus rhythm\n" in done.stdout
    assert "       2  164889003  atrial fibrillation\n" in done.stdout
    assert "5 records of 5 patients, 3 statements, 3 s at 250 Hz" in done.stdout
    assert "quarantined 1 (quarantine.csv)" in done.stdout
    assert "every recording counts as a patient" in done.stdout
    assert "records/s" in done.stdout
    assert "6/6" in done.stderr


def test_strict_stops_in_one_line(records, tmp_path):
    done = command(
        "--source=wfdb",
        f"--input={records}",
        f"--output={tmp_path / 'a'}",
        "--strict",
        "--workers=1",
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == ("error: AFIB/r5: r5.dat: truncated, 5 of 18000 bytes")
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sauce=wfdb"], "there is no flag --sauce (did you mean --source?)"),
        (["--source=mitbih"], "value should be one of <ptbxl|ludb|cinc2017|wfdb|csv|synthetic>"),
        (["stray", "--source=wfdb", "--output=a"], "unexpected argument 'stray'"),
    ],
)
def test_bad_flags_are_one_line(arguments, message, capsys):
    prepare.define_flags()
    with pytest.raises(SystemExit) as caught:
        command_line._parse(["prepare", *arguments])
    assert caught.value.code == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_source_and_an_output_are_asked_for(run):
    with pytest.raises(MetaecgError, match="--source and --output are needed"):
        run(source=None)
    with pytest.raises(MetaecgError, match="--source and --output are needed"):
        run(output=None)


def test_help_exits_with_0():
    done = command("--help")
    assert done.returncode == 0
    assert "--labels" in done.stdout
    assert done.stderr == ""


def test_readers_do_without_jax():
    code = "import sys, experiments.prepare; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_folders_form_and_limit(records, tmp_path, run, capsys):
    run(
        input=str(records), output=str(tmp_path / "a"), labels="folders", hz=100.0, seconds=2.0,
        leads=["avr", "v2"], bandpass=["0.5", "40"], limit=4,
    )  # fmt: skip
    assert "(quarantine.csv)" in capsys.readouterr().out
    library = lib.open_library(tmp_path / "a")
    assert library.signals.shape == (3, 200, 2)
    assert library.leads == ("aVR", "V2")
    assert library.vocabulary == ("AFIB", "my class")
    assert library.names == ("atrial fibrillation", "my class")
    assert library.sources == ("AFIB/r1", "AFIB/r3", "my class/r0")
    assert library.source == "wfdb"
    assert "band-pass 0.5–40 Hz, zero phase" in library.processing
    assert library.bandpass == (0.5, 40)
    assert library.notes[0] == "first 2 of 3 s; 250 Hz to 100 Hz"


def test_csv_labels_and_patients(records, tmp_path, run, capsys):
    table = tmp_path / "labels.csv"
    table.write_text("path,label,patient\nAFIB/r1,AFIB,ann\nAFIB/r3,AFLT;PVC,ann\n")
    run(input=str(records), output=str(tmp_path / "a"), labels=str(table))
    library = lib.open_library(tmp_path / "a")
    assert library.vocabulary == ("AFIB", "AFLT", "PVC")
    assert library.names == (
        "atrial fibrillation",
        "atrial flutter",
        "ventricular premature complex",
    )
    assert library.kinds == ("rhythm", "rhythm", "form")
    np.testing.assert_array_equal(library.labels, [[1, 0, 0], [0, 1, 1]])
    np.testing.assert_array_equal(library.patients, [0, 0])
    quarantine = (tmp_path / "a" / "quarantine.csv").read_text()
    assert quarantine.count("no label") == 4
    out = capsys.readouterr().out
    assert "no patients are given" not in out
    assert "--hz=100 --seconds=10 makes such a library" in out


@pytest.fixture
def files(records, tmp_path):
    """The records as CSV, NPY and EDF, one of them damaged, in the same sub-folders."""
    for path in sorted(records.glob("*/*.hea")):
        where, name = tmp_path / "files" / path.parent.name, path.stem
        where.mkdir(parents=True, exist_ok=True)
        if name == "r5":
            (where / "r5.csv").write_text("I,II\n0.1,much\n")
            continue
        mv = wfdb.rdrecord(str(path.with_suffix(""))).p_signal
        if name in ("r1", "r2"):
            np.save(where / f"{name}.npy", mv)
        elif name == "r3" and importlib.util.find_spec("pyedflib"):  # of the extra 'formats'
            from pyedflib import highlevel

            limits = {"physical_min": -5, "physical_max": 5, "sample_frequency": 250}
            headers = highlevel.make_signal_headers(list(STANDARD_LEADS), "mV", **limits)
            highlevel.write_edf(str(where / "r3.edf"), np.ascontiguousarray(mv.T), headers)
        else:
            heading = ",".join(f"{lead} (mV)" for lead in STANDARD_LEADS)
            table = np.column_stack([np.arange(750) / 250, mv])
            np.savetxt(
                where / f"{name}.csv", table, "%.6f", ",", header=f"time (s),{heading}", comments=""
            )
    return tmp_path / "files"


def test_single_files_give_what_wfdb_gives(records, files, tmp_path):
    wfdb_library, library = tmp_path / "wfdb", tmp_path / "csv"
    options = ["--labels=folders", "--workers=1"]
    done = command("--source=wfdb", f"--input={records}", f"--output={wfdb_library}", *options)
    assert done.returncode == 0, done.stderr
    lacking = ["--file_hz=250", "--units=mv", f"--file_leads={','.join(STANDARD_LEADS)}"]
    done = command(
        "--source=csv", f"--input={files}", f"--output={library}", "--workers=2", *lacking
    )
    assert done.returncode == 0, done.stderr
    assert "5 records of 5 patients, 2 statements, 3 s at 250 Hz, leads I II" in done.stdout
    assert "every recording counts as a patient" in done.stdout
    expected, found = map(lib.open_library, (wfdb_library, library))
    assert found.source == "csv"
    assert found.leads == expected.leads == STANDARD_LEADS
    assert [path.split(".")[0] for path in found.sources] == list(expected.sources)
    assert found.vocabulary == expected.vocabulary == ("AFIB", "my class")
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_allclose(found.signals, expected.signals, atol=1)
    assert "as given, not in the file: 250 Hz, mV" in found.notes[0]
    assert (library / "quarantine.csv").read_text().splitlines() == [
        "path,reason",
        'AFIB/r5.csv,"line 2, column 2 (II): no number"',
    ]


def test_single_files_with_labels_of_a_csv_file(files, tmp_path, run):
    table = files / "labels.csv"
    table.write_text("path,label,patient\nAFIB/r1.npy,AFIB,ann\nmy class/r0.csv,SR,ann\n")
    run(
        source="csv", input=str(files), output=str(tmp_path / "a"), labels=str(table),
        file_hz=250.0, units="mV", file_leads=list(STANDARD_LEADS), hz=125.0, leads=["V2", "I"],
    )  # fmt: skip
    library = lib.open_library(tmp_path / "a")
    assert library.sources == ("AFIB/r1.npy", "my class/r0.csv")
    assert library.vocabulary == ("AFIB", "SR")
    assert library.leads == ("V2", "I")
    assert library.signals.shape == (2, 375, 2)
    np.testing.assert_array_equal(library.patients, [0, 0])


def test_sigterm_clears_up_and_exits_with_143(records, tmp_path):
    folder = tmp_path / "in"
    for copy in range(1500):
        shutil.copytree(records / "my class", folder / str(copy))
    output = tmp_path / "out" / "a"
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.prepare", "--source=wfdb", f"--input={folder}",
         f"--output={output}", "--workers=2"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    # The library is under way once its hidden folder is there.
    while process.poll() is None and not (output.parent.is_dir() and any(output.parent.iterdir())):
        time.sleep(0.01)
    time.sleep(0.7)  # a worker that starts while its parent ends would say so
    process.terminate()
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 143, error
    assert "error: stopped by SIGTERM; nothing is left behind\n" in error
    assert "Traceback" not in error
    assert not list(output.parent.iterdir())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bandpass": ["5"]}, "--bandpass=5: give two numbers"),
        ({"bandpass": ["40", "0.5"]}, "--bandpass=40,0.5: the low cut must be above 0 and below"),
        ({"bandpass": ["nan", "40"]}, "--bandpass=nan,40: the low cut must be above 0"),
        ({"hz": -5.0}, "must be positive"),
        ({"seconds": 1e-9}, "must be positive"),
        ({"seconds": float("inf")}, "--seconds=inf"),
        ({"seconds": float("nan")}, "--seconds=nan"),
        ({"seconds": 1e12}, "at most 134217728 samples"),
        ({"hz": float("nan")}, "--hz=nan"),
        ({"hz": 1e300, "seconds": 1e-299}, "--hz=1e\\+300"),
        ({"source": "synthetic", "input": None, "hz": 0.0}, "must be positive"),
        ({"source": "synthetic", "input": None, "leads": ["X9"]}, "'X9' is none of"),
        ({"source": "synthetic"}, "--input does not apply to --source=synthetic"),
        ({"source": "ptbxl", "labels": "folders"}, "--labels does not apply to --source=ptbxl"),
        ({"units": "mV"}, "--units does not apply to --source=wfdb; leave it out"),
        ({"source": "csv", "labels": "header"}, "--labels=header: only WFDB"),
        ({"source": "csv"}, r"no record can be read: 6 × a WFDB record; import it by"),
        ({"input": None}, "needs --input"),
        ({"input": "/nowhere"}, "/nowhere: no such folder"),
        ({"input": "/nowhere", "source": "ptbxl"}, r"scp_statements\.csv: missing"),
        ({"leads": ["V1", "X9"]}, r"no record to write; quarantined: 5 × lead X9 is missing"),
    ],
)
def test_settings_that_make_no_sense(records, tmp_path, run, values, message):
    with pytest.raises(MetaecgError, match=message):
        run(**({"input": str(records), "output": str(tmp_path / "a")} | values))
    assert not list(tmp_path.iterdir())


def test_pieces_equivalent_codes_and_the_form_of_the_shipped_diagnoser(
    records, tmp_path, run, capsys
):
    table = tmp_path / "labels.csv"
    table.write_text("Path;Label\nAFIB/r1;AF\nAFIB/r3;164889003\nmy class/r0;SR\n")
    common = {"input": str(records), "labels": str(table)}
    run(output=str(tmp_path / "kept"), hz=100.0, **common)
    out = capsys.readouterr().out
    assert "note: equivalent codes are separate classes: 164889003 and AF; --equivalent" in out
    assert "12 standard leads: --seconds=10 makes such a library" in out
    run(output=str(tmp_path / "a"), cut=1.0, equivalent_codes="merge", **common)
    out = capsys.readouterr().out
    assert "equivalent codes are separate" not in out
    library = lib.open_library(tmp_path / "a")
    assert library.vocabulary == ("AFIB", "SR")
    assert library.signals.shape == (9, 250, 12)
    np.testing.assert_array_equal(library.patients, np.repeat([0, 1, 2], 3))
    whole = lib.open_library(tmp_path / "kept").labels.sum(axis=0)
    np.testing.assert_array_equal(library.labels.sum(axis=0), [3 * whole[:2].sum(), 3 * whole[2]])


def test_how_likelihoods_count_is_said_with_the_counts(tmp_path, run, capsys):
    folder = tmp_path / "ptbxl"
    (folder / "records100").mkdir(parents=True)
    (folder / "scp_statements.csv").write_text(
        ",description,diagnostic,form,rhythm\nNORM,normal ECG,1.0,,\nSR,sinus rhythm,,,1.0\n"
    )
    lines = ["ecg_id,patient_id,scp_codes,strat_fold,filename_lr"]
    signal = np.random.default_rng(0).normal(0, 0.2, (1000, 12))
    for number, likelihood in enumerate((0.0, 15.0, 100.0)):
        codes = f"\"{{'NORM': {likelihood}, 'SR': 0.0}}\""
        lines.append(f"{number},{number}.0,{codes},1,records100/r{number}")
        wfdb.wrsamp(
            f"r{number}", fs=100, units=["mV"] * 12, sig_name=list(STANDARD_LEADS),
            p_signal=np.roll(signal, number), fmt=["16"] * 12,
            write_dir=str(folder / "records100"),
        )  # fmt: skip
    (folder / "ptbxl_database.csv").write_text("\n".join([*lines, ""]))
    run(source="ptbxl", input=str(folder), output=str(tmp_path / "a"))
    assert lib.open_library(tmp_path / "a").labels.sum(axis=0).tolist() == [3, 3]
    assert (
        "note: a statement counts as a label whatever its likelihood (of 3 diagnostic ones in "
        "ptbxl_database.csv, below 50 %: 1; 0, which stands for unknown: 1)\n"
    ) in capsys.readouterr().out


def test_what_a_table_of_labels_lacks_is_said(records, tmp_path, run, capsys):
    table = tmp_path / "labels.csv"
    rows = ["AFIB/r1,AFIB,1", "AFIB/r3,AFIB,2", "my class/r0,AFIB,3", "my class/r2,AFlB,4"]
    table.write_text("\n".join(["path,label,pat_id", *rows, ""]))
    run(input=str(records), output=str(tmp_path / "a"), labels=str(table))
    out = capsys.readouterr().out
    assert "4 records of 4 patients, 2 statements" in out
    assert "note: not read in labels.csv: 'pat_id'; read are path, label and patient\n" in out
    assert "note: no patients are given" in out
    assert "note: labels of one or two records: AFlB (1 record, nearest AFIB); correct" in out
    run(input=str(records), output=str(tmp_path / "b"), labels=str(table), limit=1)
    assert "1 record of 1 patient, 1 statement, 3 s" in capsys.readouterr().out


def test_where_labels_are_missing_the_remedy_is_named(records, tmp_path, run):
    for path in (records / "my class").iterdir():
        text = path.read_bytes()
        (tmp_path / path.name).write_bytes(text.replace(b"Dx: 426783006", b""))
    output = str(tmp_path / "out" / "a")
    with pytest.raises(MetaecgError, match=r"no label: its header .*give --labels=FILE\.csv or"):
        run(input=str(tmp_path), output=output)
    for source in ("wfdb", "csv"):
        with pytest.raises(MetaecgError, match=r"3 × no label: it lies in --input itself, .*above"):
            run(source=source, input=str(tmp_path), output=output, labels="folders")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_recordings_of_another_format_are_quarantined_with_the_source_for_them(
    records, tmp_path, run, capsys
):
    shutil.copytree(records, tmp_path / "in")
    (tmp_path / "in" / "RVH").mkdir()
    rows = "\n".join(f"{n % 7 / 10},{n % 5 / 10}" for n in range(750))
    (tmp_path / "in" / "RVH" / "x.csv").write_text(f"I (mV),II (mV)\n{rows}\n")
    run(input=str(tmp_path / "in"), output=str(tmp_path / "a"), labels="folders")
    assert "quarantined 2 (quarantine.csv)" in capsys.readouterr().out
    quarantine = (tmp_path / "a" / "quarantine.csv").read_text()
    assert "RVH/x.csv,not a WFDB record; import it by --source=csv\n" in quarantine


@pytest.mark.long
def test_a_library_in_the_shipped_form_needs_no_note(tmp_path, run, capsys):
    run(source="synthetic", output=str(tmp_path / "a"), patients=2, seed=3)
    assert "note:" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"output": ""}, "--source and --output are needed"),
        ({"output": "{}/labels.csv"}, "exists and is not a library"),
        ({"output": "{}/labels.csv/a"}, "labels.csv is a file, where a folder is needed"),
        ({"cut": 1.0, "seconds": 1.0}, "--cut and --seconds both say"),
        ({"cut": -1.0}, "--cut=-1: both must be positive"),
        ({"cut": float("nan")}, "--cut=nan"),
        ({"seed": 3}, "--seed does not apply to --source=wfdb"),
        ({"patients": 3}, "--patients does not apply to --source=wfdb"),
        ({"source": "ptbxl", "cut": 5.0}, "--cut does not apply to --source=ptbxl"),
        ({"source": "synthetic", "input": None, "cut": 5.0}, "--cut does not apply"),
        ({"source": "synthetic", "input": None, "equivalent_codes": "merge"}, "does not apply"),
    ],
)
def test_flags_that_contradict_each_other(records, tmp_path, run, values, message):
    (tmp_path / "labels.csv").write_text("path,label\n")
    values = {"input": str(records), "output": str(tmp_path / "a")} | values
    values["output"] = values["output"].format(tmp_path)
    with pytest.raises(MetaecgError, match=message):
        run(**values)
    assert [path.name for path in tmp_path.iterdir()] == ["labels.csv"]
