"""Measures trained runs on fixed episodes of unseen diagnoses and unseen patients.

    python -m experiments.evaluate --workdir=DIR [--compare=DIR,DIR] [--probes=ridge,whitened]
        [--detection] [--leaks] [--orders=8] [--episodes=1000] [--output=FILE.json]

The same episodes are given to every learner of the table, so that differences are paired. Beside
the JSON file of all results stands a Markdown file of the tables.
"""

import json
import platform
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags
from tqdm import tqdm

from experiments import assemble, cli, contenders, tables, trained
from metaecg import benchmark, detection, evaluation, statistics
from metaecg.data import protocols
from metaecg.data.library import Library, open_library
from metaecg.errors import MetaecgError
from metaecg.types import Episode

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
    query: int | None = None,
    probes: list[str] | None = None,
    orders: int = 0,
    leaks: bool = False,
    repeats: int = 0,
    seen: bool = False,
) -> dict[str, list[dict[str, Any]]]:
    """Tables by name, each a list of rows; differences are paired with the first learner.

    Args:
      runs: trained runs by name.
      library: what to draw from.
      protocol: with one split.
      part: of the protocol.
      way, shots, episodes, seed: of the episodes; learners that cannot read as many examples are
        left out of that shot.
      query: records asked of each class; the fewest that a run was trained with if not given.
      probes: names of probes that read every encoder as well.
      orders: random orders of the support that learners of sequences read beside the first.
      leaks: score with the faults of public loaders as well.
      repeats: draws of examples for each class to be detected; 0 leaves detection out.
      seen: runs may have been trained on the measured classes.
    """
    splits = {name: protocols.split(library, protocol, name) for name in protocols.PARTS}
    protocols.check_disjoint(splits)
    if not splits[part].classes:
        raise MetaecgError(f"protocol {protocol.name} has no {part} part: choose another --part")
    if not seen:
        contenders.check_unseen(runs, splits[part].classes)
    measured = assemble.part(library, protocol, part)
    rows = contenders.line_up(runs, probes or [], measured, library, protocol)
    query = query or min(run.config.query for run in runs.values())
    found: dict[str, list[dict[str, Any]]] = {"rows": []}
    for shot in shots:
        drawn = benchmark.balanced(
            measured.data.index, seed, episodes, way=way, shot=shot, query=query
        )
        able = {name: row for name, row in rows.items() if row.fits(way, shot)}
        if short := sorted(rows.keys() - able.keys()):
            print(f"{way}-way {shot}-shot is more than these can read: {', '.join(short)}")
        found["rows"] += _episodes(able, measured, drawn, shot, orders)
        if leaks:
            found.setdefault("leaks", []).extend(_leaks(able, measured, drawn, shot, seed))
        if repeats:
            able = {n: r for n, r in rows.items() if r.fits(2, shot) and r.embeddings is not None}
            found.setdefault("detection", []).extend(_detect(able, measured, shot, repeats, seed))
    compared = [row for row in found["rows"] if "p" in row]
    for row, p in zip(compared, statistics.holm([row["p"] for row in compared])):
        row["p_holm"] = p
    return found


def _predict(row: contenders.Contender, part: assemble.Part, episodes: Episode):
    slots = row.slots(episodes.classes.shape[-1])
    return evaluation.predict(
        row.learner, row.variables, part.data, episodes, slots, embeddings=row.embeddings
    )


def _episodes(
    rows: dict[str, contenders.Contender],
    part: assemble.Part,
    episodes: Episode,
    shot: int,
    orders: int,
) -> list[dict[str, Any]]:
    patients = np.asarray(part.data.index.patients)
    way = episodes.classes.shape[-1]
    query = episodes.query.shape[-1] // way
    found, first = [], None

    def add(name: str, said: evaluation.Predictions, **more: Any) -> None:
        nonlocal first
        row = {"learner": name, "way": way, "shot": shot, "query": query, **more}
        row |= evaluation.summarise(said, part.classes, patients)
        if first is None:
            first = said
        else:
            low, high, p = evaluation.paired_over_patients(first, said, patients)
            row |= {"difference": evaluation.paired_difference(first, said)}
            row |= {"difference_patients95": (low, high), "p": p}
        found.append(row)

    for name, contender in tqdm(rows.items(), unit="learner", desc=f"{shot}-shot", leave=False):
        said = _predict(contender, part, episodes)
        add(name, said)
        if orders and contender.limits.ordered:
            others = (benchmark.reordered(episodes, k) for k in range(1, orders))
            every = [said, *(_predict(contender, part, other) for other in others)]
            ensembled, sensitivity = evaluation.over_orders(every)
            add(f"{name}, mean of {orders} orders", ensembled, order=sensitivity)
    return found


