"""Probes: what may distinguish classes by the embeddings of an encoder that is not trained further.

Any learner that embeds records can have its own answer replaced by a probe's (`with_probe`), so
that an encoder and the way it is read can be judged apart. A probe is a function of one few-shot
task, all of whose queries see all of the support.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from metaecg.learners.heads import embedding_learner
from metaecg.networks import closed_form
from metaecg.networks.closed_form import in_use, prototype_logits, ridge_prediction, solve, unit
from metaecg.types import Array, Learner, LibraryIndex, Task

Probe = Callable[[Task], Array]
"""One task whose records are embeddings -> logits [Q, W]."""


class Base(NamedTuple):
    """What a probe may know of the embeddings of the training part.

    Attributes:
      mean: float32 [D].
      whitening: float32 [D, D], under which records of the same statements scatter alike in all
        directions.
    """

    mean: Array
    whitening: Array


def base(embeddings: Array, index: LibraryIndex, shrinkage: float = 0.6) -> Base:
    """Mean and whitening of training embeddings, from the scatter within each label pattern.

    Args:
      embeddings: float [R, D], all records of the training part.
      index: whose they are.
      shrinkage: from 0, the scatter as it is, to 1, the same in all directions.
    """
    embeddings = np.asarray(embeddings, np.float64)
    counts = np.diff(np.asarray(index.starts))
    groups = np.split(embeddings[np.asarray(index.order)], np.asarray(index.starts)[1:-1])
    residuals = np.concatenate([group - group.mean(0) for group in groups])
    freedom = max(1, len(embeddings) - len(counts))
    scatter = residuals.T @ residuals / freedom
    size = len(scatter)
    scatter = (1 - shrinkage) * scatter + shrinkage * np.trace(scatter) / size * np.eye(size)
    values, vectors = np.linalg.eigh(scatter)
    whitening = (vectors / np.sqrt(np.maximum(values, 1e-12))) @ vectors.T
    return Base(jnp.asarray(embeddings.mean(0), jnp.float32), jnp.asarray(whitening, jnp.float32))


def centroid(task: Task) -> Array:
    """Nearest mean of a class, by Euclidean distance."""
    return prototype_logits(task.records[task.support], task.records[task.query], task)


def cosine(task: Task) -> Array:
    """Nearest mean of a class among vectors of unit length."""
    return 10 * centroid(task._replace(records=unit(task.records)))


def centred(probe: Probe, mean: Array | None = None) -> Probe:
    """A probe of embeddings less a mean: with `cosine`, CL2N of SimpleShot (Wang et al. 2019).

    Args:
      probe: what reads them.
      mean: [D], that of the training part; None takes that of the task's support.
    """

    def centre(task: Task) -> Array:
        around = _mean_of_support(task) if mean is None else mean
        return probe(task._replace(records=task.records - around[None]))

    return centre


def whitened(probe: Probe, base: Base) -> Probe:
    """A probe of embeddings less the training part's mean, whitened by its scatter."""
    return centred(
        lambda task: probe(task._replace(records=task.records @ base.whitening)), base.mean
    )


def ridge(task: Task, strength: float | Array = 2.0, scale: float | Array = 8.0) -> Array:
    """Regression of the labels on unit vectors, in closed form (Bertinetto et al. 2019, section 3).

    Args:
      task: the task.
      strength: the penalty; see `closed_form.ridge_prediction`.
      scale: by which the predicted labels are multiplied to be logits.
    """
    kernel, across, labels, real = _inner_products(task)
    return in_use(scale * ridge_prediction(kernel, across, labels, real, strength), task)


def logistic(task: Task, strength: float = 0.1, steps: int = 50) -> Array:
    """Multinomial logistic regression on unit vectors, with a quadratic penalty.

    Minimises Σ_i −log p(y_i | x_i) + λ/2 ‖W‖² over W = XᵀA. The curvature of the first term is at
    most XᵀX/2 (Böhning 1992), so that each step A ← A − (XXᵀ/2 + λI)⁻¹(P − Y + λA) lessens the
    sum: no step size to choose.

    Args:
      task: the task.
      strength: λ in units of the mean squared length of X's rows.
      steps: a fixed number.
    """
    kernel, across, labels, real = _inner_products(task)
    kernel, across = closed_form.centred(kernel, across, real)

    def step(weights: Array, _):
        probs = jax.nn.softmax(in_use(kernel @ weights, task))
        gradient = (probs - labels) * real[:, None] + strength * weights
        return weights - solve(kernel / 2, strength, gradient), None

    weights = lax.scan(step, jnp.zeros_like(labels), None, length=steps)[0]
    return in_use(across @ weights, task)


PROBES: dict[str, Callable[[Base], Probe]] = {
    "centroid": lambda base: centroid,
    "cosine": lambda base: cosine,
    "cl2n": lambda base: centred(cosine, base.mean),
    "cl2n_support": lambda base: centred(cosine),
    "ridge": lambda base: ridge,
    "logistic": lambda base: logistic,
    "whitened_cosine": lambda base: whitened(cosine, base),
    "whitened_ridge": lambda base: whitened(ridge, base),
    "whitened_logistic": lambda base: whitened(logistic, base),
}
"""By name; what they share are `ridge`'s, `logistic`'s and `base`'s defaults, which were chosen on
the validation statements of ptbxl_rare."""


def with_probe(learner: Learner, probe: Probe) -> Learner:
    """The learner's encoder under a probe; training is as it was.

    Raises:
      ValueError: the learner does not embed records by themselves.
    """
    if learner.embed is None:
        raise ValueError("a probe needs a learner that embeds records by themselves")

    def classify(params, state, tasks: Task) -> Array:
        del params, state
        return jax.nn.log_softmax(jax.vmap(probe)(tasks))

    return embedding_learner(learner.init, learner.loss, learner.embed, classify)


def _mean_of_support(task: Task) -> Array:
    real = (task.support >= 0)[:, None]
    return jnp.sum(task.records[task.support] * real, axis=0) / jnp.maximum(real.sum(), 1)


def _inner_products(task: Task) -> tuple[Array, Array, Array, Array]:
    """Of unit vectors: kernel [S, S], across [Q, S], the labels [S, W], which are real [S]."""
    real = (task.support >= 0).astype(task.records.dtype)
    records = unit(task.records)
    context, query = records[task.support], records[task.query]
    labels = task.labels[task.support] * real[:, None]
    return context @ context.T, query @ context.T, labels, real
