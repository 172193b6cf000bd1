"""Scores worked out by hand, and answers that do not depend on how they were computed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import Tiny

from metaecg import evaluation, learners, tasks
from metaecg.evaluation import Predictions
from metaecg.types import Episode


def test_auroc_literal():
    """Of six pairs of a positive and a negative, four are in order and one is tied."""
    scores, positive = np.array([0.9, 0.8, 0.3, 0.5, 0.3]), np.array([1, 0, 1, 0, 0])
    assert evaluation.auroc(scores, positive) == pytest.approx(3.5 / 6)
    assert evaluation.auroc(np.array([1.0, 2.0, 3.0]), np.array([0, 1, 1])) == 1
    assert evaluation.auroc(np.array([1.0, 2.0, 3.0]), np.array([1, 0, 0])) == 0
    assert evaluation.auroc(np.zeros(4), np.array([1, 0, 0, 1])) == 0.5
    assert np.isnan(evaluation.auroc(np.array([1.0, 2.0]), np.array([1, 1])))


@pytest.mark.parametrize("levels", [4, 1_000])
def test_auroc_equals_all_pairs(levels):
    rng = np.random.default_rng(levels)
    scores, positive = rng.integers(0, levels, 80) / levels, rng.random(80) < 0.3
    wins = [
        1.0 if a > b else 0.5 if a == b else 0.0
        for a in scores[positive]
        for b in scores[~positive]
    ]
    assert evaluation.auroc(scores, positive) == pytest.approx(np.mean(wins))


def test_interval_literal():
    """Mean 0.5; s² = (0.25 · 4) / 3; 1.96 s / 2."""
    mean, half = evaluation.interval(np.array([0.0, 1.0, 0.0, 1.0]))
    assert mean == 0.5
    assert half == pytest.approx(1.96 * np.sqrt(1 / 3) / 2)
    assert evaluation.interval(np.full(9, 0.7)) == (pytest.approx(0.7), pytest.approx(0))
    assert np.isnan(evaluation.interval(np.array([0.5]))[1])


def test_patient_interval_of_one_answer_each_is_the_binomial_s():
    correct = np.repeat([True, False], [160, 240])
    low, high = evaluation.patient_interval(correct, np.arange(400))
    half = 1.96 * np.sqrt(0.4 * 0.6 / 400)
    assert low == pytest.approx(0.4 - half, abs=0.006)
    assert high == pytest.approx(0.4 + half, abs=0.006)


def test_patient_interval_does_not_narrow_when_the_same_patients_are_asked_again():
    rng = np.random.default_rng(0)
    correct, patients = rng.random(50) < 0.6, np.arange(50)
    once = evaluation.patient_interval(correct, patients)
    often = evaluation.patient_interval(np.tile(correct, (20, 1)), np.tile(patients, (20, 1)))
    assert often == pytest.approx(once)
    assert once[1] - once[0] > 0.2


# Two episodes of three classes in two ways; the third episode's query of slot 1 is missed.
EPISODES = Episode(
    classes=np.array([[0, 1], [2, 0]]),
    support=np.array([[0, 1], [2, 3]]),
    support_slots=np.array([[0, 1], [1, 0]]),
    query=np.array([[4, 5], [6, 7]]),
    query_slots=np.array([[0, 1], [1, 0]]),
)
PROBS = np.array([[[0.9, 0.1], [0.6, 0.4]], [[0.2, 0.8], [0.7, 0.3]]], np.float32)


def test_summary_literal():
    """Class 0: two queries, both right; class 1: one, taken for 0; class 2: one, right."""
    summary = evaluation.summarise(Predictions(EPISODES, PROBS), ("a", "b", "c"))
    assert summary["confusion"] == [[2, 0, 0], [1, 0, 0], [0, 0, 1]]
    assert summary["accuracy"] == 0.75
    assert summary["accuracy_ci95"] == pytest.approx(1.96 * 0.25)
    assert summary["episodes"] == 2
    per_class = summary["per_class"]
    assert {name: c["queries"] for name, c in per_class.items()} == {"a": 2, "b": 1, "c": 1}
    assert {name: c["recall"] for name, c in per_class.items()} == {"a": 1, "b": 0, "c": 1}
    assert {name: c["auroc"] for name, c in per_class.items()} == {"a": 1, "b": 1, "c": 1}
    assert summary["macro_auroc"] == 1
    assert summary["brier"] == pytest.approx((0.02 + 0.72 + 0.08 + 0.18) / 4, rel=1e-5)
    assert summary["ece"] == pytest.approx((0.1 + 0.6 + 0.2 + 0.3) / 4, rel=1e-5)


def test_summary_counts_a_class_s_scores_in_all_its_episodes():
    """Class 0's scores are 0.9 and 0.8 where it was asked, 0.85 and 0.2 where it was not."""
    probs = np.array([[[0.9, 0.1], [0.85, 0.15]], [[0.2, 0.8], [0.8, 0.2]]], np.float32)
    summary = evaluation.summarise(Predictions(EPISODES, probs), ("a", "b", "c"))
    assert summary["per_class"]["a"]["auroc"] == 0.75


