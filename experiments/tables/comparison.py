"""The reference benchmark's measurements, kept as they come, and its pages."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from experiments.runs import build, trained, workdir
from experiments.tables import compared_learners, learners, markdown, measure, repeats
from metaecg import NOTICE
from metaecg.data import protocols
from metaecg.figures import plots, report
from metaecg.train.checkpoints import digest

Found = dict[str, list[list[dict[str, Any]]]]
"""Tables by name: for each split and seed, its rows."""


class Asked(NamedTuple):
    """What is measured of every split and seed.

    Attributes:
      part: of the protocol.
      ways, shots, episodes: of the episodes.
      probes: names of the probes that read `PROBED` encoders as well.
      repeats: draws of examples for each class to be detected; 0 leaves detection out.
      fine_tuned: measure the first encoder fine-tuned on each support as well.
    """

    part: str
    ways: list[int]
    shots: list[int]
    episodes: int
    probes: list[str]
    repeats: int
    fine_tuned: bool


def measured(
    runs: dict[str, trained.Trained], protocol: str, seed: int, folder: Path, asked: Asked
) -> dict[str, list[dict[str, Any]]]:
    """The tables of one split and seed: of all ways and shots, the runs and probes of encoders.

    They are kept in the folder and read there if the same was measured of the same runs before.
    """
    library = build.library(runs[compared_learners.ENCODER].config)
    first = runs[compared_learners.ENCODER]
    runs = {**runs, learners.RANDOM: trained.untrained(first, seed=seed)}
    if asked.fine_tuned:
        runs[compared_learners.FINE_TUNED] = trained.fine_tuned(
            first, rate=compared_learners.DESCENT["rate"], steps=10
        )
    rules = protocols.load(protocol)
    key: dict[str, Any] = dict(asked._asdict())
    del key["fine_tuned"]  # it is among the runs
    key |= {"library": library.fingerprint, "protocol": rules.digest}
    key["runs"] = [[name, digest(run.variables)] for name, run in runs.items()]
    kept = folder / "measured.json"
    if kept.exists():
        before = json.loads(kept.read_text("utf-8"))
        if before["asked"] == key:
            return before["found"]
    found: dict[str, list[dict[str, Any]]] = {"rows": [], "detection": []}
    for way in asked.ways:
        wanted = measure.Wanted(
            part=asked.part,
            way=way,
            shots=asked.shots,
            episodes=asked.episodes,
            seed=0,
            probes=asked.probes,
            probed=compared_learners.PROBED,
            # Detection has two classes, whatever the way: once is enough.
            repeats=asked.repeats if way == asked.ways[0] else 0,
            detected=[repeats.middle(asked.shots)],
            seen=rules.oracle,
        )
        for kind, rows in measure.measure(runs, library, rules, wanted).items():
            found.setdefault(kind, []).extend(rows)
    workdir.write_whole(kept, json.dumps({"asked": key, "found": found}))
    return found


def write(found: Found, output: Path, *, way: int, seeds: int, about: dict[str, Any]) -> str:
    """Writes results.json, table.md, shots.svg and report.html; returns the table's text.

    Args:
      found: what is measured so far.
      output: the folder.
      way: of the figures.
      seeds: how many there are of a split.
      about: of the command, for results.json; its `command`, `part` and `protocol` are shown.
    """
    rows = repeats.combine(found["rows"], seeds)
    kinds = ("unchecked", "rows")
    limits = {kind: [row for each in found.get(kind, ()) for row in each] for kind in kinds}
    detected = repeats.combine_detection(found["detection"], seeds)
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
    title = f"{about['part']} part of {about['protocol']}"
    first = filter(None, (markdown.unchecked(limits), markdown.few_patients(limits)))
    text = "\n\n".join((f"# {title}", *first, f"    {about['command']}", *named))
    (output / "table.md").write_text(text + "\n", "utf-8")
    drawn = repeats.best(rows, way)
    plots.shots_curve(plots.by_shot(drawn), chance=1 / way).savefig(output / "shots.svg")
    classes = {}
    shot = repeats.middle([row["shot"] for row in drawn])
    for number, row in enumerate(repeats.by_class(found["rows"], seeds, best, way, shot)):
        where = f"split {number}: " if len(found["rows"]) > seeds else ""
        classes[f"Classes, {where}{best}, {way}-way {shot}-shot"] = row
    page = report.reference_page(f"Few-shot accuracy, {title}", drawn, classes, shown, about)
    (output / "report.html").write_text(page, "utf-8")
    return text
