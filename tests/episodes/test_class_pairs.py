"""Statements that occur together as classes: which, and that episodes keep to the rules."""

import functools

import jax
import numpy as np

from metaecg import episodes
from metaecg.episodes import class_pairs
from metaecg.types import LibraryIndex

# Patients 0-3 carry A alone, 4-7 A and B, 8-11 B alone, 12-15 C, which implies D.
PATTERNS = np.repeat([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]], 4, axis=0)


def index():
    return LibraryIndex(PATTERNS, np.arange(16))


def test_pairs_are_those_seen_together_and_alone():
    assert class_pairs.pairs(index(), 4) == [(0, 1)]
    assert class_pairs.pairs(index(), 5) == []


def test_patients_are_counted_and_not_records():
    twice = LibraryIndex(np.repeat(PATTERNS, 2, axis=0), np.repeat(np.arange(16), 2))
    assert class_pairs.pairs(twice, 5) == []


def test_a_pair_is_one_class_more():
    more, names = class_pairs.with_pairs(index(), ("A", "B", "C", "D"), 4)
    assert names == ("A", "B", "C", "D", "A & B")
    np.testing.assert_array_equal(more.labels[:, :4], PATTERNS)
    np.testing.assert_array_equal(np.flatnonzero(more.labels[:, 4]), [4, 5, 6, 7])
    np.testing.assert_array_equal(more.patients, np.arange(16))


def test_an_episode_holds_no_pair_beside_its_own_classes():
    more, _ = class_pairs.with_pairs(index(), ("A", "B", "C", "D"), 4)
    sample = functools.partial(episodes.sample_episodes, way=2, shot=1, query=2)
    drawn = jax.jit(sample, static_argnums=2)(jax.random.key(0), 0, 200, more)
    drawn = jax.tree.map(np.asarray, drawn)
    episodes.verify(more, drawn)
    sets = {tuple(sorted(classes)) for classes in drawn.classes.tolist()}
    assert not {(0, 4), (1, 4)} & sets
    assert {(2, 4), (3, 4), (0, 1)} <= sets
