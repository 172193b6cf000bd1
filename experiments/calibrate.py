"""Measures how well a model's stated rates hold, on the test part of a protocol or another part.

    python -m experiments.calibrate --workdir=DIR [--library=LIBRARY] [--error_rate=0.1]
    python -m experiments.calibrate [--artefact=FILE] --library=LIBRARY [--protocol=PROTOCOL]
        [--refit=NEW_FILE]

A trained run is calibrated on the validation part of its protocol if it is not yet, and
WORKDIR/calibration.json keeps the calibration and what was measured. With --artefact, an exported
model is measured on an archive of one's own; with neither --workdir nor --artefact, the diagnoser
that comes with the package is. --refit fits its calibration on the validation part of that library
and protocol first, and writes the model with the new calibration to NEW_FILE. What could not be
compared with what the model was trained on is said first.
"""

from pathlib import Path
from typing import Any

from absl import flags

from experiments.runs import ancestry, command_line
from metaecg.data import protocols
from metaecg.data.library import Library, open_library
from metaecg.diagnose import artefact, fitting, measuring
from metaecg.diagnose.fitting import Plan
from metaecg.diagnose.model import Model
from metaecg.errors import MetaecgError

FLAGS = flags.FLAGS


def table(rows: list[dict[str, Any]], error_rate: float) -> str:
    """The rows as a Markdown table; a kind outside of the calibration states no rate."""
    lines = [
        "| way | shot | accuracy | ECE before | after | NLL before | after "
        f"| coverage ({1 - error_rate:.0%} stated) | least of a class | labels in the set "
        f"| answered | wrong among these (≤ {error_rate:.0%} stated) |",
        "|" + "---|" * 12,
    ]
    for row in rows:
        rates = (
            f"{row['coverage']:.3f} | {row['worst_coverage']:.3f} | {row['set_size']:.2f} "
            f"| {row['answered']:.1%} | {row['wrong_answers']:.1%}"
            if row["stated"]
            else "no rate is stated | | | |"
        )
        lines.append(
            f"| {row['way']} | {row['shot']} | {row['accuracy']:.3f} | {row['raw_ece']:.3f} "
            f"| {row['ece']:.3f} | {row['raw_nll']:.3f} | {row['nll']:.3f} | {rates} |"
        )
    return "\n".join(lines)


def unchecked(model: Model, library: Library, rules: protocols.Protocol, part: str) -> list[str]:
    """Asserts that a model may be measured on a part; returns what could not be checked.

    Raises:
      MetaecgError: the library's records have another form than the model reads, or the model or
        one that it started from was trained on classes, patients or recordings of the part.
    """
    form = model.form
    wanted = (form.hz, form.samples, list(form.leads))
    mine = (library.hz, library.signals.shape[1], list(library.leads))
    if mine != wanted:
        words = [
            f"{hz:g} Hz, {n} samples, leads {' '.join(leads)}" for hz, n, leads in (mine, wanted)
        ]
        raise MetaecgError(
            f"library: {words[0]}; the model reads {words[1]}: prepare the library alike"
        )
    return ancestry.check(
        ancestry.of_provenance(model.provenance),
        library,
        [protocols.split(library, rules, part)],
        name="the model",
        remedy="name a --protocol without them",
        seen=rules.oracle,
    )


@command_line.defines_flags
def define_flags() -> None:
    flags.DEFINE_string("workdir", None, "folder of a trained run")
    flags.DEFINE_string("artefact", None, "file made by metaecg export")
    flags.DEFINE_string("library", None, "library to measure on; of a run, its own if left out")
    flags.DEFINE_string("protocol", None, "protocol of --artefact; the model's own if left out")
    flags.DEFINE_enum("part", "test", ["test", "validation"], "part to measure on")
    flags.DEFINE_integer("episodes", 200, "episodes of each kind", lower_bound=2)
    flags.DEFINE_float("error_rate", 0.1, "stated rate of misses and of wrong answers")
    flags.DEFINE_string("refit", None, "file to write --artefact to, with a new calibration")


def main(_) -> None:
    if FLAGS.workdir is not None and FLAGS.artefact is not None:
        raise MetaecgError("name a model by --workdir or by --artefact, not by both")
    if not 0 < FLAGS.error_rate < 1:
        raise MetaecgError(f"--error_rate={FLAGS.error_rate:g}: must be between 0 and 1")
    given = [name for name in ("protocol", "refit") if FLAGS[name].value is not None]
    if FLAGS.workdir is not None and given:
        raise MetaecgError(f"--{given[0]} belongs to --artefact; a run has its own protocol")
    _measure_run() if FLAGS.workdir is not None else _measure_artefact()


def _measure_run() -> None:
    from experiments.runs import models  # checkpoints take seconds to import

    folder = Path(FLAGS.workdir).expanduser()
    run, model, kept = models.load(folder, FLAGS.library)
    library, rules = models.open_alike(run, FLAGS.library), protocols.load(run.config.protocol)
    remarks = unchecked(model, library, rules, FLAGS.part)
    _say(remarks)
    measured = {"unchecked": remarks, **_measure(model, library, rules, run.config.query)}
    models.keep(folder / models.FILE, {**kept, FLAGS.part: measured})
    print(f"\n{FLAGS.part} part of {rules.name}; kept in {folder / models.FILE}")


def _measure_artefact() -> None:
    if FLAGS.library is None:
        raise MetaecgError("an exported model needs --library: the archive to measure on")
    path = Path(FLAGS.artefact) if FLAGS.artefact else artefact.shipped_path()
    model = artefact.read(path.expanduser())
    library = open_library(Path(FLAGS.library).expanduser())
    name = FLAGS.protocol or model.provenance.get("protocol")
    if not name:
        raise MetaecgError("--protocol: the model does not name its own; name one")
    rules = protocols.load(name)
    remarks = unchecked(model, library, rules, FLAGS.part)
    if FLAGS.refit:
        remarks += unchecked(model, library, rules, "validation")
    remarks = list(dict.fromkeys(remarks))
    _say(remarks)
    if FLAGS.refit:
        fitted = fitting.calibrate(model.predictor, library, rules, Plan(FLAGS.episodes))
        model = model._replace(calibration=fitted)
    measured = {"unchecked": remarks, **_measure(model, library, rules, Plan().query)}
    if FLAGS.refit:
        output = Path(FLAGS.refit).expanduser()
        known = {k: v for k, v in model.provenance.items() if k not in ("artefact", "file")}
        known |= {"calibrated_on": library.fingerprint, "measured": {FLAGS.part: measured}}
        artefact.recalibrate(path.expanduser(), output, model._replace(provenance=known))
        print(f"\nwritten to {output}")


def _say(remarks: list[str]) -> None:
    for remark in remarks:
        print(f"note: {remark}")


def _measure(
    model: Model, library: Library, rules: protocols.Protocol, query: int
) -> dict[str, Any]:
    part = protocols.split(library, rules, FLAGS.part)
    plan = Plan(FLAGS.episodes, query, seed=1)
    rows = measuring.measure_part(model, library, part, plan, FLAGS.error_rate)
    print(table(rows, FLAGS.error_rate))
    return {"error_rate": FLAGS.error_rate, "episodes": FLAGS.episodes, "rows": rows}


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
