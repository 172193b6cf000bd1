"""From the shell to an answer: seconds that commands take to start, and where they go.

    python -m experiments.benchmarks.startup --support=FOLDER --query=FILE [--artefact=FILE]

Each command is a process of its own, started --repeats times with compiled programs kept from a
first start. 'processor' is the time that its threads computed, whatever else the machine does.
"""

import os
import resource
import subprocess
import sys
import time

from absl import flags

from experiments.benchmarks import timing
from experiments.runs import command_line
from metaecg.diagnose import artefact
from metaecg.errors import MetaecgError

FLAGS = flags.FLAGS


def seconds(*command: str) -> tuple[float, float]:
    """Seconds of a process by the clock, and of its threads."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise MetaecgError(f"{' '.join(command)}: {done.stderr.strip()[-300:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(_) -> None:
    command_line.need("support", "query")
    asked = [f"--support={FLAGS.support}", f"--query={FLAGS.query}"]
    asked += [f"--artefact={FLAGS.artefact}"] if FLAGS.artefact else []
    file = FLAGS.artefact or artefact.shipped_path()
    diagnose = ("-m", "experiments.diagnose", *asked)
    commands = {
        "metaecg --help": ("-m", "experiments", "--help"),
        "metaecg diagnose --help": ("-m", "experiments.diagnose", "--help"),
        "metaecg prepare --help": ("-m", "experiments.prepare", "--help"),
        "of diagnose: Python and numpy": ("-c", "import numpy"),
        "of diagnose: jax as well": ("-c", "import numpy, jax"),
        "of diagnose: all modules": ("-c", "from metaecg.diagnose import answers, artefact"),
        "of diagnose: the model, too": (
            "-c",
            f"from metaecg.diagnose import answers, artefact; artefact.read({str(file)!r})",
        ),
        "metaecg diagnose": diagnose,
        "metaecg diagnose --report": (*diagnose, f"--report={os.devnull}"),
    }
    seconds(*diagnose)  # compiles what is kept
    rows = []
    for name, command in commands.items():
        walls, computed = zip(*(seconds(*command) for _ in range(FLAGS.repeats)))
        rows.append(
            {"what": name, "s": timing.spread(walls), "processor, s": timing.spread(computed)}
        )
    timing.report(rows, FLAGS.output)


if __name__ == "__main__":
    flags.DEFINE_string("support", None, "labelled examples, as of experiments.diagnose")
    flags.DEFINE_string("query", None, "a recording")
    flags.DEFINE_string("artefact", None, "exported diagnoser instead of the package's")
    timing.run(main, repeats=5)
