"""What a search states, against what is so: probabilities, how many are left, and when to stop."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from scipy.optimize import minimize

from experiments.benchmarks.readers import Archived, first_ranking, left_out, review
from metaecg.search import probability, remaining
from metaecg.search.session import SOON

AT = (100, 300, 1000)
LONGEST = 2000
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


def stopping(of: Mapping[str, Archived], draws: Draws) -> list[dict[str, Any]]:
    """What was expected to be left and what was, and what a reader finds who stops as told.

    Returns:
      a row for each statement, means over the draws: at `AT` readings the number expected to be
      left and the number left; the readings after which the page says that one may stop, or
      `LONGEST`; and the share of the cases that was found by then.
    """
    rows = []
    for code, one in of.items():
        each = [expectation(one, examples, free) for examples, free in draws(one)]
        means = {key: float(np.mean([row[key] for row in each])) for key in each[0]}
        rows.append({"statement": code, "cases": int(one.labels.sum())} | means)
    return rows


def expectation(of: Archived, examples: np.ndarray, free: np.ndarray) -> dict[str, float]:
    """As `stopping`, of one draw. Places are taken as read, 1, 2, 3 …."""
    total, cases = int(free.sum()), int((of.labels & free).sum())
    order = review(of, examples, free, min(LONGEST, total))
    found, row = np.cumsum(of.labels[order]), dict[str, float]()
    prior = remaining.prior(left_out(of, examples, free))

    def expected(read: int, ahead: int) -> float:
        at = np.arange(1, read + 1) / total
        curve = remaining.curve(at, of.labels[order[:read]].astype(float), prior)
        rest = np.arange(read + 1, min(read + ahead, total) + 1) / total
        return float((1 / (1 + np.exp(-curve[0] - curve[1] * probability.log_place(rest)))).sum())

    for read in AT:
        if read <= len(order):
            row[f"expected@{read}"] = expected(read, total)
            row[f"left@{read}"] = float(cases - found[read - 1])
    reads = range(SOON, len(order) + 1, 5)  # every fifth reading will do
    row["read"] = float(next((r for r in reads if expected(r, SOON) < 1), len(order)))
    row["share found"] = float(found[int(row["read"]) - 1] / cases)
    return row
