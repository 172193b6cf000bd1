"""How long a question to a large archive takes, and the ranking again after an answer.

    python -m experiments.benchmarks.search_speed --records=1000000

The archive is random numbers in a file, as `search.cache` keeps embeddings: what they are does not
change how long they take. `its space` is mean, covariance and lengths, which the cache keeps after
the first opening; `question` is the whole answer to five examples, and `answer` the refit of a
session after each of 300 answers, whose recordings are in memory. Run it in a process of its own:
its greatest memory, the file's pages among it, is that of all.
"""

import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import flags

from experiments.benchmarks import timing
from metaecg.search import question
from metaecg.search.archive import BLOCK, MOST_FEATURES, Archive
from metaecg.search.question import Example, Question
from metaecg.search.session import Session

FLAGS = flags.FLAGS
IN_MEMORY = 100_000
"""Recordings of an archive up to which a session is measured as well."""


def fill(path: Path, records: int, features: int) -> np.ndarray:
    """Embeddings float16 [records, features] in a file, read from there."""
    rng = np.random.default_rng(0)
    with open(path, "wb") as file:
        for start in range(0, records, BLOCK):
            rows = min(BLOCK, records - start)
            file.write(rng.standard_normal((rows, features), np.float32).astype(np.float16).data)
    return np.memmap(path, np.float16, "r", shape=(records, features))


def ask(archive: Archive, count: int) -> Question:
    """A question by the archive's first recordings."""
    rows = np.arange(count)
    examples = tuple(
        Example(str(row), True, np.zeros((1, 1), np.float32), row) for row in range(count)
    )
    placed = archive.place(np.asarray(archive.embeddings[:count], np.float32))
    return Question(examples, placed, rows, rows, np.zeros(count, bool))


def measure(embeddings: np.ndarray, answers: int) -> dict[str, object]:
    """A row of the table."""
    began = time.perf_counter()
    archive = Archive.of(embeddings)
    row: dict[str, object] = {"recordings": f"{len(embeddings):,}"}
    row["its space, once, s"] = time.perf_counter() - began
    asked = ask(archive, 5)
    (seconds,) = timing.alternate({"": lambda: question.answer(archive, asked)}, repeats=3).values()
    row["question, s"] = timing.spread(seconds)
    if len(embeddings) <= IN_MEMORY:
        session, refits = Session(archive, asked, control=0), []
        for number in range(answers):
            shown = session.next()
            assert shown is not None
            began = time.perf_counter()
            session.answer(shown[0], "no" if number % 3 else "yes")
            refits.append(time.perf_counter() - began)
        row["answer, ms"] = 1e3 * statistics.median(refits)
        row["answer, 95th percentile, ms"] = 1e3 * float(np.percentile(refits, 95))
    unit = 1 if sys.platform == "darwin" else 1024  # bytes of ru_maxrss
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return row | {"memory, GB": peak / 1e9, "file, GB": embeddings.nbytes / 1e9}


def main(_) -> None:
    with tempfile.TemporaryDirectory() as folder:
        embeddings = fill(Path(folder) / "embeddings.f16", FLAGS.records, FLAGS.features)
        timing.report([measure(embeddings, FLAGS.answers)], FLAGS.output)
        del embeddings


if __name__ == "__main__":
    flags.DEFINE_integer("records", 21_799, "recordings of the archive", lower_bound=10)
    flags.DEFINE_integer("features", MOST_FEATURES, "numbers of an embedding", lower_bound=2)
    flags.DEFINE_integer("answers", 300, "answers that are timed", lower_bound=1)
    timing.run(main)
