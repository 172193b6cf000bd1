"""Synthetic ECGs: sixty conditions, a model of the heart, and the recordings it makes."""

from metaecg.data.synthetic.conditions import CONDITIONS, Condition
from metaecg.data.synthetic.generator import LEADS, generate, leads_from_electrodes, library

__all__ = ["CONDITIONS", "LEADS", "Condition", "generate", "leads_from_electrodes", "library"]
