"""Real processes: two of them train, checkpoint and resume as one does."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments.runs import trained
from experiments.stress import toy
from metaecg.errors import MetaecgError
from metaecg.train import parallel

ROOT = Path(__file__).parents[2]
ONE_STAGE = ",learner=protonet,pretrain.steps=0,signals=streamed"


def start(settings, folder, *flags, devices=1):
    config = f"--config=experiments/configs/quickstart.py:{settings}{ONE_STAGE}"
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.train", config, f"--workdir={folder}", *flags],
        cwd=ROOT,
        env={
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "JAX_NUM_CPU_DEVICES": str(devices),
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "true",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def two_processes(settings, folder):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    return [
        start(
            settings, folder, f"--coordinator={address}", "--num_processes=2", f"--process_id={i}"
        )
        for i in range(2)
    ]


def finish(*processes):
    said = [process.communicate(timeout=300) for process in processes]
    for process, (out, err) in zip(processes, said):
        assert process.returncode == 0, out + err
    return [out for out, _ in said]


def log(folder):
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{k: v for k, v in line.items() if k != "rate"} for line in lines]


@pytest.mark.long
def test_two_processes_train_checkpoint_and_resume_as_one(tmp_path):
    settings = toy.write(tmp_path)
    both, one = tmp_path / "both", tmp_path / "one"
    alone = start(settings, one, devices=2)
    first, second = finish(*two_processes(settings, both))
    finish(alone)
    assert "best validation accuracy" in first
    assert "validation" not in second, "one process says what there is to say"
    shutil.rmtree(both / "checkpoints" / "latest" / "4")
    assert "at step 2" in finish(*two_processes(settings, both))[0]
    assert [line["step"] for line in log(both)] == [line["step"] for line in log(one)]
    for a, b in zip(log(both), log(one)):
        if "loss" in a:
            assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)
    for a, b in zip(*(jax.tree.leaves(trained.load(f).variables) for f in (both, one))):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.long
def test_each_process_may_have_a_library_of_its_own(tmp_path):
    for process in (0, 1):
        (tmp_path / f"host{process}").mkdir()
        settings = toy.write(tmp_path / f"host{process}", seed=process)
    shards = settings.replace("host1/library", "host{process}/library")
    finish(*two_processes(shards, tmp_path / "run"))
    assert [line["step"] for line in log(tmp_path / "run") if "loss" in line] == [2, 4]


def test_flags_that_contradict_each_other_are_refused():
    with pytest.raises(MetaecgError, match="need --coordinator=HOST:PORT"):
        parallel.start(None, 2, 0)
    with pytest.raises(MetaecgError, match="needs --num_processes and --process_id as well"):
        parallel.start("localhost:1234", None, 0)
