"""Records a second from WFDB files to a library, against a plain loop over `wfdb.rdrecord`.

    python -m experiments.benchmarks.importing --input=PTBXL

The loop reads and does nothing else; the import verifies checksums, takes the leads by name,
counts what is missing and writes the library with its fingerprints. `--records` of the folder.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import wfdb
from absl import flags

from experiments.benchmarks import timing
from metaecg.errors import MetaecgError

FLAGS = flags.FLAGS


def main(_) -> None:
    if not FLAGS.input:
        raise MetaecgError("--input is needed: the folder of PTB-XL (see --help)")
    folder = Path(FLAGS.input).expanduser()
    headers = sorted((folder / "records100").rglob("*.hea"))
    if not headers:
        raise MetaecgError(f"{folder}: there is no records100/…/*.hea")
    plain, ours = [], []
    for repeat in range(FLAGS.repeats):
        some = headers[repeat :: max(1, len(headers) // FLAGS.records)][: FLAGS.records]
        began = time.perf_counter()
        for header in some:
            wfdb.rdrecord(str(header.with_suffix("")))
        plain.append(len(some) / (time.perf_counter() - began))
        with tempfile.TemporaryDirectory() as output:
            command = [sys.executable, "-m", "experiments.prepare", "--source=ptbxl"]
            command += [f"--input={folder}", f"--output={output}/library"]
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            ours.append(len(headers) / (time.perf_counter() - began))
    rows = [{
        "wfdb.rdrecord in a loop, records/s": timing.spread(plain),
        "experiments.prepare, all of PTB-XL, start included, records/s": timing.spread(ours),
        "ratio": timing.spread(ours)["median"] / timing.spread(plain)["median"],
    }]  # fmt: skip
    timing.report(rows, FLAGS.output, records=len(headers))


if __name__ == "__main__":
    flags.DEFINE_string("input", None, "folder of PTB-XL")
    flags.DEFINE_integer("records", 2000, "read by the plain loop", lower_bound=1)
    timing.run(main, repeats=3)
