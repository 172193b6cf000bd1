"""Recordings to fuzz: WFDB records, tables of labels, and the tables of PTB-XL.

A subject has sound files in a folder. Its `attempt` damages them, has them read and returns a
verdict, or raises `Fault` where what came out is wrong; any other exception is a fault, too.

- 'refused': a typed error;
- 'quarantined': a record is left out, with its reason;
- 'unharmed': accepted, and what came out is right by an independent reading of the same files;
- 'unverified': accepted without a checksum of all bits, as the record's remarks say;
- 'same sums': samples are altered so that every sum modulo 65536, all that WFDB keeps of them, is
  as it was.
"""

import csv
import io
import os
from pathlib import Path
from random import Random

import numpy as np
import scipy.io
import wfdb

from experiments.stress import mutations
from metaecg.data.readers.lead_names import upright_name
from metaecg.data.readers.wfdb import read_signal
from metaecg.data.readers.wfdb_header import read_header, unverified
from metaecg.data.record_form import Target
from metaecg.data.sources import ptbxl, wfdb_folder
from metaecg.data.sources.listing import Item
from metaecg.data.sources.source import read_item
from metaecg.errors import MetaecgError

HZ, SAMPLES = 100, 60


class Fault(AssertionError):
    """Damaged input was accepted and came out wrong, or was refused without saying why."""


def expect(right: bool, what: str) -> None:
    if not right:
        raise Fault(what)


def one_line(reason: object) -> None:
    text = str(reason)
    expect(bool(text) and text.isprintable(), f"not one line: {text[:80]!r}")
    expect(len(text) <= 2000, f"a message of {len(text)} characters")


def write_record(folder: Path, format: str, leads: tuple[str, ...], seed: int) -> np.ndarray:
    """Writes the record r of 60 samples at 100 Hz; returns its samples, int [60, leads]."""
    digital = np.random.default_rng(seed).integers(-100, 100, (SAMPLES, len(leads)))
    if format != "mat":
        wfdb.wrsamp(
            "r", fs=HZ, units=["mV"] * len(leads), sig_name=list(leads), d_signal=digital,
            fmt=[format] * len(leads), adc_gain=[200.0] * len(leads), comments=["Dx: AFIB"],
            baseline=[0] * len(leads), write_dir=str(folder),
        )  # fmt: skip
        return digital
    scipy.io.savemat(folder / "r.mat", {"val": digital.T.astype(np.int16)}, format="4")
    lines = [f"r {len(leads)} {HZ} {SAMPLES}"]
    for lead, column in zip(leads, digital.T):
        lines.append(f"r.mat 16+24 200/mV 16 0 {column[0]} {column.sum() % 65536} 0 {lead}")
    (folder / "r.hea").write_text("\n".join([*lines, "#Dx: AFIB,SR", ""]))
    return digital


