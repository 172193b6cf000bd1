"""Signal steps against literals and closed forms."""

import numpy as np
import pytest

from metaecg.data import signal as steps
from metaecg.data.signal import SignalError


def test_lead_names():
    usual = {"AVR": "aVR", "avl": "aVL", "MLII": "II", "Lead II": "II", "ECG I": "I", "v6 ": "V6"}
    usual |= {"C3": "V3", "D2": "II", "vx": "VX", "ECG": "ECG", "": ""}
    assert {name: steps.lead_name(name) for name in usual} == usual


def test_leads_are_matched_by_name():
    assert steps.match_leads(["V1", "MLII", "AVF", "I"], ["I", "II", "aVF"]) == [3, 1, 2]


def test_missing_and_repeated_leads_are_errors_that_name_the_known_ones():
    with pytest.raises(SignalError, match=r"lead V6 is missing; the record has I II"):
        steps.match_leads(["I", "II"], ["I", "V6"])
    with pytest.raises(SignalError, match=r"lead II is there 2 times; the record has II MLII"):
        steps.match_leads(["II", "MLII"], ["II"])


def test_units():
    signal = np.array([[1.0, 1000.0, 0.001, 1e6]])
    converted, done = steps.to_millivolts(signal, ["mV", "uV", "V", "nV"])
    np.testing.assert_allclose(converted, [[1, 1, 1, 1]], rtol=1e-15)
    assert done.text == "V mV nV uV to mV"
    same, done = steps.to_millivolts(signal, ["mV"] * 4)
    assert same is signal
    assert done is None
    with pytest.raises(SignalError, match="'mmHg'"):
        steps.to_millivolts(signal, ["mV", "mmHg", "mV", "mV"])


def test_short_gaps_are_interpolated_lead_by_lead():
    nan = np.nan
    signal = np.array([[nan, 0], [1.0, 0], [nan, nan], [nan, 0], [4.0, 0], [nan, 0]])
    filled, done = steps.fill_gaps(signal, hz=10)
    np.testing.assert_allclose(filled, [[1, 0], [1, 0], [2, 0], [3, 0], [4, 0], [4, 0]])
    assert done == ("5 missing samples interpolated", True)
    assert np.isnan(signal).sum() == 5  # the argument is left alone


def test_long_gaps_are_errors():
    signal = np.zeros((100, 1))
    signal[10:13] = np.nan
    with pytest.raises(SignalError, match=r"0\.3 s of samples are missing"):
        steps.fill_gaps(signal, hz=10)
    with pytest.raises(SignalError, match="10 s"):
        steps.fill_gaps(np.full((100, 1), np.nan), hz=10)


def sine(frequency, hz, seconds=10):
    return np.sin(2 * np.pi * frequency * np.arange(seconds * hz) / hz)[:, None]


@pytest.mark.parametrize(("hz", "to"), [(500, 100), (360, 100), (257, 100), (100, 250), (128, 200)])
def test_resampling_keeps_a_sine_and_an_offset(hz, to):
    resampled, done = steps.resample(3 + sine(5, hz), hz, to)
    assert done.text == f"{hz} Hz to {to} Hz"
    assert abs(len(resampled) - 10 * to) <= 1
    expected = 3 + sine(5, to)[: len(resampled)]
    middle = slice(to // 2, -to // 2)
    np.testing.assert_allclose(resampled[middle], expected[middle], atol=0.01)
    np.testing.assert_allclose(resampled, expected, atol=0.3)  # no ringing at the edges


def test_resampling_removes_what_the_new_rate_cannot_hold():
    resampled, _ = steps.resample(sine(90, 500), 500, 100)
    assert np.abs(resampled[20:-20]).max() < 0.01


def test_equal_rates_return_the_very_array():
    signal = sine(5, 100)
    assert steps.resample(signal, 100.0, 100)[0] is signal


@pytest.mark.parametrize(("hz", "to"), [(0, 100), (100, -1), (0.001, 100), (100, 1e-5)])
def test_odd_rates_are_errors(hz, to):
    with pytest.raises(SignalError, match="Hz to"):
        steps.resample(np.zeros((10, 1)), hz, to)


def test_bandpass_has_no_phase_and_removes_wander_and_hum():
    ecg = sine(10, 500)
    filtered, done = steps.bandpass(ecg + 5 + sine(150, 500), 500, 0.5, 40)
    assert done.text == "band-pass 0.5–40 Hz"
    np.testing.assert_allclose(filtered[1000:-1000], ecg[1000:-1000], atol=0.03)


@pytest.mark.parametrize(("low", "high"), [(0, 40), (40, 0.5), (0.5, 50), (1, 1)])
def test_impossible_bands_are_errors(low, high):
    with pytest.raises(SignalError, match="band-pass"):
        steps.bandpass(np.zeros((1000, 1)), 100, low, high)


def test_crop_and_pad():
    signal = np.array([[1.0], [2.0], [3.0]])
    cropped, done = steps.crop_or_pad(signal, 2)
    np.testing.assert_array_equal(cropped, [[1], [2]])
    assert done.text == "first 2 of 3 samples"
    padded, done = steps.crop_or_pad(signal, 5)
    np.testing.assert_array_equal(padded, [[1], [2], [3], [0], [0]])
    assert done == ("3 samples padded with zeros to 5", True)
    assert steps.crop_or_pad(signal, 3) == (signal, None)
    with pytest.raises(SignalError, match="empty"):
        steps.crop_or_pad(np.zeros((0, 1)), 3)


def test_flat_leads_are_named():
    signal = np.array([[1.0, 0, 2], [1.0, 1, 2]])
    assert steps.check_flat(signal, ["I", "II", "V5"]) == ("flat: I V5", True)
    assert steps.check_flat(signal[:, 1:2], ["II"]) is None
    with pytest.raises(SignalError, match="all leads are flat"):
        steps.check_flat(signal[:, ::2], ["I", "V5"])


def test_quantising_rounds_and_refuses_what_does_not_fit():
    units = steps.quantise(np.array([[0.0004, -0.0006, 32.767, -32.767]]), 0.001)
    np.testing.assert_array_equal(units, [[0, -1, 32767, -32767]])
    assert units.dtype == np.int16
    with pytest.raises(SignalError, match=r"amplitude of 32\.768 mV is beyond ±32\.767 mV"):
        steps.quantise(np.array([[32.768]]), 0.001)
    with pytest.raises(SignalError, match="nan"):
        steps.quantise(np.array([[np.nan]]), 0.001)


def test_every_unit_survives_quantising():
    units = np.arange(-32767, 32768)[:, None]
    np.testing.assert_array_equal(steps.quantise(units / 1000, 0.001), units)
