"""Frozen protocols: which statements and which patients serve training, validation and test.

A protocol is a JSON file. Those of the package are compared with their sha256 when loaded, so that
numbers measured on them stay comparable. One with several splits is loaded whole by its name, or
one split of it as ``ptbxl_21_5:0``. ``ptbxl_rare:oracle`` makes a yardstick of it: half of the test
patients train, with the labels of the test classes.

Equivalent codes (`statements.canonical`) are one class throughout: a protocol of PTB-XL's
statements splits a library of SNOMED CT codes as well.
"""

import hashlib
import json
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from metaecg.data.files import read_json, sha256
from metaecg.data.library import Library
from metaecg.data.sources.statements import canonical, look_up
from metaecg.errors import MetaecgError

PARTS = ("train", "validation", "test")

_SHA256 = {
    "cinc2017": "93a8d23ee3514e99d76c4e9ae475f9aedb6e3bff7c834489868efb4374895aee",
    "cinc2017_conditions": "683203f1926a80d9cf5c136cf4316b7f0eca6f95e0bdac7e7708fd31c5c4835a",
    "ludb": "462007bd1c0adca6afbeb6599d94f6fbe01c399bda5160ff202f5eb555941602",
    "ptbxl_21_5": "46c94ff3c3649c1f9efbd40a76e16d1260646fa17a330310596a0c4e2eed44e4",
    "ptbxl_rare": "1165b545292e54461f5110bb2ffa80cba817b68910c950fb366cd43207b5e207",
    "synthetic": "57c23852761adc5dbab14fee7c82752671711d8b43401fe2310c2f778a6f7c53",
}
NAMES = tuple(_SHA256)
"""The packaged protocols."""

_MEMBERSHIP = {
    "any": ("any", "a record belongs to a class when the statement is among its scp_codes"),
    "single": ("single", "records that carry exactly one diagnostic statement"),
}


ORACLE = ":oracle"
"""Behind a protocol's name: half of the test patients train, on the test statements as well."""


class ProtocolError(MetaecgError):
    """A protocol is malformed, edited or does not fit the library."""


