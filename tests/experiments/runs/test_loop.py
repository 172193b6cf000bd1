"""What the loop keeps, takes back and says when a run is stopped or fails."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType

from experiments.configs import settings as config_settings
from experiments.runs import build, loop, workdir
from metaecg.errors import MetaecgError
from metaecg.train import batches, parallel, training_step, updates
from metaecg.types import Learner, LibraryIndex, Task, Variables

KEY = jax.random.key(0)


class Numbers(batches.Draw):
    """Step i draws the record `values[i]` in the first stream, `after[i]` in the others."""

    batch = 1

    def __init__(self, values, after):
        self.values = jnp.array([values, after], jnp.float32)

    def plan(self, index, key, step):
        return batches.Plan(jnp.array([[step % 4]]), ())

    def tasks(self, plan, records, key, step):
        first = jnp.all(jax.random.key_data(key) == jax.random.key_data(KEY))
        value = self.values[jnp.where(first, 0, 1), step]
        one = jnp.zeros(1, jnp.int32)
        return Task(value.reshape(1, 1), jnp.ones((1, 1)), one, one, one, jnp.int32(1))


def job(values, after, **settings):
    config = config_settings.default()
    settings = {"steps": len(values), "log_every": 2, "patience": 4, "batch": 1, **settings}
    config.update({"checkpoint_every": 3, "validate_every": 6, **settings})
    data = batches.Data(
        jnp.zeros((4, 1, 1), jnp.int16), jnp.float32(1), LibraryIndex(np.eye(4), np.arange(4))
    )
    mesh = jax.make_mesh((1,), ("episodes",), (AxisType.Auto,), devices=jax.devices()[:1])

    def loss(params, state, tasks, key):
        return jnp.sum((params["w"] - tasks.records[0]) ** 2), (state, {})

    learner = Learner(lambda key, tasks: Variables({"w": jnp.zeros(1)}, {}), None, loss)
    update = updates.episodic(learner, optax.sgd(0.1))
    draw = Numbers(values, after)
    run = build.Experiment(config, learner, draw, update, 1)

    def begin():
        return training_step.init(learner, update, draw, data, KEY)

    return loop.Job(
        run=run,
        part=build.Part(data, tuple("abcd"), np.arange(4)),
        mesh=mesh,
        key=KEY,
        like=parallel.like(jax.eval_shape(begin), mesh),
        begin=begin,
        validate=lambda variables: {"accuracy": 0.5, "accuracy_ci95": 0.1},
        record_ids=np.array(["ecg0", "ecg1", "ecg2", "ecg3"]),
    )


def train(job, folder):
    sigterm = loop.SigTerm()
    with sigterm:
        return loop.run(job, folder, sigterm)


def log(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def final(job, folder):
    latest = loop.Checkpoints(folder / "checkpoints" / "latest")
    state, meta = latest.restore(job.like)
    latest.close()
    return state, meta


def descend(values):
    w = 0.0
    for value in values:
        w -= 0.2 * (w - value)
    return w


def test_steps_that_fail_now_and_then_are_counted_and_passed_over(tmp_path):
    nan = float("nan")
    work = job([1.0, nan, nan, 1.0, 2.0, nan, 1.0, 1.0], [9.0] * 8)
    train(work, tmp_path)
    state, meta = final(work, tmp_path)
    assert (int(state.skipped), int(state.failing), meta["stream"]) == (3, 0, 0)
    np.testing.assert_allclose(state.variables.params["w"], descend([1, 1, 2, 1, 1]), rtol=1e-6)


def test_too_many_in_a_row_go_back_to_the_last_checkpoint_and_on_with_other_draws(tmp_path):
    work = job([1.0] * 4 + [float("nan")] * 8, [2.0] * 12)
    train(work, tmp_path)
    state, meta = final(work, tmp_path)
    # Steps 4-7 fail; the check at step 8 goes back to the checkpoint of step 6, which holds w as
    # it was after step 4; from there on 2.0 is drawn.
    assert (int(state.step), int(state.failing), meta["stream"]) == (12, 0, 1)
    np.testing.assert_allclose(state.variables.params["w"], descend([1] * 4 + [2] * 6), rtol=1e-6)
    assert {"step": 8, "rolled_back_to": 6} in log(tmp_path)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(state))


def test_failing_again_stops_and_names_the_recordings(tmp_path):
    nan = float("nan")
    work = job([1.0, 1.0] + [nan] * 18, [nan] * 20)
    with pytest.raises(
        MetaecgError, match=r"again after a roll-back .* drew the records ecg\d\. Lo"
    ):
        train(work, tmp_path)
    state, _ = final(work, tmp_path)
    np.testing.assert_allclose(state.variables.params["w"], descend([1, 1]), rtol=1e-6)


def test_the_start_is_kept_where_no_later_step_is_better(tmp_path):
    work = job([1.0] * 4, [1.0] * 4, validate_every=2, validate_start=True)
    for folder, better in (("worse", -1), ("better", 1)):
        scored = work._replace(
            validate=lambda v, better=better: {"accuracy": 0.5 + better * float(v.params["w"][0])}
        )
        train(scored, tmp_path / folder)
        best = loop.Checkpoints(tmp_path / folder / "checkpoints" / "best", keep=1)
        state, meta = best.restore(work.like)
        best.close()
        kept = 4 if better > 0 else 0
        assert (meta["best_step"], int(state.step)) == (kept, kept)
        np.testing.assert_allclose(state.variables.params["w"], descend([1.0] * kept), rtol=1e-6)
        validated = [line["step"] for line in log(tmp_path / folder) if "validation" in line]
        assert validated == [0, 2, 4]


def test_sigterm_saves_and_the_run_goes_on_to_the_same_end(tmp_path):
    values = [0.5 * i for i in range(10)]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(job(values, values), whole)
    work = job(values, values, validate_every=5)
    interrupted = work._replace(
        validate=lambda v: os.kill(os.getpid(), signal.SIGTERM) or work.validate(v)
    )
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(loop.Terminated, match="SIGTERM at step 5 of 10, saved"):
        train(interrupted, stopped)
    assert signal.getsignal(signal.SIGTERM) is before
    assert int(final(work, stopped)[0].step) == 5
    train(work, stopped)
    for a, b in zip(
        jax.tree.leaves(final(work, stopped)[0]), jax.tree.leaves(final(work, whole)[0])
    ):
        np.testing.assert_array_equal(a, b)


def test_the_log_of_a_killed_run_is_cut_back_to_its_checkpoint(tmp_path):
    values = [1.0] * 7
    work = job(values, values)
    train(work, tmp_path)
    expected = [{k: v for k, v in line.items() if k != "rate"} for line in log(tmp_path)]
    shutil.rmtree(tmp_path / "checkpoints" / "latest" / "7")
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 7, "lo')
    train(work, tmp_path)
    assert [{k: v for k, v in line.items() if k != "rate"} for line in log(tmp_path)] == expected


@pytest.mark.long
def test_reading_a_run_beside_its_training_changes_no_bit(tmp_path):
    """Another process reads on and on while every step is saved."""
    values = [0.5 * i for i in range(40)]
    every = {"checkpoint_every": 1, "validate_every": 1, "log_every": 1}
    work = job(values, values, **every)
    improving = itertools.count()
    work = work._replace(validate=lambda variables: {"accuracy": next(improving) / 100})
    train(work, tmp_path / "alone")
    read = f"""
