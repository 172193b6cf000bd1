"""The benchmark of diagnoses that are no candidate."""

import numpy as np

from experiments.benchmarks.none_of_these import area, ranked, without
from metaecg.types import Episode


def test_a_class_is_no_candidate_and_its_queries_stay():
    drawn = Episode(
        np.array([[7, 8, 9]]),
        np.array([[10, 11, 12, 13, 14, 15]]),
        np.array([[2, 0, 1, 1, 2, 0]]),
        np.array([[20, 21, 22]]),
        np.array([[1, 2, 0]]),
    )
    some = without(drawn, 1)
    assert some.classes.tolist() == [[7, 9]]
    assert some.support.tolist() == [[10, 11, 14, 15]]
    assert some.support_slots.tolist() == [[1, 0, 1, 0]]
    assert some.query.tolist() == [[20, 21, 22]]
    assert some.query_slots.tolist() == [[-1, 1, 0]]


def test_the_area_is_the_share_of_pairs_in_order():
    score, none = np.array([0.1, 0.5, 0.5, 0.9]), np.array([False, False, True, True])
    assert area(ranked(score), none, np.ones(4)) == (1 + 0.5 + 1 + 1) / 4
    assert area(ranked(score), none, np.array([0, 1, 2, 1])) == (2 * 0.5 + 1) / 3
