"""The one check against leaks: classes, patients or recordings that a model knows are not measured.

Whatever measures, calibrates, exports or starts from a run calls `check`, which refuses leaks and
says what could not be checked.
"""

from collections.abc import Iterable

import numpy as np

from experiments.runs.ancestry import Ancestry, Training
from metaecg.data import overlap, protocols
from metaecg.data.library import Library
from metaecg.data.sources.statements import canonical
from metaecg.errors import MetaecgError


def check(
    ancestry: Ancestry,
    library: Library,
    splits: Iterable[protocols.Split],
    *,
    name: str,
    remedy: str,
    seen: bool = False,
) -> list[str]:
    """Asserts that a model and its ancestors know nothing of some splits of a library.

    Classes are compared by their common codes; patients by their numbers where the library is the
    same, and by the recordings of theirs, wherever they are stored, where it is another.

    Args:
      ancestry: of the model.
      library: of the splits.
      splits: what is to be measured, or fitted on beside the training.
      name: what the message calls the model.
      remedy: what the message advises where classes are shared.
      seen: the model may know the classes, and still not the patients.

    Returns:
      A sentence on each check that could not be made, to be printed first of all.

    Raises:
      MetaecgError: classes, patients or recordings are shared; says how many.
    """
    splits = [split for split in splits if len(split.rows)]
    classes = {canonical(code): code for one in ancestry.trainings for code in one.classes}
    for split in splits:
        shared = sorted(code for code in split.classes if canonical(code) in classes)
        if shared and not seen:
            known = classes[canonical(shared[0])]
            other = "" if known == shared[0] else f" (as {known})"
            raise MetaecgError(
                f"{name} was trained on {len(shared)} of the classes to be measured, such as "
                f"{shared[0]}{other}; {remedy}"
            )
    remarks = [f"{name}: {gap}." for gap in ancestry.gaps]
    for one in ancestry.trainings:
        before = one.seen or seen_by_protocol(one, library)
        if before is None:
            remarks.append(
                f"{name}: whether it knows patients or recordings that are measured could not be "
                f"checked, for its training by {one.protocol} was not written down in full."
            )
            continue
        for split in splits:
            found = overlap.of_patients(before, library, split.patients)
            if found.patients:
                raise MetaecgError(
                    f"{name} was trained on {found.patients} of the patients to be measured: "
                    f"measure it by its own protocol, {one.protocol}"
                )
            if found.patients is None and found.recordings:
                raise MetaecgError(
                    f"{name} was trained on {found.recordings} recordings of the patients to be "
                    f"measured, under another library ({before.library[:12]}): measure it on "
                    "recordings that it does not know"
                )
            if found.remark:
                remarks.append(f"{name}: {found.remark}")
    return list(dict.fromkeys(remarks))


def check_unedited(rules: protocols.Protocol, digest: str | None) -> None:
    """Asserts that a protocol is as it was when a run was trained by it.

    Raises:
      MetaecgError: its digest is another one now.
    """
    if digest not in (None, *rules.digests):
        raise MetaecgError(
            f"protocol {rules.name} was edited since a run was trained by it, and nobody can say "
            "which patients that run knows: bring the file back, or train anew"
        )


def seen_by_protocol(training: Training, library: Library) -> overlap.Seen | None:
    """The patients of a training of an earlier version, where its library and protocol are here."""
    if training.library != library.fingerprint:
        return None
    try:
        rules = protocols.load(training.protocol)
        split = protocols.split(library, rules, "train")
    except MetaecgError:
        return None
    check_unedited(rules, training.protocol_digest)
    return overlap.Seen(library.fingerprint, tuple(np.unique(split.patients).tolist()), ())
