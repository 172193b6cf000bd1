"""What a run and all runs that it started from were trained on.

A run writes ancestry.json when it starts: its own training first, then those of its ancestors, so
that no later step has to find them again. `leak_guard` compares it with what is to be measured.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.runs import workdir
from metaecg.data import overlap
from metaecg.data.library import Library
from metaecg.errors import MetaecgError

FILE = "ancestry.json"


@dataclasses.dataclass(frozen=True)
class Training:
    """What one training saw, by itself and by the whitening that it fitted.

    Attributes:
      protocol: its name.
      protocol_digest: sha256 of its rules.
      library: the fingerprint of the library.
      classes: codes that it was trained on.
      seen: its patients and recordings; None where an earlier version did not write them.
    """

    protocol: str
    protocol_digest: str | None
    library: str
    classes: tuple[str, ...]
    seen: overlap.Seen | None


@dataclasses.dataclass(frozen=True)
class Ancestry:
    """All that a model knows of the world.

    Attributes:
      trainings: distinct ones, the youngest first.
      generation: how many runs it started from, one after another.
      gaps: a sentence on each thing that is not known of them.
    """

    trainings: tuple[Training, ...]
    generation: int = 0
    gaps: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON keeps it, in ancestry.json or in the provenance of an artefact."""
        return {
            "generation": self.generation,
            "gaps": list(self.gaps),
            "trainings": [
                {**vars(one), "classes": list(one.classes), "seen": one.seen and one.seen._asdict()}
                for one in self.trainings
            ],
        }


def from_json(fields: dict[str, Any]) -> Ancestry:
    """The inverse of `Ancestry.to_json`.

    Raises:
      MetaecgError: a field is missing or of another type.
    """
    try:
        trainings = [
            Training(
                str(one["protocol"]),
                one["protocol_digest"],
                str(one["library"]),
                tuple(map(str, one["classes"])),
                _seen(one["seen"]),
            )
            for one in fields["trainings"]
        ]
        gaps = tuple(map(str, fields["gaps"]))
        return Ancestry(tuple(trainings), int(fields["generation"]), gaps)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise MetaecgError(
            f"ancestry: {type(error).__name__} {error}: damaged, and what the model was trained on "
            "is not known; bring the file back from a backup, or train anew"
        ) from None


def _seen(fields: dict[str, Any] | None) -> overlap.Seen | None:
    if fields is None:
        return None
    return overlap.Seen(
        str(fields["library"]),
        tuple(map(int, fields["patients"])),
        tuple(map(str, fields["recordings"])),
    )


def of_provenance(provenance: dict[str, Any]) -> Ancestry:
    """What is known of an artefact; files of earlier versions name the classes alone."""
    if provenance.get("ancestry"):
        return from_json(provenance["ancestry"])
    own = Training(
        str(provenance.get("protocol", "")),
        provenance.get("protocol_sha256"),
        str(provenance.get("library", "")),
        tuple(provenance.get("trained_on", ())),
        None,
    )
    return Ancestry((own,), 0, ("what it may have started from was not written down",))


def descend(
    library: Library, rows: np.ndarray, facts: dict[str, Any], parent: Ancestry | None
) -> Ancestry:
    """The ancestry of a run that is about to be trained.

    Args:
      library: what it is trained on.
      rows: of the library.
      facts: what config.json says of the run.
      parent: of the run that it starts from, if any.
    """
    own = Training(
        facts["protocol"],
        facts["protocol_digest"],
        library.fingerprint,
        tuple(facts["classes"]["train"]),
        overlap.seen(library, rows),
    )
    return _extend(own, parent) if parent else Ancestry((own,))


def write(folder: Path, ancestry: Ancestry) -> None:
    """Writes ancestry.json into a work directory."""
    workdir.write_whole(folder / FILE, json.dumps(ancestry.to_json(), ensure_ascii=False))


def read(folder: Path) -> Ancestry:
    """The ancestry of the run in a work directory.

    A run of an earlier version has no ancestry.json: what its config.json and the folders of its
    ancestors say is put together, and what is missing becomes a gap.

    Raises:
      MetaecgError: ancestry.json is damaged, or there is no run.
    """
    path = folder / FILE
    try:
        return from_json(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return _of_folders(folder)
    except (ValueError, MetaecgError) as error:
        raise MetaecgError(f"{path}: {error}") from None


def of_earlier_version(facts: dict[str, Any], config: Mapping[str, Any]) -> Ancestry:
    """What config.json says of a run by itself; of its ancestors that says nothing."""
    # Of a run by conditions nobody wrote down which patients it held out.
    library = facts.get("library_fingerprint", "") if config["labels"] != "conditions" else ""
    classes = tuple(facts["classes"]["train"])
    own = Training(config["protocol"], facts.get("protocol_digest"), library, classes, None)
    return Ancestry((own,))


def _of_folders(folder: Path) -> Ancestry:
    config = workdir.load_config(folder)
    ancestry = of_earlier_version(workdir.load(folder), config)
    if not config.start_from:
        return ancestry
    start = workdir.other(folder, config.start_from)
    try:
        return _extend(ancestry.trainings[0], read(start))
    except MetaecgError as error:
        gap = f"what it started from, {start}, cannot be read, and what that saw is not known"
        return Ancestry(ancestry.trainings, 1, (f"{gap} ({error})",))


def joined(one: Ancestry, other: Ancestry) -> Ancestry:
    """The ancestry of what both went into."""
    more = tuple(training for training in other.trainings if training not in one.trainings)
    gaps = tuple(dict.fromkeys((*one.gaps, *other.gaps)))
    generation = max(one.generation, other.generation + 1)
    return Ancestry((*one.trainings, *more), generation, gaps)


def _extend(own: Training, parent: Ancestry) -> Ancestry:
    others = tuple(one for one in parent.trainings if one != own)
    return Ancestry((own, *others), parent.generation + 1, parent.gaps)


def with_calibration(
    ancestry: Ancestry, library: Library, rows: np.ndarray, protocol: str
) -> Ancestry:
    """The ancestry of a model whose calibration was fitted on some records of a library.

    Their classes are not learnt by it: a calibration knows numbers of candidates, and no diagnosis.
    """
    own = Training(protocol, None, library.fingerprint, (), overlap.seen(library, rows))
    return Ancestry((own, *ancestry.trainings), ancestry.generation, ancestry.gaps)
