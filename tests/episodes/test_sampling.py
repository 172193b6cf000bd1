"""Episodes: every rule, uniform draws, and a stream that depends on (key, i) alone."""

import functools
import itertools
import re

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from metaecg import episodes
from metaecg.errors import MetaecgError
from metaecg.types import Episode, LibraryIndex


@functools.cache
def drawer(count, way, shot, query):
    """draw(key, first, index), compiled once for each shape of index."""
    sample = functools.partial(
        episodes.sample_episodes, count=count, way=way, shot=shot, query=query
    )
    return jax.jit(lambda key, first, index: sample(key, first, index=index))


def draw(index, count, way, shot, query, seed=0, first=0):
    drawn = drawer(count, way, shot, query)(jax.random.key(seed), first, index)
    return jax.tree.map(np.asarray, drawn)


def one(drawn, i):
    return jax.tree.map(lambda x: x[i], drawn)


def rules_broken(index, episode, way, shot, query):
    """The rules that an episode breaks, one record at a time."""
    labels, patients = np.asarray(index.labels), np.asarray(index.patients)
    classes = episode.classes.tolist()
    places = list(zip(episode.support, episode.support_slots))
    places += list(zip(episode.query, episode.query_slots))
    broken = set()
    for slots, each in ((episode.support_slots, shot), (episode.query_slots, query)):
        if sorted(slots.tolist()) != sorted(list(range(way)) * each):
            broken.add("every slot filled")
    if len(set(classes)) != way:
        broken.add("distinct classes")
    for row, slot in places:
        if row < 0:
            broken.add("every slot filled")
        if not labels[row, classes[slot]]:
            broken.add("own class")
        if any(labels[row, c] for s, c in enumerate(classes) if s != slot):
            broken.add("no other class")
    if len({int(row) for row, _ in places}) != len(places):
        broken.add("no record twice")
    if len({int(patients[row]) for row, _ in places}) != len(places):
        broken.add("no patient twice")
    return broken


def can_fill(index, classes, need):
    """Can each class have `need` patients, and no patient two? Hall's condition on subsets."""
    labels, patients = np.asarray(index.labels)[:, classes], np.asarray(index.patients)
    alone = labels.sum(1) == 1
    eligible = [set(patients[alone & labels[:, slot]].tolist()) for slot in range(len(classes))]
    subsets = itertools.product([False, True], repeat=len(classes))
    return all(
        len(set().union(*itertools.compress(eligible, chosen))) >= need * sum(chosen)
        for chosen in subsets
    )


def feasible_sets(index, way, need):
    sets = itertools.combinations(range(index.num_classes), way)
    return [chosen for chosen in sets if can_fill(index, list(chosen), need)]


# Seven patterns of three classes, each at least once: every index compiles to the same program.
PATTERNS = np.array(
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1], [0, 0, 0]], bool
)


@st.composite
def indices(draw):
    more = draw(st.lists(st.integers(0, 6), min_size=17, max_size=17))
    patients = draw(st.lists(st.integers(0, draw(st.integers(3, 20))), min_size=24, max_size=24))
    return LibraryIndex(PATTERNS[[*range(7), *more]], patients)


def three(*patients):
    """An index of that form: class c has one record of each of patients[c], and hardly more."""
    first = [each[0] for each in patients]
    rows = [(c, patient) for c, each in enumerate(patients) for patient in each]
    rows += [(3, first[0]), (4, first[1]), (5, first[0])]
    rows += [(6, 99)] * (24 - len(rows))
    return LibraryIndex(PATTERNS[[pattern for pattern, _ in rows]], [p for _, p in rows])


@pytest.mark.parametrize(
    ("way", "shot", "query"),
    [pytest.param(2, 2, 1, marks=pytest.mark.long), (3, 1, 1)],
)
def test_episodes_of_any_library_obey_the_rules_or_are_refused(way, shot, query):
    seen = {True: 0, False: 0}

    @hypothesis.settings(max_examples=80, deadline=None, derandomize=True, database=None)
    @hypothesis.given(indices())
    def check(index):
        sets = feasible_sets(index, way, shot + query)
        seen[bool(sets)] += 1
        if not sets:
            with pytest.raises(MetaecgError, match="eligible patients"):
                episodes.check_feasible(index, way=way, shot=shot, query=query)
            return
        episodes.check_feasible(index, way=way, shot=shot, query=query)
        drawn = draw(index, 8, way, shot, query)
        for i in range(8):
            episode = one(drawn, i)
            assert rules_broken(index, episode, way, shot, query) == set()
            assert tuple(sorted(episode.classes.tolist())) in sets
        episodes.verify(index, drawn)

    check()
    assert min(seen.values()) >= 8


