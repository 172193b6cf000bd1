"""The models that come with the package for recordings of fewer than twelve leads.

`shipped/few_leads/` has an artefact for each of some sets of leads, named by them: `I_II.metaecg`
reads I and II. Each has a calibration of its own, so that it states rates for its leads.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from metaecg.data.readers.given_by_user import Given
from metaecg.data.readers.lead_names import STANDARD_LEADS
from metaecg.diagnose import artefact, support
from metaecg.diagnose.model import Model
from metaecg.errors import MetaecgError

FOLDER = "few_leads"

SECONDS = 10.0
"""Of a recording, or of one of its windows, as these models read it."""

LOOKED_AT = 100
"""Recordings of an archive, evenly, whose leads are looked at."""


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


def suiting(leads: Iterable[str]) -> Model:
    """The model of `path_for`, which is read once.

    Raises:
      ArtefactError: no model comes with this installation.
    """
    return _read(path_for(leads))


def for_archive(archive: Sequence[Path], examples: Sequence[Path], given: Given) -> Model:
    """The model for the leads that every example and nine in ten recordings of an archive have.

    Files that cannot be read are not counted; whoever reads them says what is wrong.

    Args:
      archive: the recordings, of which `LOOKED_AT` are looked at, evenly.
      examples: all of which are looked at.
      given: what the files do not say.

    Raises:
      ArtefactError: no model comes with this installation.
    """
    some = _leads(archive[:: -(-len(archive) // LOOKED_AT) or 1], given)
    common = {
        lead for lead in STANDARD_LEADS if sum(lead in have for have in some) >= 0.9 * len(some)
    }
    return suiting(common.intersection(*_leads(examples, given)))


def _leads(paths: Iterable[Path], given: Given) -> list[frozenset[str]]:
    found = []
    for path in paths:
        try:
            found.append(support.leads_of(path, given, SECONDS))
        except (MetaecgError, OSError):
            continue
    return found


@cache
def _read(path: Path) -> Model:
    return artefact.read(path)
