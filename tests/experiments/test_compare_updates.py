"""The comparison of the update rules, on a toy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments import compare_updates
from experiments.stress import toy
from experiments.tables import update_rules

ROOT = Path(compare_updates.__file__).parents[1]


def test_the_table_has_a_row_a_rule_with_the_interval_over_its_seeds():
    run = {"ece": 0.1, "step_seconds": 0.02, "gradients_per_step": 40, "memory": 3 << 20}
    runs = [{**run, "accuracy": accuracy} for accuracy in (0.5, 0.6)]
    line = update_rules.table({"episodic": runs, "reptile": runs[:1]}).splitlines()[2:]
    # Student's t of one degree of freedom: 12.706 × 0.0707 / √2.
    assert line[0] == "| episodic | 0.550 | 0.635 | 0.500, 0.600 | 0.100 | 0.5 | 3 MiB |"
    assert line[1] == "| reptile | 0.500 |  | 0.500 | 0.100 | 0.5 | 3 MiB |"


@pytest.mark.long
def test_every_rule_trains_a_head_and_the_trajectory_is_drawn(tmp_path):
    settings = toy.write(tmp_path)
    quick = {**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # compiling is most of the time

    def run(*command):
        return subprocess.run(
            [sys.executable, "-m", *command], cwd=ROOT, env=quick, capture_output=True, text=True
        )

    config = f"--config=experiments/configs/quickstart.py:{settings}"
    trained = run("experiments.train", config, f"--workdir={tmp_path / 'run'}")
    assert trained.returncode == 0, trained.stderr
    start = f"--start_from={tmp_path / 'run' / 'pretrain'}"
    compare = ("experiments.compare_updates", start, f"--output={tmp_path / 'out'}")
    wrong = run(*compare, "--only=reptile")
    assert wrong.returncode == 1
    assert wrong.stderr.splitlines()[-1].startswith("error: --only: no rule 'reptile'; there are ")
    found = run(*compare, "--gradients=100", "--seeds=1")
    assert found.returncode == 0, found.stderr
    results = json.loads((tmp_path / "out" / "updates.json").read_text())
    assert list(results) == list(update_rules.RULES)
    assert all(np.isfinite(runs[0]["accuracy"]) for runs in results.values())
    assert (tmp_path / "out" / "trajectory.svg").exists()
