"""The diagnoser as ONNX beside the same one by jax.export: equality, latency and size.

    python -m experiments.benchmarks.onnx --library=LIBRARY [--artefact=FILE] [--output=out.json]

Recordings are spread evenly over the library. Equality is the greatest difference of an embedding's
numbers, over the largest number in it, between onnxruntime and jax.
"""

import functools
from pathlib import Path

import numpy as np
from absl import flags

from experiments import export
from experiments.benchmarks import timing
from experiments.runs import machine
from metaecg.data.library import open_library
from metaecg.diagnose import artefact, onnx_file

FLAGS = flags.FLAGS


def main(_) -> None:
    import onnxruntime

    path = Path(FLAGS.artefact).expanduser() if FLAGS.artefact else artefact.shipped_path()
    model, learner, variables = export.load(None, path)
    content, _ = export.as_onnx(model, learner, variables)
    library = open_library(Path(FLAGS.library).expanduser())
    rows = np.linspace(0, len(library.patients) - 1, FLAGS.recordings).astype(int)
    records = np.stack([library.millivolts(row) for row in rows]).astype(np.float32)
    # As recordings are diagnosed: without offsets, in whole units.
    records -= np.median(records, axis=1, keepdims=True)
    records = np.rint(records / model.form.scale).astype(np.float32) * np.float32(model.form.scale)
    embed = model.predictor.embed
    off = onnx_file.differences(embed, content, records)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = FLAGS.threads
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
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
    print(
        f"{len(records)} recordings: embeddings differ by at most {off.max():.1e} "
        f"(median {np.median(off):.1e}) of the largest number\n"
        f"ONNX {len(content) / 1e6:.2f} MB; artefact {path.stat().st_size / 1e6:.2f} MB"
        f"{', in 16 bits' if model.provenance.get('half') else ''}"
    )
    timing.report(table, FLAGS.output, difference=float(off.max()), threads=FLAGS.threads)


if __name__ == "__main__":
    flags.DEFINE_string("library", None, "library whose recordings are embedded", required=True)
    flags.DEFINE_string("artefact", None, "exported diagnoser instead of the package's")
    flags.DEFINE_integer("recordings", 100, "how many", lower_bound=1)
    flags.DEFINE_integer("threads", machine.cores(), "of onnxruntime", lower_bound=1)
    timing.run(main, repeats=30)
