"""Trains with signals on the devices and with signals streamed from disk, and compares the two.

    python -m experiments.stress.memory --library=libraries/ptbxl --steps=40

The losses must be the same; the table says how much memory of its own each process took at most
(pages of the memory-mapped library, which the system can drop, are not its own) and how fast each
was, in alternating runs. Exits with 1 if the losses differ.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from absl import flags

from experiments.runs import command_line
from metaecg.data.library import open_library
from metaecg.errors import MetaecgError

FLAGS = flags.FLAGS


def own_memory(process: int) -> int:
    """Anonymous resident memory of a process in bytes; 0 once it has ended."""
    try:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


class Training(NamedTuple):
    """A training in a process of its own: losses, tasks a second, MiB, seconds to the first log."""

    losses: list[float]
    rate: float
    memory: float
    first: float


def train(config: str, workdir: Path, **environment: str) -> Training:
    """Trains as a user would, and watches the memory.

    Raises:
      MetaecgError: the training failed.
    """
    command = [sys.executable, "-m", "experiments.train", f"--config={config}"]
    began, first, peak = time.perf_counter(), 0.0, 0
    process = subprocess.Popen(
        [*command, f"--workdir={workdir}"],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
    )
    metrics = workdir / "metrics.jsonl"
    while process.poll() is None:
        peak = max(peak, own_memory(process.pid))
        if not first and metrics.exists() and metrics.stat().st_size:
            first = time.perf_counter() - began
        time.sleep(0.02)
    if process.returncode:
        raise MetaecgError(f"the training ended with status {process.returncode}")
    lines = map(json.loads, metrics.read_text().splitlines())
    logged = [line for line in lines if "loss" in line]
    return Training([line["loss"] for line in logged], logged[-1]["rate"], peak / 2**20, first)


def main(_) -> int:
    command_line.need("library")
    size = open_library(FLAGS.library, verify=False).signals.nbytes
    settings = (
        f"ptbxl:library={FLAGS.library},pretrain.steps=0,head.steps=0,log_every=10,steps={FLAGS.steps},"
        f"validate_every={FLAGS.steps},validation_episodes=2,checkpoint_every=10000,"
        f"{FLAGS.settings}"
    )
    runs: dict[str, list[Training]] = {"resident": [], "streamed": []}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(FLAGS.repeats):
            for kind, measured in runs.items():
                measured.append(
                    train(f"{settings}signals={kind}", Path(folder) / f"{kind}{repeat}")
                )
    print(f"library: {size / 2**20:.0f} MiB of signals")
    for kind, measured in runs.items():
        rate = statistics.median(run.rate for run in measured)
        peak = max(run.memory for run in measured)
        print(f"{kind}: {rate:.3f} tasks/s, at most {peak:.0f} MiB of memory of its own")
    losses = [run.losses for measured in runs.values() for run in measured]
    same = all(one == losses[0] for one in losses)
    print("losses: " + ("the same" if same else f"differ: {losses}"))
    return 0 if same else 1


if __name__ == "__main__":
    flags.DEFINE_string("library", None, "a library of PTB-XL, as metaecg prepare makes it")
    flags.DEFINE_integer("steps", 40, "steps of each run", lower_bound=20)
    flags.DEFINE_integer("repeats", 3, "runs of each kind", lower_bound=1)
    flags.DEFINE_string("settings", "", "other settings, key=value, each followed by a comma")
    command_line.run(main)
