"""Making a protocol: rare classes test, every kind in its share, and the file reads back."""

import json

import numpy as np
import pytest

from metaecg.data import protocols
from metaecg.data.library import Library
from metaecg.data.protocols import ProtocolError, making

KINDS = ("diagnostic",) * 12 + ("rhythm",) * 6 + ("form",) * 2


@pytest.fixture(scope="module")
def library():
    """Twenty classes of 4 to 23 patients, one record each; the last class has 23."""
    classes = np.concatenate([np.full(n + 4, n) for n in range(20)])
    labels = np.eye(20, dtype=bool)[classes]
    return Library(
        signals=np.zeros((len(labels), 1, 1), np.int16),
        labels=labels,
        vocabulary=tuple(f"c{n:02}" for n in range(20)),
        patients=np.arange(len(labels)),
        kinds=KINDS,
    )


def make(library, **options):
    return making.make(library, **{"name": "mine", "min_patients": 6, **options})


def test_the_common_classes_of_each_kind_train_and_all_parts_have_all_kinds(library):
    fields = make(library)
    parts = [fields[part] for part in protocols.PARTS]
    # Classes 0 and 1 have four and five patients.
    assert sorted(code for part in parts for code in part) == [f"c{n:02}" for n in range(2, 20)]
    assert [len(part) for part in parts] == [9, 3, 6]
    assert fields["train"] == ["c11", "c10", "c09", "c08", "c07", "c19", "c17", "c16", "c15"]
    for part in ("validation", "test"):
        assert {KINDS[int(code[1:])] for code in fields[part]} >= {"diagnostic", "rhythm"}


def test_a_seed_draws_the_rare_classes(library):
    assert make(library) == make(library)
    drawn = {tuple(make(library, seed=seed)["validation"]) for seed in range(8)}
    assert len(drawn) > 4
    assert len({tuple(make(library, seed=seed)["train"]) for seed in range(8)}) == 1


def test_the_file_is_a_protocol(library, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(make(library)))
    protocol = protocols.load(str(path))
    assert protocol.membership == "any"
    splits = {part: protocols.split(library, protocol, part) for part in protocols.PARTS}
    protocols.check_disjoint(splits)
    assert len(splits["train"].classes) == 9


def test_single_membership_counts_records_of_one_diagnosis(library):
    assert set(make(library, membership="single", shares=(50, 0, 50))) > set(protocols.PARTS)
    fields = make(library, membership="single", shares=(50, 0, 50))
    codes = [code for part in protocols.PARTS for code in fields[part]]
    assert sorted(codes) == [f"c{n:02}" for n in range(2, 12)]
    assert fields["validation"] == []
    double = library.labels.copy()
    double[library.labels[:, 11], 10] = True  # none of class 11 is single any more
    other = Library(library.signals, double, library.vocabulary, library.patients, kinds=KINDS)
    fields = make(other, membership="single", shares=(50, 0, 50))
    assert not any("c11" in fields[part] for part in protocols.PARTS)


def test_an_archive_may_serve_tests_alone(library):
    fields = make(library, shares=(0, 0, 100))
    assert fields["train"] == fields["validation"] == []
    assert len(fields["test"]) > 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shares": (1, 1)}, "--parts=1,1: give three numbers"),
        ({"shares": (1, 1, 0)}, "test may not be 0"),
        ({"shares": (1, float("nan"), 1)}, "three numbers"),
        ({"min_patients": 22}, "2 classes of at least 22 patients leave"),
        ({"membership": "both"}, "'both' is not one of any, single"),
    ],
)
def test_what_cannot_be_made_is_refused(library, options, message):
    with pytest.raises(ProtocolError, match=message):
        make(library, **options)


