"""A whole training: time to the first step, cold and warm, memory, and what the loop adds.

    python -m experiments.benchmarks.end_to_end [--config=experiments/configs/quickstart.py:…]

The command is started twice as a user would start it, with an empty cache of compiled programs and
with that of the first start. Then its step is compiled here and called by itself, as often as the
loop calls it: the share of the loop's time that is the step's.
"""

import sys
import tempfile
import time
from pathlib import Path

import jax
from absl import flags
from ml_collections import config_flags

from experiments.benchmarks import timing
from experiments.runs import build, training_data
from experiments.stress.memory import train
from metaecg.train import training_step

FLAGS = flags.FLAGS


def bare(config, steps: int) -> float:
    """Seconds of the compiled step called by itself, the results of each waited for at the end."""
    data = training_data.open_parts(config)
    part = data.parts["train"]
    run = build.experiment(config, len(part.classes), part.data.index, hz=data.library.hz)
    key = jax.random.key(config.seed)
    state = jax.jit(lambda d, k: training_step.init(run.learner, run.update, run.draw, d, k))(
        part.data, key
    )
    step = jax.jit(
        lambda s, d, k: training_step.train_step(s, d, k, draw=run.draw, update=run.update),
        donate_argnums=0,
    )
    for _ in range(3):
        state, _ = jax.block_until_ready(step(state, part.data, key))
    began = time.perf_counter()
    for _ in range(steps):
        state, metrics = step(state, part.data, key)
    jax.block_until_ready(metrics)
    return (time.perf_counter() - began) / steps


def main(argv) -> None:
    config = FLAGS.config
    steps = config.steps
    given = (a.removeprefix("--config=") for a in sys.argv if a.startswith("--config="))
    name = next(given, DEFAULT)
    with tempfile.TemporaryDirectory() as folder:
        cache = {"JAX_COMPILATION_CACHE_DIR": f"{folder}/cache"}
        cold = train(name, Path(folder) / "cold", **cache)
        warm = [train(name, Path(folder) / f"warm {n}", **cache) for n in range(FLAGS.repeats)]
    alone = [bare(config, steps) for _ in range(FLAGS.repeats)]
    looped = timing.spread([1 / run.rate for run in warm])
    share = timing.spread(alone)["median"] / config.batch / looped["median"]
    rows = [{
        "first log, cold, s": cold.first,
        "warm, s": timing.spread([run.first for run in warm]),
        "episodes/s in the loop": 1 / looped["median"],
        "share of the step alone": f"{share:.1%}",
        "memory, MiB": timing.spread([run.memory for run in warm]),
    }]  # fmt: skip
    timing.report(rows, FLAGS.output, config=name, steps=steps)


DEFAULT = (
    "experiments/configs/quickstart.py:pretrain.steps=0,head.steps=0,whiten=False,steps=60,batch=4,"
    "log_every=5,validate_every=1000,checkpoint_every=1000"
)

if __name__ == "__main__":
    config_flags.DEFINE_config_file("config", DEFAULT, "configuration of one stage")
    timing.run(main, repeats=3)
