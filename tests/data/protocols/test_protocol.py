"""Protocols: the packaged ones unedited, the rules on patients and membership."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from metaecg.data import protocols
from metaecg.data.library import Library, multi_hot
from metaecg.data.protocols import PARTS, Classes, Protocol, ProtocolError, Split, protocol
from metaecg.data.sources import ptbxl
from metaecg.diagnose import artefact


def make(rows, vocabulary="ABCD", kinds=()):
    """A library of one sample a record from (patient, codes) pairs."""
    return Library(
        signals=np.zeros((len(rows), 1, 1), np.int16),
        labels=multi_hot([";".join(codes) for _, codes in rows], vocabulary),
        vocabulary=tuple(vocabulary),
        patients=np.array([patient for patient, _ in rows]),
        kinds=kinds,
    )


PROTOCOL = Protocol("p", "any", (Classes(("A", "B"), ("C",), ("D",)),))
ROWS = [
    (0, "A"), (0, "B"),  # trains
    (1, "A"), (1, "C"),  # validation alone
    (2, "AC"), (2, "D"), (2, "A"),  # test alone
    (3, ""),  # trains, without a label
    (4, "BD"),  # test
]  # fmt: skip


@pytest.mark.parametrize(
    ("part", "rows", "labels"),
    [
        ("train", [0, 1, 7], [[1, 0], [0, 1], [0, 0]]),
        ("validation", [2, 3], [[0], [1]]),
        ("test", [4, 5, 6, 8], [[0], [1], [0], [1]]),
    ],
)
def test_patients_serve_one_part(part, rows, labels):
    library = make(ROWS)
    split = protocols.split(library, PROTOCOL, part)
    np.testing.assert_array_equal(split.rows, rows)
    np.testing.assert_array_equal(split.labels, np.array(labels, bool))
    np.testing.assert_array_equal(split.patients, library.patients[rows])
    assert split.rows.dtype == split.patients.dtype == np.int32
    assert split.labels.dtype == bool


def test_a_yardstick_knows_the_test_classes_by_every_other_of_their_patients():
    library, known = make([*ROWS, (5, "D")]), PROTOCOL._replace(oracle=True)
    train, validation, test = (protocols.split(library, known, part) for part in PARTS)
    assert train.classes == ("A", "B", "D")
    # Of the test patients 2, 4 and 5 the first and the last train.
    np.testing.assert_array_equal(train.rows, [0, 1, 4, 5, 6, 7, 9])
    np.testing.assert_array_equal(train.labels[2:5], [[1, 0, 0], [0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(validation.rows, [2, 3])
    np.testing.assert_array_equal(test.rows, [8])
    assert test.classes == ("D",)
    parts = dict(zip(PARTS, (train, validation, test)))
    protocols.check_disjoint(parts, oracle=True)
    with pytest.raises(ProtocolError, match="train and test share 1 classes, such as D"):
        protocols.check_disjoint(parts)
    loaded = protocols.load("ptbxl_21_5:2:oracle")
    assert loaded.oracle
    assert loaded.splits == protocols.load("ptbxl_21_5:2").splits


def test_single_membership_counts_diagnostic_statements():
    library = make(
        [(0, "A"), (1, "AR"), (2, "AB"), (3, "R"), (4, "B"), (4, "A"), (5, "C"), (2, "A")],
        vocabulary="ABCR",
        kinds=("diagnostic", "diagnostic;form", "diagnostic", "rhythm"),
    )
    protocol = Protocol("p", "single", (Classes(("A",), (), ("B",)),))
    train, validation, test = (protocols.split(library, protocol, part) for part in PARTS)
    # Record 2 carries two and 3 carries none; patient 4 has a record of a test class.
    np.testing.assert_array_equal(train.rows, [0, 1, 6, 7])
    np.testing.assert_array_equal(train.labels, [[1], [1], [0], [1]])
    assert validation.labels.shape == (0, 0)
    np.testing.assert_array_equal(test.rows, [4, 5])
    np.testing.assert_array_equal(test.labels, [[1], [0]])


@pytest.mark.parametrize("name", protocols.NAMES)
def test_packaged_protocols_load(name):
    protocol = protocols.load(name)
    for split in protocol.splits:
        codes = [code for part in split for code in part]
        assert len(set(codes)) == len(codes)


def test_ptbxl_rare_is_what_it_was():
    protocol = protocols.load("ptbxl_rare")
    assert [len(codes) for codes in protocol.splits[0]] == [31, 12, 21]
    assert protocol.membership == "any"
    assert protocol.splits[0].test[:3] == ("IPMI", "ISCIN", "PACE")


def test_ptbxl_21_5_has_five_splits():
    protocol = protocols.load("ptbxl_21_5")
    assert [[len(codes) for codes in split] for split in protocol.splits] == [[21, 0, 5]] * 5
    assert protocol.membership == "single"
    one = protocols.load("ptbxl_21_5:1")
    assert one.splits == (protocol.splits[1],)
    assert one.splits[0].test == ("ALMI", "CRBBB", "IRBBB", "ISCAL", "ISCIL")
    with pytest.raises(ProtocolError, match="5 splits; choose one, such as ptbxl_21_5:0"):
        protocols.split(make(ROWS), protocol, "train")
    with pytest.raises(ProtocolError, match="numbered 0 to 4"):
        protocols.load("ptbxl_21_5:5")


def test_an_edited_protocol_is_refused(monkeypatch):
    monkeypatch.setitem(protocol._SHA256, "ptbxl_rare", "0" * 64)
    with pytest.raises(ProtocolError, match=r"ptbxl_rare\.json: edited"):
        protocols.load("ptbxl_rare")


def test_a_protocol_of_one_s_own(tmp_path):
    path = tmp_path / "mine.json"
    fields = {"membership": "any", "train": ["A", "B"], "validation": ["C"], "test": ["D"]}
    path.write_text(json.dumps(fields))
    assert protocols.load(str(path)) == (str(path), "any", PROTOCOL.splits, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no protocol"),
        ("[]", "no protocol"),
        ('{"train": ["A"], "test": ["B"]}', "'membership'"),
        ('{"membership": "all", "train": ["A"], "test": ["B"]}', "membership 'all'"),
        ('{"membership": "any", "validation": ["A"]}', "lacks both train and test codes"),
        ('{"membership": "any", "train": ["A"], "test": ["A"]}', "repeats a code"),
    ],
)
def test_malformed_protocols_are_refused(tmp_path, text, message):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(ProtocolError, match=message):
        protocols.load(str(tmp_path / "p.json"))


def test_unknown_names_are_answered_with_the_known():
    with pytest.raises(ProtocolError, match=r"no protocol 'ptbxl'; there are .*ptbxl_rare"):
        protocols.load("ptbxl")
    with pytest.raises(ProtocolError, match="part 'dev'"):
        protocols.split(make(ROWS), PROTOCOL, "dev")
    with pytest.raises(ProtocolError, match="lacks 64 of its classes, such as 'SR'"):
        protocols.split(make(ROWS), protocols.load("ptbxl_rare"), "train")


def test_overlaps_are_refused_with_the_numbers():
    def part(patients, classes):
        rows = np.arange(len(patients), dtype=np.int32)
        labels = np.zeros((len(patients), len(classes)), bool)
        return Split(rows, labels, np.array(patients, np.int32), tuple(classes))

    protocols.check_disjoint({"train": part([1, 2], "AB"), "test": part([3], "C")})
    with pytest.raises(ProtocolError, match="train and test share 2 classes, such as A"):
        protocols.check_disjoint({"train": part([1], "AB"), "test": part([3], "BA")})
    with pytest.raises(ProtocolError, match="validation and test share 1 patients, such as 7"):
        protocols.check_disjoint(
            {"train": part([1], "A"), "validation": part([7], "B"), "test": part([6, 7], "C")}
        )


@pytest.mark.skipif(
    "METAECG_PTBXL" not in os.environ, reason="METAECG_PTBXL is not the folder of PTB-XL"
)
def test_real_records_are_parted_as_published():
    folder = Path(os.environ["METAECG_PTBXL"])
    table = ptbxl.statements(folder)
    items = ptbxl.list_records(folder, 100)
    numbers = {patient: n for n, patient in enumerate({item.patient for item in items})}
    library = make(
        [(numbers[item.patient], item.codes) for item in items],
        tuple(table),
        tuple(statement.kinds for statement in table.values()),
    )
    for name in ("ptbxl_rare", *(f"ptbxl_21_5:{number}" for number in range(5))):
        protocol = protocols.load(name)
        splits = {part: protocols.split(library, protocol, part) for part in PARTS}
        protocols.check_disjoint(splits)
        assert splits["train"].labels.any(axis=0).all()
        if name == "ptbxl_rare":
            assert [len(split.rows) for split in splits.values()] == [17645, 1166, 2988]
        else:  # classes of at least 20 records, some of them of test patients
            assert splits["test"].labels.sum(axis=0).min() >= 20


def test_a_protocol_of_statements_splits_a_library_of_other_codes():
    """The same records under PTB-XL's statements, SNOMED CT codes and the challenges' names."""
    systems = {
        "statements": ("AFIB", "CRBBB", "PVC", "NORM"),
        "SNOMED CT": ("164889003", "59118001", "17338001", "normal ECG"),
        "abbreviations": ("AF", "RBBB", "VPB", "NORM"),
    }
    rules = Protocol("p", "any", (Classes(("AFIB",), ("NORM",), ("RBBB", "427172004")),))
    found = {}
    for system, vocabulary in systems.items():
        library = Library(
            signals=np.zeros((4, 1, 1), np.int16),
            labels=np.eye(4, dtype=bool),
            vocabulary=vocabulary,
            patients=np.arange(4),
        )
        found[system] = [protocols.split(library, rules, part).rows.tolist() for part in PARTS]
    assert list(found.values()) == [[[0], [3], [1, 2]]] * 3


def test_both_codes_of_a_class_are_found_in_one_library():
    library = make([(0, "A"), (1, "B"), (2, "C")], vocabulary="ABC")
    library = Library(library.signals, library.labels, ("164889003", "AF", "SR"), library.patients)
    rules = Protocol("p", "single", (Classes(("AFIB",), (), ("SR",)),))
    with pytest.raises(ProtocolError, match="which statements are diagnostic"):
        protocols.split(library, rules, "train")  # both are statements of rhythm
    train = protocols.split(library, rules._replace(membership="any"), "train")
    np.testing.assert_array_equal(train.rows, [0, 1])
    np.testing.assert_array_equal(train.labels, [[1], [1]])


@pytest.mark.parametrize(
    ("one", "other"),
    [("164889003", "AF"), ("RBBB", "713427006"), ("PAC", "63593006"), ("PVC", "164884008")],
)
def test_equivalent_codes_are_never_on_two_sides(tmp_path, one, other):
    file = tmp_path / "p.json"
    for fields in (
        {"train": [one], "test": [other]},
        {"train": ["A"], "test": [one, "B", other]},
        {"splits": [{"train": ["A"], "validation": [one], "test": [other]}]},
    ):
        file.write_text(json.dumps({"membership": "any"} | fields))
        with pytest.raises(ProtocolError, match=r"repeats a code: .* which are equivalent"):
            protocols.load(str(file))
    empty = np.zeros(0, np.int32)
    train, test = (Split(empty, np.zeros((0, 1), bool), empty, (code,)) for code in (one, other))
    with pytest.raises(ProtocolError, match=f"share 1 classes, such as {one}, which is {other}"):
        protocols.check_disjoint({"train": train, "test": test})


def test_a_protocol_may_serve_tests_alone(tmp_path):
    (tmp_path / "p.json").write_text('{"membership": "any", "test": ["A", "D"]}')
    rules = protocols.load(str(tmp_path / "p.json"))
    splits = {part: protocols.split(make(ROWS), rules, part) for part in PARTS}
    protocols.check_disjoint(splits)
    np.testing.assert_array_equal(splits["test"].rows, [0, 1, 2, 3, 4, 5, 6, 8])
    assert splits["train"].classes == splits["validation"].classes == ()


def test_the_shipped_model_was_made_by_the_rules_of_today():
    """Its provenance holds the hash that the first version wrote for them."""
    known = artefact.shipped().provenance["protocol_sha256"]
    assert known in protocols.load("ptbxl_rare").digests
    assert known not in protocols.load("ptbxl_rare:oracle").digests
