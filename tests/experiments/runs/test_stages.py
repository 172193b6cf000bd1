"""The stages of a training: each moves the parameters it is to move, and the loss falls."""

import errno
import itertools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest

from experiments.configs import quickstart
from experiments.runs import loop, stages, trained, training_data, workdir
from experiments.stress import toy
from experiments.tables import training_conditions
from metaecg.data import protocols
from metaecg.errors import MetaecgError

pytestmark = pytest.mark.usefixtures("one_device")

QUICK = ",pretrain.steps=0,head.steps=0,batch=1,log_every=1,inner.width=3,inner.rate=0.03"
QUICK += ",snail.closed_form=none"  # nothing is known before it is learned


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """A library of nine easy conditions and a protocol of three of them each."""
    return toy.write(tmp_path_factory.mktemp("toy"))


def config(settings, more=""):
    return quickstart.get_config(settings + more)


@pytest.fixture(scope="module")
def encoder(settings, tmp_path_factory):
    """The work directory of an encoder that knows the training conditions."""
    folder = tmp_path_factory.mktemp("encoder")
    stages.train(config(settings, ",learner=supervised,pretrain.steps=0"), folder)
    return folder


def log(folder, name):
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line[name] for line in lines if name in line]


def learn(config, folder):
    """Trains; returns each leaf of the parameters before and after it, and the losses."""
    with loop.SigTerm() as sigterm:
        data = training_data.open_parts(config)
        job = stages.prepare(config, folder, data)
        before = jax.tree.map(np.asarray, job.begin().variables.params)
        stages.train_stage(config, folder, data, sigterm)
    latest = loop.Checkpoints(folder / "checkpoints" / "latest")
    state, _ = latest.restore(job.like)
    latest.close()
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), before, state.variables.params)
    return moved, log(folder, "loss")


def assert_learned(moved, losses):
    for part in filter(jax.tree.leaves, moved.values()):
        # Not every leaf: a dilation beyond the window sees nothing.
        assert np.median(jax.tree.leaves(part)) > 1e-3
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])


@pytest.mark.parametrize(
    ("more", "remedy"),
    [
        (",way=5", r"5 classes; the index has 3; give --config\.way=3, or a --config\.protocol"),
        (",query=40", r"; the settings are --config\.way, --config\.shot and --config\.query$"),
    ],
)
def test_episodes_that_cannot_be_drawn_name_the_settings(settings, tmp_path, more, remedy):
    with pytest.raises(MetaecgError, match=remedy):
        stages.train(config(settings, f"{QUICK},validation_episodes=2{more}"), tmp_path / "run")


@pytest.mark.long
def test_the_sources_update_trains_encoder_and_head(settings, tmp_path):
    more = f"{QUICK},update_rule=trajectory,steps=20"
    moved, losses = learn(config(settings, more), tmp_path)
    assert {"encoder", "head"} <= set(moved)
    assert_learned(moved, losses)


@pytest.mark.long
def test_reptile_trains_a_head(settings, encoder, tmp_path):
    more = f"{QUICK},update_rule=reptile,batch=4,steps=40,inner.per_class=6,inner.rate=0.01"
    more += f",freeze_encoder=true,start_from={encoder}"
    moved, losses = learn(config(settings, more), tmp_path)
    assert jax.tree.leaves(moved["encoder"]) == []
    assert_learned(moved, losses)


@pytest.mark.long
def test_global_labels_are_trained_and_validated_on_other_patients(settings, tmp_path):
    more = f"{QUICK},labels=conditions,update_rule=trajectory,steps=20"
    moved, losses = learn(config(settings, more), tmp_path)
    assert_learned(moved, losses)
    assert "macro_auroc" in log(tmp_path, "validation")[-1]
    # Labels of three conditions, where slots of an episode would be two.
    assert trained.load(tmp_path).facts["classes"]["train"] == ["A", "B", "C"]


@pytest.mark.long
def test_patients_held_out_by_conditions_are_unknown_to_what_it_starts_from(
    settings, encoder, tmp_path
):
    """The encoder was trained on all patients of the training part, so nobody is left."""
    more = f"{QUICK},labels=conditions,update_rule=trajectory,steps=2,start_from={encoder}"
    with pytest.raises(MetaecgError, match=r"trained on \d+ of the patients to be measured"):
        stages.train(config(settings, more), tmp_path / "run")
    # A stage of the same run leaves the same patients out.
    own = more.replace("pretrain.steps=0", "pretrain.steps=2").replace(f",start_from={encoder}", "")
    stages.train(config(settings, own), tmp_path / "run")
    run = trained.load(tmp_path / "run")
    places = training_data.open_parts(run.config)
    rows = training_conditions.measure(run, places.library, protocols.load(run.config.protocol))
    assert [row["condition"] for row in rows] == ["A", "B", "C"]


def rows_drawn(config, folder, data):
    job = stages.prepare(config, folder, data)
    return [loop.visited(job, 4, stream) for stream in (0, 1)]


