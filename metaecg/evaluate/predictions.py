"""What a learner says in fixed few-shot episodes: the episodes, embeddings and probabilities."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metaecg import episodes as episodes_lib
from metaecg.episodes import tasks as tasks_lib
from metaecg.train.batches import Data
from metaecg.types import Array, Episode, Learner, Variables


class Predictions(NamedTuple):
    """What a learner said in E episodes.

    Attributes:
      episodes: the episodes, leaves [E, ...].
      probs: float32 [E, Q, way].
    """

    episodes: Episode
    probs: np.ndarray

    @property
    def correct(self) -> np.ndarray:
        """bool [E, Q]."""
        return self.probs.argmax(-1) == self.episodes.query_slots


def draw_episodes(
    data: Data,
    key: Array,
    count: int,
    *,
    way: int,
    shot: int,
    query: int,
    names: Sequence[str] | None = None,
) -> Episode:
    """The fixed test episodes of a key, checked against every rule; leaves [count, ...].

    Args:
      data: the records to draw from.
      key, count: of the draw, and how many.
      way, shot, query: the size of an episode, as of `sample_episode`.
      names: of the classes, for the message; their columns in the index if not given.

    Raises:
      ValueError: no class set can fill an episode.
    """
    episodes_lib.check_feasible(data.index, way=way, shot=shot, query=query, names=names)
    sample = functools.partial(
        episodes_lib.sample_episodes, count=count, way=way, shot=shot, query=query
    )
    drawn = jax.tree.map(np.asarray, jax.jit(sample)(key, 0, index=data.index))
    episodes_lib.verify(data.index, drawn)
    return drawn


def embed(
    learner: Learner,
    variables: Variables,
    data: Data,
    batch: int = 256,
    *,
    rows: np.ndarray | None = None,
) -> Array:
    """Embeds records of a part once each, a batch of signals at a time: float [R, D].

    Args:
      learner, variables: the encoder is theirs.
      data: the part.
      batch: records embedded at a time.
      rows: int [R], the records; all of the part if not given.

    Raises:
      ValueError: the learner does not embed records by themselves.
    """
    embed_records = learner.embed
    if embed_records is None:
        raise ValueError("this learner does not embed records by themselves")
    rows = np.arange(data.index.num_records) if rows is None else rows
    padded = np.resize(rows, -(-len(rows) // batch) * batch).reshape(-1, batch)
    parts = [_embed(embed_records, variables, data.signals[r], data.scale) for r in padded]
    return jnp.concatenate(parts)[: len(rows)]


# Compiled once for each learner, not once for each call: a training validates many times.
@functools.partial(jax.jit, static_argnums=0)
def _embed(embed_records, variables, signals, scale):
    return embed_records(*variables, signals.astype(jnp.float32) * scale)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _answer(answer, slots, variables, records, episodes):
    tasks = jax.vmap(lambda x, episode: tasks_lib.few_shot(x, episode, slots))(records, episodes)
    return jnp.exp(answer(*variables, tasks))[..., : episodes.classes.shape[-1]]


def predict(
    learner: Learner,
    variables: Variables,
    data: Data,
    episodes: Episode,
    slots: int,
    *,
    embeddings: Array | None = None,
    batch: int = 50,
) -> Predictions:
    """A learner's answers to fixed episodes.

    Learners that embed records do so once for the whole part; the others read the signals of
    every episode.

    Args:
      slots: width of the labels the learner was built for.
      embeddings: what `embed` returned, to use it for several kinds of episodes.
      batch: episodes predicted at a time.
    """
    count = len(episodes.classes)
    if embeddings is None and learner.embed is not None:
        embeddings = embed(learner, variables, data)
    answer = learner.predict
    if embeddings is not None and learner.classify is not None:
        answer = learner.classify
    probs = []
    for at in np.resize(np.arange(count), -(-count // batch) * batch).reshape(-1, batch):
        chunk = jax.tree.map(lambda x, at=at: x[at], episodes)
        rows = np.concatenate([chunk.support, chunk.query], axis=1)
        if embeddings is None:
            records = data.signals[rows].astype(np.float32) * data.scale
        else:
            records = embeddings[rows]
        probs.append(np.asarray(_answer(answer, slots, variables, records, chunk)))
    return Predictions(episodes, np.concatenate(probs)[:count])