def test_fault_support_and_query_share_a_record_or_a_patient(index):
    drawn = draw(index, 32, 3, 2, 2)
    patients = np.asarray(index.patients)
    for support, query in zip(drawn.support, drawn.query):
        assert len({*support.tolist(), *query.tolist()}) == 12
        assert len({*patients[support].tolist(), *patients[query].tolist()}) == 12


def test_rules_on_the_shared_library(index):
    drawn = draw(index, 32, 3, 2, 2)
    assert all(rules_broken(index, one(drawn, i), 3, 2, 2) == set() for i in range(32))
    assert drawn.classes.shape == (32, 3)
    assert drawn.support.shape == drawn.query_slots.shape == (32, 6)
    assert all(x.dtype == np.int32 for x in drawn)


def singles(*patients_of_each_class):
    """One record of each patient, each of one class; class c has the given number of them."""
    labels = np.repeat(np.eye(len(patients_of_each_class), dtype=bool), patients_of_each_class, 0)
    return LibraryIndex(labels, np.arange(len(labels)))


@pytest.mark.parametrize(
    ("patients", "used"),
    [
        (([0, 1, 2], [3, 4, 5], [6]), {0, 1, 2, 3, 4, 5}),
        (([0, 1, 2], [0, 1, 2, 3, 4, 5], [2]), {0, 1, 2, 3, 4, 5}),
    ],
    ids=["apart", "shared"],
)
def test_exactly_enough_patients_are_all_used(patients, used):
    index = three(*patients)
    drawn = draw(index, 8, 2, 2, 1)
    for i in range(8):
        episode = one(drawn, i)
        assert rules_broken(index, episode, 2, 2, 1) == set()
        assert {*np.asarray(index.patients)[[*episode.support, *episode.query]].tolist()} == used


def test_patients_shared_by_two_classes_are_not_counted_twice():
    """Each class has two patients, and they are the same two."""
    index = LibraryIndex(np.eye(2, dtype=bool)[[0, 1, 0, 1]], [0, 0, 1, 1])
    with pytest.raises(MetaecgError, match="eligible patients"):
        episodes.sample_episode(jax.random.key(0), index, way=2, shot=1, query=1)


def test_infeasible_settings_name_the_short_class_and_the_largest_shot():
    index = singles(9, 8, 4)
    key = jax.random.key(0)
    with pytest.raises(MetaecgError, match=r"class 2 has 4; the largest feasible shot is 1$"):
        episodes.sample_episode(key, index, way=3, shot=3, query=3)
    with pytest.raises(MetaecgError, match=r"class 2 has 4; no shot is feasible"):
        episodes.sample_episodes(key, 0, 4, index, way=3, shot=1, query=4)
    with pytest.raises(MetaecgError, match=r"class 1 has 8; the largest feasible shot is 5$"):
        episodes.check_feasible(index, way=2, shot=6, query=3)
    with pytest.raises(MetaecgError, match=r"4-way episodes need 4 classes; the index has 3"):
        episodes.check_feasible(index, way=4, shot=1, query=1)
    episodes.check_feasible(index, way=3, shot=1, query=3)
    episodes.check_feasible(index, way=2, shot=5, query=3)


@pytest.mark.parametrize(("way", "shot", "query"), [(1, 1, 1), (2, 0, 1), (2, 1, 0)])
def test_episodes_of_nothing_are_refused(way, shot, query):
    with pytest.raises(MetaecgError, match=f"{way}-way, {shot}-shot, {query} queries"):
        episodes.check_feasible(singles(4, 4), way=way, shot=shot, query=query)


