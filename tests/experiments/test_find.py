"""experiments.find as its user meets it: ids and files, the ranking, the page, and bad input."""

import csv
import re
import subprocess
import sys

import numpy as np
import pytest
from absl import flags
from searched import HZ, LEADS, library, model, signal

from experiments import find
from experiments.runs import model_flags
from metaecg.data import writing
from metaecg.errors import MetaecgError


def write(path, mv, leads=LEADS):
    path.parent.mkdir(parents=True, exist_ok=True)
    header = ",".join(["time (s)", *(f"{lead} (mV)" for lead in leads)])
    rows = np.column_stack([np.arange(len(mv)) / HZ, mv])
    np.savetxt(path, rows, "%.5f", ",", header=header, comments="")
    return path


@pytest.fixture
def folder(tmp_path):
    writing.save(library(), tmp_path / "library")
    return tmp_path / "library"


@pytest.fixture
def support(tmp_path):
    rng = np.random.default_rng(9)
    for number in range(3):
        write(tmp_path / "support" / f"{number}.csv", signal(7, rng))
    return tmp_path / "support"


@pytest.fixture
def run(monkeypatch):
    """Runs the command in this process with some flags, by the model of sines."""
    monkeypatch.setattr(model_flags, "load", lambda workdir, artefact, leads=None: model())

    def run(**given):
        find.define_flags()
        flags.FLAGS(["find", *(f"--{name}={value}" for name, value in given.items())])
        return find.main([])

    return run


def test_a_second_question_waits_for_neither_jax_nor_statistics():
    """They take a second and more to import, and what is embedded already is ranked by numpy."""
    code = (
        "import sys, experiments.find\n"
        "from metaecg.diagnose import artefact\n"
        "from metaecg.search import cache\n"
        "cache.fingerprint(artefact.shipped())\n"
        "print([name for name in ('jax', 'scipy.stats', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def ranked(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_files_find_their_like_and_the_page_shows_them(run, folder, support, tmp_path, capsys):
    output, report = tmp_path / "ranked.csv", tmp_path / "found.html"
    assert run(library=folder, support=support, output=output, report=report, first=3) == 0
    rows = ranked(output)
    rare = {f"r{row}" for row in np.flatnonzero(library().labels[:, 0])}
    assert [row["place"] for row in rows] == [str(place) for place in range(1, 201)]
    assert sum(row["id"] in rare for row in rows[:20]) >= 18
    assert rows[0]["source"] == f"files/{rows[0]['id'][1:]}.csv"
    assert {row["nearest_example"] for row in rows} == {"0.csv", "1.csv", "2.csv"}
    chances = [float(row["probability"]) for row in rows]
    assert chances == sorted(chances, reverse=True)
    assert 0 < chances[-1] < chances[0] < 1
    printed = capsys.readouterr().out
    assert printed.startswith("200 recordings ranked by 3 examples\n   1  ")
    assert "The probabilities take one recording in 190 to be sought" in printed.splitlines()[4]
    page = report.read_text("utf-8")
    assert page.count("<svg") == 6
    assert not re.search(r"(src|href)=\"http", page)
    assert str(tmp_path) not in page


def test_ids_and_a_file_of_the_archive_are_no_finds(run, folder, support, tmp_path, capsys):
    archive, output = library(), tmp_path / "ranked.csv"
    one, other = (int(row) for row in np.flatnonzero(archive.labels[:, 0])[:2])
    write(support / "copy.csv", archive.millivolts([other])[0])
    run(library=folder, support=support, positives=f"r{one}", negatives="r5", output=output)
    rows = {row["id"]: row for row in ranked(output)}
    assert rows[f"r{one}"]["place"] == rows[f"r{other}"]["place"] == ""
    assert rows[f"r{one}"]["note"] == f"is example r{one}"
    assert rows[f"r{other}"]["note"] == "a copy of example copy.csv"
    partner = rows[f"r{one ^ 1}"]
    assert partner["note"] == f"of the same patient as example r{one}"
    assert f"left out: r{other}, a copy of example copy.csv" in capsys.readouterr().out


def test_a_folder_of_files_is_an_archive_as_well(run, support, tmp_path, capsys):
    rng = np.random.default_rng(3)
    for number in range(12):
        write(tmp_path / "input" / f"{number % 2}" / f"{number}.csv", signal(3 + number % 5, rng))
    (tmp_path / "input" / "broken.csv").write_text("nothing\n")
    output = tmp_path / "ranked.csv"
    asked = {"input": tmp_path / "input", "support": support, "output": output}
    assert run(**asked, artefact="sines") == 1
    assert [row["id"] for row in ranked(output)][:2] in (
        ["0/4.csv", "1/9.csv"],
        ["1/9.csv", "0/4.csv"],
    )
    said = capsys.readouterr()
    assert "broken.csv" in said.err
    assert "leads read" not in said.out
    run(**asked)
    assert "leads read: I II, by a model for these leads" in capsys.readouterr().out


def test_one_of_several_labels_is_sought(run, folder, support, tmp_path):
    rng = np.random.default_rng(4)
    for name, hz in (("slow", 3), ("fast", 7)):
        for number in range(2):
            write(tmp_path / "both" / name / f"{number}.csv", signal(hz, rng))
    output = tmp_path / "ranked.csv"
    run(library=folder, support=tmp_path / "both", sought="fast", output=output)
    rare = {f"r{row}" for row in np.flatnonzero(library().labels[:, 0])}
    assert sum(row["id"] in rare for row in ranked(output)[:20]) >= 18
    with pytest.raises(MetaecgError, match="has 'fast', 'slow'; say by --sought='fast' which"):
        run(library=folder, support=tmp_path / "both")
    with pytest.raises(
        MetaecgError, match=r"--sought=WPW: no example of it in .*has 'fast', 'slow'"
    ):
        run(library=folder, support=tmp_path / "both", sought="WPW")


def test_bad_input_ends_in_one_line(run, folder, support, tmp_path):
    (tmp_path / "empty").mkdir()
    write(tmp_path / "other" / "a.csv", np.zeros((100, 2)) + np.eye(100, 2), ("V1", "V2"))
    write(tmp_path / "flat" / "a.csv", np.zeros((100, 2)))
    for given, message in (
        ({}, "give either --library or --input"),
        ({"library": folder, "input": support, "support": support}, "give either"),
        ({"library": folder}, "give examples of what is sought by --support"),
        ({"library": tmp_path / "none", "support": support}, "make one by metaecg prepare"),
        ({"library": folder, "support": tmp_path / "empty"}, "no recording in it"),
        ({"library": folder, "positives": "77"}, "record 77: no such id in the archive"),
        ({"library": folder, "positives": "r1", "sought": "x"}, "--sought names a label"),
        ({"library": folder, "support": tmp_path / "other"}, "has leads V1 V2, the model reads"),
        ({"library": folder, "support": tmp_path / "flat"}, "flat"),
        ({"input": tmp_path / "empty", "support": support}, "no recording can be read"),
        ({"input": tmp_path / "none", "support": support}, "there is no such folder"),
    ):
        with pytest.raises(MetaecgError, match=message) as error:
            run(**given)
        assert "\n" not in str(error.value)
