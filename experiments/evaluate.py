"""Measures trained runs on fixed episodes of unseen diagnoses and unseen patients.

    python -m experiments.evaluate --workdir=DIR [--compare=DIR,DIR]
        [--probes=ridge,whitened_cosine] [--ensemble=DIR,DIR] [--detection] [--leaks]
        [--orders=8] [--episodes=1000] [--output=FILE.json]

With --artefact=FILE in place of --workdir, or with neither, an exported model or the diagnoser that
comes with the package is measured on an archive of one's own: --library, --output and mostly
--protocol are given then.

The same episodes are given to every learner of the table, so that differences are paired. Beside
the JSON file of all results, a Markdown file holds the tables.
"""

import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from absl import flags

from experiments.runs import (
    build,
    command_line,
    machine,
    model_flags,
    own_archive,
    provenance,
    trained,
    workdir,
)
from experiments.tables import learners, markdown, training_conditions
from experiments.tables.measure import Wanted, measure
from metaecg import NOTICE
from metaecg.data import protocols
from metaecg.data.library import Library, open_library
from metaecg.diagnose import artefact
from metaecg.errors import MetaecgError
from metaecg.figures import report
from metaecg.learners import probes

FLAGS = flags.FLAGS


@command_line.defines_flags
def define_flags() -> None:
    flags.DEFINE_string("workdir", None, "The folder of a trained run.")
    flags.DEFINE_string(
        "artefact", None, "An exported model; without --workdir, the one of the package."
    )
    flags.DEFINE_list("compare", [], "Folders of other trained runs for the same table.")
    flags.DEFINE_list(
        "probes", [], f"Probes that read each encoder as well: {', '.join(probes.PROBES)}."
    )
    flags.DEFINE_boolean("detection", False, "Whether each class is detected among all others.")
    flags.DEFINE_integer(
        "repeats", 10, "How often --detection draws the examples of a class.", lower_bound=1
    )
    flags.DEFINE_boolean(
        "leaks", False, "Whether scores with the faults of public loaders are measured as well."
    )
    flags.DEFINE_list(
        "ensemble", [], "Folders of trained runs whose encoders whitened --probes read as one."
    )
    flags.DEFINE_integer(
        "orders", 0, "Orders of the support that the answers are averaged over.", lower_bound=0
    )
    flags.DEFINE_boolean(
        "seen", False, "Allows runs that were trained on the measured classes, as a yardstick."
    )
    flags.DEFINE_string("library", None, "The library to draw from instead of the run's own.")
    flags.DEFINE_string("protocol", None, "The protocol to measure by instead of the run's own.")
    flags.DEFINE_enum("part", "test", ["test", "validation"], "The part of the protocol.")
    flags.DEFINE_integer("episodes", None, "Episodes of each kind.", lower_bound=2)
    flags.DEFINE_list("shots", None, "Examples of each class, such as 1,5,10.")
    flags.DEFINE_integer("way", None, "Classes of an episode.", lower_bound=2)
    flags.DEFINE_integer("query", None, "Records asked of each class.", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "The seed of the episodes.", lower_bound=0)
    flags.DEFINE_string(
        "output", None, "The file of the results; WORKDIR/results.json if it is not given."
    )


_OF_EPISODES = (
    *("compare", "probes", "detection", "repeats", "leaks", "ensemble", "orders", "seen", "part"),
    *("episodes", "shots", "way", "query", "seed"),
)
"""Flags that mean nothing to a run that diagnoses its own training conditions."""

_USED = ("workdir", "artefact", "library", "protocol", "output")
"""Flags that every run uses."""


def main(_) -> None:
    began = time.monotonic()
    _check_flags()
    given = [FLAGS.workdir] if FLAGS.workdir else []
    folders = [Path(f).expanduser() for f in (*given, *FLAGS.compare)]
    loaded = {name: trained.load(folder) for name, folder in _names(folders).items()}
    library = open_library(Path(FLAGS.library).expanduser()) if FLAGS.library else None
    if not FLAGS.workdir:
        file = model_flags.artefact_path(FLAGS.artefact, library.leads if library else None)
        loaded = {file.stem: trained.of_artefact(artefact.read(file)), **loaded}
    joined = {f: trained.load(Path(f).expanduser()) for f in FLAGS.ensemble}
    main_run = next(iter(loaded.values()))
    config = main_run.config
    if FLAGS.workdir:
        loaded[learners.RANDOM] = trained.untrained(main_run)
    if library is None:
        library = build.library(config)
    for name, run in {**loaded, **joined}.items():
        trained.check_form(run, library, name)
    remarks: list[str] = []
    if FLAGS.workdir:
        protocol = protocols.load(FLAGS.protocol or config.protocol)
    else:
        known = trained.ancestry_of(main_run)
        protocol, remarks = own_archive.choose(
            FLAGS.protocol, config.protocol, library, known, seen=FLAGS.seen
        )
    if config.labels == "conditions":
        if given := [name for name in _OF_EPISODES if FLAGS[name].present]:
            raise MetaecgError(
                f"--{given[0]} is of episodes; {folders[0]} diagnoses its own training conditions "
                "(labels=conditions): leave the flag out"
            )
        rows = training_conditions.measure(main_run, library, protocol)
        title = f"held-out patients of the train part of {protocol.name}"
        diagnosed = {"protocol": protocol.name, "conditions": rows}
        _write(diagnosed, training_conditions.table(rows), title)
        return
    wanted = FLAGS.shots or config.test_shots.split("+")
    found = measure(
        loaded,
        library,
        protocol,
        Wanted(
            part=FLAGS.part,
            way=FLAGS.way or config.way,
            shots=command_line.counts("shots", wanted),
            episodes=FLAGS.episodes or config.test_episodes,
            seed=FLAGS.seed,
            query=FLAGS.query,
            probes=FLAGS.probes,
            orders=FLAGS.orders,
            leaks=FLAGS.leaks,
            repeats=FLAGS.repeats if FLAGS.detection else 0,
            seen=FLAGS.seen,
        ),
        joined,
    )
    about = _provenance({**loaded, **joined}, library, protocol)
    if remarks:
        found["unchecked"] = [*remarks, *found.get("unchecked", [])]
    results: dict[str, Any] = {
        "seed": FLAGS.seed,
        "protocol": protocol.name,
        "part": FLAGS.part,
        "library": {
            "fingerprint": library.fingerprint,
            "records": len(library),
            "shape": library.signals.shape[1:],
        },
        "runs": {
            name: {
                "step": run.step,
                "parameters": learners.count(run.variables) or None,  # of an export unknown
                # An exported model has no settings but those that its provenance tells.
                **({"provenance": about[name]} if name in about else {}),
                **({"config": run.config.to_dict()} if "model" not in run.facts else {}),
            }
            for name, run in {**loaded, **joined}.items()
        },
        "seconds": time.monotonic() - began,
        **found,
    }
    said = [line for name, of in about.items() for line in provenance.sentences(of, name)]
    text = "\n".join(["\n".join(said), "", markdown.report(found)])
    _write(results, text, f"{FLAGS.part} part of {protocol.name}")