def test_the_one_feasible_class_set_among_many_is_found():
    """Five of thirty classes have the patients: one class set in 142,506."""
    sizes = [1] * 30
    for able in (3, 11, 17, 20, 28):
        sizes[able] = 4
    episodes.check_feasible(singles(*sizes), way=5, shot=2, query=2)
    with pytest.raises(MetaecgError, match=r"class 3 has 4; the largest feasible shot is 2"):
        episodes.check_feasible(singles(*sizes), way=5, shot=3, query=2)


def test_class_sets_that_exclude_each_other_s_records_are_never_drawn():
    """Class 1 comes with class 0 but once: 0 and 1 together cannot be told apart."""
    patterns = [0] * 4 + [3] * 4 + [2] * 4 + [1, 4, 5] + [6] * 9
    index = LibraryIndex(PATTERNS[patterns], [*range(12), 4, 12, 12, *[13] * 9])
    drawn = draw(index, 8, 2, 2, 1)
    assert {tuple(sorted(classes)) for classes in drawn.classes.tolist()} == {(0, 2), (1, 2)}


def chi_square(counts):
    counts = np.asarray(counts, float)
    return ((counts - counts.mean()) ** 2 / counts.mean()).sum()


# Upper 0.1 % points of the chi-square distribution, by degrees of freedom.
CRITICAL = {3: 16.27, 5: 20.52, 9: 27.88, 14: 36.12, 39: 72.06}


@pytest.fixture(scope="module")
def uniform():
    """2,000 episodes. Class 1 has forty patients and classes 0, 2, 3 and 4 have four.

    Class 5 has one patient: too few. It stands on one of class 0's records also, which so has
    another pattern than the other three.
    """
    labels = np.repeat(np.eye(6, dtype=bool), (4, 40, 4, 4, 4, 1), axis=0)
    labels[0, 5] = True
    return draw(LibraryIndex(labels, [*range(56), 0]), 2_000, 3, 1, 1)


def test_class_sets_are_uniform_whatever_the_numbers_of_records(uniform):
    sets = [tuple(sorted(classes)) for classes in uniform.classes.tolist()]
    counts = [sets.count(chosen) for chosen in itertools.combinations(range(5), 3)]
    assert sum(counts) == 2_000
    assert chi_square(counts) < CRITICAL[9]


def test_fault_class_slots_in_a_fixed_order(uniform):
    order = [tuple(np.argsort(classes)) for classes in uniform.classes]
    counts = [order.count(permutation) for permutation in itertools.permutations(range(3))]
    assert chi_square(counts) < CRITICAL[5]
    table = [(uniform.classes[:, slot] == c).sum() for slot in range(3) for c in range(5)]
    assert chi_square(table) < CRITICAL[14]


@pytest.mark.parametrize("part", ["support", "query"])
def test_records_and_their_order_are_uniform(uniform, part):
    rows, slots = getattr(uniform, part), getattr(uniform, f"{part}_slots")
    counts = np.bincount(rows.ravel(), minlength=57)
    assert chi_square(counts[:4]) < CRITICAL[3]
    assert chi_square(counts[4:44]) < CRITICAL[39]
    assert counts[56] == 0
    order = [tuple(s) for s in slots.tolist()]
    counts = [order.count(permutation) for permutation in itertools.permutations(range(3))]
    assert sum(counts) == 2_000
    assert chi_square(counts) < CRITICAL[5]


def test_support_and_query_orders_are_independent(uniform):
    same = (uniform.support_slots == uniform.query_slots).all(1).sum()
    assert abs(same - 2_000 / 6) < 3.3 * np.sqrt(2_000 * (1 / 6) * (5 / 6))


def test_episode_i_is_the_same_drawn_alone_or_in_a_batch(index):
    key = jax.random.key(3)
    batch = draw(index, 131, 3, 2, 2, seed=3)  # three chunks, the last one cut
    later = draw(index, 32, 3, 2, 2, seed=3, first=100)
    for part, whole in zip(later, batch):
        assert len(whole) == 131
        np.testing.assert_array_equal(part[:31], whole[100:])
    single = functools.partial(episodes.sample_episode, index=index, way=3, shot=2, query=2)
    alone = jax.jit(single)(jax.random.fold_in(key, 5))
    for part, whole in zip(alone, batch):
        np.testing.assert_array_equal(part, whole[5])
    other = draw(index, 32, 3, 2, 2, seed=4)
    assert (other.support != batch.support[:32]).any(1).all()