@pytest.mark.long
@pytest.mark.parametrize("rule", ["episodic", "trajectory", "reptile"])
def test_no_stage_and_no_roll_back_draws_what_was_drawn_before(settings, encoder, tmp_path, rule):
    """Neither the stages of a run, nor a run and the one that starts from it."""
    more = f"{QUICK},steps=4,update_rule={rule}"
    data = training_data.open_parts(config(settings, more))
    later = f",learner=protonet,pretrain.steps=0,steps=1,start_from={encoder}"
    stages.train(config(settings, later), tmp_path / "later")
    drawn = [
        rows
        for number, start in enumerate(("", encoder, tmp_path / "later"))
        for rows in rows_drawn(
            config(settings, f"{more},start_from={start}"), tmp_path / str(number), data
        )
    ]
    for one, other in itertools.combinations(drawn, 2):
        assert not (one == other).all(axis=(1, 2)).any()


def test_a_roll_back_of_conditions_draws_other_sequences(settings, tmp_path):
    work = config(settings, f"{QUICK},steps=4,labels=conditions,update_rule=trajectory")
    one, other = rows_drawn(work, tmp_path, training_data.open_parts(work))
    assert not (one == other).all(axis=(1, 2)).any()


@pytest.mark.long
def test_a_second_training_is_refused_and_a_killed_one_leaves_no_lock(settings, tmp_path):
    work = config(settings, ",learner=protonet,pretrain.steps=0")
    held = "import sys, time; from pathlib import Path; from experiments.runs import workdir\n"
    held += f"with workdir.locked(Path({str(tmp_path / 'run')!r})): print(flush=True), input()"
    other = subprocess.Popen(
        [sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "\n"
    with pytest.raises(MetaecgError, match="another training is running in this folder"):
        stages.train(work, tmp_path / "run")
    other.kill()
    other.communicate()
    assert stages.train(work, tmp_path / "run")["best_step"]


def test_a_folder_that_cannot_be_written_is_found_before_any_work(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "open_parts", lambda config: pytest.fail("too late"))
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(MetaecgError, match=r"--workdir=.*file.* so no run can be written"):
            stages.train(config(settings), folder)
    denied = OSError(errno.EROFS, "Read-only file system")
    monkeypatch.setattr(workdir.os, "open", lambda *_: (_ for _ in ()).throw(denied))
    with pytest.raises(MetaecgError, match=r"--workdir=.*: Read-only file system, so no run"):
        stages.train(config(settings), tmp_path / "run")


@pytest.mark.long
def test_a_first_try_that_was_refused_does_not_block_the_folder(settings, tmp_path):
    plain = ",learner=protonet,pretrain.steps=0"
    with pytest.raises(MetaecgError, match=r"best class [ABC] has 12; .* feasible shot is 11"):
        stages.train(config(settings, f"{plain},shot=30"), tmp_path)
    # Nor is another stage trained before this one is looked at.
    with pytest.raises(MetaecgError, match="feasible shot is 11"):
        stages.train(config(settings, ",shot=30,batch=2"), tmp_path / "all")
    assert not (tmp_path / "all" / "pretrain").exists()
    stages.train(config(settings, plain), tmp_path)
    with pytest.raises(MetaecgError, match=r"config.steps \(4 there, 8 here\).*start_from=.* to t"):
        stages.train(config(settings, f"{plain},steps=8"), tmp_path)


def test_training_runs_in_a_thread_and_takes_text_for_a_folder(settings, tmp_path):
    work = config(settings, ",learner=protonet,pretrain.steps=0")
    with ThreadPoolExecutor(1) as pool:
        best = pool.submit(stages.train, work, str(tmp_path / "run")).result()
    assert trained.load(str(tmp_path / "run")).step == best["best_step"]


@pytest.mark.long
@pytest.mark.parametrize("rule", ["", ",update_rule=trajectory"])
def test_a_gradient_that_is_not_clipped_trains(settings, tmp_path, rule):
    more = f"{QUICK},steps=2,clip=0,inner.clip=0{rule}"
    config = quickstart.get_config(settings + more)
    run, before = tmp_path / "run", tmp_path / "before"
    stages.train(config, run)
    config.learning_rate, config.meta.rate = 1e-12, 1e-12
    stages.train(config, before)
    one, two = (trained.load(folder).variables.params for folder in (run, before))
    moved = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), one, two)
    assert max(jax.tree.leaves(moved)) > 1e-5


@pytest.mark.long
@pytest.mark.parametrize("rule", ["", ",update_rule=trajectory"])
def test_training_runs_where_numbers_have_64_bits(settings, tmp_path, rule):
    arguments = f"--config=quickstart:{settings}{rule},steps=2"
    command = [
        sys.executable,
        "-m",
        "experiments.train",
        arguments,
        f"--workdir={tmp_path / 'run'}",
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "JAX_ENABLE_X64": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "next: metaecg evaluate" in done.stdout
