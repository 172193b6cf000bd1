"""What a library can fill, against all of its class sets one by one."""

import itertools

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from metaecg import episodes
from metaecg.errors import MetaecgError
from metaecg.types import LibraryIndex


def largest(index, classes):
    """The most patients that each of these classes can have: Hall's condition on subsets."""
    labels, patients = np.asarray(index.labels)[:, classes], np.asarray(index.patients)
    alone = labels.sum(1) == 1
    eligible = [{*patients[alone & column].tolist()} for column in labels.T]
    subsets = itertools.chain.from_iterable(
        itertools.combinations(eligible, size) for size in range(1, len(eligible) + 1)
    )
    return min(len(set().union(*subset)) // len(subset) for subset in subsets)


@st.composite
def indices(draw):
    records, classes = draw(st.integers(1, 40)), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    labels = rng.random((records, classes)) < draw(st.sampled_from([0.2, 0.4, 0.7]))
    return LibraryIndex(labels, rng.integers(0, draw(st.integers(1, 40)), records))


@hypothesis.settings(max_examples=300, deadline=None, derandomize=True, database=None)
@hypothesis.given(indices(), st.integers(2, 4), st.integers(1, 2))
def test_largest_shots_are_those_of_all_class_sets(index, way, query):
    sets = itertools.combinations(range(index.num_classes), way)
    each = [max(0, largest(index, list(chosen)) - query) for chosen in sets]
    found = episodes.largest_shots(index, way=way, query=query)
    assert found == (min(each, default=0), max(each, default=0))
    if found.some:
        episodes.check_feasible(index, way=way, shot=found.some, query=query)
        message = f"the largest feasible shot is {found.some}$"
    elif each:
        message = "no shot is feasible: lower `way` or `query`$"
    else:
        message = f"{way}-way episodes need {way} classes; the index has {index.num_classes}$"
    with pytest.raises(MetaecgError, match=message):
        episodes.check_feasible(index, way=way, shot=found.some + 1, query=query)


def test_class_sets_too_many_to_look_at_leave_every_unknown():
    index = LibraryIndex(np.repeat(np.eye(40, dtype=bool), 4, axis=0), np.arange(160))
    assert episodes.largest_shots(index, way=10, query=1) == (None, 3)
    assert episodes.largest_shots(index, way=3, query=1) == (3, 3)


def test_the_one_class_set_that_can_be_filled_is_found_among_millions():
    """Classes 0 to 34 share three patients, and five others have patients of their own."""
    labels = np.repeat(np.eye(40, dtype=bool), 3, axis=0)
    index = LibraryIndex(labels, [*[0, 1, 2] * 35, *range(3, 18)])
    episodes.check_feasible(index, way=6, shot=2, query=1)
    with pytest.raises(MetaecgError, match="has 1; no shot is feasible: lower"):
        episodes.check_feasible(index, way=7, shot=2, query=1)


def test_thousands_of_patients_shared_by_two_classes_are_shared_out():
    index = LibraryIndex(np.eye(2, dtype=bool)[[0, 1] * 3000], np.arange(6000) // 2)
    assert episodes.largest_shots(index, way=2, query=1) == (1499, 1499)
