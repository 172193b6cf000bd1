"""The ranking against slow references, and questions that cannot be asked."""

import numpy as np
import pytest
from searched import HZ, embed, model, signal

from metaecg import search
from metaecg.data.readers.given_by_user import Given
from metaecg.errors import MetaecgError
from metaecg.search import probability, question, ranking, recordings
from metaecg.search.archive import Archive, evenly, principal
from metaecg.search.question import Example


def examples(count=3, hz=7, sought=True, seed=5):
    rng = np.random.default_rng(seed)
    return [Example(f"{hz} Hz {i}", sought, signal(hz, rng)) for i in range(count)]


def test_the_archives_space_has_its_shrunk_covariance_whitened():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(9000, 6)) @ np.diag([3.0, 2, 1, 1, 0.5, 0.1]) + 4
    found = Archive.of(vectors.astype(np.float32), shrinkage=1e-6)
    placed = np.concatenate([block for _, block in found.placed()])
    assert [start for start, _ in found.placed()] == [0, 4096, 8192]
    np.testing.assert_allclose(placed.T @ placed / 9000, np.eye(6) / 6, atol=1e-3)
    direction = rng.normal(size=6).astype(np.float32)
    np.testing.assert_allclose(found.along(direction), placed @ direction, atol=1e-4)
    np.testing.assert_allclose(found.lengths, np.linalg.norm(placed, axis=1), rtol=1e-6)


def test_an_unusual_recording_gains_in_proportion_to_the_spread():
    lengths = np.array([1.0, 3.0], np.float32)  # mean 2, spread 1
    along = np.array([[0.0, 0.0], [2.0, 4.0]], np.float32)  # spreads 1 and 2
    found = ranking.scores(along, lengths)
    np.testing.assert_allclose(found, [[-0.3, -0.6], [2.3, 4.6]], rtol=1e-6)
    np.testing.assert_array_equal(ranking.scores(along[:, 1], lengths), found[:, 1])
    gains = ranking.gains(along, lengths, np.array([2.0, 4.0]))
    np.testing.assert_allclose(gains, [[0, 0], [0.6, 1.2]], rtol=1e-6)
    assert ranking.scores(np.array([0.5]), np.array([7.0])) == 0.5  # an archive of one


@pytest.mark.parametrize("count", [4, 40])  # fewer and more examples than features
def test_the_direction_minimises_the_weighted_squares(count):
    rng = np.random.default_rng(count)
    placed, sought = rng.normal(size=(count, 10)), np.arange(count) < 3
    found = ranking.direction(placed, sought)
    weight = np.sqrt(ranking.weights(sought))
    rows = np.concatenate([placed * weight[:, None], np.sqrt(ranking.NOISE) * np.eye(10)])
    values = np.concatenate([np.where(sought, 1, ranking.NOT_SOUGHT) * weight, np.zeros(10)])
    np.testing.assert_allclose(found, np.linalg.lstsq(rows, values)[0], atol=1e-6)


def test_what_was_read_weighs_as_much_as_what_is_sought_at_most():
    sought = np.array([True, True] + [False] * 10)
    assert ranking.weights(sought)[sought].tolist() == [1, 1]
    assert ranking.weights(sought)[~sought].sum() == pytest.approx(2)
    assert ranking.weights(np.array([True, True, False])).tolist() == [1, 1, 1]


def test_the_directions_of_the_others_and_what_places_say():
    rng = np.random.default_rng(1)
    placed = rng.normal(size=(3, 12))
    found = ranking.without_each(placed)
    np.testing.assert_allclose(found[:, 1], ranking.direction(placed[[0, 2]], np.ones(2, bool)))
    assert ranking.without_each(placed[:1]).shape == (12, 0)
    alike, unlike = (probability.probabilities(1000, np.full(5, at)) for at in (0.001, 0.3))
    assert (np.diff(alike) < 0).all()
    assert (np.diff(unlike) < 0).all()
    assert alike[0] > 0.3 > 2 * unlike[0]
    assert alike[-1] < unlike[-1] < 0.01
    assert 0 < probability.probabilities(10, np.zeros(0))[0] < 0.5  # of a single example


def test_the_principal_directions_are_those_of_a_decomposition():
    rng = np.random.default_rng(0)
    long = rng.normal(size=(600, 40)) @ rng.normal(size=(40, 700)) + 0.1
    basis = principal(long)
    assert basis.shape == (700, 512)
    np.testing.assert_allclose(basis.T @ basis, np.eye(512), atol=1e-4)
    _, _, leading = np.linalg.svd(long, full_matrices=False)
    np.testing.assert_allclose(np.abs((leading[:41] @ basis)[:, :41]), np.eye(41), atol=1e-3)
    few = principal(long[:30])
    assert few.shape == (700, 30)
    np.testing.assert_allclose(long[:30] @ few @ few.T, long[:30], atol=1e-2)
    np.testing.assert_array_equal(principal(long[:, :512]), np.eye(512))


