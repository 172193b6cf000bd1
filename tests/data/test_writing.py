"""Writers that are interrupted: nothing half-made is taken for a library, and nothing is lost."""

import subprocess
import sys

import numpy as np
import pytest

from metaecg.data import library as lib
from metaecg.data import writing
from metaecg.data.writing import Writer

KILLED = """
import os, sys
import numpy as np
from metaecg.data.writing import Writer
def stop(*_):
    print("killed", flush=True)
    os._exit(9)
with Writer(sys.argv[1], overwrite=True) as writer:
    writer.add(np.full((4, 2), 2, np.int16), id="1", patient="p", codes=["AFIB"])
    if sys.argv[2] == "writing":
        stop()
    # The old library has made way; the new one is not there yet.
    rename, left = type(writer.path).rename, [1]
    type(writer.path).rename = lambda self, to: rename(self, to) if left and left.pop() else stop()
    writer.finish(vocabulary=["AFIB"])
"""


def write(path, value, **options):
    with Writer(path, **options) as writer:
        signal = np.full((4, 2), value, np.int16)
        writer.add(signal, id="1", patient="p", codes=["AFIB"])
        writer.finish(vocabulary=["AFIB"])


@pytest.mark.parametrize("moment", ["writing", "replacing"])
def test_the_next_writer_clears_up_after_a_killed_one(tmp_path, moment):
    path = tmp_path / "a"
    write(path, 1)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), moment], capture_output=True, timeout=60
    )
    assert done.stdout == b"killed\n", done.stderr
    assert path.exists() == (moment == "writing")
    assert len(list(tmp_path.iterdir())) == (2 if moment == "writing" else 1)
    with pytest.raises(lib.LibraryError, match="--overwrite"):
        Writer(path)
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert lib.open_library(path).signals[0, 0, 0] == 1
    write(path, 3, overwrite=True)
    assert lib.open_library(path).signals[0, 0, 0] == 3


def test_a_signal_while_it_begins_leaves_nothing_behind(tmp_path, monkeypatch):
    def stopped(_):
        raise SystemExit(143)

    monkeypatch.setattr(writing, "_lock", stopped)
    with pytest.raises(SystemExit), writing.Writer(tmp_path / "library"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_writer_at_work_is_let_alone(tmp_path):
    for name in (".a.partial-0123456", ".a.partial-mine", ".b.partial-01234567", ".a"):
        (tmp_path / name).mkdir()
    with Writer(tmp_path / "a") as one:
        one.add(np.ones((4, 2), np.int16), id="1", patient="p", codes=["AFIB"])
        write(tmp_path / "a", 2)
        assert lib.open_library(tmp_path / "a").signals[0, 0, 0] == 2
        one.finish(vocabulary=["AFIB"])
    assert lib.open_library(tmp_path / "a").signals[0, 0, 0] == 1
    assert len(list(tmp_path.iterdir())) == 5


def test_a_failed_replacement_keeps_the_old_library(tmp_path, monkeypatch):
    write(tmp_path / "a", 1)
    monkeypatch.setattr(
        writing.lib, "open_library", lambda *_, **__: (_ for _ in ()).throw(OSError)
    )
    with pytest.raises(OSError):  # noqa: PT011
        write(tmp_path / "a", 2, overwrite=True)
    monkeypatch.undo()
    assert lib.open_library(tmp_path / "a").signals[0, 0, 0] == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


FULL = """
import resource, signal, sys
import numpy as np
from metaecg.data.writing import Writer
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    with Writer(sys.argv[1]) as writer:
        for number in range(40):
            signal = np.full((50, 2), number, np.int16)
            writer.add(signal, id=str(number), patient="p", codes=["AFIB"], note="x" * 40)
        for number in range(40):
            writer.quarantine(str(number), "no label")
        writer.finish(vocabulary=["AFIB"])
except OSError as error:
    print("refused:", error.strerror)
"""


@pytest.mark.parametrize("room", [0, 1, 200, 600, 2000, 5000, 8100])
def test_a_full_disk_leaves_nothing_behind(tmp_path, room):
    """Each of the files may be the one that does not fit, while written or while closed."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "a"), str(room)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "refused: File too large\n", done.stderr
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_patients_that_turn_out_to_be_one_are_numbered_as_one(tmp_path):
    with Writer(tmp_path / "a") as writer:
        for number, patient in enumerate("abcdeaf"):
            signal = np.full((4, 2), number, np.int16)
            writer.add(signal, id=str(number), patient=patient, codes=["A"], note='"x", y')
            if patient == "d":
                writer.unite("b", "d")
            if patient == "e":
                writer.unite("e", "c")
                writer.unite("b", "e")
        writer.unite("f", "never seen")
        writer.finish(vocabulary=["A"])
    library = lib.open_library(tmp_path / "a")
    np.testing.assert_array_equal(library.patients, [0, 1, 1, 1, 1, 0, 2])
    assert library.notes == ('"x", y',) * 7


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file" / "a", tmp_path / "file" / "a" / "b"):
        with pytest.raises(lib.LibraryError, match="file is a file, where a folder is needed"):
            Writer(path)
    with pytest.raises(lib.LibraryError, match="exists and is not a library"):
        Writer(tmp_path / "file")
