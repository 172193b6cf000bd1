"""Update rules at equal cost: the same learner, the same embeddings, the same gradients."""

import functools
import json
import time
from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np
import optax
from scipy import stats

from experiments.runs import build, loop, stages, start, training_data
from experiments.tables import markdown
from metaecg import episodes
from metaecg.episodes import tasks
from metaecg.train import meta, training_step

RULES: dict[str, dict[str, Any]] = {
    "episodic (Adam)": {"update_rule": "episodic", "batch": 8, "learning_rate": 1e-3},
    "trajectory, meta-SGD": {"update_rule": "trajectory", "batch": 4},
    "trajectory, meta-Adam": {
        "update_rule": "trajectory",
        "batch": 4,
        "meta": {"optimizer": "adam", "rate": 1e-3},
    },
    "Reptile": {"update_rule": "reptile", "batch": 4, "inner": {"steps": 5}},
}
"""Settings of each rule, over those of the run started from; chosen on validation with seed 0."""


def settings(
    base: ml_collections.ConfigDict, rule: dict[str, Any], gradients: int
) -> ml_collections.ConfigDict:
    """The configuration of one rule with as many steps as `gradients` allow."""
    config = base.copy_and_resolve_references()
    config.update(rule)
    config.steps = max(1, gradients // (config.batch * tasks_per_step(config)))
    config.validate_every = config.checkpoint_every = config.steps
    return config


def tasks_per_step(config: ml_collections.ConfigDict) -> int:
    """Gradients of one task that a step evaluates for each task or sequence of its batch."""
    if config.update_rule == "episodic":
        return 1
    length = config.way * build.per_class(config)
    return (length - build.window(config) + 1) * config.inner.steps


def measure(
    config: ml_collections.ConfigDict, folder: Path, data: training_data.Opened
) -> dict[str, Any]:
    """Trains by one rule; returns its last validation scores, seconds and memory."""
    began = time.monotonic()
    with loop.SigTerm() as sigterm:
        stages.train_stage(config, folder, data, sigterm)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    scores = next(line["validation"] for line in reversed(lines) if "validation" in line)
    rate = next(line["rate"] for line in reversed(lines) if line.get("rate"))
    return {
        **scores,
        "steps": config.steps,
        "step_seconds": config.batch / rate,
        "seconds": time.monotonic() - began,
        "memory": _memory(config, data) if config.seed == 0 else 0,
    }


def _memory(config: ml_collections.ConfigDict, data: training_data.Opened) -> int:
    """Bytes that the compiled step needs beside data and state."""
    run, part = _run(config, data), data.parts["train"].data
    key = jax.random.key(0)
    state = jax.eval_shape(
        functools.partial(training_step.init, run.learner, run.update, run.draw), part, key
    )
    step = jax.jit(functools.partial(training_step.train_step, draw=run.draw, update=run.update))
    analysis = step.lower(state, part, key).compile().memory_analysis()
    return analysis.temp_size_in_bytes if analysis else 0


def _run(config: ml_collections.ConfigDict, data: training_data.Opened) -> build.Experiment:
    part = data.parts["train"]
    return build.experiment(config, len(part.classes), part.data.index, hz=data.library.hz)


def follow(config: ml_collections.ConfigDict, data: training_data.Opened):
    """One trajectory from random parameters, kept whole, as `plots.trajectory` shows it.

    Returns:
      Distances of θ_i from θ_0 and losses of group i before and after, [n] each; and θ*'s distance.
    """
    run, part, key = _run(config, data), data.parts["train"].data, jax.random.key(config.seed)
    sequences = run.draw(part, key, 0)
    variables = run.learner.init(key, sequences)
    if config.whiten:
        variables = start.whiten(variables, part.signals, part.index)
    windows = episodes.windows(sequences.records.shape[1], build.window(config))

    def group(at, key):
        labels = jax.random.permutation(key, sequences.labels[0][at], axis=1)
        task = tasks.group(sequences.records[0][at], labels)
        return jax.tree.map(lambda x: x[None], task)

    def loss(params, group):
        return run.learner.loss(params, variables.state, group, key)[0]

    @jax.jit
    def walk(theta_0):
        groups = jax.vmap(group)(windows, jax.random.split(key, len(windows)))
        trajectory, report = meta.meta_parameters(
            loss, theta_0, groups, optax.adam(config.inner.rate), with_report=True
        )
        star, _ = meta.meta_optimise(theta_0, trajectory, build.meta_optimizer(config))
        apart = jax.vmap(lambda theta: optax.tree.norm(optax.tree.sub(theta, theta_0)))
        return apart(trajectory), report, optax.tree.norm(optax.tree.sub(star, theta_0))

    distance, report, star = jax.tree.map(np.asarray, walk(variables.params))
    return distance, report.before, report.after, float(star)


def table(results: dict[str, list[dict[str, Any]]]) -> str:
    """The measurements as a Markdown table; the interval is over seeds (Student's t)."""
    head = ["update", "validation accuracy", "± 95 % over seeds", "each seed", "ECE"]
    return markdown.table(
        [*head, "s per 1,000 gradients", "step's memory"],
        [_row(name, runs) for name, runs in results.items()],
    )


def _row(name: str, runs: list[dict[str, Any]]) -> list[str]:
    accuracy = np.array([run["accuracy"] for run in runs])
    each = ", ".join(f"{a:.3f}" for a in accuracy)
    cost = np.median([1000 * run["step_seconds"] / run["gradients_per_step"] for run in runs])
    ece = np.mean([run["ece"] for run in runs])
    memory = f"{runs[0]['memory'] / 2**20:.0f} MiB"
    return [
        name,
        f"{accuracy.mean():.3f}",
        _over_seeds(accuracy),
        each,
        f"{ece:.3f}",
        f"{cost:.1f}",
        memory,
    ]


def _over_seeds(values: np.ndarray) -> str:
    if len(values) < 2:
        return ""
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{half:.3f}"