class Record:
    """A WFDB record: its header, its samples, or both; or a link to another record is in place."""

    def __init__(self, folder: Path, format: str, leads: tuple[str, ...] = ("I", "II", "V1")):
        self.inside, self.leads = folder / "in", leads
        self.inside.mkdir()
        (folder / "secret").mkdir()
        self.digital = write_record(self.inside, format, leads, 0)
        write_record(folder / "secret", format, leads, 1)
        self.data = "r.mat" if format == "mat" else "r.dat"
        self.sound = {name: (self.inside / name).read_bytes() for name in ("r.hea", self.data)}
        self.target = Target(float(HZ), SAMPLES / HZ, leads)

    def attempt(self, rng: Random) -> str:
        what = rng.choice(("header",) * 8 + ("data",) * 7 + ("both",) * 4 + ("link",))
        content = dict(self.sound)
        if what in ("header", "both"):
            content["r.hea"] = mutations.damage(rng, content["r.hea"], mutations.TEXT)
        if what in ("data", "both"):
            content[self.data] = mutations.damage(rng, content[self.data], mutations.BINARY)
        linked = rng.sample(list(content), rng.randint(1, 2)) if what == "link" else []
        for name in content:
            path = self.inside / name
            path.unlink(missing_ok=True)
            if name in linked:
                path.symlink_to(self.inside.parent / "secret" / name)
            else:
                path.write_bytes(content[name])
        item = Item("r", "r", "r", None)
        [outcome] = read_item(self.inside, item, self.target, wfdb_folder.read)
        if outcome.signal is None:
            one_line(outcome.reason)
        header_path = self.inside / "r.hea"
        try:
            header = read_header(header_path, self.inside)
            physical = read_signal(header_path, header, self.inside)
        except MetaecgError as error:
            one_line(" ".join(str(error).split()))
            expect(outcome.signal is None, "imported what cannot be read")
            return "quarantined"
        gains = np.array([channel.gain for channel in header.channels])
        baselines = np.array([channel.baseline for channel in header.channels])
        read = np.where(np.isnan(physical), -32768, np.rint(physical * gains + baselines))
        if not np.array_equal(read, self.digital):
            if read.shape == self.digital.shape and not unverified(header):
                same = (read.sum(axis=0) - self.digital.sum(axis=0)) % 65536 == 0
                expect(bool(same.all()), "altered samples are accepted")
                return "same sums"
            expect(bool(unverified(header)), "altered samples are accepted")
            silent = outcome.signal is not None and unverified(header) not in outcome.note
            expect(not silent, "unverified in silence")
            return "quarantined" if outcome.signal is None else "unverified"
        expect(not linked, "samples of a record outside are accepted")
        facts = [(c.gain, c.baseline, c.unit, c.name) for c in header.channels]
        found = header.frame_hz, facts
        expect(found == header_by_hand(content["r.hea"]), "the header is misread")
        if outcome.signal is None:
            return "quarantined"
        if header.hz == HZ and all(channel.unit == "mV" for channel in header.channels):
            names, signs = zip(*(upright_name(channel.name) for channel in header.channels))
            millivolts = (self.digital - baselines) / gains * signs
            kept = [lead for lead in self.leads if lead in names]  # others can be computed
            expect(len(kept) == len(self.leads) or "computed" in outcome.note, "whose samples?")
            expected = millivolts[:, [names.index(lead) for lead in kept]] * 1000
            found_units = outcome.signal[:, [self.leads.index(lead) for lead in kept]]
            rounding = np.abs(found_units - expected).max()
            expect(bool(rounding < 0.5001), "imported other samples")
        return "unharmed"


def header_by_hand(content: bytes) -> tuple[float, list[tuple[float, int, str, str]]]:
    """A header's rate, gains, baselines, units and names by splitting at blanks."""
    text = content.decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    first, facts = lines[0].split(), []
    for line in lines[1 : 1 + int(first[1])]:
        fields = [*line.split(maxsplit=8), *[""] * 8][:9]
        gain, _, unit = fields[2].partition("/")
        gain, _, baseline = gain.partition("(")
        facts.append((
            float(gain or 0) or 200.0,
            int(baseline.rstrip(")") or fields[4] or 0),
            unit or "mV",
            fields[8],
        ))  # fmt: skip
    return float((first[2] if len(first) > 2 else "250").partition("/")[0]), facts


