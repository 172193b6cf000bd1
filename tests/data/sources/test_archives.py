"""LUDB's and the CinC 2017 challenge's layouts, in miniature."""

import numpy as np
import pytest
import wfdb

from metaecg.data.record_form import Target
from metaecg.data.sources import cinc2017, ludb
from metaecg.data.sources.listing import Item
from metaecg.data.sources.source import read_item
from metaecg.data.sources.statements import Statement
from metaecg.errors import MetaecgError

LUDB = """ID,Sex,Age,Rhythms,Electric axis of the heart,Extrasystolies,Hypertrophies
1,"F
","51
",Sinus bradycardia,Electric axis of the heart: left axis deviation,,"Left ventricular overload
Left ventricular hypertrophy"
2,M,80,Sinus rhythm,Electric axis of the heart: normal,"Ventricular extrasystole, type: single pvc
Ventricular extrasystole, morphology: polymorphic",Right atrial overload
"""


def test_ludb_records(tmp_path):
    (tmp_path / "ludb.csv").write_text(LUDB)
    assert ludb.list_records(tmp_path) == [
        Item("data/1", "1", "1", ("SBRAD", "LAD", "LVO", "LVH")),
        Item("data/2", "2", "2", ("SR", "PVC", "RAO/RAE")),
    ]
    names = ludb.statements()
    assert names["LVO"] == Statement("left ventricular overload")
    assert names["AFIB"] == Statement("atrial fibrillation", "rhythm")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Sinus rhythm", "Cold feet", r"line 7: no code is known for the statement 'Cold feet'"),
        ("\n2,", "\n1,", "'1' is no number, or there twice"),
        ("Rhythms", "Rhythm", "no column 'Rhythms'"),
    ],
)
def test_malformed_ludb_is_refused(tmp_path, old, new, message):
    with pytest.raises(MetaecgError, match=r"ludb\.csv: missing"):
        ludb.open_folder(tmp_path)
    (tmp_path / "ludb.csv").write_text(LUDB.replace(old, new))
    with pytest.raises(MetaecgError, match=message):
        ludb.open_folder(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("REFERENCE.csv", "A00001,N\nA00002,~\n"),
        ("labels.csv", "path,label\nA00001,normal\nA00002,noisy\n"),
    ],
)
def test_cinc2017_records(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert cinc2017.list_records(tmp_path) == [
        Item("A00001", "A00001", "A00001", ("SR",)),
        Item("A00002", "A00002", "A00002", ("NOISE",)),
    ]


def test_the_only_lead_of_cinc2017_is_lead_I(tmp_path):
    (tmp_path / "REFERENCE-v3.csv").write_text("A00001,A\n")
    signal = np.sin(np.arange(3000) / 50)[:, None].round(3)
    wfdb.wrsamp("A00001", 300, ["mV"], ["ECG"], signal, fmt=["16"], write_dir=str(tmp_path))
    source = cinc2017.open_folder(tmp_path)
    assert source.usual == Target(300.0, 30.0, ("I",))
    target = Target(300.0, 10.0, ("I",))
    [outcome] = read_item(tmp_path, source.items[0], target, source.read)
    np.testing.assert_allclose(outcome.signal / 1000, signal, atol=0.00051)
    assert outcome.codes == ("AFIB",)


@pytest.mark.parametrize(
    ("text", "message"),
    [("A00001,X\n", "line 1: label 'X' is none of A, N"), ("A00001,N\nA00001,A\n", "there twice")],
)
def test_malformed_cinc2017_is_refused(tmp_path, text, message):
    with pytest.raises(MetaecgError, match=r"none of REFERENCE-v3\.csv"):
        cinc2017.open_folder(tmp_path)
    (tmp_path / "REFERENCE.csv").write_text(text)
    with pytest.raises(MetaecgError, match=message):
        cinc2017.open_folder(tmp_path)
