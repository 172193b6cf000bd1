"""The command prepare, run as a user runs it, and how commands fail."""

import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import wfdb
from absl import flags
from absl.testing import flagsaver

from experiments import cli, prepare
from metaecg.data import library as lib
from metaecg.data.signal import STANDARD_LEADS
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
    assert "every record counts as a patient" in done.stdout
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
        (["--sauce=wfdb"], "Unknown command line flag 'sauce'"),
        (["--source=mitbih"], "value should be one of <ptbxl|wfdb|synthetic>"),
        (["--source=wfdb"], "--output"),
        (["stray", "--source=wfdb", "--output=a"], "unexpected argument 'stray'"),
    ],
)
def test_bad_flags_are_one_line(arguments, message, capsys):
    flags.FLAGS.unparse_flags()
    flags.FLAGS["output"].unparse()
    with pytest.raises(SystemExit) as caught:
        cli._parse(["prepare", *arguments])
    assert caught.value.code == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


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
    assert "note:" not in capsys.readouterr().out


def test_sigterm_clears_up_and_exits_with_143(records, tmp_path):
    folder = tmp_path / "in"
    for copy in range(200):
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
    process.terminate()
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 143, error
    assert "error: stopped by SIGTERM; nothing is left behind\n" in error
    assert "Traceback" not in error
    assert not list(output.parent.iterdir())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"bandpass": ["5"]}, "--bandpass=5: two numbers"),
        ({"hz": -5.0}, "must be positive"),
        ({"seconds": 1e-9}, "must be positive"),
        ({"seconds": float("inf")}, "--seconds=inf"),
        ({"seconds": float("nan")}, "--seconds=nan"),
        ({"seconds": 1e12}, "at most 134217728 samples"),
        ({"hz": float("nan")}, "--hz=nan"),
        ({"hz": 1e300, "seconds": 1e-299}, "--hz=1e\\+300"),
        ({"source": "synthetic", "input": None, "hz": 0.0}, "must be positive"),
        ({"source": "synthetic", "input": None, "leads": ["X9"]}, "'X9' is none of"),
        ({"input": None}, "needs --input"),
        ({"input": "/nowhere"}, "/nowhere: no such folder"),
        ({"input": "/nowhere", "source": "ptbxl"}, r"scp_statements\.csv: missing"),
        ({"leads": ["V1", "X9"]}, "6 quarantined, the first: AFIB/r1: lead X9 is there 0"),
    ],
)
def test_settings_that_make_no_sense(records, tmp_path, run, values, message):
    with pytest.raises(MetaecgError, match=message):
        run(**({"input": str(records), "output": str(tmp_path / "a")} | values))
    assert not list(tmp_path.iterdir())
