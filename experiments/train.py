"""Meta-trains a learner.

    metaecg train --config=NAME --config.KEY=VALUE … --workdir=DIR

The configurations by name, and every setting with its default, are in the list of flags. Run again
with the same --workdir, the command goes on from the latest checkpoint.
"""

from pathlib import Path

from absl import flags

from experiments.configs import flags as config_flags
from experiments.runs import command_line, loop
from experiments.runs.stages import train
from metaecg.train import parallel

FLAGS = flags.FLAGS


@command_line.defines_flags
def define_flags() -> None:
    config_flags.define()
    flags.DEFINE_string("workdir", None, "folder of this run; resumed if it holds one")
    flags.DEFINE_string(
        "coordinator",
        None,
        "HOST:PORT of process 0 where several processes train together; 'auto' on a cluster that "
        "says so itself (SLURM, Open MPI, TPU pod slice)",
    )
    flags.DEFINE_integer("num_processes", None, "how many there are", lower_bound=1)
    flags.DEFINE_integer("process_id", None, "which this is, from 0", lower_bound=0)


def main(_) -> None:
    config = config_flags.config()
    command_line.need("workdir")
    folder = Path(FLAGS.workdir).expanduser()
    parallel.start(FLAGS.coordinator, FLAGS.num_processes, FLAGS.process_id)
    try:
        meta = train(config, folder)
    except loop.Terminated as stop:
        print(f"{stop}; the same command goes on from there")
        return
    if not parallel.is_main():
        return
    metric = meta.get("metric", "accuracy")
    if metric == "step":
        print("the protocol has no validation part: the last step is kept")
    else:
        print(f"best validation {metric} {meta['best']:.3f} at step {meta.get('best_step')}")
    print(f"next: metaecg evaluate --workdir={FLAGS.workdir}")


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
