"""What is taken for what, counted by hand, and the published table beside the statements' kinds."""

import csv
from pathlib import Path

import numpy as np

from experiments.tables import confused
from metaecg.data import protocols
from metaecg.data.sources import statements
from metaecg.types import Episode

DOCS = Path(__file__).parents[3] / "docs"


def test_shares_are_of_the_queries_where_both_are_candidates():
    episodes = Episode(
        classes=np.array([[0, 1], [2, 0]]),
        support=np.zeros((2, 2), int),
        support_slots=np.array([[0, 1], [0, 1]]),
        query=np.zeros((2, 3), int),
        query_slots=np.array([[0, 0, 1], [0, 1, 1]]),
    )
    answers = np.array([[0, 1, 0], [0, 0, 0]])
    share, asked = confused.confusion(answers, episodes, 3)
    # Class 0 was asked twice beside 1 (once right, once taken for 1), twice beside 2 (both wrong).
    np.testing.assert_allclose(share, [[0.25, 0.5, 1], [1, 0, 0], [0, 0, 1]])
    assert asked.tolist() == [4, 1, 1]


def test_the_published_table_has_all_test_statements_and_their_kinds():
    lines = (DOCS / "results" / "rare_confused.csv").read_text("utf-8").splitlines()
    _, *rows = csv.reader(line for line in lines if not line.startswith("#"))
    assert {row[0] for row in rows} == set(protocols.load("ptbxl_rare").splits[0].test)
    for code, meaning, kind, *_ in rows:
        assert statements.look_up(code) == (meaning, kind.replace(", ", ";"))
    kinds = [kind.split(",")[0] for _, _, kind, *_ in rows]
    assert [kinds.count(kind) for kind in ("diagnostic", "rhythm", "form")] == [16, 3, 2]
