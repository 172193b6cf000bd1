"""Writes recordings in every legal way, reads them and counts what comes back.

    python -m experiments.stress.unusual --files=20000 --seed=0

Each file holds known millivolts. It must come back the same, or be refused in one line; files in
common ways must be read. Exits with 1 if one is wrong; each is printed with the command that
repeats it.

One busy CPU core, seed 0: 21,000 files in 9 minutes, 20,979 read, 21 refused, none wrong; and of
machines 2,000 in a minute, 1,983 read, 17 too short and refused, none wrong.
"""

import shutil
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random

from absl import flags
from tqdm import tqdm

from experiments.runs import command_line
from experiments.stress import fuzz, valid
from experiments.stress.valid_arrays import archive, array
from experiments.stress.valid_dicom import dicom
from experiments.stress.valid_edf import edf
from experiments.stress.valid_machines import machine
from experiments.stress.valid_text import lines_of_leads, table
from experiments.stress.valid_wfdb import wfdb
from metaecg.errors import MetaecgError

FLAGS = flags.FLAGS

FORMATS: dict[str, valid.Writer] = {
    "text": table,
    "a lead a line": lines_of_leads,
    "npy": array,
    "npz and mat": archive,
    "edf and bdf": edf,
    "wfdb": wfdb,
    "dicom": dicom,
    "machine": machine,
}


VERDICTS = ("read", "refused", "unexpectedly refused", "wrong")


def attempt(format: str, folder: Path, rng: Random) -> tuple[str, valid.Written]:
    """Writes a file and reads it: the verdict of `valid.check`, and how it was written."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    written = FORMATS[format](rng, folder, valid.draw(rng))
    return valid.check(written), written


def run(format: str, folder: Path, numbers: range, seed: int) -> Counter[str]:
    """Tries files of some numbers; prints what is wrong and returns how many had each verdict."""
    counts: Counter[str] = Counter()
    for number in tqdm(numbers, format, mininterval=0.5):
        again = f"again: --formats='{format}' --seed={seed} --first={number} --files=1"
        try:
            verdict, written = attempt(format, folder, Random(f"{seed} {format} {number}"))
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            verdict = f"wrong: {type(error).__name__}: {error} ({where.name}, line {where.lineno})"
            written = None
        counts[verdict.split(":")[0]] += 1
        if verdict not in ("read", "refused"):
            tqdm.write(f"{verdict[:300]}\n  {written.how if written else ''}; {again}")
    return counts


def define_flags() -> None:
    flags.DEFINE_integer("files", 20000, "files in all", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "seed of the files")
    flags.DEFINE_integer("first", 0, "number of the first file, to repeat one", lower_bound=0)
    flags.DEFINE_list("formats", list(FORMATS), "formats to write")


def main(_) -> int:
    if unknown := set(FLAGS.formats) - set(FORMATS):
        raise MetaecgError(f"--formats: no {unknown.pop()!r}; there are {', '.join(FORMATS)}")
    each = -(-FLAGS.files // len(FLAGS.formats))
    numbers = range(FLAGS.first, FLAGS.first + each)
    results, seconds = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for format in FLAGS.formats:
            start = time.perf_counter()
            results[format] = run(format, Path(folder, "files"), numbers, FLAGS.seed)
            seconds[format] = time.perf_counter() - start
    print(fuzz.table(results, seconds, VERDICTS))
    return int(any(each["wrong"] or each["unexpectedly refused"] for each in results.values()))


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
