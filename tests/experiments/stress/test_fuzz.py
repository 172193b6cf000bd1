"""Damaged and hostile files: each ends as a typed error, in quarantine, or comes out right.

The long trial is ``python -m experiments.stress.fuzz``; what it found is written out here.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from experiments.stress import fuzz, mutations, recordings, stored_files
from metaecg.data import library as lib
from metaecg.data import protocols
from metaecg.data.files import combine, read_json
from metaecg.data.library import LibraryError
from metaecg.data.protocols import ProtocolError
from metaecg.data.readers.raw import RecordError
from metaecg.data.readers.wfdb import read_signal
from metaecg.data.readers.wfdb_header import read_header
from metaecg.data.record_form import Target
from metaecg.data.sources import ptbxl, wfdb_folder
from metaecg.data.sources.importing import import_records
from metaecg.data.sources.listing import Item
from metaecg.data.sources.source import Source, read_item, survey
from metaecg.data.sources.wfdb_folder import form, list_folder
from metaecg.data.writing import Writer
from metaecg.errors import MetaecgError

LEFT_OUT = ("config",) if importlib.util.find_spec("ecgdatakit") else ("config", "machine")
FILES = [kind for kind in fuzz.KINDS if kind not in LEFT_OUT]
TARGET = Target(100.0, 0.6, ("I", "II", "V1"))
LEADS = ("I", "II", "V1")


@pytest.mark.parametrize("kind", FILES)
def test_damage_never_passes(kind):
    with tempfile.TemporaryDirectory() as folder:
        subject = fuzz.KINDS[kind](Path(folder))

        @hypothesis.settings(max_examples=40, deadline=None, derandomize=True, database=None)
        @hypothesis.given(st.randoms(use_true_random=False))
        def attempt(rng):
            assert subject.attempt(rng) in fuzz.VERDICTS[:-1]

        attempt()


@pytest.mark.parametrize("kind", FILES)
def test_bytes_that_mean_nothing_never_pass(kind):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        subject = fuzz.KINDS[kind](Path(folder))

        @hypothesis.settings(max_examples=20, deadline=None, derandomize=True, database=None)
        @hypothesis.given(st.binary(max_size=300), st.integers(0, 9))
        def attempt(content, seed):
            patch.setattr(mutations, "damage", lambda *_: content)
            patch.setattr(mutations, "damage_json", lambda *_: content)
            assert subject.attempt(Random(seed)) in fuzz.VERDICTS[:-1]

        attempt()


@pytest.mark.parametrize("kind", FILES)
def test_what_is_sound_passes(kind, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mutations, "damage", lambda rng, content, ways: content)
        patch.setattr(mutations, "damage_json", lambda rng, value: json.dumps(value).encode())
        subject = fuzz.KINDS[kind](tmp_path)
        verdicts = {subject.attempt(Random(seed)) for seed in range(1, 20)}
    assert "unharmed" in verdicts or kind == "labels csv"  # which lists a record outside


def test_what_readers_understand_is_no_fault_of_theirs(tmp_path, monkeypatch):
    monkeypatch.setattr(
        mutations,
        "damage",
        lambda rng, content, ways: content.replace(b"path,label", b" Path,LABEL"),
    )
    assert fuzz.KINDS["labels csv"](tmp_path).attempt(Random(0)) == "quarantined"


def test_a_fault_is_counted_and_ends_with_1(tmp_path, monkeypatch, capsys):
    class Wrong:
        def __init__(self, folder):
            pass

        def attempt(self, rng):
            raise rng.choice((KeyError("a"), recordings.Fault("b")))

    monkeypatch.setitem(fuzz.KINDS, "wrong", Wrong)
    counts = fuzz.fuzz("wrong", tmp_path / "a", range(3), 0, 2.0)
    assert counts == {"faults": 3}
    assert "--kinds='wrong' --seed=0 --first=2 --inputs=1" in capsys.readouterr().out


# --- WFDB records ---


@pytest.fixture
def record(tmp_path):
    """A sound record; the function changes its header by a regular expression."""

    def record(format="16", old="", new="", count=0):
        recordings.write_record(tmp_path, format, LEADS, 0)
        path = tmp_path / "r.hea"
        text = path.read_text()
        changed, times = re.subn(old, new, text, count=count, flags=re.M)
        assert times
        path.write_text(changed)
        return path

    return record


def read(path, root=None):
    return read_signal(path, read_header(path, root), root)


def outcome(folder, name="r"):
    [found] = read_item(folder, Item(name, name, name, None), TARGET, wfdb_folder.read)
    return found


def test_files_reached_by_links_that_lead_outside_are_refused_by_name(record, tmp_path):
    path = record()
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("r.hea", "r.dat"):
        (tmp_path / name).rename(outside / name)
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "r.hea").symlink_to(outside / "r.hea")
    (inside / "r.dat").symlink_to(outside / "r.dat")
    assert outcome(inside).reason.startswith("r.hea: a link that leads outside")
    (inside / "r.hea").unlink()
    (inside / "r.hea").write_bytes((outside / "r.hea").read_bytes())
    assert outcome(inside).reason.startswith("r.dat: a link that leads outside")
    # Within the folder of the data set a link may lead anywhere, as in a DataLad data set.
    path = inside / "r.dat"
    path.unlink()
    (inside / "objects").mkdir()
    (outside / "r.dat").rename(inside / "objects" / "1")
    path.symlink_to("objects/1")
    assert outcome(inside).reason == ""
    path.unlink()
    path.symlink_to("r.dat")  # to itself
    assert outcome(inside).reason == "r.dat: missing"


@pytest.mark.parametrize("path", ["../r", "/etc/passwd", "a/../../r", "a\0b", "a\nb", "\udcff"])
def test_items_that_point_outside_or_nowhere_are_refused_by_name(tmp_path, path):
    with Writer(tmp_path / "out") as writer:
        items = [Item(path, "1", "p", ("A",))]
        source = Source("wfdb", tmp_path, items, wfdb_folder.read, TARGET)
        import_records(writer, source, TARGET)
        with pytest.raises(LibraryError, match=r"(?s)quarantined: 1 × .*(outside|printable)"):
            writer.finish(vocabulary=["A"])
    with pytest.raises(MetaecgError, match=r"outside|printable"):
        survey(tmp_path, [Item(path, "1", "p", ("A",))], form)


def test_wfdb_does_not_read_another_header_than_was_checked(record, tmp_path):
    record("212")
    secret = tmp_path / "secret.dat"
    (tmp_path / "r.dat").rename(secret)
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "x").write_bytes(b"1")
    # Not UTF-8, so a signal's name here; wfdb leaves such bytes out and sees a comment.
    lines = [b"\xff#r 1 100 1", b"x 1 100 60", b"\xff#", b"../secret.dat 212 200/mV 8 0 0 0 0 I"]
    for kept in (lines, lines[:3], [lines[0], lines[1]]):
        (folder / "r.hea").write_bytes(b"\n".join(kept))
        assert outcome(folder).signal is None
        with pytest.raises(RecordError):
            read(folder / "r.hea")
    # Read as two lines here, as one there.
    text = "r 1 100 60\nr.dat 212 200/mV 8 0 0 0 0 I\u2028../secret.dat 212\n"
    (folder / "r.dat").write_bytes(secret.read_bytes())
    (folder / "r.hea").write_text(text, encoding="utf-8")
    with pytest.raises(RecordError):
        read(folder / "r.hea")


def test_lines_beyond_the_signals_are_refused(record):
    path = record(old=r"^(r\.dat.* V1\n)", new=r"\1" * 2000)
    with pytest.raises(RecordError, match="2002 signal lines for 3 signals"):
        read_header(path)


def test_many_signals_are_refused(record):
    path = record(old=r"^r 3 (.*)\n", new=r"r 300 \1\n" + "r.dat 16\n" * 297)
    with pytest.raises(RecordError, match="300 signals; at most 256"):
        read_header(path)


def test_long_headers_are_refused_without_reading_them(record):
    path = record()
    with open(path, "ab") as file:
        file.truncate(1 << 40)
    with pytest.raises(RecordError, match="longer than"):
        read_header(path)


def test_a_line_without_an_end_takes_no_time(record):
    path = record(old=r"^r 3 100 60", new="r 3 " + "1" * 100_000 + "/" + "1" * 100_000 + " x")
    with pytest.raises(RecordError, match="no WFDB record line"):
        read_header(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("^r 3 100", "r 3 10O", "no WFDB record line"),  # the letter O: not 10 Hz
        ("^r 3 100", "r 3 100p", "no WFDB record line"),
        ("^r 3", "r ٣", "no WFDB record line"),
        (r"\(0\)", "(99999999999)", "baseline"),
        (r"200\.0", "1e-300", "gain"),
        (r"200\.0", "1e999", "gain"),
    ],
)
def test_numbers_that_cannot_be_are_refused(record, old, new, message):
    with pytest.raises(RecordError, match=message):
        read_header(record(old=old, new=new))


def test_signals_of_one_file_in_two_formats_are_refused(record):
    path = record("212", old="r.dat 212", new="r.dat 80", count=1)
    with pytest.raises(RecordError, match="differ in format or offset"):
        read(path)


@pytest.mark.parametrize("format", ["212", "508"])
def test_a_skew_beyond_the_record_is_refused(record, format):
    path = record(format, old=f"r.dat {format}", new=f"r.dat {format}:999999999")
    with pytest.raises(RecordError, match="skew"):
        read(path)


@pytest.mark.parametrize("format", ["16", "508"])
def test_lengths_beyond_memory_are_refused(record, format):
    path = record(format, old="^r 3 100 60", new="r 3 100 99999999999")
    with open(path.with_suffix(".dat"), "r+b") as file:
        file.truncate(1 << 40)  # sparse
    with pytest.raises(RecordError, match="99999999999 samples"):
        read(path)


def test_what_follows_the_samples_is_not_read(record):
    path = record()
    expected = read(path)
    with open(path.with_suffix(".dat"), "r+b") as file:
        file.truncate(1 << 40)
    np.testing.assert_array_equal(read(path), expected)


def test_without_a_checksum_the_size_must_fit_and_the_import_says_so(record, tmp_path):
    path = record(old=r"^(r\.dat 16 200\S+).* (\S+)$", new=r"\1 16 0")
    assert all(channel.checksum is None for channel in read_header(path).channels)
    read(path)
    digital = np.zeros((60, 1), np.int16)
    digital[3] = 77
    digital.tofile(tmp_path / "n.dat")
    (tmp_path / "n.hea").write_text("n 1 100 60\nn.dat 16 200/mV\n#Dx: A\n")
    item = Item("n", "n", "n", None)
    [done] = read_item(tmp_path, item, Target(100.0, 0.6, ("",)), wfdb_folder.read)
    assert done.note == "no checksum"
    for content in (b"\0", b"\0\0"):
        with open(tmp_path / "n.dat", "ab") as file:
            file.write(content)
        with pytest.raises(
            RecordError, match=r"n\.dat: no checksum, and 12\d bytes instead of 120"
        ):
            read(tmp_path / "n.hea")
    (tmp_path / "n.hea").write_text("n 1 100\nn.dat 16 200/mV\n#Dx: A\n")
    with pytest.raises(RecordError, match="no checksum, and 123 bytes instead of 122"):
        read(tmp_path / "n.hea")


def test_checksums_of_24_bit_samples_are_said_to_cover_16(record, tmp_path):
    path = record("24", old=r"200\.0", new="100000")
    content = bytearray(path.with_suffix(".dat").read_bytes())
    assert outcome(tmp_path).note == "checksum of the lowest 16 of 24 bits"
    content[2] ^= 1  # 65536 units: the sum modulo 65536 is as it was
    path.with_suffix(".dat").write_bytes(content)
    assert outcome(tmp_path).note == "checksum of the lowest 16 of 24 bits"
    record("16")
    assert outcome(tmp_path).note == ""


def test_signals_too_small_for_the_library_are_flat(record, tmp_path):
    record(old=r"200\.0", new="1e9")
    assert outcome(tmp_path).reason == "all leads are flat"


def test_reasons_are_one_short_printable_line(record, tmp_path):
    for new, start in (
        ("x" * 5000, "lead I is missing"),
        ("\x1b[2J", "r.hea: signal line 1: no signal"),
    ):
        record(old=r" I$", new=f" {new}")
        reason = outcome(tmp_path).reason
        assert reason.startswith(start)
        assert reason.isprintable()
        assert len(reason) <= 300


def test_labels_that_cannot_be_printed_are_refused(record, tmp_path):
    record(old="AFIB", new="AF\x1bIB")
    assert outcome(tmp_path).reason == "label 'AF\\x1bIB' is not printable"


def test_survey_counts_only_records_that_are_whole(record, tmp_path):
    record(old="^r 3 100 60", new="r 3 50 99999999")
    recordings.write_record(tmp_path / ".", "16", ("I",), 1)  # overwrites r
    for name in ("r.hea", "r.dat"):
        (tmp_path / name).rename(tmp_path / f"z{name}")
    sound = (tmp_path / "zr.hea").read_text().replace("r.dat", "zr.dat")
    (tmp_path / "zr.hea").write_text(sound)
    (tmp_path / "a.hea").write_text(sound.replace("100 60", "50 9999999999"))
    assert survey(tmp_path, list_folder(tmp_path, "header"), form) == Target(100.0, 0.6, ("I",))
    (tmp_path / "zr.hea").write_text(sound.replace("100 60", "100"))  # no length: the file's
    assert survey(tmp_path, list_folder(tmp_path, "header"), form) == Target(100.0, 0.6, ("I",))


def test_folders_whose_names_are_no_utf_8(tmp_path):
    where = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    os.mkdir(where)
    recordings.write_record(Path(where), "16", LEADS, 0)
    items = list_folder(tmp_path, "folders")
    with Writer(tmp_path / "out") as writer:
        source = Source("wfdb", tmp_path, items, wfdb_folder.read, TARGET)
        import_records(writer, source, TARGET)
        assert writer.quarantined == 1


# --- tables ---


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,label,label\na,SR,AF\n", "column 'label' is there twice"),
        ("path,label\na,SR,AF\n", "line 2 has more columns than the first"),
        ('path,label\na,"SR\nb,AF\nc,AF\n', "unexpected end of data"),
        ('path,label\na,"SR\nb",AF\n', "line 3 has more columns"),
        ('path,label\na,"SR\nb"\n', r"line 3: 'SR\\nb' is not printable"),
        ("path,label\na\0b,SR\n", r"line 2: 'a\\x00b' is not printable"),
        ("path,label\na," + "x" * 200_000, "field larger than"),
    ],
)
def test_tables_that_are_read_two_ways_are_refused(tmp_path, content, message):
    (tmp_path / "a.hea").touch()
    file = tmp_path / "labels.csv"
    file.write_text(content)
    with pytest.raises(MetaecgError, match=message):
        list_folder(tmp_path, str(file))


HEAD = "ecg_id,patient_id,scp_codes,strat_fold,filename_lr\n"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('1,7,"{[]: 1}",3,a\n', "line 2: strat_fold or scp_codes"),
        ('1,7,"{1: 2}",3,a\n', "line 2: strat_fold or scp_codes"),
        ("1,7,{'': 2},3,a\n", "line 2: strat_fold or scp_codes"),
        ("1,7,{'A;B': 2},3,a\n", "line 2: strat_fold or scp_codes"),
        ("1,7,{'A': 2 'B': 3},3,a\n", "line 2: strat_fold or scp_codes"),
        ("1,7,{'\\udc80': 2},3,a\n", "line 2: strat_fold or scp_codes"),
        (f"1,7,{'-' * 100_000}1,3,a\n", "line 2: strat_fold or scp_codes"),
        (f"1,7,{'(' * 100_000},3,a\n", "line 2: strat_fold or scp_codes"),
        ("1,7,{'A': 2},99999999999,a\n", "line 2: strat_fold or scp_codes"),
        ("1,7,{'A': 2},3,a\n2,7,{'A': 2},3,b\n1,8,{'B': 2},3,c\n", "line 4: ecg_id 1 .* twice"),
    ],
)
def test_ptbxl_rows_that_make_no_sense(tmp_path, rows, message):
    (tmp_path / "records100").mkdir()
    (tmp_path / "ptbxl_database.csv").write_text(HEAD + rows)
    with pytest.raises(MetaecgError, match=message) as caught:
        ptbxl.list_records(tmp_path, 100)
    assert len(str(caught.value)) < 1000


def test_ptbxl_statements_that_repeat_or_lack_a_code(tmp_path):
    file = tmp_path / "scp_statements.csv"
    for code, message in (("SR", "line 3: statement 'SR'"), ("", "line 3: statement ''")):
        file.write_text(f",description,diagnostic,form,rhythm\nSR,sinus,,,1.0\n{code},x,,,1.0\n")
        with pytest.raises(MetaecgError, match=message):
            ptbxl.statements(tmp_path)


# --- JSON, libraries and protocols ---


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("9" * 5000, "not JSON"),
        ('{"a": NaN}', "NaN is not a number"),
        ("[-Infinity]", "-Infinity is not a number"),
        ("[1e999]", "1e999 is not a number"),
        ('{"a": 1, "a": 2}', "'a' is there twice"),
        ('["\\ud800"]', "not JSON"),
        ("{", "not JSON"),
        (" " * (1 << 25), "larger than"),
    ],
)
def test_json_that_is_none(tmp_path, text, message):
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_json(file)
    with pytest.raises(ProtocolError, match=message):
        protocols.load(str(file))
    (tmp_path / "library.json").write_text(text)
    with pytest.raises(LibraryError, match=message):
        lib.open_library(tmp_path)


@pytest.fixture
def sealed(tmp_path):
    """A library's folder and a function that changes it so that all sizes and hashes fit."""
    subject = stored_files.Opened(tmp_path, True)

    def sealed(change=lambda about: None, **files):
        content = subject.sound | {name.replace("_", "."): text for name, text in files.items()}
        about = json.loads(content["library.json"])
        change(about["metadata"])
        content["library.json"] = json.dumps(about).encode()
        content["library.json"] = stored_files.seal(content)
        for name, text in content.items():
            (subject.folder / name).write_bytes(text)
        return subject.folder

    return sealed


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hz", 10**400),
        ("hz", "100"),
        ("hz", 100),  # whole, where the writer has 100.0
        ("hz", True),
        ("scale", -1.0),
        ("vocabulary", "ABC"),
        ("vocabulary", ["AFIB", "LAO/LAE", 3]),
        ("names", [1, 2, 3]),
        ("leads", ["I", None]),
        ("source", 5),
        ("processing", "abc"),
        ("shape", [5, 4]),
        ("shape", [5, 2, 4]),
        ("shape", [10**9, 4, 2]),
        ("shape", [-5, -4, 2]),
        ("shape", [5.0, 4, 2]),
        ("shape", 5),
        ("ids", ["a", "b", "c", "d", "e"]),
    ],
)
def test_libraries_of_the_wrong_types_are_refused_though_hashes_fit(sealed, field, value):
    assert len(lib.open_library(sealed())) == 5
    with pytest.raises(LibraryError) as caught:
        lib.open_library(sealed(lambda metadata: metadata.update({field: value})))
    assert "prepare" in str(caught.value)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("signals.npy", lambda content: b""),
        ("signals.npy", lambda content: b"PK\x03\x04" + content[4:]),
        ("signals.npy", lambda content: b"PK\x05\x06" + bytes(18)),  # an empty zip archive
        ("signals.npy", lambda content: content[:10] + b"-" * 70 + content[80:]),
        ("signals.npy", lambda content: content.replace(b"<i2", b">i2")),
        ("signals.npy", lambda content: content.replace(b"<i2", b"|O ")),
        ("signals.npy", lambda content: content + b"\0\0"),
        ("records.csv", lambda content: b""),
        ("records.csv", lambda content: content.replace(b"id,patient", b"patient,id")),
        ("records.csv", lambda content: content.replace(b",1,", b",99999999999,")),
        ("records.csv", lambda content: content.replace(b",1,", b",-1,")),
        ("records.csv", lambda content: content.replace(b",1,", b",0_1,")),
        ("records.csv", lambda content: content.replace(b",0,a/0,0,", b",0,a/0,9999999999,")),
        ("records.csv", lambda content: content.replace(b"record 1", b"x" * 200_000)),
        ("records.csv", lambda content: content.replace(b"record 1", b"\xff")),
        ("records.csv", lambda content: content[:-1] + b"\n" + content.split(b"\n")[1]),
        ("records.csv", lambda content: content.split(b"\n")[0]),
    ],
)
def test_files_of_a_library_are_as_they_are_written_though_hashes_fit(sealed, file, change):
    path = sealed() / file
    content = path.read_bytes()
    assert change(content) != content
    with pytest.raises(LibraryError) as caught:
        lib.open_library(sealed(**{file.replace(".", "_"): change(content)}))
    assert "prepare" in str(caught.value)


