"""One definition of the mean over orders, which evaluate and diagnose share."""

import numpy as np

from metaecg.episodes.support_orders import mean_over_orders


def test_mean_over_orders_literal():
    """The geometric mean of these readings, .80 to .20, would give the other answer."""
    first, second = [0.0396, 0.9604], [0.9004, 0.0996]
    mean = mean_over_orders(np.array([[first], [second]]), axis=0)
    np.testing.assert_allclose(mean, [[0.47, 0.53]])
    swapped = mean_over_orders(np.array([[first, second]]), axis=1)
    np.testing.assert_allclose(swapped, mean)
