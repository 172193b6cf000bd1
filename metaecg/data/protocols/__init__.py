"""Protocols: frozen splits of classes and patients into training, validation and test."""

from metaecg.data.protocols.disjoint import check_disjoint, disjoint_parts
from metaecg.data.protocols.protocol import (
    NAMES,
    ORACLE,
    PARTS,
    Classes,
    Protocol,
    ProtocolError,
    Split,
    load,
    merge_equivalent,
    split,
)

__all__ = [
    "NAMES",
    "ORACLE",
    "PARTS",
    "Classes",
    "Protocol",
    "ProtocolError",
    "Split",
    "check_disjoint",
    "disjoint_parts",
    "load",
    "merge_equivalent",
    "split",
]
