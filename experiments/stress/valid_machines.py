"""Files of ECG machines in legal ways, and damaged ones; the layouts are in `machine_files`."""

from pathlib import Path
from random import Random

import numpy as np

from experiments.stress import machine_files, mutations
from experiments.stress.recordings import expect, one_line
from experiments.stress.valid import Truth, Written, check, draw
from metaecg.data.readers import recordings
from metaecg.errors import MetaecgError

_CODES = {
    "scp": {"I": 1, "II": 2, "V1": 3, "V2": 4, "V3": 5, "V4": 6, "V5": 7, "V6": 8, "III": 61,
            "aVR": 62, "aVL": 63, "aVF": 64},
    "ishne": {"I": 5, "II": 6, "III": 7, "aVR": 8, "aVL": 9, "aVF": 10, "V1": 11, "V2": 12,
              "V3": 13, "V4": 14, "V5": 15, "V6": 16},
}  # fmt: skip
"""The numbers of leads in EN 1064 and in the ISHNE standard."""


def machine(rng: Random, folder: Path, truth: Truth) -> Written:
    """A file of one of five machines, of any resolution that the truth is a multiple of."""
    name = rng.choice(list(machine_files.WRITERS))
    write, _ = machine_files.WRITERS[name]
    format = name.split(".")[0]
    lost = np.isnan(truth.microvolts)
    if format == "scp" and 1_000_000 % truth.hz:  # it holds whole microseconds
        truth = truth._replace(hz=500.0)
    # ISHNE knows missing samples; the others hold a number wherever there is a sample.
    filled = np.where(lost, -32768 if format == "ishne" else 0, truth.microvolts)
    step = rng.choice((1, 2, 5) if format in ("scp", "ishne") else (1, 2, 2.5, 4.88, 5))
    counts = np.where(lost, filled, np.rint(filled / step)).astype(int)
    microvolts = np.where(lost & (format == "ishne"), np.nan, counts * step)
    truth = truth._replace(microvolts=microvolts)
    more: dict[str, object] = {"hz": int(truth.hz)}
    if format in _CODES:
        more |= {"nanovolts": 1000 * step, "codes": [_CODES[format][lead] for lead in truth.leads]}
    else:
        more["units_per_bit" if format == "muse" else "resolution"] = step
        more["leads"] = truth.leads
    if format == "muse":
        more["doctype"] = rng.random() < 0.5
    if format == "philips":
        more |= {"version": rng.choice(("1.03", "1.04", "1.04.01")), "pulse": rng.random() < 0.5}
        # Machines store eight leads or more; samples of two are alike by chance, as in a pulse.
        more["pulse"] = more["pulse"] and len(truth.leads) >= 8
        more["resolution"] = step = rng.choice((1, 2, 5))
        counts = np.rint(np.nan_to_num(truth.microvolts) / step).astype(int)
        truth = truth._replace(microvolts=counts * float(step))
    path = folder / rng.choice((name, "r.xml", "r"))
    path.write_bytes(write(counts, **more))
    long_enough = len(counts) >= truth.hz / 2
    return Written(path, truth, {}, 1e-6, long_enough, f"{name} {more}")


class Machine:
    """A file of a machine to fuzz; few of the formats show by a checksum that they are damaged."""

    def __init__(self, folder: Path):
        self.folder = folder

    def attempt(self, rng: Random) -> str:
        written = machine(rng, self.folder, draw(rng))
        sound = written.path.read_bytes()
        ways = mutations.TEXT if sound.startswith(b"<") else mutations.BINARY
        written.path.write_bytes(mutations.damage(rng, sound, ways))
        try:
            recording = recordings.read(written.path, **written.given)
        except MetaecgError as error:
            one_line(error)
            text = str(error)
            verdict = "refused"
        else:
            expect(not np.isinf(recording.signal).any(), "infinite samples")
            text = " ".join(note.text for note in recording.notes)
            verdict = "unharmed" if check(written) == "read" else "unverified"
        finally:
            written.path.unlink()
        who = [said for said in machine_files.PERSON.values() if said in text]
        expect(not who, f"says who the patient is: {text[:200]!r}")
        return verdict
