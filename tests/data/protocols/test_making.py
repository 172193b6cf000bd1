"""Freezing a protocol: rare classes test, every kind in its share, and the file reads back."""

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


def freeze(library, **options):
    return making.freeze(library, **{"name": "mine", "min_patients": 6, **options})


def test_the_common_classes_of_each_kind_train_and_all_parts_have_all_kinds(library):
    fields = freeze(library)
    parts = [fields[part] for part in protocols.PARTS]
    # Classes 0 and 1 have four and five patients.
    assert sorted(code for part in parts for code in part) == [f"c{n:02}" for n in range(2, 20)]
    assert [len(part) for part in parts] == [9, 3, 6]
    assert fields["train"] == ["c11", "c10", "c09", "c08", "c07", "c19", "c17", "c16", "c15"]
    for part in ("validation", "test"):
        assert {KINDS[int(code[1:])] for code in fields[part]} >= {"diagnostic", "rhythm"}


def test_a_seed_draws_the_rare_classes(library):
    assert freeze(library) == freeze(library)
    drawn = {tuple(freeze(library, seed=seed)["validation"]) for seed in range(8)}
    assert len(drawn) > 4
    assert len({tuple(freeze(library, seed=seed)["train"]) for seed in range(8)}) == 1


def test_the_file_is_a_protocol(library, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(freeze(library)))
    protocol = protocols.load(str(path))
    assert protocol.membership == "any"
    splits = {part: protocols.split(library, protocol, part) for part in protocols.PARTS}
    protocols.check_disjoint(splits)
    assert len(splits["train"].classes) == 9


def test_single_membership_counts_records_of_one_diagnosis(library):
    assert set(freeze(library, membership="single", shares=(50, 0, 50))) > set(protocols.PARTS)
    fields = freeze(library, membership="single", shares=(50, 0, 50))
    codes = [code for part in protocols.PARTS for code in fields[part]]
    assert sorted(codes) == [f"c{n:02}" for n in range(2, 12)]
    assert fields["validation"] == []
    double = library.labels.copy()
    double[library.labels[:, 11], 10] = True  # none of class 11 is single any more
    other = Library(library.signals, double, library.vocabulary, library.patients, kinds=KINDS)
    fields = freeze(other, membership="single", shares=(50, 0, 50))
    assert not any("c11" in fields[part] for part in protocols.PARTS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shares": (1, 1)}, "three numbers"),
        ({"shares": (1, 1, 0)}, "only validation may be 0"),
        ({"shares": (1, float("nan"), 1)}, "three numbers"),
        ({"min_patients": 22}, "2 classes of at least 22 patients leave"),
        ({"membership": "both"}, "'both' is not one of any, single"),
    ],
)
def test_what_cannot_be_frozen_is_refused(library, options, message):
    with pytest.raises(ProtocolError, match=message):
        freeze(library, **options)


def test_single_membership_needs_kinds(library):
    bare = Library(library.signals, library.labels, library.vocabulary, library.patients)
    with pytest.raises(ProtocolError, match="which statements are diagnostic"):
        freeze(bare, membership="single")
