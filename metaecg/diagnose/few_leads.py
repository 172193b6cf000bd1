"""The models that come with the package for recordings of fewer than twelve leads.

`shipped/few_leads/` has an artefact for each of some sets of leads, named by them: `I_II.metaecg`
reads I and II. Each has a calibration of its own, so that it states rates for its leads.
"""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from metaecg.data.readers.lead_names import CHEST_LEADS, STANDARD_LEADS
from metaecg.diagnose import artefact
from metaecg.diagnose.model import Model

FOLDER = "few_leads"

SPARE = 2
"""Chest leads that a recording may lack beside examples of all twelve, chosen in validation.

The model of twelve, which reads zeros for them, kept its rates there, and the models of fewer leads
were right far less often; see `experiments.tables.lost_leads`.
"""

SECONDS = 10.0
"""Of a recording, or of one of its windows, as these models read it."""


def sets() -> dict[frozenset[str], Path]:
    """The sets of leads that a model comes for, each with its file."""
    found = sorted((artefact.shipped_path().parent / FOLDER).glob("*.metaecg"))
    return {frozenset(path.stem.split("_")): path for path in found}


def path_for(leads: Iterable[str]) -> Path:
    """The file of the model that comes with the package and reads the most of some leads.

    Args:
      leads: usual names of the leads that all recordings have.

    Returns:
      That of the model of twelve leads where they are there, or where no other suits either.

    Raises:
      ArtefactError: no model comes with this installation.
    """
    there, files = frozenset(leads), sets()
    possible = [names for names in files if names <= there]
    if there.issuperset(STANDARD_LEADS) or not possible:
        return artefact.shipped_path()
    return files[max(possible, key=len)]


def to_read(examples: frozenset[str], recording: frozenset[str]) -> frozenset[str]:
    """The leads by which a recording is read beside examples: those of all, but for a few lost.

    Args:
      examples: the usual leads that all examples have.
      recording: those of the recording.

    Returns:
      All twelve where the recording lacks `SPARE` chest leads of them at most; else those that both
      have.
    """
    lacking = frozenset(STANDARD_LEADS) - recording
    if examples.issuperset(STANDARD_LEADS) and len(lacking) <= SPARE and lacking <= {*CHEST_LEADS}:
        return examples
    return examples & recording


def suiting(leads: Iterable[str]) -> Model:
    """The model of `path_for`, which is read once.

    Raises:
      ArtefactError: no model comes with this installation.
    """
    return _read(path_for(leads))


@cache
def _read(path: Path) -> Model:
    return artefact.read(path)
