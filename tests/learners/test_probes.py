"""Probes against NumPy, and what they must not depend on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaecg.episodes import tasks
from metaecg.learners import probes
from metaecg.types import Episode, LibraryIndex

WAY, SHOT, QUERY, D = 3, 4, 2, 7


@pytest.fixture(scope="module")
def task():
    rng = np.random.default_rng(0)
    slots = np.repeat(np.arange(WAY), SHOT), np.repeat(np.arange(WAY), QUERY)
    rows = np.arange(WAY * (SHOT + QUERY))
    episode = Episode(np.arange(WAY), rows[:12], slots[0], rows[12:], slots[1])
    centres = rng.normal(0, 1, (WAY, D)) + 3
    records = centres[np.concatenate(slots)] + rng.normal(0, 1, (len(rows), D))
    return tasks.few_shot(jnp.asarray(records, jnp.float32), episode, WAY)


@pytest.fixture(scope="module")
def base():
    rng = np.random.default_rng(1)
    labels = np.eye(2, dtype=bool)[rng.integers(0, 2, 200)]
    scatter = np.diag(np.arange(1, D + 1.0))
    embeddings = labels @ rng.normal(0, 9, (2, D)) + rng.normal(0, 1, (200, D)) @ scatter
    return probes.base(embeddings, LibraryIndex(labels, np.arange(200)))


def prepared(task):
    """Unit vectors less the support's mean, at mean squared length 1: context, query, labels."""
    x = np.asarray(task.records, np.float64)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    context, query = x[:12] - x[:12].mean(0), x[12:] - x[:12].mean(0)
    size = np.sqrt((context**2).sum(1).mean())
    return context / size, query / size, np.asarray(task.labels[:12], np.float64)


def test_ridge_equals_the_normal_equations(task):
    context, query, labels = prepared(task)
    weights = np.linalg.solve(
        context.T @ context + 0.7 * np.eye(D), context.T @ (labels - labels.mean(0))
    )
    expected = 3 * (query @ weights + labels.mean(0))
    np.testing.assert_allclose(probes.ridge(task, strength=0.7, scale=3), expected, atol=2e-4)


def test_logistic_is_where_the_gradient_vanishes(task):
    """Against plain gradient descent in NumPy, on the weights themselves."""
    context, query, labels = prepared(task)
    weights = np.zeros((D, WAY))
    for _ in range(4000):
        scores = np.exp(context @ weights)
        probs = scores / scores.sum(1, keepdims=True)
        weights -= 0.05 * (context.T @ (probs - labels) + 0.3 * weights)
    found = probes.logistic(task, strength=0.3, steps=200)
    np.testing.assert_allclose(found, query @ weights, atol=1e-3)
    near = probes.logistic(task, strength=0.3)
    np.testing.assert_allclose(jax.nn.softmax(near), jax.nn.softmax(found), atol=5e-3)


def test_cl2n_equals_simpleshot(task):
    mean = np.arange(D) / D
    x = np.asarray(task.records) - mean
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    centres = np.stack(
        [x[:12][np.asarray(task.labels[:12])[:, w] == 1].mean(0) for w in range(WAY)]
    )
    expected = -10 * ((x[12:, None] - centres) ** 2).sum(-1)
    found = probes.centred(probes.cosine, jnp.asarray(mean, jnp.float32))(task)
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_whitening_makes_records_of_the_same_statements_scatter_alike():
    rng = np.random.default_rng(2)
    labels = np.eye(3, dtype=bool)[rng.integers(0, 3, 5000)]
    mixing = rng.normal(0, 1, (D, D))
    embeddings = (
        5 * rng.normal(0, 1, (3, D))[labels.argmax(1)] + rng.normal(0, 1, (5000, D)) @ mixing
    )
    base = probes.base(embeddings, LibraryIndex(labels, np.arange(5000)), shrinkage=0)
    white = embeddings @ np.asarray(base.whitening, np.float64)
    means = np.stack([white[labels[:, c]].mean(0) for c in range(3)])
    scatter = np.cov((white - means[labels.argmax(1)]).T)
    np.testing.assert_allclose(scatter, np.eye(D), atol=0.01)
    np.testing.assert_allclose(base.mean, embeddings.mean(0), atol=1e-4)
    same = probes.base(embeddings, LibraryIndex(labels, np.arange(5000)), shrinkage=1).whitening
    np.testing.assert_allclose(same, np.eye(D) * same[0, 0], atol=1e-5)


@pytest.mark.parametrize("name", probes.PROBES)
def test_every_probe_tells_clear_classes_apart_and_ignores_padding_and_order(name, task, base):
    probe = jax.jit(probes.PROBES[name](base))
    clear = task._replace(records=task.records + 20 * jnp.pad(task.labels, ((0, 0), (0, D - WAY))))
    said = probe(clear)
    np.testing.assert_array_equal(said.argmax(-1), task.labels[12:].argmax(-1))
    turned = clear._replace(support=clear.support[::-1])
    np.testing.assert_allclose(probe(turned), said, rtol=1e-3, atol=1e-3)
    short = clear._replace(support=clear.support[4:])
    padded = clear._replace(support=clear.support.at[:4].set(-1))
    sees = jnp.full(6, 8)
    np.testing.assert_allclose(
        probe(padded)[:, 1:], probe(short._replace(sees=sees))[:, 1:], rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("name", ["cosine", "ridge", "logistic", "cl2n_support"])
def test_the_scale_of_embeddings_does_not_matter(name, task, base):
    probe = probes.PROBES[name](base)
    larger = task._replace(records=50 * task.records)
    np.testing.assert_allclose(probe(larger), probe(task), rtol=1e-3, atol=1e-3)


def test_a_probe_needs_embeddings():
    from tiny import Tiny

    from metaecg import learners

    with pytest.raises(ValueError, match="embeds records"):
        probes.with_probe(learners.maml(Tiny(norm=False), way=3), probes.ridge)