def _provenance(
    runs: dict[str, trained.Trained], library: Library, protocol: protocols.Protocol
) -> dict[str, Any]:
    """What each run was trained on and what of the measured part it has seen, by name."""
    part = protocols.split(library, protocol, FLAGS.part)
    return {
        name: provenance.report(trained.ancestry_of(run), library, part, run.facts.get("model", {}))
        for name, run in runs.items()
        if name != learners.RANDOM
    }


def _check_flags() -> None:
    """What would be found wrong only after the measuring.

    Raises:
      MetaecgError: names the flag.
    """
    if FLAGS.ensemble and not set(FLAGS.probes) & set(learners.OF_WHITENED):
        raise MetaecgError(
            f"--ensemble needs one of --probes={','.join(learners.OF_WHITENED)} to read them"
        )
    if FLAGS["repeats"].present and not FLAGS.detection:
        raise MetaecgError("--repeats is of detection: give --detection as well")
    model_flags.check_one_model()
    if not FLAGS.workdir and not (FLAGS.library and FLAGS.output):
        raise MetaecgError(
            "without --workdir, an exported model is measured, and needs --library, the archive to "
            "measure on, and --output=FILE.json"
        )
    if str(FLAGS.workdir).endswith(".metaecg") and Path(FLAGS.workdir).expanduser().is_file():
        raise MetaecgError(
            f"--workdir={FLAGS.workdir}: is an exported model, not the folder of a training run; "
            "give it as --artefact"
        )
    output = _output()
    for file in (output, *_beside(output)):
        place = file if file.exists() else file.parent
        if file.is_dir() or (place.exists() and not os.access(place, os.W_OK)):
            raise MetaecgError(
                f"{place}: the results cannot be written there; name another file by "
                "--output=FILE.json"
            )
    if FLAGS.output:
        if output.suffix != ".json":
            raise MetaecgError(f"--output={FLAGS.output}: give a name that ends in .json")
        if not output.parent.is_dir():
            raise MetaecgError(f"--output={FLAGS.output}: there is no folder {output.parent}")


def _output() -> Path:
    return Path(FLAGS.output or Path(FLAGS.workdir, "results.json")).expanduser()


def _beside(output: Path) -> tuple[Path, Path]:
    """The files of the tables and of the figures."""
    page = output.with_suffix(".html") if FLAGS.output else output.with_name("report.html")
    return output.with_suffix(".md"), page


def _write(results: dict[str, Any], text: str, title: str) -> None:
    """Writes results.json and the tables beside it, and prints these."""
    command = f"python -m experiments.evaluate {shlex.join(sys.argv[1:])}"
    results = {"command": command, "machine": machine.facts(), **results, "note": NOTICE}
    output = _output()
    output.write_text(json.dumps(results, indent=1, ensure_ascii=False), encoding="utf-8")
    tables, page = _beside(output)
    tables.write_text(f"# {title}\n\n    {command}\n\n{text}\n", "utf-8")
    print(f"{text}\n\n{title}; details in {output}")
    if "rows" in results:
        curves = workdir.metrics(Path(FLAGS.workdir).expanduser()) if FLAGS.workdir else []
        page.write_text(report.evaluation_page(results, curves), "utf-8")
        print(f"figures in {page}")


def _names(folders: list[Path]) -> dict[str, Path]:
    """Folders by as many of their last parts as distinguish them.

    Raises:
      MetaecgError: a folder is given twice.
    """
    folders = [folder.resolve() for folder in folders]
    if twice := [folder for folder in folders if folders.count(folder) > 1]:
        raise MetaecgError(f"--workdir and --compare: {twice[0]} is given twice")

    def name(folder: Path, count: int = 1) -> str:
        last = folder.parts[-count:]
        alike = [other for other in folders if other.parts[-count:] == last]
        return "/".join(last) if len(alike) == 1 else name(folder, count + 1)

    return {name(folder): folder for folder in folders}


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
