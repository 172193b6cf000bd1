"""Intervals and axis: near what the generator knows, the same however recorded, None in doubt."""

import json
import os
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.benchmarks import intervals
from metaecg.data import signal as steps
from metaecg.data.synthetic import generator
from metaecg.diagnose import measurements
from metaecg.diagnose.measurements import UNITS, measure
from metaecg.errors import MetaecgError

pytestmark = pytest.mark.usefixtures("one_device")
CODES = [condition.code for condition in generator.CONDITIONS]
LEADS = generator.LEADS
LUDB = os.environ.get("LUDB")


def drawn(code, count, **how):
    """Signals [count, samples, 12] of a condition, and what its plans know."""
    keys = jax.random.split(jax.random.key(3), count)
    signals = [np.asarray(generator.generate(key, CODES.index(code), **how)) for key in keys]
    plans = [generator.plan(key, CODES.index(code), **how) for key in keys]
    return signals, [intervals.planned(plan) for plan in plans]


@pytest.fixture(scope="module")
def normal():
    return drawn("NORM", 6)


def near(one, other, **atol):
    """Whether two recordings have the same numbers, within ms, degrees and beats a minute."""
    assert one.values.keys() == other.values.keys() == UNITS.keys()
    for name, value in one.values.items():
        if value is None or other.values[name] is None:
            assert value is other.values[name], name
        else:
            assert value == pytest.approx(other.values[name], abs=atol.get(name, 1e-3)), name


def test_normal_hearts_are_measured_as_they_were_made(normal):
    signals, known = normal
    for signal, known_values in zip(signals, known):
        found = measure(signal, 100.0, LEADS)
        for name, most in {"rate": 1, "PR": 20, "QRS": 25, "QT": 30, "axis": 10}.items():
            assert found.values[name] == pytest.approx(known_values[name], abs=most), name
        seconds = 60 / found.values["rate"]
        bazett, fridericia = (found.values[f"QTc ({x})"] for x in ("Bazett", "Fridericia"))
        assert bazett == pytest.approx(found.values["QT"] / seconds**0.5)
        assert fridericia == pytest.approx(found.values["QT"] / np.cbrt(seconds))
        assert found.marks["P"] < found.marks["QRS"] < 0 < found.marks["QRS end"]
        assert found.marks["QRS end"] < found.marks["T end"]
        assert found.why == {}


def test_offset_size_and_the_order_of_leads_change_nothing(normal):
    for signal in normal[0][:3]:
        plain = measure(signal, 100.0, LEADS)
        near(measure(signal + np.arange(12), 100.0, LEADS), plain)
        near(measure(2 * signal, 100.0, LEADS), plain)
        near(measure(signal[:, ::-1], 100.0, LEADS[::-1]), plain)
        turned = measure(-signal, 100.0, LEADS)
        assert abs(turned.values["axis"] - plain.values["axis"]) == pytest.approx(180, abs=1e-3)


def test_a_recording_measures_the_same_at_a_higher_rate_and_moved_in_time(normal):
    for signal in normal[0][:3]:
        plain = measure(signal, 100.0, LEADS)
        fine = steps.resample(signal, 100, 500)[0]
        most = {"rate": 1, "PR": 12, "QRS": 8, "QT": 12, "axis": 2}
        most |= {f"QTc ({x})": 14 for x in ("Bazett", "Fridericia")}
        near(measure(fine, 500.0, LEADS), plain, **most)
        near(measure(fine[123:], 500.0, LEADS), plain, **most)


def test_leads_that_are_flat_are_as_if_not_given(normal):
    signal = normal[0][0]
    few = measure(signal[:, :2], 100.0, LEADS[:2])
    flat = signal * (np.arange(12) < 2)
    found = measure(flat, 100.0, LEADS)
    near(found, few)
    assert found.leads == few.leads == 2
    assert found.beat.shape == (measurements.BEFORE + measurements.AFTER, 12)
    assert not found.beat[:, 2:].any()


@pytest.mark.parametrize("leads", [("I",), ("II", "V1"), ("V1", "V6"), ("II", "aVF")])
def test_an_axis_needs_two_limb_leads(leads, normal):
    rows = [[lead.upper() for lead in LEADS].index(lead.upper()) for lead in leads]
    found = measure(normal[0][0][:, rows], 100.0, leads)
    assert found.values["axis"] is None
    assert "I and II" in found.why["axis"]
    assert found.values["QRS"] is not None


@pytest.mark.parametrize("samples", [10, 300, 1000])
@pytest.mark.parametrize("kind", ["zero", "noise", "one beat", "step"])
def test_where_there_is_no_beat_nothing_is_measurable(kind, samples):
    rng = np.random.default_rng(0)
    t = np.arange(samples)[:, None] / 100
    signal = {
        "zero": np.zeros((samples, 12)),
        "noise": rng.normal(size=(samples, 12)),
        "one beat": np.exp(-0.5 * ((t - 5) / 0.02) ** 2) * np.ones(12),
        "step": (t > 5) * np.ones(12),
    }[kind]
    found = measure(signal, 100.0, LEADS)
    assert set(found.values.values()) == {None}
    assert set(found.why) == set(UNITS)
    assert found.as_text() == "nothing: fewer than two beats were found"
    assert not found.beat.any()


