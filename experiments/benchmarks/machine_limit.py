"""The training step's arithmetic, counted, against the best rate the machine reaches.

    python -m experiments.benchmarks.machine_limit [--encoder=small] [--shot=5] [--episodes=4]

Floating-point operations are XLA's own count of the compiled step. The machine's rate is measured
in the same run: a large matrix product, and the convolution of the encoder's own layers with the
best rate, forward alone. `--dtype=bfloat16` computes these two in bfloat16, for accelerators.
"""

from typing import Any

import jax
import jax.numpy as jnp
from absl import flags

from experiments.benchmarks import timing
from experiments.benchmarks.training_step import QUERY, WAY, prepared
from metaecg import learners, networks

FLAGS = flags.FLAGS


def flops(program) -> float:
    """XLA's count of a compiled program's floating-point operations."""
    analysis = program.cost_analysis()
    return float((analysis[0] if isinstance(analysis, list) else analysis)["flops"])


def compiled(function, *arguments):
    """The program, and a function that runs it and waits."""
    program = jax.jit(function).lower(*arguments).compile()
    return program, lambda: jax.block_until_ready(program(*arguments))


def convolution(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """Over time, 'SAME' padding: [N, samples, C] and [kernel, C, D]."""
    numbers = ("NWC", "WIO", "NWC")
    return jax.lax.conv_general_dilated(x, kernel, (1,), "SAME", dimension_numbers=numbers)


def main(_) -> None:
    encoder, episodes, dtype = networks.encoder(FLAGS.encoder), FLAGS.episodes, FLAGS.dtype
    learner = learners.snail(encoder, way=WAY, length=WAY * FLAGS.shot + 1)
    shape = (episodes, WAY * (FLAGS.shot + QUERY), 1000, 12)
    records, embed = jax.random.normal(jax.random.key(0), shape), learner.embed
    assert embed is not None  # SNAIL embeds records by themselves
    apply, arguments = prepared(learner, records, WAY, FLAGS.shot)
    variables, many = arguments[0], episodes * shape[1]
    programs = {
        "training step": compiled(apply, *arguments),
        "its encoder, forward and backward": compiled(
            jax.grad(lambda p: embed(p, variables.state, records.reshape(-1, 1000, 12)).sum()),
            variables.params,
        ),
        "matrix product, 2048²": compiled(lambda x: x @ x, jnp.ones((2048, 2048), dtype)),
    }
    for samples, inputs, outputs, width in ((500, 12, 32, 7), (250, 32, 64, 5), (125, 64, 96, 5)):
        x, kernel = (
            jnp.ones(sides, dtype) for sides in ((many, samples, inputs), (width, inputs, outputs))
        )
        name = f"convolution {inputs} → {outputs}, width {width}"
        programs[name] = compiled(convolution, x, kernel)
    seconds = timing.alternate({n: run for n, (_, run) in programs.items()}, repeats=FLAGS.repeats)
    rows: list[dict[str, Any]] = []
    for name, (program, _) in programs.items():
        count = flops(program)
        rate = timing.spread([count / s / 1e9 for s in seconds[name]])
        rows.append({"program": name, "Gflop": count / 1e9, "Gflop/s": rate})
    for kind in ("matrix", "convolution"):
        best = max(r["Gflop/s"]["median"] for r in rows if r["program"].startswith(kind))
        for row in rows:
            row[f"of the best {kind}'s"] = f"{row['Gflop/s']['median'] / best:.0%}"
    timing.report(rows, FLAGS.output, encoder=FLAGS.encoder, shot=FLAGS.shot, episodes=episodes)


if __name__ == "__main__":
    flags.DEFINE_string("encoder", "small", "of metaecg.networks")
    flags.DEFINE_integer("shot", 5, "examples of a class", lower_bound=1)
    flags.DEFINE_integer("episodes", 4, "in a step", lower_bound=1)
    flags.DEFINE_string("dtype", "float32", "of the product and the convolutions")
    timing.run(main, repeats=9)
