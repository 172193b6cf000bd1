"""One training step against PyTorch: forward, gradient and Adam, on the same shapes.

    pip install torch==2.13.0
    python -m experiments.benchmarks.training_step --encoders=small --episodes=4
    python -m experiments.benchmarks.training_step --encoders=residual --episodes=1

5-way episodes with 25 queries of 12 leads × 1000 samples, all cores to both. With four episodes a
sequence a query needs some 20 GB on the residual encoder.
"""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags
from tqdm import tqdm

from experiments.benchmarks import timing
from metaecg import learners, networks
from metaecg.episodes import tasks
from metaecg.errors import MetaecgError
from metaecg.train import updates
from metaecg.types import Array, Episode, Learner

FLAGS = flags.FLAGS
WAY, QUERY = 5, 5  # classes of an episode, queries of each


def batch(episodes: int, shot: int, samples: int, leads: int) -> tuple[np.ndarray, ...]:
    """Support [B, S, leads, samples], labels [B, S, W], query [B, Q, leads, samples], targets."""
    rng = np.random.default_rng(0)
    support = rng.normal(size=(episodes, WAY * shot, leads, samples)).astype(np.float32)
    query = rng.normal(size=(episodes, WAY * QUERY, leads, samples)).astype(np.float32)
    labels = np.broadcast_to(
        np.eye(WAY, dtype=np.float32).repeat(shot, 0), (episodes, WAY * shot, WAY)
    )
    targets = np.broadcast_to(np.arange(WAY).repeat(QUERY), (episodes, WAY * QUERY))
    return support, labels.copy(), query, targets.copy()


def prepared(learner: Learner, records: Array, way: int, shot: int):
    """The update of a learner, and its arguments: variables, optimiser, tasks and key.

    Args:
      learner: that is trained, by Adam.
      records: [B, way · shot + queries, samples, leads] of B episodes; queries go slot by slot.
      way, shot: of the episodes.
    """
    slots = jnp.arange(way).repeat(shot)
    queries = records.shape[1] - len(slots)
    asked = jnp.arange(queries) * way // queries
    episode = Episode(jnp.arange(way), slots, slots, asked, asked)
    batch = jax.vmap(lambda records: tasks.few_shot(records, episode, way))(records)
    update = updates.episodic(learner, optax.adam(1e-3))
    variables = learner.init(jax.random.key(0), batch)
    return update.apply, (variables, update.init(variables.params), batch, jax.random.key(0))


def ours(learner: Learner, given: tuple[np.ndarray, ...], shot: int):
    """Returns the step, which waits for its results, and the number of parameters."""
    support, _, query, _ = given
    records = jnp.asarray(np.concatenate([support, query], 1).swapaxes(2, 3))
    apply, (*state, batch, key) = prepared(learner, records, WAY, shot)
    # Data is an argument: what a program holds as a constant it may compute in advance.
    program = jax.jit(lambda s, t: apply(*s, t, key), donate_argnums=0)
    count = sum(x.size for x in jax.tree.leaves(state[0].params))

    def run() -> float:
        nonlocal state
        *state, metrics = program(tuple(state), batch)
        return float(metrics["loss"])

    return run, count


def cell(
    kind: str, encoder: str, shot: int, *, episodes: int, repeats: int, samples: int, leads: int
) -> dict:
    """Measures one row of the table."""
    try:
        from experiments.benchmarks import peers
    except ImportError:
        raise MetaecgError("PyTorch is compared with: pip install torch==2.13.0") from None

    length = WAY * shot + 1
    features = 384 if encoder == "residual" else 128
    # MAML takes gradients within a loop, where a convolution is a matrix product on CPU.
    options = {"conv": "matmul"} if kind == "maml" else {}
    own = networks.encoder(encoder, **options)
    theirs = peers.ENCODERS[encoder](leads)
    if kind == "snail":
        # The plain network of the paper, as the ports have it.
        learner = learners.snail(own, way=WAY, length=length, closed_form="none")
        peer = peers.Snail(theirs, features, way=WAY, length=length)
    elif kind == "protonet":
        learner, peer = learners.protonet(own), peers.ProtoNet(theirs)
    else:
        learner = learners.maml(own, way=WAY)
        peer = peers.Maml(theirs, features, way=WAY)
    given = batch(episodes, shot, samples, leads)
    run, count = ours(learner, given, shot)
    if count != peers.parameters(peer):
        raise MetaecgError(f"{count} parameters against {peers.parameters(peer)}")
    contenders = {"metaecg, s": run, "torch, records once, s": peers.step(peer, peer.once, given)}
    seconds = timing.alternate(contenders, repeats=repeats)
    if kind == "snail":
        slow = {"torch, a sequence a query, s": peers.step(peer, peer.per_query, given)}
        seconds |= timing.alternate(slow, repeats=math.ceil(repeats / 3))
    row = {"learner": kind, "encoder": encoder, "shot": shot, "parameters": f"{count:,}"}
    row |= {name: timing.spread(values) for name, values in seconds.items()}
    base, *others = (timing.spread(values)["median"] for values in seconds.values())
    names = ("ratio, records once", "ratio, a sequence a query")
    return row | {name: other / base for name, other in zip(names, others)}


def main(_) -> None:
    rows: list[dict] = []
    sizes = {"episodes": FLAGS.episodes, "samples": FLAGS.samples, "leads": 12}
    cells = list(itertools.product(FLAGS.learners, FLAGS.encoders, map(int, FLAGS.shots)))
    for row in tqdm(cells, unit="cell"):
        rows.append(cell(*row, **sizes, repeats=FLAGS.repeats))
    import torch

    facts = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    timing.report(rows, FLAGS.output, **sizes, **facts)


if __name__ == "__main__":
    flags.DEFINE_list("learners", ["snail", "protonet", "maml"], "of these three")
    flags.DEFINE_list("encoders", ["small", "residual"], "of these two")
    flags.DEFINE_list("shots", ["1", "5"], "examples of a class")
    flags.DEFINE_integer("episodes", 4, "in a step", lower_bound=1)
    flags.DEFINE_integer("samples", 1000, "of a record", lower_bound=32)
    timing.run(main, repeats=7)
