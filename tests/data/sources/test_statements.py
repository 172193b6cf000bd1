"""Names of codes, and equivalent codes."""

import csv
from importlib import resources

from metaecg.data.sources import statements
from metaecg.data.sources.statements import Statement


def test_names_of_both_systems():
    assert statements.look_up("164889003") == Statement("atrial fibrillation")
    assert statements.look_up("426783006") == Statement("sinus rhythm")
    assert statements.look_up("LNGQT") == Statement("long QT-interval", "diagnostic;form")
    assert statements.look_up("my own class") == Statement("my own class")


def test_counts():
    kinds = [statement.kinds.split(";") for statement in statements.table().values()]
    counts = [sum(kind in k for k in kinds) for kind in ("", "diagnostic", "form", "rhythm")]
    assert counts == [133, 44, 19, 12]


def test_abbreviations_that_are_common_codes_have_names():
    assert statements.look_up("LAD") == Statement("left axis deviation")
    assert statements.look_up("AMI") == Statement("anterior myocardial infarction", "diagnostic")


COMMON = {
    "AFIB": "AF AFIB 164889003 afib",
    "AFLT": "AFL 164890007",
    "CRBBB": "RBBB 59118001 713427006 CRBBB",
    "CLBBB": "LBBB 164909002 733534002 CLBBB",
    "IRBBB": "713426002 IRBBB",
    "ILBBB": "251120003 ILBBB",
    "PAC": "284470004 63593006 PAC SVPB",
    "PVC": "427172004 17338001 164884008 PVC VPB VEB",
    "1AVB": "270492004 IAVB 1AVB",
    "AMI": "AMI 54329005",
    "57054005": "57054005",
    "LAD": "39732003 LAD",
    "STE_": "STE_ STE 164931005",
    "BIGU": "BIGU",
    "VBig": "11157007 VBig",
    "PAF": "282825002 PAF",
}


def test_equivalent_codes_have_one_common_code():
    for common, codes in COMMON.items():
        assert {statements.canonical(code) for code in codes.split()} == {common}


def test_names_have_the_common_code_of_their_statement():
    names = {
        "atrial fibrillation": "AFIB",
        "Atrial_Fibrillation": "AFIB",
        "Sinus rhythm": "SR",
        "normal ECG": "NORM",
        "incomplete right bundle branch block": "IRBBB",
        "Right Bundle Branch Block": "CRBBB",
        "my own class": "my own class",
        "": "",
    }
    assert {name: statements.canonical(name) for name in names} == names


def test_common_codes_are_their_own_and_ptbxl_keeps_its_statements():
    table = statements.table()
    for code in table:
        common = statements.canonical(code)
        assert statements.canonical(common) == common
        assert statements.look_up(common).name != common  # the common code has a name
        if not code.isdigit():  # an SCP-ECG statement
            assert common == code


def test_every_row_of_equivalent_codes_has_a_source_and_none_is_there_twice():
    text = resources.files("metaecg.data.sources").joinpath("equivalent_codes.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert all(row["code"] and row["canonical"] and row["source"] for row in rows)
    codes = [row["code"].casefold() for row in rows]
    assert len(set(codes)) == len(codes)
