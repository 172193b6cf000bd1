"""Protocols: frozen splits of classes and patients into training, validation and test."""

from metaecg.data.protocols.protocol import (
    KNOWN,
    NAMES,
    PARTS,
    Classes,
    Protocol,
    ProtocolError,
    Split,
    check_disjoint,
    load,
    split,
)

__all__ = [
    "KNOWN",
    "NAMES",
    "PARTS",
    "Classes",
    "Protocol",
    "ProtocolError",
    "Split",
    "check_disjoint",
    "load",
    "split",
]
