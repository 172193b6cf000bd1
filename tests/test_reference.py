"""The reference benchmark on a toy: every learner, every split, one table."""

import json

import jax
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from experiments import assemble, reference
from experiments.trials import toy


def test_combine_gives_means_over_repeats_with_the_interval_of_the_mean():
    row = {"learner": "a", "way": 5, "shot": 1, "macro_auroc": 0.5, "ece": 0.1, "brier": 0.2}
    one = {**row, "accuracy": 0.4, "accuracy_ci95": 0.03, "difference": (-0.1, 0.03)}
    other = {**row, "accuracy": 0.6, "accuracy_ci95": 0.04, "difference": (0.3, 0.04)}
    (both,) = reference.combine([[one], [other]])
    assert both["accuracy"] == pytest.approx(0.5)
    assert both["each"] == [0.4, 0.6]
    assert both["accuracy_ci95"] == pytest.approx(0.025)  # √(.03² + .04²) / 2
    assert both["difference"] == pytest.approx((0.1, 0.025))
    assert "| a | 5-way 1-shot | 0.500 | 0.025 | 0.400 0.600 |" in reference.table([both])


@pytest.fixture
def given(tmp_path):
    """The command's flags, as a user would give them for a toy of two splits."""
    toy.write(tmp_path)
    protocol = json.loads((tmp_path / "protocol.json").read_text())
    parts = {part: protocol.pop(part) for part in ("train", "validation", "test")}
    turned = {"train": parts["test"], "validation": parts["validation"], "test": parts["train"]}
    path = tmp_path / "protocol.json"
    path.write_text(json.dumps({**protocol, "splits": [parts, turned]}))
    settings = {"library": str(tmp_path / "library"), "protocol": str(path), "encoder": "wide"}
    settings |= {"output": str(tmp_path / "out"), "smoke": True, "episodes": 6}
    settings |= {"ways": ["2"], "shots": ["1"], "probes": ["whitened"]}
    if "library" not in flags.FLAGS:
        reference.define_flags()
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["test"])
    with flagsaver.flagsaver(**settings):
        yield tmp_path


@pytest.mark.parametrize("name", reference.LEARNERS)
def test_every_learner_of_the_table_can_be_built(name, given):
    config = reference.settings(name, "ptbxl_21_5:0", 1, "medium", given / "encoder")
    assert (config.seed, config.encoder, config.protocol) == (1, "medium", "ptbxl_21_5:0")
    assert (config.start_from == "") == (name == reference.ENCODER)
    learner = assemble.learner(config, 21)
    width = 21 if config.learner == "supervised" else config.way
    example = assemble.example_task(1000, 12, width)
    shapes = jax.eval_shape(learner.init, jax.random.key(0), example)
    assert ("whitening" in shapes.state) == config.whiten


@pytest.mark.slow
def test_one_command_trains_and_measures_all_learners_and_resumes(given):
    only = ["ridge (frozen whitened encoder)"]
    with flagsaver.flagsaver(only=only):
        reference.main([])
        rows = json.loads((given / "out" / "results.json").read_text())["rows"]
        assert [row["learner"] for row in rows] == [
            *(reference.ENCODER, "supervised encoder + whitened", *only, reference.FINE_TUNED),
            *("random encoder, nearest centroid", "random encoder + whitened"),
        ]
        for row in rows:
            assert len(row["each"]) == 2
            assert 0 <= row["accuracy"] <= 1
        assert (given / "out" / "shots.svg").read_text().startswith("<?xml")
        reference.main([])
    again = json.loads((given / "out" / "results.json").read_text())["rows"]
    np.testing.assert_equal([r["accuracy"] for r in again], [r["accuracy"] for r in rows])
