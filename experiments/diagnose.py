"""Diagnoses recordings from a few labelled examples of each candidate diagnosis.

    python -m experiments.diagnose --support=FOLDER|FILE.csv --query=FILE [--query=FOLDER …]
        [--workdir=DIR|--artefact=FILE] [--output=out.json] [--report=out.html]

The support is a folder with one sub-folder of recordings for each diagnosis, or a CSV file with the
columns path and label. Without --workdir and --artefact, a model that comes with the package is
used, one for fewer leads where a recording or an example lacks some of the twelve. What a file does
not say is asked for: --hz, --units, --leads.
"""

import json
import sys
from pathlib import Path

from absl import flags

from experiments.runs import command_line, model_flags
from experiments.runs.model_flags import define_given, define_model, given, load

FLAGS = flags.FLAGS


@command_line.defines_flags
def define_flags() -> None:
    define_model()
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
    command_line.need("support", "query")
    model_flags.check_error_rate()
    from metaecg.diagnose import answers, few_leads  # jax takes a second to import

    asked = Path(FLAGS.support).expanduser(), FLAGS.query, given(), FLAGS.error_rate
    if FLAGS.workdir or FLAGS.artefact:
        model = load(FLAGS.workdir, FLAGS.artefact, FLAGS.library)
        found = [answers.answer(model, *asked)]
    else:
        found = answers.answer_by_leads(few_leads.suiting, *asked)
    print("\n\n".join(map(answers.as_text, found)))
    if FLAGS.output:
        content = answers.as_json(*found)
        text = json.dumps(content, indent=1, ensure_ascii=False)
        Path(FLAGS.output).expanduser().write_text(text, encoding="utf-8")
    if FLAGS.report:
        from metaecg.figures import report  # so does matplotlib

        page = report.diagnosis_page(*found)
        Path(FLAGS.report).expanduser().write_text(page, encoding="utf-8")
    failed = [failure for each in found for failure in each.failed]
    for failure in failed:
        print(f"error: {failure['error']}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
