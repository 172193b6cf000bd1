"""Measures a trained run on fixed episodes of unseen diagnoses and unseen patients.

    python -m experiments.evaluate --workdir=DIR [--compare=DIR,DIR] [--episodes=1000]

The same episodes are given to every learner of the table, so that differences are paired.
"""

import json
import platform
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import jax
from absl import flags
from tqdm import tqdm

from experiments import assemble, cli, trained
from metaecg import evaluation
from metaecg.data import protocols
from metaecg.data.library import Library, open_library
from metaecg.errors import MetaecgError

FLAGS = flags.FLAGS


def evaluate(
    runs: dict[str, trained.Trained],
    library: Library,
    protocol: protocols.Protocol,
    *,
    part: str,
    way: int,
    shots: list[int],
    episodes: int,
    seed: int,
) -> list[dict[str, Any]]:
    """One row per learner and shot; differences are paired with the first learner.

    Learners that cannot read as many examples are left out of that shot.
    """
    splits = {name: protocols.split(library, protocol, name) for name in protocols.PARTS}
    protocols.check_disjoint(splits)
    measured = assemble.part(library, protocol, part)
    patients = measured.data.index.patients
    query = min(run.config.query for run in runs.values())
    rows = []
    embeddings = {
        name: evaluation.embed(run.learner, run.variables, measured.data)
        for name, run in runs.items()
        if run.learner.embed is not None
    }
    with tqdm(total=len(shots) * len(runs), unit="row", leave=False) as bar:
        for shot in shots:
            drawn = evaluation.draw_episodes(
                measured.data, jax.random.key(seed), episodes, way=way, shot=shot, query=query
            )
            first = None
            for name, run in runs.items():
                bar.set_postfix(shot=shot, learner=name)
                bar.update()
                if run.config.learner == "snail" and way * shot > run.config.way * run.config.shot:
                    continue
                slots = way if run.config.learner != "snail" else run.slots
                said = evaluation.predict(
                    run.learner,
                    run.variables,
                    measured.data,
                    drawn,
                    slots,
                    embeddings=embeddings.get(name),
                )
                row = {"learner": name, "way": way, "shot": shot, "query": query}
                row |= evaluation.summarise(said, measured.classes, patients)
                if first is None:
                    first = said
                else:
                    row["difference"] = evaluation.paired_difference(first, said)
                rows.append(row)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| learner | episodes | accuracy | ± 95 % | over patients | macro-AUROC | ECE "
        "| first − this |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        low, high = row["accuracy_patients95"]
        mean, half = row.get("difference", (None, None))
        lines.append(
            f"| {row['learner']} | {row['way']}-way {row['shot']}-shot | {row['accuracy']:.3f} "
            f"| {row['accuracy_ci95']:.3f} | {low:.3f}–{high:.3f} | {row['macro_auroc']:.3f} "
            f"| {row['ece']:.3f} | " + ("" if mean is None else f"{mean:+.3f} ± {half:.3f}") + " |"
        )
    return "\n".join(lines)


def define_flags() -> None:
    flags.DEFINE_string("workdir", None, "folder of a trained run")
    flags.DEFINE_list("compare", [], "other trained runs for the same table")
    flags.DEFINE_string("library", None, "library to draw from instead of the run's own")
    flags.DEFINE_string("protocol", None, "protocol instead of the run's own")
    flags.DEFINE_enum("part", "test", ["test", "validation"], "part of the protocol")
    flags.DEFINE_integer("episodes", None, "episodes of each kind", lower_bound=2)
    flags.DEFINE_list("shots", None, "shots to measure, such as 1,5,10")
    flags.DEFINE_integer("way", None, "classes of an episode", lower_bound=2)
    flags.DEFINE_integer("seed", 0, "seed of the episodes")
    flags.DEFINE_string("output", None, "file of the results; WORKDIR/results.json if not given")


def main(_) -> None:
    if FLAGS.workdir is None:
        raise MetaecgError("--workdir is needed (see --help)")
    began = time.monotonic()
    folders = [Path(f).expanduser() for f in (FLAGS.workdir, *FLAGS.compare)]
    loaded = {folder.name: trained.load(folder) for folder in folders}
    main_run = next(iter(loaded.values()))
    config = main_run.config
    loaded["random encoder, nearest centroid"] = trained.untrained(main_run)
    if FLAGS.library:
        library = open_library(Path(FLAGS.library).expanduser())
    else:
        library = assemble.library(config)
    shape, trained_on = library.signals.shape[1:], main_run.facts["record"]
    if (list(library.leads), library.hz) != (trained_on["leads"], trained_on["hz"]):
        raise MetaecgError(
            f"library: {library.hz} Hz, leads {' '.join(library.leads)}; the run was trained on "
            f"{trained_on['hz']} Hz, leads {' '.join(trained_on['leads'])}: prepare it alike"
        )
    wanted = FLAGS.shots or config.test_shots.split("+")
    if not all(shot.isdigit() and int(shot) for shot in wanted):
        raise MetaecgError(f"--shots={','.join(wanted)}: write numbers, such as 1,5,10")
    shots = [int(shot) for shot in wanted]
    protocol = protocols.load(FLAGS.protocol or config.protocol)
    rows = evaluate(
        loaded,
        library,
        protocol,
        part=FLAGS.part,
        way=FLAGS.way or config.way,
        shots=shots,
        episodes=FLAGS.episodes or config.test_episodes,
        seed=FLAGS.seed,
    )
    results = {
        "command": f"python -m experiments.evaluate {shlex.join(sys.argv[1:])}",
        "seed": FLAGS.seed,
        "protocol": protocol.name,
        "part": FLAGS.part,
        "library": {"fingerprint": library.fingerprint, "records": len(library), "shape": shape},
        "runs": {
            name: {"step": run.step, "config": run.config.to_dict()} for name, run in loaded.items()
        },
        "machine": {
            "device": jax.devices()[0].device_kind,
            "devices": jax.device_count(),
            "processor": platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "jax": jax.__version__,
        },
        "seconds": time.monotonic() - began,
        "rows": rows,
        "note": "Research software, not a medical device.",
    }
    output = Path(FLAGS.output).expanduser() if FLAGS.output else folders[0] / "results.json"
    output.write_text(json.dumps(results, indent=1, ensure_ascii=False), encoding="utf-8")
    print(table(rows))
    print(f"\n{FLAGS.part} part of {protocol.name}; details in {output}")


if __name__ == "__main__":
    define_flags()
    cli.run(main)
