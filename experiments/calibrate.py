"""Measures how well a model's stated rates hold, on the test part of a protocol or another part.

    python -m experiments.calibrate --workdir=DIR [--library=LIBRARY] [--error_rate=0.1]
    python -m experiments.calibrate [--artefact=FILE] --library=LIBRARY [--protocol=PROTOCOL]
        [--refit=NEW_FILE|--refine=NEW_FILE] [--sites=FILE.csv]
        [--support_library=LIBRARY] [--output=FILE.json]

A trained run is calibrated on the validation part of its protocol if it is not yet, and
WORKDIR/calibration.json keeps the calibration and what was measured. With --artefact, an exported
model is measured on an archive of one's own; with neither --workdir nor --artefact, the diagnoser
that comes with the package is. Without --protocol, the statements of the archive that have at least
ten patients are asked, those left out that the model was trained on.

--refit fits the calibration on a part of the archive, shows what that gains on the rest, and writes
the model with the new calibration to NEW_FILE: on the validation part of the protocol, or, where it
has none, on half of the patients. --refine writes it with what a first calibration lacks: bounds of
many episodes on wrong answers, so that more is answered, and a background of training recordings,
by which a diagnosis that is no candidate is noticed; no probability changes. --sites names the
hospital or device of each record, and each is measured by itself. --support_library takes the
examples from one archive and asks for the recordings of --library. What the model was trained on,
and what of that is measured, is said first.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from experiments.runs import (
    ancestry,
    command_line,
    leak_guard,
    machine,
    model_flags,
    own_archive,
    provenance,
)
from experiments.tables import markdown
from metaecg import NOTICE
from metaecg.data import overlap, protocols
from metaecg.data.library import Library, open_library
from metaecg.diagnose import artefact, refining, stated_rates
from metaecg.diagnose.fitting import Plan
from metaecg.diagnose.model import Model
from metaecg.errors import MetaecgError

FLAGS = flags.FLAGS


def table(rows: list[dict[str, Any]], error_rate: float) -> str:
    """The rows as a Markdown table; a kind outside of the calibration states no rate."""
    head = ["way", "shot", "accuracy", "over patients, 95 %", "ECE, uncalibrated", "calibrated"]
    head += ["NLL, uncalibrated", "calibrated", f"coverage ({1 - error_rate:.1%} stated)"]
    head += ["least of a class", "labels in the set", "answered"]
    head += [f"wrong among these (≤ {error_rate:.1%} stated)"]
    return markdown.table(head, map(_cells, rows))


def _cells(row: dict[str, Any]) -> list[Any]:
    rates = ["no rate is stated", "", "", "", ""]
    if row["stated"]:
        rates = [f"{row['coverage']:.3f}", f"{row['worst_coverage']:.3f}", f"{row['set_size']:.2f}"]
        rates += [f"{row['answered']:.1%}", _wrong(row)]
    scores = [f"{row[key]:.3f}" for key in ("raw_ece", "ece", "raw_nll", "nll")]
    return [row["way"], row["shot"], f"{row['accuracy']:.3f}", _interval(row), *scores, *rates]


def _wrong(row: dict[str, Any]) -> str:
    return f"{row['wrong_answers']:.1%}" if row["answered"] else "none given"


def _interval(row: dict[str, Any]) -> str:
    return "–".join(f"{end:.3f}" for end in row.get("accuracy95", ()))


def groups(row: dict[str, Any], which: str, title: str) -> str:
    """The statements or the sites of one kind of episode as a Markdown table."""
    head = [title, "queries", "accuracy", "coverage", "answered", "wrong among these"]
    lines = []
    for name, of in sorted(row[which].items(), key=lambda item: -item[1]["accuracy"]):
        shares = (f"{of['accuracy']:.3f}", f"{of['coverage']:.3f}", f"{of['answered']:.1%}")
        lines.append([name, of["queries"], *shares, _wrong(of)])
    return f"{row['way']}-way {row['shot']}-shot\n\n{markdown.table(head, lines)}"


def unchecked(
    model: Model, library: Library, rules: protocols.Protocol, part: str, *, seen: bool = False
) -> list[str]:
    """Asserts that a model may be measured on a part; returns what could not be checked.

    Raises:
      MetaecgError: the library's records have another form than the model reads, or the model or
        one that it started from was trained on classes, patients or recordings of the part.
    """
    model.form.check(library)
    return leak_guard.check(
        ancestry.of_provenance(model.provenance),
        library,
        [protocols.split(library, rules, part)],
        name="the model",
        remedy="name a --protocol without them, or give --seen to ask them all the same",
        seen=seen or rules.oracle,
    )


@command_line.defines_flags
def define_flags() -> None:
    model_flags.define_model()
    flags.DEFINE_string(
        "library", None, "The library to measure on; of a run, its own if left out."
    )
    flags.DEFINE_string(
        "protocol",
        None,
        "The protocol of --artefact; if left out, the model's own where the library has its "
        "classes, else the statements of the library.",
    )
    flags.DEFINE_enum("part", "test", ["test", "validation"], "The part to measure on.")
    flags.DEFINE_integer("episodes", 200, "The episodes of each kind.", lower_bound=2)
    flags.DEFINE_list("ways", [], "Numbers of candidates, such as 2,5,10; all if left out.")
    flags.DEFINE_list("shots", [], "Numbers of examples, such as 1,5,10; all if left out.")
    flags.DEFINE_float("error_rate", 0.1, "The stated rate of misses and of wrong answers.")
    flags.DEFINE_string("refit", None, "The file to write --artefact to, with a new calibration.")
    flags.DEFINE_string(
        "refine",
        None,
        "The file to write --artefact to, with bounds of many episodes and a background.",
    )
    flags.DEFINE_boolean("seen", False, "Asks statements that the model was trained on, too.")
    flags.DEFINE_string(
        "sites", None, "A CSV file of id,site: the hospital or device of each record."
    )
    flags.DEFINE_string(
        "support_library", None, "The library that the examples are from, if not --library."
    )
    flags.DEFINE_string("output", None, "A JSON file of all that --artefact was measured to do.")


_OF_ARTEFACT = ("protocol", "refit", "refine", "seen", "sites", "support_library", "output")


def main(_) -> None:
    model_flags.check_one_model()
    model_flags.check_error_rate()
    given = [name for name in _OF_ARTEFACT if FLAGS[name].value]
    if FLAGS.workdir is not None and given:
        raise MetaecgError(f"--{given[0]} belongs to --artefact; a run has its own protocol")
    if FLAGS.refit and FLAGS.support_library:
        raise MetaecgError("--refit and --support_library do not go together; leave one out")
    if FLAGS.refine and (FLAGS.refit or FLAGS.support_library):
        raise MetaecgError("--refine goes with neither --refit nor --support_library; leave it out")
    _measure_run() if FLAGS.workdir is not None else _measure_artefact()


def _measure_run() -> None:
    from experiments.runs import models  # checkpoints take seconds to import

    folder = Path(FLAGS.workdir).expanduser()
    run, model, kept = models.load(folder, FLAGS.library)
    library, rules = models.open_alike(run, FLAGS.library), protocols.load(run.config.protocol)
    remarks = unchecked(model, library, rules, FLAGS.part)
    _say(remarks)
    part = protocols.split(library, rules, FLAGS.part)
    measured = {"unchecked": remarks, **_measure(model, library, part, run.config.query)}
    models.keep(folder / models.FILE, {**kept, FLAGS.part: measured})
    print(f"\n{FLAGS.part} part of {rules.name}; kept in {folder / models.FILE}")


def _measure_artefact() -> None:
    if FLAGS.library is None:
        raise MetaecgError("an exported model needs --library: the archive to measure on")
    library = open_library(Path(FLAGS.library).expanduser())
    path = model_flags.artefact_path(FLAGS.artefact, library.leads)
    model = artefact.read(path)
    model.form.check(library)
    known = ancestry.of_provenance(model.provenance)
    rules, remarks = own_archive.choose(
        FLAGS.protocol, model.provenance.get("protocol"), library, known, seen=FLAGS.seen
    )
    remarks += unchecked(model, library, rules, FLAGS.part, seen=FLAGS.seen)
    part = protocols.split(library, rules, FLAGS.part)
    sites = own_archive.sites(FLAGS.sites, library)
    fitted_on = None
    if FLAGS.refine:
        remarks += unchecked(model, library, rules, "validation", seen=FLAGS.seen)
        model = refining.refine(model, library, rules, progress=model_flags.by_kind)
    if FLAGS.refit:
        fitted_on, part = _parts(model, library, rules, part, remarks)
    about = provenance.report(known, library, part, {"artefact": model.provenance["artefact"]})
    _say(dict.fromkeys([*provenance.sentences(about, path.name), *remarks]))
    query = own_archive.queries(part)
    other = _examples(model, library, rules, part) if FLAGS.support_library else None
    measured: dict[str, Any] = {"protocol": rules.name, "provenance": about, "unchecked": remarks}
    measured |= _measure(model, library, part, query, sites, other)
    if fitted_on is not None:
        plan = _plan(own_archive.queries(fitted_on))
        fitted = refining.recalibrate(model, library, fitted_on, plan)
        model = model._replace(calibration=fitted)
        print(f"\ncalibrated anew on {len(fitted_on.rows)} other records of the archive:\n")
        measured["recalibrated"] = _measure(model, library, part, query, sites)
        grown = ancestry.with_calibration(known, library, fitted_on.rows, rules.name)
        _write(path, FLAGS.refit, model, library, grown, measured)
    if FLAGS.refine:
        _write(path, FLAGS.refine, model, library, known, measured)
    if FLAGS.output:
        content = {"machine": machine.facts(), **measured, "note": NOTICE}
        text = json.dumps(content, indent=1, ensure_ascii=False)
        Path(FLAGS.output).expanduser().write_text(text, encoding="utf-8")


def _examples(
    model: Model, library: Library, rules: protocols.Protocol, part: protocols.Split
) -> tuple[Library, protocols.Split]:
    """The archive that the examples are from, and its part of the same classes."""
    other = open_library(Path(FLAGS.support_library).expanduser())
    model.form.check(other)
    mine = protocols.split(other, rules, FLAGS.part)
    if copies := overlap.compare([overlap.seen(other, mine.rows)], library, part.rows).recordings:
        raise MetaecgError(
            f"--support_library: {copies} of its recordings are in --library as well, and would be "
            "examples of themselves"
        )
    return other, mine


def _parts(
    model: Model,
    library: Library,
    rules: protocols.Protocol,
    part: protocols.Split,
    remarks: list[str],
) -> tuple[protocols.Split, protocols.Split]:
    """What to calibrate on and what to measure."""
    if not rules.splits[0].validation:
        remarks.append(
            "half of the patients calibrate, and the same statements are measured in the others."
        )
        return own_archive.halves(part)
    remarks += unchecked(model, library, rules, "validation", seen=FLAGS.seen)
    return protocols.split(library, rules, "validation"), part


def _write(
    path: Path,
    to: str,
    model: Model,
    library: Library,
    known: ancestry.Ancestry,
    measured: dict[str, Any],
) -> None:
    output = Path(to).expanduser()
    kept = model.provenance | {
        "calibrated_on": library.fingerprint,
        "measured": {FLAGS.part: measured},
        "ancestry": known.to_json(),
    }
    artefact.recalibrate(path, output, model._replace(provenance=kept))
    print(f"\nwritten to {output}")


def _say(remarks: Iterable[str]) -> None:
    for remark in remarks:
        print(f"note: {remark}")


def _measure(
    model: Model,
    library: Library,
    part: protocols.Split,
    query: int,
    sites: Sequence[str] | None = None,
    examples: tuple[Library, protocols.Split] | None = None,
) -> dict[str, Any]:
    plan = _plan(query, seed=1)
    if examples:
        asked = library, part
        rows = stated_rates.measure_across(model, examples, asked, plan, FLAGS.error_rate)
    else:
        rows = stated_rates.measure_part(model, library, part, plan, FLAGS.error_rate, sites)
    print(table(rows, FLAGS.error_rate))
    shown = min(rows, key=lambda row: (abs(row["way"] - 5), abs(row["shot"] - 5)))
    for which, title in (("by_class", "statement"), ("by_site", "site")):
        if which in shown:
            print(f"\n{groups(shown, which, title)}")
    return {"error_rate": FLAGS.error_rate, "episodes": FLAGS.episodes, "rows": rows}


def _plan(query: int, seed: int = 0) -> Plan:
    given = {name: list(FLAGS[name].value or ()) for name in ("ways", "shots")}
    kinds = {
        name: tuple(command_line.counts(name, texts)) for name, texts in given.items() if texts
    }
    return Plan(FLAGS.episodes, query, seed, progress=model_flags.by_kind, **kinds)


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
