"""Fixed episodes: even use of records, orders, and leaks that leak what they say."""

import numpy as np
import pytest

from metaecg import episodes
from metaecg.episodes import evaluation_sets
from metaecg.errors import MetaecgError
from metaecg.types import LibraryIndex

SIZE = {"way": 3, "shot": 2, "query": 2}


@pytest.fixture(scope="module")
def drawn(index):
    return evaluation_sets.balanced(index, 0, 60, **SIZE)


def rows_of(drawn):
    return np.concatenate([drawn.support, drawn.query], axis=1)


def test_balanced_episodes_obey_the_rules_and_are_a_function_of_the_seed(index, drawn):
    episodes.verify(index, drawn)
    assert drawn.support.shape == drawn.query.shape == (60, 6)
    again = evaluation_sets.balanced(index, 0, 20, **SIZE)
    for short, long in zip(again, drawn):
        np.testing.assert_array_equal(short, long[:20])
        assert long.dtype == np.int32
    other = evaluation_sets.balanced(index, 1, 20, **SIZE)
    assert (other.support != again.support).any()


def test_a_class_s_records_are_used_evenly():
    """Forty patients of one record each in four classes: 12 records an episode, 50 episodes."""
    index = LibraryIndex(np.repeat(np.eye(4, dtype=bool), 10, axis=0), np.arange(40))
    uses = np.bincount(
        rows_of(evaluation_sets.balanced(index, 0, 50, **SIZE)).ravel(), minlength=40
    )
    by_class = uses.reshape(4, 10)
    assert uses.sum() == 600
    assert (by_class.max(1) - by_class.min(1) <= 1).all()


def test_class_sets_are_uniform_even_if_the_least_used_records_do_not_fit():
    """Classes 0 and 1 share two of their three patients, and need two each."""
    labels = np.repeat(np.eye(3, dtype=bool), [3, 3, 4], axis=0)
    index = LibraryIndex(labels, [0, 1, 2, 0, 1, 5, 6, 7, 8, 9])
    drawn = evaluation_sets.balanced(index, 0, 900, way=2, shot=1, query=1)
    sets = np.sort(drawn.classes, axis=1)
    counts = [(sets == pair).all(1).sum() for pair in ([0, 1], [0, 2], [1, 2])]
    assert np.abs(np.array(counts) - 300).max() < 4 * np.sqrt(900 * (1 / 3) * (2 / 3))
    episodes.verify(index, evaluation_sets.redrawn(index, drawn, None, 0))
    with pytest.raises(MetaecgError, match="cannot be filled from this index"):
        evaluation_sets.redrawn(index, drawn._replace(classes=drawn.classes * 0), None, 0)


def test_all_classes_stand_in_all_slots_and_roles_are_mixed(drawn):
    for slot in range(3):
        assert len(set(drawn.classes[:, slot])) == 6
    shared = np.intersect1d(drawn.support, drawn.query)
    assert len(shared) > 30
    assert len(set(drawn.support_slots[:, 0])) == len(set(drawn.query_slots[:, 0])) == 3


def test_what_cannot_be_drawn_is_refused(index):
    with pytest.raises(MetaecgError, match="largest feasible shot"):
        evaluation_sets.balanced(index, 0, 5, way=3, shot=200, query=2)
    named = [f"statement {c}" for c in range(index.num_classes)]
    with pytest.raises(MetaecgError, match=r"at best class statement [0-5] has "):
        evaluation_sets.balanced(index, 0, 5, way=3, shot=200, query=2, names=named)


def test_reordered_support_keeps_its_slots(drawn):
    turned = evaluation_sets.reordered(drawn, 3)
    assert (turned.support != drawn.support).any(1).mean() > 0.9
    for e in range(60):
        before = dict(zip(drawn.support[e].tolist(), drawn.support_slots[e].tolist()))
        after = dict(zip(turned.support[e].tolist(), turned.support_slots[e].tolist()))
        assert before == after
    np.testing.assert_array_equal(turned.query, drawn.query)


def test_leaky_episodes_keep_classes_and_labels(index, drawn):
    labels = np.asarray(index.labels)
    for leak in (None, *evaluation_sets.LEAKS):
        spoiled = evaluation_sets.redrawn(index, drawn, leak, 0)
        np.testing.assert_array_equal(spoiled.classes, drawn.classes)
        rows, slots = rows_of(spoiled), np.concatenate([drawn.support_slots, drawn.query_slots], 1)
        carried = np.take_along_axis(labels[rows], drawn.classes[:, None, :], axis=2)
        np.testing.assert_array_equal(carried, slots[..., None] == np.arange(3))


def test_each_leak_is_the_one_it_is_called(index, drawn):
    patients = np.asarray(index.patients)

    def repeats(values):
        return sum(len(set(row)) < len(row) for row in values.tolist())

    clean = evaluation_sets.redrawn(index, drawn, None, 0)
    episodes.verify(index, clean)
    assert (clean.query != drawn.query).any(1).mean() > 0.9
    records, people = (
        evaluation_sets.redrawn(index, drawn, leak, 0) for leak in evaluation_sets.LEAKS
    )
    assert repeats(rows_of(records)) > 5
    assert repeats(rows_of(people)) == 0
    assert repeats(patients[rows_of(people)]) > 5
    assert repeats(patients[rows_of(drawn)]) == 0
    with pytest.raises(MetaecgError, match="one of records, patients, not 'labels'"):
        evaluation_sets.redrawn(index, drawn, "labels", 0)
