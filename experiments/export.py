"""Writes a trained run as one file that diagnoses with jax and numpy alone.

    python -m experiments.export --workdir=DIR --output=FILE.metaecg [--half] [--library=LIBRARY]

The file is read back and compared with the run before the command says that it is done.
"""

import json
import os
from pathlib import Path

import numpy as np
from absl import flags

from experiments import calibrate
from experiments.runs import command_line
from metaecg.diagnose import artefact, calibration
from metaecg.errors import MetaecgError
from metaecg.types import Episode

FLAGS = flags.FLAGS


def export(folder: Path, output: Path, *, library: str | None = None, half: bool = False) -> str:
    """Writes and verifies an artefact; returns what to tell the user.

    Raises:
      MetaecgError: the run cannot be read or exported, or the file does not give its answers.
    """
    prepared = calibrate.ready(folder, library)
    kept = json.loads((folder / calibrate.FILE).read_text("utf-8"))
    measured = {part: kept[part] for part in ("validation", "test") if part in kept}
    unfinished = output.with_name(output.name + ".part")
    artefact.write(
        unfinished,
        prepared.run.learner,
        prepared.run.variables,
        prepared.calibration,
        record=prepared.record,
        provenance={**prepared.provenance, "half": half, "measured": measured},
        slots=prepared.frozen.slots,
        longest=prepared.frozen.longest,
        ordered=prepared.frozen.ordered,
        half=half,
    )
    written = artefact.read(unfinished)
    difference = _difference(prepared, written)
    if not difference < (0.05 if half else 1e-3):
        raise MetaecgError(
            f"{unfinished}: its probabilities differ from the run's by up to {difference:.2g}"
            + ("; export without --half" if half else "")
        )
    os.replace(unfinished, output)
    return (
        f"{output}: {output.stat().st_size / 1e6:.2f} MB, fingerprint {written.fingerprint[:16]}\n"
        f"probabilities differ from the run's by at most {difference:.1e}"
    )


def _difference(prepared: calibrate.Ready, written: artefact.Artefact) -> float:
    """Greatest difference of probabilities on noise of an ECG's size, 2-way 2-shot."""
    record = prepared.record
    shape = (8, record["samples"], len(record["leads"]))
    signals = np.random.default_rng(0).normal(0, 0.3, shape).astype(np.float32)
    slots = np.array([[0, 1, 0, 1]])
    rows = np.arange(8)[None]
    episode = Episode(slots[:, :2], rows[:, :4], slots, rows[:, 4:], slots)
    probs = [
        calibration.calibrated(
            calibration.over_orders(frozen, np.asarray(frozen.embed(signals)), episode, 2), 1.0
        )
        for frozen in (prepared.frozen, written.frozen)
    ]
    return float(np.abs(probs[0] - probs[1]).max())


@command_line.defines_flags
def define_flags() -> None:
    flags.DEFINE_string("workdir", None, "folder of a trained run")
    flags.DEFINE_string("output", None, "file to write, such as diagnoser.metaecg")
    flags.DEFINE_string("library", None, "library to calibrate on instead of the run's own")
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
