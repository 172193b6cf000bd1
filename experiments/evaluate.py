"""Measures trained runs on fixed episodes of unseen diagnoses and unseen patients.

    python -m experiments.evaluate --workdir=DIR [--compare=DIR,DIR] [--probes=ridge,whitened]
        [--together] [--detection] [--leaks] [--orders=8] [--episodes=1000] [--output=FILE.json]

The same episodes are given to every learner of the table, so that differences are paired. Beside
the JSON file of all results stands a Markdown file of the tables.
"""

import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from absl import flags

from experiments import assemble, cli, contenders, known, machine, tables, trained, workdir
from experiments.measure import measure
from metaecg import NOTICE, report
from metaecg.data import protocols
from metaecg.data.library import open_library
from metaecg.errors import MetaecgError
from metaecg.learners import probes

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string("workdir", None, "folder of a trained run")
    flags.DEFINE_list("compare", [], "other trained runs for the same table")
    flags.DEFINE_list("probes", [], f"what else reads each encoder: {', '.join(probes.PROBES)}")
    flags.DEFINE_boolean("detection", False, "one class against all else, too")
    flags.DEFINE_integer("repeats", 10, "detection: draws of examples a class", lower_bound=1)
    flags.DEFINE_boolean("leaks", False, "scores with the faults of public loaders, too")
    flags.DEFINE_boolean("together", False, "whitened --probes read all encoders as one, too")
    flags.DEFINE_integer("orders", 0, "orders of the support to average over", lower_bound=0)
    flags.DEFINE_boolean("seen", False, "allow runs trained on the classes measured: a yardstick")
    flags.DEFINE_string("library", None, "library to draw from instead of the run's own")
    flags.DEFINE_string("protocol", None, "protocol instead of the run's own")
    flags.DEFINE_enum("part", "test", ["test", "validation"], "part of the protocol")
    flags.DEFINE_integer("episodes", None, "episodes of each kind", lower_bound=2)
    flags.DEFINE_list("shots", None, "shots to measure, such as 1,5,10")
    flags.DEFINE_integer("way", None, "classes of an episode", lower_bound=2)
    flags.DEFINE_integer("query", None, "records asked of each class", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "seed of the episodes", lower_bound=0)
    flags.DEFINE_string("output", None, "file of the results; WORKDIR/results.json if not given")


def main(_) -> None:
    if FLAGS.workdir is None:
        raise MetaecgError("--workdir is needed (see --help)")
    began = time.monotonic()
    folders = [Path(f).expanduser() for f in (FLAGS.workdir, *FLAGS.compare)]
    loaded = {name: trained.load(folder) for name, folder in _names(folders).items()}
    main_run = next(iter(loaded.values()))
    config = main_run.config
    loaded[contenders.RANDOM] = trained.untrained(main_run)
    if FLAGS.library:
        library = open_library(Path(FLAGS.library).expanduser())
    else:
        library = assemble.library(config)
    for name, run in loaded.items():
        trained.check_form(run, library, name)
    protocol = protocols.load(FLAGS.protocol or config.protocol)
    if config.labels == "conditions":
        rows = known.measure(main_run, library, protocol)
        _write(folders[0], {"protocol": protocol.name, "conditions": rows}, known.table(rows))
        return
    wanted = FLAGS.shots or config.test_shots.split("+")
    if not all(shot.isdigit() and int(shot) for shot in wanted):
        raise MetaecgError(f"--shots={','.join(wanted)}: write numbers, such as 1,5,10")
    found = measure(
        loaded,
        library,
        protocol,
        part=FLAGS.part,
        way=FLAGS.way or config.way,
        shots=[int(shot) for shot in wanted],
        episodes=FLAGS.episodes or config.test_episodes,
        seed=FLAGS.seed,
        query=FLAGS.query,
        probes=FLAGS.probes,
        together=FLAGS.together,
        orders=FLAGS.orders,
        leaks=FLAGS.leaks,
        repeats=FLAGS.repeats if FLAGS.detection else 0,
        seen=FLAGS.seen,
    )
    results = {
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
                "parameters": contenders.count(run.variables),
                "config": run.config.to_dict(),
            }
            for name, run in loaded.items()
        },
        "seconds": time.monotonic() - began,
        **found,
    }
    _write(folders[0], results, tables.report(found))


def _write(folder: Path, results: dict[str, Any], text: str) -> None:
    """Writes results.json and the tables beside it, and prints these."""
    command = f"python -m experiments.evaluate {shlex.join(sys.argv[1:])}"
    results = {"command": command, "machine": machine.facts(), **results, "note": NOTICE}
    output = Path(FLAGS.output).expanduser() if FLAGS.output else folder / "results.json"
    output.write_text(json.dumps(results, indent=1, ensure_ascii=False), encoding="utf-8")
    title = f"{FLAGS.part} part of {results['protocol']}"
    output.with_suffix(".md").write_text(f"# {title}\n\n    {command}\n\n{text}\n", "utf-8")
    print(f"{text}\n\n{title}; details in {output}")
    if "rows" in results:
        page = output.with_name("report.html") if not FLAGS.output else output.with_suffix(".html")
        page.write_text(report.evaluation_page(results, workdir.metrics(folder)), "utf-8")
        print(f"figures in {page}")


def _names(folders: list[Path]) -> dict[str, Path]:
    """Folders by their last part, or by the last two where that is not enough."""
    last = [folder.name for folder in folders]
    return {
        folder.name if last.count(folder.name) == 1 else "/".join(folder.parts[-2:]): folder
        for folder in folders
    }


if __name__ == "__main__":
    define_flags()
    cli.run(main)
