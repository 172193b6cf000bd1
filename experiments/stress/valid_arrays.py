"""Recordings as NumPy and MATLAB arrays in every legal way."""

from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from experiments.stress.valid import Truth, Written, inverted


def array(rng: Random, folder: Path, truth: Truth) -> Written:
    """NPY of any number type and order of bytes and axes."""
    holes = bool(np.isnan(truth.microvolts).any())
    kinds = ("<f4", ">f4", "<f8", ">f8") if holes else ("<f4", ">f8", "<i2", ">i2", "<i4", "<i8")
    kind = rng.choice(kinds)
    unit = rng.choice(("mV", "V", "uV")) if "f" in kind else "uV"
    values = truth.microvolts * {"mV": 1e-3, "V": 1e-6, "uV": 1.0}[unit]
    values = np.asarray(values, kind)
    shape = rng.choice(("samples first", "leads first", "fortran", "strided"))
    if shape == "leads first":
        values = np.ascontiguousarray(values.T)
    elif shape == "fortran":
        values = np.asfortranarray(values)
    if len(truth.leads) == 1 and rng.random() < 0.5:
        values = values.ravel()
    given = {"hz": truth.hz, "units": unit, "leads": list(truth.leads)}
    path = folder / rng.choice(("r.npy", "r.txt", "r"))
    with open(path, "wb") as file:
        np.save(file, values)
    return Written(path, truth, given, 1e-3, True, f"{kind} {unit} {shape} {values.shape}")


def archive(rng: Random, folder: Path, truth: Truth) -> Written:
    """NPZ or MATLAB, the rate, the leads and the units under any of the usual names."""
    file, names = inverted(rng, truth)
    values = file.microvolts / 1000
    values = values.T if rng.random() < 0.5 else values
    matlab = rng.random() < 0.4
    content: dict[str, Any] = {rng.choice(("signal", "ecg", "Signal", "data", "x")): values}
    rate = np.float64(truth.hz) if rng.random() < 0.5 else np.array([int(truth.hz)])
    content[rng.choice(("hz", "fs", "Fs", "sampling_rate", "sfreq"))] = rate
    kind = object if matlab else rng.choice((str, "S"))
    plain = [n.encode("ascii", "ignore").decode() for n in names]
    if any(n != p for n, p in zip(names, plain)):
        kind = object if matlab else str
    content[rng.choice(("leads", "lead_names", "sig_name"))] = np.array(names, kind)
    said = rng.random() < 0.7
    if said:
        content["units"] = np.array(
            rng.choice((["mV"], ["mV"] * len(names))), object if matlab else str
        )
    path = folder / ("r.mat" if matlab else "r.npz")
    if matlab:
        import scipy.io

        scipy.io.savemat(path, content, do_compression=rng.random() < 0.5)
    else:
        rng.choice((np.savez, np.savez_compressed))(path, **content)
    given = {} if said else {"units": "mV"}
    return Written(path, truth, given, 1e-6, True, f"{path.suffix} {list(content)} {values.shape}")