class Classes(NamedTuple):
    """The codes of each part of one split; `validation` may be empty."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


class Protocol(NamedTuple):
    """Rules that split a library.

    Attributes:
      name: its file's name, and the split's number if one of several was asked for.
      membership: 'any' where a record belongs to every class whose statement it carries, 'single'
        where records with exactly one diagnostic statement belong to it and others are left out.
      splits: one or several ways to split the codes. In each, a patient with a record of a test
        class serves test alone; of the others, one with a record of a validation class serves
        validation alone; the rest train.
      oracle: a yardstick of full labels: every other patient of the test part trains instead, on
        the classes of both. What this yardstick measures is no few-shot figure.
    """

    name: str
    membership: str
    splits: tuple[Classes, ...]
    oracle: bool = False

    @property
    def digest(self) -> str:
        """sha256 of the rules, whatever the file is called."""
        return hashlib.sha256(json.dumps(self[1:]).encode()).hexdigest()

    @property
    def digests(self) -> tuple[str, ...]:
        """`digest`, and what models hold for the same rules that were made before `oracle` was."""
        if self.oracle:
            return (self.digest,)
        before = hashlib.sha256(json.dumps(self[1:3]).encode()).hexdigest()
        return self.digest, before


class Split(NamedTuple):
    """A part of a library: row numbers int32 [n], labels bool [n, C], patients int32 [n], codes."""

    rows: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    classes: tuple[str, ...]


def load(name_or_path: str) -> Protocol:
    """Loads a protocol.

    Args:
      name_or_path: a packaged protocol's name or the path of a ``.json`` file of the same layout
        (membership 'any' or 'single'; train, validation, test: lists of codes, or splits: a list
        of such lists); behind a colon, the number of one split; behind another, 'oracle'.

    Returns:
      The protocol, with one split if it was named.

    Raises:
      ProtocolError: it is unknown, malformed or, packaged, edited.
    """
    if name_or_path.endswith(ORACLE):
        return load(name_or_path.removesuffix(ORACLE))._replace(name=name_or_path, oracle=True)
    whole, _, number = name_or_path.partition(":")
    if whole in NAMES:
        with resources.as_file(resources.files("metaecg.data.protocols") / f"{whole}.json") as file:
            if sha256(file) != _SHA256[whole]:
                raise ProtocolError(f"{whole}.json: edited (sha256 differs); install metaecg again")
            fields = read_json(file)
    elif whole.endswith(".json"):
        try:
            fields = read_json(Path(whole))
        except FileNotFoundError:
            raise ProtocolError(f"no protocol {whole[:200]!r}: no such file") from None
        except (ValueError, OSError) as error:
            raise ProtocolError(f"{whole[:200]}: no protocol: {error}") from None
    else:
        raise ProtocolError(
            f"no protocol {whole[:200]!r}; there are {', '.join(NAMES)}, or a .json file"
        )
    try:
        splits = tuple(
            Classes(*(_codes(whole, part, split.get(part, [])) for part in PARTS))
            for split in fields.get("splits", [fields])
        )
        text = fields["membership"]
    except (KeyError, AttributeError, TypeError) as error:
        raise ProtocolError(f"{whole}: no protocol: {type(error).__name__} {error}") from None
    matching = [rule for rule, texts in _MEMBERSHIP.items() if str(text).startswith(texts)]
    if not matching or not isinstance(text, str):
        raise ProtocolError(f"{whole}: membership {str(text)[:60]!r} is not 'any' or 'single'")
    if not splits:
        raise ProtocolError(f"{whole}: no split in it")
    for split in splits:
        if not split.train + split.test:
            raise ProtocolError(f"{whole}: a split lacks both train and test codes")
        codes = sorted((canonical(code), code) for part in split for code in part)
        for (common, code), (other, twin) in pairwise(codes):
            if common == other:
                what = f"{code} and {twin}, which are equivalent" if code != twin else code
                raise ProtocolError(f"{whole}: a split repeats a code: {what}")
    if number:
        if number not in map(str, range(len(splits))):
            raise ProtocolError(
                f"{whole}:{number[:20]}: splits are numbered 0 to {len(splits) - 1}, and the "
                f"yardstick of full labels is {whole}{ORACLE}"
            )
        splits = (splits[int(number)],)
    return Protocol(name_or_path, matching[0], splits)


def _codes(file: str, part: str, codes: object) -> tuple[str, ...]:
    if not isinstance(codes, list) or not all(isinstance(code, str) for code in codes):
        raise ProtocolError(f"{file}: {part} is {str(codes)[:40]!r} and no list of codes")
    return tuple(codes)


class Merged(NamedTuple):
    """A library's labels with equivalent codes as one class.

    Attributes:
      labels: bool [R, n].
      codes: the n common codes, in the order of the library's vocabulary.
      kinds: kinds of statement of each, joined by ';'; '' where the library does not know them.
    """

    labels: np.ndarray
    codes: tuple[str, ...]
    kinds: tuple[str, ...]

    def single(self) -> np.ndarray:
        """Which records carry exactly one diagnostic statement: bool [R].

        Raises:
          ProtocolError: the library has no diagnostic statement.
        """
        diagnostic = self.diagnostic()
        if not diagnostic.any():
            raise ProtocolError(
                "membership 'single' needs a library that knows which statements are diagnostic"
            )
        return self.labels[:, diagnostic].sum(axis=1) == 1

    def diagnostic(self) -> np.ndarray:
        """Which classes are diagnostic statements: bool [n], by PTB-XL where kinds are unknown."""
        kinds = [kind or look_up(code).kinds for code, kind in zip(self.codes, self.kinds)]
        return np.array(["diagnostic" in kind.split(";") for kind in kinds], bool)


def merge_equivalent(library: Library) -> Merged:
    """The labels of a library, codes that `statements.canonical` calls equivalent as one class."""
    codes = [canonical(code) for code in library.vocabulary]
    column = {code: c for c, code in enumerate(dict.fromkeys(codes))}
    labels = np.zeros((len(library), len(column)), bool)
    kinds = [""] * len(column)
    for code, carried, kind in zip(codes, library.labels.T, library.kinds):
        labels[:, column[code]] |= carried
        kinds[column[code]] = kind or kinds[column[code]]
    return Merged(labels, tuple(column), tuple(kinds))


def split(library: Library, protocol: Protocol, part: str) -> Split:
    """The records of a library that serve one part of a protocol with a single split.

    Args:
      library: the sample library.
      protocol: as loaded. A class has the records of its code and of all equivalent codes.
      part: 'train', 'validation' or 'test'.

    Returns:
      The part's records, those without a label of its classes included unless membership is
      'single'.

    Raises:
      ProtocolError: the library lacks a class, or the protocol has several splits.
    """
    if part not in PARTS:
        raise ProtocolError(f"part {part!r} is not one of {', '.join(PARTS)}")
    if len(protocol.splits) != 1:
        raise ProtocolError(
            f"{protocol.name} has {len(protocol.splits)} splits; choose one, such as "
            f"{protocol.name}:0"
        )
    merged = merge_equivalent(library)
    at = {code: c for c, code in enumerate(merged.codes)}
    wanted = [code for codes in protocol.splits[0] for code in codes]
    if missing := [code for code in wanted if canonical(code) not in at]:
        raise ProtocolError(
            f"protocol {protocol.name}: the library lacks {len(missing)} of its classes, such as "
            f"{missing[0]!r:.60}; choose another protocol or library"
        )
    column = {code: at[canonical(code)] for code in wanted}
    eligible = np.ones(len(library), bool)
    if protocol.membership == "single":
        eligible = merged.single()
    labels = merged.labels & eligible[:, None]
    serves = np.zeros(library.patients.max() + 1, np.int8)  # of each patient, the part's number
    for number, codes in enumerate(protocol.splits[0]):  # test last: it has the first claim
        carried = labels[:, [column[code] for code in codes]].any(axis=1)
        serves[library.patients[carried]] = np.maximum(serves[library.patients[carried]], number)
    classes = protocol.splits[0][PARTS.index(part)]
    if protocol.oracle:
        tested = np.flatnonzero(serves == PARTS.index("test"))
        serves[tested[::2]] = PARTS.index("train")
        classes += protocol.splits[0].test if part == "train" else ()
    rows = np.flatnonzero(eligible & (serves[library.patients] == PARTS.index(part)))
    return Split(
        rows.astype(np.int32),
        labels[rows][:, [column[code] for code in classes]],
        library.patients[rows],
        classes,
    )
