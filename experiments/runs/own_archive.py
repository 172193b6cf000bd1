"""A protocol for an archive that a model was not trained on, made where none is named."""

from pathlib import Path

import numpy as np

from experiments.runs.ancestry import Ancestry
from metaecg.data import protocols
from metaecg.data.library import Library
from metaecg.data.protocols import Classes, Protocol, Split, merge_equivalent
from metaecg.data.sources.listing import read_csv
from metaecg.data.sources.statements import canonical
from metaecg.errors import MetaecgError

LEAST = 10
"""The fewest patients of a class that is asked: five examples, five queries."""

NAME = "the archive's own statements"


def choose(
    named: str | None, usual: str | None, library: Library, known: Ancestry, *, seen: bool = False
) -> tuple[Protocol, list[str]]:
    """The protocol to measure a model by, and what the reader should know of it.

    Args:
      named: that was asked for, if one was.
      usual: the model's own, used where the library has its classes.
      library: the archive.
      known: what the model was trained on.
      seen: whether classes that it was trained on are asked as well.

    Raises:
      MetaecgError: the named one does not exist, or fewer than two classes can be asked.
    """
    if named:
        return protocols.load(named), []
    try:
        rules = protocols.load(usual or "")
        protocols.split(library, rules, "test")
        return rules, []
    except protocols.ProtocolError:
        return _made(library, known, seen)


def _made(library: Library, known: Ancestry, seen: bool) -> tuple[Protocol, list[str]]:
    trained_on = {canonical(code) for one in known.trainings for code in one.classes}
    merged = merge_equivalent(library)
    asked, left_out, rare = [], [], 0
    for code, carried in zip(merged.codes, merged.labels.T):
        if len(np.unique(library.patients[carried])) < LEAST:
            rare += 1
        elif canonical(code) in trained_on and not seen:
            left_out.append(code)
        else:
            asked.append(code)
    if len(asked) < 2:
        remedy = "give --seen to ask these as well" if left_out else "name a --protocol"
        raise MetaecgError(
            f"{len(asked)} statements of at least {LEAST} patients are left, and two are needed: "
            f"{len(left_out)} were in the model's training, {rare} have fewer patients; {remedy}"
        )
    remarks = [
        f"no protocol is named: {len(asked)} statements of at least {LEAST} patients are asked; "
        f"{rare} have fewer."
    ]
    if left_out:
        remarks.append(
            f"{len(left_out)} statements are left out, for the model was trained on them: "
            f"{', '.join(left_out[:8])}{' …' if len(left_out) > 8 else ''}; --seen asks them too."
        )
    return Protocol(NAME, "any", (Classes((), (), tuple(asked)),)), remarks


def halves(part: Split) -> tuple[Split, Split]:
    """A part in two, the same classes in other patients: one to calibrate on, one to measure."""
    patients, which = np.unique(part.patients, return_inverse=True)
    carried = np.zeros((len(patients), part.labels.shape[1]), bool)
    np.logical_or.at(carried, which, part.labels)
    # Dealt out in turn along what they carry, the rarest first, so that both get half of each.
    rarest_last = np.argsort(-carried.sum(0), kind="stable")
    chance = np.random.default_rng(0).random(len(patients))
    order = np.lexsort([chance, *carried[:, rarest_last].T])
    first = np.isin(part.patients, patients[order[::2]])
    return take(part, first), take(part, ~first)


def take(part: Split, chosen: np.ndarray) -> Split:
    """Some rows of a part; chosen: bool [n]."""
    return part._replace(
        rows=part.rows[chosen], labels=part.labels[chosen], patients=part.patients[chosen]
    )


def queries(part: Split) -> int:
    """Queries of each class that fit beside some examples: five, or two of few patients."""
    counts = [len(np.unique(part.patients[carried])) for carried in part.labels.T]
    return 5 if min(counts, default=0) >= 2 * LEAST else 2


def sites(file: str | None, library: Library) -> tuple[str, ...] | None:
    """The hospital or device of each record, from a CSV file with the columns id and site.

    Raises:
      MetaecgError: the file is malformed, or lacks a record.
    """
    if file is None:
        return None
    path = Path(file).expanduser()
    if not path.is_file():
        raise MetaecgError(f"--sites={file}: there is no such file")
    rows = {row["id"]: row["site"] for _, row in read_csv(path, ("id", "site"), any_case=True)}
    if lacking := [id for id in library.ids if id not in rows]:
        raise MetaecgError(
            f"--sites={file}: {len(lacking)} of {len(library)} records are not in it, such as "
            f"{lacking[0]!r:.60}; its column id holds the ids of the library's records.csv"
        )
    return tuple(rows[id] for id in library.ids)