def test_examples_are_placed_by_the_basis_of_the_archive(known, archive):
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(archive.basis.shape[0], 30)))[0]
    short = Archive.of(archive.embeddings.astype(np.float32) @ basis, basis.astype(np.float32))
    embedded = recordings.embed(model(), known.signals(range(200)))
    placed = np.concatenate([block for _, block in short.placed()])
    np.testing.assert_allclose(short.place(embedded), placed, atol=1e-2)


def test_of_a_long_example_and_a_long_file_all_windows_count(known, archive, tmp_path):
    rng = np.random.default_rng(8)
    first, second, third = (signal(hz, rng) for hz in (7, 7, 4))
    long = Example("long", True, first, later=(second, third))
    mean = embed(np.stack([first, second, third])).mean(axis=0, keepdims=True)
    asked = question.ask(model(), archive, [long, *examples(1)], known)
    np.testing.assert_allclose(asked.placed[0], archive.place(mean)[0], atol=1e-5)
    whole = np.concatenate([first, second, third])
    rows = np.column_stack([np.arange(len(whole)) / HZ, whole])
    np.savetxt(tmp_path / "a.csv", rows, "%.4f", ",", header="time (s),I (mV),II (mV)", comments="")
    found = recordings.of_folder(tmp_path, model(), Given())[1]
    kept = embed(np.round(whole.reshape(3, -1, 2), 3)).mean(axis=0) @ found.basis
    np.testing.assert_allclose(found.embeddings[0], kept, rtol=0.02, atol=0.05)


def test_rows_are_evenly_from_the_archive():
    assert evenly(5).tolist() == [0, 1, 2, 3, 4]
    rows = evenly(1_000_000)
    assert (len(rows), rows[0], rows[-1]) == (1024, 0, 999_999)
    assert np.ptp(np.diff(rows)) <= 1


def test_the_rare_ones_come_first(opened, archive):
    rng = np.random.default_rng(6)
    positives = np.stack([signal(7, rng) for _ in range(3)])
    scores = search.rank(model(), archive, positives)
    first = np.argsort(-scores)[:20]
    assert opened.labels[first, 0].mean() > 0.9
    negatives = np.stack([signal(4, rng) for _ in range(3)])
    assert search.rank(model(), archive, positives, negatives).shape == (200,)


def test_an_answer_is_of_all_but_the_examples_and_their_copies(opened, known, archive):
    row = int(np.flatnonzero(opened.labels[:, 0])[0])
    other = int(np.flatnonzero(opened.labels[:, 0])[1])
    copy = Example("copy.csv", True, known.signals([row])[0])
    (by_id,) = question.from_ids([f"r{other}"], True, known)
    asked = question.ask(model(), archive, [copy, by_id, *examples(1)], known)
    assert dict(zip(asked.known, zip(asked.known_as, asked.copies))) == {
        row: (0, True),
        other: (1, False),
    }
    found = question.answer(archive, asked)
    assert sorted([*found.order, row, other]) == [*range(200)]
    assert (np.diff(found.scores[found.order]) <= 0).all()
    assert (np.diff(found.probabilities[found.order]) <= 1e-6).all()
    assert found.probabilities[[row, other]].tolist() == [1, 1]
    assert found.probabilities[found.order[0]] > 3 * found.probabilities[found.order[100]]
    assert set(found.nearest[found.order]) <= {0, 1, 2}


def test_each_recording_names_the_sought_example_that_it_is_nearest_to(known, archive):
    both = [*examples(1, hz=3), *examples(1, hz=7), *examples(1, hz=5, sought=False)]
    found = question.answer(archive, question.ask(model(), archive, both, known))
    spectra = np.abs(np.fft.rfft(known.signals(range(200))[..., 0], axis=1))
    assert (found.nearest[spectra.argmax(1) == 14] == 1).all()  # 7 Hz of 50 Hz in 2 s
    assert (found.nearest[spectra.argmax(1) == 6] == 0).all()


def test_questions_that_cannot_be_asked(opened, known, archive):
    for given, message in (
        ([], "no example of what is sought; give at least one"),
        (examples(sought=False), "no example of what is sought"),
    ):
        with pytest.raises(MetaecgError, match=message):
            question.ask(model(), archive, given, known)
    with pytest.raises(MetaecgError, match="record r999: no such id in the archive"):
        [*question.from_ids(["r999"], True, known)]
    one = known.signals([3])[0]
    both = [Example("a.csv", True, one), Example("b.csv", False, one)]
    with pytest.raises(MetaecgError, match=r"a.csv and b.csv are the same recording"):
        question.ask(model(), archive, both, known)
