"""The guard against leaks: what a run, its parents and theirs were trained on, in any library."""

import dataclasses
import json

import numpy as np
import pytest

from experiments.runs import ancestry, leak_guard
from metaecg.data import Library, protocols
from metaecg.diagnose import artefact
from metaecg.errors import MetaecgError

CODES = ("AFIB", "CRBBB", "PVC", "NORM", "SR", "LVH")


def library(seed=0, vocabulary=CODES, patients=60):
    """Two records a patient; patient p carries code p mod 6."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(patients), 2)
    return Library(
        signals=rng.integers(-500, 500, (2 * patients, 32, 2)).astype(np.int16),
        labels=np.eye(len(vocabulary), dtype=bool)[who % len(vocabulary)],
        vocabulary=vocabulary,
        patients=who,
    )


def split(of, codes):
    column = [of.vocabulary.index(code) for code in codes]
    rows = np.flatnonzero(of.labels[:, column].any(axis=1))
    return protocols.Split(rows, of.labels[rows][:, column], of.patients[rows], tuple(codes))


def trained_on(of, codes, parent=None):
    part = split(of, codes)
    facts = {"protocol": "p.json", "protocol_digest": "d", "classes": {"train": list(codes)}}
    return ancestry.descend(of, part.rows, facts, parent)


def check(known, of, codes, **options):
    known = ancestry.from_json(json.loads(json.dumps(known.to_json())))
    return leak_guard.check(known, of, [split(of, codes)], name="B", remedy="do not", **options)


@pytest.fixture(scope="module")
def home():
    return library()


def test_what_is_new_is_measured_without_a_word(home):
    assert check(trained_on(home, ["AFIB", "PVC"]), home, ["NORM", "SR"]) == []


@pytest.mark.parametrize("generations", [0, 1, 2, 5])
def test_classes_of_every_ancestor_are_known_in_any_library(home, generations):
    known = trained_on(home, ["AFIB", "CRBBB"])
    for _ in range(generations):
        known = trained_on(library(1), ["LVH", "SR"], known)
    assert known.generation == generations
    for elsewhere in (home, library(2)):
        with pytest.raises(MetaecgError, match=r"B was trained on 2 of the classes .* AFIB; do"):
            check(known, elsewhere, ["AFIB", "CRBBB", "NORM"])


def test_equivalent_codes_are_the_same_class():
    snomed = library(3, ("164889003", "713427006", "427172004", "426783006", "X", "Y"))
    known = trained_on(library(), ["AFIB", "CRBBB", "PVC"])
    with pytest.raises(MetaecgError, match=r"3 of the classes .* 164889003 \(as AFIB\)"):
        check(known, snomed, ["164889003", "713427006", "427172004"])
    with pytest.raises(MetaecgError, match="1 of the classes"):
        check(trained_on(snomed, ["427172004"]), library(), ["PVC", "SR"])


@pytest.mark.parametrize("generations", [0, 1, 2])
def test_patients_of_every_ancestor_are_known_whatever_their_classes(home, generations):
    known = trained_on(home, ["AFIB"])
    for _ in range(generations):
        known = trained_on(home, ["SR"], known)
    other_names = dataclasses.replace(home, labels=np.roll(home.labels, 1, axis=1))
    # Another library by its fingerprint, the same recordings: patients by their recordings.
    assert other_names.fingerprint != home.fingerprint
    with pytest.raises(MetaecgError, match=r"20 recordings of the patients .* another library"):
        check(known, other_names, ["CRBBB"])
    with pytest.raises(MetaecgError, match="10 of the patients to be measured"):
        check(known, home, ["AFIB"], seen=True)


def test_a_patient_is_known_by_one_recording_among_others(home):
    """One recording of a patient was trained on; in the other library another one is measured."""
    known = trained_on(home, ["AFIB"])
    rows = np.flatnonzero(home.labels[:, 0])[::2]
    fresh = library(5)
    signals = fresh.signals.copy()
    signals[: len(rows)] = home.signals[rows]
    mixed = dataclasses.replace(fresh, signals=signals)
    own = split(mixed, ["SR"])
    of_them = own._replace(rows=own.rows[1::2], patients=own.patients[1::2])
    with pytest.raises(MetaecgError, match="recordings of the patients"):
        leak_guard.check(known, mixed, [of_them], name="B", remedy="")


def test_what_cannot_be_compared_is_said(home):
    [said] = check(trained_on(home, ["AFIB"]), library(7), ["NORM", "SR"])
    assert said.startswith("B: Whether patients are shared could not be checked")


def test_an_earlier_version_wrote_less_and_that_is_said(home):
    old = ancestry.Training("gone.json", "d", home.fingerprint, ("AFIB",), None)
    [said] = check(ancestry.Ancestry((old,)), home, ["NORM"])
    assert "could not be checked" in said
    gap = "what it started from cannot be read"
    said = check(ancestry.Ancestry((old,), 1, (gap,)), home, ["NORM"])
    assert said[0] == f"B: {gap}."
    with pytest.raises(MetaecgError, match="trained on 1 of the classes"):
        check(ancestry.Ancestry((old,)), library(9), ["AFIB"])


def test_an_artefact_says_what_its_model_knows(home):
    known = trained_on(home, ["AFIB"], trained_on(home, ["PVC"]))
    kept = json.loads(json.dumps({"trained_on": ["AFIB"], "ancestry": known.to_json()}))
    assert ancestry.of_provenance(kept) == known
    old = ancestry.of_provenance({"trained_on": ["AFIB"], "library": home.fingerprint})
    with pytest.raises(MetaecgError, match="trained on 1 of the classes"):
        check(old, library(9), ["AFIB"])
    assert any("was not written down" in line for line in check(old, home, ["NORM"]))


def test_a_random_network_knows_nothing(home):
    assert check(ancestry.Ancestry(()), home, ["AFIB"]) == []


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"trainings": 3}', '{"generation": 0, "gaps": [], "trainings": [{}]}'],
)
def test_a_damaged_file_is_an_error_and_never_an_empty_ancestry(tmp_path, text):
    (tmp_path / ancestry.FILE).write_text(text)
    with pytest.raises(MetaecgError, match=r"ancestry.json: "):
        ancestry.read(tmp_path)


def test_what_is_written_is_read(home, tmp_path):
    known = trained_on(home, ["AFIB"], trained_on(library(1), ["PVC"]))
    ancestry.write(tmp_path, known)
    assert ancestry.read(tmp_path) == known


def test_what_cannot_be_checked_of_the_shipped_diagnoser_and_of_older_ones_is_said():
    provenance = artefact.shipped().provenance
    older = {key: value for key, value in provenance.items() if key != "ancestry"}
    snomed = library(3, ("164889003", "X", "Y", "Z", "V", "W"))
    for known in (ancestry.of_provenance(provenance), ancestry.of_provenance(older)):
        with pytest.raises(MetaecgError, match=r"1 of the classes .* 164889003 \(as AFIB\)"):
            check(known, snomed, ["164889003", "X"])
        said = check(known, snomed, ["X", "Y"])
        assert any("could not be checked" in line for line in said)
    assert any("was not written down" in line for line in said)