import numpy
from pathlib import Path
from metaecg.train.checkpoints import CheckpointError, restore_variables
from metaecg.types import Variables
like = Variables({{"w": numpy.zeros(1, numpy.float32)}}, {{}})
folder, count = Path({str(tmp_path / "beside")!r}), 0
print(flush=True)
while not (folder / "done").exists():
    for kind in ("latest", "best"):
        count += restore_variables(folder / "checkpoints" / kind, like) is not None
print(count)
"""
    reader = subprocess.Popen([sys.executable, "-c", read], stdout=subprocess.PIPE, text=True)
    assert reader.stdout.readline() == "\n"
    improving = itertools.count()
    work = work._replace(validate=lambda variables: {"accuracy": next(improving) / 100})
    train(work, tmp_path / "beside")
    (tmp_path / "beside" / "done").write_text("")
    count, _ = reader.communicate(timeout=60)
    assert reader.returncode == 0
    assert int(count) >= 10
    for kind in ("latest", "best"):
        kept = [sorted((tmp_path / run / "checkpoints" / kind).glob("[0-9]*")) for run in RUNS]
        assert [path.name for path in kept[0]] == [path.name for path in kept[1]]
        facts = [(paths[-1] / "meta" / "metadata").read_text() for paths in kept]
        assert facts[0] == facts[1]


RUNS = ("alone", "beside")


def test_what_is_not_finite_is_written_as_null_and_the_log_is_json(tmp_path):
    nan = float("nan")
    train(job([1.0, nan, nan, nan, 1.0, 1.0], [9.0] * 6, log_every=1), tmp_path)
    text = (tmp_path / "metrics.jsonl").read_text()
    assert "NaN" not in text
    losses = [line["loss"] for line in log(tmp_path) if "loss" in line]
    assert losses[1:4] == [None, None, None]
    assert all(isinstance(loss, float) for loss in (losses[0], *losses[4:]))


@pytest.mark.parametrize(
    "torn",
    [b'{"step": 7, "lo', b"\xff\xfe\x00\x80", b'{"step": 7, "x": "\xe4"}', b"\n\n", b"[1]", b"7"],
)
def test_a_torn_line_or_bytes_that_are_no_text_end_nothing(tmp_path, torn):
    work = job([1.0] * 7, [1.0] * 7)
    train(work, tmp_path)
    expected = workdir.metrics(tmp_path)
    with open(tmp_path / "metrics.jsonl", "ab") as file:
        file.write(torn)
    found = workdir.metrics(tmp_path)
    assert found[: len(expected)] == expected
    assert workdir.Metrics(tmp_path / "metrics.jsonl").says("validation")
    shutil.rmtree(tmp_path / "checkpoints" / "latest" / "7")
    train(work, tmp_path)
    assert [line["step"] for line in log(tmp_path)] == [line["step"] for line in expected]


def test_the_rate_is_without_the_time_of_compilation(tmp_path, monkeypatch):
    compiled, calls = loop._compiled, itertools.count()

    def first_is_slow(job, count):
        def step(*args):
            time.sleep(0 if next(calls) else 4.0)
            return compiled(job, count)(*args)

        return step

    monkeypatch.setattr(loop, "_compiled", first_is_slow)
    work = job([1.0] * 8, [1.0] * 8, steps=8, checkpoint_every=8, validate_every=8)
    train(work, tmp_path)
    rates = [line["rate"] for line in log(tmp_path) if "rate" in line]
    assert rates[-1] > 2  # with the 4 s of the first step, 8 steps would be less than this
