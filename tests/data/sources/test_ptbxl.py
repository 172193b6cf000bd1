"""PTB-XL's layout, in miniature, and the data set itself where it is there."""

import os
from pathlib import Path

import numpy as np
import pytest
import wfdb

from metaecg.data.record_form import Target
from metaecg.data.signal import STANDARD_LEADS
from metaecg.data.sources import ptbxl, wfdb_folder
from metaecg.data.sources.listing import Item
from metaecg.data.sources.source import read_item
from metaecg.data.sources.statements import Statement
from metaecg.errors import MetaecgError

DATABASE = """ecg_id,patient_id,report,scp_codes,strat_fold,filename_lr,filename_hr
1,15709.0,"two
lines","{'NORM': 100.0, 'SR': 0.0}",3,records100/00000/00001_lr,records500/00000/00001_hr
2,,,{'LAO/LAE': 0.0},10,records100/00000/00002_lr,records500/00000/00002_hr
"""
STATEMENTS = """,description,diagnostic,form,rhythm
NDT,non-diagnostic T abnormalities,1.0,1.0,
SR,sinus rhythm,,,1.0
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ptbxl_database.csv").write_text(DATABASE)
    (tmp_path / "scp_statements.csv").write_text(STATEMENTS)
    (tmp_path / "records100").mkdir()
    return tmp_path


def test_records(folder):
    assert ptbxl.list_records(folder, 100) == [
        Item("records100/00000/00001_lr", "1", "15709", ("NORM", "SR"), 3),
        Item("records100/00000/00002_lr", "2", "record 2", ("LAO/LAE",), 10),
    ]


def test_the_rate_chooses_the_folder(folder):
    with pytest.raises(MetaecgError, match="no records500 for 250 Hz"):
        ptbxl.list_records(folder, 250)
    (folder / "records500").mkdir()
    assert ptbxl.list_records(folder, 250)[0].path == "records500/00000/00001_hr"
    assert ptbxl.list_records(folder, 100)[0].path == "records100/00000/00001_lr"
    (folder / "records100").rmdir()
    assert ptbxl.list_records(folder, 100)[0].path == "records500/00000/00001_hr"


def test_statements(folder):
    assert ptbxl.statements(folder) == {
        "NDT": Statement("non-diagnostic T abnormalities", "diagnostic;form"),
        "SR": Statement("sinus rhythm", "rhythm"),
    }


def test_how_likelihoods_count_is_said(folder):
    """NORM is diagnostic here and SR is not; 0 stands for unknown."""
    (folder / "scp_statements.csv").write_text(STATEMENTS + "NORM,normal ECG,1.0,,\n")
    rows = enumerate(
        ["{'NORM': 0.0, 'SR': 0.0}", "{'NORM': 15.0}", "{'NORM': 49.9, 'NDT': 100.0}",
         "{'NORM': 50}", "{'SR': 15.0}", "{}"]
    )  # fmt: skip
    lines = [f'{i},{i},,"{codes}",1,records100/{i},records500/{i}' for i, codes in rows]
    table = "\n".join([DATABASE.split("\n")[0], *lines, ""])
    (folder / "ptbxl_database.csv").write_text(table)
    source = ptbxl.open_folder(folder, 100)
    assert [item.codes for item in source.items] == [
        ("NORM", "SR"), ("NORM",), ("NORM", "NDT"), ("NORM",), ("SR",), (),
    ]  # fmt: skip
    assert source.remarks == (
        "a statement counts as a label whatever its likelihood (of 5 diagnostic ones in "
        "ptbxl_database.csv, below 50 %: 2; 0, which stands for unknown: 1)",
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("strat_fold,", "fold,", "no column 'strat_fold'"),
        ("},10,", "},ten,", "line 4: strat_fold or scp_codes"),
        ("{'LAO/LAE': 0.0}", "'LAO/LAE'", "line 4: strat_fold or scp_codes"),
        ('0.0}",3', '1.2.3}",3', "line 3: strat_fold or scp_codes"),
        ("{'LAO/LAE': 0.0}", "__import__('os')", "line 4: strat_fold or scp_codes"),
        ("10,records100/00000/00002_lr,records500/00000/00002_hr", "10", "line 4 lacks columns"),
    ],
)
def test_malformed_tables_are_refused(folder, old, new, message):
    assert old in DATABASE
    (folder / "ptbxl_database.csv").write_text(DATABASE.replace(old, new))
    with pytest.raises(MetaecgError, match=message):
        ptbxl.list_records(folder, 100)


def test_missing_tables_are_named(folder):
    (folder / "scp_statements.csv").unlink()
    with pytest.raises(MetaecgError, match=r"scp_statements\.csv: missing"):
        ptbxl.statements(folder)


real = pytest.mark.skipif(
    "METAECG_PTBXL" not in os.environ, reason="METAECG_PTBXL is not the folder of PTB-XL"
)


@real
def test_real_records_equal_wfdb():
    folder = Path(os.environ["METAECG_PTBXL"])
    items = ptbxl.list_records(folder, 100)
    target = Target(100.0, 10.0, STANDARD_LEADS)
    for item in items[:: len(items) // 20]:
        [outcome] = read_item(folder, item, target, wfdb_folder.read)
        assert outcome.reason == ""
        expected = wfdb.rdrecord(str(folder / item.path)).p_signal
        np.testing.assert_array_equal(outcome.signal / 1000, expected)


@real
def test_real_statements():
    folder = Path(os.environ["METAECG_PTBXL"])
    table = ptbxl.statements(folder)
    kinds = [statement.kinds.split(";") for statement in table.values()]
    counts = [sum(kind in k for k in kinds) for kind in ("diagnostic", "form", "rhythm")]
    assert (len(table), counts) == (71, [44, 19, 12])
    items = ptbxl.list_records(folder, 100)
    assert (len(items), len({item.patient for item in items})) == (21799, 18869)
