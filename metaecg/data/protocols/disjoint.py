"""Parts of a library that share nothing."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from metaecg.data.library import Library
from metaecg.data.protocols.protocol import PARTS, Protocol, ProtocolError, Split, split
from metaecg.data.sources.statements import canonical


def disjoint_parts(library: Library, protocol: Protocol) -> dict[str, Split]:
    """All parts of a library by name, of which no two share a patient.

    Nor do they share a class, unless the protocol is a yardstick (`Protocol.oracle`).

    Raises:
      ProtocolError: two of them do, the library lacks a class, or the protocol has several splits.
    """
    splits = {part: split(library, protocol, part) for part in PARTS}
    check_disjoint(splits, oracle=protocol.oracle)
    return splits


def check_disjoint(splits: Mapping[str, Split], *, oracle: bool = False) -> None:
    """Asserts that no two parts share a patient, a class or two equivalent classes.

    Args:
      splits: the parts by name.
      oracle: a yardstick, whose parts share classes and not patients.

    Raises:
      ProtocolError: they do; with the numbers and an example.
    """
    for (one, a), (other, b) in combinations(splits.items(), 2):
        theirs = {canonical(code): code for code in b.classes}
        same = sorted(
            (code, theirs[canonical(code)]) for code in a.classes if canonical(code) in theirs
        )
        classes = [code if code == twin else f"{code}, which is {twin}" for code, twin in same]
        patients = np.intersect1d(a.patients, b.patients)
        for what, shared in (("classes", classes), ("patients", patients)):
            if len(shared) and not (oracle and what == "classes"):
                raise ProtocolError(
                    f"{one} and {other} share {len(shared)} {what}, such as {shared[0]}"
                )
