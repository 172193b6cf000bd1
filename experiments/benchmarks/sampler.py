"""Episodes a second, all clinical rules on, against Python samplers that obey none of them.

    python -m experiments.benchmarks.sampler --library=libraries/ptbxl

The index is that of the training part; the million records carry its label sets, drawn with
replacement, two or three to a patient. The peers see one label a record and know no patients:
`TaskSampler` of easyfsl if it is installed (`pip install easyfsl`, with torch), and the same in
plain Python.
"""

import random
from collections.abc import Callable, Sequence

import jax
import numpy as np
from absl import flags

from experiments import cli
from experiments.benchmarks import timing
from metaecg import episodes
from metaecg.data import protocols
from metaecg.data.library import open_library
from metaecg.errors import MetaecgError
from metaecg.types import LibraryIndex

FLAGS = flags.FLAGS
WAY, QUERY = 5, 5


def ours(index: LibraryIndex, shot: int, batch: int) -> Callable[[], object]:
    """Draws a batch on the device; another one at each call."""
    draw = jax.jit(
        lambda key, first: episodes.sample_episodes(
            key, first, batch, index, way=WAY, shot=shot, query=QUERY
        )
    )
    key, drawn = jax.random.key(0), iter(range(0, 2**30, batch))
    return lambda: jax.block_until_ready(draw(key, next(drawn)))


def plain(labels: Sequence[int], shot: int, batch: int) -> Callable[[], object]:
    """A list of rows for each class; classes and rows by `random.sample`."""
    by_class: dict[int, list[int]] = {}
    for row, label in enumerate(labels):
        by_class.setdefault(label, []).append(row)
    able = [rows for rows in by_class.values() if len(rows) >= shot + QUERY]

    def run() -> list[list[list[int]]]:
        return [
            [random.sample(rows, shot + QUERY) for rows in random.sample(able, WAY)]
            for _ in range(batch)
        ]

    return run


def easyfsl(labels: Sequence[int], shot: int, batch: int) -> Callable[[], object] | None:
    """Its TaskSampler; None where it is not installed."""
    try:
        from easyfsl.samplers import TaskSampler
    except ImportError:
        return None

    class Dataset:
        def get_labels(self) -> Sequence[int]:
            return labels

    sampler = TaskSampler(Dataset(), WAY, shot, QUERY, batch)
    return lambda: list(sampler)


def rows(
    labels: np.ndarray,
    patients: np.ndarray,
    *,
    shots: Sequence[int],
    batches: Sequence[int],
    repeats: int,
    records: str,
) -> list[dict]:
    """One row of the table a shot and batch: labels bool [R, C], patients [R]."""
    index = LibraryIndex(labels, patients)
    # The first statement of a record, of classes that can fill an episode by it.
    first = np.where(labels.any(1), labels.argmax(1), -1)
    enough = {c for c in range(labels.shape[1]) if (first == c).sum() >= max(shots) + QUERY}
    single = [c for c in first.tolist() if c in enough]
    found = []
    for shot in shots:
        for batch in batches:
            contenders = {"metaecg": ours(index, shot, batch)}
            contenders["plain Python"] = plain(single, shot, batch)
            if peer := easyfsl(single, shot, batch):
                contenders["easyfsl"] = peer
            seconds = timing.alternate(contenders, repeats=repeats)
            rates = {n: timing.spread([batch / s for s in values]) for n, values in seconds.items()}
            row = {"records": records, "shot": shot, "batch": batch}
            row |= {f"{name}, episodes/s": rate for name, rate in rates.items()}
            for name in list(rates)[1:]:
                row[f"ratio to {name}"] = rates["metaecg"]["median"] / rates[name]["median"]
            found.append(row)
    return found


def main(_) -> None:
    if not FLAGS.library:
        raise MetaecgError("--library is needed (see --help)")
    library = open_library(FLAGS.library)
    part = protocols.split(library, protocols.load(FLAGS.protocol), "train")
    sizes = {"shots": [int(s) for s in FLAGS.shots], "batches": [int(b) for b in FLAGS.batches]}
    found = rows(
        part.labels, part.patients, **sizes, repeats=FLAGS.repeats, records=f"{len(part.rows):,}"
    )
    rng = np.random.default_rng(0)
    copies = rng.integers(0, len(part.rows), FLAGS.records)
    patients = rng.integers(0, FLAGS.records * 9 // 20, FLAGS.records)
    found += rows(
        part.labels[copies], patients, **sizes, repeats=FLAGS.repeats, records=f"{FLAGS.records:,}"
    )
    timing.report(found, FLAGS.output, protocol=FLAGS.protocol)


if __name__ == "__main__":
    flags.DEFINE_string("library", None, "library made by experiments.prepare")
    flags.DEFINE_string("protocol", "ptbxl_rare", "whose training part is drawn from")
    flags.DEFINE_list("shots", ["1", "5", "10"], "examples of a class")
    flags.DEFINE_list("batches", ["16", "1024"], "episodes drawn at a time")
    flags.DEFINE_integer("records", 1_000_000, "of the large index", lower_bound=1000)
    flags.DEFINE_integer("repeats", 7, "measured batches of each", lower_bound=1)
    flags.DEFINE_string("output", None, "JSON file of the measurements")
    cli.run(main)
