"""Folders of single recordings: what is listed, how it is labelled, and how it is read."""

import functools

import numpy as np
import pytest
from recording_files import CSV, HZ, LEADS, MV, write_csv, write_edf, write_npy, write_wfdb

from metaecg.data.readers.recordings import Given
from metaecg.data.record_form import Target
from metaecg.data.sources import wfdb_folder
from metaecg.data.sources.listing import Item
from metaecg.data.sources.recording_folder import form, list_folder, read
from metaecg.data.sources.source import read_item, survey
from metaecg.errors import MetaecgError

TARGET = Target(HZ, 8.0, LEADS)
NO_ROW = (
    "no label: no row of labels.csv names it; a path there is relative to --input or to the file"
)


@pytest.fixture
def folder(tmp_path):
    """The same recording four times, in a folder of each diagnosis."""
    for name in ("AFIB", "SR"):
        (tmp_path / name).mkdir()
    write_csv(tmp_path / "AFIB" / "a.csv")
    write_npy(tmp_path / "AFIB" / "b.npy")
    write_wfdb(tmp_path / "SR", name="w")
    (tmp_path / "SR" / "w.atr").write_bytes(bytes(4))
    (tmp_path / "SR" / "notes.txt").write_text("no recording\n")
    (tmp_path / "README.md").write_text("ours\n")
    return tmp_path


def outcome(folder, path, **given):
    reader = functools.partial(read, given=Given(**given))
    [found] = read_item(folder, Item(path, path, path, ("SR",)), TARGET, reader)
    return found


def test_every_file_is_listed_but_what_stands_beside_recordings(folder):
    assert list_folder(folder, "folders") == [
        Item("AFIB/a.csv", "AFIB/a.csv", "AFIB/a.csv", ("AFIB",)),
        Item("AFIB/b.npy", "AFIB/b.npy", "AFIB/b.npy", ("AFIB",)),
        Item("SR/notes.txt", "SR/notes.txt", "SR/notes.txt", ("SR",)),
        Item("SR/w.hea", "SR/w.hea", "SR/w.hea", ("SR",)),
    ]


def test_labels_and_patients_of_a_csv_file_in_the_folder(folder):
    table = folder / "labels.csv"
    table.write_text("path,label,patient\nAFIB\\a.csv,AFIB;PVC,ann\n./AFIB/b.npy,SR,\ngone,SR,\n")
    assert list_folder(folder, str(table)) == [
        Item("AFIB/a.csv", "AFIB/a.csv", "ann", ("AFIB", "PVC")),
        Item("AFIB/b.npy", "AFIB/b.npy", "AFIB/b.npy", ("SR",)),
        Item("SR/notes.txt", "SR/notes.txt", "SR/notes.txt", (), problem=NO_ROW),
        Item("SR/w.hea", "SR/w.hea", "SR/w.hea", (), problem=NO_ROW),
        Item("gone", "gone", "gone", ("SR",)),
    ]


def test_what_cannot_be_listed_is_named(tmp_path):
    with pytest.raises(MetaecgError, match=r"header: .*choose folders or a CSV file"):
        list_folder(tmp_path, "header")
    with pytest.raises(MetaecgError, match="no such folder"):
        list_folder(tmp_path / "none", "folders")
    with pytest.raises(MetaecgError, match="no file in it"):
        list_folder(tmp_path, "folders")


def test_the_same_signal_as_from_wfdb_with_what_was_assumed(folder):
    write_edf(folder / "SR" / "e.edf")
    item = Item("SR/w", "w", "w", ("SR",))
    expected = read_item(folder, item, TARGET, wfdb_folder.read)[0].signal
    np.testing.assert_array_equal(expected, (MV * 1000).round())
    csv = outcome(folder, "AFIB/a.csv")
    np.testing.assert_array_equal(csv.signal, expected)
    assert csv.codes == ("SR",)
    assert csv.note == "250 Hz by the column 'time'"
    npy = outcome(folder, "AFIB/b.npy", **CSV)
    np.testing.assert_array_equal(npy.signal, expected)
    assert npy.note == "as given, not in the file: 250 Hz, mV, leads I II V1"
    assert np.abs(outcome(folder, "SR/e.edf").signal - expected).max() <= 1


def test_bad_files_say_why_in_the_words_of_the_command(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (folder / "link.csv").symlink_to(write_csv(outside / "a.csv"))
    write_csv(folder / "two.csv", MV[:, :2], ("I (mV)", "II (mV)"))
    (folder / "object.npy").write_bytes(b"\x93NUMPY")
    reasons = {
        "AFIB/b.npy": "the file does not say; give --file_hz (samples per second), --units (mV, uV",
        "SR/notes.txt": "no line of numbers in it",
        "SR/w.hea": "a WFDB record; import it by --source=wfdb",
        "SR/w.dat": "a WFDB record; import it by --source=wfdb",
        "README.md": "not a recording of a known format; WFDB, CSV",
        "link.csv": "link.csv: a link that leads outside of the folder",
        "two.csv": "lead V1 is missing; the record has I II",
        "object.npy": "damaged or unusual NPY file",
        "gone": "gone: missing",
        "../a.csv": "points outside the folder",
        "a\nb": "its name is not printable; rename it",
    }
    found = {path: outcome(folder, path) for path in reasons}
    for path, reason in reasons.items():
        assert found[path].signal is None
        assert found[path].reason.startswith(reason)
        assert found[path].reason.isprintable()
    assert "--file_leads (names of the 3 leads" in found["AFIB/b.npy"].reason
    short = outcome(folder, "AFIB/b.npy", **CSV | {"leads": ("I",)})
    assert short.reason == "--file_leads names 1 leads, the file has 3"
    other = outcome(folder, "AFIB/a.csv", hz=500.0)
    assert "--file_hz=500 not used: the file says 250 Hz" in other.note
    [nothing] = read_item(folder, Item("AFIB/a.csv", "a", "a", ()), TARGET, read)
    assert nothing.reason == "no label"


def test_the_commonest_form_of_what_can_be_read(folder):
    items = list_folder(folder, "folders")
    assert survey(folder, items, form=form) == TARGET
    assert wfdb_folder.list_folder(folder / "SR", "header") == [Item("w", "w", "w", None)]
    with pytest.raises(MetaecgError, match=r"no record can be read: 1 × no line of numbers"):
        survey(folder, items[2:3], form=form)
