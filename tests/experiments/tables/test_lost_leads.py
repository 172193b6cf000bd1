"""What experiments.tables.lost_leads reads of a library."""

import numpy as np

from experiments.tables import lost_leads
from metaecg.data.library import Library

LEADS = ("I", "II", "V1", "V2")
LIBRARY = Library(
    signals=np.arange(1, 3 * 5 * 4 + 1, dtype=np.int16).reshape(3, 5, 4),
    labels=np.eye(3, dtype=bool),
    vocabulary=("A", "B", "C"),
    patients=np.array([7, 8, 9]),
    leads=LEADS,
    scale=0.002,
)


def test_only_what_is_lost_is_zero():
    found = lost_leads.part_without(LIBRARY, np.array([2, 0]), ["V1"])
    assert (found.leads, found.scale) == (LEADS, 0.002)
    assert not found.signals[:, :, 2].any()
    kept = [0, 1, 3]
    np.testing.assert_array_equal(found.signals[:, :, kept], LIBRARY.signals[[2, 0]][:, :, kept])
    np.testing.assert_array_equal(found.labels, LIBRARY.labels[[2, 0]])
    assert LIBRARY.signals.all()  # the library itself stays as it is


def test_leads_are_taken_in_the_order_of_the_model():
    found = lost_leads.part_of_leads(LIBRARY, np.array([1]), ("V2", "I"))
    assert found.leads == ("V2", "I")
    np.testing.assert_array_equal(found.signals[0], LIBRARY.signals[1][:, [3, 0]])
