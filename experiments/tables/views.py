"""Each view of a recording alone, and all of them joined: few-shot accuracy.

    python -m experiments.tables.views --workdir=DIR --part=validation

The views are those of a run that was trained with `config.views`. Ridge regression and the nearest
centroid read them, in episodes of five queries a class that use records evenly. Choose by the
validation part; the test part is for the end. `--beside` names runs of other seeds: a row has the
views of all these runs, joined.
"""

import time

import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.runs import build, command_line, models, trained
from experiments.tables import measure
from experiments.tables.learners import TableLearner
from metaecg import evaluate
from metaecg.data import protocols
from metaecg.errors import MetaecgError
from metaecg.learners import probes
from metaecg.networks.views import view_names

FLAGS = flags.FLAGS
QUERY = 5


def pieces(run: trained.Trained, joined: np.ndarray) -> dict[str, np.ndarray]:
    """Embeddings [R, D] by view, as they are joined: each of the length of its weight."""
    names = view_names(run.config.views)
    fitted = run.variables.state["fitted"]
    sizes = [len(fitted[f"whitenings_{name}"]["mean"]) for name in names]
    return dict(zip(names, np.split(joined, np.cumsum(sizes)[:-1], axis=1)))


def embedded(run: trained.Trained, part: build.Part) -> np.ndarray:
    """The joined views of a part's records by a run: float32 [R, D]."""
    return np.asarray(evaluate.embed(run.learner, run.variables, part.data, batch=64))


def main(_) -> None:
    if not FLAGS.workdir:
        raise MetaecgError("--workdir is needed: the folder of a run with config.views")
    runs = {folder: trained.load(folder) for folder in (FLAGS.workdir, *FLAGS.beside)}
    for folder, each in runs.items():
        if not each.config.views:
            raise MetaecgError(f"{folder}: that run has one encoder and no views")
    run = runs[FLAGS.workdir]
    ways = command_line.counts("ways", FLAGS.ways, least=2)
    shots = command_line.counts("shots", FLAGS.shots)
    library = models.open_alike(run, FLAGS.library)
    protocol = protocols.load(FLAGS.protocol or run.config.protocol)
    split = protocols.split(library, protocol, FLAGS.part)
    for folder, each in runs.items():
        for remark in trained.check_unseen(
            each, library, [split], name=folder, remedy="measure it on others"
        ):
            print(remark)
    part = build.part(library, protocol, FLAGS.part)
    began = time.perf_counter()
    joined = embedded(run, part)
    seconds = (time.perf_counter() - began) / len(joined)
    learner, variables = run.learner, run.variables
    rows = {"all, joined": TableLearner(learner, variables, jnp.asarray(joined))}
    centroid = probes.with_probe(learner, probes.cosine)
    rows["all, joined, nearest centroid"] = rows["all, joined"]._replace(learner=centroid)
    if FLAGS.beside:
        every = [joined, *(embedded(runs[folder], part) for folder in FLAGS.beside)]
        long = np.concatenate(every, axis=1) / np.float32(np.sqrt(len(every)))
        name = f"all, of {len(every)} runs, joined"
        rows[name] = TableLearner(learner, variables, jnp.asarray(long))
    for name, alone in pieces(run, joined).items():
        rows[name] = TableLearner(learner, variables, jnp.asarray(alone))
    kind = {"query": QUERY, "episodes": FLAGS.episodes, "seed": FLAGS.seed}
    found = []
    for way in ways:
        found += measure.by_shot(rows, "all, joined", part, shots, way=way, **kind)
    about = {"protocol": protocol.name, "part": FLAGS.part, "seconds_a_recording": seconds}
    measure.finish(found, FLAGS.output, **about)
    print(f"{1000 * seconds:.1f} ms a recording to embed, in batches, compilation included")


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "folder of a run with config.views")
    flags.DEFINE_list("beside", [], "folders of runs of other seeds, joined to it in a row")
    flags.DEFINE_string("library", None, "where the run's library is now, if it has moved")
    flags.DEFINE_string("protocol", None, "name or .json file of a protocol; the run's own if none")
    flags.DEFINE_enum("part", "validation", ["validation", "test"], "whose classes are asked")
    flags.DEFINE_list("ways", ["5"], "classes of an episode")
    flags.DEFINE_list("shots", ["1", "5", "10"], "examples a class")
    flags.DEFINE_integer("episodes", 600, "of each kind", lower_bound=2)
    flags.DEFINE_integer("seed", 0, "of the episodes")
    flags.DEFINE_string("output", None, "JSON file of the measurements")
    command_line.run(main)
