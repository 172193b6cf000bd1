"""Calibration: fitted numbers against those the data were made with, and literal cases."""

import json

import jax
import numpy as np
import pytest
from tiny import Tiny

from metaecg import learners
from metaecg.diagnose import fitting
from metaecg.diagnose.bounds import binomial_bound, risks_by_level
from metaecg.diagnose.calibration import (
    Calibration,
    Row,
    adjusted,
    calibrated,
    closeness,
    distances,
    plausible,
    recognition,
    sure,
)
from metaecg.diagnose.fitting import fit_calibration, over_orders
from metaecg.diagnose.model import Form, Model
from metaecg.diagnose.predictor import Predictor, Reading, along, of_examples, without_each
from metaecg.diagnose.stated_rates import measure
from metaecg.errors import MetaecgError
from metaecg.types import Episode, Limits, Task, Variables

WAY, TOO_SURE = 3, 3.0


def oracle(task):
    """Knows the log-odds of each query, which its embedding is, and overstates them threefold."""
    odds = TOO_SURE * np.take_along_axis(task.records, task.query[..., None], 1)
    return odds - np.log(np.exp(odds).sum(-1, keepdims=True))


PREDICTOR = Predictor(lambda records: records, oracle)


def model(calibration):
    return Model(PREDICTOR, calibration, Form(100.0, 1, ("I",)), {})


