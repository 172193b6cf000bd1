"""The reference benchmark: every learner on one protocol, over its splits or several seeds.

    python -m experiments.compare_learners --library=LIBRARY --protocol=ptbxl_21_5 --output=DIR

All learners start from the same supervised encoder of the same split and seed, and answer the same
test episodes. Every run resumes where it stopped, and one that is done is only read, so that the
command may be interrupted and given again. results.json, table.md, report.html (figures of the best
learner's classes) and shots.svg lie in --output.
"""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from absl import flags

from experiments.configs import ptbxl
from experiments.configs import settings as config_settings
from experiments.runs import (
    build,
    command_line,
    loop,
    machine,
    stages,
    trained,
    training_data,
    workdir,
)
from experiments.tables import learners, markdown, measure, repeats
from metaecg import NOTICE
from metaecg.data import protocols
from metaecg.errors import MetaecgError
from metaecg.figures import plots, report
from metaecg.train.checkpoints import digest

FLAGS = flags.FLAGS

ENCODER = "supervised encoder"
"""The run that all others start from, and the first of the table: its nearest centroid."""

FINE_TUNED = "fine-tuned supervised encoder"
"""On each support, all of it: gradient descent of a run that is not trained any further."""

_HEAD = {"freeze_encoder": True, "steps": 200, "batch": 16, "learning_rate": 1e-3}
_TUNED = {"steps": 150, "batch": 4, "learning_rate": 3e-4}
_WHITENED = {"learner": "protonet", "cosine": True, "whiten": True, **_TUNED}
_ADAPTED = {"shot": 5, "vary_shot": False, "warmup": 20, **_TUNED, "steps": 60}
_DESCENT = {"rate": 0.01, "steps": 5}  # at 0.05 the encoder forgets more than the support teaches

LEARNERS: dict[str, dict[str, Any]] = {
    ENCODER: {"learner": "supervised", "batch": 128, "learning_rate": 2e-3, "steps": 1000},
    # Its head starts from less than the others': it has to find out what labels are for.
    "SNAIL (frozen encoder)": {"learner": "snail", **_HEAD, "steps": 600},
    "transformer (frozen encoder)": {"learner": "transformer", **_HEAD},
    "matching network (frozen encoder)": {"learner": "matching", **_HEAD},
    "ridge (frozen whitened encoder)": {"learner": "ridge", "whiten": True, **_HEAD},
    "ANIL (frozen whitened encoder)": {"learner": "anil", "whiten": True, **_HEAD},
    "ProtoNet": {"learner": "protonet", **_TUNED},
    "ridge (whitened)": {"learner": "ridge", "whiten": True, **_TUNED},
    "ProtoNet (whitened)": _WHITENED,
    "ProtoNet (whitened; combinations)": {**_WHITENED, "combinations": 100},
    "MAML": {"learner": "maml", "maml": _DESCENT, **_ADAPTED},
    "FOMAML": {"learner": "maml", "maml": {**_DESCENT, "first_order": True}, **_ADAPTED},
    "Reptile": {
        "learner": "finetune",
        "maml": _DESCENT,
        "update_rule": "reptile",
        "inner": {"optimizer": "sgd", **_DESCENT},  # as it will descend when it is asked
        **_ADAPTED,
    },
}
"""Settings of each learner over those of experiments/configs/ptbxl.py."""

NAMES = (*LEARNERS, FINE_TUNED)

PROBED = {
    ENCODER,
    "ProtoNet (whitened)",
    "ProtoNet (whitened; combinations)",
    learners.RANDOM,
}
"""Encoders that --probes read as well; the frozen ones are the first's."""


def settings(
    name: str,
    protocol: str,
    seed: int,
    *,
    library: str,
    encoder: str,
    longer: float = 1,
    smoke: bool = False,
) -> Any:
    """The configuration of one learner on one split; its encoder's folder is beside its own."""
    config = ptbxl.get_config(f"library={library},protocol={protocol},encoder={encoder}")
    config.pretrain.steps = config.head.steps = 0
    if name != ENCODER:
        # Relative, so that the output may be moved, and be named otherwise when one goes on.
        config.start_from = f"{workdir.INSIDE}../{_file(ENCODER)}"
    config.update({"seed": seed, **LEARNERS[name]})
    config.steps = round(config.steps * longer)
    config.validate_every = config.checkpoint_every = min(config.steps, config.validate_every)
    if smoke:
        config.update({"way": 2, "shot": 1, "query": 1, "steps": 2, "batch": 8})
        config.update({"validate_every": 2, "validation_episodes": 10})
    config_settings.validate(config)
    return config