def test_episodes_are_the_same_on_eight_devices(index):
    mesh = jax.make_mesh((8,), ("episodes",), axis_types=(AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec("episodes"))
    sample = functools.partial(episodes.sample_episodes, count=8, way=3, shot=2, query=2)
    sharded = jax.jit(lambda key: sample(key, 0, index=index), out_shardings=sharding)
    drawn = sharded(jax.random.key(3))
    assert len(drawn.support.sharding.device_set) == 8
    for part, whole in zip(drawn, draw(index, 32, 3, 2, 2, seed=3)):
        np.testing.assert_array_equal(part, whole[:8])


def test_index_sorts_records_into_patterns():
    index = LibraryIndex(PATTERNS[[3, 0, 3, 6, 0, 0]], [5, 1, 5, 2, 1, 7])
    assert index.patterns.tolist() == [[False] * 3, [True, False, False], [True, True, False]]
    assert index.starts.tolist() == [0, 1, 4, 6]
    assert index.order.tolist() == [3, 1, 5, 4, 0, 2]  # row 4 is the second of patient 1
    assert index.heads.tolist() == [1, 2, 1]
    assert index.without.tolist() == [[3, 2, 3], [0, 1, 1], [0, 0, 0]]
    assert (index.num_records, index.num_classes) == (6, 3)


@pytest.fixture
def sound():
    """A library of six records and an episode that breaks no rule."""
    labels = np.eye(3, dtype=bool)[[0, 0, 0, 1, 1, 1, 0, 2]]
    labels[6] = [True, True, False]
    index = LibraryIndex(labels, [0, 1, 1, 2, 3, 4, 5, 6])
    episode = Episode(*map(np.array, ([0, 1], [0, 3], [0, 1], [4, 1], [1, 0])))
    episodes.verify(index, episode)
    return index, episode


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("classes", [1, 1], "classes are distinct"),
        ("support", [0, -1], "every slot is filled"),
        ("support", [1, 3], "no record twice"),
        ("support", [2, 3], "no patient twice"),
        ("query", [4, 7], "own class and no other's"),
        ("query", [4, 6], "own class and no other's"),
        ("query_slots", [0, 1], "own class and no other's"),
    ],
)
def test_verify_catches_a_broken_rule(sound, field, value, rule):
    index, episode = sound
    broken = episode._replace(**{field: np.array(value)})
    with pytest.raises(MetaecgError, match=f"^episode 0 breaks a rule: {re.escape(rule)}"):
        episodes.verify(index, broken)


def test_verify_catches_slots_of_unequal_numbers():
    index = singles(4, 4)
    rows, slots = [0, 1, 2, 4], [0, 0, 0, 1]
    uneven = Episode(*map(np.array, ([0, 1], rows, slots, [3, 5], [0, 1])))
    assert rules_broken(index, uneven, 2, 2, 1) == {"every slot filled"}
    with pytest.raises(MetaecgError, match="every slot is filled"):
        episodes.verify(index, uneven)


def test_verify_names_the_first_broken_episode_of_a_batch(sound):
    index, episode = sound
    broken = episode._replace(classes=np.array([1, 1]))
    batch = jax.tree.map(lambda *x: np.stack(x), episode, episode, broken)
    with pytest.raises(MetaecgError, match=r"^episode 2 "):
        episodes.verify(index, batch)


def test_windows_literal():
    assert episodes.windows(5, 3).tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert episodes.windows(4, 4).tolist() == [[0, 1, 2, 3]]
    assert episodes.windows(6, 2).shape == (5, 2)
    assert episodes.windows(6, 2).dtype == jnp.int32


@pytest.mark.parametrize("width", [1, 6])
def test_windows_wider_than_the_sequence_or_of_one_record_are_refused(width):
    with pytest.raises(MetaecgError, match=rf"2 to 5 of the sequence's 5 records, not {width}"):
        episodes.windows(5, width)


def test_coverage_literal():
    """Rows 0, 2 and 4 of five: all of class 0, a half of class 1; a class of no record counts 0."""
    labels = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 1, 0], [0, 1, 0]], bool)
    index = LibraryIndex(labels, np.arange(5))
    assert episodes.coverage(index, np.array([[0, 2], [2, 4]])).tolist() == [1.0, 0.5, 0.0]
