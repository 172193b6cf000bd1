"""Listing a folder: labels from headers, sub-folders and CSV files; what no header describes."""

import numpy as np
import pytest
from recording_files import MV, write_csv, write_npy, write_wfdb

from metaecg.data.readers.wfdb_header import split_codes
from metaecg.data.sources.listing import Item
from metaecg.data.sources.wfdb_folder import list_folder
from metaecg.errors import MetaecgError


@pytest.fixture
def folder(tmp_path):
    for path in ("AFIB/2.hea", "AFIB/1.hea", "PVC;SR/deep/3.hea", "4.hea", ".cache/5.hea", "x.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    return tmp_path


NO_ROW = (
    "no label: no row of labels.csv names it; a path there is relative to --input or to the file"
)
PATHS = ["4", "AFIB/1", "AFIB/2", "PVC;SR/deep/3"]


def test_header_labels_are_left_to_the_headers(folder):
    assert list_folder(folder, "header") == [Item(path, path, path, None) for path in PATHS]


def test_folder_labels_are_the_first_folder(folder):
    codes = [item.codes for item in list_folder(folder, "folders")]
    assert codes == [(), ("AFIB",), ("AFIB",), ("PVC", "SR")]


def test_csv_labels(folder):
    table = folder / "labels.csv"
    table.write_text(
        "\ufeffpath,label,patient,age\n"
        "AFIB/1.hea,AFIB,ann,70\nAFIB/1,PVC; AFIB,ann,70\n"
        "AFIB\\2.dat,SR,,\n./4.mat,?,bob,\ngone,SR,,\n",
        encoding="utf-8",
    )
    assert list_folder(folder, str(table)) == [
        Item("4", "4", "bob", (), problem="no label: its row in labels.csv has none"),
        Item("AFIB/1", "AFIB/1", "ann", ("AFIB", "PVC")),
        Item("AFIB/2", "AFIB/2", "AFIB/2", ("SR",)),
        Item("PVC;SR/deep/3", "PVC;SR/deep/3", "PVC;SR/deep/3", (), problem=NO_ROW),
        Item("gone", "gone", "gone", ("SR",)),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"path,diagnosis\n4,SR\n", "no column 'label'; has path, diagnosis"),
        (b"", "no column 'path'"),
        (b"path,label\n4\n", "line 2 lacks columns"),
        (b"path,label,patient\n4,SR,ann\n4,SR,bob\n", "line 3: patient 'bob' of 4, which is 'ann'"),
        (b"path,label\n4,\xff\n", "no CSV file in UTF-8"),
    ],
)
def test_malformed_csv_is_refused(folder, content, message):
    (folder / "labels.csv").write_bytes(content)
    with pytest.raises(MetaecgError, match=message):
        list_folder(folder, str(folder / "labels.csv"))


def test_missing_things_are_named(tmp_path):
    with pytest.raises(MetaecgError, match="no such folder"):
        list_folder(tmp_path / "none", "header")
    with pytest.raises(MetaecgError, match=r"no WFDB header .*by --source=csv"):
        list_folder(tmp_path, "header")
    (tmp_path / "1.hea").touch()
    with pytest.raises(MetaecgError, match=r"labels\.csv: no such file"):
        list_folder(tmp_path, "labels.csv")


def test_split_codes():
    assert split_codes(" A;B ;;A;unknown; C") == ("A", "B", "C")
    assert split_codes("") == ()


@pytest.fixture
def mixed(tmp_path):
    """Two WFDB records and recordings of other formats, beside all that archives put there."""
    for name in ("AFIB", "SR"):
        (tmp_path / name).mkdir()
    write_wfdb(tmp_path / "AFIB", name="w")
    write_wfdb(tmp_path / "AFIB", name="lost")
    (tmp_path / "AFIB" / "lost.hea").unlink()
    write_csv(tmp_path / "SR" / "a.csv")
    write_npy(tmp_path / "SR" / "b.npy")
    np.savetxt(tmp_path / "SR" / "c.txt", MV)
    (tmp_path / "SR" / "d.edf").write_bytes(b"damaged")
    write_csv(tmp_path / "AFIB" / "w.csv")  # of the record with this header
    for name in ("w.atr", "v.qrs"):
        (tmp_path / "AFIB" / name).write_bytes(bytes(4))
    rising = "".join(f"{n * 250}\n" for n in range(300))
    beats = "".join(f"{n * 250},{n % 3}\n" for n in range(300))
    people = "id,age,sex\n" + "".join(f"{n},{50 + n % 30},{n % 2}\n" for n in range(300))
    texts = {"RECORDS": "AFIB/w\n", "notes.txt": "none\n", "peaks.csv": rising, "x.md": "x",
             "REFERENCE.csv": "w,A\n", "labels.csv": "path,label\nAFIB/w,AFIB\nSR/a.csv,SR\n",
             "beats.csv": beats, "people.csv": people, "few.csv": "0.1,0.2\n0.3,0.4\n",
             "ann.xml": "<annotation/>", "SHA256SUMS.txt": "0 w.hea\n"}  # fmt: skip
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "people.xlsx").write_bytes(b"PK\x03\x04")
    return tmp_path


ELSEWHERE = "not a WFDB record; import it by --source=csv"
OTHERS = {
    "AFIB/lost.dat": "its WFDB header lost.hea is missing",
    "SR/a.csv": ELSEWHERE,
    "SR/b.npy": ELSEWHERE,
    "SR/c.txt": ELSEWHERE,
    "SR/d.edf": "not a recording of a known format; WFDB, CSV",
}


@pytest.mark.parametrize("labels", ["header", "folders", "labels.csv"])
def test_recordings_of_other_formats_are_listed_and_what_stands_beside_is_not(mixed, labels):
    labels = str(mixed / labels) if "." in labels else labels
    items = list_folder(mixed, labels)
    assert [item.path for item in items] == sorted(["AFIB/w", *OTHERS])
    found = {item.path: item.problem for item in items if item.problem}
    assert {path: why[: len(OTHERS[path])] for path, why in found.items()} == OTHERS


def test_a_header_with_another_ending_is_no_other_format(tmp_path):
    write_wfdb(tmp_path, name="w")
    write_wfdb(tmp_path, name="v")
    (tmp_path / "v.hea").rename(tmp_path / "v.HEA")
    found = {item.path: item.problem for item in list_folder(tmp_path, "header")}
    assert found == {"w": "", "v.HEA": "a WFDB header with another ending; rename it to .hea"}
