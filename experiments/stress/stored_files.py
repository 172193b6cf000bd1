"""What metaecg itself writes or is told, to fuzz: libraries, protocols and config arguments.

Subjects as in `recordings`.
"""

import hashlib
import json
import math
import os
from pathlib import Path
from random import Random

import numpy as np

from experiments.configs import settings
from experiments.stress import mutations
from experiments.stress.recordings import expect, one_line
from metaecg.data import library as lib
from metaecg.data import protocols
from metaecg.data.files import combine
from metaecg.data.writing import Writer
from metaecg.errors import MetaecgError


class Opened:
    """A library's folder; `sealed` again: with sizes and hashes to match, as an attacker would."""

    def __init__(self, folder: Path, sealed: bool):
        self.folder, self.sealed = folder / "library", sealed
        rng = np.random.default_rng(0)
        with Writer(self.folder) as writer:
            for number in range(5):
                signal = rng.integers(-999, 999, (4, 2)).astype(np.int16)
                codes = [code for code in ("AFIB", "LAO/LAE", "SR") if rng.random() < 0.5]
                id, patient = f"record {number}", f"patient {number // 2}"
                writer.add(signal, id=id, patient=patient, codes=codes, source=f"a/{number}")
            writer.quarantine("b", "no label")
            metadata = {"hz": 100.0, "leads": ["I", "II"], "source": "wfdb", "processing": ["one"]}
            writer.finish(vocabulary=["AFIB", "LAO/LAE", "SR"], **metadata)
        self.sound = {path.name: path.read_bytes() for path in self.folder.iterdir()}
        self.whole = lib.open_library(self.folder)

    def attempt(self, rng: Random) -> str:
        name = rng.choice(("library.json",) * 3 + ("signals.npy", "records.csv", "records.csv"))
        content = dict(self.sound)
        if name == "library.json" and rng.random() < 0.6:
            about = json.loads(content[name])
            part = rng.choice(("metadata", "files")) if self.sealed else None
            damaged = mutations.damage_json(rng, about[part] if part else about)
            content[name] = damaged
            if part:
                whole = json.dumps(about | {part: "\0"}).encode()
                content[name] = whole.replace(b'"\\u0000"', damaged)
        else:
            ways = mutations.BINARY if name == "signals.npy" else mutations.TABLE
            content[name] = mutations.damage(rng, content[name], ways)
        if self.sealed:
            content["library.json"] = seal(content)
        for file in content:
            (self.folder / file).unlink(missing_ok=True)
            (self.folder / file).write_bytes(content[file])
        if rng.random() < 0.02:
            (self.folder / name).unlink()
            rng.choice((os.mkfifo, lambda path: os.symlink("/dev/zero", path)))(self.folder / name)
        try:
            library = lib.open_library(self.folder)
        except MetaecgError as error:
            one_line(" ".join(str(error).split()))
            return "refused"
        stored = library.fingerprint
        del library.__dict__["fingerprint"]
        expect(library.fingerprint == stored, "the content is not what its fingerprint says")
        fields = ("vocabulary", "names", "kinds", "leads", "ids", "sources", "notes", "processing")
        text = [library.source, *(t for field in fields for t in getattr(library, field))]
        expect(all(isinstance(t, str) for t in text), "text that is none")
        expect(math.isfinite(library.hz) and math.isfinite(library.scale), "not finite")
        tail = np.frombuffer(content["signals.npy"][-library.signals.size * 2 :], "<i2")
        expect(np.array_equal(library.signals.ravel(), tail), "other signals")
        if not self.sealed:
            expect(stored == self.whole.fingerprint, "an altered library is accepted")
        return "unharmed"


def seal(content: dict[str, bytes]) -> bytes:
    """library.json with sizes, hashes and fingerprint that fit, where it can be parsed."""
    try:
        about = json.loads(content["library.json"])
        for name, entry in about["files"].items():
            entry["bytes"] = len(content[name])
            entry["sha256"] = hashlib.sha256(content[name]).hexdigest()
        digests = (about["files"][name]["sha256"] for name in ("signals.npy", "records.csv"))
        about["fingerprint"] = combine(about["metadata"], *digests)
        return json.dumps(about).encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return content["library.json"]


class Protocol:
    """A protocol's file, and how it splits a library."""

    def __init__(self, folder: Path):
        self.file = folder / "protocol.json"
        codes = tuple("ABCDEF")
        self.library = lib.Library(
            signals=np.ones((12, 4, 2), np.int16), labels=np.tile(np.eye(6, dtype=bool), (2, 1)),
            vocabulary=codes, patients=np.arange(12),
        )  # fmt: skip
        split = {"train": ["A", "B"], "validation": ["C"], "test": ["D", "E"]}
        other = {"train": ["D", "B"], "validation": ["F"], "test": ["A"]}
        self.sound = (
            {"membership": "any"} | split,
            {"membership": "any", "splits": [split, other]},
        )

    def attempt(self, rng: Random) -> str:
        whole = rng.choice(self.sound)
        if rng.random() < 0.6:
            content = mutations.damage_json(rng, whole)
        else:
            sound = json.dumps(whole, indent=1).encode()
            content = mutations.damage(rng, sound, mutations.TEXT)
        self.file.write_bytes(content)
        number = rng.choice(("", ":0", ":0", ":1", ":2", ":-1", ":²", ":٣", ":" + "9" * 5000))
        try:
            protocol = protocols.load(f"{self.file}{number}")
            fields = json.loads(content)
            splits = fields.get("splits", [fields])
            splits = [splits[int(number[1:])]] if number else splits
            read = [tuple(list(s.get(part, [])) for part in protocols.PARTS) for s in splits]
            expect([tuple(map(list, s)) for s in protocol.splits] == read, "misread")
            for split in splits:
                lists = [split.get(part, []) for part in protocols.PARTS]
                expect(all(isinstance(codes, list) for codes in lists), "codes that are no list")
                codes = [code for codes in lists for code in codes]
                expect(all(isinstance(code, str) for code in codes), "codes that are no text")
                expect(len(set(codes)) == len(codes) > 0, "repeated codes")
            parts = {p: protocols.split(self.library, protocol, p) for p in protocols.PARTS}
            protocols.check_disjoint(parts)
        except MetaecgError as error:
            one_line(" ".join(str(error).split()))
            return "refused"
        return "unharmed"


class Config:
    """The arguments behind a configuration's file name."""

    def __init__(self, folder: Path):
        del folder
        self.default = settings.flat(settings.default())
        self.sound = [
            f"{key}={value}" for key, value in self.default.items() if "," not in str(value)
        ]

    def attempt(self, rng: Random) -> str:
        arguments = ",".join(rng.sample(self.sound, rng.randint(1, 4))).encode()
        text = mutations.damage(rng, arguments, mutations.TEXT).decode("utf-8", "surrogateescape")
        try:
            config = settings.with_arguments(settings.default(), text)
            settings.validate(config)
        except MetaecgError as error:
            one_line(" ".join(str(error).split()))
            return "refused"
        given = dict(item.split("=", 1) for item in text.split(",") if item)
        for key, value in settings.flat(config).items():
            kind = type(self.default[key])
            expect(type(value) is kind, f"{key} became {type(value)}")
            expect(kind is str or math.isfinite(value), f"{key} = {value}")
            if key not in given:
                expect(value == self.default[key], f"{key} changed")
            elif kind is not bool:
                expect(value == kind(given[key]), f"{key} is not {given[key]}")
        return "unharmed"
