"""The commands as a user runs them: train, resume, evaluate, and refuse what is wrong."""

import json
import shutil
from pathlib import Path

import pytest
from absl import flags

from experiments import compare_learners, evaluate, train
from experiments.configs import quickstart
from experiments.runs import build, trained, workdir
from experiments.stress import toy
from experiments.tables import markdown, measure
from metaecg.data import protocols
from metaecg.errors import MetaecgError


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """A library of nine easy conditions and a protocol that parts them."""
    return toy.write(tmp_path_factory.mktemp("toy"))


def config(settings, more=""):
    return quickstart.get_config(settings + more)


# These tests are about the commands; what devices do is in test_parallel.
pytestmark = pytest.mark.usefixtures("one_device")


@pytest.fixture(scope="module")
def run(settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    train.train(config(settings), folder)
    return folder


def losses(folder):
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


def test_training_leaves_all_stages_in_the_work_directory(run):
    for folder in (run, run / "pretrain", run / "head"):
        assert (folder / "config.json").is_file()
        assert losses(folder)
        assert trained.load(folder).step in (2, 4)


def test_a_run_stopped_half_way_ends_as_one_that_was_not(settings, run, tmp_path):
    folder = tmp_path / "half"
    shutil.copytree(run, folder)
    shutil.rmtree(folder / "checkpoints" / "latest" / "4")
    (folder / "metrics.jsonl").unlink()
    train.train(config(settings), folder)
    assert losses(folder) == {4: losses(run)[4]}


def test_another_configuration_is_refused_naming_what_differs(settings, run):
    with pytest.raises(MetaecgError, match=r"config.learning_rate \(0.0001 there, 0.5 here\)"):
        train.train(config(settings, ",learning_rate=0.5"), run)


def test_all_learners_of_a_table_answer_the_same_episodes(settings, run):
    loaded = {folder.name: trained.load(folder) for folder in (run, run / "head", run / "pretrain")}
    loaded["random"] = trained.untrained(next(iter(loaded.values())))
    library = build.library(config(settings))
    options = {"part": "test", "way": 2, "shots": [1, 2], "episodes": 6, "seed": 0}
    found = measure.measure(
        loaded, library, protocols.load(config(settings).protocol), measure.Wanted(**options)
    )
    rows = found["rows"]
    # SNAIL was built for one shot and is left out of two.
    assert [(r["learner"], r["shot"]) for r in rows] == [
        *((name, 1) for name in loaded),
        ("pretrain", 2),
        ("random", 2),
    ]
    assert "difference" not in rows[0]
    assert len(rows[1]["difference"]) == 2
    assert markdown.report(found).count("-shot") == len(rows)
    assert set(rows[0]["per_class"]) <= {"G", "H", "I"}
    json.dumps(rows)


HEAD = (
    ",pretrain.steps=0,head.steps=0,steps=2,batch=1,inner.width=3,freeze_encoder=true,start_from="
)


def test_an_encoder_that_knows_the_classes_to_be_tested_is_no_start(settings, run, tmp_path):
    rules = json.loads(Path(config(settings).protocol).read_text())
    turned = {**rules, "train": rules["test"], "test": rules["train"]}
    (tmp_path / "turned.json").write_text(json.dumps(turned))
    arguments = f",protocol={tmp_path / 'turned.json'}{HEAD}{run / 'pretrain'}"
    with pytest.raises(MetaecgError, match=r"start_from = .* trained on 3 of the classes to be"):
        train.train(config(settings, arguments), tmp_path / "run")
    # A yardstick may start from a run that knows its classes, and never from its patients.
    yardstick = f",protocol={config(settings).protocol}:oracle"
    supervised = ",learner=supervised,pretrain.steps=0,head.steps=0,steps=2"
    first, second = tmp_path / "first", tmp_path / "second"
    train.train(config(settings, yardstick + supervised), first)
    train.train(config(settings, f"{yardstick}{supervised},start_from={first}"), second)
    with pytest.raises(MetaecgError, match="that run was trained on 3 of the classes"):
        train.train(config(settings, f"{supervised},start_from={first}"), tmp_path / "third")


@pytest.mark.long
def test_a_head_is_read_on_the_encoder_that_it_was_trained_on_alone(settings, run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    shutil.rmtree(folder / "pretrain")
    other = config(settings, ",learner=supervised,pretrain.steps=0,steps=2,seed=1")
    train.train(other, folder / "pretrain")
    head = folder / "head"
    with pytest.raises(MetaecgError, match=r"trained on another encoder than .*pretrain now holds"):
        trained.load(head)
    with pytest.raises(MetaecgError, match="differs in encoder"):
        train.train(workdir.load_config(head), head)
    # Runs of an earlier version do not say what their encoder was.
    facts = workdir.load(head)
    assert len(facts.pop("encoder")) == 64
    (head / "config.json").write_text(json.dumps(facts))
    train.train(workdir.load_config(head), head)


def test_runs_are_named_by_what_tells_them_apart(tmp_path):
    folders = [tmp_path / name for name in ("a/0/maml", "b/0/maml", "a/1/maml", "a/0/snail")]
    names = evaluate._names(folders)
    assert list(names) == ["a/0/maml", "b/0/maml", "1/maml", "snail"]
    assert list(names.values()) == folders
    with pytest.raises(MetaecgError, match="0/maml is given twice"):
        evaluate._names([folders[0], folders[1], tmp_path / "a" / "0" / "." / "maml"])


def refused(command, *arguments):
    """What a command is refused with, run in this process with these flags."""
    command.define_flags()
    flags.FLAGS(["command", *arguments])
    with pytest.raises(MetaecgError) as caught:
        command.main([])
    return str(caught.value)


def test_evaluate_refuses_before_it_measures(run):
    for argument, message in {
        "--ensemble=there": "--ensemble needs one of --probes=whit",
        "--output=results.md": "--output=results.md: give a name that ends in .json",
        "--repeats=3": "--repeats is of detection: give --detection as well",
        "--output=no/where.json": "there is no folder no",
        "--shots=one": "--shots=one: write numbers from 1 on",
        "--shots=5,1,5": "--shots=5,1,5: write every number once",
    }.items():
        said = refused(evaluate, f"--workdir={run}", "--probes=ridge", argument)
        assert message in said


@pytest.mark.long
def test_classes_of_the_run_that_a_run_started_from_are_not_measured_in_another_library(tmp_path):
    """A knows ABC; B starts from A and knows DEF, C from B and knows GH: ABC are new to none."""
    plain = toy.write(tmp_path) + ",learner=protonet,pretrain.steps=0,head.steps=0,steps=2"
    start = ""
    for name, codes in (("A", "ABC"), ("B", "DEF"), ("C", "GH")):
        rules = {"membership": "any", "train": list(codes), "validation": [], "test": ["I"]}
        (tmp_path / f"{name}.json").write_text(json.dumps(rules))
        own = f",protocol={tmp_path / name}.json{start}"
        train.train(config(plain, own), tmp_path / name)
        start = f",start_from={tmp_path / name}"
    (tmp_path / "other").mkdir()
    toy.write(tmp_path / "other", seed=1)
    for test, known in (("ABC", "ABC"), ("DEF", "BC"), ("GHI", "C")):
        rules = {"membership": "any", "train": [], "validation": [], "test": list(test)}
        (tmp_path / "elsewhere.json").write_text(json.dumps(rules))
        for name in known:
            arguments = (
                f"--workdir={tmp_path / name}",
                f"--library={tmp_path / 'other' / 'library'}",
                f"--protocol={tmp_path / 'elsewhere.json'}",
            )
            count = len(set(test) & set("ABCDEFGH"))
            said = f"trained on {count} of the classes to be measured, such as {test[0]}"
            assert said in refused(evaluate, *arguments)
            assert not (tmp_path / name / "results.json").exists()


def test_flags_of_episodes_are_refused_where_a_run_diagnoses_its_own_conditions(run, monkeypatch):
    found = trained.load(run)
    found.config.labels = "conditions"
    monkeypatch.setattr(trained, "load", lambda folder: found)
    others = ("--probes=ridge", "--detection", "--leaks", "--orders=2", "--part=validation")
    others += ("--episodes=9", "--shots=1", "--way=2", "--query=1", "--seed=1", "--seen")
    for flag in others:
        said = refused(evaluate, f"--workdir={run}", flag)
        assert said.startswith(f"{flag.partition('=')[0]} is of episodes; {run} diagnoses")
    assert "is of episodes" in refused(evaluate, f"--workdir={run}", "--detection", "--repeats=3")


def test_a_place_that_takes_no_results_is_found_before_anything_is_measured(
    run, monkeypatch, tmp_path
):
    """By what os.access says, for nothing is forbidden to root."""
    monkeypatch.setattr(trained, "load", lambda folder: pytest.fail("too late"))
    for name in ("a.json", "b.md", "c.html"):
        (tmp_path / name).mkdir()
    closed = tmp_path / "d.json"
    closed.write_text("{}")
    monkeypatch.setattr(evaluate.os, "access", lambda path, mode: path not in (run, closed))
    for output, place in {
        "": run,
        f"--output={run / 'other.json'}": run,
        f"--output={closed}": closed,
        f"--output={tmp_path / 'a.json'}": tmp_path / "a.json",
        f"--output={tmp_path / 'b.json'}": tmp_path / "b.md",
        f"--output={tmp_path / 'c.json'}": tmp_path / "c.html",
    }.items():
        assert refused(evaluate, f"--workdir={run}", *filter(None, [output])) == (
            f"{place}: the results cannot be written there; name another file by --output=FILE.json"
        )


def test_compare_learners_refuses_before_it_trains():
    for argument, message in {
        "--ways=five": "--ways=five: write numbers from 2 on",
        "--shots=": "--shots=: write numbers from 1 on",
        "--probes=rigde": "--probes: no probe 'rigde'; there are centroid",
        "--part=validation": "--part=validation: protocol ptbxl_21_5 has no such part",
    }.items():
        given = ("--library=none", "--output=none", "--protocol=ptbxl_21_5", argument)
        assert message in refused(compare_learners, *given)


def test_train_is_given_a_configuration_and_a_folder(settings, tmp_path):
    said = refused(train, "--workdir=x")
    assert "--config is needed: one of" in said
    assert "patent, ptbxl, " in said
    assert "--workdir is needed" in refused(train, "--config=quickstart")
    wrong = refused(train, "--config=quickstart", "--config.clip=-1", f"--workdir={tmp_path}")
    assert wrong.startswith("config.clip = -1.0: a number from 0")
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_a_frozen_encoder_of_another_shape_is_refused(settings, run, tmp_path):
    for other in ("encoder=lstm", "encoder=medium", "encoder_options.norm=group"):
        with pytest.raises(MetaecgError, match=r"start_from: its encoder has other shapes"):
            train.train(config(settings, f"{HEAD}{run / 'pretrain'},{other}"), tmp_path / other)
        # As is one that would go on.
        thawed = f"{HEAD}{run / 'pretrain'},{other},freeze_encoder=false"
        with pytest.raises(MetaecgError, match=r"start_from: its encoder has other shapes"):
            train.train(config(settings, thawed), tmp_path / f"thawed_{other}")


@pytest.mark.long
def test_without_a_validation_part_the_last_step_is_kept(settings, tmp_path):
    protocol = json.loads(Path(config(settings).protocol).read_text())
    (tmp_path / "two.json").write_text(json.dumps(protocol | {"validation": []}))
    arguments = f",protocol={tmp_path / 'two.json'},learner=protonet,pretrain.steps=0"
    best = train.train(config(settings, arguments), tmp_path / "run")
    assert (best["metric"], best["best_step"]) == ("step", 4)
    assert trained.load(tmp_path / "run").step == 4


def test_a_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(MetaecgError, match=r"config.json: missing; is .* the --workdir"):
        workdir.load(tmp_path)


def test_episodes_that_the_training_part_cannot_fill_are_refused(settings, tmp_path):
    with pytest.raises(MetaecgError, match="largest feasible shot is 11"):
        train.train(config(settings, ",shot=30,pretrain.steps=0,head.steps=0"), tmp_path / "short")
