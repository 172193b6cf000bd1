"""The command make_protocol: what it writes can be trained on, and a refusal names what helps."""

import json
import re

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from experiments import make_protocol
from metaecg.data import protocols, writing
from metaecg.data.library import Library
from metaecg.errors import MetaecgError


def written(folder, labels):
    """A library of records of one patient each."""
    library = Library(
        signals=np.ones((len(labels), 1, 1), np.int16),
        labels=labels,
        vocabulary=tuple(f"c{n}" for n in range(labels.shape[1])),
        patients=np.arange(len(labels)),
    )
    writing.save(library, folder)
    return str(folder)


@pytest.fixture
def few(tmp_path):
    """Seven classes of eight to fourteen patients."""
    return written(tmp_path / "few", np.eye(7, dtype=bool)[np.repeat(np.arange(7), range(8, 15))])


@pytest.fixture
def run(tmp_path):
    """Runs the command with some flags; returns the file that it made."""
    make_protocol.define_flags()
    flags.FLAGS(["make_protocol"])

    def run(library, *arguments):
        output = tmp_path / "mine.json"
        with flagsaver.flagsaver():
            flags.FLAGS(["make_protocol", f"--library={library}", f"--output={output}", *arguments])
            make_protocol.main([])
        return output

    return run


def advice(message):
    return message.rpartition(": give ")[2].split(" or ")


@pytest.mark.parametrize(
    "arguments", [(), ("--parts=40,30,30",), ("--way=3",), ("--min_patients=12", "--way=2")]
)
def test_what_a_refusal_names_works_in_the_next_call(run, few, tmp_path, capsys, arguments):
    arguments = ("--min_patients=8", "--query=2", *arguments)
    with pytest.raises(MetaecgError, match="-way episodes need") as caught:
        run(few, *arguments)
    assert not list(tmp_path.glob("*.json"))
    for more in advice(str(caught.value)):
        output = run(few, *arguments, *more.split())
        held = json.loads(output.read_text())["held"]
        assert all(numbers["largest shot of some class sets"] for numbers in held.values())
        way = re.findall(r"--way=(\d)", f"{arguments} {more}")[-1]
        assert capsys.readouterr().out.endswith(f"--config.way={way}\n")
        output.unlink()


def test_no_protocol_is_written_that_cannot_be_filled(run, few, tmp_path):
    asked = ("--min_patients=8", "--parts=40,30,30", "--way=2")
    with pytest.raises(MetaecgError, match=r"nothing is written: no 2 classes of .*test") as caught:
        run(few, *asked, "--query=12")
    assert not list(tmp_path.glob("*.json"))
    [more] = advice(str(caught.value))
    assert more.startswith("--query=")
    output = run(few, *asked, more)
    rules, least = protocols.load(str(output)), int(more.removeprefix("--query=")) + 1
    assert [len(part) for part in rules.splits[0]] == [3, 2, 2]
    output.unlink()
    with pytest.raises(MetaecgError, match="nothing is written"):
        run(few, *asked, f"--query={least}")


def test_a_smaller_way_is_named_where_it_can_be_filled(run, tmp_path):
    """One of three test classes has too few patients for six records of each."""
    library = written(tmp_path / "one", np.eye(3, dtype=bool)[np.repeat(np.arange(3), (8, 8, 4))])
    asked = ("--min_patients=3", "--parts=0,0,100")
    with pytest.raises(MetaecgError) as caught:
        run(library, *asked, "--way=3")
    assert not list(tmp_path.glob("*.json"))
    assert advice(str(caught.value)) == ["--query=3", "--way=2"]
    assert run(library, *asked, "--way=2").is_file()


def test_where_no_number_helps_other_classes_are_asked_for(run, tmp_path):
    """All classes but one share all their patients."""
    labels = np.eye(4, dtype=bool)[np.repeat(np.arange(4), 8)]
    labels[:16, :2] = True
    library = written(tmp_path / "same", labels)
    with pytest.raises(MetaecgError, match=r"no 2 classes of .*: raise --min_patients"):
        run(library, "--min_patients=3", "--query=2", "--parts=50,0,50", "--way=2")
    assert not list(tmp_path.glob("*.json"))


def test_the_usual_way_is_not_repeated(run, tmp_path, capsys):
    labels = np.eye(26, dtype=bool)[np.repeat(np.arange(26), 6)]
    output = run(written(tmp_path / "many", labels), "--min_patients=6")
    assert capsys.readouterr().out.endswith(f"use it as --config.protocol={output}\n")
