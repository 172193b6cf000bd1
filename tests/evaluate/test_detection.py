"""Detection: who is asked, and areas under curves against the slow way."""

import jax
import numpy as np
import pytest
from tiny import Tiny

from metaecg import evaluate, learners
from metaecg.episodes import tasks
from metaecg.errors import MetaecgError
from metaecg.evaluate import detection, statistics
from metaecg.networks import Identity
from metaecg.types import Episode, LibraryIndex, Variables


@pytest.fixture(scope="module")
def questions(index):
    return detection.draw_questions(index, 0, shot=3, repeats=4)


def test_patients_never_cross(index, questions):
    labels, patients = np.asarray(index.labels), np.asarray(index.patients)
    np.testing.assert_array_equal(questions.classes, np.repeat(np.arange(6), 4))
    for e, c in enumerate(questions.classes):
        support = questions.support[e]
        assert len(set(patients[support])) == 6
        has = questions.support_slots[e] == questions.slots[e]
        assert has.sum() == 3
        np.testing.assert_array_equal(labels[support, c], has)
        asked = set(patients[questions.asked[e]])
        assert not asked & set(patients[support])
        # Everybody else is asked, with all their records.
        assert asked | set(patients[support]) == set(patients)
        np.testing.assert_array_equal(questions.asked[e], np.isin(patients, list(asked)))


def test_questions_are_a_function_of_the_seed_and_differ_between_repeats(index, questions):
    again = detection.draw_questions(index, 0, shot=3, repeats=4)
    for a, b in zip(questions, again):
        np.testing.assert_array_equal(a, b)
    assert len({tuple(sorted(s)) for s in questions.support.tolist()}) == 24
    assert set(questions.slots) == {0, 1}


def test_classes_with_too_few_patients_are_left_out_and_none_at_all_is_refused():
    labels = np.zeros((30, 2), bool)
    labels[:4, 0] = labels[10:20, 1] = True
    index = LibraryIndex(labels, np.arange(30))
    drawn = detection.draw_questions(index, 0, shot=2, repeats=1, least=3)
    assert drawn.classes.tolist() == [1]
    said = np.random.default_rng(0).random((1, 30))
    summary = detection.score(drawn, said, index, ("rare", "common")).summary
    assert summary["left_out"] == ["rare"]
    assert list(summary["per_class"]) == ["common"]
    with pytest.raises(MetaecgError, match=r"no class has 8 \+ 3 patients .* the most is 10"):
        detection.draw_questions(index, 0, shot=8, repeats=1, least=3)


def average_precision(scores, positive):
    """Σ over thresholds, from the strictest, of the recall gained times the precision there."""
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        said = scores >= threshold
        recall = (said & positive).sum() / positive.sum()
        total += (recall - before) * (said & positive).sum() / said.sum()
        before = recall
    return total


@pytest.mark.parametrize("levels", [5, 10_000])
def test_areas_equal_the_slow_way(levels):
    rng = np.random.default_rng(levels)
    scores, positive = rng.integers(0, levels, 90) / levels, rng.random(90) < 0.2
    found = detection.areas(scores, positive).values
    assert found[0] == pytest.approx(statistics.auroc(scores, positive))
    assert found[1] == pytest.approx(average_precision(scores, positive))
    # As many negatives as positives, by having either as often as there are of the other.
    times = np.where(positive, (~positive).sum(), positive.sum())
    s, y = np.repeat(scores, times), np.repeat(positive, times)
    assert found[2] == pytest.approx(average_precision(s, y))


@pytest.mark.parametrize("levels", [5, 10_000])
def test_the_influence_of_a_record_is_what_its_weight_changes(levels):
    """Each record counted a thousandth more, in areas written out over all pairs."""
    rng = np.random.default_rng(levels)
    scores, positive = rng.integers(0, levels, 40) / levels, rng.random(40) < 0.3

    def weighted(weights):
        yes, no = weights * positive, weights * ~positive
        above = (scores[:, None] > scores) + 0.5 * (scores[:, None] == scores)
        from_it_on = scores >= scores[:, None]
        true, false = from_it_on @ yes, from_it_on @ no
        found = [yes @ above @ no / (yes.sum() * no.sum())]
        for ratio in (1, yes.sum() / no.sum()):
            found.append(np.sum(yes * true / (true + ratio * false)) / yes.sum())
        return np.array(found)

    found = detection.areas(scores, positive)
    np.testing.assert_allclose(found.values, weighted(np.ones(40)))
    for record in np.eye(40):
        change = (weighted(1 + 1e-3 * record) - weighted(1 - 1e-3 * record)) / 2e-3
        np.testing.assert_allclose(found.influence @ record, change, atol=1e-6)


def test_areas_literal():
    scores = np.array([0.9, 0.8, 0.7, 0.1])
    found = detection.areas(scores, np.array([1, 0, 1, 0], bool)).values
    np.testing.assert_allclose(found, [0.75, (1 + 2 / 3) / 2, (1 + 2 / 3) / 2])
    alone = detection.areas(scores, np.array([0, 0, 1, 0], bool)).values
    np.testing.assert_allclose(alone, [1 / 3, 1 / 3, 1 / (1 + 2 / 3)])


