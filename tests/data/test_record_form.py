"""The form of a library: limb leads that are computed, and recordings that are cut."""

import numpy as np
import pytest

from metaecg.data.readers.recordings import Recording, adapt
from metaecg.data.record_form import Recorded, Target, pieces, transform
from metaecg.data.signal import STANDARD_LEADS, SignalError

RNG = np.random.default_rng(0)
ONE, TWO = RNG.normal(0, 0.3, (2, 1000)).round(2)
CHEST = RNG.normal(0, 0.5, (6, 1000)).round(3)
LIMB = {
    "I": ONE,
    "II": TWO,
    "III": TWO - ONE,
    "aVR": -(ONE + TWO) / 2,
    "aVL": ONE - TWO / 2,
    "aVF": TWO - ONE / 2,
}
ALL = LIMB | {f"V{n + 1}": chest for n, chest in enumerate(CHEST)}
TARGET = Target(100.0, 10.0, STANDARD_LEADS)


def recorded(names):
    return np.stack([ALL[name] for name in names], axis=1)


@pytest.mark.parametrize("pair", [("I", "II"), ("II", "III"), ("aVR", "aVF"), ("III", "aVL")])
@pytest.mark.parametrize("unit", ["mV", "uV"])
def test_an_import_computes_the_limb_leads_that_a_diagnosis_computes(pair, unit):
    names = ("V3", *pair, "V1", "V2", "V6", "V5", "V4")
    mv = recorded(names)
    file = np.column_stack([mv * (1000 if unit == "uV" else 1), RNG.normal(size=1000)])
    signal, notes = transform(file, 100.0, [unit] * 8 + ["bpm"], [*names, "HR"], TARGET)
    np.testing.assert_allclose(signal / 1000, recorded(STANDARD_LEADS), atol=0.0006)
    adapted, _ = adapt(
        Recording(mv, 100.0, names, "r", ()), hz=100, leads=STANDARD_LEADS, samples=1000
    )
    # A diagnosis removes constant offsets, which a library keeps.
    np.testing.assert_allclose(
        adapted, signal / 1000 - np.median(signal / 1000, axis=0), atol=0.0021
    )
    computed = [lead for lead in LIMB if lead not in pair]
    used = [lead for lead in LIMB if lead in pair]
    assert f"{' '.join(computed)} computed from {' and '.join(used)}" in [n.text for n in notes]


def test_leads_that_nothing_determines_are_asked_for():
    for names in (("I", "V1"), ("V1", "V2")):
        with pytest.raises(SignalError, match=r"lead \S+ is missing"):
            transform(recorded(names), 100.0, ["mV", "mV"], names, TARGET)
    with pytest.raises(SignalError, match="lead V1 is missing"):
        transform(recorded(("I", "II")), 100.0, ["mV"] * 2, ("I", "II"), TARGET)
    units = ["mV", "mV", "bpm"]
    with pytest.raises(SignalError, match="unit 'bpm'"):
        transform(recorded(("I", "II", "V1")), 100.0, units, ("I", "II", "V1"), TARGET)


def test_leads_that_are_there_are_not_computed_anew():
    names, mv = STANDARD_LEADS, recorded(STANDARD_LEADS)
    mv[:, 2] += 0.5  # III contradicts the others; what the file says is kept
    signal, notes = transform(mv, 100.0, ["mV"] * 12, names, TARGET)
    np.testing.assert_array_equal(signal, np.rint(mv / 0.001))
    assert notes == ()


@pytest.mark.parametrize(
    ("samples", "hz", "seconds", "starts"),
    [
        (1000, 100.0, 10.0, [0]),
        (999, 100.0, 10.0, [0]),
        (1999, 100.0, 10.0, [0]),
        (3050, 100.0, 10.0, [0, 10, 20]),
        (1000, 360.0, 0.5, [0, 0.5, 1.0, 1.5, 2.0]),
        (2500, 249.9, 2.5, [0, 2.5, 5, 7.5]),
    ],
)
def test_a_recording_is_cut_into_whole_pieces(samples, hz, seconds, starts):
    signal = np.arange(samples, dtype=float)[:, None]
    target = Target(hz, seconds, ("I",), cut=True)
    found = list(pieces(Recorded(signal, hz, ["mV"], ["I"]), target))
    assert [start for start, _ in found] == starts
    for (start, piece), after in zip(found, [*found[1:], None]):
        assert piece.signal[0, 0] == round(start * hz)
        if after:  # without a gap and without an overlap
            assert piece.signal[-1, 0] + 1 == after[1].signal[0, 0]
    whole = list(pieces(Recorded(signal, hz, ["mV"], ["I"]), target._replace(cut=False)))
    assert [(start, len(piece.signal)) for start, piece in whole] == [(0, samples)]
