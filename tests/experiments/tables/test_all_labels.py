"""Few examples and all labels, by a slow reference and on classes that lie apart."""

import numpy as np

from experiments.tables import all_labels
from metaecg.types import Episode


def test_every_slot_weighs_alike_whatever_its_number_of_examples():
    """Ridge regression in the space of the embeddings, with the weights written out."""
    rng = np.random.default_rng(0)
    of = np.array([0] * 9 + [1] * 2 + [2] * 4)
    records = rng.normal(size=(20, 6)) + np.eye(6)[np.append(of, [0, 1, 2, 1, 2])]
    rows, asked = np.arange(15), np.arange(15, 20)
    weight = np.diag(1 / np.array([9, 2, 4])[of] * 15 / 3)
    seen = records[rows]
    direction = np.linalg.solve(
        seen.T @ weight @ seen + 2 * np.eye(6), seen.T @ weight @ (np.eye(3)[of] - 1 / 3)
    )
    expected = (records[asked] @ direction).argmax(1)
    assert all_labels.slots(records @ records.T, asked, rows, of).tolist() == expected.tolist()


def test_all_labels_are_those_of_recordings_with_one_of_the_asked_statements():
    """Both own examples lie alike; rows from 6 on are of the other half, 10 has two statements."""
    at = np.array([0, 1, 0, 1, 1, 1, 0, 0, 1, 1, 5])
    records = np.stack([1 - at, at], axis=1).astype(float)
    labels = np.zeros((11, 3), bool)
    labels[6:8, 0] = labels[8:10, 2] = True
    labels[10, [0, 2]] = True
    episode = Episode(
        classes=np.array([[0, 2]]),
        support=np.array([[4, 5]]),
        support_slots=np.array([[0, 1]]),
        query=np.array([[0, 1, 2, 3]]),
        query_slots=np.array([[0, 1, 0, 1]]),
    )
    few, every = all_labels.accuracies(records @ records.T, np.arange(6), labels, episode)
    assert few.tolist() == [0.5], "two examples that are the same tell nothing"
    assert every.tolist() == [1.0]
