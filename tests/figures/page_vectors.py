"""The test vectors of docs/specification.md; run as a program, it writes them anew.

    PYTHONPATH=. python tests/figures/page_vectors.py

What is written is what Python computes today: look at the difference before committing it.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from metaecg.data.readers import recordings, vendors
from metaecg.data.readers.given_by_user import Given, fill_in
from metaecg.data.readers.raw import Raw
from metaecg.errors import MetaecgError

FILE = Path(__file__).with_suffix(".json")
FORM = {"hz": 100.0, "samples": 300, "leads": ["I", "II", "III", "V1"], "scale": 0.001}
ONE = [[800, 90, 0], [150, 11.5, 3], [40, 4.7, 1]]
TWO = [[600, 90, 10], [250, 17.25, 0]]
SIX = [[-900, 45, 7], [90, 5.5, 2]]


def case(hz: float, samples: int, leads: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A recording in µV and the form to bring it to."""
    form = {**FORM, "bandpass": more.pop("bandpass", None), **more.pop("form", {})}
    return {"hz": hz, "samples": samples, "leads": leads, "form": form, **more}


CASES = {
    "at the model's rate": case(100, 300, {"I": ONE, "II": TWO, "III": SIX, "V1": SIX}),
    "names of many kinds": case(
        100, 300, {"MDC_ECG_LEAD_V1": SIX, "-D1": ONE, "Lead II": TWO, "iii": SIX, "V1R?": ONE}
    ),
    "500 Hz, an offset": case(
        500, 1500, {"I": ONE, "II": TWO, "III": SIX, "V1": SIX}, offset={"V1": 4321, "I": -90}
    ),
    "360 Hz": case(360, 1200, {"I": ONE, "II": TWO, "III": SIX, "V1": SIX}),
    "257.5 Hz": case(257.5, 773, {"I": ONE, "II": TWO, "III": SIX, "V1": SIX}),
    "128 Hz, too short": case(128, 300, {"I": ONE, "II": TWO, "III": SIX, "V1": SIX}),
    "50 Hz": case(50, 150, {"I": ONE, "II": TWO, "III": SIX, "V1": SIX}),
    "250 Hz, band-pass": case(
        250, 750, {"I": ONE, "II": TWO, "III": SIX, "V1": SIX}, bandpass=[0.5, 40.0]
    ),
    "another step and band": case(
        200,
        600,
        {"I": ONE, "II": TWO, "V1": SIX},
        bandpass=[0.05, 47.0],
        form={"scale": 0.005, "leads": ["aVR", "V1", "aVF"]},
    ),
    "limb leads from two": case(100, 400, {"II": TWO, "aVL": ONE, "V1": SIX}),
    "a lead is missing": case(100, 300, {"I": ONE, "II": TWO, "V6": SIX}),
    "short gaps": case(
        250,
        750,
        {"I": ONE, "II": TWO, "III": SIX, "V1": SIX},
        missing=[["I", 0, 10], ["II", 333, 50], ["V1", 740, 10]],
    ),
    "a long gap": case(
        250, 750, {"I": ONE, "II": TWO, "III": SIX, "V1": SIX}, missing=[["II", 333, 51]]
    ),
    "a lead without samples": case(
        100, 300, {"I": ONE, "II": TWO, "III": SIX, "V1": SIX}, missing=[["III", 0, 300]]
    ),
    "a flat lead": case(100, 300, {"I": ONE, "II": TWO, "III": SIX, "V1": []}),
    "a lead twice": case(100, 300, {"I": ONE, "II": TWO, "III": SIX, "V1": SIX, "C1": SIX}),
    "a calibration pulse": case(
        500, 1450, {"I": ONE, "II": TWO, "III": SIX, "V1": SIX}, pulse=[50, 100, 50]
    ),
    "a step of half its height": case(
        500,
        1450,
        {"I": ONE, "II": TWO, "III": SIX, "V1": SIX},
        pulse=[50, 100, 50],
        height=500,
    ),
    "none of the leads": case(100, 300, {"V5": ONE, "V6": TWO}),
    "too short for an ECG": case(100, 49, {"I": ONE, "II": TWO}),
    "the wrong unit": case(100, 300, {"I": [[1, 90, 0]], "II": [[2, 90, 0]]}),
}


def microvolts(case: dict[str, Any]) -> np.ndarray:
    """[samples, leads]: Σ size · sin(2π (i + shift) / period), rounded, plus the offset; pulse."""
    i = np.arange(case["samples"])
    columns = []
    for lead, waves in case["leads"].items():
        sum_ = sum(
            (size * np.sin(2 * np.pi * (i + shift) / period) for size, period, shift in waves),
            np.zeros(len(i)),
        )
        column = np.floor(sum_ + 0.5) + case.get("offset", {}).get(lead, 0)
        for name, first, count in case.get("missing", ()):
            if name == lead:
                column[first : first + count] = np.nan
        quiet, step, after = case.get("pulse", (0, 0, 0))
        pulse = np.repeat([0, case.get("height", 1000), 0], [quiet, step, after])
        columns.append(np.concatenate([column, pulse]))
    return np.stack(columns, axis=1)


def computed(case: dict[str, Any]) -> dict[str, Any]:
    """What Python makes of a case: units of each lead and notes, or the error."""
    names = tuple(case["leads"])
    units = ("uV",) * len(names)
    signal, notes = vendors.without_pulse(microvolts(case), units, case["hz"])
    raw = Raw(signal, case["hz"], units, names, tuple(notes))
    try:
        whole = fill_in(raw, Given())
        recording = recordings.Recording(whole.signal, whole.hz, whole.leads, "", whole.notes)
        form = {
            **case["form"],
            "bandpass": case["form"]["bandpass"] and (*case["form"]["bandpass"],),
        }
        signal, notes = recordings.adapt(recording, **form)
    except MetaecgError as error:
        return {"error": str(error).removeprefix(": ")}
    units = np.rint(signal / np.float32(case["form"]["scale"])).astype(int)
    return {"units": units.T.tolist(), "notes": [[note.text, note.serious] for note in notes]}


def main() -> None:
    written = {name: {**each, "expected": computed(each)} for name, each in CASES.items()}
    lines = (f"{json.dumps(n)}: {json.dumps(c, ensure_ascii=False)}" for n, c in written.items())
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


if __name__ == "__main__":
    main()
