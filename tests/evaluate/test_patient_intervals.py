"""Intervals over patients: by hand, by the slow way, and against a known truth."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from metaecg.episodes import evaluation_sets
from metaecg.evaluate import patient_intervals
from metaecg.evaluate.patient_intervals import Estimate
from metaecg.types import Episode, LibraryIndex


def episodes_of(count, seed=0, *, patients=40, classes=4, way=2, shot=2, query=3):
    """Episodes of a library with one record a patient, and its patients."""
    labels = np.eye(classes, dtype=bool)[np.arange(patients) % classes]
    index = LibraryIndex(labels, np.arange(patients))
    return evaluation_sets.balanced(index, seed, count, way=way, shot=shot, query=query)


def test_an_estimate_literal():
    """1.96 deviations where they are known, 2.571 where they rest on five degrees of freedom."""
    sure, rough = Estimate(0.5, 0.1, 1e6, 99), Estimate(0.5, 0.1, 5, 6)
    assert sure.interval == pytest.approx((0.304004, 0.695996), abs=1e-5)
    assert rough.interval == pytest.approx((0.242942, 0.757058), abs=1e-5)
    assert Estimate(0.1959964, 0.1, 1e6, 9).p == pytest.approx(0.05, abs=1e-5)
    assert Estimate(-0.2570582, 0.1, 5, 9).p == pytest.approx(0.05, abs=1e-5)
    assert Estimate(0.0, 0.0, 1e6, 9).p == 1
    assert Estimate(0.2, 0.0, 1e6, 9).p == 0


def test_influences_add_before_they_are_squared():
    """Both roles of patient 0 agree, those of patient 1 cancel."""
    asked, example = np.array([3.0, 2.0, 0.0]), np.array([1.0, -2.0, 1.0])
    noise = np.array([[0.5, 0, 0], [0.25, 0, 0.25]])
    found = patient_intervals.estimate(0.7, asked, example, noise, chance=4.0)
    assert found.deviation**2 == pytest.approx(16 + 0 + 1 - 1 + 4)
    assert found.patients == 3
    # Where chance hides the examples' share, that of the asked remains.
    hidden = patient_intervals.estimate(0.7, asked, -asked, noise, chance=4.0)
    assert hidden.deviation**2 == pytest.approx(9 + 4 - 0.5 + 4)
    assert patient_intervals.estimate(1.0, asked * 0, asked * 0, noise * 0, 0.0).interval == (1, 1)


def test_over_patients_equals_the_slow_way():
    """Loops over patients, classes and episodes, from the formulas of docs/statistics.md."""
    drawn = episodes_of(30)
    values = np.random.default_rng(0).random(drawn.query.shape)
    count = len(values)
    asked_of = np.take_along_axis(drawn.classes, drawn.query_slots, 1)
    shown_for = np.take_along_axis(drawn.classes, drawn.support_slots, 1)
    size = [len({*drawn.query[asked_of == c], *drawn.support[shown_for == c]}) for c in range(4)]
    above = np.empty_like(values)
    for e, q in np.ndindex(values.shape):
        above[e, q] = values[e, q] - values[asked_of == asked_of[e, q]].mean()
    fares = np.zeros(count)
    for e, q in np.ndindex(values.shape):
        mine = drawn.query == drawn.query[e, q]
        others = above[mine].sum() - above[e, q]
        fares[e] += above[e, q] - others / (mine.sum() - 1 + 2)
    asked, example, noise = np.zeros(40), np.zeros(40), np.zeros((2, 40))
    for i in range(40):
        c = i % 4
        lift = math.sqrt(size[c] / (size[c] - 1))
        mine = above[drawn.query == i] * lift / values.size
        asked[i], noise[0, i] = mine.sum(), (mine**2).sum()
        here = [e for e in range(count) if c in drawn.classes[e]]
        serves = np.array([i in drawn.support[e] for e in here])
        moves = (serves - serves.mean()) * (fares[here] - fares[here].mean())
        moves *= lift * (size[c] - 1) / (size[c] - 2) / values.size
        if serves.any():
            example[i], noise[1, i] = moves.sum(), (moves**2).sum()
    chance = values.mean(1).var(ddof=1) / count
    slow = patient_intervals.estimate(values.mean(), asked, example, noise, chance)
    found = patient_intervals.over_patients(values, drawn, np.arange(40))
    assert found.value == pytest.approx(slow.value)
    assert found.deviation == pytest.approx(slow.deviation)
    assert found.freedom == pytest.approx(slow.freedom)


def test_names_of_patients_and_the_order_of_an_episode_do_not_matter():
    drawn = episodes_of(25, seed=3)
    values = np.random.default_rng(1).random(drawn.query.shape) < 0.6
    found = patient_intervals.over_patients(values, drawn, np.arange(40))
    renamed = patient_intervals.over_patients(
        values, drawn, 7 * np.random.default_rng(2).permutation(40)
    )
    turned = Episode(drawn.classes, *(x[:, ::-1] for x in drawn[1:]))
    for other in (renamed, patient_intervals.over_patients(values[:, ::-1], turned, np.arange(40))):
        np.testing.assert_allclose(other, found, rtol=1e-9)


def test_the_same_answers_for_fewer_patients_are_less_certain():
    drawn = episodes_of(60, seed=4)
    pairs = np.arange(40) // 8 * 4 + np.arange(40) % 4  # two of a class are one patient
    values = ~(pairs % 3 == 0)[drawn.query]  # some patients are always answered wrongly
    alone, paired = (
        patient_intervals.over_patients(values, drawn, x) for x in (np.arange(40), pairs)
    )
    assert paired.patients == 20
    assert paired.deviation > 1.2 * alone.deviation


def test_asking_the_same_patients_again_does_not_narrow_the_interval_without_end():
    hard = np.arange(40) % 3 == 0
    few, many = (episodes_of(count, seed=5) for count in (100, 800))
    one, other = (
        patient_intervals.over_patients(~hard[drawn.query], drawn, np.arange(40))
        for drawn in (few, many)
    )
    assert other.deviation > 0.7 * one.deviation
    assert other.deviation > 0.05  # forty patients of whom a third fail: √(1/3 · 2/3 / 40) = .075


@pytest.fixture
def world(monkeypatch):
    """experiments/benchmarks/interval_coverage.py with fewer episodes, for fewer libraries."""
    from experiments.benchmarks import interval_coverage

    monkeypatch.setattr(interval_coverage, "FLAGS", SimpleNamespace(episodes=200))
    return interval_coverage


def assert_as_stated(found, truth, least):
    """Intervals of one score and of the difference of two that are equal, over many libraries.

    They are stated to hold the truth in .95; by docs/statistics.md they are up to a fifth too wide.
    """
    for estimates, true in zip(zip(*found), (truth, 0.0)):
        ends = np.array([each.interval for each in estimates])
        assert np.mean((ends[:, 0] <= true) & (true <= ends[:, 1])) >= least
        stated = math.sqrt(np.mean([each.deviation**2 for each in estimates]))
        assert 0.85 < stated / np.std([each.value for each in estimates], ddof=1) < 1.5


@pytest.mark.long
@pytest.mark.parametrize("shot", [1, 5, 10])
def test_intervals_of_accuracy_hold_a_known_truth_as_often_as_stated(world, shot):
    found = [
        world.accuracies(world.sample(np.random.default_rng([number, shot])), shot, number)
        for number in range(200)
    ]
    assert_as_stated(found, world.true_accuracy(shot, episodes=20_000), 0.92)


@pytest.mark.long
@pytest.mark.parametrize("shot", [1, 5, 10])
def test_intervals_of_detection_hold_a_known_truth_as_often_as_stated(world, shot):
    found = [
        world.detections(world.sample(np.random.default_rng([number, shot])), shot, number)
        for number in range(40)
    ]
    for score, truth in zip(zip(*found), world.true_areas(shot, 20)):
        assert_as_stated(score, truth, 0.87)
