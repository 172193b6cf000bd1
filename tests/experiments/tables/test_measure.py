"""All that is measured of a table, on tiny runs, and the command that freezes a protocol."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest

from experiments import make_protocol, train
from experiments.configs import quickstart
from experiments.runs import build, trained
from experiments.stress import toy
from experiments.tables import learners, markdown
from experiments.tables.measure import Wanted
from experiments.tables.measure import measure as measure_all
from metaecg import evaluate
from metaecg.data import protocols
from metaecg.data.library import Library
from metaecg.errors import MetaecgError
from metaecg.learners import probes

TINY = ",transformer.width=8,transformer.layers=1,transformer.heads=2,maml.steps=1"


def measure(runs, library, rules, ensemble=None, **options):
    return measure_all(runs, library, rules, Wanted(**options), ensemble)


OPTIONS = {"part": "test", "way": 2, "shots": [1], "episodes": 6, "seed": 0}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return toy.write(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def runs(settings):
    """A transformer that reads a sequence, ANIL and a matching network, as they are made."""
    made = {}
    for name, more in (
        ("transformer", ",transformer.order_free=false,transformer.readout=slots"),
        ("anil", ""),
        ("matching", ""),
    ):
        config = quickstart.get_config(f"{settings}{TINY},learner={name}{more}")
        learner = build.learner(config, 3, hz=100)
        example = build.example_task(128, 2, config.way)
        variables = jax.jit(learner.init)(jax.random.key(0), example)
        facts = {
            "classes": {"train": list("ABC")},
            "record": {"samples": 128, "leads": ["lead 0", "lead 1"], "hz": 100.0},
        }
        made[name] = trained.Trained(config, facts, learner, variables, 0)
    return made


@pytest.fixture(scope="module")
def places(runs):
    config = runs["anil"].config
    return build.library(config), protocols.load(config.protocol)


@pytest.fixture(scope="module")
def found(runs, places):
    everyone = {name: runs[name] for name in ("transformer", "matching")}
    everyone[learners.RANDOM] = trained.untrained(runs["transformer"])
    more = {"probes": ["whitened_cosine"], "orders": 2, "leaks": True, "repeats": 2}
    return measure(everyone, *places, **OPTIONS, **more)


def test_every_encoder_stands_there_under_every_probe(found):
    names = [row["learner"] for row in found["rows"]]
    assert names == [
        "transformer",
        "transformer, mean of 2 orders",
        "transformer + whitened_cosine",
        *("matching", "matching + whitened_cosine"),
        *(learners.RANDOM, "random encoder + whitened_cosine"),
    ]
    for row in found["rows"][1:]:
        assert row["p"] <= row["p_holm"] <= 1
        low, high = row["difference_patients95"]
        assert low <= row["difference"][0] <= high
        assert row["reuse"]["most_uses"] >= row["reuse"]["mean_uses"] >= 1
    assert found["rows"][1]["order"]["orders"] == 2
    assert "order" not in found["rows"][2]


def test_an_ensemble_of_an_encoder_and_itself_answers_as_by_itself(runs, places):
    one, twice = (dict.fromkeys(names, runs["matching"]) for names in ("a", "bc"))
    rows = measure(one, *places, **OPTIONS, probes=["whitened_cosine"], ensemble=twice)["rows"]
    assert [row["learner"] for row in rows][-1] == "ensemble of encoders + whitened_cosine"
    assert rows[-1]["accuracy"] == rows[1]["accuracy"]
    assert rows[-1]["brier"] == pytest.approx(rows[1]["brier"], abs=1e-5)


def test_every_run_of_an_ensemble_is_checked_against_leaks(runs, places):
    one = runs["matching"]
    leaky = one._replace(facts={**one.facts, "classes": {"train": list("GA")}})
    more = {"probes": ["whitened_cosine"], "ensemble": {"fine": one, "leaky": leaky}}
    with pytest.raises(MetaecgError, match="leaky was trained on 1 of the classes"):
        measure({"one": one}, *places, **OPTIONS, **more)


def test_leaks_and_detection_have_a_row_for_every_learner(found):
    assert [row["leak"] for row in found["leaks"][:3]] == [None, "records", "patients"]
    assert len(found["leaks"]) == 3 * (len(found["rows"]) - 1)
    assert [row["learner"] for row in found["detection"]] == [
        row["learner"] for row in found["rows"] if "order" not in row
    ]
    for row in found["detection"]:
        assert set(row["per_class"]) == {"G", "H", "I"}
        assert 0 <= row["macro"]["auroc_ci95"][0] <= row["macro"]["auroc"] <= 1


def test_results_are_json_and_markdown(found):
    json.dumps(found, allow_nan=False)
    text = markdown.report(found)
    for title in ("## Episodes", "## Order of the support", "## Detection", "## Leaks"):
        assert title in text
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1, block


def test_learners_of_sequences_are_left_out_of_longer_ones(runs, places, capsys):
    few = {name: runs[name] for name in ("transformer", "matching")}
    rows = measure(few, *places, **OPTIONS | {"shots": [2]})["rows"]
    assert [row["learner"] for row in rows] == ["matching"]
    assert "2-way 2-shot is more than these can read: transformer" in capsys.readouterr().out
    wider = measure(few | {"anil": runs["anil"]}, *places, **OPTIONS | {"way": 3})["rows"]
    assert [row["learner"] for row in wider] == ["matching"]


def test_a_run_trained_on_the_measured_classes_is_refused_unless_meant(runs, places):
    library, rules = places
    split = rules.splits[0]
    turned = rules._replace(splits=(split._replace(train=split.test, test=split.train),))
    one = {"matching": runs["matching"]}
    with pytest.raises(MetaecgError, match=r"matching was trained on 3 of the classes .* as A"):
        measure(one, library, turned, **OPTIONS)
    # In another library, nobody knows whether the patients are the same.
    assert measure(one, library, turned, **OPTIONS, seen=True)["rows"]


def test_a_run_trained_on_the_measured_patients_is_refused_always(runs, places):
    library, rules = places
    run = runs["matching"]
    here = run._replace(facts={**run.facts, "library_fingerprint": library.fingerprint})
    split = rules.splits[0]
    turned = rules._replace(splits=(split._replace(train=split.test, test=split.train),))
    with pytest.raises(MetaecgError, match="one was trained on 36 of the patients to be measured"):
        measure({"one": here}, library, turned, **OPTIONS, seen=True)
    assert measure({"one": here}, library, rules, **OPTIONS)["rows"]
    # Trained by a protocol of which half of the test patients train, measured by the plain one.
    config = run.config.copy_and_resolve_references()
    config.protocol += ":oracle"
    half = here._replace(config=config)
    with pytest.raises(MetaecgError, match=r"18 of the patients .* its own protocol, .*:oracle"):
        measure({"one": half}, library, rules, **OPTIONS, seen=True)
    assert measure({"one": half}, library, rules._replace(oracle=True), **OPTIONS)["rows"]
    # Where the protocol was edited, its patients are no longer those that the run knows.
    edited = half._replace(facts={**half.facts, "protocol_digest": "of other rules"})
    with pytest.raises(MetaecgError, match="was edited since a run was trained by it"):
        measure({"one": edited}, library, rules._replace(oracle=True), **OPTIONS)
    # Where the protocol's file is gone, classes are all that can be compared.
    config.protocol = "gone.json"
    assert measure({"one": half}, library, rules, **OPTIONS)["rows"]


def test_probes_whiten_by_the_runs_own_training_part(runs, places):
    """Not by that of a yardstick, which knows the test classes."""
    library, rules = places
    known, run = rules._replace(oracle=True), runs["matching"]
    here = run._replace(facts={**run.facts, "library_fingerprint": library.fingerprint})
    own, measured = (
        probes.base(evaluate.embed(run.learner, run.variables, part.data), part.data.index)
        for part in (build.part(library, r, "train") for r in (rules, known))
    )
    found = learners._base(here, run.learner, library, known)
    np.testing.assert_array_equal(found.mean, own.mean)
    assert np.abs(own.mean - measured.mean).max() > 1e-6
    # Of a library that it was not trained on, only the measured protocol has a training part.
    np.testing.assert_array_equal(
        learners._base(run, run.learner, library, known).mean, measured.mean
    )


def test_learners_that_adapt_their_encoder_are_measured_and_detect(places, runs):
    everyone = {"anil": runs["anil"], "tuned": trained.fine_tuned(runs["anil"], rate=0.1, steps=2)}
    found = measure(everyone, *places, **OPTIONS, repeats=1)
    assert [row["learner"] for row in found["detection"]] == ["anil", "tuned"]
    assert 0 <= found["detection"][1]["macro"]["auroc"] <= 1
    assert "auroc" in found["detection"][1]["difference"]
    with pytest.raises(MetaecgError, match="--ensemble: tuned adapts its encoder"):
        measure(
            {"anil": runs["anil"]},
            *places,
            **OPTIONS,
            probes=["whitened_cosine"],
            ensemble=everyone,
        )


def test_differences_are_from_the_first_learner_or_from_none(runs, places):
    few = {name: runs[name] for name in ("transformer", "matching", "anil")}
    rows = measure(few, *places, **OPTIONS | {"shots": [1, 2]})["rows"]
    longer = [row for row in rows if row["shot"] == 2]
    assert [row["learner"] for row in longer] == ["matching", "anil"]
    assert not any("difference" in row for row in longer)
    assert [("difference" in row) for row in rows if row["shot"] == 1] == [False, True, True]
    assert "2-way 2-shot" in markdown.report({"rows": rows})


def test_protocols_without_validation_can_be_tested_on(runs, places):
    library, rules = places
    bare = rules._replace(splits=(rules.splits[0]._replace(validation=()),))
    one = {"matching": runs["matching"]}
    assert measure(one, library, bare, **OPTIONS)["rows"]
    with pytest.raises(MetaecgError, match="has no validation part"):
        measure(one, library, bare, **OPTIONS | {"part": "validation"})
    with pytest.raises(MetaecgError, match="no probe 'rigde'; there are centroid"):
        measure(one, library, bare, **OPTIONS, probes=["rigde"])


def test_a_protocol_says_what_its_parts_hold(places):
    library, rules = places
    held = make_protocol.holdings(make_protocol.indexed(library, rules), way=3, query=5)
    assert held["test"] == {
        "classes": 3,
        "records": 36,
        "patients": 36,
        "fewest patients of a class": 12,
        "largest shot of all class sets": 7,
        "largest shot of some class sets": 7,
    }
    none = make_protocol.holdings(make_protocol.indexed(library, rules), way=4, query=5)["test"]
    assert none["largest shot of all class sets"] == none["largest shot of some class sets"] == 0


def test_a_protocol_promises_what_every_class_set_can_fill():
    """Four classes of 12, 11, 10 and 6 patients: one pair has room for 9 shots, another for 4."""
    sizes = {"a": 12, "b": 11, "c": 10, "d": 6, "e": 8, "f": 7}
    classes = np.repeat(np.arange(6), list(sizes.values()))
    library = Library(
        signals=np.zeros((len(classes), 1, 1), np.int16),
        labels=np.eye(6, dtype=bool)[classes],
        vocabulary=tuple(sizes),
        patients=np.arange(len(classes)),
    )
    split = protocols.Classes(("a", "b", "c", "d"), (), ("e", "f"))
    rules = protocols.Protocol("p", "any", (split,))
    held = make_protocol.holdings(make_protocol.indexed(library, rules), way=2, query=2)
    shots = [
        [held[part][f"largest shot of {which} class sets"] for which in ("all", "some")]
        for part in ("train", "validation", "test")
    ]
    assert shots == [[4, 9], [0, 0], [5, 5]]


def test_the_command_freezes_a_protocol_once(runs, tmp_path):
    output = tmp_path / "mine.json"
    command = [sys.executable, "-m", "experiments.make_protocol", f"--output={output}", "--way=2"]
    command += [f"--library={runs['anil'].config.library}", "--min_patients=5", "--parts=4,2,3"]
    first = subprocess.run(command, capture_output=True, text=True, check=False)
    assert first.returncode == 0, first.stderr
    assert "test: 3 classes, 36 records, 36 patients" in first.stdout
    assert [len(codes) for codes in protocols.load(str(output)).splits[0]] == [4, 2, 3]
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "a frozen protocol is not changed" in again.stderr
    assert again.stderr.count("\n") == 1


def test_numbers_in_the_tables_are_those_of_the_rows(found):
    row = found["rows"][0]
    line = next(x for x in markdown.episodes(found["rows"]).splitlines() if "| transformer |" in x)
    assert f"| {row['accuracy']:.3f} |" in line
    assert np.isfinite(row["macro_auroc"])


@pytest.mark.long
@pytest.mark.parametrize("name", ["transformer", "anil", "matching"])
def test_every_learner_trains(settings, tmp_path, name):
    more = ",pretrain.steps=0,head.steps=0,steps=1,batch=8,validation_episodes=2"
    train.train(quickstart.get_config(f"{settings}{TINY}{more},learner={name}"), tmp_path)
    assert trained.load(tmp_path).step == 1


def test_statements_are_of_the_most_examples_whatever_the_order_of_the_shots():
    def row(shot):
        scores = {x: 0.5 for x in ("auroc", "auprc", "auprc_balanced")}
        scores |= {f"{x}_ci95": (0.4, 0.6) for x in ("auroc", "auprc", "auprc_balanced")}
        of_class = {**scores, "records": shot, "prevalence": 0.1, "patients": shot}
        return {"learner": "a", "shot": shot, "macro": scores, "per_class": {"A": of_class}}

    rows = [row(1), row(10), row(5)]
    text = markdown.report({"rows": [], "detection": rows})
    assert "| a | 10 |" in text
    _, write, _ = markdown.TABLES["statements"]
    assert write(rows).splitlines()[2].startswith("| A | 10 |")
    assert "Fewer than 20 patients have these statements" in text


def test_a_report_says_first_what_was_not_checked_and_that_patients_are_few(found):
    text = markdown.report({**found, "unchecked": ["patients of b were not compared"]})
    first, second, *_ = text.split("\n\n")
    assert first == "patients of b were not compared"
    asked = min(row["reuse"]["patients"] for row in found["rows"])
    assert asked < 20
    assert second.startswith(f"Only {asked} patients were asked. Below 20 patients an interval")


def test_every_flag_of_evaluate_is_used_or_refused_for_training_conditions():
    from absl import flags

    from experiments import evaluate
    from experiments.runs import command_line

    # Flags of commands that other tests used share names with those of this one.
    for name in command_line._defined & set(flags.FLAGS):
        delattr(flags.FLAGS, name)
    before = set(flags.FLAGS)
    evaluate.define_flags()
    mine = set(flags.FLAGS) - before
    assert mine == {*evaluate._OF_EPISODES, *evaluate._USED}
