"""The reference benchmark on a toy: every learner, every split, one table."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments import compare_learners
from experiments.runs import build
from experiments.stress import toy
from experiments.tables import compared_learners, markdown
from experiments.tables import repeats as combined


def test_combine_gives_means_over_repeats_with_the_interval_of_the_mean():
    row = {"learner": "a", "way": 5, "shot": 1, "macro_auroc": 0.5, "ece": 0.1, "brier": 0.2}
    one = {**row, "accuracy": 0.4, "accuracy_ci95": 0.03, "difference": (-0.1, 0.03)}
    one |= {"accuracy_patients95": (0.34, 0.44), "difference_patients95": (-0.13, -0.07)}
    other = {**row, "accuracy": 0.6, "accuracy_ci95": 0.04, "difference": (0.3, 0.04)}
    other |= {"accuracy_patients95": (0.52, 0.63), "difference_patients95": (0.26, 0.34)}
    (both,) = combined.combine([[one], [other]])
    assert both["accuracy"] == pytest.approx(0.5)
    assert both["each"] == [0.4, 0.6]
    assert both["accuracy_ci95"] == pytest.approx(0.025)  # √(.03² + .04²) / 2
    assert both["difference"] == pytest.approx((0.1, 0.025))
    # Below: √(.06² + .08²) / 2; above: √(.04² + .03²) / 2.
    assert both["accuracy_patients95"] == pytest.approx((0.45, 0.525))
    assert both["difference_patients95"] == pytest.approx((0.075, 0.125))
    assert both["p"] == pytest.approx(math.erfc(0.1 / (0.025 / 1.96) / math.sqrt(2)))
    assert both["p_holm"] == both["p"], "the only difference"
    # Two seeds answer the same episodes: a second one takes nothing off their interval.
    (seeds,) = combined.combine([[one], [other]], seeds=2)
    assert seeds["accuracy"] == pytest.approx(0.5)
    assert seeds["accuracy_ci95"] == pytest.approx(0.035)
    assert seeds["difference"] == pytest.approx((0.1, 0.035))
    assert seeds["accuracy_patients95"] == pytest.approx((0.43, 0.535))
    more = {"learner": "b", "way": 5, "shot": 5, "accuracy": 0.7, "accuracy_ci95": 0.1, "ece": 0.3}
    more |= {"accuracy_patients95": (0.6, 0.8), "each": [0.7]}
    lines = combined.table([both, {**row, **more}]).splitlines()
    assert lines[0].startswith("| 5-way | 1-shot | 5-shot | over patients, 5-shot | first − this, ")
    assert lines[2] == "| a | 0.500 ± 0.025 |  |  |  |  |  |  |  |  |  |"
    assert (
        lines[3]
        == "| b |  | 0.700 ± 0.100 | 0.600–0.800 |  |  |  | 0.500 | 0.300 | 0.200 | 0.700 |"
    )


def test_learners_are_ranked_at_the_middle_shot_and_classes_are_of_each_split():
    def row(learner, shot, accuracy, hits=0):
        scores = {"queries": 4, "recall": hits / 4, "auroc": accuracy}
        row = {"learner": learner, "way": 2, "shot": shot, "accuracy": accuracy}
        return {**row, "confusion": [[hits, 4 - hits], [0, 0]], "per_class": {"A": scores}}

    rows = [row("a", 1, 0.9), row("a", 5, 0.6), row("b", 5, 0.7), row("b", 1, 0.1)]
    assert combined.ranked([*rows, row("c", 1, 1.0)], 2) == ["b", "a"]
    repeats = [[row("b", 5, 0.5, hits)] for hits in (1, 3, 4, 4)]
    first, second = combined.by_class(repeats, 2, "b", 2, 5)
    assert first["confusion"] == [[4, 4], [0, 0]]
    assert first["per_class"] == {"A": {"queries": 8, "recall": 0.5, "auroc": 0.5}}
    assert second["confusion"] == [[8, 0], [0, 0]]


def test_detection_is_combined_as_episodes_are():
    def row(auroc, low, high):
        macro = {x: auroc for x in ("auroc", "auprc", "auprc_balanced")}
        macro |= {f"{x}_ci95": (low, high) for x in ("auroc", "auprc", "auprc_balanced")}
        of_class = {"A" if auroc < 0.8 else "B": {**macro, "records": 3, "prevalence": 0.1}}
        return {"learner": "a", "shot": 5, "macro": macro, "per_class": of_class}

    (both,) = combined.combine_detection([[row(0.7, 0.67, 0.74)], [row(0.9, 0.86, 0.93)]])
    best, worst = markdown.statements(both)  # each of the one split that asks for it
    assert best[:4] == ("B", "3", "10.0%", "0.900 (0.860–0.930)")
    assert worst[0] == "A"
    assert both["macro"]["auroc"] == pytest.approx(0.8)
    assert both["macro"]["auprc_ci95"] == pytest.approx([0.775, 0.825])  # √(.03² + .04²) / 2
    assert "difference" not in both
    assert "| a | 5 | 0.800 (0.775–0.825) |" in markdown.detection([both])


@pytest.mark.parametrize("name", compared_learners.LEARNERS)
def test_every_learner_of_the_table_can_be_built(name):
    config = compared_learners.settings(name, "ptbxl_21_5:0", 1, library="here", encoder="medium")
    assert (config.seed, config.encoder, config.protocol) == (1, "medium", "ptbxl_21_5:0")
    twice = compared_learners.settings(name, "ptbxl_rare", 0, library="l", encoder="wide", longer=2)
    assert twice.steps == 2 * config.steps
    assert (config.start_from == "") == (name == compared_learners.ENCODER)
    learner = build.learner(config, 21, hz=100)
    width = 21 if config.learner == "supervised" else config.way
    example = build.example_task(1000, 12, width)
    shapes = jax.eval_shape(learner.init, jax.random.key(0), example)
    assert ("whitening" in shapes.state) == config.whiten


@pytest.mark.long
def test_one_command_trains_and_measures_all_learners_and_resumes(tmp_path):
    toy.write(tmp_path)
    protocol = json.loads((tmp_path / "protocol.json").read_text())
    parts = {part: protocol.pop(part) for part in ("train", "validation", "test")}
    turned = {"train": parts["test"], "validation": parts["validation"], "test": parts["train"]}
    (tmp_path / "protocol.json").write_text(json.dumps({**protocol, "splits": [parts, turned]}))
    learner = "ridge (frozen whitened encoder)"

    def rows():
        command = [sys.executable, "-m", "experiments.compare_learners", "--smoke"]
        command += [f"--only={learner},{compared_learners.FINE_TUNED}"]
        command += [f"--library={tmp_path / 'library'}", f"--output={tmp_path / 'out'}"]
        command += [f"--protocol={tmp_path / 'protocol.json'}", "--encoder=wide", "--ways=2"]
        command += ["--shots=1", "--probes=whitened_cosine", "--episodes=6"]
        command += ["--repeats=2"]
        root = Path(compare_learners.__file__).parents[1]
        quick = {**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # most time is compiling
        subprocess.run(command, check=True, cwd=root, env=quick)
        return json.loads((tmp_path / "out" / "results.json").read_text())["rows"]

    first = rows()
    assert [row["learner"] for row in first] == [
        *(compared_learners.ENCODER, "supervised encoder + whitened_cosine", learner),
        *(
            "random encoder, nearest centroid",
            "random encoder + whitened_cosine",
            compared_learners.FINE_TUNED,
        ),
    ]
    for row in first:
        assert len(row["each"]) == 2
        assert 0 <= row["accuracy"] <= 1
    detected = json.loads((tmp_path / "out" / "results.json").read_text())["detection"]
    assert [row["learner"] for row in detected] == [row["learner"] for row in first]
    assert (tmp_path / "out" / "shots.svg").read_text().startswith("<?xml")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Classes, split 0: " in page
    assert "Classes, split 1: " in page
    np.testing.assert_equal([r["accuracy"] for r in rows()], [r["accuracy"] for r in first])
