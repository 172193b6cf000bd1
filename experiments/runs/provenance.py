"""What a model was trained on, and what of a measured part it has seen: as JSON and in words."""

from typing import Any

import numpy as np

from experiments.runs import ancestry, leak_guard
from metaecg.data import overlap, protocols
from metaecg.data.library import Library
from metaecg.data.sources.statements import canonical


def report(
    known: ancestry.Ancestry, library: Library, split: protocols.Split, model: dict[str, Any]
) -> dict[str, Any]:
    """What a model was trained on and whether it saw anything of a split, for JSON.

    Args:
      known: the ancestry of the model.
      library: of the split.
      split: what is measured.
      model: what identifies the model, such as its fingerprint.

    Returns:
      `model`; `trained_on`, a line for each training: protocol, library, classes, and patients and
      recordings where they are known; `measured_on`; `seen`: the classes, how many patients (None
      where they cannot be compared) and how many recordings are shared; `gaps` in what is known.
    """
    classes = {canonical(code) for one in known.trainings for code in one.classes}
    before = [one.seen or leak_guard.seen_by_protocol(one, library) for one in known.trainings]
    written = [seen for seen in before if seen is not None]
    found = [overlap.of_patients(seen, library, split.patients) for seen in written]
    patients = [one.patients for one in found]
    comparable = None not in patients and len(written) == len(before)
    return {
        "model": model,
        "trained_on": [
            {
                "protocol": one.protocol,
                "library": one.library,
                "classes": list(one.classes),
                "patients": seen and len(seen.patients),
                "recordings": seen and (len(seen.recordings) or None),
            }
            for one, seen in zip(known.trainings, before)
        ],
        "measured_on": {
            "library": library.fingerprint,
            "records": len(split.rows),
            "patients": len(np.unique(split.patients)),
            "classes": list(split.classes),
        },
        "seen": {
            "classes": [code for code in split.classes if canonical(code) in classes],
            "patients": sum(patients) if comparable else None,
            "recordings": sum(one.recordings for one in found)
            if len(written) == len(before)
            else None,
        },
        "gaps": list(known.gaps),
    }


def sentences(report: dict[str, Any], name: str) -> list[str]:
    """`report` in words, to be printed."""
    lines = []
    for one in report["trained_on"]:
        counts = [
            f"{one[what]} {what}" for what in ("patients", "recordings") if one[what] is not None
        ]
        size = f" ({', '.join(counts)})" if counts else ""
        lines.append(
            f"{name} was trained on {len(one['classes'])} classes of library "
            f"{one['library'][:12] or '(not written down)'} by {one['protocol'] or 'no protocol'}"
            f"{size}."
        )
    seen, classes = report["seen"], report["seen"]["classes"]
    said = [f"{len(classes)} classes{' (' + ', '.join(classes[:8]) + ')' if classes else ''}"]
    for what in ("patients", "recordings"):
        said.append(f"{what}: not known" if seen[what] is None else f"{seen[what]} {what}")
    lines.append(f"Of what is measured it has seen {'; '.join(said)}.")
    return lines