def test_bells_without_p_and_t_have_neither():
    t = np.arange(1000)[:, None] / 100
    bells = sum(np.exp(-0.5 * ((t - at) / 0.02) ** 2) for at in np.arange(0.6, 9.6, 0.8))
    noise = np.random.default_rng(1).normal(0, 0.005, (1000, 12))
    found = measure(bells * np.linspace(0.2, 1, 12) + noise, 100.0, LEADS)
    assert found.values["rate"] == pytest.approx(75, abs=0.5)
    assert found.why["PR"] == "no clear P"
    assert found.why["QT"] == found.why["QTc (Bazett)"] == "T is flat"


def test_a_qrs_that_would_last_too_long_is_not_measurable():
    """A wave as steep as QRS after it, as of a pacemaker's artefact or a shaking lead."""
    t = np.arange(1000)[:, None] / 100
    since = (t - 0.6) % 1.0
    bells = np.exp(-0.5 * ((since - 0.3) / 0.015) ** 2)
    shaking = 0.7 * np.sin(6 * np.pi * (since - 0.3) + np.arange(12)) * (since > 0.3)
    found = measure((bells + shaking) * np.linspace(0.5, 1, 12), 100.0, LEADS)
    assert found.values["rate"] == pytest.approx(60, abs=0.5)
    for name in set(UNITS) - {"rate"}:
        assert found.values[name] is None
        assert re.fullmatch(r"QRS would last \d+ ms: where it begins or .*", found.why[name])
    assert found.marks == {}
    assert json.dumps(found.as_json())
    assert found.as_text().count("would last") == 1


def test_a_delta_wave_is_seldom_taken_for_the_end_of_a_long_pr():
    found = [measure(signal, 100.0, LEADS).values["PR"] for signal in drawn("WPW", 6)[0]]
    assert sum(value is not None and value > 150 for value in found) <= 1


def test_no_p_is_measured_in_fibrillation_and_no_number_is_ever_nan():
    told = []
    for code in CODES:
        signal = drawn(code, 1)[0][0]
        found = measure(signal, 100.0, LEADS)
        text = json.dumps(found.as_json(), allow_nan=False)
        assert set(json.loads(text)) == {*UNITS, "ms from R", "rests on"}
        for name, value in found.values.items():
            assert (value is None) == (name in found.why), (code, name)
        for low, name, high in ((20, "rate", 320), (0, "PR", 400), (30, "QRS", 300)):
            value = found.values[name]
            assert value is None or low < value < high, (code, name)
    for signal in drawn("AFIB", 8)[0]:
        told.append(measure(signal, 100.0, LEADS).values["PR"])
    assert told.count(None) >= 7


def test_marks_of_leads_become_the_median_of_those_that_have_them():
    symbols = ["(", "p", ")", "(", "N", ")", "(", "t", ")", "(", "N", ")"]
    times = [0.1, 0.15, 0.2, 0.3, 0.34, 0.4, 0.6, 0.65, 0.7, 1.3, 1.34, 1.4]
    one = intervals.marked(symbols, times)
    other = intervals.marked(symbols, [time + 0.02 for time in times])
    assert [beat.peak for beat in one] == [0.34, 1.34]
    assert np.isnan(one[1].p_begin)
    assert np.isnan(one[1].t_end)
    known = intervals.reference([one, other])
    assert known == pytest.approx({"PR": 200, "QRS": 100, "QT": 400})
    without = intervals.marked(symbols[3:], times[3:])
    assert np.isnan(intervals.reference([one, without, without])["PR"])
    row = intervals.compare([100.0, None, 120.0, 90.0], [90.0, 80.0, 100.0, np.nan])
    assert (row["known"], row["measured"], row["not measured"]) == (3, 2, 1)
    assert (row["measured, not known"], row["bias"], row["mean absolute error"]) == (1, 15, 15)
    assert intervals.compare([179.0, 1.0], [-179.0, 1.0], turn=True)["bias"] == -1


def test_a_folder_that_is_not_ludb_is_named(tmp_path):
    with pytest.raises(MetaecgError, match=r"--input=.*no data/\*\.hea"):
        intervals.ludb(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(LUDB is None, reason="LUDB names no folder of LUDB 1.0.1")
def test_intervals_are_those_of_the_cardiologists():
    _, signals, known = intervals.ludb(Path(LUDB).expanduser())
    brought = (steps.resample(signal, 500, 100)[0] for signal in signals)
    found = [measure(signal, 100.0, steps.STANDARD_LEADS) for signal in brought]
    for name, most, gone in (("QRS", 10, 2), ("QT", 20, 4), ("PR", 20, 18)):
        row = intervals.compare([f.values[name] for f in found], [k[name] for k in known])
        assert row["mean absolute error"] <= most
        assert row["not measured"] <= gone
