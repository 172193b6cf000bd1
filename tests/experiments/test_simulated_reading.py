"""Simulated readings: every recording is read once, in the order that a session would ask for."""

import csv

import numpy as np
import pytest
from searched import library, model

from experiments.benchmarks import readers, simulated_reading, stated
from experiments.tables import csv_table
from metaecg.search import probability, question, recordings
from metaecg.search.archive import Archive
from metaecg.search.session import Session


@pytest.fixture(scope="module")
def archive():
    signals = recordings.of_library(library()).signals(range(200))
    return Archive.of(recordings.embed(model(), signals))


@pytest.fixture(scope="module")
def of(archive):
    opened = library()
    placed = archive.placed_rows(np.arange(200))
    return readers.Archived(
        placed, opened.labels[:, 0], opened.patients, np.linalg.norm(placed, axis=1)
    )


def drawn(of, times=2):
    return readers.draws(of, 3, times, seed=0)


def test_examples_are_of_different_patients_of_whom_nothing_is_left_to_find(of):
    for examples, free in drawn(of, times=20):
        assert of.labels[examples].all()
        assert len({*of.patients[examples]}) == 3
        assert not free[np.isin(of.patients, of.patients[examples])].any()
        assert free.sum() == 194  # two recordings of each patient


@pytest.mark.parametrize("mixed", [False, True])
def test_everything_is_read_once(of, mixed):
    for examples, free in drawn(of):
        order = readers.review(of, examples, free, 1000, mixed=mixed)
        assert sorted(order) == np.flatnonzero(free).tolist()
        assert len(readers.review(of, examples, free, 30, mixed=mixed)) == 30


@pytest.mark.parametrize("strategy", ["likeliest", "mixed"])
def test_a_simulated_reader_reads_as_a_session_asks(archive, of, strategy):
    known = recordings.of_library(library())
    (examples, _), *_ = drawn(of)
    ids = [f"r{row}" for row in examples]
    asked = question.ask(model(), archive, [*question.from_ids(ids, True, known)], known)
    session = Session(archive, asked, strategy=strategy, control=0)
    free = np.isin(np.arange(200), asked.known, invert=True)
    order = readers.review(of, examples, free, 40, mixed=strategy == "mixed")
    for row in order:
        assert session.next()[0] == row
        session.answer(row, "yes" if of.labels[row] else "no")


def test_the_review_finds_before_random_order_and_the_oracle_before_the_review(of):
    (examples, free), *_ = drawn(of)
    scores = {
        name: simulated_reading.score(of, order, free)
        for name, order in readers.orders(of, examples, free, 200).items()
    }
    assert set(scores) == {*readers.READERS}
    assert scores["oracle"]["read@80"] <= scores["review"]["read@80"] < 0.3
    assert scores["review"]["found@100"] == (of.labels & free).sum()
    last_first = np.argsort(of.labels[free], kind="stable")
    worst = simulated_reading.score(of, np.flatnonzero(free)[last_first], free)
    assert worst["precision@20"] == 0
    assert worst["read@80"] > 1


def test_what_was_found_at_each_share_that_was_read(of):
    free = np.ones(200, bool)
    order = np.argsort(~of.labels, kind="stable")
    found = simulated_reading.curve(of, order, free)
    assert found[-1] == 1
    assert (np.diff(found) >= 0).all()
    at = np.abs(simulated_reading.GRID - 0.05).argmin()
    assert found[at] == pytest.approx(0.5, abs=0.1)  # 20 of 200 are rare, and all come first
    assert np.isnan(simulated_reading.curve(of, order[:50], free)[-1])


def test_probabilities_that_were_fitted_say_what_is_so(of, monkeypatch):
    monkeypatch.setattr(probability, "USUAL", probability.USUAL)
    coefficients, usual = stated.fit({"RARE": of}, drawn)
    assert usual == probability.USUAL < 0
    monkeypatch.setattr(probability, "COEFFICIENTS", tuple(coefficients))
    table = stated.reliability({"RARE": of}, drawn)
    assert sum(count for _, count, _, _ in table) == 2 * 194
    said, true = (sum(r[1] * float(r[i]) for r in table) for i in (2, 3))
    assert said == pytest.approx(true, rel=0.05)


def test_a_reader_who_stops_as_told_has_found_most(archive, of):
    (row,) = stated.stopping(archive, {"RARE": of}, drawn)
    assert row["left@100"] == 0
    assert row["expected@100"] < 3
    assert row["held@100"] == 1
    assert 50 <= row["read"] < 194
    assert row["share found"] > 0.9


def test_curves_are_written_as_quartiles_over_the_statements(tmp_path):
    curves = {"review": [simulated_reading.GRID ** (1 / power) for power in (1, 2, 3)]}
    curves["review"][0] = np.where(simulated_reading.GRID > 0.5, np.nan, curves["review"][0])
    csv_table.write(simulated_reading.quartiles(curves), str(tmp_path / "curves.csv"))
    with open(tmp_path / "curves.csv", encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    assert max(float(row["read"]) for row in rows) <= 0.5  # beyond it one statement was not read
    for row in rows:
        assert float(row["median"]) == pytest.approx(float(row["read"]) ** 0.5, rel=1e-3)
        assert float(row["lower quartile"]) < float(row["median"]) < float(row["upper quartile"])
