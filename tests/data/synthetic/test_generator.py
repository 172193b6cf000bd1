"""Synthetic ECGs against textbook ranges, measured from the signals alone.

The ranges are those of the standards that metaecg/data/synthetic/conditions.toml names: [AHA-2] to
[AHA-6], [UDMI], [SVT], [BRADY] and [CHOU].
"""

import dataclasses
import itertools
import json
from importlib import resources

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaecg.data import LibraryError, open_library, protocols, synthetic, writing
from metaecg.data.synthetic import CONDITIONS, LEADS, generator, heart

HZ = 250
EACH = 16
CODES = [c.code for c in CONDITIONS]
LEAD = {name: i for i, name in enumerate(LEADS)}
INDEPENDENT = [LEAD[name] for name in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")]
CHUNKS = range(0, len(CODES) * EACH, 64)  # as the library's, so that nothing compiles twice
RNG = np.random.default_rng(0)


def draw_all():
    keys = jax.random.split(jax.random.key(7), len(CODES) * EACH)
    conditions = jnp.repeat(jnp.arange(len(CODES)), EACH)
    return keys, conditions


@pytest.fixture(scope="module")
def drawn():
    """EACH records of every condition, every one of its own patient: [C, EACH, S, 12] in mV."""
    keys, conditions = draw_all()
    render = jax.vmap(lambda key, c: synthetic.generate(key, c, hz=HZ))
    chunks = [np.asarray(render(keys[i : i + 64], conditions[i : i + 64])) for i in CHUNKS]
    return np.concatenate(chunks).reshape(len(CODES), EACH, -1, 12)


@pytest.fixture(scope="module")
def beats():
    """The tables of activations of the same records: `Beats` of [C, EACH, N]."""
    keys, conditions = draw_all()

    def table(key, condition):
        sizes = heart.deviates_needed(10.0)
        patient = jax.random.fold_in(key, 1)
        record, person = (generator._deviates(k, n) for k, n in zip((key, patient), sizes))
        return generator._plan(record, person, condition, condition, hz=HZ, seconds=10.0).beats

    chunks = [jax.vmap(table)(keys[i : i + 64], conditions[i : i + 64]) for i in CHUNKS]
    shape = (len(CODES), EACH, -1)
    return jax.tree.map(lambda *parts: np.concatenate(parts).reshape(shape), *chunks)


@pytest.fixture(scope="module")
def of(drawn):
    """Code -> what `measure` finds, as arrays over the records."""
    cache = {}

    def look_up(code):
        if code not in cache:
            share = 0.8 if code == "HYPERK" else 0.42  # its T is as steep as others' QRS
            rows = [measure(ecg, share) for ecg in drawn[CODES.index(code)]]
            cache[code] = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        return cache[code]

    return look_up


# --- an independent measuring routine ------------------------------------------------------------


def smooth(x, seconds):
    width = max(1, round(seconds * HZ)) | 1
    kernel = np.hanning(width + 2)[1:-1]
    return np.apply_along_axis(np.convolve, 0, x, kernel / kernel.sum(), "same")


def find_beats(ecg, share=0.42):
    """Sample of each QRS: where the leads together change fastest; `share` of the steepest."""
    speed = np.sqrt((np.gradient(smooth(ecg[:, INDEPENDENT], 0.02), axis=0) ** 2).sum(1))
    speed = smooth(speed[:, None], 0.07)[:, 0]
    high = share * np.quantile(speed, 0.985)
    beats: list[int] = []
    for i in range(1, len(speed) - 1):
        if speed[i] > high and speed[i] >= speed[i - 1] and speed[i] > speed[i + 1]:
            if beats and i - beats[-1] < 0.24 * HZ:
                if speed[i] > speed[beats[-1]]:
                    beats[-1] = i
            else:
                beats.append(i)
    return np.array(beats)


def measure(ecg, share=0.42):
    """Intervals (s), axis (degrees) and levels (mV) of a record's average beat."""
    beats = find_beats(ecg, share)
    rr = np.diff(beats) / HZ
    before, behind = round(0.46 * HZ), round(0.75 * HZ)
    whole = [b for b in beats if b >= before and b + behind < len(ecg)]
    beat = np.median([ecg[b - before : b + behind] for b in whole], 0)

    speed = np.sqrt((np.gradient(smooth(beat[:, INDEPENDENT], 0.012), axis=0) ** 2).sum(1))
    fast = speed > 0.07 * speed[before - 15 : before + 15].max()
    onset = offset = before
    while onset > before - 0.16 * HZ and fast[onset - 3 : onset].any():
        onset -= 1
    while offset < before + 0.16 * HZ and fast[offset + 1 : offset + 4].any():
        offset += 1
    level = np.median(beat[onset - 6 : onset - 1], 0)
    beat = beat - level

    found = {"rate": 60 / rr.mean(), "irregularity": rr.std() / rr.mean()}
    found["longest"], found["shortest"] = rr.max() / np.median(rr), rr.min() / np.median(rr)
    found["qrs"] = (offset - onset + 1) / HZ
    area = beat[onset : offset + 1].sum(0)
    found["axis"] = np.degrees(np.arctan2(area[LEAD["aVF"]] * 2 / np.sqrt(3), area[LEAD["I"]]))

    # P: the last hump of I + II before QRS; it begins where it leaves its foot.
    p = smooth(beat[:, [LEAD["I"]]] + beat[:, [LEAD["II"]]], 0.03)[: onset - 3, 0]
    peak = len(p) - 6
    while peak > 8 and not (
        p[peak] == p[peak - 6 : peak + 7].max() and p[peak] - p[peak:].min() > 0.03
    ):
        peak -= 1
    foot = np.median(p[max(0, peak - 40) : max(1, peak - 18)])
    start = peak
    while start > peak - 0.1 * HZ and p[start] - foot > 0.12 * (p[peak] - foot):
        start -= 1
    found["pr"] = (onset - start) / HZ
    found["p"] = smooth(beat[:, [LEAD["II"]]], 0.012)[peak - 4 : peak + 5].max() - foot / 2

    after = smooth(beat[:, [LEAD["V1"]]], 0.03)[peak : min(peak + 20, onset - 2), 0]
    found["p V1"] = after.min() if len(after) else 0.0  # the left atrium's part

    # T ends where its steepest descent meets the baseline, in the lead where T is largest.
    last = min(len(beat), offset + round(0.93 * np.median(rr) * HZ) - (offset - onset) - 35)
    tail = smooth(beat, 0.04)[offset + 15 : max(last, offset + 45)]
    lead = INDEPENDENT[int(np.argmax(np.abs(tail[:, INDEPENDENT]).max(0)))]
    t = tail[:, lead] * np.sign(tail[np.argmax(np.abs(tail[:, lead])), lead])
    top = int(np.argmax(t))
    slope = np.gradient(t)
    steep = top + int(np.argmin(slope[top : top + round(0.16 * HZ)]))
    end = steep - t[steep] / slope[steep]
    found["qt"] = (offset + 15 + end - onset) / HZ
    found["qtc"] = found["qt"] / np.cbrt(np.median(rr))
    for name, i in LEAD.items():
        complex_ = beat[onset : offset + 1, i]
        peak_r = int(np.argmax(complex_))
        found[f"R {name}"], found[f"S {name}"] = complex_.max(), -complex_[peak_r:].min()
        found[f"Q {name}"] = -complex_[: peak_r + 1].min()
        found[f"late {name}"] = complex_[2 * len(complex_) // 3 :].mean()
        found[f"ST {name}"] = beat[offset + round(0.04 * HZ), i]
        found[f"T {name}"] = tail[np.argmax(np.abs(tail[:, i])), i]
    found["beat"] = beat[::5]
    return found


# --- what the signals are ------------------------------------------------------------------------


def test_table_has_the_conditions():
    assert len(CODES) == len(set(CODES)) >= 30
    families = {c.family for c in CONDITIONS}
    source = {"premature beats", "escape beats", "tachycardia", "hypertrophy", "ischaemia"}
    assert source | {"infarction"} <= families  # the source's six
    more = {"conduction block", "fibrillation and flutter", "pre-excitation", "pacing"}
    assert more | {"QT and electrolytes"} <= families
    assert all(c.alters in ("rhythm", "waves", "both") for c in CONDITIONS)
    assert all(c.source.startswith("[") for c in CONDITIONS)


def test_finite_and_plausible(drawn):
    assert drawn.dtype == np.float32
    assert drawn.shape[2:] == (10 * HZ, 12)
    assert np.isfinite(drawn).all()
    assert np.abs(drawn).max() < 7
    assert (drawn.std(2) > 0.01).all()  # no flat lead


def test_einthoven(drawn):
    lead = {name: drawn[..., i].astype(float) for name, i in LEAD.items()}
    one, two = lead["I"], lead["II"]
    for name, expected in {
        "III": two - one,
        "aVR": -(one + two) / 2,
        "aVL": one - two / 2,
        "aVF": two - one / 2,
    }.items():
        np.testing.assert_allclose(lead[name], expected, atol=2e-6)


def test_loop_equals_vmap(drawn):
    keys, conditions = draw_all()
    for row in RNG.integers(0, len(keys), 4):
        one = synthetic.generate(keys[row], conditions[row], hz=HZ)
        np.testing.assert_allclose(one, drawn[divmod(row, EACH)], atol=2e-4)
        again = synthetic.generate(keys[row], conditions[row], hz=HZ)
        np.testing.assert_array_equal(one, again)


def test_patient_stays_and_record_changes():
    """Records of a patient share a heart: they differ, but less than those of several patients."""
    keys, _ = draw_all()
    found = {name: np.zeros((4, 3)) for name in ("axis", "R V5", "T V4")}
    for patient in range(4):
        for record in range(3):
            key = keys[3 * patient + record]
            ecg = synthetic.generate(key, CODES.index("NORM"), hz=HZ, patient=keys[patient])
            measured = measure(np.asarray(ecg))
            for name, values in found.items():
                values[patient, record] = measured[name]
    for name, values in found.items():
        assert (np.ptp(values, 1) > 0).all(), name
        assert values.std(1).mean() < 0.5 * values.mean(1).std(), name


# --- textbook ranges -----------------------------------------------------------------------------

RANGES = [
    # rate, beats per minute
    ("NORM", "rate", 60, 100, "[CHOU]"),
    ("SBRAD", "rate", 30, 60, "[BRADY]"),
    ("STACH", "rate", 100, 160, "[SVT]"),
    ("SVTAC", "rate", 150, 220, "[SVT]"),
    ("VTach", "rate", 100, 250, "[CHOU]"),
    ("JE", "rate", 38, 60, "[BRADY] 40-60"),
    ("2AVB", "rate", 25, 55, "[BRADY] half the sinus rate"),
    ("3AVB", "rate", 20, 50, "[BRADY]"),
    # PR, s
    ("NORM", "pr", 0.12, 0.20, "[CHOU]"),
    ("CLBBB", "pr", 0.11, 0.21, "[CHOU]"),
    ("1AVB", "pr", 0.20, 0.40, "[BRADY]"),
    ("2AVB2", "pr", 0.12, 0.24, "[BRADY] normal when conducted"),
    # QRS duration, s
    ("NORM", "qrs", 0.07, 0.112, "[AHA-3] up to 0.11"),
    ("LAFB", "qrs", 0.08, 0.124, "[AHA-3] below 0.12"),
    ("LPFB", "qrs", 0.08, 0.124, "[AHA-3] below 0.12"),
    ("IRBBB", "qrs", 0.10, 0.124, "[AHA-3] 0.11-0.12"),
    ("ILBBB", "qrs", 0.10, 0.124, "[AHA-3] 0.11-0.12"),
    ("CRBBB", "qrs", 0.12, 0.19, "[AHA-3] 0.12 or more"),
    ("CLBBB", "qrs", 0.12, 0.20, "[AHA-3] 0.12 or more"),
    ("WPW", "qrs", 0.11, 0.18, "[SVT] over 0.11"),
    ("VTach", "qrs", 0.14, 0.26, "[CHOU] over 0.14"),
    ("HYPERK", "qrs", 0.10, 0.18, "[CHOU] broad"),
    # QT, s by Fridericia
    ("NORM", "qtc", 0.36, 0.46, "[AHA-4] below 0.45-0.46"),
    ("SBRAD", "qtc", 0.36, 0.46, "[AHA-4]"),
    ("LNGQT", "qtc", 0.46, 0.62, "[AHA-4] above 0.46"),
    ("HYPOCA", "qtc", 0.46, 0.62, "[CHOU]"),
    ("SQT", "qtc", 0.26, 0.345, "[AHA-4] below 0.34-0.36"),
    # frontal axis, degrees
    ("NORM", "axis", -30, 90, "[AHA-3]"),
    ("LAFB", "axis", -90, -45, "[AHA-3]"),
    ("LPFB", "axis", 90, 180, "[AHA-3]"),
    ("RVH", "axis", 90, 180, "[AHA-5]"),
    # voltages, mV
    ("NORM", "p", 0.03, 0.25, "[AHA-5]"),
    ("RAO/RAE", "p", 0.25, 0.6, "[AHA-5] above 0.25"),
    ("LAO/LAE", "p V1", -0.6, -0.085, "[AHA-5] terminal force"),
    ("NORM", "p V1", -0.1, 0.05, "[AHA-5]"),
    ("NORM", "R V1", 0.05, 0.6, "[AHA-5]"),
    ("RVH", "R V1", 0.6, 2.0, "[AHA-5] above 0.6-0.7"),
    ("LVH", "sokolow", 3.5, 8.0, "[AHA-5] above 3.5"),
    ("NORM", "sokolow", 1.0, 3.6, "[AHA-5] below 3.5"),
    ("LVOLT", "R II", 0.05, 0.5, "[AHA-2] below 0.5"),
    ("LVOLT", "R V4", 0.05, 1.0, "[AHA-2] below 1.0"),
    # bundle branch block: who fires last
    ("CRBBB", "late V1", 0.15, 2.0, "[AHA-3] R' in V1"),
    ("CRBBB", "late V6", -1.0, -0.1, "[AHA-3] S in V6"),
    ("CLBBB", "late V1", -2.0, -0.1, "[AHA-3]"),
    ("CLBBB", "late V6", 0.1, 2.0, "[AHA-3]"),
    ("CLBBB", "Q V6", -0.2, 0.03, "[AHA-3] no q"),
    # Q waves, mV
    ("NORM", "Q aVF", -0.2, 0.1, "[UDMI]"),
    ("IMI", "Q aVF", 0.1, 1.5, "[UDMI] 0.1 or more"),
    ("LMI", "Q aVL", 0.1, 1.5, "[UDMI]"),
    ("AMI", "Q V3", 0.1, 2.0, "[UDMI]"),
    ("ASMI", "R V1", -0.1, 0.1, "[UDMI] QS"),
    ("ASMI", "R V2", -0.1, 0.15, "[UDMI] QS"),
    ("PMI", "R V2", 0.7, 3.0, "[UDMI] R/S above 1"),
    ("SEHYP", "Q V6", 0.12, 1.5, "[CHOU]"),
    # ST 40 ms after the J point, mV
    ("NORM", "ST V5", -0.05, 0.1, "[AHA-6]"),
    ("NORM", "ST aVF", -0.05, 0.1, "[AHA-6]"),
    ("STEMI-I", "ST aVF", 0.1, 0.9, "[UDMI] 0.1 or more"),
    ("STEMI-I", "ST aVL", -0.8, -0.05, "[AHA-6] reciprocal"),
    ("STEMI-A", "ST V2", 0.2, 1.0, "[UDMI] 0.2 or more in V2 and V3"),
    ("STEMI-A", "ST V3", 0.2, 1.2, "[UDMI]"),
    ("ANEUR", "ST V2", 0.1, 0.6, "[CHOU]"),
    ("BRU", "ST V1", 0.18, 0.8, "[AHA-4] 0.2 or more"),
    ("STE_", "ST V5", 0.1, 0.5, "[AHA-6]"),
    ("STE_", "ST aVR", -0.4, -0.05, "[CHOU] depressed in aVR alone"),
    ("ISC_", "ST V5", -0.5, -0.1, "[AHA-6] 0.1 or more"),
    ("ISC_", "ST aVR", 0.05, 0.4, "[AHA-6]"),
    ("DIG", "ST V5", -0.4, -0.08, "[CHOU]"),
    # T, mV
    ("NORM", "T V4", 0.1, 1.2, "[AHA-4]"),
    ("NORM", "T aVR", -0.8, -0.03, "[AHA-4]"),
    ("ISCAN", "T V2", -1.5, -0.1, "[AHA-4]"),
    ("ISCIN", "T aVF", -1.0, -0.1, "[AHA-4]"),
    ("ISCAL", "T V5", -1.2, -0.1, "[AHA-4]"),
    ("INVT", "T V5", -0.9, -0.1, "[AHA-4]"),
    ("LVH", "T V6", -1.0, 0.0, "[AHA-5] strain"),
    ("CLBBB", "T V6", -1.2, -0.05, "[AHA-3] discordant"),
    ("CLBBB", "T V1", 0.1, 2.0, "[AHA-3] discordant"),
    ("LOWT", "T V5", -0.15, 0.15, "[AHA-4] below a tenth of R"),
    ("HYPERK", "T V4", 0.7, 3.0, "[CHOU]"),
]


@pytest.mark.parametrize(("code", "name", "low", "high", "source"), RANGES)
def test_textbook_range(of, code, name, low, high, source):
    found = of(code)
    value = found["S V1"] + found["R V5"] if name == "sokolow" else found[name]
    inside = (value >= low) & (value <= high)
    assert low <= np.median(value) <= high, f"{source}: {np.round(value, 3)}"
    assert inside.mean() >= 0.8, f"{source}: {np.round(value, 3)}"


def test_r_grows_from_v1_to_v5(of):
    r = np.array([np.median(of("NORM")[f"R {lead}"]) for lead in ("V1", "V3", "V4")])
    assert (np.diff(r) > 0.15).all()
    r_over_s = [np.median(of("NORM")[f"R {v}"] - of("NORM")[f"S {v}"]) for v in ("V1", "V2", "V5")]
    assert max(r_over_s[:2]) < 0 < r_over_s[2]  # rS in V1 and V2, Rs in V5


# --- rhythm --------------------------------------------------------------------------------------


def test_regular_and_irregular_rhythms(of):
    assert np.median(of("NORM")["irregularity"]) < 0.05
    assert np.median(of("STACH")["irregularity"]) < 0.03
    assert np.median(of("SVTAC")["irregularity"]) < 0.02
    assert 0.08 < np.median(of("SARRH")["irregularity"]) < 0.3
    assert np.median(of("AFIB")["irregularity"]) > 0.15


def test_dropped_beats_and_pauses(of):
    for code in ("2AVB2", "SAB"):  # a beat is missing: twice the interval
        assert 1.85 < np.median(of(code)["longest"]) < 2.15, code
    longest = np.median(of("2AVB1")["longest"])  # Wenckebach's pause is shorter than two PP
    assert 1.4 < longest < 1.95
    assert 1.4 < np.median(of("JEB")["longest"]) < 2.0
    assert np.median(of("PAC")["shortest"]) < 0.75
    assert np.median(of("SVB")["irregularity"]) > 0.15


def test_premature_ventricular_beats(beats):
    """Wide, early, and followed by a full compensatory pause."""
    index = CODES.index("PVC")
    for record in range(EACH):
        p, qrs, wide = (x[index, record] for x in (beats.atria, beats.ventricles, beats.wide))
        early = [i for i in np.flatnonzero(wide) if 0 < qrs[i] < 10]
        assert early
        for i in early:
            assert 0.4 < (qrs[i] - qrs[i - 1]) / (p[i] - p[i - 1]) < 0.8
            np.testing.assert_allclose(qrs[i + 1] - qrs[i - 1], p[i + 1] - p[i - 1], atol=1e-4)
    for code, every in (("BIGU", 2), ("TRIGU", 3)):
        wide = beats.wide[CODES.index(code)]
        assert (np.diff(np.flatnonzero(wide.reshape(-1)[: wide.shape[1]])) == every).all()


def test_atrioventricular_conduction(beats):
    def pr(code):
        i = CODES.index(code)
        return beats.ventricles[i] - beats.atria[i], beats.ventricles_gain[i] > 0

    delay, conducted = pr("WPW")
    assert conducted.all()
    assert (delay < 0.12).all()  # [SVT]
    delay, conducted = pr("2AVB1")
    both = conducted[:, 1:] & conducted[:, :-1]
    assert (np.diff(delay)[both] > 0.005).all()  # each PR longer than the last
    assert (~conducted).any(1).all()
    delay, conducted = pr("2AVB2")
    assert (~conducted).any(1).all()
    assert (np.ptp(delay, 1) < 1e-4).all()
    delay, _ = pr("3AVB")  # atria and ventricles go their own ways
    assert (np.ptp(delay, 1) > 1).all()
    atria, ventricles = (np.diff(x[CODES.index("3AVB")]).mean(1) for x in beats[0:4:3])
    assert (atria < 0.8 * ventricles).all()


def test_flutter_and_fibrillation_waves(drawn):
    """Between QRS, flutter is one line at 250-330/min in II; fibrillation is 350-600/min in V1."""
    hz = np.fft.rfftfreq(drawn.shape[2], 1 / HZ)

    def share(code, lead, low, high):
        power = np.abs(np.fft.rfft(drawn[CODES.index(code), :, :, LEAD[lead]])) ** 2
        band = power[:, (hz > low) & (hz < high)]
        return (band.max(1) / power[:, (hz > 3) & (hz < 12)].mean(1)).mean()

    assert share("AFLT", "aVF", 250 / 60, 330 / 60) > 2 * share("NORM", "aVF", 250 / 60, 330 / 60)


def test_pacing_spikes(drawn):
    steep = np.abs(np.diff(drawn[CODES.index("PACE"), :, :, LEAD["V3"]], axis=1)).max(1)
    assert (steep > 0.08).all()


@pytest.fixture(scope="module")
def measurements(of, drawn):
    """Everything measured, and how the signals repeat themselves: [C, EACH, measurements]."""
    names = ["rate", "irregularity", "longest", "shortest", "pr", "p", "p V1", "qrs", "qtc", "axis"]
    names += [f"{wave} {lead}" for wave in ("R", "S", "Q", "late", "ST", "T") for lead in LEADS]
    values = np.array([[of(code)[name] for name in names] for code in CODES])
    shapes = [of(code)["beat"][:, :, [LEAD["I"], LEAD["II"]]].mean(2) for code in CODES]
    speed = np.abs(np.diff(drawn[..., INDEPENDENT], axis=2)).sum(-1)
    speed = speed[:, :, : speed.shape[2] // 25 * 25].reshape(len(CODES), EACH, -1, 25).mean(-1)
    uneven = np.stack([np.quantile(speed, q, -1) / speed.mean(-1) for q in (0.1, 0.5, 0.9)], -1)
    speed -= speed.mean(-1, keepdims=True)
    again = [(speed[..., lag:] * speed[..., : speed.shape[2] - lag]).mean(-1) for lag in range(21)]
    repeats = np.stack(again[1:], -1) / again[0][..., None]
    return np.concatenate([np.moveaxis(values, 1, 2), repeats, uneven, np.stack(shapes)], -1)


def test_nearest_centroid(measurements):
    """The nearest class median, of other patients, is mostly the right one of 60."""
    fit, test = measurements[:, : EACH // 2], measurements[:, EACH // 2 :]
    median = np.median(fit, 1)
    spread = 1.5 * np.median(np.abs(fit - median[:, None]), 1).mean(0) + 0.02
    distance = np.abs((test[:, :, None] - median) / spread).clip(0, 6).sum(-1)  # [C, n, C]
    hits = distance.argmin(-1) == np.arange(len(CODES))[:, None]
    assert 0.6 < hits.mean() < 0.95  # recognisable, and not trivially so


def test_no_two_conditions_alike(measurements):
    """Of any two conditions some measurement differs: chance alone gives an AUC of about .8."""
    for a, b in itertools.combinations(range(len(CODES)), 2):
        larger = measurements[a][:, None] - measurements[b][None]
        auc = ((larger > 0) + 0.5 * (larger == 0)).mean((0, 1))
        assert 0.5 + np.abs(auc - 0.5).max() >= 0.82, (CODES[a], CODES[b])


# --- the library ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def library():
    return synthetic.library(patients=66, seed=3, hz=HZ, leads=("II",))


def test_library(library):
    assert library.signals.shape[1:] == (10 * HZ, 1)
    assert library.signals.dtype == np.int16
    assert (library.leads, library.hz, library.scale) == (("II",), HZ, 0.001)
    assert library.vocabulary == tuple(CODES)
    assert library.kinds == tuple(c.family for c in CONDITIONS)
    assert len(np.unique(library.patients)) == 66
    records = np.bincount(library.patients)
    assert set(records) == {1, 2, 3}
    assert (library.signals.std(1) > 5).all()
    for patient in range(66):  # fold and diagnoses go with the patient
        own = library.patients == patient
        assert (library.labels[own] == library.labels[own][0]).all()
        assert len(np.unique(library.folds[own])) == 1
    assert set(library.folds) == set(range(1, 11))


def test_library_is_multi_label(library):
    carried = library.labels.sum(1)
    assert set(carried) == {1, 2}
    assert 0.03 < (carried == 2).mean() < 0.25
    alters = np.array([c.alters for c in CONDITIONS])
    for labels in library.labels[carried == 2]:
        assert sorted(alters[labels]) == ["rhythm", "waves"]
        assert not labels[CODES.index("NORM")]
    patients = [len(set(library.patients[column])) for column in library.labels.T]
    assert min(patients) >= 1


def test_library_is_deterministic(library):
    again = synthetic.library(patients=66, seed=3, hz=HZ, leads=("II",))
    assert again.fingerprint == library.fingerprint
    other = synthetic.library(patients=66, seed=4, hz=HZ, leads=("II",))
    assert other.fingerprint != library.fingerprint


@pytest.mark.long
def test_library_of_the_source():
    """30 s at 200 Hz of one lead [0051]."""
    library = synthetic.library(patients=60, hz=200, seconds=30, leads=("II",))
    assert library.signals.shape[1:] == (6000, 1)
    assert (np.abs(library.signals).max(1) < 7000).all()
    # To the last second there is activity: the table of activations reaches far enough.
    assert (np.ptp(library.signals[:, -800:], axis=1) > 50).all()


def test_library_names_what_is_wrong():
    with pytest.raises(ValueError, match="V7"):
        synthetic.library(leads=("II", "V7"))
    with pytest.raises(ValueError, match="0 is fewer than 1"):
        synthetic.library(patients=0)


def test_protocol_parts_the_conditions():
    path = resources.files("metaecg.data").joinpath("protocols/synthetic.json")
    protocol = json.loads(path.read_text())
    parts = [protocol[part] for part in protocols.PARTS]
    assert sorted(code for part in parts for code in part) == sorted(CODES)
    train, validation, test = (len(part) for part in parts)
    assert (train, validation, test) == (36, 9, 15)
    family = {c.code: c.family for c in CONDITIONS}
    assert all(len({family[code] for code in part}) >= 5 for part in parts)


@pytest.mark.long
def test_a_synthetic_library_is_identified_by_its_arguments(tmp_path):
    made = generator.library(patients=3, seed=5)
    rounded = dataclasses.replace(made, signals=made.signals ^ 1)  # as another CPU may round
    assert rounded.fingerprint == made.fingerprint
    writing.save(rounded, tmp_path / "a")
    opened = open_library(tmp_path / "a")
    assert opened.fingerprint == made.fingerprint
    del opened.__dict__["fingerprint"]
    assert opened.fingerprint == made.fingerprint
    np.testing.assert_array_equal(opened.signals, rounded.signals)
    others = ({"seed": 6}, {"patients": 4}, {"leads": ("II",)})
    base = {"patients": 3, "seed": 5}
    prints = [generator.library(**base | other).fingerprint for other in others]
    assert len({made.fingerprint, *prints}) == 4
    signals = tmp_path / "a" / "signals.npy"
    signals.write_bytes(b"\0" + signals.read_bytes()[1:])
    with pytest.raises(LibraryError, match=r"signals\.npy"):
        open_library(tmp_path / "a")


LIMBS, CHEST = ("I", "II", "III", "aVR", "aVL", "aVF"), ("V1", "V2", "V3", "V4", "V5", "V6")


def _span(found, leads):
    return np.max(
        [found[f"R {v}"] + np.maximum(found[f"S {v}"], found[f"Q {v}"]) for v in leads], 0
    )


# What a statement is by definition, so that every record has it.
CRITERIA = {
    "LVOLT": lambda m: (_span(m, LIMBS) < 0.5) & (_span(m, CHEST) < 1.0),
    "RVH": lambda m: (m["R V1"] > 0.7) & (m["R V1"] > m["S V1"]) & (m["axis"] > 90),
    "LVH": lambda m: m["S V1"] + m["R V5"] > 3.5,
    "HVOLT": lambda m: m["S V1"] + m["R V5"] > 3.5,
    "RAO/RAE": lambda m: m["p"] > 0.25,
    "BRU": lambda m: (m["ST V1"] >= 0.2) & (m["ST V2"] >= 0.2) & (m["T V1"] < 0) & (m["T V2"] < 0),
}


@pytest.fixture(scope="module")
def render():
    return jax.jit(jax.vmap(lambda key, condition: synthetic.generate(key, condition, hz=HZ)))


@pytest.mark.parametrize(
    "code",
    [pytest.param(c, marks=pytest.mark.long) if c == "LVOLT" else c for c in CRITERIA],
)
def test_records_meet_the_criterion_of_their_statement(render, code):
    """448 other patients; at most one in a hundred may be lost to the noise of the measurement."""
    keys = jax.random.split(jax.random.key(1234 + CODES.index(code)), (7, 64))
    condition = jnp.full(64, CODES.index(code), jnp.int32)
    rows = [measure(ecg) for part in keys for ecg in np.asarray(render(part, condition))]
    found = {name: np.array([row[name] for row in rows]) for name in rows[0] if name != "beat"}
    assert (~CRITERIA[code](found)).mean() <= 0.01


def test_the_delta_wave_is_a_slur_and_no_step():
    """Along the direction of R the potential rises ever faster until R's own upstroke is over."""
    qrs = np.array(CONDITIONS[CODES.index("WPW")].waves.qrs)
    along = qrs[np.abs(qrs[:, 2]).argmax(), 2:5]
    share = np.linspace(-0.05, 0.5, 120)  # of the QRS duration
    bells = np.exp(-0.5 * ((share[:, None] - qrs[:, 0]) / qrs[:, 1]) ** 2)
    speed = np.diff(bells @ (qrs[:, 2:5] @ along) / np.linalg.norm(along)) / np.diff(share)
    assert (speed > 0).all()
    assert (np.diff(speed) > -0.05 * speed[1:]).all()
    assert speed.max() > 4 * speed[60]