def world(seed, episodes=400, query=5):
    """Embeddings, and episodes whose answers are drawn with the odds of the queries' embeddings."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(0, 1.5, (episodes * (WAY + query), WAY)).astype(np.float32)
    rows = np.arange(len(odds)).reshape(episodes, -1)
    probs = calibrated(odds[rows[:, WAY:]], 1.0)
    truth = (probs.cumsum(-1) < rng.random((episodes, query, 1))).sum(-1)
    slots = np.tile(np.arange(WAY), (episodes, 1))
    return odds, Episode(slots, rows[:, :WAY], slots, rows[:, WAY:], truth)


@pytest.fixture(scope="module")
def fitted():
    embeddings, episodes = world(0, episodes=1600)
    return fit_calibration(PREDICTOR, embeddings, [episodes], embeddings)


def test_the_temperature_undoes_what_the_learner_overstates(fitted):
    assert fitted.rows[0].temperature == pytest.approx(TOO_SURE, rel=0.1)


def test_stated_rates_hold_on_new_episodes(fitted):
    embeddings, episodes = world(1)
    for rate in (0.1, 0.3):
        found = measure(model(fitted), embeddings, episodes, error_rate=rate)
        assert 1 - rate - 0.01 < found["coverage"] < 1 - rate + 0.03
        assert 0.1 < found["answered"] < 0.9
        assert found["wrong_answers"] < rate + 0.02
        assert found["worst_coverage"] <= found["coverage"]
    assert found["raw_ece"] > 0.1 > 0.03 > found["ece"]
    assert found["nll"] < found["raw_nll"]
    assert found["accuracy"] == found["raw_accuracy"]


def test_one_percent_of_the_validation_is_unusual(fitted):
    embeddings, _ = world(0, episodes=1600)
    strange = [fitted.strangeness(fitted.scaled(e)) for e in (embeddings, 10 * embeddings[:50])]
    assert (strange[0] > fitted.strange).mean() == pytest.approx(0.01, abs=2e-3)
    assert (strange[1] > fitted.strange).mean() > 0.5


def test_distances_are_in_units_of_the_spread():
    made = Calibration((), (1.0, 0.0), (1.0, 2.0), 0.0)
    scaled = made.scaled(np.array([[0.0, 0.0], [3.0, 8.0], [4.0, 8.0]]))
    far = distances(scaled[:1], scaled[:2])
    np.testing.assert_allclose(far, [[0, np.sqrt((9 + 16) / 2)]], atol=1e-6)
    np.testing.assert_allclose(made.strangeness(scaled[2:]), [np.sqrt(12.5)])


ROW = Row(
    3, 5.0, 1.0, 1.0, scores=(0.0, 0.5, 0.8), risks=(0.4, 0.4, 0.2, 0.05, 0.5),
    counts=(900, 800, 500, 260, 1),
)  # fmt: skip


UNKNOWN = np.full(3, np.nan)


def test_sets_and_answers():
    assert ROW.threshold(0.5) == 0.5
    assert ROW.threshold(0.25) == pytest.approx(0.65)
    assert ROW.sure(0.2) == 0.5
    assert ROW.sure(0.1) == 0.75
    assert ROW.sure(0.01) == float("inf")
    probs = np.array([[0.8, 0.1, 0.1], [0.52, 0.25, 0.23], [0.45, 0.45, 0.1], [0.4, 0.35, 0.25]])
    assert plausible(probs, ROW, 0.5, UNKNOWN).tolist() == [
        [True, False, False],
        [True, False, False],
        [True, True, False],  # neither reaches 0.5: the likeliest stay
        [True, False, False],
    ]
    # The first alone is as certain as 0.75; the third would be certain enough, were it alone.
    half, safe = ROW._replace(scores=(0.5,) * 3), ROW._replace(risks=(0.0,) * 5, counts=(999,) * 5)
    assert sure(probs, half, 0.1, UNKNOWN).tolist() == [True, False, False, False]
    assert sure(probs, safe, 0.5, UNKNOWN).tolist() == [True, True, False, True]


def test_a_label_whose_own_examples_are_hardly_recognised_stays_in():
    row = ROW._replace(slope=0.5, usual=1.0)
    probs = np.array([[0.8, 0.15, 0.05]])
    # Odds of 1 to 19 and recognition 3 below the usual: e^1.5 / 19.
    recognised = np.array([1.0, np.nan, -2.0])
    odds = [4.0, 0.15 / 0.85, np.exp(1.5) / 19]
    found = adjusted(probs, row, recognised)
    np.testing.assert_allclose(found, [[x / (1 + x) for x in odds]], atol=1e-9)
    scores = row._replace(scores=(0.0, 0.82, 0.9))
    assert plausible(probs, scores, 0.5, recognised).tolist() == [[True, False, True]]
    assert plausible(probs, scores, 0.5, UNKNOWN).tolist() == [[True, False, False]]


def test_examples_are_recognised_by_the_others():
    """Nearest of the means of the examples that are in, round by round and one by one."""
    rng = np.random.default_rng(0)
    predictor = Predictor.of(learners.protonet(Tiny()), Variables({"encoder": {}, "head": {}}, {}))
    embeddings = rng.normal(size=(2, 11, 4)).astype(np.float32)
    labels = np.stack([rng.permutation([0] * 7 + [1] * 3 + [2]) for _ in range(2)])
    said = of_examples(predictor, embeddings, labels)
    for b, s in np.ndindex(2, 11):
        mine = labels[b, s]
        if mine == 2:
            assert np.isnan(said[b, s]).all()
            continue
        one = np.cumsum(labels[b] == mine)[s] - 1  # the round, of five
        places = np.array([np.cumsum(labels[b] == c)[i] - 1 for i, c in enumerate(labels[b])])
        kept = (places % 5 != one % 5) | (labels[b] == 2)
        means = np.stack([embeddings[b][kept & (labels[b] == c)].mean(0) for c in range(3)])
        square = ((embeddings[b, s] - means) ** 2).sum(-1)
        np.testing.assert_allclose(np.exp(said[b, s]), calibrated(-square, 1.0), atol=1e-5)
    found = recognition(said, labels, 1.0)
    assert np.isnan(found[:, 2]).all()
    p = np.exp(said[0][labels[0] == 1, 1].astype(float))
    np.testing.assert_allclose(found[0, 1], np.log(p / (1 - p)).mean(), rtol=1e-4)


def unequal_world(seed, statements, episodes=250, shot=5, query=5):
    """Three-way episodes of statements that scatter differently in the plane around their means."""
    rng = np.random.default_rng(seed)
    means = rng.normal(0, 2.0, (statements, 6))
    scatter = rng.permutation(np.linspace(0.5, 2.5, statements))
    pool = 400
    embeddings = means[:, None] + scatter[:, None, None] * rng.normal(size=(statements, pool, 6))
    classes = np.stack([rng.permutation(statements)[:3] for _ in range(episodes)])
    slots = {n: np.tile(np.repeat(np.arange(3), n), (episodes, 1)) for n in (shot, query)}
    rows = np.stack([[rng.permutation(pool)[: shot + query] for _ in c] for c in classes])
    rows = rows + pool * classes[..., None]
    flat = [rows[..., a:b].reshape(episodes, -1) for a, b in ((0, shot), (shot, shot + query))]
    episode = Episode(classes, flat[0], slots[shot], flat[1], slots[query])
    return embeddings.reshape(-1, 6).astype(np.float32), episode


def test_sets_hold_each_statement_that_scatters_more_or_less_than_others(monkeypatch):
    head = learners.protonet(Tiny())
    predictor = Predictor.of(head, Variables({"encoder": {}, "head": {}}, {}))
    embeddings, episodes = unequal_world(0, 20)
    fitted = fit_calibration(predictor, embeddings, [episodes], embeddings)
    monkeypatch.setattr(fitting, "SLOPES", np.zeros(1))
    plain = fit_calibration(predictor, embeddings, [episodes], embeddings)
    other, asked = unequal_world(1, 20, episodes=1000)
    found, without = (
        measure(Model(predictor, made, Form(100.0, 1, ("I",)), {}), other, asked)
        for made in (fitted, plain)
    )
    assert fitted.rows[0].slope > plain.rows[0].slope == 0
    assert found["coverage"] > 0.9
    assert found["worst_coverage"] > 0.8
    assert found["set_size"] < without["set_size"]


def test_a_recording_asked_often_proves_no_more_than_one_unless_its_answers_differ():
    rng = np.random.default_rng(0)
    asked = np.repeat(np.arange(200), 20)
    sure_of = np.full(4000, 0.8)
    alike = np.repeat(rng.random(200) < 0.1, 20)
    bounds, recordings = risks_by_level(sure_of, alike, asked)
    assert (recordings[80], recordings[81], bounds[81]) == (200, 0, 1)
    wrong = alike.reshape(200, 20)[:, 0].sum()
    # The variance over 200 recordings is that of 200 answers.
    assert bounds[0] == pytest.approx(binomial_bound(wrong, np.array(200)), abs=1e-3)
    each = rng.random(4000) < 0.1
    bounds, _ = risks_by_level(sure_of, each, asked)
    assert bounds[0] == pytest.approx(binomial_bound(each.sum(), np.array(4000)), abs=2e-3)
    none, _ = risks_by_level(sure_of, np.zeros(4000, bool), asked)
    assert none[0] == pytest.approx(binomial_bound(np.array(0), np.array(200)), abs=1e-4)


def test_thresholds_are_tested_from_the_strictest_down():
    def sure_at(risks, rate, counts=(1000,) * 5):
        return ROW._replace(risks=risks, counts=counts).sure(rate)

    # A lucky dip below a level that fails is not chosen.
    assert sure_at((0.05, 0.2, 0.2, 0.05, 0.04), 0.1) == 0.75
    assert sure_at((0.2, 0.05, 0.2, 0.2, 0.2), 0.1) == float("inf")
    # The strictest rests on too few recordings to be judged.
    few = (1000, 1000, 500, 100, 99)
    assert sure_at((0.5, 0.2, 0.05, 0.05, 0.3), 0.1, few) == 0.5
    assert sure_at((0.5, 0.2, 0.05, 0.05, 0.3), 0.1, (*few[:3], 100, 100)) == float("inf")
    # Files of version 0.1 do not say how many: the first that holds, and down from there.
    assert sure_at((0.05, 0.2, 0.05, 0.04, 0.3), 0.1, ()) == 0.5


def test_the_bound_is_that_of_clopper_and_pearson():
    # 0 of 29: 1 − 0.05^(1/29); the others solve P(X ≤ k) = 0.05.
    found = binomial_bound(np.array([0.0, 1, 5, 3, 0]), np.array([29.0, 10, 50, 3, 0]))
    assert found == pytest.approx([0.0981, 0.3942, 0.1988, 1.0, 1.0], abs=2e-4)


@pytest.mark.parametrize("queries", [50, pytest.param(4000, marks=pytest.mark.long)])
def test_answers_are_wrong_at_the_rate_stated_whatever_few_they_were_fitted_on(queries):
    """The faults' 11.9 % and 12 % were minima over many thresholds, or of few queries."""
    wrong = []
    for seed in range(10):
        embeddings, episodes = world(seed, episodes=queries // 5)
        fitted = fit_calibration(PREDICTOR, embeddings, [episodes], embeddings)
        other, asked = world(1000 + seed, episodes=500)
        found = measure(model(fitted), other, asked, error_rate=0.1)
        if found["answered"]:
            wrong.append(found["wrong_answers"])
    assert len(wrong) == (0 if queries == 50 else 10)
    # Each bound holds with a confidence of 95 %: two or more of ten fail in 9 % of such tests.
    assert sum(rate > 0.1 for rate in wrong) <= 2


def test_a_row_lies_between_the_shots_and_the_ways_fitted():
    def row(way, shot, t):
        return Row(way, shot, t, 2 * t, (0.0, t / 10), (t / 10, 0.0), (t, t))

    made = Calibration(
        (row(4, 4.0, 3.0), row(4, 1.0, 1.0), row(2, 1.0, 7.0), row(8, 1.0, 3.0), row(8, 2.0, 5.0)),
        (0.0,), (1.0,), 1.0,
    )  # fmt: skip
    assert made.at(4, 2)[:4] == pytest.approx((4, 2, 2.0, 4.0))
    assert made.at(4, 2).scores == pytest.approx((0.0, 0.2))
    assert made.at(4, 2).counts == pytest.approx((2.0, 2.0))
    assert made.at(2, 3)[:3] == (2, 3, 7.0)
    middle = np.log(6 / 4) / np.log(8 / 4)
    assert made.at(6, 1).temperature == pytest.approx(1.0 + middle * 2.0)
    assert made.at(99, 1)[:3] == (99, 1, 3.0)
    assert made.outside(4, 1) == made.outside(4, 2) == made.outside(6, 2) == ""
    assert made.outside(6, 1.5) == made.outside(2, 1) == made.outside(3, 1) == ""
    assert "9 candidates, and the calibration was fitted for 2 to 8" in made.outside(9, 1)
    assert "about 3 examples of each of 6 candidates" in made.outside(6, 3)
    assert "fitted for 1 to 2" in made.outside(6, 3)  # eight were fitted up to two
    assert "fitted for 1 to 4" in made.outside(4, 0.5)
    assert made.outside(2, 2) != ""


def test_json_round_trip_and_damage(fitted):
    fields = json.loads(json.dumps(fitted.to_json()))
    assert Calibration.from_json(fields) == fitted
    for damaged in ({}, {**fields, "rows": []}, {**fields, "spread": [1.0]}, {**fields, "mean": 3}):
        with pytest.raises(MetaecgError, match=r"calibration: .*fit it again"):
            Calibration.from_json(damaged)


def test_closeness_shares_one_among_the_examples():
    shares = closeness(np.array([[1.0, 1.0, 2.0]]), 3.0)
    np.testing.assert_allclose(shares.sum(), 1)
    np.testing.assert_allclose(shares[0, 0] / shares[0, 2], np.exp(1.0))


def test_orders_change_nothing_for_a_learner_of_sets(index, data):
    rng = np.random.default_rng(0)
    head = learners.protonet(Tiny())
    variables = Variables({"encoder": {}, "head": {}}, {})
    predictor = Predictor.of(head, variables)._replace(limits=Limits(ordered=True))
    embeddings = rng.normal(size=(30, 4)).astype(np.float32)
    rows = np.stack([rng.permutation(30) for _ in range(21)])  # more than one chunk
    slots = np.tile(np.arange(3), (21, 2))
    episodes = Episode(slots[:, :3], rows[:, :6], slots, rows[:, 6:11], slots[:, :5])
    said = over_orders(predictor, embeddings, episodes, 4)
    assert said.shape == (21, 4, 5, 3)
    centroids = np.stack([embeddings[rows[:, [w, w + 3]]].mean(1) for w in range(3)], 1)
    square = ((embeddings[rows[:, 6:11]][:, :, None] - centroids[:, None]) ** 2).sum(-1)
    for order in range(4):
        np.testing.assert_allclose(np.exp(said[:, order]), calibrated(-square, 1.0), atol=1e-5)
    plain = over_orders(predictor._replace(limits=Limits()), embeddings, episodes, 4)
    assert plain.shape == (21, 1, 5, 3)


@pytest.mark.parametrize("name", ["protonet", "matching", "ridge", "supervised"])
def test_coordinates_in_the_span_are_read_as_the_embeddings_are(name):
    rng = np.random.default_rng(0)
    made = {"supervised": lambda: learners.supervised(Tiny(), num_conditions=3)}
    learner = made.get(name, lambda: getattr(learners, name)(Tiny()))()
    embeddings = 0.1 * rng.normal(size=(30, 500)).astype(np.float32)
    rows = np.stack([rng.permutation(30) for _ in range(21)])
    slots = np.tile(np.arange(3), (21, 4))
    episodes = Episode(slots[:, :3], rows[:, :12], slots, rows[:, 12:17], slots[:, :5])
    row = np.zeros((1, 2), np.int32)
    task = Task(np.zeros((1, 2, 20, 1)), np.zeros((1, 2, 3)), row, row, row, np.ones(1))
    predictor = Predictor.of(learner, learner.init(jax.random.key(0), task))
    fewer = predictor.coordinates(embeddings)
    assert fewer.shape == (30, 30)
    for said in (
        lambda x: over_orders(predictor, x, episodes, 4),
        lambda x: fitting.of_supports(predictor, x, episodes),
    ):
        np.testing.assert_allclose(said(fewer), said(embeddings), atol=1e-4)
    each = of_examples(predictor, embeddings[episodes.support], episodes.support_slots)
    np.testing.assert_allclose(
        fitting.of_supports(predictor, embeddings, episodes), each, atol=1e-4
    )
    other = predictor._replace(limits=Limits())
    assert other.coordinates(embeddings) is embeddings
    assert other.basis(embeddings) is None
    assert along(None, embeddings) is embeddings


@pytest.mark.parametrize("twice", [False, True])
def test_inner_products_with_what_a_basis_spans_stay_as_they_are(twice):
    embeddings = np.random.default_rng(0).normal(size=(9, 50)).astype(np.float32)
    if twice:  # an example that is given twice spans nothing new
        embeddings[1] = embeddings[0]
    examples, queries = embeddings[:5], embeddings[4:]
    predictor = Predictor(np.asarray, np.asarray, Limits(inner_products=True))
    basis = predictor.basis(examples)
    read, asked = along(basis, examples), along(basis, queries)
    assert read.shape == (5, 6)
    np.testing.assert_allclose(read @ read.T, examples @ examples.T, atol=1e-4)
    np.testing.assert_allclose(asked @ read.T, queries @ examples.T, atol=1e-4)
    np.testing.assert_allclose((asked**2).sum(1), (queries**2).sum(1), rtol=1e-5)
    assert predictor.basis(embeddings[:, :9]) is None


def test_leaving_out_pads_on_the_left():
    less = without_each(Reading(np.array([[2, 0, 1]], np.int32), np.array([[1, 0]], np.int32)))
    assert less.support.tolist() == [[-1, 2, 1], [-1, 2, 0], [-1, 0, 1]]
    assert less.places.tolist() == [[1, 0]] * 3
