"""Every class set that can be filled, and every filling of it, is equally likely.

Small libraries, all of whose episodes are listed one by one and counted among many draws.
"""

import collections
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from metaecg import episodes
from metaecg.episodes import slot_filling
from metaecg.types import LibraryIndex


def library(*records):
    """An index of records such as "ab 3": of patient 3, carrying classes a and b."""
    labels = [[letter in record.split()[0] for letter in "abcdef"] for record in records]
    carried = np.array(labels)
    return LibraryIndex(carried[:, carried.any(0)], [record.split()[1] for record in records])


def of(letter, *patients):
    return [f"{letter} {patient}" for patient in patients]


def fillings(index, classes, need):
    """All ways to give each class `need` records by the rules: tuples of sorted tuples of rows."""
    labels, patients = np.asarray(index.labels)[:, classes], np.asarray(index.patients)
    alone = labels.sum(1) == 1
    choices = [
        itertools.combinations(np.flatnonzero(alone & column).tolist(), need) for column in labels.T
    ]
    return [
        rows
        for rows in itertools.product(*map(list, choices))
        if len({*patients[np.concatenate(rows)].tolist()}) == need * len(classes)
    ]


def splits(rows, shot):
    """All ways to make `shot` of a slot's rows its examples."""
    for support in itertools.combinations(rows, shot):
        yield support, tuple(row for row in rows if row not in support)


def all_episodes(index, way, shot, query):
    """{class set: {its episodes, each the support and query of every class}}"""
    found = {}
    for classes in itertools.combinations(range(index.num_classes), way):
        each = fillings(index, list(classes), shot + query)
        if each:
            found[classes] = {
                split
                for rows in each
                for split in itertools.product(*(splits(slot, shot) for slot in rows))
            }
    return found


def drawn_episodes(index, count, way, shot, query):
    """[(class set, its support and query of every class)], as `all_episodes` has them."""
    sample = functools.partial(episodes.sample_episodes, way=way, shot=shot, query=query)
    drawn = jax.jit(lambda key: sample(key, 0, count, index))(jax.random.key(1))
    drawn = jax.tree.map(np.asarray, drawn)
    episodes.verify(index, drawn)
    found = []
    for classes, support, support_slots, query_rows, query_slots in zip(*drawn):
        order = np.argsort(classes)
        found.append(
            (
                tuple(classes[order].tolist()),
                tuple(
                    (
                        tuple(sorted(support[support_slots == slot].tolist())),
                        tuple(sorted(query_rows[query_slots == slot].tolist())),
                    )
                    for slot in order
                ),
            )
        )
    return found


def assert_uniform(seen, cells):
    """Chi-square at .0001; cells that are expected fewer than five times would not follow it."""
    counts = collections.Counter(seen)
    assert set(counts) <= set(cells)
    expected = len(seen) / len(cells)
    assert expected >= 5
    distance = sum((counts[cell] - expected) ** 2 for cell in cells) / expected
    assert distance <= stats.chi2.isf(1e-4, max(1, len(cells) - 1))


LIBRARIES = {
    # Two patients of class a are two of the four of class b: this pair has but one filling.
    "a hard pair": library(
        *of("a", 0, 1), *of("b", 0, 1, 2, 3), *of("c", 4, 5, 6), *of("d", 7, 8, 9)
    ),
    "each patient in two classes": library(
        *of("a", 0, 1, 2), *of("b", 2, 3, 4), *of("c", 4, 5, 0), *of("d", 1, 3, 5)
    ),
    "patients with many records": library(
        *of("a", 0, 0, 0, 0, 1, 2), *of("b", 0, 3, 3, 4), *of("c", 3, 4, 5, 5, 5)
    ),
    "records of several classes": library(
        *of("a", 0, 1, 2), *of("ab", 3, 3, 4), *of("b", 5, 0, 6), *of("bc", 5, 7), *of("c", 8, 1, 3)
    ),
    # Three patients are all there are: a has 0 and 1, or b has them, or they have one each.
    "exactly enough patients": library(*of("a", 0, 1, 2, 3), *of("b", 0, 1, 2, 2, 3), *of("c", 9)),
    "a class set without a filling": library(
        *of("a", 0, 1), *of("b", 0, 1), *of("c", 0, 1, 2, 3), *of("d", 2, 3, 4)
    ),
}


@pytest.mark.long
@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize("name", LIBRARIES)
def test_all_episodes_of_a_class_set_and_all_class_sets_are_equally_likely(name):
    index = LIBRARIES[name]
    whole = all_episodes(index, 2, 1, 1)
    seen = drawn_episodes(index, 8_000, 2, 1, 1)
    assert_uniform([classes for classes, _ in seen], whole)
    for chosen, cells in whole.items():
        assert_uniform([each for classes, each in seen if classes == chosen], cells)


