"""Writes a trained run as one file that diagnoses with jax and numpy alone.

    python -m experiments.export --workdir=DIR --output=FILE.metaecg [--half] [--library=LIBRARY]

The file is read back and compared with the run before the command says that it is done.
"""

import os
from pathlib import Path

import numpy as np
from absl import flags

from experiments.runs import command_line, models
from metaecg.diagnose import artefact, calibration, fitting
from metaecg.diagnose.model import Model
from metaecg.errors import MetaecgError
from metaecg.types import Episode

FLAGS = flags.FLAGS


def export(folder: Path, output: Path, *, library: str | None = None, half: bool = False) -> str:
    """Writes and verifies an artefact; returns what to tell the user.

    Raises:
      MetaecgError: the run cannot be read or exported, or the file does not give its answers.
    """
    run, model, kept = models.load(folder, library)
    measured = {part: kept[part] for part in ("validation", "test") if part in kept}
    unfinished = output.with_name(output.name + ".part")
    provenance = {**model.provenance, "half": half, "measured": measured}
    artefact.write(
        unfinished, model._replace(provenance=provenance), run.learner, run.variables, half=half
    )
    written = artefact.read(unfinished)
    difference = _difference(model, written)
    if not difference < (0.05 if half else 1e-3):
        raise MetaecgError(
            f"{unfinished}: its probabilities differ from the run's by up to {difference:.2g}"
            + ("; export without --half" if half else "")
        )
    os.replace(unfinished, output)
    fingerprint = written.provenance["artefact"][:16]
    return (
        f"{output}: {output.stat().st_size / 1e6:.2f} MB, fingerprint {fingerprint}\n"
        f"probabilities differ from the run's by at most {difference:.1e}"
    )


def _difference(model: Model, written: Model) -> float:
    """Greatest difference of probabilities on noise of an ECG's size, 2-way 2-shot."""
    shape = (8, model.form.samples, len(model.form.leads))
    signals = np.random.default_rng(0).normal(0, 0.3, shape).astype(np.float32)
    slots = np.array([[0, 1, 0, 1]])
    rows = np.arange(8)[None]
    episode = Episode(slots[:, :2], rows[:, :4], slots, rows[:, 4:], slots)
    probs = [
        calibration.calibrated(
            fitting.over_orders(predictor, np.asarray(predictor.embed(signals)), episode, 2), 1.0
        )
        for predictor in (model.predictor, written.predictor)
    ]
    return float(np.abs(probs[0] - probs[1]).max())


@command_line.defines_flags
def define_flags() -> None:
    flags.DEFINE_string("workdir", None, "folder of a trained run")
    flags.DEFINE_string("output", None, "file to write, such as diagnoser.metaecg")
    flags.DEFINE_string("library", None, "library to calibrate on, if the run's own has moved")
    flags.DEFINE_bool("half", False, "store parameters in 16 bits: half the size")


def main(_) -> None:
    if FLAGS.workdir is None or FLAGS.output is None:
        raise MetaecgError("--workdir and --output are needed (see --help)")
    folder, output = (Path(f).expanduser() for f in (FLAGS.workdir, FLAGS.output))
    if output.is_dir() or not output.parent.is_dir():
        raise MetaecgError(f"--output={output}: name a file in a folder that exists")
    print(export(folder, output, library=FLAGS.library, half=FLAGS.half))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