@pytest.mark.parametrize("name", ["library.json", "signals.npy", "records.csv", "quarantine.csv"])
def test_pipes_and_devices_in_a_library_are_not_waited_for(sealed, name):
    path = sealed() / name
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(LibraryError, match=f"{name}|no library.json"):
        lib.open_library(path.parent)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(LibraryError, match=f"{name}|no library.json"):
        lib.open_library(path.parent)
    path.unlink()
    path.mkdir()
    with pytest.raises(LibraryError, match=f"{name}|no library.json"):
        lib.open_library(path.parent)


def test_a_library_cannot_be_where_no_path_is():
    with pytest.raises(LibraryError, match=r"no library\.json"):
        lib.open_library("a\0b")
    with pytest.raises(LibraryError, match=r"library\.json"):
        lib.open_library("a" * 5000)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"train": "NORM"}, "train .* list of codes"),
        ({"train": [["A"]]}, "train .* list of codes"),
        ({"train": [1]}, "train .* list of codes"),
        ({"test": {"B": 1}}, "test .* list of codes"),
        ({"validation": None}, "validation .* list of codes"),
        ({"membership": ["any"]}, "membership"),
        ({"membership": None}, "membership"),
        ({"splits": []}, "no split"),
        ({"splits": {}}, "no split"),
        ({"splits": {"train": ["A"]}}, "no protocol"),
        ({"splits": [5]}, "no protocol"),
        ({"train": [], "splits": [{"validation": ["A"]}]}, "lacks both train and test codes"),
    ],
)
def test_protocols_of_the_wrong_types_are_refused(tmp_path, fields, message):
    file = tmp_path / "p.json"
    file.write_text(json.dumps({"membership": "any", "train": ["A"], "test": ["B"]} | fields))
    with pytest.raises(ProtocolError, match=message):
        protocols.load(str(file))


