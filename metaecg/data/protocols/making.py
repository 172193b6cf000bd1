"""Makes a protocol for a library of one's own: who trains, who validates, who tests."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from metaecg.data.library import Library
from metaecg.data.protocols.protocol import PARTS, Merged, ProtocolError, merge_equivalent

_MEMBERSHIP = {
    "any": "any: a record belongs to a class when the statement is among its codes",
    "single": "single: records that carry exactly one diagnostic statement; they belong to it",
}

_EVEN = (40, 30, 30)  # the shares that serve few classes best: six of one kind give each part two

Parts = dict[str, list[str]]


def make(
    library: Library,
    *,
    name: str,
    membership: str = "any",
    seed: int = 0,
    min_patients: int = 20,
    shares: Sequence[float] = (50, 20, 30),
    way: int = 2,
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
      way: the fewest classes of a part that has a share.

    Returns:
      The protocol's fields, to be written as JSON; `protocols.load` reads them back.

    Raises:
      ProtocolError: the shares are no three numbers, or a part that has a share gets fewer than
        `way` classes; names the flags of `make_protocol` that help.
    """
    if membership not in _MEMBERSHIP:
        raise ProtocolError(f"membership {membership!r} is not one of {', '.join(_MEMBERSHIP)}")
    finite = np.isfinite(shares).all()
    if len(shares) != 3 or not finite or min(shares) < 0 or not shares[2]:
        given = ",".join(f"{share:g}" for share in shares)
        raise ProtocolError(
            f"--parts={given}: give three numbers, for train, validation and test; test may not "
            "be 0"
        )
    merged = merge_equivalent(library)
    counts = _patients(merged, library.patients, membership)

    def deal(fewest: int, shares: Sequence[float]) -> Parts:
        return _deal(merged, counts, fewest, shares, np.random.default_rng(seed))

    parts, used = deal(min_patients, shares), (counts >= min_patients).sum()
    if short := _short(parts, shares, way):
        raise ProtocolError(
            f"{used} classes of at least {min_patients} patients leave "
            f"{short} {len(parts[short])}, and {way}-way episodes need {way}: "
            f"{_remedy(deal, counts, min_patients, shares, way)}"
        )
    return {
        "name": name,
        "library": library.fingerprint,
        "membership": _MEMBERSHIP[membership],
        "classes": f"{used} of {len(counts)} classes: those of at least {min_patients} patients; "
        f"of each kind the most common {shares[0] / sum(shares):.0%} train, the others were "
        f"shuffled (seed {seed})",
        "patients": "a patient with any test statement serves test alone; of the others, a patient "
        "with any validation statement serves validation alone; the rest train",
        **parts,
    }


def _deal(
    merged: Merged,
    counts: np.ndarray,
    fewest: int,
    shares: Sequence[float],
    rng: np.random.Generator,
) -> Parts:
    """The codes of each part, of the classes that have the fewest patients asked for or more."""
    train, validation, test = np.asarray(shares, float) / sum(shares)
    used = np.flatnonzero(counts >= fewest)
    parts: Parts = {part: [] for part in PARTS}
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
    return parts


def _short(parts: Parts, shares: Sequence[float], way: int) -> str | None:
    """The first part that has a share and fewer than `way` classes."""
    pairs = zip(PARTS, shares)
    return next((part for part, share in pairs if share and len(parts[part]) < way), None)


def _remedy(
    deal: Callable[[int, Sequence[float]], Parts],
    counts: np.ndarray,
    min_patients: int,
    shares: Sequence[float],
    way: int,
) -> str:
    """The flags that give each part its classes, as near to what was asked as possible."""
    even = tuple(usual if share else 0 for usual, share in zip(_EVEN, shares))
    unvalidated = tuple(50 if share else 0 for share in (shares[0], 0, shares[2]))
    # Only classes that were left out for their number of patients can come in by it.
    lower = sorted({int(n) for n in counts if 0 < n < min_patients}, reverse=True)
    ways, given = range(way, 1, -1), tuple(shares)
    cuts = list(itertools.product(ways, (given, even)))

    def first(cuts: Iterable[tuple[int, tuple[float, ...]]], fewest: Sequence[int]) -> list[str]:
        for (w, others), patients in itertools.product(cuts, fewest):
            if not _short(deal(patients, others), others, w):
                flags = [f"--way={w}"] if w < way else []
                flags += [f"--parts={','.join(map(str, others))}"] if others != given else []
                flags += [f"--min_patients={patients}"] if patients < min_patients else []
                return [" ".join(flags)]
        return []

    found = first(cuts, [min_patients]) + first([(way, given)], lower)
    found = found or first(cuts, lower)
    found = found or first(((w, unvalidated) for w in ways), [min_patients, *lower])
    if not found:
        return f"the library has {(counts > 0).sum()} classes, and train and test need two each"
    return f"give {' or '.join(found)}"


def _patients(merged: Merged, patients: np.ndarray, membership: str) -> np.ndarray:
    """How many patients carry each class: int [n]; 0 where it is no class of this membership."""
    labels = merged.labels
    if membership == "single":
        labels = labels & merged.diagnostic() & merged.single()[:, None]
    return np.array([len(np.unique(patients[carried])) for carried in labels.T])
