"""Losses and scores against numbers worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaecg import losses


def test_cross_entropy_literal():
    """Probabilities 3/4 and 1/3 for the right slots."""
    logits = np.log(np.array([[1.0, 3.0], [2.0, 4.0]]))
    labels = np.array([[0.0, 1.0], [1.0, 0.0]])
    expected = -(np.log(3 / 4) + np.log(1 / 3)) / 2
    np.testing.assert_allclose(losses.cross_entropy(logits, labels), expected, rtol=1e-6)


def test_cross_entropy_of_each_episode_by_itself():
    logits = jnp.zeros((4, 5, 3))
    labels = jax.nn.one_hot(jnp.zeros((4, 5), int), 3)
    np.testing.assert_allclose(losses.cross_entropy(logits, labels), [np.log(3)] * 4, rtol=1e-6)


def test_cross_entropy_and_its_gradient_are_finite_with_slots_not_in_use():
    logits = jnp.array([[1.0, 2.0, -jnp.inf], [0.0, 0.0, -jnp.inf]])
    labels = jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    value, gradient = jax.value_and_grad(losses.cross_entropy)(logits, labels)
    p = 1 / (1 + np.e)
    np.testing.assert_allclose(value, -(np.log(p) + np.log(0.5)) / 2, rtol=1e-6)
    expected = np.array([[p - 1, 1 - p, 0], [0.5, -0.5, 0]]) / 2
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


def test_cross_entropy_of_sure_and_wrong_answers_stays_finite():
    value, gradient = jax.value_and_grad(losses.cross_entropy)(
        jnp.array([[200.0, -200.0]]), jnp.array([[0.0, 1.0]])
    )
    assert float(value) == 400
    assert gradient.tolist() == [[1, -1]]


def test_binary_cross_entropy_literal():
    """Log-odds of 3/4 and 1/2; the first holds, the second does not."""
    logits, labels = jnp.array([[np.log(3.0), 0.0]]), jnp.array([[1.0, 0.0]])
    expected = -(np.log(3 / 4) + np.log(1 / 2)) / 2
    np.testing.assert_allclose(losses.binary_cross_entropy(logits, labels), expected, rtol=1e-6)


def test_binary_cross_entropy_of_large_log_odds_is_linear_and_has_gradients():
    logits, labels = jnp.array([[1000.0, -1000.0, 1000.0]]), jnp.array([[1.0, 0.0, 0.0]])
    value, gradient = jax.value_and_grad(losses.binary_cross_entropy)(logits, labels)
    np.testing.assert_allclose(value, 1000 / 3, rtol=1e-6)
    np.testing.assert_allclose(gradient, [[0, 0, 1 / 3]], atol=1e-6)


def test_accuracy_literal():
    logits = jnp.array([[[0.1, 0.9], [0.8, 0.2]], [[0.1, 0.9], [-jnp.inf, 0.2]]])
    labels = jnp.array([[[0, 1], [0, 1]], [[0, 1], [0, 1]]])
    assert losses.accuracy(logits, labels).tolist() == [0.5, 1.0]


def test_brier_literal():
    """(0.2² + 0.2²) and (0.6² + 0.6²)."""
    probs, labels = jnp.array([[0.8, 0.2], [0.6, 0.4]]), jnp.array([[1, 0], [0, 1]])
    np.testing.assert_allclose(losses.brier(probs, labels), (0.08 + 0.72) / 2, rtol=1e-6)


def slow_calibration_error(probs, labels, bins):
    total = 0.0
    for b in range(bins):
        members = []
        for p, y in zip(probs, labels):
            if b / bins < p.max() <= (b + 1) / bins:
                members.append((p.argmax() == y.argmax(), p.max()))
        if members:
            right, sure = np.mean(members, axis=0)
            total += len(members) / len(probs) * abs(right - sure)
    return total


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_calibration_error_equals_a_loop_over_bins(bins):
    rng = np.random.default_rng(0)
    probs = rng.dirichlet([0.5] * 4, size=200).astype(np.float32)
    labels = np.eye(4)[rng.integers(0, 4, 200)]
    np.testing.assert_allclose(
        losses.calibration_error(probs, labels, bins),
        slow_calibration_error(probs, labels, bins),
        rtol=1e-4,
    )


def test_calibration_error_literal():
    """Two answers of confidence 1, one of them right; bins are closed above."""
    probs = jnp.array([[1.0, 0.0], [1.0, 0.0]])
    labels = jnp.array([[1, 0], [0, 1]])
    assert float(losses.calibration_error(probs, labels)) == 0.5
