"""The reference benchmark: every learner on one protocol, over its splits or several seeds.

    python -m experiments.reference --library=LIBRARY --protocol=ptbxl_21_5 --output=DIR

All learners start from the same supervised encoder of the same split and seed, and answer the same
test episodes. Every run resumes where it stopped, and one that is done is only read, so that the
command may be interrupted and given again. results.json, table.md and shots.svg lie in --output.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from experiments import (
    assemble,
    cli,
    contenders,
    loop,
    machine,
    measure,
    tables,
    train,
    trained,
    workdir,
)
from experiments.configs import common, ptbxl
from metaecg import detection, plots
from metaecg.data import protocols
from metaecg.errors import MetaecgError
from metaecg.learners import probes

FLAGS = flags.FLAGS

ENCODER = "supervised encoder"
"""The run that all others start from, and the first of the table: its nearest centroid."""

FINE_TUNED = "fine-tuned supervised encoder"
"""On each support, all of it: gradient descent of a run that is not trained any further."""

_HEAD = {"freeze_encoder": True, "steps": 200, "batch": 16, "learning_rate": 1e-3}
_TUNED = {"steps": 150, "batch": 4, "learning_rate": 3e-4}
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
    "ProtoNet (whitened)": {"learner": "protonet", "cosine": True, "whiten": True, **_TUNED},
    "ProtoNet (whitened; combinations)": {
        "learner": "protonet",
        "cosine": True,
        "whiten": True,
        "combinations": 100,
        **_TUNED,
    },
    "MAML": {"learner": "maml", "maml": _DESCENT, **_ADAPTED},
    "FOMAML": {"learner": "maml", "maml": {**_DESCENT, "first_order": True}, **_ADAPTED},
    "Reptile": {
        "learner": "finetune",
        "maml": _DESCENT,
        "update": "reptile",
        "inner": {"steps": 5},
        **_ADAPTED,
    },
}
"""Settings of each learner over those of experiments/configs/ptbxl.py."""

NAMES = (*LEARNERS, FINE_TUNED)

PROBED = {
    ENCODER,
    "ProtoNet (whitened)",
    "ProtoNet (whitened; combinations)",
    contenders.RANDOM,
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
    """The configuration of one learner on one split; its encoder's folder stands beside its own."""
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
    common.validate(config)
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
        raw = raw or train.open_parts(config)
        if config.freeze_encoder and embedded is None:
            embedded = train.embed(raw, config, runs[ENCODER])
        data = embedded if config.freeze_encoder and embedded else raw
        train.train_stage(config, where, data, sigterm)
        runs[name] = trained.load(where)
    return runs


def _file(name: str) -> str:
    return name.replace(" ", "_")


def combine(repeats: list[list[dict[str, Any]]], seeds: int = 1) -> list[dict[str, Any]]:
    """One row a learner, way and shot: means over splits and seeds.

    Intervals are those of the mean, from the intervals of each repeat. The seeds of a split answer
    the same episodes and make them no narrower. `each` says how far the repeats lie apart.

    Args:
      repeats: rows of each split and seed, the seeds of a split one after another.
      seeds: how many there are of a split.
    """
    combined = []
    for (learner, way, shot), rows in _alike(repeats, ("learner", "way", "shot")).items():
        row = {"learner": learner, "way": way, "shot": shot}
        row |= {key: _mean(rows, key) for key in ("accuracy", "macro_auroc", "ece", "brier")}
        row["each"] = [r["accuracy"] for r in rows]
        row["accuracy_ci95"] = _half([r["accuracy_ci95"] for r in rows], seeds)
        ends = [(r["accuracy"], *r["accuracy_patients95"]) for r in rows]
        row["accuracy_patients95"] = _within(ends, seeds)[1:]
        if all("difference" in r for r in rows):
            means, halves = zip(*(r["difference"] for r in rows))
            row["difference"] = (float(np.mean(means)), _half(halves, seeds))
            ends = [(r["difference"][0], *r["difference_patients95"]) for r in rows]
            row["difference_patients95"] = _within(ends, seeds)[1:]
        combined.append(row)
    return combined


