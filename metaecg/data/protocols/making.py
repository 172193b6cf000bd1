"""Makes a protocol for a library of one's own: who trains, who validates, who tests."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from metaecg.data.library import Library
from metaecg.data.protocols.protocol import PARTS, Merged, ProtocolError, merge_equivalent

_MEMBERSHIP = {
    "any": "any: a record belongs to a class when the statement is among its codes",
    "single": "single: records that carry exactly one diagnostic statement; they belong to it",
}


def make(
    library: Library,
    *,
    name: str,
    membership: str = "any",
    seed: int = 0,
    min_patients: int = 20,
    shares: Sequence[float] = (50, 20, 30),
) -> dict[str, Any]:
    """Splits the classes of a library, the rarest of each kind to be diagnosed from few examples.

    Of each kind of statement the classes of most patients train; of the others, in random order,
    some validate and the rest test, every kind in its share. Equivalent codes are one class, under
    their common code. Patients are kept apart when the protocol is used (`protocols.split`): test
    has the first claim to a patient, then validation.

    Args:
      library: the sample library.
      name: what the protocol is to be called.
      membership: 'any' or 'single', as in `protocols.Protocol`.
      seed: of the random order.
      min_patients: classes of fewer patients are left out.
      shares: of the classes, for training, validation and test. Of an archive that serves tests
        alone they are 0, 0, 100.

    Returns:
      The protocol's fields, to be written as JSON; `protocols.load` reads them back.

    Raises:
      ProtocolError: the shares are no three numbers, or a part that has a share gets fewer than two
        classes.
    """
    if membership not in _MEMBERSHIP:
        raise ProtocolError(f"membership {membership!r} is not one of {', '.join(_MEMBERSHIP)}")
    finite = np.isfinite(shares).all()
    if len(shares) != 3 or not finite or min(shares) < 0 or not shares[2]:
        raise ProtocolError(
            f"shares {list(shares)}: three numbers, for train, validation and test; test may not "
            "be 0"
        )
    train, validation, test = np.asarray(shares, float) / sum(shares)
    merged = merge_equivalent(library)
    counts = _patients(merged, library.patients, membership)
    used = np.flatnonzero(counts >= min_patients)
    rng = np.random.default_rng(seed)
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    rare: list[str] = []
    kinds = [kind.split(";")[0] for kind in merged.kinds]
    for kind in sorted({kinds[c] for c in used}):
        mine = [c for c in used if kinds[c] == kind]
        mine.sort(key=lambda c: (-counts[c], merged.codes[c]))
        common = sum((rank + 0.5) / len(mine) < train for rank in range(len(mine)))
        parts["train"] += [merged.codes[c] for c in mine[:common]]
        rare += [merged.codes[mine[i]] for i in common + rng.permutation(len(mine) - common)]
    # Along the kinds, so that each has its share of both parts.
    share = validation / (validation + test)
    for i, code in enumerate(rare):
        chosen = int((i + 1) * share + 1e-9) > int(i * share + 1e-9)
        parts["validation" if chosen else "test"].append(code)
    for part, wanted in zip(PARTS, (train, validation, test)):
        if wanted and len(parts[part]) < 2:
            raise ProtocolError(
                f"{len(used)} classes of at least {min_patients} patients leave {part} "
                f"{len(parts[part])}, and it needs two: lower min_patients or change the shares"
            )
    return {
        "name": name,
        "library": library.fingerprint,
        "membership": _MEMBERSHIP[membership],
        "classes": f"{len(used)} of {len(counts)} classes: those of at least {min_patients} "
        f"patients; of each kind the most common {train:.0%} train, the others were shuffled "
        f"(seed {seed})",
        "patients": "a patient with any test statement serves test alone; of the others, a patient "
        "with any validation statement serves validation alone; the rest train",
        **parts,
    }


def _patients(merged: Merged, patients: np.ndarray, membership: str) -> np.ndarray:
    """How many patients carry each class: int [n]; 0 where it is no class of this membership."""
    labels = merged.labels
    if membership == "single":
        labels = labels & merged.diagnostic() & merged.single()[:, None]
    return np.array([len(np.unique(patients[carried])) for carried in labels.T])
