"""Makes a protocol for a library of one's own, and says what each part holds.

    python -m experiments.make_protocol --library=LIBRARY --output=mine.json
        [--membership=any|single] [--seed=0] [--min_patients=20] [--parts=50,20,30]
        [--way=5] [--query=5]

Every part that has a share gets at least --way classes, enough patients for one example and
--query queries of each, or nothing is written. Train with it by --config.protocol=mine.json and, if
--way is not 5, the same --config.way. Do not change the file once it is
written: numbers are comparable as long as it is the same. Equivalent codes are one class.
"""

import json
from pathlib import Path

import numpy as np
from absl import flags

from experiments.runs import command_line
from metaecg import episodes
from metaecg.data import protocols
from metaecg.data.library import Library, open_library
from metaecg.data.protocols import making
from metaecg.errors import MetaecgError
from metaecg.types import LibraryIndex

FLAGS = flags.FLAGS


Parts = dict[str, tuple[protocols.Split, LibraryIndex]]
"""Each part of a protocol, by name, with the index that episodes are drawn from."""


def indexed(library: Library, protocol: protocols.Protocol) -> Parts:
    """The parts of a library, see `protocols.disjoint_parts`, each with its index."""
    parts = protocols.disjoint_parts(library, protocol)
    return {part: (s, LibraryIndex(s.labels, s.patients)) for part, s in parts.items()}


def holdings(parts: Parts, *, way: int, query: int) -> dict[str, dict[str, int | None]]:
    """What each part holds: classes, records, patients, and the largest shots.

    The largest shot of all class sets can be promised of any episode of `way` classes; that of some
    class sets is larger. A part that cannot fill such episodes has 0; None is not known.
    """
    held: dict[str, dict[str, int | None]] = {}
    for part, (split, index) in parts.items():
        shots = episodes.largest_shots(index, way=way, query=query)
        held[part] = {
            "classes": len(split.classes),
            "records": len(split.rows),
            "patients": len(np.unique(split.patients)),
            "fewest patients of a class": int(
                np.diagonal(index.without).min(initial=len(index.order))
            ),
            "largest shot of all class sets": shots.every,
            "largest shot of some class sets": shots.some,
        }
    return held


def check_filled(parts: Parts, *, way: int, query: int) -> None:
    """Asserts that each part that has classes can fill episodes of one example a class.

    Raises:
      MetaecgError: one cannot; names the flags that help.
    """
    asked = [(part, index) for part, (split, index) in parts.items() if split.classes]

    def unfilled(way: int, query: int) -> list[str]:
        return [part for part, index in asked if not _fills(index, way, query)]

    if not (short := unfilled(way, query)):
        return
    fewer = [f"--query={n}" for n in range(query - 1, 0, -1) if not unfilled(way, n)][:1]
    fewer += [f"--way={n}" for n in range(way - 1, 1, -1) if not unfilled(n, query)][:1]
    remedy = f"give {' or '.join(fewer)}" if fewer else "raise --min_patients"
    raise MetaecgError(
        f"nothing is written: no {way} classes of {' or of '.join(short)} have 1 + {query} "
        f"patients each, for one example and {query} queries: {remedy}"
    )


def _fills(index: LibraryIndex, way: int, query: int) -> bool:
    try:
        episodes.check_feasible(index, way=way, shot=1, query=query)
    except MetaecgError:
        return False
    return True


@command_line.defines_flags
def define_flags() -> None:
    flags.DEFINE_string("library", None, "The folder of the library, made by metaecg prepare.")
    flags.DEFINE_string("output", None, "The .json file to make; an existing one is kept.")
    flags.DEFINE_enum(
        "membership",
        "any",
        ["any", "single"],
        "Which records belong to a class: any record that carries its code, or only records that "
        "carry exactly one diagnostic statement.",
    )
    flags.DEFINE_integer(
        "seed", 0, "The seed of the order in which rare classes are dealt out.", lower_bound=0
    )
    flags.DEFINE_integer(
        "min_patients", 20, "Classes of fewer patients are left out.", lower_bound=1
    )
    flags.DEFINE_list(
        "parts", ["50", "20", "30"], "The shares of train, validation and test, as three numbers."
    )
    flags.DEFINE_integer(
        "way", 5, "How many classes an episode has; each part gets as many.", lower_bound=2
    )
    flags.DEFINE_integer(
        "query", 5, "How many queries of each class such an episode has.", lower_bound=1
    )


def main(_) -> None:
    command_line.need("library", "output")
    output = Path(FLAGS.output).expanduser()
    if output.suffix != ".json":
        raise MetaecgError(f"--output={output}: a protocol is a .json file")
    if output.exists():
        raise MetaecgError(
            f"{output}: exists, and a frozen protocol is not changed; choose another --output"
        )
    try:
        shares = [float(share) for share in FLAGS.parts]
    except ValueError:
        raise MetaecgError(
            f"--parts={','.join(FLAGS.parts)}: give three numbers, such as 50,20,30"
        ) from None
    library = open_library(Path(FLAGS.library).expanduser())
    fields = making.make(
        library,
        name=output.stem,
        membership=FLAGS.membership,
        seed=FLAGS.seed,
        min_patients=FLAGS.min_patients,
        shares=shares,
        way=FLAGS.way,
    )
    split = protocols.Classes(*(tuple(fields[part]) for part in protocols.PARTS))
    protocol = protocols.Protocol(str(output), FLAGS.membership, (split,))
    parts = indexed(library, protocol)
    check_filled(parts, way=FLAGS.way, query=FLAGS.query)
    held = holdings(parts, way=FLAGS.way, query=FLAGS.query)
    text = json.dumps({**fields, "held": held}, indent=1, ensure_ascii=False)
    output.write_text(text + "\n", encoding="utf-8")
    for part, numbers in held.items():
        print(f"{part}: " + ", ".join(_said(*number) for number in numbers.items()))
    way = "" if FLAGS["way"].using_default_value else f" --config.way={FLAGS.way}"
    print(f"wrote {output}; use it as --config.protocol={output}{way}")


def _said(what: str, value: int | None) -> str:
    return f"{what}: not known" if value is None else f"{value} {what}"


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
