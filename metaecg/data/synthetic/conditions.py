"""The synthetic conditions as a table: one row of rhythm and one of waves for each diagnosis.

A row says how a condition departs from the normal heart: a `Rhythm` (when atria and ventricles
are activated) and `Waves` (which dipoles each activation sweeps through). Ranges are pairs
(low, high), drawn once per patient with some play from record to record. Dipoles are
(left, inferior, anterior, near) in mV: three axes of the body and a near field that the right
precordial electrodes alone see. Codes are those of PTB-XL's SCP statements where there is one
(Wagner et al. 2020, Scientific Data 7:154), else the abbreviations of the PhysioNet/CinC
challenge 2021 and of the Chapman-Shaoxing database (Zheng et al. 2020, Scientific Data 7:48).

The textbook ranges come from these; every row names its own:
  [AHA-2] Mason et al. 2007, statement list, J Am Coll Cardiol 49:1128
  [AHA-3] Surawicz et al. 2009, conduction disturbances, J Am Coll Cardiol 53:976
  [AHA-4] Rautaharju et al. 2009, ST, T, U and QT, J Am Coll Cardiol 53:982
  [AHA-5] Hancock et al. 2009, hypertrophy, J Am Coll Cardiol 53:992
  [AHA-6] Wagner et al. 2009, ischaemia and infarction, J Am Coll Cardiol 53:1003
  [UDMI]  Thygesen et al. 2018, fourth universal definition, Circulation 138:e618
  [SVT]   Page et al. 2016, supraventricular tachycardia, Circulation 133:e506
  [BRADY] Kusumoto et al. 2019, bradycardia and conduction delay, Circulation 140:e382
  [CHOU]  Surawicz & Knilans 2008, Chou's Electrocardiography in Clinical Practice, 6th ed.
"""

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


def _rhythm(code: str, name: str, family: str, source: str, **changes: object) -> Condition:
    return Condition(code, name, family, "rhythm", SINUS._replace(**changes), NORMAL, source)


def _waves(code: str, name: str, family: str, source: str, **changes: object) -> Condition:
    return Condition(code, name, family, "waves", SINUS, NORMAL._replace(**changes), source)


_RBBB = (
    (0.13, 0.055, -0.12, -0.05, 0.33),
    (0.28, 0.065, 1.18, 0.72, -0.15),
    (0.41, 0.070, 0.35, 0.25, -0.70),
    (0.60, 0.085, -0.28, -0.08, 0.22),
    (0.78, 0.100, -0.42, -0.14, 0.85),  # the right ventricle, late and alone
)
_LBBB = (
    (0.14, 0.065, 0.22, 0.05, 0.02),  # no septal q
    (0.34, 0.105, 0.75, 0.38, -0.70),
    (0.54, 0.095, 0.45, 0.18, -0.75),
    (0.72, 0.105, 0.85, 0.28, -0.75),  # the left ventricle's second summit: the notch
    (0.89, 0.055, 0.10, 0.03, -0.25),
)

