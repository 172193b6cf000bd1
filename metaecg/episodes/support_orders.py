"""The answer of a learner of sequences that reads its support in several orders."""

import numpy as np


def mean_over_orders(probs: np.ndarray, axis: int) -> np.ndarray:
    """The arithmetic mean of the probabilities: the one definition that every command uses.

    The support of an episode has no order of its own, and each order that it is read in is as good
    as any other. The probability of a label for an order drawn at random is the mean over the
    orders of its probabilities.

    Args:
      probs: float [..., orders, ..., way], probabilities that sum to 1 over the last axis.
      axis: the axis of the orders.

    Returns:
      float, the shape of `probs` without `axis`; sums to 1 over the last axis.
    """
    return np.mean(probs, axis=axis)