def combine_detection(repeats: list[list[dict[str, Any]]], seeds: int = 1) -> list[dict[str, Any]]:
    """One row a learner and shot: means over splits and seeds, as `combine` takes them."""
    combined = []
    for (learner, shot), rows in _alike(repeats, ("learner", "shot")).items():
        macro: dict[str, Any] = {}
        for score in detection.SCORES:
            ends = [(r["macro"][score], *r["macro"][f"{score}_ci95"]) for r in rows]
            macro[score], *macro[f"{score}_ci95"] = _within(ends, seeds)
        row = {"learner": learner, "shot": shot, "macro": macro}
        if all("difference" in r for r in rows):
            ends = [r["difference"]["auroc"] for r in rows]
            row["difference"] = {"auroc": _within(ends, seeds)}
        combined.append(row)
    return combined


def _alike(repeats: list[list[dict[str, Any]]], keys: tuple[str, ...]) -> dict[Any, list[Any]]:
    """The rows of all repeats that say the same under `keys`, together."""
    kinds: dict[Any, list[Any]] = {}
    for rows in repeats:
        for row in rows:
            kinds.setdefault(tuple(row[key] for key in keys), []).append(row)
    return kinds


def _mean(rows: list[dict[str, Any]], key: str) -> float:
    return float(np.mean([row[key] for row in rows]))


def _half(halves: Any, seeds: int) -> float:
    """Half-width of the mean's interval: splits independent, the seeds of each as one."""
    splits = [np.mean(halves[first : first + seeds]) for first in range(0, len(halves), seeds)]
    return float(np.sqrt(np.sum(np.square(splits))) / len(splits))


def _within(ends: Any, seeds: int) -> tuple[float, float, float]:
    """Mean, low and high of (value, low, high) of each repeat, by the rule of `_half`."""
    value, low, high = np.transpose(ends)
    mean = float(value.mean())
    return mean, mean - _half(value - low, seeds), mean + _half(high - value, seeds)


def figure(rows: list[dict[str, Any]], way: int) -> Any:
    """Accuracy against shots, with intervals over patients, of the seven best learners at most."""
    chosen = [row for row in rows if row["way"] == way]
    best = sorted({r["learner"] for r in chosen}, key=lambda name: -_best(chosen, name))[:7]
    series = {
        name: [
            (r["shot"], r["accuracy"], *r["accuracy_patients95"])
            for r in chosen
            if r["learner"] == name
        ]
        for name in best
    }
    return plots.shots_curve(series, chance=1 / way)


def _best(rows: list[dict[str, Any]], name: str) -> float:
    return max(row["accuracy"] for row in rows if row["learner"] == name)


def table(rows: list[dict[str, Any]]) -> str:
    """The combined rows as Markdown, a table for each way; more is said of its middle shot."""
    return "\n\n".join(_of_way(rows, way) for way in dict.fromkeys(row["way"] for row in rows))


