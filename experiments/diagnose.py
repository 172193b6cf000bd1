"""Diagnoses recordings from a few labelled examples of each candidate diagnosis.

    python -m experiments.diagnose --support=FOLDER|FILE.csv --query=FILE [--query=FOLDER …]
        [--workdir=DIR|--artefact=FILE] [--output=out.json] [--report=out.html]

The support is a folder with one sub-folder of recordings for each diagnosis, or a CSV file with the
columns path and label. Without --workdir and --artefact, the diagnoser that comes with the package
is used. What a file does not say is asked for: --hz, --units, --leads.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from experiments.runs import command_line
from metaecg.data.readers.given_by_user import FASTEST, SLOWEST, UNITS, Given
from metaecg.errors import MetaecgError

if TYPE_CHECKING:
    from metaecg.diagnose.model import Model

# What needs jax is imported where it is first used: --help shall not take a second.
FLAGS = flags.FLAGS


def load(workdir: str | None, file: str | None, library: str | None = None) -> "Model":
    """Loads a trained run, an artefact, or the artefact that comes with the package.

    Raises:
      MetaecgError: both are named, or none is and none comes with the package.
    """
    if workdir and file:
        raise MetaecgError("--workdir and --artefact are both given; name one of them")
    if workdir:
        from experiments.runs import models  # checkpoints take seconds to import

        return models.load(Path(workdir).expanduser(), library).model
    from metaecg.diagnose import artefact

    return artefact.read(Path(file).expanduser()) if file else artefact.shipped()


def given() -> Given:
    """What the flags say of files that do not say it themselves.

    Raises:
      MetaecgError: a flag is of no ECG.
    """
    if FLAGS.units is not None and FLAGS.units.lower() not in map(str.lower, UNITS):
        raise MetaecgError(f"--units={FLAGS.units}: choose one of {', '.join(UNITS)}")
    if FLAGS.hz is not None and not SLOWEST <= FLAGS.hz <= FASTEST:
        raise MetaecgError(
            f"--hz={FLAGS.hz:g}: an ECG has {SLOWEST} to {FASTEST} samples per second"
        )
    return Given(FLAGS.hz, FLAGS.units, tuple(FLAGS.leads) if FLAGS.leads else None)


def define_given() -> None:
    """Defines the flags that `given` reads."""
    flags.DEFINE_float("hz", None, "samples per second of files that do not say")
    flags.DEFINE_string("units", None, "mV, uV, V or nV, of files that do not say")
    flags.DEFINE_list("leads", None, "names of the leads in order, of files that do not say")


@command_line.defines_flags
def define_flags() -> None:
    flags.DEFINE_string("workdir", None, "folder of a trained run")
    flags.DEFINE_string("artefact", None, "file made by experiments.export")
    flags.DEFINE_string(
        "support", None, "labelled examples: a folder of sub-folders, or a CSV file"
    )
    flags.DEFINE_multi_string("query", [], "recording or folder of recordings; may be repeated")
    flags.DEFINE_string("output", None, "JSON file of all that was found")
    flags.DEFINE_string("report", None, "HTML page to read and print")
    define_given()
    flags.DEFINE_float("error_rate", 0.1, "rate of wrong answers and of missed diagnoses to accept")
    flags.DEFINE_string("library", None, "of --workdir: library to calibrate on, if it has moved")


def main(_) -> int:
    if FLAGS.support is None or not FLAGS.query:
        raise MetaecgError("--support and --query are needed (see --help)")
    if not 0 < FLAGS.error_rate < 1:
        raise MetaecgError(f"--error_rate={FLAGS.error_rate:g}: must be between 0 and 1")
    from metaecg.diagnose import answers

    unsaid = given()
    model = load(FLAGS.workdir, FLAGS.artefact, FLAGS.library)
    support = Path(FLAGS.support).expanduser()
    found = answers.answer(model, support, FLAGS.query, unsaid, FLAGS.error_rate)
    print(answers.as_text(found))
    if FLAGS.output:
        content = answers.as_json(found, model.provenance)
        text = json.dumps(content, indent=1, ensure_ascii=False)
        Path(FLAGS.output).expanduser().write_text(text, encoding="utf-8")
    if FLAGS.report:
        from metaecg.figures import report  # so does matplotlib

        page = report.diagnosis_page(found, model)
        Path(FLAGS.report).expanduser().write_text(page, encoding="utf-8")
    for failure in found.failed:
        print(f"error: {failure['error']}", file=sys.stderr)
    return 1 if found.failed else 0


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
