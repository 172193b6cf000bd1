"""Beats: where they are known, whatever rate, leads and length, and none where there is none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.benchmarks import beat_detection
from metaecg.data.synthetic import generator
from metaecg.errors import MetaecgError
from metaecg.signals import beats

pytestmark = pytest.mark.usefixtures("one_device")
CODES = [condition.code for condition in generator.CONDITIONS]
find = jax.jit(beats.find_beats)


def bumps(times, seconds=10.0, hz=100.0, leads=1, width=0.012):
    """Recordings [1, samples, leads] of narrow bells of 1 mV at the given times in s."""
    t = np.arange(round(seconds * hz)) / hz
    wave = sum(np.exp(-0.5 * ((t - at) / width) ** 2) for at in times)
    return np.repeat(wave[None, :, None], leads, axis=2).astype(np.float32)


def rows(found, record=0):
    return np.asarray(found.peaks.at[record])[np.asarray(found.peaks.real[record])].tolist()


def test_bells_are_found_to_the_sample_and_slots_behind_them_are_empty():
    found = find(jnp.asarray(bumps([0.3, 1.1, 1.9, 3.0, 3.8, 6.0, 9.9])))
    np.testing.assert_allclose(rows(found), [30, 110, 190, 300, 380, 600, 990], atol=1)
    assert found.peaks.at.shape == found.peaks.real.shape == (1, 50)
    assert found.compared.sum() == 5  # the first and the last are cut by the recording's ends
    np.testing.assert_allclose(found.median.max(), 1, atol=0.1)
    assert abs(int(jnp.argmax(found.median[0, :, 0])) - beats.BEFORE) <= 1
    np.testing.assert_allclose(found.unlike, 0, atol=0.02)


@pytest.mark.parametrize("hz", [50, 128, 360, 1000])
@pytest.mark.parametrize("seconds", [5, 12])
def test_a_recording_has_the_same_beats_at_any_rate_and_length(hz, seconds):
    times = np.arange(0.6, seconds - 0.6, 0.83)
    signals = beats.at_standard_rate(jnp.asarray(bumps(times, seconds, hz, width=0.02)), hz)
    assert signals.shape == (1, seconds * beats.HZ, 1)
    found = (np.array(rows(find(signals))) + 0.5) / beats.HZ - 0.5 / hz
    np.testing.assert_allclose(found, times, atol=0.011)


@pytest.mark.parametrize(("samples", "hz"), [(500, 100), (640, 128), (2501, 500), (250, 50)])
def test_cosines_stay_cosines_at_another_rate(samples, hz):
    wanted = round(samples * 100 / hz)
    wave, want = (
        np.cos(np.pi * 7 * (np.arange(n) + 0.5) / n)[None, :, None] for n in (samples, wanted)
    )
    found = beats.at_standard_rate(jnp.asarray(wave, jnp.float32), hz)
    np.testing.assert_allclose(found, want, atol=2e-4)


@pytest.mark.parametrize(("samples", "hz"), [(499, 100), (400, 40)])
def test_what_is_too_short_or_too_coarse_is_refused(samples, hz):
    with pytest.raises(MetaecgError, match=f"{samples} samples at {hz} Hz.*5 s or more"):
        beats.at_standard_rate(jnp.zeros((1, samples, 1)), hz)


@pytest.mark.parametrize("leads", [1, 12])
@pytest.mark.parametrize("kind", ["zero", "constant", "step", "white", "walk", "faint"])
def test_where_there_is_no_beat_none_is_found_and_all_is_zero(kind, leads):
    rng, shape = np.random.default_rng(0), (8, 1000, leads)
    noise = rng.normal(size=shape)
    signals = {
        "zero": np.zeros(shape),
        "constant": np.full(shape, -3.0),
        "step": np.where(np.arange(1000)[None, :, None] < 480, 0.0, 2.0) + np.zeros(shape),
        "white": noise,
        "walk": np.cumsum(noise, axis=1) / 20,
        "faint": 1e-4 * bumps(np.arange(0.5, 10, 0.8), leads=leads) + np.zeros(shape),
    }[kind]
    found = find(jnp.asarray(signals, jnp.float32))
    assert not found.peaks.real.any()
    assert not found.compared.any()
    np.testing.assert_array_equal(found.median, 0)
    np.testing.assert_array_equal(found.unlike, 0)


def test_a_few_beats_of_another_form_do_not_move_the_median_and_are_unlike_it():
    times = np.arange(0.7, 9.4, 0.8)
    plain = bumps(times)
    odd = plain - 2 * bumps(times[[3, 7]], width=0.05)
    median = find(jnp.asarray(plain)).median
    found = find(jnp.asarray(odd))
    assert found.peaks.real.sum() == len(times)
    shifts = (jnp.roll(median, by, axis=1) for by in range(-2, 3))  # where a peak is seen may move
    assert min(float(jnp.abs(found.median - other).max()) for other in shifts) < 0.1
    worst = np.argsort(np.asarray(found.unlike[0]))[-2:]
    assert sorted(worst.tolist()) == [3, 7]
    mean = float(found.unlike.sum() / found.compared.sum())
    assert float(found.spread.mean()) == pytest.approx(mean, rel=1e-5)


def test_more_beats_than_the_median_takes_come_from_the_whole_recording():
    times = np.arange(0.6, 29.4, 0.4)
    found = find(jnp.asarray(bumps(times, 30.0)))
    assert found.peaks.real.sum() == len(times)
    assert found.compared.sum() == beats.MOST
    late = jnp.asarray(bumps(times, 30.0) - 2 * bumps(times[-20:], 30.0, width=0.03))
    assert (find(late).unlike > 0.05).sum() >= 3


@pytest.mark.long
def test_synthetic_beats_are_found():
    signals, middles, condition = beat_detection.synthetic(2)
    found, _ = beat_detection.detect(signals, 100)
    scores = beat_detection.score(found, middles)
    assert scores["sensitivity"] > 0.99
    assert scores["precision"] > 0.99
    flat = [n for n, c in enumerate(condition) if CODES[c] == "NORM"]
    assert all(len(found[n]) >= len(middles[n]) for n in flat)


@pytest.mark.long
def test_one_recording_has_the_beats_it_has_among_others():
    signals = jnp.asarray(beat_detection.synthetic(1)[0][:12])
    together = find(signals)
    alone = jax.tree.map(lambda *x: jnp.concatenate(x), *(find(x[None]) for x in signals))
    mapped = jax.vmap(lambda x: jax.tree.map(lambda y: y[0], beats.find_beats(x[None])))(signals)
    for other in (alone, mapped):
        np.testing.assert_array_equal(other.peaks.real, together.peaks.real)
        np.testing.assert_allclose(other.median, together.median, atol=1e-4)


def test_found_and_known_beats_are_paired_once():
    gaps = beat_detection.match(np.array([1.0, 1.05, 3.0]), np.array([1.01, 2.0, 3.05]))
    np.testing.assert_allclose(gaps, [-0.01, np.nan, -0.05])
    scores = beat_detection.score(
        [np.array([0.2, 1.0, 1.05, 3.0, 4.0])], [np.array([1.01, 2.0, 3.05])]
    )
    assert scores["sensitivity"] == pytest.approx(2 / 3)
    assert scores["precision"] == pytest.approx(2 / 3)  # 0.2 and 4.0 are outside what was marked
    marks = [np.array([1.0, 2.0]), np.array([1.02]), np.array([1.04])]
    np.testing.assert_allclose(beat_detection.agreed(marks), [1.02])


def test_a_folder_that_is_not_ludb_is_named(tmp_path):
    with pytest.raises(MetaecgError, match=r"--ludb=.*no data/\*\.hea"):
        beat_detection.ludb(tmp_path)
