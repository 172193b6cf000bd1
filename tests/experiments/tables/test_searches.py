"""The tables of simulated readings, against what their rows say."""

import numpy as np

from experiments.tables import searches


def row(statement, reader, precision, read):
    found = {"precision@20": precision, "found@100": 10.0, "found@300": 20.25}
    ends = {"read@95": np.inf, "read@80 least": read / 2, "read@80 most": np.inf}
    return {"statement": statement, "cases": 30, "reader": reader, "read@80": read} | found | ends


def test_statements_are_rows_and_the_last_row_is_of_all():
    readers = ("review", "mixed", "fixed ranking", "nearest neighbour", "oracle")
    rows = [row("A", name, 0.5, 0.1 + i / 10) for i, name in enumerate(readers)]
    rows += [row("B", name, 0.25, 0.2 + i / 10) for i, name in enumerate(readers)]
    _, _, first, _, last = searches.by_statement(rows, readers).splitlines()
    assert first == (
        "| A | 30 | 0.50 | 10.0 | 20.2 | 0.100 | 0.050 to more | more "
        "| 0.200 | 0.300 | 0.400 | 0.500 |"
    )
    assert last == (
        "| mean, of read@ median |  | 0.375 | 10.0 | 20.2 | 0.150 |  | more "
        "| 0.250 | 0.350 | 0.450 | 0.550 |"
    )
    _, _, review, _ = searches.by_reader(rows, readers[:2]).splitlines()
    assert review == "| review | 0.375 | 10.0 | 20.2 | 0.150 | more |"


def test_what_was_told_is_counted_over_the_draws():
    told = [
        {"statement": name, "cases": 9, "read": read, "share found": 0.8}
        | {f"{which}@{at}": 2.0 for which in ("expected", "left") for at in (100, 300)}
        | {"held@100": held, "held@300": 1.0}
        for name, read, held in (("A", 100.0, 1.0), ("B", 200.0, 0.8))
    ]
    _, _, first, second, last = searches.when_to_stop(told, draws=5).splitlines()
    assert first == "| A | 9 | 2 | 2 | 5 of 5 | 2 | 2 | 5 of 5 | 100 | 80 % |"
    assert second.startswith("| B | 9 | 2 | 2 | 4 of 5 |")
    assert last == "| median |  | 2 | 2 | 9 of 10 | 2 | 2 | 10 of 10 | 150 | 80 % |"
