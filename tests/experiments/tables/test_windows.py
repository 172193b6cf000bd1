"""Embeddings of long recordings, averaged over the windows that they fill."""

import numpy as np

from experiments.tables.windows import filled, means


def test_means_are_of_the_windows_that_are_filled_and_of_the_first_in_any_case():
    embeddings = np.array([[[1.0], [3.0], [8.0]], [[5.0], [9.0], [1.0]]])
    whole = np.array([[True, True, True], [False, False, False]])
    first, two, three = means(embeddings, whole)
    np.testing.assert_allclose(first, [[1], [5]])
    np.testing.assert_allclose(two, [[2], [5]])
    np.testing.assert_allclose(three, [[4], [5]])


def test_a_window_that_ends_in_padding_is_not_filled():
    rng = np.random.default_rng(0)
    windows = rng.integers(-9, 9, (1, 3, 100, 2))
    windows[0, 1, 80:] = 0  # a fifth of a second less than is looked at is still there
    windows[0, 2, 50:] = 0
    assert filled(windows, 20.0).tolist() == [[True, False, False]]
    assert filled(windows, 40.0).tolist() == [[True, True, False]]
