"""Milliseconds from a new recording to its diagnosis, the labelled examples embedded before.

    taskset -c 0 python -m experiments.benchmarks.diagnosis

All that a diagnosis holds is computed: probabilities, the plausible set, each example's weight and
what leaving it out changes. By the shipped model, or `--artefact=FILE`; and by a nearest centroid
on the `small` encoder, its parameters random, for which time is the same.
"""

import functools

import jax
import numpy as np
from absl import flags

from experiments.benchmarks import timing
from experiments.runs import build, machine, model_flags
from metaecg import learners, networks
from metaecg.diagnose.calibration import Calibration, Row
from metaecg.diagnose.diagnoser import Diagnoser
from metaecg.diagnose.model import Form, Model
from metaecg.diagnose.predictor import Predictor

FLAGS = flags.FLAGS
WAY, SHOT = 5, 5


def small(samples: int, leads: int) -> Diagnoser:
    """Nearest centroid on an untrained encoder, with made-up calibration."""
    learner = learners.protonet(networks.encoder("small"))
    variables = jax.jit(learner.init)(jax.random.key(0), build.example_task(samples, leads, WAY))
    levels = tuple(np.linspace(0, 1, 11))
    row = Row(WAY, SHOT, 1.0, 1.0, levels, levels[::-1])
    calibration = Calibration((row,), (0.0,) * 128, (1.0,) * 128, 1e9)
    form = Form(100.0, samples, tuple(f"lead {i}" for i in range(leads)))
    return Diagnoser(Model(Predictor.of(learner, variables), calibration, form, {}))


def measure(name: str, diagnoser: Diagnoser, samples: int, leads: int, queries: int) -> dict:
    """Quantiles of one query at a time, and throughput in batches."""
    rng = np.random.default_rng(0)
    signals = rng.normal(0, 0.3, (WAY * SHOT + 32, samples, leads)).astype(np.float32)
    support = [(str(i), f"class {i % WAY}", signals[i]) for i in range(WAY * SHOT)]
    fitted, asked = diagnoser.fit(support), signals[WAY * SHOT :]
    one = timing.alternate({"one": lambda: fitted(asked[0])}, repeats=queries, warm=5)["one"]
    row: dict = {"diagnoser": name, "queries": queries}
    row |= {f"p{q}, ms": 1e3 * float(np.quantile(one, q / 100)) for q in (50, 99)}
    for size in (8, 32):
        some = asked[:size]
        seconds = timing.alternate({"": functools.partial(fitted, some)}, repeats=9)[""]
        row[f"{size} at a time, queries/s"] = timing.spread([size / s for s in seconds])
    return row


def main(_) -> None:
    model = model_flags.load(None, FLAGS.artefact)
    samples, leads = model.form.samples, len(model.form.leads)
    measured = {FLAGS.artefact or "the package's": Diagnoser(model)}
    measured["small, nearest centroid"] = small(samples, leads)
    rows = [measure(*each, samples, leads, FLAGS.queries) for each in measured.items()]
    cores = machine.cores()
    print(f"{WAY}-way {SHOT}-shot, {leads} leads of {samples} samples, {cores} cores")
    timing.report(rows, FLAGS.output, way=WAY, shot=SHOT, cores=cores)


if __name__ == "__main__":
    flags.DEFINE_string("artefact", None, "exported diagnoser instead of the package's")
    flags.DEFINE_integer("queries", 300, "asked one at a time", lower_bound=10)
    timing.run(main)
