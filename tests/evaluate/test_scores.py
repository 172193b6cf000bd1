"""Scores worked out by hand, and answers that do not depend on how they were computed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import Tiny

from metaecg import evaluate, learners
from metaecg.episodes import tasks
from metaecg.evaluate import Predictions
from metaecg.types import Episode

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
    summary = evaluate.summarise(Predictions(EPISODES, PROBS), ("a", "b", "c"))
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
    assert summary["reliability"][0] == {
        "count": 1,
        "confidence": pytest.approx(0.6),
        "accuracy": 0,
    }
    assert summary["ece"] == pytest.approx((0.1 + 0.6 + 0.2 + 0.3) / 4, rel=1e-5)


def test_summary_counts_a_class_s_scores_in_all_its_episodes():
    """Class 0's scores are 0.9 and 0.8 where it was asked, 0.85 and 0.2 where it was not."""
    probs = np.array([[[0.9, 0.1], [0.85, 0.15]], [[0.2, 0.8], [0.8, 0.2]]], np.float32)
    summary = evaluate.summarise(Predictions(EPISODES, probs), ("a", "b", "c"))
    assert summary["per_class"]["a"]["auroc"] == 0.75


def test_summary_leaves_out_classes_that_were_not_asked():
    summary = evaluate.summarise(Predictions(EPISODES, PROBS), ("a", "b", "c", "d"))
    assert "d" not in summary["per_class"]
    assert summary["confusion"][3] == [0, 0, 0, 0]


def test_paired_difference_literal():
    """Accuracies 0.5 and 1 against 1 and 1."""
    better = np.array([[[0.9, 0.1], [0.4, 0.6]], [[0.2, 0.8], [0.7, 0.3]]], np.float32)
    a, b = Predictions(EPISODES, better), Predictions(EPISODES, PROBS)
    mean, half = evaluate.paired_difference(a, b)
    assert mean == 0.25
    assert half == pytest.approx(1.96 * 0.25)
    assert evaluate.paired_difference(b, a)[0] == -0.25
    assert evaluate.paired_difference(a, a) == (0, 0)


@pytest.mark.parametrize("field", EPISODES._fields)
def test_paired_difference_of_other_episodes_is_refused(field):
    values = getattr(EPISODES, field).copy()
    values[1] = values[1][::-1]
    other = EPISODES._replace(**{field: values})
    with pytest.raises(ValueError, match="same episodes"):
        evaluate.paired_difference(Predictions(EPISODES, PROBS), Predictions(other, PROBS))


@pytest.fixture(scope="module")
def drawn(data):
    return evaluate.draw_episodes(data, jax.random.key(0), 7, way=3, shot=2, query=2)


@pytest.fixture(scope="module")
def trained(data):
    learner = learners.protonet(Tiny())
    task = tasks.batch_of_records(jnp.ones((2, 24, 2)), jnp.ones((2, 4)))
    batch = jax.tree.map(lambda x: x[None], task)
    return learner, learner.init(jax.random.key(0), batch)


def test_test_episodes_are_fixed_by_their_key(data, drawn):
    again = evaluate.draw_episodes(data, jax.random.key(0), 7, way=3, shot=2, query=2)
    for a, b in zip(drawn, again):
        assert isinstance(a, np.ndarray)
        assert len(a) == 7
        np.testing.assert_array_equal(a, b)


def test_prediction_by_embeddings_equals_prediction_from_the_signals(data, drawn, trained):
    learner, variables = trained
    by_embedding = evaluate.predict(learner, variables, data, drawn, 4, batch=4)
    plain = learner._replace(embed=None, classify=None)
    from_signals = evaluate.predict(plain, variables, data, drawn, 4, batch=4)
    assert by_embedding.probs.shape == (7, 6, 3)
    np.testing.assert_allclose(by_embedding.probs, from_signals.probs, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(by_embedding.probs.sum(-1), 1, rtol=1e-5)
    assert by_embedding.probs.std() > 0.01


def test_prediction_equals_nearest_mean_in_numpy(data, drawn, trained):
    learner, variables = trained
    predicted = evaluate.predict(learner, variables, data, drawn, 4, batch=4)
    embeddings = np.asarray(evaluate.embed(learner, variables, data, batch=50))
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
    whole = evaluate.embed(learner, variables, data, batch=256)
    pieces = evaluate.embed(learner, variables, data, batch=50)
    np.testing.assert_allclose(whole, pieces, rtol=1e-5, atol=1e-6)
    volts = tasks.millivolts(data.signals, data.scale, jnp.array([3, 179]))
    np.testing.assert_allclose(
        learner.embed(*variables, volts), whole[jnp.array([3, 179])], rtol=1e-5, atol=1e-6
    )


def test_differences_over_patients_are_those_of_intervals():
    better = np.array([[[0.9, 0.1], [0.4, 0.6]], [[0.2, 0.8], [0.7, 0.3]]], np.float32)
    a, b = Predictions(EPISODES, better), Predictions(EPISODES, PROBS)
    patients = np.array([0, 1, 2, 3, 7, 8, 7, 9])
    gap = np.array([[0.0, 1.0], [0.0, 0.0]])
    found = evaluate.paired_over_patients(a, b, patients)
    assert found == evaluate.patient_intervals.over_patients(gap, EPISODES, patients)
    assert found.value == 0.25
    assert found.deviation > 0
    assert evaluate.paired_over_patients(a, a, patients).p == 1
    summary = evaluate.summarise(a, ("a", "b", "c"), patients)
    right = evaluate.patient_intervals.over_patients(a.correct, EPISODES, patients)
    assert summary["accuracy_patients95"] == right.interval


def test_the_same_episodes_read_in_another_order_are_paired_and_others_are_not():
    a, b = Predictions(EPISODES, PROBS), Predictions(EPISODES, PROBS)
    turned = EPISODES._replace(
        support=EPISODES.support[:, ::-1], support_slots=EPISODES.support_slots[:, ::-1]
    )
    assert evaluate.paired_difference(a, b._replace(episodes=turned)) == (0, 0)
    other = EPISODES._replace(query=EPISODES.query[::-1])
    with pytest.raises(ValueError, match="same episodes"):
        evaluate.paired_difference(a, b._replace(episodes=other))


def test_orders_literal():
    """Two of four answers change; the answer is that of the arithmetic mean."""
    other = np.array([[[0.9, 0.1], [0.05, 0.95]], [[0.2, 0.8], [0.4, 0.6]]], np.float32)
    both = [Predictions(EPISODES, PROBS), Predictions(EPISODES, other)]
    mean, sensitivity = evaluate.over_orders(both)
    assert sensitivity == {
        "orders": 2,
        "least": 0.75,
        "greatest": 0.75,
        "deviation": 0,
        "changed": 0.5,
    }
    np.testing.assert_allclose(mean.probs[0, 1], [0.325, 0.675], rtol=1e-5)
    np.testing.assert_allclose(mean.probs.sum(-1), 1, rtol=1e-6)
    alone, sensitivity = evaluate.over_orders(both[:1])
    np.testing.assert_allclose(alone.probs, PROBS, rtol=1e-5)
    assert sensitivity["changed"] == 0


def test_reuse_literal():
    again = EPISODES._replace(query=np.array([[4, 5], [4, 6]]))
    counted = evaluate.reuse(again, np.array([0, 0, 0, 0, 1, 2, 1]))
    assert counted == {"records": 3, "patients": 2, "mean_uses": 4 / 3, "most_uses": 2}