def train_all(
    names: list[str], protocol: str, seed: int, folder: Path, sigterm: loop.SigTerm
) -> dict[str, trained.Trained]:
    """Trains the learners of one split and seed, the encoder first; returns them by name."""
    runs: dict[str, trained.Trained] = {}
    raw = embedded = None
    for name in names:
        config = settings(
            name,
            protocol,
            seed,
            library=FLAGS.library,
            encoder=FLAGS.encoder,
            longer=FLAGS.longer,
            smoke=FLAGS.smoke,
        )
        where = folder / _file(name)
        print(f"{protocol}, seed {seed}: {name}, {config.steps} steps")
        raw = raw or training_data.open_parts(config)
        if config.freeze_encoder and embedded is None:
            embedded = training_data.embed(raw, config, runs[ENCODER])
        data = embedded if config.freeze_encoder and embedded else raw
        stages.train_stage(config, where, data, sigterm)
        runs[name] = trained.load(where)
    return runs


def _file(name: str) -> str:
    return name.replace(" ", "_")


@command_line.defines_flags
def define_flags() -> None:
    flags.DEFINE_string("library", None, "library made by experiments.prepare from PTB-XL")
    flags.DEFINE_string("protocol", "ptbxl_rare", "protocol; all of its splits are taken")
    flags.DEFINE_string("output", None, "folder for runs, results.json, table.md and figures")
    flags.DEFINE_string("encoder", "small", "encoder of all learners")
    flags.DEFINE_integer("seeds", 1, "training seeds", lower_bound=1)
    flags.DEFINE_list("only", None, "learners, as the table names them; all if not given")
    flags.DEFINE_list(
        "probes",
        ["cosine", "ridge", "whitened_cosine", "whitened_ridge"],
        "probes of the encoders",
    )
    flags.DEFINE_list("ways", ["5", "2"], "classes of an episode")
    flags.DEFINE_list("shots", ["1", "5", "10"], "examples of a class")
    flags.DEFINE_integer("episodes", 1000, "test episodes of each kind", lower_bound=2)
    flags.DEFINE_enum("part", "test", ["test", "validation"], "part of the protocol")
    flags.DEFINE_integer(
        "repeats",
        0,
        "draws of examples a class to detect, of the middle shot; 0: none",
        lower_bound=0,
    )
    flags.DEFINE_float("longer", 1, "times the training steps of every learner", lower_bound=0.1)
    flags.DEFINE_bool("smoke", False, "a few steps of everything, to see that it runs")


def main(_) -> None:
    if not FLAGS.library or not FLAGS.output:
        raise MetaecgError("--library and --output are needed (see --help)")
    names = [n for n in LEARNERS if n == ENCODER or not FLAGS.only or n in FLAGS.only]
    if unknown := set(FLAGS.only or ()) - set(NAMES):
        raise MetaecgError(f"--only: no learner {min(unknown)!r}; there are {', '.join(NAMES)}")
    learners.check_probes(FLAGS.probes)
    ways, shots = (
        command_line.counts("ways", FLAGS.ways, 2),
        command_line.counts("shots", FLAGS.shots),
    )
    output, whole = Path(FLAGS.output).expanduser(), protocols.load(FLAGS.protocol)
    if not getattr(whole.splits[0], FLAGS.part):
        raise MetaecgError(f"--part={FLAGS.part}: protocol {FLAGS.protocol} has no such part")
    splits = [FLAGS.protocol]
    if len(whole.splits) > 1:
        of, oracle = FLAGS.protocol.removesuffix(protocols.ORACLE), protocols.ORACLE * whole.oracle
        splits = [f"{of}:{number}{oracle}" for number in range(len(whole.splits))]
    found: dict[str, list[list[dict[str, Any]]]] = {"rows": [], "detection": []}
    for protocol in splits:
        for seed in range(FLAGS.seeds):
            # A protocol's own file may lie anywhere; its runs lie here.
            folder = output / Path(protocol).name.replace(":", "_") / str(seed)
            try:
                with loop.SigTerm() as sigterm:
                    runs = train_all(names, protocol, seed, folder, sigterm)
            except loop.Terminated as stop:
                print(f"{stop}; the same command goes on from there")
                return
            for kind, rows in _measured(runs, protocol, seed, folder, ways, shots).items():
                found.setdefault(kind, []).append(rows)
            text = _write(found, output, ways[0])
    print(f"{text}\n\ndetails in {output / 'results.json'}")


