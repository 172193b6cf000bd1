"""Each view of a recording alone, and all of them joined: few-shot accuracy without training.

    python -m experiments.tables.views --library=LIBRARY --protocol=ptbxl_rare

The views are fitted on the training part and read by ridge regression, in 5-way episodes of five
queries a class that use records evenly. Choose by the validation part; `--part=test` is for the
end. All of PTB-XL takes some minutes on two cores.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.benchmarks import timing
from experiments.runs import build, command_line
from metaecg import learners
from metaecg.data import protocols
from metaecg.data.library import open_library
from metaecg.episodes import evaluation_sets
from metaecg.errors import MetaecgError
from metaecg.evaluate import predictions
from metaecg.learners import whitening
from metaecg.networks.views import VIEWS, views
from metaecg.train.batches import Data
from metaecg.types import LibraryIndex, Variables

FLAGS = flags.FLAGS
WAY, QUERY = 5, 5


def main(_) -> None:
    if not FLAGS.library:
        raise MetaecgError("--library is needed: a folder that experiments.prepare made")
    shots = command_line.counts("shots", FLAGS.shots)
    library = open_library(Path(FLAGS.library).expanduser())
    protocol = protocols.load(FLAGS.protocol)
    train, asked = (protocols.split(library, protocol, part) for part in ("train", FLAGS.part))
    module = views(FLAGS.views, hz=library.hz)
    samples, leads = library.signals.shape[1:]
    learner = learners.ridge(module)
    first = jax.jit(learner.init)(
        jax.random.key(FLAGS.seed), build.example_task(samples, leads, WAY)
    )
    print("fits the views", file=sys.stderr)
    state = whitening.fit(
        module, first.state, library.signals[train.rows], train.labels, scale=library.scale
    )
    variables = Variables(first.params, state)
    data = Data(
        library.signals[asked.rows],
        jnp.float32(library.scale),
        LibraryIndex(labels=asked.labels, patients=asked.patients),
    )
    print("embeds the recordings", file=sys.stderr)
    joined = np.asarray(predictions.embed(learner, variables, data, batch=64))
    sizes = [len(state["fitted"][f"whitenings_{name}"]["mean"]) for name in module.names]
    pieces = dict(zip(module.names, np.split(joined, np.cumsum(sizes)[:-1], axis=1)))
    rows: list[dict] = [{"view": name} for name in (*pieces, FLAGS.views)]
    for shot in shots:
        episodes = evaluation_sets.balanced(
            data.index, FLAGS.seed, FLAGS.episodes, way=WAY, shot=shot, query=QUERY
        )
        for row, embeddings in zip(rows, (*pieces.values(), joined)):
            said = predictions.predict(
                learner, variables, data, episodes, WAY, embeddings=jnp.asarray(embeddings)
            )
            row[f"{shot}-shot"] = float(said.correct.mean())
    timing.report(
        rows, FLAGS.output, protocol=FLAGS.protocol, part=FLAGS.part, episodes=FLAGS.episodes
    )


if __name__ == "__main__":
    flags.DEFINE_string("library", None, "folder of a prepared library")
    flags.DEFINE_string("protocol", "ptbxl_rare", "name or .json file of a protocol")
    flags.DEFINE_enum("part", "validation", ["validation", "test"], "whose classes are asked")
    flags.DEFINE_string("views", "+".join(n for n in VIEWS if n != "raw"), "joined by '+'")
    flags.DEFINE_list("shots", ["1", "5", "10"], "examples a class")
    flags.DEFINE_integer("episodes", 600, "of each kind", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "of the kernels and the episodes")
    flags.DEFINE_string("output", None, "JSON file of the measurements")
    command_line.run(main)
