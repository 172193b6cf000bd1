"""Synthetic ECGs: sixty conditions, a model of the heart, and the recordings it makes."""

from metaecg.data.synthetic.generator import (
    CONDITIONS,
    LEADS,
    Condition,
    generate,
    leads_from_electrodes,
    library,
)

__all__ = ["CONDITIONS", "LEADS", "Condition", "generate", "leads_from_electrodes", "library"]
