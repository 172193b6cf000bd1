"""Feeds damaged and hostile files to every reader and counts what becomes of them.

    python -m experiments.stress.fuzz --inputs=10000 --seed=0

Each input must end as a typed error, a quarantined record, or content that is right by an
independent reading, within a time and without much memory. Exits with 1 if there is a fault; each
is printed with the command that repeats it.

One busy CPU core, seed 0: 120,000 inputs in 16 minutes (4.7 of computing), 315 MiB, no fault;
three records were altered so that WFDB's checksums, sums modulo 65536, do not show it.
"""

import functools
import resource
import shutil
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from absl import flags
from tqdm import tqdm

from experiments.runs import command_line
from experiments.stress.recordings import Manifest, PtbXl, Record
from experiments.stress.stored_files import Config, Opened, Protocol
from experiments.stress.valid_machines import Machine
from metaecg.data.readers.lead_names import STANDARD_LEADS
from metaecg.errors import MetaecgError

FLAGS = flags.FLAGS

VERDICTS = ("refused", "quarantined", "unharmed", "unverified", "same sums", "faults")


KINDS: dict[str, Callable[[Path], Any]] = {
    **{f"wfdb {f}": functools.partial(Record, format=f) for f in ("16", "mat", "212", "80", "24")},
    "wfdb ptb-xl": lambda folder: Record(folder, "16", STANDARD_LEADS),
    "library": lambda folder: Opened(folder, sealed=False),
    "library sealed": lambda folder: Opened(folder, sealed=True),
    "machine": Machine,
    "labels csv": Manifest,
    "ptb-xl tables": PtbXl,
    "protocol": Protocol,
    "config": Config,
}
"""Of each kind of input, the subject in an empty folder."""


class TooLong(BaseException):
    """An input took longer than --seconds; no reader catches this."""


def fuzz(kind: str, folder: Path, numbers: range, seed: int, seconds: float) -> Counter[str]:
    """Tries the inputs of some numbers; prints the faults and returns how many got each verdict."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subject = KINDS[kind](folder)
    counts: Counter[str] = Counter()
    for number in tqdm(numbers, kind, mininterval=0.5):
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            try:
                counts[subject.attempt(Random(f"{seed} {kind} {number}"))] += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except (Exception, TooLong) as error:
            counts["faults"] += 1
            where = traceback.extract_tb(error.__traceback__)[-1]
            tqdm.write(
                f"fault: {type(error).__name__}: {str(error)[:200]} ({where.name}, line "
                f"{where.lineno}); again: --kinds='{kind}' --seed={seed} --first={number} "
                "--inputs=1"
            )
    return counts


def table(
    results: dict[str, Counter[str]], seconds: dict[str, float], verdicts: Sequence[str]
) -> str:
    """The counts of the verdicts, a line a kind and one for the sum."""
    whole = sum(results.values(), Counter())
    width = max(map(len, verdicts)) + 2
    lines = [
        "",
        "".join(f"{word:>{width}}" for word in ("inputs", *verdicts, "seconds")) + "  kind",
    ]
    for kind, counts in {**results, "all": whole}.items():
        spent = seconds.get(kind, sum(seconds.values()))
        numbers = (counts.total(), *(counts[verdict] for verdict in verdicts))
        lines.append("".join(f"{n:{width}d}" for n in numbers) + f"{spent:{width}.1f}  {kind}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return "\n".join([*lines, f"at most {peak:.0f} MiB of memory"])


def define_flags() -> None:
    flags.DEFINE_integer("inputs", 10000, "inputs of each kind", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "of the damage")
    flags.DEFINE_integer("first", 0, "number of the first input; to repeat a fault", lower_bound=0)
    flags.DEFINE_list("kinds", list(KINDS), "kinds of input")
    flags.DEFINE_float("seconds", 2.0, "time that an input may take", lower_bound=0.001)
    flags.DEFINE_integer("memory", 4096, "MiB of address space that the readers may take")


def main(_) -> int:
    if unknown := set(FLAGS.kinds) - set(KINDS):
        raise MetaecgError(f"--kinds: no {unknown.pop()!r}; there are {', '.join(KINDS)}")
    resource.setrlimit(resource.RLIMIT_AS, (FLAGS.memory << 20,) * 2)

    def give_up(*_):
        raise TooLong(f"longer than {FLAGS.seconds} s")

    signal.signal(signal.SIGALRM, give_up)
    results, seconds = {}, {}
    numbers = range(FLAGS.first, FLAGS.first + FLAGS.inputs)
    with tempfile.TemporaryDirectory() as folder:
        for kind in FLAGS.kinds:
            start = time.perf_counter()
            results[kind] = fuzz(kind, Path(folder, "files"), numbers, FLAGS.seed, FLAGS.seconds)
            seconds[kind] = time.perf_counter() - start
    print(table(results, seconds, VERDICTS))
    return int(any(counts["faults"] for counts in results.values()))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
