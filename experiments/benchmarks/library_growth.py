"""How the cost of a step grows with way, shot, queries, record length and library size.

    python -m experiments.benchmarks.library_growth

Each quantity is doubled several times, the others held; the exponent is the slope of log seconds
on log quantity (1: proportional). SNAIL on the `small` encoder; for the size of the library the
sampler by itself, since nothing else of a step knows of it.
"""

import functools
from collections.abc import Callable

import jax
import numpy as np
from absl import flags

from experiments.benchmarks import machine_limit, timing
from experiments.benchmarks.training_step import prepared
from metaecg import episodes, learners, networks
from metaecg.types import LibraryIndex

FLAGS = flags.FLAGS
BASE = {"way": 5, "shot": 2, "queries": 10, "samples": 500}
LEADS, EPISODES = 12, 2


def step(way: int, shot: int, queries: int, samples: int):
    """A training step of SNAIL that waits for its loss."""
    learner = learners.snail(networks.encoder("small"), way=way, length=way * shot + 1)
    records = jax.random.normal(jax.random.key(0), (EPISODES, way * shot + queries, samples, LEADS))
    apply, arguments = prepared(learner, records, way, shot)
    return machine_limit.compiled(apply, *arguments)[1]


def _with(name: str, value: int):
    return step(**{**BASE, name: value})


def sampler(records: int):
    """64 episodes from a library of 30 classes, two records a patient."""
    rng = np.random.default_rng(0)
    index = LibraryIndex(rng.random((records, 30)) < 0.08, np.arange(records) // 2)
    draw = jax.jit(lambda key: episodes.sample_episodes(key, 0, 64, index, way=5, shot=5, query=5))
    return lambda: jax.block_until_ready(draw(jax.random.key(0)))


def exponent(sizes, seconds) -> float:
    """Slope of log seconds on log size."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def main(_) -> None:
    measured: list[tuple[str, list[int], Callable[[int], Callable[[], object]]]] = [
        (name, [value * 2**n for n in range(3)], functools.partial(_with, name))
        for name, value in BASE.items()
    ]
    measured.append(("records of the library", [10_000, 40_000, 160_000, 640_000], sampler))
    rows = []
    for name, sizes, make in measured:
        seconds = timing.alternate({str(s): make(s) for s in sizes}, repeats=FLAGS.repeats)
        medians = [timing.spread(values)["median"] for values in seconds.values()]
        shown = ", ".join(f"{size:,}: {1e3 * t:.3g}" for size, t in zip(sizes, medians))
        rows.append({"quantity": name, "ms": shown, "exponent": exponent(sizes, medians)})
    timing.report(rows, FLAGS.output, base=BASE)


if __name__ == "__main__":
    timing.run(main, repeats=7)