@pytest.fixture
def small():
    """Seven classes of 20 to 50 patients, of one record each: five of one kind, two of another."""
    classes = np.repeat(np.arange(7), range(20, 55, 5))
    return Library(
        signals=np.zeros((len(classes), 1, 1), np.int16),
        labels=np.eye(7, dtype=bool)[classes],
        vocabulary=tuple(f"c{n}" for n in range(7)),
        patients=np.arange(len(classes)),
        kinds=("diagnostic",) * 5 + ("rhythm",) * 2,
    )


def refusal(library, **options):
    with pytest.raises(ProtocolError) as caught:
        making.make(library, name="mine", **options)
    return str(caught.value)


@pytest.mark.parametrize("min_patients", [10, 20, 30, 45])
@pytest.mark.parametrize("way", [2, 3, 5])
def test_the_flags_that_a_refusal_names_do_help(small, min_patients, way):
    """What is named is taken at its word, and lowering is named where classes were left out."""
    options = {"min_patients": min_patients, "way": way}
    message = refusal(small, **options)
    advice = message.rpartition(": give ")[2].split(" or ")
    for flags in advice:
        values = dict(flag.removeprefix("--").split("=") for flag in flags.split())
        given = {name: int(values[name]) for name in ("way", "min_patients") if name in values}
        if "parts" in values:
            given["shares"] = [float(share) for share in values["parts"].split(",")]
        fields = making.make(small, name="mine", **options | given)
        filled = [part for part in protocols.PARTS if fields[part]]
        assert len(filled) == 3
        assert min(len(fields[part]) for part in filled) >= (options | given)["way"]
    assert ("--min_patients" in message) == (min_patients > 20)


def test_few_classes_do_without_validation_and_one_class_without_advice(small):
    four = Library(small.signals, small.labels[:, :4], small.vocabulary[:4], small.patients)
    assert refusal(four, way=5).endswith("episodes need 5: give --way=2 --parts=50,0,50")
    three = Library(small.signals, small.labels[:, :3], small.vocabulary[:3], small.patients)
    assert "the library has 3 classes, and train and test need two each" in refusal(three)


def test_lowering_alone_is_offered_where_it_is_enough(library):
    message = refusal(library, min_patients=15, way=3)
    lowered = int(message.rpartition("--min_patients=")[2])
    assert making.make(library, name="mine", min_patients=lowered, way=3)
    with pytest.raises(ProtocolError):
        making.make(library, name="mine", min_patients=lowered + 1, way=3)


def test_single_membership_needs_kinds(library):
    bare = Library(library.signals, library.labels, library.vocabulary, library.patients)
    with pytest.raises(ProtocolError, match="which statements are diagnostic"):
        make(bare, membership="single")


def test_equivalent_codes_are_one_class_of_a_protocol_that_is_made():
    """Eight codes for four diagnoses, each code of five patients; the order must not matter."""
    codes = ("AF", "164889003", "AFIB", "RBBB", "713427006", "284470004", "63593006", "my own")
    for seed in range(6):
        labels = np.repeat(np.eye(8, dtype=bool), 5, axis=0)
        order = np.random.default_rng(seed).permutation(8)
        library = Library(
            signals=np.zeros((40, 1, 1), np.int16),
            labels=labels[:, order],
            vocabulary=tuple(codes[c] for c in order),
            patients=np.arange(40),
        )
        fields = make(library, min_patients=5, shares=(50, 0, 50), seed=seed)
        parts = {part: fields[part] for part in protocols.PARTS}
        found = sorted(code for part in parts.values() for code in part)
        assert found == ["AFIB", "CRBBB", "PAC", "my own"]
        protocol = protocols.Protocol("p", "any", (protocols.Classes(*map(tuple, parts.values())),))
        splits = {part: protocols.split(library, protocol, part) for part in protocols.PARTS}
        protocols.check_disjoint(splits)
        carried = {
            code: int(split.labels[:, c].sum())
            for split in splits.values()
            for c, code in enumerate(split.classes)
        }
        assert carried == {"AFIB": 15, "CRBBB": 10, "PAC": 10, "my own": 5}
