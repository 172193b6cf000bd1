"""Recordings as text in every legal way."""

from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from experiments.stress.valid import Truth, Written, inverted, spell


def table(rng: Random, folder: Path, truth: Truth) -> Written:
    """Text with any separator, decimal sign, heading, time, encoding and line ends."""
    file, names = inverted(rng, truth)
    signal, must = file.microvolts, True
    given: dict[str, Any] = {}
    unit, factor = rng.choice((("mV", 1e-3), ("uV", 1.0), ("µV", 1.0), ("V", 1e-6)))
    separator = rng.choice((",", ",", ";", "\t", " ", "|"))
    comma = separator in "\t; |" and rng.random() < 0.4
    digits = {"mV": rng.choice((3, 4, 6)), "V": rng.choice((6, 8))}.get(unit, rng.choice((0, 1)))
    missing = rng.choice(("nan", "NaN", "NA", "null")) if separator == " " else rng.choice(
        ("", "", "nan", "NaN", "N/A", "null")
    )  # fmt: skip

    def write(value: float) -> str:
        if np.isnan(value):
            return missing
        text = f"{value * factor:.{digits}f}"
        return text.replace(".", ",") if comma else text

    rows = [[write(value) for value in row] for row in signal]
    timing = rng.choice(("none", "none", "s", "ms", "bare", "clock", "date", "count", "dropped"))
    if timing in ("clock", "date") and (separator == " " or comma):
        timing = "s"
    time = np.arange(len(rows)) / truth.hz
    first, column = "", None
    if timing in ("s", "bare", "dropped"):
        first = rng.choice(("time (s)", "Time [s]", "time_s")) if timing != "bare" else "time"
        column = [f"{t:.6f}" for t in time]
    elif timing == "ms":
        first, column = rng.choice(("time (ms)", "t_ms")), [f"{1000 * t:.3f}" for t in time]
    elif timing == "clock":
        first, column = "time", [f"{int(t // 60)}:{t % 60:09.6f}" for t in time]
    elif timing == "date":
        start = np.datetime64("2020-02-29T23:59:58")
        column = [str(start + np.timedelta64(round(t * 1e6), "us")) for t in time]
        first = rng.choice(("time", "datetime", "timestamp"))
    elif timing == "count":
        first, column = rng.choice(("sample", "index", "")), [str(i) for i in range(len(rows))]
    headed = rng.choice(("names", "names", "units in names", "line of units", "none", "numbers"))
    if column is not None and headed in ("none", "numbers"):
        headed = "names"
    if separator == " ":
        first, names = first.replace(" ", "_").replace("_(", "("), list(truth.leads)
        signal_sign = truth.microvolts
        rows = [[write(value) for value in row] for row in signal_sign]
        headed = "names" if headed in ("units in names", "line of units") else headed
        if first.endswith(")") or first.endswith("]") or not first:
            first = "time_s" if timing != "ms" else "t_ms"
            first = "sample" if timing == "count" else first
    if column is not None:
        column = [text.replace(".", ",") for text in column] if comma else column
        rows = [[text, *row] for text, row in zip(column, rows)]
        if timing == "dropped":  # the lines of missing samples are not there
            rows = [row for row, kept in zip(rows, ~np.isnan(signal).all(axis=1)) if kept]
    before, beside = ([first], ["s" if first == "time" else ""]) if column is not None else ([], [])
    head = {
        "names": [before + names],
        "units in names": [before + [f"{name.strip()} ({unit})" for name in names]],
        "line of units": [before + names, beside + [unit] * len(names)],
        "none": [],
        "numbers": [[str(i) for i in range(len(names))]],
    }[headed]
    if headed in ("none", "numbers"):
        rows = [[write(value) for value in row] for row in truth.microvolts]
        given["leads"] = list(truth.leads)
        must = headed == "none" or len(names) > 2
    if headed in ("names", "none", "numbers"):
        given["units"] = unit.replace("µ", "u")
    if timing in ("none", "count"):
        given["hz"] = truth.hz
    quote = rng.random() < 0.15 and separator not in " "
    lines = [separator.join(f'"{c}"' if quote else c for c in row) for row in (*head, *rows)]
    declared = separator in ",;\t" and rng.random() < 0.1
    if declared:
        lines.insert(0, f"sep={separator}")
    elif head and headed != "numbers" and rng.random() < 0.1:
        lines[0] = f"# {lines[0]}"
    ends = rng.choice(("\n", "\n", "\r\n", "\r"))
    text = ends.join(lines) + ends * rng.choice((0, 1, 1, 2))
    encoding = rng.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16"))
    path = folder / f"r.{rng.choice(('csv', 'txt', 'tsv'))}"
    path.write_bytes(text.encode(encoding))
    if len(names) == 1 and missing == "":
        must = must and not np.isnan(signal).any()  # an empty line may be anything
    if separator == "," and column is None and len(names) == 2 and digits == 0:
        must = False  # may be decimal commas
    if comma and column is None and len(names) == 1:
        must = must and headed != "none" and digits > 1
    how = f"{separator!r} {unit} {headed} {timing} {encoding} {ends!r} comma={comma} {missing!r}"
    return Written(path, truth, given, 1e-3, must, how)


def lines_of_leads(rng: Random, folder: Path, truth: Truth) -> Written:
    """One line a lead, with or without its name; or a smart watch's file of one lead."""
    if len(truth.leads) == 1 and not np.isnan(truth.microvolts).any():
        values = [f"{value:.3f}" for value in truth.microvolts[:, 0]]
        lines = ["Name,A B", "Date of Birth,1 Jan 1950", "Recorded Date,2024-02-03 10:11:12 +0100",
                 "Classification,Sinus Rhythm", "Symptoms,", "Software Version,1.90",
                 'Device,"Watch6,1"', f"Sample Rate,{truth.hz:g} hertz", "", "",
                 f"Lead,{spell(rng, truth.leads[0])}", f"Unit,{rng.choice(('µV', 'uV'))}", "",
                 *values]  # fmt: skip
        path = folder / "ecg.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return Written(path, truth, {}, 1e-6, True, "watch")
    named = rng.random() < 0.5
    file, names = inverted(rng, truth) if named else (truth, [])
    rows = [["" if np.isnan(v) else f"{v / 1000:.4f}" for v in lead] for lead in file.microvolts.T]
    rows = [[name.strip(), *row] for name, row in zip(names, rows)] if named else rows
    path = folder / "r.csv"
    path.write_text("\n".join(",".join(row) for row in rows))
    given = {"hz": truth.hz, "units": "mV"} | ({} if named else {"leads": list(truth.leads)})
    must = len(truth.leads) > 1 and not np.isnan(truth.microvolts[-1]).any()
    return Written(path, truth, given, 1e-6, must, f"a lead a line, named={named}")