def _leaks(
    rows: dict[str, contenders.Contender],
    part: assemble.Part,
    episodes: Episode,
    shot: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Each learner's accuracy on clean episodes and, the classes the same, on leaky ones."""
    drawn: dict[str | None, Episode] = {None: episodes}
    drawn |= {x: benchmark.leaky(part.data.index, episodes, x, seed) for x in benchmark.LEAKS}
    found = []
    for name, contender in rows.items():
        clean = np.zeros(0)
        for leak, spoiled in drawn.items():
            accuracy = _predict(contender, part, spoiled).correct.mean(1)
            clean = accuracy if leak is None else clean
            row: dict[str, Any] = {"learner": name, "way": episodes.classes.shape[-1]}
            row |= {"shot": shot, "leak": leak, "accuracy": float(accuracy.mean())}
            if leak is not None:
                row["added"] = statistics.interval(accuracy - clean)
            found.append(row)
    return found


def _detect(
    rows: dict[str, contenders.Contender], part: assemble.Part, shot: int, repeats: int, seed: int
) -> list[dict[str, Any]]:
    index = part.data.index
    questions = detection.draw_questions(index, seed, shot=shot, repeats=repeats)
    found: list[dict[str, Any]] = []
    first = None
    for name, row in tqdm(rows.items(), unit="learner", desc="detection", leave=False):
        probs = detection.answer(
            row.learner, row.variables, row.embeddings, questions, row.slots(2)
        )
        scored = detection.score(questions, probs, index, part.classes)
        found.append({"learner": name, "shot": shot, "repeats": repeats, **scored.summary})
        if first is None:
            first = scored
        else:
            found[-1]["difference"] = detection.difference(first, scored)
    return found


TABLES = {
    "rows": (
        "Episodes",
        tables.episodes,
        "± 95 % is over episodes; 'over patients' resamples the patients who were asked; p of all "
        "differences of the table together, by Holm's method.",
    ),
    "order": ("Order of the support", tables.orders, ""),
    "detection": (
        "Detection",
        tables.detection,
        "One class against all else, mean over classes; intervals over patients.",
    ),
    "leaks": (
        "Leaks",
        tables.leaks,
        "'records': drawn with replacement, so that a query may stand in the support; 'patients': "
        "a patient's other record may.",
    ),
}


def report(found: dict[str, list[dict[str, Any]]]) -> str:
    """All tables as Markdown."""
    shown = found | {"order": [row for row in found["rows"] if "order" in row]}
    return "\n\n".join(
        "\n\n".join(filter(None, (f"## {title}", table(shown[name]), note)))
        for name, (title, table, note) in TABLES.items()
        if shown.get(name)
    )


def define_flags() -> None:
    flags.DEFINE_string("workdir", None, "folder of a trained run")
    flags.DEFINE_list("compare", [], "other trained runs for the same table")
    flags.DEFINE_list("probes", [], "what else reads each encoder: centroid, cosine, cl2n, ridge …")
    flags.DEFINE_boolean("detection", False, "one class against all else, too")
    flags.DEFINE_integer("repeats", 10, "detection: draws of examples a class", lower_bound=1)
    flags.DEFINE_boolean("leaks", False, "scores with the faults of public loaders, too")
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
    shape, trained_on = library.signals.shape[1:], main_run.facts["record"]
    if (list(library.leads), library.hz) != (trained_on["leads"], trained_on["hz"]):
        raise MetaecgError(
            f"library: {library.hz} Hz, leads {' '.join(library.leads)}; the run was trained on "
            f"{trained_on['hz']} Hz, leads {' '.join(trained_on['leads'])}: prepare it alike"
        )
    wanted = FLAGS.shots or config.test_shots.split("+")
    if not all(shot.isdigit() and int(shot) for shot in wanted):
        raise MetaecgError(f"--shots={','.join(wanted)}: write numbers, such as 1,5,10")
    protocol = protocols.load(FLAGS.protocol or config.protocol)
    found = evaluate(
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
        orders=FLAGS.orders,
        leaks=FLAGS.leaks,
        repeats=FLAGS.repeats if FLAGS.detection else 0,
        seen=FLAGS.seen,
    )
    results = {
        "command": f"python -m experiments.evaluate {shlex.join(sys.argv[1:])}",
        "seed": FLAGS.seed,
        "protocol": protocol.name,
        "part": FLAGS.part,
        "library": {"fingerprint": library.fingerprint, "records": len(library), "shape": shape},
        "runs": {
            name: {
                "step": run.step,
                "parameters": contenders.count(run.variables),
                "config": run.config.to_dict(),
            }
            for name, run in loaded.items()
        },
        "machine": {
            "device": jax.devices()[0].device_kind,
            "devices": jax.device_count(),
            "processor": platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "jax": jax.__version__,
        },
        "seconds": time.monotonic() - began,
        **found,
        "note": "Research software, not a medical device.",
    }
    output = Path(FLAGS.output).expanduser() if FLAGS.output else folders[0] / "results.json"
    output.write_text(json.dumps(results, indent=1, ensure_ascii=False), encoding="utf-8")
    text = report(found)
    output.with_suffix(".md").write_text(
        f"# {FLAGS.part} part of {protocol.name}\n\n    {results['command']}\n\n{text}\n", "utf-8"
    )
    print(f"{text}\n\n{FLAGS.part} part of {protocol.name}; details in {output}")


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