CONDITIONS: tuple[Condition, ...] = (
    Condition("NORM", "normal ECG", "normal", "waves", SINUS, NORMAL, "[AHA-2] [CHOU]"),
    # --- the sinus node and its failures ------------------------------------------------------
    _rhythm(
        "SBRAD",
        "sinus bradycardia",
        "bradycardia",
        "[BRADY] below 50-60/min",
        rate=(36.0, 52.0),
        hf=(0.02, 0.05),
        pr=(0.14, 0.20),
    ),
    _rhythm(
        "STACH",
        "sinus tachycardia",
        "tachycardia",
        "[SVT] above 100/min",
        rate=(106.0, 148.0),
        hf=(0.002, 0.012),
        lf=(0.002, 0.012),
        pr=(0.12, 0.15),
    ),
    _rhythm(
        "SARRH",
        "sinus arrhythmia",
        "sinus arrhythmia",
        "[CHOU] PP varies by over 0.16 s",
        rate=(56.0, 78.0),
        hf=(0.16, 0.26),
        lf=(0.02, 0.06),
    ),
    _rhythm(
        "SAB",
        "sinoatrial block",
        "bradycardia",
        "[BRADY] pauses of about two PP",
        rate=(58.0, 82.0),
        gap=(4.0, 6.0),
        before=(1.9, 2.1),
    ),
    # --- premature beats ----------------------------------------------------------------------
    _rhythm(
        "PAC",
        "atrial premature complex",
        "premature beats",
        "[AHA-2] [CHOU]",
        gap=(4.0, 6.0),
        before=(0.56, 0.70),
        after=1.12,
        event_ectopic_p=1.0,
    ),
    _rhythm(
        "PVC",
        "ventricular premature complex",
        "premature beats",
        "[CHOU] full pause",
        gap=(4.0, 6.0),
        before=(0.52, 0.66),
        resets=0.0,
        event_p=0.5,
        event_wide=1.0,
    ),
    _rhythm(
        "BIGU",
        "bigeminal pattern",
        "premature beats",
        "[AHA-2] every second beat",
        gap=(2.0, 2.0),
        before=(0.52, 0.66),
        resets=0.0,
        event_p=0.5,
        event_wide=1.0,
    ),
    _rhythm(
        "TRIGU",
        "trigeminal pattern",
        "premature beats",
        "[AHA-2] every third beat",
        gap=(3.0, 3.0),
        before=(0.52, 0.66),
        resets=0.0,
        event_p=0.5,
        event_wide=1.0,
    ),
    _rhythm(
        "SVB",
        "supraventricular bigeminy",
        "premature beats",
        "[AHA-2]",
        gap=(2.0, 2.0),
        before=(0.58, 0.70),
        after=1.25,
        event_ectopic_p=1.0,
    ),
    # --- escape beats -------------------------------------------------------------------------
    _rhythm(
        "JEB",
        "junctional escape beat",
        "escape beats",
        "[BRADY] narrow, no P before it",
        rate=(58.0, 76.0),
        gap=(4.0, 5.0),
        before=(1.55, 1.85),
        after=1.05,
        event_p=0.0,
    ),
    _rhythm(
        "JE",
        "junctional escape rhythm",
        "escape beats",
        "[BRADY] 40-60/min, P inverted",
        rate=(40.0, 58.0),
        pr=(-0.13, 0.095),
        ectopic_p=1.0,
        hf=(0.0, 0.01),
        lf=(0.0, 0.01),
    ),
    _rhythm(
        "VEsB",
        "ventricular escape beat",
        "escape beats",
        "[BRADY] broad, after a pause",
        rate=(58.0, 76.0),
        gap=(4.0, 5.0),
        before=(1.75, 2.2),
        after=1.05,
        event_p=0.0,
        event_wide=1.0,
    ),
    # --- tachycardias -------------------------------------------------------------------------
    _rhythm(
        "SVTAC",
        "supraventricular tachycardia",
        "tachycardia",
        "[SVT] regular, 150-220/min",
        rate=(152.0, 210.0),
        hf=(0.0, 0.004),
        lf=(0.0, 0.004),
        cv=0.004,
        ectopic_p=1.0,
        p=0.6,
        pr=(-0.10, -0.06),
    ),
    _rhythm(
        "PSVT",
        "paroxysmal supraventricular tachycardia",
        "tachycardia",
        "[SVT] abrupt onset",
        run=(150.0, 205.0),
    ),
    Condition(
        "VTach",
        "ventricular tachycardia",
        "tachycardia",
        "both",
        SINUS._replace(
            rate=(132.0, 200.0),
            hf=(0.0, 0.005),
            lf=(0.0, 0.005),
            cv=0.01,
            wide=1.0,
            azimuth=(-80.0, 200.0),
            elevation=(-75.0, 75.0),
            breadth=(0.145, 0.185),
            atrial_rate=(60.0, 95.0),
        ),
        NORMAL,
        "[CHOU] QRS over 0.14 s, atria dissociated",
    ),
    # --- fibrillation and flutter -------------------------------------------------------------
    _rhythm(
        "AFIB",
        "atrial fibrillation",
        "fibrillation and flutter",
        "[SVT] irregularly irregular, f waves 350-600/min",
        rate=(64.0, 128.0),
        cv=0.21,
        p=0.0,
        fibrillation=0.06,
    ),
    _rhythm(
        "AFLT",
        "atrial flutter",
        "fibrillation and flutter",
        "[SVT] F waves 250-330/min, 2:1 to 4:1",
        p=0.0,
        flutter=0.16,
        ratio=(2.0, 4.0),
        hf=(0.0, 0.0),
        lf=(0.0, 0.0),
        cv=0.0,
    ),
    # --- atrioventricular block ---------------------------------------------------------------
    _rhythm(
        "1AVB",
        "first degree AV block",
        "conduction block",
        "[BRADY] PR over 0.20 s",
        rate=(56.0, 82.0),
        pr=(0.235, 0.34),
    ),
    _rhythm(
        "2AVB",
        "second degree AV block (2:1)",
        "conduction block",
        "[BRADY]",
        rate=(70.0, 98.0),
        pr=(0.15, 0.21),
        gap=(2.0, 2.0),
        event_qrs=0.0,
    ),
    _rhythm(
        "2AVB1",
        "second degree AV block, Mobitz I (Wenckebach)",
        "conduction block",
        "[BRADY] PR lengthens until a beat drops",
        rate=(66.0, 92.0),
        pr=(0.15, 0.20),
        pr_step=0.085,
        gap=(3.0, 5.0),
        event_qrs=0.0,
    ),
    _rhythm(
        "2AVB2",
        "second degree AV block, Mobitz II",
        "conduction block",
        "[BRADY] constant PR, beats drop",
        rate=(66.0, 92.0),
        pr=(0.15, 0.20),
        gap=(3.0, 5.0),
        event_qrs=0.0,
    ),
    _rhythm(
        "3AVB",
        "third degree AV block",
        "conduction block",
        "[BRADY] escape at 20-50/min, atria faster",
        rate=(30.0, 46.0),
        hf=(0.0, 0.01),
        lf=(0.0, 0.01),
        atrial_rate=(68.0, 105.0),
        wide=0.6,
    ),
    # --- intraventricular block ---------------------------------------------------------------
    _waves(
        "CRBBB",
        "complete right bundle branch block",
        "conduction block",
        "[AHA-3] QRS 0.12 s or more, rsR' in V1, wide S in I and V6",
        qrs=_RBBB,
        duration=(0.128, 0.160),
        t=(0.38, 0.27, -0.10),
        st=(0.01, 0.01, -0.05),
    ),
    _waves(
        "IRBBB",
        "incomplete right bundle branch block",
        "conduction block",
        "[AHA-3] QRS 0.11-0.12 s, r' in V1",
        qrs=(
            (0.16, 0.070, -0.12, -0.05, 0.33),
            (0.35, 0.080, 1.22, 0.74, -0.15),
            (0.51, 0.080, 0.40, 0.28, -0.75),
            (0.67, 0.075, -0.25, -0.10, -0.05),
            (0.83, 0.075, -0.32, -0.08, 0.38),
        ),
        duration=(0.102, 0.116),
        t=(0.34, 0.26, 0.06),
    ),
    _waves(
        "CLBBB",
        "complete left bundle branch block",
        "conduction block",
        "[AHA-3] QRS 0.12 s or more, broad notched R in I and V6, discordant ST and T",
        qrs=_LBBB,
        duration=(0.125, 0.158),
        st=(-0.10, -0.03, 0.14),
        t=(-0.36, -0.12, 0.45),
    ),
    _waves(
        "ILBBB",
        "incomplete left bundle branch block",
        "conduction block",
        "[AHA-3] QRS 0.11-0.12 s, no q in I and V6",
        qrs=(
            (0.18, 0.080, 0.22, 0.12, 0.08),
            (0.42, 0.110, 1.05, 0.60, -0.35),
            (0.62, 0.105, 0.85, 0.35, -0.85),
            (0.83, 0.075, 0.05, 0.0, -0.35),
        ),
        duration=(0.102, 0.112),
        st=(-0.03, -0.01, 0.06),
        t=(0.10, 0.12, 0.33),
    ),
    _waves(
        "LAFB",
        "left anterior fascicular block",
        "conduction block",
        "[AHA-3] axis -45 to -90, qR in aVL, rS in II, III and aVF",
        qrs=(
            (0.18, 0.080, -0.16, 0.30, 0.20),
            (0.44, 0.105, 0.95, -0.72, -0.10),
            (0.61, 0.105, 0.28, -0.62, -0.60),
            (0.82, 0.085, -0.12, -0.35, -0.28),
        ),
        duration=(0.096, 0.116),
        t=(0.30, 0.30, 0.16),
        severity=(0.95, 1.25),
    ),
    _waves(
        "LPFB",
        "left posterior fascicular block",
        "conduction block",
        "[AHA-3] axis 90 to 180, rS in I and aVL, qR in III and aVF",
        qrs=(
            (0.18, 0.080, 0.32, -0.30, 0.18),
            (0.45, 0.105, 0.25, 1.20, -0.10),
            (0.62, 0.105, -0.52, 0.75, -0.55),
            (0.82, 0.085, -0.35, 0.10, -0.25),
        ),
        duration=(0.092, 0.108),
        t=(0.32, 0.14, 0.20),
        severity=(0.95, 1.25),
    ),
    # --- pre-excitation and pacing ------------------------------------------------------------
    Condition(
        "WPW",
        "Wolff-Parkinson-White syndrome",
        "pre-excitation",
        "both",
        SINUS._replace(pr=(0.075, 0.112)),
        NORMAL._replace(
            qrs=(
                (0.20, 0.130, 0.10, 0.065, 0.07),  # delta: rises ever faster, without a step
                (0.42, 0.105, 0.27, 0.175, 0.16),
                (0.62, 0.100, 1.20, 0.75, -0.10),
                (0.77, 0.075, 0.40, 0.20, -0.75),
                (0.89, 0.055, -0.15, -0.08, -0.25),
            ),
            duration=(0.126, 0.156),
            st=(-0.05, -0.04, 0.0),
            t=(-0.06, -0.02, 0.18),
        ),
        "[SVT] PR below 0.12 s, delta wave, QRS over 0.11 s",
    ),
    Condition(
        "PACE",
        "artificial pacemaker, ventricular",
        "pacing",
        "both",
        SINUS._replace(
            rate=(58.0, 76.0),
            hf=(0.0, 0.0),
            lf=(0.0, 0.0),
            cv=0.001,
            wide=1.0,
            azimuth=(-75.0, -25.0),
            elevation=(-60.0, -25.0),
            breadth=(0.150, 0.185),
            atrial_rate=(62.0, 84.0),
            p=0.7,
            spike=0.55,
        ),
        NORMAL,
        "[CHOU] spike, broad QRS of left bundle branch block kind, superior axis",
    ),
    # --- hypertrophy and enlargement ----------------------------------------------------------
    _waves(
        "LVH",
        "left ventricular hypertrophy",
        "hypertrophy",
        "[AHA-5] Sokolow-Lyon: S V1 + R V5 above 3.5 mV, strain",
        qrs=(
            (0.20, 0.085, -0.16, -0.06, 0.42),
            (0.43, 0.105, 2.05, 0.85, -0.45),
            (0.61, 0.105, 0.95, 0.25, -1.65),
            (0.82, 0.085, -0.15, -0.12, -0.55),
        ),
        duration=(0.094, 0.114),
        st=(-0.11, -0.03, 0.09),
        t=(-0.24, 0.02, 0.26),
        severity=(1.0, 1.2),
        gain=(1.1, 1.2),
    ),
    _waves(
        "HVOLT",
        "high QRS voltages",
        "hypertrophy",
        "[AHA-5] voltage without strain",
        qrs=(
            (0.20, 0.085, -0.20, -0.08, 0.50),
            (0.42, 0.10, 2.05, 1.45, -0.30),
            (0.60, 0.10, 0.85, 0.50, -1.50),
            (0.81, 0.085, -0.38, -0.20, -0.50),
        ),
        t=(0.40, 0.32, 0.22),
        severity=(1.0, 1.2),
        gain=(1.25, 1.35),
    ),
    _waves(
        "SEHYP",
        "septal hypertrophy",
        "hypertrophy",
        "[CHOU] deep narrow Q in I, aVL, V5, V6 and inferior leads, tall R in V1 and V2",
        qrs=(
            (0.22, 0.075, -0.62, -0.38, 0.72),
            (0.44, 0.100, 1.55, 1.10, 0.05),
            (0.62, 0.100, 0.50, 0.30, -0.80),
            (0.82, 0.085, -0.25, -0.12, -0.35),
        ),
        t=(0.14, 0.16, 0.24),
    ),
    _waves(
        "RVH",
        "right ventricular hypertrophy",
        "hypertrophy",
        "[AHA-5] R V1 above 0.7 mV, R/S in V1 above 1, right axis",
        p_right=(0.05, 0.14, 0.08),
        qrs=(
            (0.18, 0.080, 0.08, -0.05, 0.22),
            (0.43, 0.105, 0.15, 0.85, 0.85),
            (0.60, 0.105, -0.62, 0.45, 0.75),
            (0.81, 0.085, -0.55, -0.12, 0.05),
        ),
        duration=(0.088, 0.112),
        st=(0.02, -0.03, -0.09),
        t=(0.30, 0.08, -0.28),
        severity=(1.0, 1.15),
    ),
    _waves(
        "LAO/LAE",
        "left atrial overload/enlargement",
        "hypertrophy",
        "[AHA-5] P over 0.12 s, notched; terminal force in V1 above 0.04 mm s",
        p_right=(0.05, 0.11, 0.06),
        p_left=(0.17, 0.11, -0.15),
        p_spread=0.055,
        p_width=0.021,
    ),
    _waves(
        "RAO/RAE",
        "right atrial overload/enlargement",
        "hypertrophy",
        "[AHA-5] P above 0.25 mV in II",
        p_right=(0.06, 0.33, 0.16),
        p_left=(0.05, 0.07, -0.03),
        p_spread=0.026,
        severity=(1.0, 1.2),
    ),
    # --- ischaemia and repolarisation ---------------------------------------------------------
    _waves(
        "ISC_",
        "ischemic ST-T changes, diffuse",
        "ischaemia",
        "[AHA-6] ST depression of 0.1 mV or more in many leads, elevation in aVR",
        st=(-0.19, -0.17, -0.03),
        t=(0.10, 0.08, 0.08),
    ),
    _waves(
        "ISCAL",
        "ischemic in anterolateral leads",
        "ischaemia",
        "[AHA-4] [AHA-6]",
        st=(-0.11, 0.02, -0.04),
        t=(-0.34, 0.12, -0.16),
    ),
    _waves(
        "ISCIN",
        "ischemic in inferior leads",
        "ischaemia",
        "[AHA-4] [AHA-6]",
        st=(0.01, -0.10, 0.02),
        t=(0.26, -0.32, 0.20),
    ),
    _waves(
        "ISCAN",
        "ischemic in anterior leads",
        "ischaemia",
        "[AHA-4] deep symmetric T inversion in V1 to V4",
        st=(0.0, 0.0, -0.03),
        t=(0.06, 0.26, -0.45),
        t_width=1.05,
        qtc=(0.40, 0.46),
    ),
    _waves(
        "STE_",
        "non-specific ST elevation",
        "repolarisation",
        "[AHA-4] diffuse and concave, as in pericarditis",
        st=(0.16, 0.13, 0.06),
        t=(0.36, 0.28, 0.20),
    ),
    _waves(
        "LOWT",
        "low amplitude T-waves",
        "repolarisation",
        "[AHA-4] T below a tenth of R",
        t=(0.045, 0.035, 0.03),
        st=(0.0, 0.0, 0.0),
        severity=(0.9, 1.1),
    ),
    _waves(
        "INVT",
        "inverted T-waves",
        "repolarisation",
        "[AHA-4] -0.1 to -0.5 mV",
        t=(-0.22, -0.20, -0.10),
    ),
    _waves(
        "DIG",
        "digitalis effect",
        "repolarisation",
        "[AHA-4] sagging ST depression, low T, short QT",
        sag=(-0.19, -0.16, 0.02),
        st=(-0.02, -0.02, 0.0),
        t=(0.08, 0.06, 0.06),
        qtc=(0.345, 0.385),
    ),
    # --- infarction ---------------------------------------------------------------------------
    _waves(
        "IMI",
        "inferior myocardial infarction",
        "infarction",
        "[UDMI] Q of 0.03 s or more and 0.1 mV in II, III, aVF",
        qrs=(
            (0.22, 0.105, 0.05, -0.52, 0.22),
            (0.47, 0.095, 1.05, 0.38, -0.20),
            (0.62, 0.095, 0.45, 0.22, -0.75),
            (0.82, 0.085, -0.20, 0.0, -0.30),
        ),
        duration=(0.092, 0.112),
        t=(0.28, -0.20, 0.22),
        st=(0.0, 0.03, 0.0),
    ),
    _waves(
        "ASMI",
        "anteroseptal myocardial infarction",
        "infarction",
        "[UDMI] QS in V1 to V3",
        qrs=(
            (0.20, 0.095, 0.08, 0.02, -0.52),
            (0.43, 0.100, 1.05, 0.80, -0.75),
            (0.60, 0.100, 0.42, 0.28, -0.85),
            (0.81, 0.085, -0.20, -0.12, -0.40),
        ),
        duration=(0.088, 0.108),
        st=(0.0, 0.0, 0.08),
        t=(0.30, 0.22, -0.26),
    ),
    _waves(
        "AMI",
        "anterior myocardial infarction",
        "infarction",
        "[UDMI] Q in V2 to V5",
        qrs=(
            (0.22, 0.105, -0.36, 0.06, -0.40),
            (0.45, 0.105, 0.72, 0.80, -0.66),
            (0.62, 0.095, 0.20, 0.30, -0.70),
            (0.82, 0.085, -0.20, -0.10, -0.35),
        ),
        duration=(0.090, 0.112),
        st=(0.04, 0.0, 0.07),
        t=(-0.20, 0.22, -0.26),
    ),
    _waves(
        "LMI",
        "lateral myocardial infarction",
        "infarction",
        "[UDMI] Q in I, aVL and V6",
        qrs=(
            (0.22, 0.105, -0.62, 0.22, 0.28),
            (0.47, 0.095, 1.00, 0.80, -0.10),
            (0.62, 0.095, 0.30, 0.32, -0.70),
            (0.82, 0.085, -0.25, -0.05, -0.30),
        ),
        duration=(0.090, 0.112),
        t=(-0.28, 0.24, 0.26),
        st=(0.02, 0.0, 0.0),
    ),
    _waves(
        "PMI",
        "posterior myocardial infarction",
        "infarction",
        "[UDMI] R of 0.04 s or more in V1 and V2, R/S above 1, upright T",
        qrs=(
            (0.20, 0.090, -0.06, -0.05, 0.26),
            (0.42, 0.110, 1.00, 0.60, 0.55),
            (0.59, 0.115, 0.12, 0.16, 0.75),
            (0.82, 0.085, -0.22, -0.10, 0.05),
        ),
        duration=(0.090, 0.110),
        st=(0.0, -0.01, -0.10),
        t=(0.24, 0.20, 0.42),
    ),
    _waves(
        "STEMI-I",
        "acute inferior infarction, ST elevation",
        "infarction",
        "[UDMI] 0.1 mV or more in II, III, aVF; reciprocal in I and aVL",
        qrs=(
            (0.22, 0.100, 0.0, -0.22, 0.25),
            (0.45, 0.100, 1.05, 0.65, -0.15),
            (0.61, 0.100, 0.42, 0.28, -0.75),
            (0.81, 0.085, -0.20, -0.05, -0.28),
        ),
        st=(-0.06, 0.30, -0.02),
        t=(0.10, 0.52, 0.10),
    ),
    _waves(
        "STEMI-A",
        "acute anterior infarction, ST elevation",
        "infarction",
        "[UDMI] 0.2 mV or more in V2 and V3",
        qrs=(
            (0.20, 0.085, -0.05, -0.03, 0.06),
            (0.43, 0.100, 1.05, 0.80, -0.40),
            (0.60, 0.100, 0.42, 0.28, -0.70),
            (0.81, 0.085, -0.15, -0.10, -0.25),
        ),
        st=(0.10, -0.07, 0.24),
        t=(0.32, 0.06, 0.52),
    ),
    _waves(
        "ANEUR",
        "ST-T changes compatible with ventricular aneurysm",
        "infarction",
        "[CHOU] QS and persistent ST elevation in V1 to V4, shallow T",
        qrs=(
            (0.20, 0.095, -0.08, 0.0, -0.55),
            (0.42, 0.105, 0.72, 0.72, -1.00),
            (0.61, 0.100, 0.25, 0.22, -0.85),
            (0.81, 0.085, -0.20, -0.12, -0.40),
        ),
        duration=(0.094, 0.114),
        st=(0.05, -0.03, 0.17),
        t=(0.06, 0.14, -0.02),
        t_late=(0.0, 0.0, -0.16),
    ),
    # --- channels, QT and electrolytes --------------------------------------------------------
    _waves(
        "BRU",
        "Brugada pattern, type 1",
        "channelopathy",
        "[AHA-4] coved ST of 0.2 mV or more and inverted T in V1 and V2",
        qrs=(
            (0.18, 0.075, -0.12, -0.05, 0.33),
            (0.38, 0.09, 1.22, 0.74, -0.15),
            (0.54, 0.09, 0.45, 0.30, -0.80),
            (0.73, 0.075, -0.22, -0.12, -0.20),
            (0.90, 0.085, -0.12, -0.05, 0.05, 0.30),
        ),
        duration=(0.098, 0.118),
        st=(0.0, 0.0, 0.0, 0.38),
        sag=(0.0, 0.0, 0.0, 0.06),
        t=(0.30, 0.26, 0.10, -1.15),
        severity=(0.9, 1.2),
    ),
    _waves(
        "LNGQT",
        "long QT-interval",
        "QT and electrolytes",
        "[AHA-4] QTc above 0.46 s",
        qtc=(0.495, 0.57),
        t=(0.30, 0.25, 0.18),
        t_width=1.1,
    ),
    _waves(
        "SQT",
        "short QT-interval",
        "QT and electrolytes",
        "[AHA-4] QTc 0.34 s or less",
        qtc=(0.285, 0.33),
        t=(0.42, 0.33, 0.26),
        t_width=1.0,
    ),
    _waves(
        "HYPERK",
        "hyperkalaemia",
        "QT and electrolytes",
        "[AHA-4] [CHOU] tall narrow T, broad QRS, low P",
        p_right=(0.015, 0.03, 0.015),
        p_left=(0.03, 0.018, -0.015),
        duration=(0.108, 0.135),
        t=(0.66, 0.52, 0.48),
        t_width=0.62,
        st=(0.0, 0.0, 0.02),
        qtc=(0.365, 0.41),
    ),
    _waves(
        "HYPOK",
        "hypokalaemia",
        "QT and electrolytes",
        "[AHA-4] [CHOU] ST depression, low T, U above T",
        st=(-0.07, -0.06, -0.04),
        t=(0.07, 0.05, 0.05),
        u=(0.15, 0.12, 0.17),
    ),
    _waves(
        "HYPOCA",
        "hypocalcaemia",
        "QT and electrolytes",
        "[AHA-4] [CHOU] long ST segment before a normal T",
        qtc=(0.49, 0.55),
        t_width=0.55,
        st=(0.0, 0.0, 0.0),
    ),
    _waves(
        "LVOLT",
        "low QRS voltages in the frontal and horizontal leads",
        "voltage",
        "[AHA-2] limb leads below 0.5 mV, chest leads below 1 mV",
        gain=(0.16, 0.24),
    ),
)