class Manifest:
    """A CSV file of labels for a WFDB folder, and the import of what it lists."""

    def __init__(self, folder: Path):
        self.inside, self.digital = folder / "in", {}
        for seed, name in enumerate(("in/a", "in/b c/d", "in/é", "secret")):
            (folder / name).mkdir(parents=True)
            digital = write_record(folder / name, "16", ("I", "II"), seed)
            self.digital[f"{name.removeprefix('in/')}/r"] = digital * 5
        del self.digital["secret/r"]
        (self.inside / "link").mkdir()
        (self.inside / "link" / "r.hea").symlink_to(folder / "secret" / "r.hea")
        (self.inside / "link" / "r.dat").symlink_to(folder / "secret" / "r.dat")
        self.target = Target(float(HZ), SAMPLES / HZ, ("I", "II"))
        rows = ["a/r.hea,AFIB,ann", "b c/r,SR,bob", "b c/d/r,AFIB;PVC,bob", "é/r,SR,"]
        self.sound = "\n".join(["path,label,patient", *rows, "../secret/r,SR,eve", ""]).encode()
        self.file = folder / "labels.csv"

    def attempt(self, rng: Random) -> str:
        content = mutations.damage(rng, self.sound, mutations.TABLE)
        self.file.write_bytes(content)
        try:
            items = wfdb_folder.list_folder(self.inside, str(self.file))
        except MetaecgError as error:
            one_line(" ".join(str(error).split()))
            return "refused"
        table = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
        names = [name.strip().lower() for name in table[0]]
        columns = [names.index(name) for name in ("path", "label")]
        rows = [[row[column] for column in columns] for row in table[1:] if row]
        expect(len(set(names)) == len(names), "a column is there twice")
        expect({len(row) for row in table if row} == {len(table[0])}, "a ragged table")
        quarantined = 0
        for item in items[:20]:
            [outcome] = read_item(self.inside, item, self.target, wfdb_folder.read)
            if outcome.signal is None:
                one_line(outcome.reason)
                quarantined += 1
                continue
            expect(item.path in self.digital, f"{item.path} is outside")
            expect(np.array_equal(outcome.signal, self.digital[item.path]), "another's samples")
            said = [
                label
                for path, label in rows
                if item.path in os.path.normpath(path.replace("\\", "/"))
            ]
            for code in outcome.codes:
                expect(any(code in label for label in said), f"{code} is not {item.path}'s")
        return "quarantined" if quarantined else "unharmed"


class PtbXl:
    """The two tables of PTB-XL."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "records100").mkdir()
        lines = ["ecg_id,patient_id,scp_codes,strat_fold,filename_lr,filename_hr"]
        for id in range(1, 6):
            codes = f"\"{{'NORM': {id * 20}.0, 'SR': 0.0}}\""
            lines.append(f"{id},{15000 + id // 2}.0,{codes},{id},records100/{id},records500/{id}")
        kinds = ["NORM,normal ECG,1.0,,", "SR,sinus rhythm,,,1.0", "PVC,premature,,1.0,1.0"]
        statements = "\n".join([",description,diagnostic,form,rhythm", *kinds, ""])
        self.sound = {
            "ptbxl_database.csv": "\n".join([*lines, ""]).encode(),
            "scp_statements.csv": statements.encode(),
        }

    def attempt(self, rng: Random) -> str:
        content = dict(self.sound)
        name = rng.choice(list(content))
        content[name] = mutations.damage(rng, content[name], mutations.TABLE)
        for file in content:
            (self.folder / file).write_bytes(content[file])
        try:
            items, known = ptbxl.list_records(self.folder, 100.0), ptbxl.statements(self.folder)
        except MetaecgError as error:
            one_line(" ".join(str(error).split()))
            return "refused"
        expect(len({item.id for item in items}) == len(items), "an id is there twice")
        codes = [*known, *(code for item in items for code in item.codes or ())]
        expect(all(isinstance(c, str) and c and ";" not in c for c in codes), "no codes")
        expect(all(abs(item.fold) < 2**31 for item in items), "a fold that int32 does not hold")
        # What is left after damage is in one row of the file.
        text = content["ptbxl_database.csv"].decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline="")))
        for item in items:
            spelt = [f"'{code}': " for code in item.codes or ()]
            whole = [",".join(row) for row in rows if item.path in row and item.id in row]
            expect(any(all(code in row for code in spelt) for row in whole), f"{item}")
        return "unharmed"
