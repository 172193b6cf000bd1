"""Reasons: each is said once with its count, whatever the names of the files it begins with."""

import pytest

from metaecg.data.reasons import Reasons


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "none"),
        (
            [("a/r1", "r1.dat: missing"), ("b", "no label"), ("a/r2", "r2.dat: missing")],
            "2 × *.dat: missing (first: 'a/r1'); 1 × no label (first: 'b')",
        ),
        # A name elsewhere than at the start is a part of the reason, as are numbers.
        ([("1", "0.1 s of 1.dat: short")], "1 × 0.1 s of 1.dat: short (first: '1')"),
        ([("a.csv", "/in/a.csv: line\n2"), ("b.csv", "/in/b.csv: line 2")],
         "2 × *.csv: line 2 (first: 'a.csv')"),
        ([("a+", "a+.dat: missing")], "1 × *.dat: missing (first: 'a+')"),
        (
            [(f"{n}", f"reason {min(n, 6)}") for n in range(8)],
            "2 × reason 6 (first: '6'); 1 × reason 0 (first: '0'); 1 × reason 1 (first: '1'); "
            "1 × reason 2 (first: '2'); 1 × reason 3 (first: '3'); 2 other reasons",
        ),
    ],
)  # fmt: skip
def test_the_commonest_reasons_are_said_once(given, said):
    reasons = Reasons()
    for path, reason in given:
        reasons.add(path, reason)
    assert str(reasons) == said
