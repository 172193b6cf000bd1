"""Files in every legal way come back as the truth that they were written from, or are refused."""

import subprocess
import sys

import hypothesis
import pytest
from hypothesis import strategies as st

from experiments.stress import unusual, valid
from experiments.stress.valid_text import table

NEEDS = {"edf and bdf": "pyedflib", "dicom": "pydicom", "machine": "ecgdatakit"}


@pytest.mark.parametrize("format", unusual.FORMATS)
def test_the_truth_comes_back_or_a_refusal_in_one_line(format, tmp_path):
    if format in NEEDS:
        pytest.importorskip(NEEDS[format], reason="its extra is not installed")

    @hypothesis.settings(max_examples=40, deadline=None)
    @hypothesis.given(st.randoms(use_true_random=False))
    def attempt(rng):
        verdict, written = unusual.attempt(format, tmp_path / "files", rng)
        assert verdict in ("read", "refused"), written.how

    attempt()


@pytest.mark.parametrize(
    ("spoil", "verdict"),
    [
        (lambda truth: truth._replace(microvolts=truth.microvolts + 2), "wrong: 2 µV off"),
        (lambda truth: truth._replace(microvolts=truth.microvolts[1:]), "wrong: shape"),
        (lambda truth: truth._replace(hz=truth.hz * 1.001), "wrong: "),
        (lambda truth: truth._replace(leads=truth.leads[::-1]), "wrong: leads"),
    ],
)
def test_what_is_wrong_is_found(tmp_path, spoil, verdict):
    rng = valid.Random(3)
    written = table(rng, tmp_path, valid.draw(rng))
    assert valid.check(written) == "read"
    assert valid.check(written._replace(truth=spoil(written.truth))).startswith(verdict)


def test_the_command_counts_and_exits_with_0():
    command = [
        sys.executable,
        "-m",
        "experiments.stress.unusual",
        "--files=8",
        "--formats=npy,wfdb",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *counts, _, kind = next(line for line in done.stdout.splitlines() if "all" in line).split()
    assert (counts, kind) == (["8", "8", "0", "0", "0"], "all")
