"""Simulated readings of an archive as Markdown tables, the ones of docs/find_and_review.md."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from experiments.tables import markdown

Row = dict[str, Any]


def by_statement(measured: Sequence[Row], readers: Sequence[str]) -> str:
    """What the first reader found of each statement, and read@80 of the others; last, of all.

    Args:
      measured: the rows of `simulated_reading.measure`.
      readers: `readers.READERS`.
    """
    first, *names = readers
    head = ["statement", "cases", "precision@20", "found in 100", "found in 300", "read@80"]
    reviews = [row for row in measured if row["reader"] == first]
    others = [[row for row in measured if row["reader"] == name] for name in names]
    lines = []
    for review, *rest in zip(reviews, *others):
        ends = f"{_share(review['read@80 least'])} to {_share(review['read@80 most'])}"
        cells = [review["statement"], review["cases"], *_found(review), ends]
        lines.append([*cells, _share(review["read@95"]), *(_share(r["read@80"]) for r in rest)])
    review, *rest = (_over_statements(rows) for rows in (reviews, *others))
    cells = ["mean, of read@ median", "", *_found(review, digits=3), "", _share(review["read@95"])]
    lines.append([*cells, *(_share(row["read@80"]) for row in rest)])
    return markdown.table([*head, "least to most", "read@95", *names], lines)


def by_reader(measured: Sequence[Row], readers: Iterable[str]) -> str:
    """Each reader over all statements: means, of read@80 and read@95 medians."""
    head = ["reader", "precision@20", "found in 100", "found in 300", "read@80", "read@95"]
    lines = []
    for reader in readers:
        row = _over_statements([row for row in measured if row["reader"] == reader])
        lines.append([reader, *_found(row, digits=3), _share(row["read@95"])])
    return markdown.table(head, lines)


def when_to_stop(told: Sequence[Row], draws: int) -> str:
    """How many are expected to be left, how many are, and what a reader finds who stops as told.

    Args:
      told: the rows of `stated.stopping`.
      draws: over which they are means.
    """
    head = ["statement", "cases", "expected to be left, 100 read", "left", "the interval held it"]
    head += ["expected to be left, 300 read", "left there", "held there", "readings until told"]
    lines = []
    for row in told:
        at = [_left(row, read, round(draws * row[f"held@{read}"]), draws) for read in (100, 300)]
        cells = [row["statement"], row["cases"], *at[0], *at[1]]
        lines.append([*cells, f"{row['read']:.0f}", _percent(row["share found"])])
    middle = {key: float(np.median([row[key] for row in told])) for key in told[0] if "@" in key}
    all_draws = draws * len(told)
    at = [
        _left(middle, read, round(draws * sum(row[f"held@{read}"] for row in told)), all_draws)
        for read in (100, 300)
    ]
    read, share = (float(np.median([row[key] for row in told])) for key in ("read", "share found"))
    lines.append(["median", "", *at[0], *at[1], f"{read:.0f}", _percent(share)])
    return markdown.table([*head, "found by then"], lines)


def _left(row: Row, read: int, held: int, draws: int) -> list[str]:
    numbers = [f"{row[f'{which}@{read}']:.0f}" for which in ("expected", "left")]
    return [*numbers, f"{held} of {draws}"]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _over_statements(rows: Sequence[Row]) -> Row:
    keys = ("precision@20", "found@100", "found@300", "read@80", "read@95")
    return {
        key: float((np.median if "read" in key else np.mean)([row[key] for row in rows]))
        for key in keys
    }


def _found(row: Row, digits: int = 2) -> list[str]:
    counts = [f"{row[f'found@{at}']:.1f}" for at in (100, 300)]
    return [f"{row['precision@20']:.{digits}f}", *counts, _share(row["read@80"])]


def _share(value: float) -> str:
    """A share of random order's readings; infinite where the reading ended before."""
    return f"{value:.3f}" if np.isfinite(value) else "more"
