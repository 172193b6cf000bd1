"""Listing a folder: labels from headers, sub-folders and CSV files."""

import pytest

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
        Item("4", "4", "bob", ()),
        Item("AFIB/1", "AFIB/1", "ann", ("AFIB", "PVC")),
        Item("AFIB/2", "AFIB/2", "AFIB/2", ("SR",)),
        Item("PVC;SR/deep/3", "PVC;SR/deep/3", "PVC;SR/deep/3", ()),
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
    with pytest.raises(MetaecgError, match="no WFDB header"):
        list_folder(tmp_path, "header")
    (tmp_path / "1.hea").touch()
    with pytest.raises(MetaecgError, match=r"labels\.csv: no such file"):
        list_folder(tmp_path, "labels.csv")


def test_split_codes():
    assert split_codes(" A;B ;;A;unknown; C") == ("A", "B", "C")
    assert split_codes("") == ()