def _write(found: dict[str, list[list[dict[str, Any]]]], output: Path, way: int) -> str:
    """Writes what is measured so far: after every split, since a command may be interrupted."""
    rows = repeats.combine(found["rows"], FLAGS.seeds)
    kinds = ("unchecked", "rows")
    limits = {kind: [row for each in found.get(kind, ()) for row in each] for kind in kinds}
    detected = repeats.combine_detection(found["detection"], FLAGS.seeds)
    command = f"python -m experiments.compare_learners {shlex.join(sys.argv[1:])}"
    about = {"command": command, "machine": machine.facts(), "protocol": FLAGS.protocol}
    about |= {name: FLAGS[name].value for name in ("part", "encoder", "seeds", "episodes")}
    results = {**about, "rows": rows, "detection": detected, "repeats": found, "note": NOTICE}
    text = json.dumps(results, indent=1, ensure_ascii=False)
    workdir.write_whole(output / "results.json", text)
    best, *_ = repeats.ranked(rows, way)
    named = [f"## Episodes\n\n{repeats.table(rows)}"]
    shown = {}
    for row in detected:
        if row["learner"] != best:
            continue
        shown[f"Detection by statement: {best}, {row['shot']} with X and {row['shot']} without"] = (
            markdown.STATEMENTS,
            markdown.statements(row),
        )
    if detected:
        named.append(f"## Detection\n\n{markdown.detection(detected)}")
    named += [f"## {name}\n\n{markdown.table(*cells)}" for name, cells in shown.items()]
    title = f"{FLAGS.part} part of {FLAGS.protocol}"
    first = filter(None, (markdown.unchecked(limits), markdown.few_patients(limits)))
    text = "\n\n".join((f"# {title}", *first, f"    {command}", *named))
    (output / "table.md").write_text(text + "\n", "utf-8")
    drawn = repeats.best(rows, way)
    plots.shots_curve(plots.by_shot(drawn), chance=1 / way).savefig(output / "shots.svg")
    classes = {}
    shot = repeats.middle([row["shot"] for row in drawn])
    for number, row in enumerate(repeats.by_class(found["rows"], FLAGS.seeds, best, way, shot)):
        where = f"split {number}: " if len(found["rows"]) > FLAGS.seeds else ""
        classes[f"Classes, {where}{best}, {way}-way {shot}-shot"] = row
    page = report.reference_page(f"Few-shot accuracy, {title}", drawn, classes, shown, about)
    (output / "report.html").write_text(page, "utf-8")
    return text


def _measured(
    runs: dict[str, trained.Trained],
    protocol: str,
    seed: int,
    folder: Path,
    ways: list[int],
    shots: list[int],
) -> dict[str, list[dict[str, Any]]]:
    """Of all ways and shots: the runs, and probes of their encoders; read if it was measured."""
    library = build.library(runs[ENCODER].config)
    runs = {**runs, learners.RANDOM: trained.untrained(runs[ENCODER], seed=seed)}
    if not FLAGS.only or FINE_TUNED in FLAGS.only:
        runs[FINE_TUNED] = trained.fine_tuned(runs[ENCODER], rate=_DESCENT["rate"], steps=10)
    asked = {name: FLAGS[name].value for name in ("part", "episodes", "probes", "repeats")}
    rules = protocols.load(protocol)
    asked |= {"ways": ways, "shots": shots}
    asked |= {"library": library.fingerprint, "protocol": rules.digest}
    asked["runs"] = [[name, digest(run.variables)] for name, run in runs.items()]
    kept = folder / "measured.json"
    if kept.exists():
        before = json.loads(kept.read_text("utf-8"))
        if before["asked"] == asked:
            return before["found"]
    found: dict[str, list[dict[str, Any]]] = {"rows": [], "detection": []}
    for way in ways:
        measured = measure.measure(
            runs,
            library,
            rules,
            measure.Wanted(
                part=FLAGS.part,
                way=way,
                shots=shots,
                episodes=FLAGS.episodes,
                seed=0,
                probes=FLAGS.probes,
                probed=PROBED,
                # Detection has two classes, whatever the way: once is enough.
                repeats=FLAGS.repeats if way == ways[0] else 0,
                detected=[repeats.middle(shots)],
                seen=rules.oracle,
            ),
        )
        for kind, rows in measured.items():
            found.setdefault(kind, []).extend(rows)
    workdir.write_whole(kept, json.dumps({"asked": asked, "found": found}))
    return found


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
