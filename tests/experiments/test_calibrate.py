"""experiments.calibrate and experiments.export on a run of a tiny learner."""

import dataclasses
import errno
import json

import jax
import numpy as np
import pytest
from absl import flags
from tiny import Tiny

from experiments import calibrate, diagnose, export
from experiments import evaluate as evaluation
from experiments.configs import quickstart
from experiments.runs import ancestry, build, models, own_archive, trained
from metaecg import evaluate, learners
from metaecg.data import Library, protocols, save
from metaecg.data.library import open_library
from metaecg.diagnose import answers, artefact, fitting, refining, stated_rates
from metaecg.diagnose.model import Form
from metaecg.diagnose.support import Read
from metaecg.errors import MetaecgError
from metaecg.evaluate import draw_episodes


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Nine easy conditions, and a protocol that parts them."""
    folder = tmp_path_factory.mktemp("toy")
    rng = np.random.default_rng(0)
    labels = np.repeat(np.eye(9, dtype=bool), 12, axis=0)
    wave = np.sin(np.arange(64)[None, :, None] * (1 + labels.argmax(1)[:, None, None]) / 9)
    made = Library(
        signals=(500 * wave + rng.normal(0, 400, (108, 64, 2))).astype(np.int16),
        labels=labels,
        vocabulary=tuple("ABCDEFGHI"),
        patients=np.arange(108),
        leads=("I", "II"),
        processing=("leads I II by name, to mV", "band-pass 0.5–40 Hz, zero phase", "100 Hz"),
        bandpass=(0.5, 40),
    )
    save(made, folder / "library")
    parts = {"train": list("ABC"), "validation": list("DEF"), "test": list("GHI")}
    (folder / "protocol.json").write_text(json.dumps({"membership": "any", **parts}))
    return made, folder


_drawn: dict = {}


def drawn_once(data, key, count, **size):
    """Compiling a draw takes longer than all else here, and there is one library."""
    which = (int(jax.random.key_data(key)[-1]), count, *map(str, size.values()))
    if which not in _drawn:
        _drawn[which] = draw_episodes(data, key, count, **size)
    return _drawn[which]


@pytest.fixture
def run(library, monkeypatch):
    """A trained run of the least learner, as `trained.load` returns it."""
    made, folder = library
    config = quickstart.get_config(
        f"library={folder / 'library'},protocol={folder / 'protocol.json'},learner=protonet,way=2,"
        "query=2"
    )
    learner = learners.protonet(Tiny())
    protocol = protocols.load(config.protocol)
    facts = {
        "record": {"hz": made.hz, "samples": 64, "leads": list(made.leads)},
        "classes": {name: list(codes) for name, codes in protocol.splits[0]._asdict().items()},
        "library_fingerprint": made.fingerprint,
        "protocol": protocol.name,
    }
    variables = jax.jit(learner.init)(jax.random.key(0), build.example_task(64, 2, 3))
    loaded = trained.Trained(config, facts, learner, variables, 7)
    monkeypatch.setattr(trained, "load", lambda _: loaded)
    monkeypatch.setattr(fitting, "SHOTS", (1, 3, 50))  # no class has 50
    monkeypatch.setattr(fitting, "WAYS", (2, 5))  # nor the validation 5 classes
    monkeypatch.setattr(evaluate, "draw_episodes", drawn_once)
    return loaded


def test_the_calibration_is_fitted_once_for_these_weights(run, library, tmp_path, monkeypatch):
    first = models.load(tmp_path).model
    assert [row[:2] for row in first.calibration.rows] == [(2, 1), (2, 3)]
    assert first.form.bandpass == (0.5, 40.0)
    assert first.provenance["trained_on"] == list("ABC")
    assert first.provenance["calibrated_on"] == library[0].fingerprint
    run.config.library = "gone"
    assert models.load(tmp_path).model.calibration == first.calibration
    params = jax.tree.map(lambda x: x + 0.1, run.variables.params)
    other = run._replace(variables=run.variables._replace(params=params))
    monkeypatch.setattr(trained, "load", lambda _: other)
    with pytest.raises(MetaecgError, match=r"run's library: .*gone.*--library=LIBRARY"):
        models.load(tmp_path)
    again = models.load(tmp_path, str(library[1] / "library")).model
    assert again.calibration != first.calibration
    (tmp_path / models.FILE).write_text("{")
    with pytest.raises(MetaecgError, match=r"calibration\.json: damaged; delete it"):
        models.load(tmp_path)


def test_unseen_diagnoses_are_measured(run, library, tmp_path):
    part = protocols.split(library[0], protocols.load(run.config.protocol), "test")
    model = models.load(tmp_path).model
    rows = stated_rates.measure_part(model, library[0], part, fitting.Plan(20, 2, 1), 0.2)
    assert [(row["way"], row["shot"]) for row in rows] == [(2, 1), (2, 3)]
    assert all(0 <= row["coverage"] <= 1 <= row["set_size"] <= row["way"] for row in rows)
    assert calibrate.table(rows, 0.2).count("\n") == 1 + len(rows)
    silent = {**rows[0], "stated": True, "answered": 0.0, "wrong_answers": 0.0}
    *_, line = calibrate.table([silent], 0.2).splitlines()
    assert line.endswith("| 0.0% | none given |")
    silent["by_class"] = {"WPW": {**silent, "queries": 7}}
    assert "| 0.0% | none given |" in calibrate.groups(silent, "by_class", "statement")


def test_an_export_diagnoses_as_its_run(run, library, tmp_path):
    output = tmp_path / "tiny.metaecg"
    said = export.export(tmp_path, output, half=True)
    assert "differ from the model's by at most" in said
    assert not list(tmp_path.glob("*.part"))
    read = artefact.read(output)
    assert read.provenance["step"] == 7
    assert read.provenance["half"] is True
    loaded = [diagnose.load(str(tmp_path), None), diagnose.load(None, str(output))]
    records = [
        Read(str(r), str(r), library[0].millivolts(r).astype(np.float32), 100.0, ())
        for r in range(72, 96)
    ]
    support = [(record, "GH"[i >= 12]) for i, record in enumerate(records) if i % 12 < 10]
    one, other = (answers.diagnose(model, support, records[10:12]).diagnoses[0] for model in loaded)
    np.testing.assert_allclose(one.probs, other.probs, atol=0.02)
    assert one.labels == ("G", "H")


def test_a_calibration_is_not_fitted_on_what_a_run_was_trained_on(run, library, tmp_path):
    codes = tuple("DBCAEFGHI")  # what was trained on as A is called D there
    save(dataclasses.replace(library[0], vocabulary=codes, names=codes), tmp_path / "renamed")
    known = ancestry.descend(
        library[0], np.arange(36), {**run.facts, "protocol_digest": None}, None
    )
    trained_on = run._replace(ancestry=known)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trained, "load", lambda _: trained_on)
        with pytest.raises(MetaecgError, match="recordings of the patients to be measured"):
            models.load(tmp_path, str(tmp_path / "renamed"))


def test_a_file_that_answers_otherwise_is_not_left(run, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_difference", lambda *_: 0.5)
    with pytest.raises(MetaecgError, match=r"differ from the model's by up to 0\.5"):
        export.export(tmp_path, tmp_path / "a.metaecg")
    assert not (tmp_path / "a.metaecg").exists()


def test_a_library_of_another_form_is_refused(run, library, tmp_path):
    for key, other in (("hz", 50.0), ("samples", 65), ("leads", ["I", "V1"])):
        facts = {**run.facts, "record": {**run.facts["record"], key: other}}
        with pytest.raises(MetaecgError, match=r"100 Hz, 64 .* I II; b was trained on .*alike"):
            trained.check_form(run._replace(facts=facts), library[0], "b")
    trained.check_form(run, library[0])
    run.facts["record"]["hz"] = 500.0
    with pytest.raises(MetaecgError, match="the run was trained on 500 Hz, 64 samples"):
        models.load(tmp_path)


def test_a_band_pass_is_known_whatever_its_numbers(library, tmp_path):
    for number, band in enumerate([(5e-05, 40.0), (0.05, 150.0), (0.123456789, 1e2)]):
        save(dataclasses.replace(library[0], bandpass=band), tmp_path / str(number))
        assert Form.of(open_library(tmp_path / str(number))).bandpass == band


def test_a_run_that_cannot_be_written_is_exported_and_diagnoses(run, tmp_path, monkeypatch, capsys):
    """By root as well, for whom no folder is read-only."""

    def refuse(path, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    (tmp_path / "run").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(models.Path, "write_text", refuse)
        export.export(tmp_path / "run", tmp_path / "tiny.metaecg")
        assert diagnose.load(str(tmp_path / "run"), None).calibration.rows
    assert "cannot be written (Read-only file system)" in capsys.readouterr().out
    assert artefact.read(tmp_path / "tiny.metaecg").calibration.rows


def measured(**given):
    """What `calibrate` does with flags."""
    calibrate.define_flags()
    flags.FLAGS(["calibrate", *(f"--{name}={value}" for name, value in given.items())])
    calibrate.main([])


def test_an_artefact_is_measured_on_an_archive_and_fitted_anew(run, library, tmp_path, capsys):
    made, folder = library
    export.export(tmp_path, tmp_path / "a.metaecg")
    given = {"artefact": tmp_path / "a.metaecg", "library": folder / "library", "episodes": 20}
    measured(**given, protocol=folder / "protocol.json", refit=tmp_path / "b.metaecg")
    assert "| 2 | 1 |" in capsys.readouterr().out
    one, two = (artefact.read(tmp_path / name) for name in ("a.metaecg", "b.metaecg"))
    assert one.calibration != two.calibration
    assert two.provenance["calibrated_on"] == made.fingerprint
    assert two.provenance["measured"]["test"]["episodes"] == 20
    # What the calibration was fitted on is known from now on, and its classes are not learnt by it.
    fitted, trained_on = two.provenance["ancestry"]["trainings"]
    assert fitted["classes"] == []
    assert fitted["seen"]["patients"] == list(range(36, 72))
    assert trained_on["classes"] == list("ABC")
    seen = two.provenance["measured"]["test"]["provenance"]["seen"]
    assert seen == {"classes": [], "patients": 0, "recordings": 0}
    # Another archive under equivalent names of classes that were trained on is refused.
    other = json.loads((folder / "protocol.json").read_text())
    other |= {"train": ["G"], "test": ["A", "H"], "validation": []}
    (tmp_path / "other.json").write_text(json.dumps(other))
    with pytest.raises(MetaecgError, match=r"trained on 1 of the classes .* A; name a"):
        measured(**given, protocol=tmp_path / "other.json")
    form = dataclasses.replace(made, hz=50.0)
    with pytest.raises(MetaecgError, match=r"library: 50 Hz.*the model reads 100 Hz"):
        calibrate.unchecked(one, form, protocols.load(run.config.protocol), "test")


@pytest.mark.long
def test_a_model_is_given_what_it_lacks_and_no_probability_changes(
    run, library, tmp_path, monkeypatch
):
    monkeypatch.setattr(refining, "EPISODES", 30)
    export.export(tmp_path, tmp_path / "a.metaecg")
    given = {"artefact": tmp_path / "a.metaecg", "library": library[1] / "library", "episodes": 20}
    given |= {"protocol": library[1] / "protocol.json"}
    measured(**given, refine=tmp_path / "b.metaecg")
    one, two = (artefact.read(tmp_path / name) for name in ("a.metaecg", "b.metaecg"))
    assert one.background is None
    assert len(two.background.directions) == len(one.calibration.mean)
    lacking = {"risks": (), "counts": (), "unlike": ()}
    for before, after in zip(one.calibration.rows, two.calibration.rows, strict=True):
        assert before._replace(**lacking) == after._replace(**lacking)
        assert before.risks != after.risks
        assert before.unlike == ()
        assert np.diff(after.unlike).min() >= 0
    assert one.calibration._replace(rows=()) == two.calibration._replace(rows=())
    assert one.provenance["ancestry"] == two.provenance["ancestry"]
    # Fitted anew on another archive, it is known how unlike recordings are there.
    given["artefact"] = tmp_path / "b.metaecg"
    measured(**given, refit=tmp_path / "c.metaecg")
    three = artefact.read(tmp_path / "c.metaecg")
    assert all(len(row.unlike) == len(row.risks) for row in three.calibration.rows)
    with pytest.raises(MetaecgError, match="--refine goes with neither --refit"):
        measured(**given, refit=tmp_path / "c.metaecg", refine=tmp_path / "d.metaecg")


OWN = ("own", "any", (protocols.Classes((), (), tuple("UVWXYZ")),))


def test_an_archive_without_a_protocol_is_asked_what_the_model_does_not_know(
    run, library, tmp_path, capsys
):
    """Half of the patients calibrate, and the others are measured; A, B and C are known."""
    made, _ = library
    export.export(tmp_path, tmp_path / "a.metaecg")
    codes = tuple("ABCUVWXYZ")
    other = dataclasses.replace(made, vocabulary=codes, names=codes, patients=np.arange(108)[::-1])
    save(other, tmp_path / "other")
    sites = "\n".join(f"{id},{'north' if int(id) % 2 else 'south'}" for id in other.ids)
    (tmp_path / "sites.csv").write_text(f"id,site\n{sites}\n")
    given = {"artefact": tmp_path / "a.metaecg", "library": tmp_path / "other", "episodes": 18}
    given |= {"ways": 2, "shots": 1}
    report = tmp_path / "r.json"
    measured(**given, refit=tmp_path / "b.metaecg", sites=tmp_path / "sites.csv", output=report)
    said = capsys.readouterr().out
    assert "3 statements are left out, for the model was trained on them: A, B, C" in said
    assert "a.metaecg was trained on 3 classes of library" in said
    assert "half of the patients calibrate" in said
    found = json.loads(report.read_text())
    [row], [again] = found["rows"], found["recalibrated"]["rows"]
    assert set(row["by_class"]) == set("UVWXYZ")
    assert set(row["by_site"]) == {"north", "south"}
    assert sum(of["queries"] for of in row["by_site"].values()) == 18 * 2 * 2
    low, high = row["accuracy95"]
    assert low < row["accuracy"] < high
    assert row["raw_accuracy"] == again["raw_accuracy"]
    provenance = found["provenance"]
    assert provenance["measured_on"]["library"] == other.fingerprint
    # This run did not write down its recordings, and the archive is another one.
    assert provenance["seen"] == {"classes": [], "patients": None, "recordings": None}
    fitted = artefact.read(tmp_path / "b.metaecg").provenance["ancestry"]["trainings"][0]["seen"]
    assert len(fitted["patients"]) == 36
    parts = own_archive.halves(protocols.split(other, protocols.Protocol(*OWN), "test"))
    assert [part.labels.sum(0).tolist() for part in parts] == [[6] * 6] * 2
    assert not set(parts[0].patients) & set(parts[1].patients)


def test_examples_of_one_hospital_serve_queries_of_another(run, library, tmp_path, capsys):
    made, folder = library
    export.export(tmp_path, tmp_path / "a.metaecg")
    noisy = made.signals + np.random.default_rng(1).integers(-9, 9, made.signals.shape, np.int16)
    save(dataclasses.replace(made, signals=noisy), tmp_path / "other")
    given = {"artefact": tmp_path / "a.metaecg", "library": folder / "library", "episodes": 20}
    given |= {"protocol": folder / "protocol.json", "ways": 2, "shots": 1}
    measured(**given, support_library=tmp_path / "other", output=tmp_path / "r.json")
    [row] = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert (row["way"], row["shot"]) == (2, 1)
    assert row["accuracy"] > 0.6
    with pytest.raises(MetaecgError, match="36 of its recordings are in --library as well"):
        measured(**given, support_library=folder / "library")


def test_flags_that_contradict_each_other_are_refused(tmp_path):
    for given, said in (
        ({}, "an exported model needs --library"),
        ({"workdir": "a", "artefact": "b"}, "--workdir and --artefact are both given"),
        ({"workdir": "a", "protocol": "b"}, "--protocol belongs to --artefact"),
        ({"workdir": "a", "refit": "b"}, "--refit belongs to --artefact"),
        ({"artefact": "none"}, "an exported model needs --library"),
    ):
        with pytest.raises(MetaecgError, match=said):
            measured(**given)


def test_an_artefact_is_evaluated_by_a_protocol_that_has_a_test_part_alone(
    run, library, tmp_path, capsys
):
    folder = library[1]
    export.export(tmp_path, tmp_path / "a.metaecg")
    (tmp_path / "p.json").write_text(json.dumps({"membership": "any", "test": list("GHI")}))
    output = tmp_path / "results.json"
    evaluation.define_flags()
    given = {"artefact": tmp_path / "a.metaecg", "library": folder / "library", "output": output}
    given |= {"protocol": tmp_path / "p.json", "way": 2, "shots": 1, "query": 2, "episodes": 20}
    flags.FLAGS(["evaluate", *(f"--{name}={value}" for name, value in given.items())])
    evaluation.main([])
    [row] = json.loads(output.read_text())["rows"]
    assert row["learner"] == "a"
    of = json.loads(output.read_text())["runs"]["a"]
    assert "config" not in of  # which would be default settings
    assert of["provenance"]["model"]["learner"] == "protonet"
    assert of["provenance"]["trained_on"][0]["classes"] == list("ABC")
    assert of["provenance"]["seen"] == {"classes": [], "patients": 0, "recordings": 0}
    assert "Of what is measured it has seen 0 classes; 0 patients" in capsys.readouterr().out
    assert 0.5 < row["accuracy"] <= 1
    (tmp_path / "q.json").write_text(json.dumps({"membership": "any", "test": list("AGH")}))
    flags.FLAGS["protocol"].value = str(tmp_path / "q.json")
    with pytest.raises(MetaecgError, match="a was trained on 1 of the classes"):
        evaluation.main([])


def test_an_exported_model_is_no_work_directory(tmp_path):
    file = tmp_path / "a.metaecg"
    file.write_bytes(b"any")
    with pytest.raises(MetaecgError, match=r"a\.metaecg: is a file, and no --workdir"):
        measured(workdir=file)
    evaluation.define_flags()
    flags.FLAGS(["evaluate", f"--workdir={file}"])
    with pytest.raises(MetaecgError, match=r"is an exported model, .*give it as --artefact"):
        evaluation.main([])
