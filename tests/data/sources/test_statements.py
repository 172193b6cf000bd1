"""Names of codes."""

from metaecg.data.sources import statements
from metaecg.data.sources.statements import Statement


def test_names_of_both_systems():
    assert statements.look_up("164889003") == Statement("atrial fibrillation")
    assert statements.look_up("426783006") == Statement("sinus rhythm")
    assert statements.look_up("LNGQT") == Statement("long QT-interval", "diagnostic;form")
    assert statements.look_up("my own class") == Statement("my own class")


def test_counts():
    kinds = [statement.kinds.split(";") for statement in statements.table().values()]
    counts = [sum(kind in k for k in kinds) for kind in ("", "diagnostic", "form", "rhythm")]
    assert counts == [133, 44, 19, 12]
