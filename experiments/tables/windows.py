"""What more windows of long recordings gain: few-shot accuracy by the mean of their embeddings.

    python -m experiments.tables.windows --library=LIBRARY --protocol=cinc2017 [--artefact=FILE]

The library's recordings are longer than the model's, at its rate and of its leads; the model is the
one that comes with the package for these leads. Each recording is read in its first window, and in
as many as it has. A window that ends in padding is none of the recording's.
"""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
from absl import flags

from experiments.runs import build, command_line, model_flags, trained
from experiments.tables import measure
from experiments.tables.learners import TableLearner
from metaecg import evaluate
from metaecg.data import protocols
from metaecg.data.library import open_library
from metaecg.diagnose import artefact
from metaecg.diagnose.model import Form
from metaecg.errors import MetaecgError

FLAGS = flags.FLAGS
QUERY = 5


def means(embeddings: np.ndarray, whole: np.ndarray) -> list[np.ndarray]:
    """Mean embeddings [R, D] of the first window, of the first two, and so on.

    Args:
      embeddings: float [R, W, D], of each window.
      whole: bool [R, W], which windows the recordings fill; the first is read in any case.
    """
    weight = whole[:, :, None].astype(np.float32)
    weight[:, 0] = 1
    total, count = (embeddings * weight).cumsum(1), weight.cumsum(1)
    return [total[:, w] / count[:, w] for w in range(embeddings.shape[1])]


def filled(windows: np.ndarray, hz: float) -> np.ndarray:
    """Which windows [R, W, samples, leads] change in their last second: bool [R, W]."""
    return (np.ptp(windows[:, :, -round(hz) :], axis=2) > 0).all(-1)


def main(_) -> None:
    command_line.need("library", "protocol")
    library = open_library(Path(FLAGS.library).expanduser())
    path = model_flags.artefact_path(FLAGS.artefact, library.leads)
    run = trained.of_artefact(artefact.read(path))
    form = run.facts["record"]
    mine = Form.of(library)
    count = library.signals.shape[1] // form["samples"]
    if (mine.hz, list(mine.leads)) != (form["hz"], form["leads"]) or count < 2:
        raise MetaecgError(
            f"--library: the model reads leads {' '.join(form['leads'])} at {form['hz']:g} Hz; "
            "make a library of them that is at least twice as long as what it reads"
        )
    protocol = protocols.load(FLAGS.protocol)
    split = protocols.split(library, protocol, "test")
    for remark in trained.check_unseen(
        run, library, [split], name=path.name, remedy="give --seen", seen=FLAGS.seen
    ):
        print(f"note: {remark}")
    part = build.part(library, protocol, "test")
    signals = np.asarray(part.data.signals)[:, : count * form["samples"]]
    windows = signals.reshape(len(signals), count, form["samples"], -1)
    embedded = np.stack(
        [
            np.asarray(
                evaluate.embed(
                    run.learner,
                    run.variables,
                    part.data._replace(signals=jnp.asarray(windows[:, w])),
                    batch=64,
                )
            )
            for w in range(count)
        ],
        axis=1,
    )
    rows = {
        f"{w} windows" if w > 1 else "the first window": TableLearner(
            run.learner, run.variables, jnp.asarray(mean)
        )
        for w, mean in enumerate(means(embedded, filled(windows, library.hz)), 1)
    }
    main_row = f"{count} windows"
    kind = {"query": QUERY, "episodes": FLAGS.episodes, "seed": FLAGS.seed}
    shots, ordered = command_line.counts("shots", FLAGS.shots), {main_row: rows[main_row], **rows}
    found = measure.by_shot(ordered, main_row, part, shots, way=FLAGS.way, **kind)
    measure.finish(found, FLAGS.output, protocol=protocol.name, model=path.name)


if __name__ == "__main__":
    flags.DEFINE_string("library", None, "The library of long recordings to measure on.")
    flags.DEFINE_string("artefact", None, "The model; the package's for these leads if left out.")
    flags.DEFINE_string("protocol", None, "The name or the .json file of a protocol.")
    flags.DEFINE_boolean("seen", False, "Asks classes that the model was trained on, too.")
    flags.DEFINE_integer("way", 4, "The classes of an episode.", lower_bound=2)
    flags.DEFINE_list("shots", ["1", "5", "10"], "The examples of a class.")
    flags.DEFINE_integer("episodes", 1000, "The episodes of each kind.", lower_bound=2)
    flags.DEFINE_integer("seed", 0, "The seed of the episodes.")
    flags.DEFINE_string("output", None, "A JSON file of the measurements.")
    command_line.run(main)
