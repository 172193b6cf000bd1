"""A diagnoser against slow references: prediction by the learner itself, fitting anew, by hand."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import Tiny

from metaecg import learners
from metaecg.diagnose.background import Background, unlikeness
from metaecg.diagnose.calibration import Calibration, Row, calibrated, closeness
from metaecg.diagnose.diagnoser import Diagnoser
from metaecg.diagnose.model import Form, Model
from metaecg.diagnose.predictor import Predictor, readings
from metaecg.episodes import tasks
from metaecg.errors import MetaecgError
from metaecg.types import Episode, Limits

SAMPLES, LEADS, SLOTS, LONGEST = 24, 2, 3, 8
LEVELS = np.linspace(0, 1, 11)
# Nothing is unusual; sets hold labels from 0.3 on; answers are wrong at (1 − p)/2.
ROW = Row(3, 1.0, 2.0, 0.5, tuple(0.7 * LEVELS), tuple((1 - LEVELS) / 2), (999.0,) * 11)
FORM = Form(100.0, SAMPLES, ("I", "II"))


def calibration(row):
    """The same numbers for two and three candidates with one to nine examples of each."""
    rows = [row._replace(way=way, shot=shot) for way in (2, 3) for shot in (1.0, 9.0)]
    return Calibration(tuple(rows), (0.0,) * 8, (1.0,) * 8, 1e9)


CALIBRATION = calibration(ROW._replace(scores=(0.7,) * 3))


def model(predictor, fitted=CALIBRATION):
    return Model(predictor, fitted, FORM, {})


@functools.cache
def build(name):
    """Returns prediction jitted, and the predictor."""
    learner = {
        "snail": lambda: learners.snail(
            Tiny(), way=SLOTS, length=LONGEST + 1, attention=((4, 3), (4, 3)), filters=4
        ),
        "protonet": lambda: learners.protonet(Tiny()),
        "supervised": lambda: learners.supervised(Tiny(), num_conditions=3),
    }[name]()
    rows = np.zeros((1, 2), np.int32)
    example = tasks.Task(
        jnp.zeros((1, 2, SAMPLES, LEADS)), jnp.zeros((1, 2, SLOTS)), rows, rows, rows, np.ones(1)
    )
    variables = jax.jit(learner.init)(jax.random.key(0), jax.tree.map(jnp.asarray, example))
    # Away from their start, so that answers differ.
    rng = np.random.default_rng(1)
    params = jax.tree.map(
        lambda x: np.asarray(x) + rng.normal(0, 0.3, x.shape).astype(np.float32), variables.params
    )
    variables = variables._replace(params=params)
    predict = functools.partial(jax.jit(learner.predict), *variables)
    return predict, Predictor.of(learner, variables)


@pytest.fixture(scope="module", params=["snail", "protonet", "supervised"])
def built(request):
    return build(request.param)


@pytest.fixture(scope="module")
def protonet():
    return build("protonet")[1]


def signals(count, seed=0):
    return np.random.default_rng(seed).normal(size=(count, SAMPLES, LEADS)).astype(np.float32)


def support(labels, seed=0):
    records = signals(len(labels), seed)
    return [(f"{i}.csv", label, records[i]) for i, label in enumerate(labels)]


QUERIES = signals(5, seed=9)


def reference(predict, examples, order, places, query):
    """Probabilities of one query by `Learner.predict`, the support in this order and slots."""
    labels = list(dict.fromkeys(label for _, label, _ in examples))
    slots = np.array([places[labels.index(label)] for _, label, _ in examples])[order]
    records = np.stack([*[examples[i][2] for i in order], query])
    episode = Episode(np.arange(len(labels)), order, slots, np.zeros(1, int), np.zeros(1, int))
    task = tasks.few_shot(jnp.asarray(records), episode, SLOTS)
    said = predict(jax.tree.map(lambda x: jnp.asarray(x)[None], task))[0, 0]
    return calibrated(np.asarray(said)[places], ROW.temperature)


def test_probabilities_are_the_learners_averaged_over_orders(built):
    predict, predictor = built
    examples = support("BAABBC")  # one, two and three of a label
    found = Diagnoser(model(predictor), orders=4).fit(examples)(list(QUERIES[:2]))
    read = readings(predictor, 6, 3, 4, np.random.default_rng(0))
    assert len(read.support) == (4 if predictor.limits.ordered else 1)
    for diagnosis, query in zip(found, QUERIES):
        each = np.stack([reference(predict, examples, o, p, query) for o, p in zip(*read)])
        assert diagnosis.labels == ("B", "A", "C")
        np.testing.assert_allclose(diagnosis.probs, each.mean(0), atol=1e-5)
        assert (diagnosis.low <= each.min(0) + 1e-5).all()
        assert (diagnosis.high >= each.max(0) - 1e-5).all()


def test_the_range_is_that_of_fits_without_any_one_example_whose_label_has_others(protonet):
    examples = support("AABBBC")
    diagnosis = Diagnoser(model(protonet)).fit(examples)(QUERIES[0])
    without = [
        Diagnoser(model(protonet)).fit(examples[:i] + examples[i + 1 :])(QUERIES[0])
        for i in range(5)
    ]
    each = np.stack([diagnosis.probs, *(d.probs for d in without)])
    np.testing.assert_allclose(diagnosis.low, each.min(0), atol=1e-5)
    np.testing.assert_allclose(diagnosis.high, each.max(0), atol=1e-5)
    assert (diagnosis.high - diagnosis.low).max() > 1e-3


def test_one_query_or_several_get_the_same_answer(built):
    diagnoser = Diagnoser(model(built[1])).fit(support("AABB"))
    together = diagnoser(np.stack([*QUERIES, *signals(14, 3)]))  # more than one block
    assert len(together) == 19
    for query, other in zip(QUERIES[:2], together):
        alone = diagnoser(query)
        np.testing.assert_allclose(alone.probs, other.probs, atol=1e-5)
        assert alone.answer == other.answer
        assert diagnoser([query])[0].plausible == alone.plausible
    assert diagnoser([]) == []


def test_a_long_recording_is_the_mean_of_its_windows_embeddings(protonet):
    pieces, examples = signals(3, seed=5), support("AAB")
    fitted = Diagnoser(model(protonet)).fit(examples)
    mean = np.asarray(protonet.embed(pieces)).mean(0)
    knows_it = protonet._replace(embed=lambda x: mean[None])
    wanted = Diagnoser(model(knows_it), _support=fitted._support)(pieces[0])
    found, alone = fitted([pieces, pieces[0]])
    np.testing.assert_allclose(found.probs, wanted.probs, atol=1e-6)
    assert np.abs(found.probs - alone.probs).max() > 1e-3
    # Examples as well: one whose windows are all alike is that recording.
    twice = [(name, label, np.stack([x, x])) for name, label, x in examples]
    again = Diagnoser(model(protonet)).fit(twice)(pieces[0])
    np.testing.assert_allclose(again.probs, alone.probs, atol=1e-6)


def test_a_lead_that_is_flat_in_one_window_is_missing(protonet):
    fitted = Diagnoser(model(protonet)).fit(support("AAB"))
    pieces = signals(2, seed=5)
    assert fitted(pieces[None])[0].error_rate is not None
    pieces[1, :, 1] = 0
    assert fitted(pieces[None])[0].error_rate is None


def test_the_support_is_embedded_once(protonet):
    seen = []
    counting = protonet._replace(embed=lambda x: seen.append(len(x)) or protonet.embed(x))
    diagnoser = Diagnoser(model(counting)).fit(support("AABB"))
    diagnoser(QUERIES[0])
    diagnoser(QUERIES[1])
    assert seen == [1] * 6


def test_effects_are_what_fitting_without_the_example_changes(protonet):
    examples = support("AABBBC")
    diagnosis = Diagnoser(model(protonet)).fit(examples)(QUERIES[0])
    top = diagnosis.labels[int(diagnosis.probs.argmax())]
    for evidence in diagnosis.evidence:
        rest = [e for i, e in enumerate(examples) if i != evidence.example]
        without = Diagnoser(model(protonet)).fit(rest)(QUERIES[0])
        left = dict(zip(without.labels, without.probs)).get(top, 0.0)
        assert evidence.effect == pytest.approx(diagnosis.probs.max() - left, abs=1e-5)


def test_weights_share_each_labels_probability_by_closeness(built):
    predictor, examples = built[1], support("ABBAAC")
    found = Diagnoser(model(predictor)).fit(examples)(QUERIES)
    embedded = np.asarray(predictor.embed(np.stack([x for _, _, x in examples])))
    for diagnosis, query in zip(found, np.asarray(predictor.embed(QUERIES))):
        weights = [e.weight for e in sorted(diagnosis.evidence)]
        assert sum(weights) == pytest.approx(1)
        assert [e.weight for e in diagnosis.evidence] == sorted(weights, reverse=True)
        mine = [0, 3, 4]
        apart = np.sqrt(((embedded[mine] - query) ** 2).mean(1))  # the spread is 1
        share = closeness(apart, ROW.bandwidth)
        np.testing.assert_allclose(np.array(weights)[mine], diagnosis.probs[0] * share, atol=1e-5)


def test_unsure_unless_one_label_is_plausible_and_certain_enough(protonet):
    def ask(risk, query=QUERIES[0]):
        row = ROW._replace(scores=(0.7,) * 3, risks=(risk,) * 11)
        made = calibration(row)
        return Diagnoser(model(protonet, made), error_rate=0.1).fit(support("AAB"))(query)

    near = support("AAB")[2][2] * 0.98 + 0.02 * QUERIES[0]
    certain = ask(0.05, near)
    assert certain.probs.max() > 0.7
    assert certain.answer == "B"
    assert certain.plausible == ("B",)
    assert certain.error_rate == 0.1
    assert ask(0.2, near).answer is None  # wrong too often at any certainty
    loose = ROW._replace(scores=(1.0,) * 3, risks=(0.0,) * 11)
    made = calibration(loose)
    both = Diagnoser(model(protonet, made)).fit(support("AAB"))(near)
    assert both.plausible == ("B", "A")
    assert both.answer is None


def warned(said, *words):
    return [w for w in said.warnings if all(word in w for word in words)]


def test_warnings_on_examples_and_copies(protonet):
    examples = support("AABB")
    plain = Diagnoser(model(protonet)).fit(examples)
    assert plain(QUERIES[0]).warnings == ()
    copy = plain(1.001 * examples[2][2] + 0.3)  # another gain and offset
    assert warned(copy, "among the examples, as 2.csv (B)")
    single = Diagnoser(model(protonet)).fit(examples[:3])
    assert warned(single, "B has a single example")
    twice = Diagnoser(model(protonet)).fit([*examples, ("again", "A", examples[0][2])])
    assert warned(twice, "0.csv and again are the same recording, given twice as A")
    torn = Diagnoser(model(protonet)).fit([*examples, ("again", "A", examples[3][2])])
    assert warned(torn, "3.csv and again", "once as B", "once as A", "correct")


def test_what_holds_for_the_examples_is_not_said_with_every_query(protonet):
    single = Diagnoser(model(protonet)).fit(support("AAB"))
    assert len(single.warnings) == 1
    assert [d.warnings for d in single(QUERIES)] == [()] * 5


def test_a_warning_on_recordings_unlike_all_that_was_trained_on(protonet):
    strange = CALIBRATION._replace(strange=0.0)
    (found,) = Diagnoser(model(protonet, strange)).fit(support("AABB"))(QUERIES[0]).warnings
    assert "unlike those the model was trained on" in found


def test_a_warning_where_hardly_any_recording_is_as_little_like_a_candidate(protonet):
    examples = support("AABB")
    background = Background.of(protonet.embed_each(signals(50, seed=4)))
    known = model(protonet)._replace(background=background)
    assert Diagnoser(known).fit(examples)(QUERIES[0]).likeness is None  # never calibrated
    place = lambda records: background.place(protonet.embed_each(records))  # noqa: E731
    given = np.stack([signal for *_, signal in examples])
    unlike = unlikeness(place(QUERIES), place(given), np.array([0, 0, 1, 1]))
    order = np.argsort(unlike)
    levels = tuple(np.interp(np.linspace(0, 1, 21), np.linspace(0, 1, 5), unlike[order]).tolist())
    fitted = known._replace(calibration=calibration(ROW._replace(unlike=levels)))
    found = Diagnoser(fitted).fit(examples)(QUERIES)
    likeness = [found[q].likeness for q in order]
    np.testing.assert_allclose(likeness, [1, 0.75, 0.5, 0.25, 0], atol=1e-5)
    warnings = [found[q].warnings for q in order]
    assert warnings[:4] == [()] * 4
    assert "possibly none of these diagnoses" in warnings[4][0]
    # All else is as it is without a background.
    plain = Diagnoser(model(protonet)).fit(examples)(QUERIES)
    assert all(np.array_equal(a.probs, b.probs) for a, b in zip(found, plain))


def unstated(diagnosis):
    """Nothing is answered, nothing excluded, no rate stated, and the reader is told why."""
    assert diagnosis.answer is None
    assert diagnosis.error_rate is None
    assert sorted(diagnosis.plausible) == sorted(diagnosis.labels)
    return True


def test_no_rate_is_stated_where_leads_are_missing(protonet):
    sure = ROW._replace(scores=(0.0,) * 3, risks=(0.0,) * 11)
    examples = support("AABB")
    near = examples[0][2] * 0.9 + 0.1 * QUERIES[0]
    fitted = Diagnoser(model(protonet, calibration(sure))).fit(examples)
    whole, partial = fitted([near, near * [1, 0]])
    assert (whole.answer, whole.error_rate) == ("A", 0.1)
    assert unstated(partial)
    assert warned(partial, "II missing or flat", "no rate of errors can be stated")
    flat = [(name, label, signal * [1, 0]) for name, label, signal in examples[:1]]
    fitted = Diagnoser(model(protonet, calibration(sure))).fit(flat + examples[1:])
    assert unstated(fitted(near))
    assert warned(fitted, "1 of 4 examples are incomplete, such as 0.csv (II missing or flat)")


def test_no_rate_is_stated_where_a_recording_ends_early(protonet):
    sure = ROW._replace(scores=(0.0,) * 3, risks=(0.0,) * 11)
    examples = support("AABB")
    near = examples[0][2] * 0.9 + 0.1 * QUERIES[0]
    fitted = Diagnoser(model(protonet, calibration(sure))).fit(examples)
    samples = len(near)

    def ending(at):
        return np.concatenate([near[:at], np.zeros((samples - at, near.shape[1]), near.dtype)])

    most, half = fitted([ending(samples - samples // 10), ending(samples // 2 - 1)])
    assert (most.answer, most.error_rate) == ("A", 0.1)
    assert unstated(half)
    assert warned(half, "it ends after 50% of the time that is read", "no rate of errors")
    short = [(name, label, ending(samples // 2 - 1)) for name, label, _ in examples[:1]]
    fitted = Diagnoser(model(protonet, calibration(sure))).fit(short + examples[1:])
    assert unstated(fitted(near))
    assert warned(fitted, "1 of 4 examples are incomplete, such as 0.csv (it ends after 50%")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("ABCD", "there are 4 candidates, and the calibration was fitted for 2 to 3"),
        ("AB" * 10, "about 10 examples of each of 2 candidates, .* fitted for 1 to 9"),
    ],
)
def test_no_rate_is_stated_outside_of_what_was_fitted(protonet, labels, said):
    fitted = Diagnoser(model(protonet)).fit(support(labels))
    assert re.search(said, fitted.warnings[0])
    assert unstated(fitted(QUERIES[0]))


def test_a_transposed_recording_is_refused(built):
    fitted = Diagnoser(model(built[1])).fit(support("AB"))
    for query in (QUERIES[0].T, np.stack([q.T for q in QUERIES])):
        with pytest.raises(MetaecgError, match=r"\[samples, leads\] \(24, 2\); transpose it"):
            fitted(query)
    with pytest.raises(MetaecgError, match="transpose it"):
        fitted.fit([(name, label, signal.T) for name, label, signal in support("AB")])


def test_an_answer_that_turns_with_the_order_is_said():
    predictor = build("protonet")[1]

    def by_first(task):  # votes for the label of the record read first
        slots = np.take_along_axis(task.labels.argmax(-1), task.support[:, -1:], 1)
        odds = np.where(np.arange(task.labels.shape[-1]) == slots, 3.0, 0.0)
        odds = odds - np.log(np.exp(odds).sum(-1, keepdims=True))
        return np.repeat(odds[:, None], task.query.shape[1], 1)

    turning = predictor._replace(classify=by_first, limits=Limits(ordered=True))
    diagnosis = Diagnoser(model(turning), orders=8).fit(support("AABB"))(QUERIES[0])
    (found,) = diagnosis.warnings
    assert "depends on the order" in found
    assert "of 8 orders" in found
    assert diagnosis.low.min() < 0.2 < 0.8 < diagnosis.high.max()


def test_errors_name_what_to_change():
    predictor = build("snail")[1]
    unfit = Diagnoser(model(predictor))
    with pytest.raises(MetaecgError, match="no labelled examples yet; call fit"):
        unfit(QUERIES[0])
    with pytest.raises(MetaecgError, match="no labelled example; give some"):
        unfit.fit([])
    with pytest.raises(MetaecgError, match="all 3 examples are of one diagnosis, A"):
        unfit.fit(support("AAA"))
    with pytest.raises(
        MetaecgError, match="4 diagnoses are given, this model distinguishes at most 3"
    ):
        unfit.fit(support("ABCD"))
    with pytest.raises(MetaecgError, match=r"9 examples .* at most 8; give up to 4 of each"):
        unfit.fit(support("AAAAABBBB"))
    with pytest.raises(MetaecgError, match=r"odd: shape \(3, 2\).* \(24, 2\)"):
        unfit.fit([*support("AB"), ("odd", "A", np.zeros((3, 2)))])
    with pytest.raises(MetaecgError, match=r"hole: there are missing samples \(NaN\)"):
        unfit.fit([*support("AB"), ("hole", "A", np.full((SAMPLES, LEADS), np.nan))])
    fitted = unfit.fit(support("AB"))
    with pytest.raises(
        MetaecgError, match=r"the query: shape \(3, 2\), and this model reads .* \(24, 2\)"
    ):
        fitted(np.zeros((3, 2), np.float32))
    with pytest.raises(MetaecgError, match=r"the query: .*NaN"):
        fitted(np.full((SAMPLES, LEADS), np.inf))
    with pytest.raises(MetaecgError, match="error_rate 0: must be between 0 and 1"):
        Diagnoser(model(predictor), error_rate=0)
    with pytest.raises(MetaecgError, match="choose a learner that does not adapt its encoder"):
        Predictor.of(learners.maml(Tiny(norm=False), way=3), None)
