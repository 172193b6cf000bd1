"""What is measured of a table's learners: episodes, orders of the support, leaks, detection."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from experiments.runs import build, machine, trained
from experiments.tables import learners, markdown
from metaecg import evaluate
from metaecg.data import protocols
from metaecg.data.library import Library
from metaecg.episodes import evaluation_sets
from metaecg.errors import MetaecgError
from metaecg.evaluate import detection, statistics
from metaecg.types import Episode


class Wanted(NamedTuple):
    """What is to be measured.

    Attributes:
      part: of the protocol.
      way, shots, episodes, seed: of the episodes; learners that cannot read as many examples are
        left out of that shot.
      query: records asked of each class; the fewest that a run was trained with if None.
      probes: names of probes that read encoders as well.
      probed: of which runs; of all that embed records if None.
      orders: random orders of the support that learners of sequences read, averaged; 0 for none.
      leaks: score with the faults of public loaders as well.
      repeats: draws of examples for each class to be detected; 0 leaves detection out.
      detected: of `shots`, those of detection; all if None.
      seen: runs may have been trained on the measured classes, in other patients.
    """

    part: str
    way: int
    shots: Sequence[int]
    episodes: int
    seed: int = 0
    query: int | None = None
    probes: Sequence[str] = ()
    probed: Collection[str] | None = None
    orders: int = 0
    leaks: bool = False
    repeats: int = 0
    detected: Collection[int] | None = None
    seen: bool = False


def measure(
    runs: dict[str, trained.Trained],
    library: Library,
    protocol: protocols.Protocol,
    wanted: Wanted,
    ensemble: dict[str, trained.Trained] | None = None,
) -> dict[str, list[Any]]:
    """Tables by name, each a list of rows; differences are paired with the first learner.

    Where something could not be compared with what a run was trained on, `unchecked` holds a
    line for each such thing, and comes first.

    Args:
      runs: trained runs by name.
      library: what to draw from.
      protocol: with one split.
      wanted: what to measure of them.
      ensemble: runs whose whitened embeddings probes read as one, beside the others.
    """
    part, way, shots, seed = wanted.part, wanted.way, wanted.shots, wanted.seed
    splits = protocols.disjoint_parts(library, protocol)
    if not splits[part].classes:
        raise MetaecgError(f"protocol {protocol.name} has no {part} part: choose another --part")
    unchecked: list[str] = []
    for name, run in {**runs, **(ensemble or {})}.items():
        unchecked += trained.check_unseen(
            run,
            library,
            [splits[part]],
            name=name,
            remedy="give --seen to score it as a yardstick of full labels",
            seen=wanted.seen,
        )
    measured = build.part(library, protocol, part)
    rows = learners.table_learners(
        runs,
        list(wanted.probes),
        measured,
        library,
        protocol,
        probed=wanted.probed,
        ensemble=ensemble,
    )
    query = wanted.query or min(run.config.query for run in runs.values())
    found: dict[str, list[Any]] = {"unchecked": unchecked} if unchecked else {}
    found["rows"] = []
    main = next(iter(rows))  # differences are from it
    for shot in shots:
        drawn = evaluation_sets.balanced(
            measured.data.index,
            seed,
            wanted.episodes,
            way=way,
            shot=shot,
            query=query,
            names=measured.classes,
        )
        able = {name: row for name, row in rows.items() if row.fits(way, shot)}
        if short := sorted(rows.keys() - able.keys()):
            print(f"{way}-way {shot}-shot is more than these can read: {', '.join(short)}")
        found["rows"] += of_episodes(able, main, measured, drawn, shot, wanted.orders)
        if wanted.leaks:
            found.setdefault("leaks", []).extend(_leaks(able, measured, drawn, shot, seed))
        if wanted.repeats and shot in (wanted.detected or shots):
            able = {name: row for name, row in rows.items() if row.fits(2, shot)}
            answers = _detect(able, main, measured, shot, wanted.repeats, seed)
            found.setdefault("detection", []).extend(answers)
    adjust(found["rows"])
    return found


def finish(rows: list[dict[str, Any]], output: str | None, **about: Any) -> None:
    """Adjusts the rows' p, prints the table and writes it as JSON, if a file is named.

    Args:
      rows: of `of_episodes`.
      output: the file, or None.
      **about: what else the file says, beside the machine.
    """
    adjust(rows)
    print(markdown.episodes(rows))
    if output:
        text = json.dumps({"machine": machine.facts(), **about, "rows": rows}, indent=1)
        Path(output).expanduser().write_text(text, "utf-8")


def adjust(rows: list[dict[str, Any]]) -> None:
    """Adds to the rows with a difference its p, adjusted for all of them (Holm 1979)."""
    compared = [row for row in rows if "p" in row]
    for row, p in zip(compared, statistics.holm([row["p"] for row in compared])):
        row["p_holm"] = p


def _predict(row: learners.TableLearner, part: build.Part, episodes: Episode):
    slots = row.slots(episodes.classes.shape[-1])
    return evaluate.predict(
        row.learner, row.variables, part.data, episodes, slots, embeddings=row.embeddings
    )


def by_shot(
    rows: dict[str, learners.TableLearner],
    main: str,
    part: build.Part,
    shots: Sequence[int],
    *,
    way: int,
    query: int,
    episodes: int,
    seed: int,
) -> list[dict[str, Any]]:
    """The rows of `of_episodes` at each number of examples, in as many episodes of a seed."""
    found = []
    for shot in shots:
        kind: dict[str, Any] = {"way": way, "shot": shot, "query": query}
        kind["names"] = part.classes
        drawn = evaluation_sets.balanced(part.data.index, seed, episodes, **kind)
        found += of_episodes(rows, main, part, drawn, shot)
    return found


def of_episodes(
    rows: dict[str, learners.TableLearner],
    main: str,
    part: build.Part,
    episodes: Episode,
    shot: int,
    orders: int = 0,
) -> list[dict[str, Any]]:
    """A row for each learner's answers in the same episodes; differences are from `main`.

    Args:
      rows: what answers, by name.
      main: its name among them.
      part: the measured part.
      episodes: leaves [E, ...].
      shot: examples of a class.
      orders: as of `Wanted`.
    """
    patients = np.asarray(part.data.index.patients)
    way = episodes.classes.shape[-1]
    query = episodes.query.shape[-1] // way
    found, first = [], None

    def add(name: str, said: evaluate.Predictions, **more: Any) -> None:
        nonlocal first
        row = {"learner": name, "way": way, "shot": shot, "query": query, **more}
        row |= evaluate.summarise(said, part.classes, patients)
        if name == main:
            first = said
        elif first is not None:  # the main learner may read fewer examples than these
            found_gap = evaluate.paired_over_patients(first, said, patients)
            row |= {"difference": evaluate.paired_difference(first, said)}
            row |= {"difference_patients95": found_gap.interval, "p": found_gap.p}
        found.append(row)

    for name, learner in tqdm(rows.items(), unit="learner", desc=f"{shot}-shot", leave=False):
        said = _predict(learner, part, episodes)
        add(name, said)
        if orders and learner.learner.limits.ordered:
            others = (evaluation_sets.reordered(episodes, k) for k in range(1, orders))
            every = [said, *(_predict(learner, part, other) for other in others)]
            ensembled, sensitivity = evaluate.over_orders(every)
            add(f"{name}, mean of {orders} orders", ensembled, order=sensitivity)
    return found


def _leaks(
    rows: dict[str, learners.TableLearner],
    part: build.Part,
    episodes: Episode,
    shot: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Each learner's accuracy on clean episodes and, the classes the same, on leaky ones.

    All are drawn in the same way, the clean ones too: those of the other tables use records evenly.
    """
    leaks = (None, *evaluation_sets.LEAKS)
    drawn = {leak: evaluation_sets.redrawn(part.data.index, episodes, leak, seed) for leak in leaks}
    found = []
    for name, learner in rows.items():
        clean = np.zeros(0)
        for leak, spoiled in drawn.items():
            accuracy = _predict(learner, part, spoiled).correct.mean(1)
            clean = accuracy if leak is None else clean
            row: dict[str, Any] = {"learner": name, "way": episodes.classes.shape[-1]}
            row |= {"shot": shot, "leak": leak, "accuracy": float(accuracy.mean())}
            if leak is not None:
                row["added"] = statistics.interval(accuracy - clean)
            found.append(row)
    return found


def _detect(
    rows: dict[str, learners.TableLearner],
    main: str,
    part: build.Part,
    shot: int,
    repeats: int,
    seed: int,
) -> list[dict[str, Any]]:
    index = part.data.index
    questions = detection.draw_questions(index, seed, shot=shot, repeats=repeats)
    if any(row.embeddings is None for row in rows.values()):
        signals = jnp.asarray(part.data.signals[:], jnp.float32) * part.data.scale
    found: list[dict[str, Any]] = []
    first = None
    for name, row in tqdm(rows.items(), unit="learner", desc="detection", leave=False):
        records = signals if row.embeddings is None else row.embeddings
        said = detection.answer(row.learner, row.variables, records, questions, row.slots(2))
        scored = detection.score(questions, said, index, part.classes)
        found.append({"learner": name, "shot": shot, "repeats": repeats, **scored.summary})
        if name == main:
            first = scored
        elif first is not None:
            found[-1]["difference"] = detection.difference(first, scored, questions, index)
    return found
