"""The index of a library: what it takes for labels and patients, and what it refuses."""

import itertools

import jax
import numpy as np
import pytest

from metaecg.errors import MetaecgError
from metaecg.types import LibraryIndex

TRUTH = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], bool)


def test_labels_are_bool_or_numbers_that_are_0_or_1():
    for labels in (TRUTH, TRUTH.tolist(), *map(TRUTH.astype, (int, np.float32, object))):
        index = LibraryIndex(labels, range(4))
        assert index.labels.dtype == bool
        assert index.labels.tolist() == TRUTH.tolist()


def test_labels_that_are_neither_0_nor_1_are_refused():
    wrong = (np.nan, -1, 0.5, 2, None, "0", "False", "", 1j)
    for one, dtype in itertools.product(wrong, (None, object)):
        labels = np.array([[1, 0], [0, one]], dtype)
        with pytest.raises(MetaecgError, match=r"^labels must be bool, or numbers .* 0 or 1: .*$"):
            LibraryIndex(labels, [0, 1])


def test_patients_are_numbered_whatever_their_ids_are():
    for patients in (
        [7, 9, 7, 8],
        np.arange(4) * 2**32 - np.array([0, 0, 2, 0]) * 2**32,
        np.array([2**63, 2**64 - 1, 2**63, 0], np.uint64),
        ["a", "b", "a", "A"],
        np.array(["p01", "p1", "p01", "p10"]),
        [1.0, 1.5, 1.0, 2.0],
        [("x", 1), ("x", 2), ("x", 1), ("y", 1)],
        ["1", 1, "1", 2],
        [b"1", "1", b"1", 1],
    ):
        index = LibraryIndex(TRUTH, patients)
        assert index.patients.dtype == np.int32
        assert index.patients.tolist() == [0, 1, 0, 2], patients


def test_patients_that_are_missing_or_not_hashable_are_refused():
    for patients in (
        [0, 1, 2, None],
        [0, 1, 2, float("nan")],
        np.array([np.nan] * 4),
        [[0], [1], [2], [3]],
        np.array(["2020-01-01", "NaT", "2020-01-02", "2020-01-03"], "datetime64[ns]"),
        np.ma.masked_array([0, 1, 2, 3], [False, True, False, False]),
    ):
        with pytest.raises(MetaecgError, match=r"^patients must be one hashable id a record, .*$"):
            LibraryIndex(TRUTH, patients)


@pytest.mark.parametrize(
    ("labels", "patients", "shapes"),
    [
        (np.zeros((3, 2), bool), np.arange(4), r"labels \(3, 2\) and patients \(4,\)"),
        (np.zeros(3, bool), np.arange(3), r"labels \(3,\) and patients \(3,\)"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(labels, patients, shapes):
    with pytest.raises(MetaecgError, match=shapes):
        LibraryIndex(labels, patients)


def test_an_index_passes_through_transformations():
    index = LibraryIndex(TRUTH, "abca")
    leaves, tree = jax.tree.flatten(index)
    again = jax.tree.unflatten(tree, leaves)
    assert again.patients.tolist() == [0, 1, 2, 0]
    assert again.without.tolist() == index.without.tolist()
    assert jax.jit(lambda index: index)(index).order.tolist() == index.order.tolist()
    assert jax.tree.map(lambda _: None, index).labels is None