@pytest.mark.long
@pytest.mark.usefixtures("optimised")
def test_three_slots_of_unequal_examples_are_equally_likely():
    index = library(*of("a", 0, 1, 2, 3), *of("b", 2, 3, 4, 4, 5), *of("c", 0, 5, 6, 7, 8))
    whole = all_episodes(index, 3, 2, 1)
    seen = drawn_episodes(index, 6_000, 3, 2, 1)
    assert_uniform([each for _, each in seen], whole[0, 1, 2])


def searched(index, classes, need, count):
    """int [count, way, need]: fillings that are searched for and exchanged, never drawn at once."""
    classes = np.array(classes)

    def one(key):
        search_key, exchange_key = jax.random.split(key)
        heads = slot_filling.eligible_records(index, classes, index.heads)
        eligible = slot_filling.eligible_records(index, classes, jnp.diff(index.starts))
        rows = jnp.zeros((len(classes), need), jnp.int32)
        rows = slot_filling._search(search_key, index, heads, rows)
        return slot_filling._exchange(exchange_key, index, eligible, rows)

    return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(2), count)))


CYCLE = library(*of("a", 0, 1), *of("b", 1, 2), *of("c", 2, 0))
ALIKE = library(*(f"{letter} {patient}" for letter in "abc" for patient in range(6)))


@pytest.mark.parametrize(
    ("index", "classes", "need"),
    [
        (CYCLE, (0, 1, 2), 1),
        pytest.param(ALIKE, (0, 1, 2), 2, marks=pytest.mark.long),
        *(pytest.param(i, (0, 1), 2, marks=pytest.mark.long) for i in LIBRARIES.values()),
    ],
    ids=["cycle", "alike", *LIBRARIES],
)
def test_fillings_that_are_searched_for_are_equally_likely(index, classes, need):
    cells = fillings(index, list(classes), need)
    rows = searched(index, classes, need, 1_500)
    if not cells:
        assert (rows == -1).all()
        return
    assert_uniform([tuple(tuple(sorted(slot)) for slot in each) for each in rows.tolist()], cells)


# Patients of five slots that leave them but one way to be filled, by five patients each.
NESTED = [range(5 * (slot + 1)) for slot in range(5)]
CHAIN = [range(5), *(range(5 * slot, 5 * (slot + 2)) for slot in range(4))]


@pytest.mark.parametrize("slots", [NESTED, CHAIN], ids=["nested", "chain"])
def test_the_only_filling_is_found(slots):
    index = library(*(row for letter, each in zip("abcde", slots) for row in of(letter, *each)))
    drawn = jax.jit(lambda key: episodes.sample_episode(key, index, way=5, shot=3, query=2))
    episode = jax.tree.map(np.asarray, drawn(jax.random.key(0)))
    episodes.verify(index, episode)
    patients = np.asarray(index.patients)[[*episode.support, *episode.query]]
    assert sorted(patients.tolist()) == list(range(25))


@pytest.mark.long
def test_a_class_set_one_patient_short_is_never_drawn():
    """The five classes of a chain but for one patient, beside a class that has what they lack."""
    slots = [*CHAIN, range(100, 105)]
    records = [row for letter, each in zip("abcdef", slots) for row in of(letter, *each)]
    index = library(*(row for row in records if row != "e 24"))
    drawn = drawn_episodes(index, 40, 5, 3, 2)
    sets = {classes for classes, _ in drawn}
    assert (0, 1, 2, 3, 4) not in sets
    assert len(sets) > 1


def test_patients_with_thousands_of_records_hide_nobody():
    """Class a: one patient has 5,000 records, and three patients one each; all four are needed."""
    index = library(*of("a", *[0] * 5000, 1, 2, 3), *of("b", *range(2, 9)))
    drawn = drawn_episodes(index, 20, 2, 2, 2)
    patients = np.asarray(index.patients)
    for _, ((support, query), _) in drawn:
        assert {*patients[[*support, *query]].tolist()} == {0, 1, 2, 3}


def test_support_and_query_hold_patients_with_many_records_equally_often():
    """Ten of forty patients have eight records each: whose are drawn more often, alike in both."""
    people = [f"{letter} {letter}{p}" for letter in "abc" for p in range(40)]
    index = library(*people, *[person for person in people if person[3:] in "0123456789"] * 7)
    sample = functools.partial(episodes.sample_episodes, way=3, shot=6, query=3)
    drawn = jax.jit(lambda key: sample(key, 0, 600, index))(jax.random.key(0))
    patients = np.asarray(index.patients)
    many = np.bincount(patients)[patients] == 8
    support, query = many[np.asarray(drawn.support)], many[np.asarray(drawn.query)]
    assert 0.4 < query.mean() < 0.75
    gap = support.mean(1) - query.mean(1)
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(len(gap))