@pytest.mark.parametrize("number", ["²", "٣", "-1", "1", "00", "9" * 5000, "x"])
def test_splits_are_numbered_in_plain_digits(tmp_path, number):
    file = tmp_path / "p.json"
    file.write_text(json.dumps({"membership": "any", "train": ["A"], "test": ["B"]}))
    assert len(protocols.load(f"{file}:0").splits) == 1
    with pytest.raises(ProtocolError, match="splits are numbered 0 to 0"):
        protocols.load(f"{file}:{number}")


def test_protocols_at_impossible_paths():
    for name in ("a\0.json", "a" * 5000 + ".json"):
        with pytest.raises(ProtocolError, match="no protocol"):
            protocols.load(name)


def test_sealing_is_what_the_writer_does(sealed):
    about = json.loads((sealed() / "library.json").read_text())
    digests = [about["files"][name]["sha256"] for name in ("signals.npy", "records.csv")]
    assert about["fingerprint"] == combine(about["metadata"], *digests)


def test_the_command_prints_a_table_and_exits_with_0():
    arguments = ["--inputs=5", "--kinds=wfdb 16,protocol"]
    command = [sys.executable, "-m", "experiments.stress.fuzz", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[1].split()[:2] == ["inputs", "refused"]
    assert lines[-2].split()[0] == "10"
