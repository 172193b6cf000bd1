"""What a search states, against what is so: probabilities, how many are left, and when to stop."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from scipy.optimize import minimize
from tqdm import tqdm

from experiments.benchmarks.readers import Archived, first_ranking, left_out
from metaecg.search import probability
from metaecg.search.archive import Archive
from metaecg.search.question import Example, Question
from metaecg.search.session import SOON, Session

AT = (100, 300)
LONGEST = 600
"""Readings after which a simulated reader stops in any case."""

Draws = Callable[[Archived], Iterator[tuple[np.ndarray, np.ndarray]]]
"""Examples, and which rows are free, of each draw of a statement."""


def fit(of: Mapping[str, Archived], draws: Draws) -> tuple[np.ndarray, float]:
    """The coefficients of `probability`, and its usual mean log place, by logistic regression."""
    kept, usual = [], []
    for one in of.values():
        for examples, free in draws(one):
            places = left_out(one, examples, free)
            order = first_ranking(one, examples, free)
            kept.append((places, one.labels[order]))
            usual.append(np.log(places).mean())
    probability.USUAL = float(np.mean(usual))
    inputs = np.concatenate([probability.features(len(y), places) for places, y in kept])
    sought = np.concatenate([y for _, y in kept])

    def loss(found: np.ndarray) -> tuple[float, np.ndarray]:
        odds = inputs @ found
        slope = inputs.T @ (1 / (1 + np.exp(-odds)) - sought) + 1e-3 * found
        value = np.logaddexp(0, odds).sum() - odds @ sought + 5e-4 * found @ found
        return value / len(sought), slope / len(sought)

    found = minimize(loss, np.array([-5.0, 0, 0, 0]), jac=True, options={"gtol": 1e-9}).x
    return found, probability.USUAL


def reliability(of: Mapping[str, Archived], draws: Draws) -> list[tuple[str, int, str, str]]:
    """Stated probability against the share that is sought, over all statements and draws."""
    edges = np.array([0, 0.02, 0.05, 0.1, 0.2, 0.4, 1])
    sums = np.zeros((len(edges) - 1, 3))
    for one in of.values():
        for examples, free in draws(one):
            order = first_ranking(one, examples, free)
            stated = probability.probabilities(len(order), left_out(one, examples, free))
            at = np.digitize(stated, edges[1:-1])
            for bin in range(len(sums)):
                mine = at == bin
                sums[bin] += mine.sum(), stated[mine].sum(), one.labels[order][mine].sum()
    return [
        (f"{low:g} to {high:g}", int(n), f"{said / max(n, 1):.3f}", f"{true / max(n, 1):.3f}")
        for low, high, (n, said, true) in zip(edges, edges[1:], sums)
    ]


def stopping(archive: Archive, of: Mapping[str, Archived], draws: Draws) -> list[dict[str, Any]]:
    """What a review says is left, what is, and what a reader finds who stops as told.

    Args:
      archive: whose recordings are read.
      of: by statement.
      draws: of each statement's examples.

    Returns:
      a row for each statement, means over the draws: after `AT` readings the number expected to be
      left, the number left, and how often the interval held it; the readings after which the page
      says that one may stop, or `LONGEST`; and the share of the cases that was found by then.
    """
    rows = []
    for code, one in tqdm(of.items(), "stopping"):
        each = [_until_told(archive, one, examples, free) for examples, free in draws(one)]
        means = {key: float(np.mean([row[key] for row in each])) for key in each[0]}
        rows.append({"statement": code, "cases": int(one.labels.sum())} | means)
    return rows


def _until_told(
    archive: Archive, of: Archived, examples: np.ndarray, free: np.ndarray
) -> dict[str, float]:
    """As `stopping`, of one draw, by a session as a user has it."""
    given = tuple(Example(str(row), True, np.zeros((0, 0), np.float32), row) for row in examples)
    known = np.flatnonzero(~free)
    known_as, copies = np.zeros(len(known), int), np.zeros(len(known), bool)
    session = Session(archive, Question(given, of.placed[examples], known, known_as, copies))
    cases, longest = int((of.labels & free).sum()), min(LONGEST, int(free.sum()))
    row, stopped = dict[str, float](), dict[str, float]()
    for read in range(1, longest + 1):
        asked = session.next()
        assert asked is not None
        session.answer(asked[0], "yes" if of.labels[asked[0]] else "no")
        found = len(session.found)
        if read in AT:
            left = session.remaining()
            row[f"expected@{read}"] = left.expected
            row[f"left@{read}"] = float(cases - found)
            row[f"held@{read}"] = float(left.low <= cases - found <= left.high)
        if not stopped and (read == longest or _may_stop(session, read)):
            stopped = {"read": float(read), "share found": found / cases}
    return row | stopped


def _may_stop(session: Session, read: int) -> bool:
    """Whether the page of a review says so; every fifth reading will do."""
    return read >= SOON and read % 5 == 0 and session.remaining().soon < 1
