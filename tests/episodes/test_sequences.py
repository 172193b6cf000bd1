"""Every record is visited, soon, by sequences that obey the rules of an episode."""

import numpy as np
import pytest

from metaecg.episodes import sequences
from metaecg.errors import MetaecgError
from metaecg.types import LibraryIndex

WAY, PER_CLASS = 3, 4


def long_tailed(seed=0):
    """Eight classes of 400 down to 12 records; some carry two; patients return."""
    rng = np.random.default_rng(seed)
    sizes = [400, 250, 150, 90, 60, 40, 20, 12]
    labels = np.repeat(np.eye(8, dtype=bool), sizes, axis=0)
    second = rng.integers(0, 8, len(labels))
    labels[np.arange(len(labels)), second] |= rng.random(len(labels)) < 0.1
    return LibraryIndex(labels=labels, patients=rng.permutation(len(labels)) // 2)


@pytest.fixture(scope="module")
def dealt():
    index = long_tailed()
    return index, sequences.epoch(index, way=WAY, per_class=PER_CLASS, seed=0)


def test_every_record_is_visited_and_the_curve_ends_at_one(dealt):
    index, epoch = dealt
    assert np.array_equal(np.unique(epoch.rows), np.arange(index.num_records))
    curve = sequences.coverage_curve(index, epoch)
    assert curve[0] == pytest.approx(WAY * PER_CLASS / index.num_records)
    assert curve[-1] == 1
    assert np.all(np.diff(curve) >= 0)


def test_records_and_patients_stand_once_in_a_sequence(dealt):
    index, epoch = dealt
    for rows in epoch.rows:
        assert len(set(rows)) == WAY * PER_CLASS
        assert len(set(np.asarray(index.patients)[rows])) == WAY * PER_CLASS


def test_records_carry_the_class_of_their_slot_and_no_other_of_the_sequence(dealt):
    index, epoch = dealt
    for classes, rows, slots in zip(*epoch):
        carried = np.asarray(index.labels)[rows][:, classes]
        assert np.array_equal(carried, np.eye(WAY, dtype=bool)[slots])
        assert np.array_equal(np.bincount(slots), [PER_CLASS] * WAY)


def test_the_epoch_is_no_longer_than_the_largest_deck_asks_for(dealt):
    """⌈n/k⌉ rounds of N/M sequences, n the records whose rarest class is the commonest one."""
    index, epoch = dealt
    labels = np.asarray(index.labels)
    home = np.where(labels, labels.sum(0), 10_000).argmin(1)
    rounds = -(-np.bincount(home).max() // PER_CLASS)
    assert len(epoch.rows) <= 1.1 * rounds * 8 / WAY + 8


def test_rare_classes_come_as_often_as_common_ones(dealt):
    _, epoch = dealt
    turns = np.bincount(epoch.classes.reshape(-1), minlength=8)
    assert turns.min() >= 0.9 * turns.max()


def test_a_longer_stream_begins_with_a_shorter_one():
    index = long_tailed()
    options = {"way": WAY, "per_class": PER_CLASS, "seed": 3}
    short = sequences.stream(index, 50, **options)
    long = sequences.stream(index, 700, **options)
    assert long.rows.shape == (700, WAY * PER_CLASS)
    for a, b in zip(short, long):
        assert np.array_equal(a, b[:50])


def test_sequences_that_cannot_be_dealt_are_refused():
    labels = np.repeat(np.eye(3, dtype=bool), 5, axis=0)
    index = LibraryIndex(labels=labels, patients=np.arange(15))
    with pytest.raises(MetaecgError, match="lower `way` or the records per class"):
        sequences.epoch(index, way=2, per_class=6, seed=0)
    with pytest.raises(MetaecgError, match="4 classes from an index of 3"):
        sequences.epoch(index, way=4, per_class=1, seed=0)
