"""The diagnoser as ONNX beside the same one by jax.export: equality, latency and size.

    python -m experiments.benchmarks.onnx --library=LIBRARY [--artefact=FILE] [--output=out.json]

Recordings are spread evenly over the library. Equality is the greatest difference of an embedding's
numbers, over the largest number in it, between onnxruntime and jax, and that of the probabilities
of answers: five candidates of five examples each, which are drawn from the recordings.
"""

import functools
from pathlib import Path

import numpy as np
from absl import flags

from experiments import export
from experiments.benchmarks import timing
from experiments.runs import machine, model_flags
from metaecg.data.library import open_library
from metaecg.diagnose import calibration, fitting
from metaecg.diagnose.model import Model
from metaecg.types import Episode

FLAGS = flags.FLAGS


def main(_) -> None:
    import onnxruntime

    path = model_flags.artefact_path(FLAGS.artefact)
    model, learner, variables = export.load(None, path)
    content, _ = export.as_onnx(model, learner, variables)
    library = open_library(Path(FLAGS.library).expanduser())
    rows = np.linspace(0, len(library.patients) - 1, FLAGS.recordings).astype(int)
    records = np.stack([library.millivolts(row) for row in rows]).astype(np.float32)
    # As recordings are diagnosed: without offsets, in whole units.
    records -= np.median(records, axis=1, keepdims=True)
    records = np.rint(records / model.form.scale).astype(np.float32) * np.float32(model.form.scale)
    embed = model.predictor.embed
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = FLAGS.threads, 3
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    parts = np.array_split(records, -(-len(records) // 100))
    mine = np.concatenate([np.asarray(embed(part)) for part in parts])
    theirs = np.concatenate([session.run(None, {"records": part})[0] for part in parts])
    off = np.abs(theirs - mine).max(axis=1) / np.abs(mine).max(axis=1)
    answers = _answers(model, mine, theirs)
    records = records[:100]
    table = []
    for count in (1, len(records)):
        some = records[:count]
        seconds = timing.alternate(
            {
                "jax.export": functools.partial(lambda x: np.asarray(embed(x)), some),
                "onnxruntime": functools.partial(session.run, None, {"records": some}),
            },
            repeats=FLAGS.repeats,
            warm=5,
        )
        for name, each in seconds.items():
            milliseconds = timing.spread([1e3 * s for s in each])
            table.append({"by": name, "recordings": count, "ms": milliseconds})
    size = f"{len(content) / 1e6:.2f} MB; artefact {path.stat().st_size / 1e6:.2f} MB"
    print(
        f"{len(off)} recordings: embeddings differ by at most {off.max():.1e} of the largest "
        f"number (median {np.median(off):.1e}), {(off > 1e-4).sum()} of them by more than 1e-4\n"
        f"{len(answers)} answers: probabilities differ by at most {answers.max():.1e} (median "
        f"{np.median(answers):.1e}), {(answers > 1e-3).sum()} of them by more than .001\n"
        f"ONNX {size}{', in 16 bits' if model.provenance.get('half') else ''}"
    )
    timing.report(table, FLAGS.output, difference=float(off.max()), threads=FLAGS.threads)


def _answers(model: Model, mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """How far probabilities are apart, the greatest of each answer, by two sets of embeddings.

    Five candidates have five examples each; both, and which recordings are asked, are drawn.
    """
    rng, classes = np.random.default_rng(0), np.arange(5)[None]
    rows = np.stack([rng.permutation(len(mine))[:50] for _ in range(100)])
    support, query = rows[:, :25], rows[:, 25:]
    slots = np.repeat(np.tile(classes, 5), len(rows), axis=0)
    episodes = Episode(np.repeat(classes, len(rows), axis=0), support, slots, query, slots)
    temperature = model.calibration.at(5, 5).temperature
    probs = [
        calibration.calibrated(
            fitting.over_orders(model.predictor, embeddings, episodes, 1), temperature
        )
        for embeddings in (mine, theirs)
    ]
    found: np.ndarray = np.abs(probs[0] - probs[1]).max(axis=-1).reshape(-1)
    return found


if __name__ == "__main__":
    flags.DEFINE_string("library", None, "library whose recordings are embedded", required=True)
    flags.DEFINE_string("artefact", None, "exported diagnoser instead of the package's")
    flags.DEFINE_integer("recordings", 100, "how many", lower_bound=1)
    flags.DEFINE_integer("threads", machine.cores(), "of onnxruntime", lower_bound=1)
    timing.run(main, repeats=30)