def test_summary_leaves_out_classes_that_were_not_asked():
    summary = evaluation.summarise(Predictions(EPISODES, PROBS), ("a", "b", "c", "d"))
    assert "d" not in summary["per_class"]
    assert summary["confusion"][3] == [0, 0, 0, 0]


def test_paired_difference_literal():
    """Accuracies 0.5 and 1 against 1 and 1."""
    better = np.array([[[0.9, 0.1], [0.4, 0.6]], [[0.2, 0.8], [0.7, 0.3]]], np.float32)
    a, b = Predictions(EPISODES, better), Predictions(EPISODES, PROBS)
    mean, half = evaluation.paired_difference(a, b)
    assert mean == 0.25
    assert half == pytest.approx(1.96 * 0.25)
    assert evaluation.paired_difference(b, a)[0] == -0.25
    assert evaluation.paired_difference(a, a) == (0, 0)


@pytest.mark.parametrize("field", EPISODES._fields)
def test_paired_difference_of_other_episodes_is_refused(field):
    values = getattr(EPISODES, field).copy()
    values[1] = values[1][::-1]
    other = EPISODES._replace(**{field: values})
    with pytest.raises(ValueError, match="same episodes"):
        evaluation.paired_difference(Predictions(EPISODES, PROBS), Predictions(other, PROBS))


@pytest.fixture(scope="module")
def drawn(data):
    return evaluation.draw_episodes(data, jax.random.key(0), 7, way=3, shot=2, query=2)


@pytest.fixture(scope="module")
def trained(data):
    learner = learners.protonet(Tiny())
    task = tasks.batch_of_records(jnp.ones((2, 24, 2)), jnp.ones((2, 4)))
    batch = jax.tree.map(lambda x: x[None], task)
    return learner, learner.init(jax.random.key(0), batch)


def test_test_episodes_are_fixed_by_their_key(data, drawn):
    again = evaluation.draw_episodes(data, jax.random.key(0), 7, way=3, shot=2, query=2)
    for a, b in zip(drawn, again):
        assert isinstance(a, np.ndarray)
        assert len(a) == 7
        np.testing.assert_array_equal(a, b)


def test_prediction_by_embeddings_equals_prediction_from_the_signals(data, drawn, trained):
    learner, variables = trained
    by_embedding = evaluation.predict(learner, variables, data, drawn, 4, batch=4)
    plain = learner._replace(embed=None, classify=None)
    from_signals = evaluation.predict(plain, variables, data, drawn, 4, batch=4)
    assert by_embedding.probs.shape == (7, 6, 3)
    np.testing.assert_allclose(by_embedding.probs, from_signals.probs, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(by_embedding.probs.sum(-1), 1, rtol=1e-5)
    assert by_embedding.probs.std() > 0.01


def test_prediction_equals_nearest_mean_in_numpy(data, drawn, trained):
    learner, variables = trained
    predicted = evaluation.predict(learner, variables, data, drawn, 4, batch=4)
    embeddings = np.asarray(evaluation.embed(learner, variables, data, batch=50))
    assert embeddings.shape == (data.index.num_records, 8)
    for e in range(7):
        support, slots = drawn.support[e], drawn.support_slots[e]
        means = np.stack([embeddings[support[slots == s]].mean(0) for s in range(3)])
        distance = ((embeddings[drawn.query[e]][:, None] - means) ** 2).sum(-1)
        probs = np.exp(-distance) / np.exp(-distance).sum(1, keepdims=True)
        np.testing.assert_allclose(predicted.probs[e], probs, rtol=1e-3, atol=1e-5)
        right = probs.argmax(1) == drawn.query_slots[e]
        np.testing.assert_array_equal(predicted.correct[e], right)


def test_embeddings_are_in_the_order_of_the_library(data, trained):
    learner, variables = trained
    whole = evaluation.embed(learner, variables, data, batch=256)
    pieces = evaluation.embed(learner, variables, data, batch=50)
    np.testing.assert_allclose(whole, pieces, rtol=1e-5, atol=1e-6)
    volts = tasks.millivolts(data.signals, data.scale, jnp.array([3, 179]))
    np.testing.assert_allclose(
        learner.embed(*variables, volts), whole[jnp.array([3, 179])], rtol=1e-5, atol=1e-6
    )