def test_without_positives_or_negatives_there_is_no_area():
    scores = np.array([0.1, 0.9, 0.5])
    for positive in (np.zeros(3, bool), np.ones(3, bool)):
        assert np.isnan(detection.areas(scores, positive).values).all()


@pytest.mark.parametrize("slots", [2, 4])
def test_answers_equal_the_nearest_mean_in_numpy(index, data, questions, slots):
    learner = learners.protonet(Tiny())
    example = jax.tree.map(
        lambda x: np.asarray(x)[None],
        tasks.batch_of_records(np.zeros((4, 24, 2), np.float32), np.zeros((4, 2), np.float32)),
    )
    variables = learner.init(jax.random.key(0), example)
    embeddings = evaluate.embed(learner, variables, data)
    few = detection.Questions(*(x[:8] for x in questions))
    said = detection.answer(learner, variables, embeddings, few, slots)
    assert said.shape == (8, 180)
    vectors = np.asarray(embeddings)
    for e in range(8):
        has = few.support_slots[e] == few.slots[e]
        yes, no = (vectors[few.support[e][x]].mean(0) for x in (has, ~has))
        gap = ((vectors - no) ** 2).sum(1) - ((vectors - yes) ** 2).sum(1)
        np.testing.assert_allclose(said[e], gap, rtol=1e-3, atol=1e-4)


def test_learners_that_adapt_answer_as_in_episodes(index, data, questions):
    learner = learners.maml(Tiny(norm=False), way=2, rate=0.5, steps=2)
    example = jax.tree.map(
        lambda x: np.asarray(x)[None],
        tasks.batch_of_records(np.zeros((4, 24, 2), np.float32), np.zeros((4, 2), np.float32)),
    )
    variables = learner.init(jax.random.key(0), example)
    records = np.asarray(data.signals, np.float32) * data.scale
    few = detection.Questions(*(x[:6] for x in questions))
    said = detection.answer(learner, variables, records, few, 2)
    asked = np.tile(np.arange(40, 44, dtype=np.int32), (6, 1))
    episodes = Episode(
        np.zeros((6, 2), np.int32), few.support, few.support_slots, asked, np.zeros_like(asked)
    )
    probs = evaluate.predict(learner, variables, data, episodes, 2).probs
    log_odds = np.log(probs[..., 0] / probs[..., 1])
    np.testing.assert_allclose(
        said[:, 40:44], np.where(few.slots[:, None] == 0, log_odds, -log_odds), atol=1e-3
    )
    assert np.abs(log_odds).max() > 0.1


def test_sure_answers_are_still_told_apart():
    """Embeddings a thousand from either centroid: probabilities round to 1, log-odds do not."""
    learner = learners.protonet(Identity())
    embeddings = np.array([[0], [1], [900], [901], [1000]], np.float32)
    questions = detection.Questions(
        *(np.array(x, np.int32) for x in ([0], [0], [[1, 0]], [[0, 1]])), np.ones((1, 5), bool)
    )
    empty = Variables({"encoder": {}, "head": {}}, {})
    said = detection.answer(learner, empty, embeddings, questions, 2)
    np.testing.assert_allclose(said[0], [-1, 1, 1799, 1801, 1999])


def test_scores_of_an_oracle_and_of_chance(index, questions):
    labels = np.asarray(index.labels)
    truth = labels.T[questions.classes].astype(float)
    names = tuple("abcdef")
    oracle = detection.score(questions, truth, index, names)
    assert oracle.summary["macro"]["auroc"] == 1
    assert oracle.summary["macro"]["auroc_ci95"] == (1, 1)
    assert oracle.summary["macro"]["auprc"] == 1
    blind = detection.score(questions, np.full(truth.shape, 0.5), index, names)
    assert blind.summary["macro"]["auroc"] == 0.5
    assert blind.summary["macro"]["auprc_balanced"] == pytest.approx(0.5)
    prevalence = np.mean([c["prevalence"] for c in blind.summary["per_class"].values()])
    assert blind.summary["macro"]["auprc"] == pytest.approx(prevalence)
    assert detection.difference(oracle, blind, questions, index)["auroc"] == (0.5, 0.5, 0.5)
    assert detection.difference(blind, blind, questions, index)["auprc"] == (0, 0, 0)


def test_intervals_hold_the_score_and_widen_with_the_examples_chance(index, questions):
    rng = np.random.default_rng(0)
    truth = np.asarray(index.labels).T[questions.classes]
    noise = rng.normal(0, 1, truth.shape[1])
    same = detection.score(questions, truth + noise, index, tuple("abcdef"))
    low, high = same.summary["macro"]["auroc_ci95"]
    assert low < same.summary["macro"]["auroc"] < high
    assert 0.01 < high - low < 0.2
    # Examples that make some repeats of a class good and others bad.
    luck = np.resize([0.2, 5.0], len(truth))[:, None]
    varied = detection.score(questions, truth + noise * luck, index, tuple("abcdef"))
    alone, other = (
        x.summary["macro"]["auroc_ci95"][1] - x.summary["macro"]["auroc"] for x in (same, varied)
    )
    assert other > 1.5 * alone
    assert same.summary["per_class"]["a"]["patients"] == len(
        set(np.asarray(index.patients)[np.asarray(index.labels)[:, 0]])
    )