def _of_way(rows: list[dict[str, Any]], way: int) -> str:
    mine = {(row["learner"], row["shot"]): row for row in rows if row["way"] == way}
    shots = sorted({shot for _, shot in mine})
    middle = _middle(shots)
    more = ("over patients", "first − this", "over patients", "macro-AUROC", "ECE", "each")
    heads = [f"{way}-way", *(f"{n}-shot" for n in shots), *(f"{x}, {middle}-shot" for x in more)]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for learner in dict.fromkeys(learner for learner, _ in mine):
        cells = [learner]
        for shot in shots:
            row = mine.get((learner, shot))
            cells.append("{accuracy:.3f} ± {accuracy_ci95:.3f}".format(**row) if row else "")
        row = mine.get((learner, middle))
        cells += _more(row) if row else [""] * len(more)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _middle(shots: list[int]) -> int:
    return sorted(shots)[len(shots) // 2]


def _more(row: dict[str, Any]) -> list[str]:
    gap = ["", ""]
    if "difference" in row:
        gap = ["{:+.3f} ± {:.3f}".format(*row["difference"])]
        gap.append("{:+.3f} to {:+.3f}".format(*row["difference_patients95"]))
    cells = ["{:.3f}–{:.3f}".format(*row["accuracy_patients95"]), *gap]
    cells += [f"{row[key]:.3f}" for key in ("macro_auroc", "ece")]
    return [*cells, " ".join(f"{accuracy:.3f}" for accuracy in row["each"])]


def define_flags() -> None:
    flags.DEFINE_string("library", None, "library made by experiments.prepare from PTB-XL")
    flags.DEFINE_string("protocol", "ptbxl_rare", "protocol; all of its splits are taken")
    flags.DEFINE_string("output", None, "folder for runs, results.json, table.md and shots.svg")
    flags.DEFINE_string("encoder", "small", "encoder of all learners")
    flags.DEFINE_integer("seeds", 1, "training seeds", lower_bound=1)
    flags.DEFINE_list("only", None, "learners, as the table names them; all if not given")
    flags.DEFINE_list("probes", ["cosine", "ridge", "whitened", "whitened_ridge"], "of encoders")
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
    if unknown := set(FLAGS.probes) - set(probes.PROBES):
        raise MetaecgError(
            f"--probes: no probe {min(unknown)!r}; there are {', '.join(probes.PROBES)}"
        )
    ways, shots = cli.counts("ways", FLAGS.ways, 2), cli.counts("shots", FLAGS.shots)
    output, whole = Path(FLAGS.output).expanduser(), protocols.load(FLAGS.protocol)
    if not getattr(whole.splits[0], FLAGS.part):
        raise MetaecgError(f"--part={FLAGS.part}: protocol {FLAGS.protocol} has no such part")
    splits = [FLAGS.protocol]
    if len(whole.splits) > 1:
        of, known = FLAGS.protocol.removesuffix(protocols.KNOWN), protocols.KNOWN * whole.known
        splits = [f"{of}:{number}{known}" for number in range(len(whole.splits))]
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
            for kind, rows in _measured(runs, protocol, ways, shots).items():
                found[kind].append(rows)
            text = _write(found, output, ways[0])
    print(f"{text}\n\ndetails in {output / 'results.json'}")


def _write(found: dict[str, list[list[dict[str, Any]]]], output: Path, way: int) -> str:
    """Writes what is measured so far: after every split, since a command may be interrupted."""
    rows = combine(found["rows"], FLAGS.seeds)
    detected = combine_detection(found["detection"], FLAGS.seeds)
    results = {"machine": machine.facts(), "protocol": FLAGS.protocol, "rows": rows}
    results |= {"detection": detected, "repeats": found}
    text = json.dumps(results, indent=1, ensure_ascii=False)
    (output / "results.json").write_text(text, "utf-8")
    figure(rows, way).savefig(output / "shots.svg")
    text = table(rows)
    if detected:
        text += "\n\n" + tables.detection(detected)
    (output / "table.md").write_text(text + "\n", "utf-8")
    return text


def _measured(
    runs: dict[str, trained.Trained], protocol: str, ways: list[int], shots: list[int]
) -> dict[str, list[dict[str, Any]]]:
    """Of all ways and shots: the runs, and probes of their encoders."""
    library = assemble.library(runs[ENCODER].config)
    runs = {**runs, contenders.RANDOM: trained.untrained(runs[ENCODER])}
    if not FLAGS.only or FINE_TUNED in FLAGS.only:
        runs[FINE_TUNED] = trained.fine_tuned(runs[ENCODER], rate=_DESCENT["rate"], steps=10)
    found: dict[str, list[dict[str, Any]]] = {"rows": [], "detection": []}
    rules = protocols.load(protocol)
    for way in ways:
        measured = measure.measure(
            runs,
            library,
            rules,
            part=FLAGS.part,
            way=way,
            shots=shots,
            episodes=FLAGS.episodes,
            seed=0,
            probes=FLAGS.probes,
            probed=PROBED,
            # Detection has two classes, whatever the way: once is enough.
            repeats=FLAGS.repeats if way == ways[0] else 0,
            detected=[_middle(shots)],
            seen=rules.known,
        )
        for kind, rows in measured.items():
            found[kind] += rows
    return found


if __name__ == "__main__":
    define_flags()
    cli.run(main)
