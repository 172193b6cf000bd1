"""The synthetic conditions: what a row of the table `conditions.toml` may say, and its rows.

A row says how a condition departs from the normal heart: a `Rhythm` (when atria and ventricles
are activated) and `Waves` (which dipoles each activation sweeps through). Ranges are pairs
(low, high), drawn once per patient with some play from record to record. Dipoles are
(left, inferior, anterior, near) in mV: three axes of the body and a near field that the right
precordial electrodes alone see.
"""

import tomllib
from importlib import resources
from typing import Any, NamedTuple

# Numbers in the table, arrays once a row has been looked up.
Number = Any
Range = Any  # (low, high)
Dipole = Any  # (left, inferior, anterior[, near]), mV


class Rhythm(NamedTuple):
    """When the chambers fire. Seconds, beats per minute and shares; ranges are (low, high).

    An *event* is what a rhythm does every `gap` cycles: a premature or an escape beat, a pause, a
    dropped beat. It comes `before` RR intervals after the beat before it, and the next cycle
    lasts `after` RR intervals; `resets` says whether the sinus node is moved with it (a premature
    atrial beat) or goes on undisturbed (a premature ventricular one, hence its full pause).
    """

    rate: Range = (60.0, 92.0)  # cycles per minute; of the ventricles when dissociated
    hf: Range = (0.01, 0.04)  # respiratory share of RR variability
    lf: Range = (0.01, 0.035)  # Mayer-wave share
    cv: Number = 0.008  # beat-to-beat share that is nobody's rhythm; atrial fibrillation: ~0.2
    pr: Range = (0.13, 0.19)
    pr_step: Number = 0.0  # lengthening of PR after a dropped beat (Wenckebach)
    gap: Range = (0.0, 0.0)  # cycles from event to event; 0: none
    before: Range = (1.0, 1.0)
    after: Number = 1.0
    resets: Number = 1.0
    event_p: Number = 1.0  # P wave of the event: its gain
    event_ectopic_p: Number = 0.0  # ... and whether it starts outside the sinus node
    event_qrs: Number = 1.0  # 0: the beat is dropped
    event_wide: Number = 0.0  # 1: the event is of ventricular origin
    p: Number = 1.0  # gain of the P wave of every other beat
    ectopic_p: Number = 0.0  # 1: its P is not of sinus origin (retrograde)
    wide: Number = 0.0  # share of patients whose every beat is of ventricular origin
    azimuth: Range = (-70.0, 130.0)  # ventricular origin: where its QRS points, 0 left, 90 anterior
    elevation: Range = (-60.0, 70.0)  # ... and how far down (degrees)
    breadth: Range = (0.135, 0.17)  # ... and its QRS duration
    atrial_rate: Range = (0.0, 0.0)  # of atria that go their own way; 0: they lead
    fibrillation: Number = 0.0  # amplitude of f waves, mV
    flutter: Number = 0.0  # amplitude of F waves, mV
    ratio: Range = (1.0, 1.0)  # atrial waves per conducted beat
    run: Range = (0.0, 0.0)  # rate of a paroxysm that starts within the record; 0: none
    spike: Number = 0.0  # pacing stimulus, mV


class Waves(NamedTuple):
    """What one activation looks like: dipoles in mV, durations in s, widths as shares.

    `qrs` is up to five rows of (centre, width, left, inferior, anterior[, near]): a Gaussian at
    `centre` QRS durations after the onset, of standard deviation `width` QRS durations. `st` lasts
    from the J point to the T wave; `sag` is a hump in its middle; `t_late` a second, later half of
    T; `u` follows T. `severity` scales the departure from the normal waves, `gain` everything.
    """

    p_right: Dipole = (0.04, 0.09, 0.05)
    p_left: Dipole = (0.08, 0.045, -0.04)
    p_spread: Number = 0.032  # s between the right and the left atrium
    p_width: Number = 0.017  # s, standard deviation
    qrs: Any = (
        (0.20, 0.085, -0.12, -0.05, 0.33),  # septum: q in V6 and I, r in V1
        (0.42, 0.10, 1.22, 0.74, -0.15),  # free walls: R
        (0.60, 0.10, 0.46, 0.26, -0.80),
        (0.81, 0.085, -0.25, -0.12, -0.33),  # base: S
    )
    duration: Range = (0.082, 0.104)
    st: Dipole = (0.012, 0.012, 0.012)
    sag: Dipole = (0.0, 0.0, 0.0)
    t: Dipole = (0.32, 0.26, 0.17)
    t_late: Dipole = (0.0, 0.0, 0.0)
    t_width: Number = 1.0
    u: Dipole = (0.008, 0.008, 0.015)
    qtc: Range = (0.385, 0.435)  # s, Fridericia
    severity: Range = (0.75, 1.25)
    gain: Range = (0.85, 1.15)


class Condition(NamedTuple):
    """A diagnosis: its code and name, its family, what it changes, and where the ranges are from.

    `alters` is 'rhythm' or 'waves' when it leaves the other at normal, so that one heart may have
    both; or 'both'.
    """

    code: str
    name: str
    family: str
    alters: str
    rhythm: Rhythm
    waves: Waves
    source: str


NORMAL = Waves()
SINUS = Rhythm()


def _read() -> tuple[Condition, ...]:
    text = resources.files("metaecg.data.synthetic").joinpath("conditions.toml").read_text("utf-8")
    rows: dict[str, dict[str, Any]] = tomllib.loads(text)
    return tuple(
        Condition(
            code,
            row["name"],
            row["family"],
            row["alters"],
            SINUS._replace(**row.get("rhythm", {})),
            NORMAL._replace(**row.get("waves", {})),
            row["source"],
        )
        for code, row in rows.items()
    )


CONDITIONS = _read()
