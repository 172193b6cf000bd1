"""What it costs to spread one training step over devices and processes.

    python -m experiments.benchmarks.devices

The same batch of eight episodes (SNAIL on the `small` encoder) on 1, 2, 4 and 8 faked devices and
in two processes. All of them share the cores of this machine: nothing can be gained here, and what
a row takes above the first is the price of splitting the batch and of summing gradients.
"""

import functools
import json
import os
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags

from experiments.benchmarks import timing
from metaecg import learners, networks
from metaecg.train import batches, parallel, training_step, updates
from metaecg.types import LibraryIndex

FLAGS = flags.FLAGS
WAY, SHOT, QUERY, EPISODES = 5, 2, 2, 8
RECORDS, SAMPLES, LEADS = 600, 500, 12
LAYOUTS = ((1, 1), (2, 1), (4, 1), (8, 1), (2, 2))
"""(devices, processes)"""


def seconds(repeats: int) -> list[float]:
    """Of each training step, on all devices of all processes."""
    mesh = parallel.mesh()
    rng = np.random.default_rng(0)
    labels = np.eye(10, dtype=bool)[np.arange(RECORDS) % 10]
    signals = rng.normal(0, 300, (RECORDS, SAMPLES, LEADS)).astype(np.int16)
    index = LibraryIndex(labels, np.arange(RECORDS))
    data = parallel.replicate(batches.Data(signals, np.float32(0.001), index), mesh)
    learner = learners.snail(networks.encoder("small"), way=WAY, length=WAY * SHOT + 1)
    rule = updates.episodic(learner, optax.adam(1e-3))
    draw = parallel.shard_tasks(
        batches.EpisodeDraw(WAY, SHOT, QUERY, WAY, EPISODES), mesh, EPISODES
    )
    start = functools.partial(training_step.init, learner, rule, draw)
    state = parallel.jit_replicated(start, mesh)(data, jax.random.key(0))
    step = parallel.jit_replicated(
        functools.partial(training_step.train_step, draw=draw, update=rule), mesh, donate_argnums=0
    )

    def one() -> None:
        nonlocal state
        state, metrics = step(state, data, jax.random.key(1))
        jax.block_until_ready(metrics)
        assert jnp.isfinite(metrics["loss"])

    return timing.alternate({"": one}, repeats=repeats, warm=2)[""]


def run(devices: int, processes: int, repeats: int) -> dict[str, float]:
    """The spread of a layout, measured in processes of its own."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "experiments.benchmarks.devices", f"--repeats={repeats}"]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    environment["JAX_NUM_CPU_DEVICES"] = str(devices // processes)
    several = [f"--coordinator=localhost:{port}", f"--num_processes={processes}"]
    started = [
        subprocess.Popen(
            [*command, f"--process_id={i}", *(several if processes > 1 else [])],
            env=environment,
            stdout=subprocess.PIPE,
        )
        for i in range(processes)
    ]
    said = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise RuntimeError(f"{devices} devices in {processes} processes failed")
    return timing.spread(json.loads(said[0].splitlines()[-1]))


def main(_) -> None:
    if FLAGS.process_id is not None:
        if FLAGS.coordinator:
            parallel.start(FLAGS.coordinator, FLAGS.num_processes, FLAGS.process_id)
        print(json.dumps(seconds(FLAGS.repeats)))
        return
    rows: list[dict] = []
    for devices, processes in LAYOUTS:
        spread = run(devices, processes, FLAGS.repeats)
        rows.append({"devices": devices, "processes": processes, "step, s": spread})
        rows[-1]["times the first"] = spread["median"] / rows[0]["step, s"]["median"]
    timing.report(rows, FLAGS.output, episodes=EPISODES)


if __name__ == "__main__":
    flags.DEFINE_integer("process_id", None, "of a measured process; the command starts these")
    flags.DEFINE_integer("num_processes", None, "of a layout")
    flags.DEFINE_string("coordinator", None, "of a layout")
    timing.run(main, repeats=9)
