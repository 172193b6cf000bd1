"""An archive to be searched: recordings that are sines, and a model that sees their frequency."""

import numpy as np

from metaecg.data.library import Library
from metaecg.diagnose.calibration import Calibration, Row
from metaecg.diagnose.model import Form, Model
from metaecg.diagnose.predictor import Predictor

SAMPLES, LEADS, HZ = 100, ("I", "II"), 50.0
FORM = Form(HZ, SAMPLES, LEADS)
FEATURES = SAMPLES // 2 * len(LEADS)
_ROW = Row(2, 1.0, 10.0, 5.0, (0.0, 0.6), (0.5,) * 11, (999.0,) * 11)
CALIBRATION = Calibration((_ROW,), (0.0,) * FEATURES, (1.0,) * FEATURES, 1e9)


def embed(records):
    """Amplitudes of the spectrum, whatever the phase."""
    spectrum = np.abs(np.fft.rfft(np.asarray(records), axis=1))[:, 1:]
    return spectrum.reshape(len(spectrum), -1).astype(np.float32)


def model(function=embed):
    return Model(Predictor(function, None), CALIBRATION, FORM, {"model": "sines"})


def signal(hz, rng):
    """A sine in mV of this frequency, a random phase and some noise."""
    time = np.arange(SAMPLES)[:, None] / HZ
    wave = np.sin(2 * np.pi * hz * (time + rng.random()) + np.array([0.0, 1.0]))
    return (wave + rng.normal(0, 0.4, (SAMPLES, len(LEADS)))).astype(np.float32)


def library(rare=20, common=180, seed=0):
    """Rare recordings at 7 Hz, and common ones at 3, 4 and 5 Hz; two of each patient."""
    rng = np.random.default_rng(seed)
    is_rare = rng.permutation(np.arange(rare + common) < rare)
    signals = [signal(7 if each else rng.integers(3, 6), rng) for each in is_rare]
    return Library(
        signals=np.round(np.stack(signals) * 1000).astype(np.int16),
        labels=is_rare[:, None],
        vocabulary=("RARE",),
        patients=np.arange(rare + common) // 2,
        hz=HZ,
        leads=LEADS,
        ids=tuple(f"r{row}" for row in range(rare + common)),
        sources=tuple(f"files/{row}.csv" for row in range(rare + common)),
    )
