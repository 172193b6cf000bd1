"""Which model reads recordings of fewer leads, and that the answer says so."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import Tiny

from metaecg import learners
from metaecg.data.readers.given_by_user import Given
from metaecg.data.readers.lead_names import STANDARD_LEADS
from metaecg.diagnose import answers, artefact, few_leads, support
from metaecg.diagnose.calibration import Calibration, Row
from metaecg.diagnose.model import Form, Model
from metaecg.diagnose.predictor import Predictor
from metaecg.episodes import tasks
from metaecg.errors import MetaecgError
from metaecg.search import recordings

ROW = Row(2, 1.0, 10.0, 5.0, (0.0, 0.6), tuple(np.linspace(0.5, 0, 11)), (999.0,) * 11)
CALIBRATION = Calibration((ROW, ROW._replace(shot=30.0)), (0.0,) * 8, (1.0,) * 8, 1e9)
LIMB = STANDARD_LEADS[:6]
ALL = frozenset(STANDARD_LEADS)


def of_leads(leads):
    learner = learners.protonet(Tiny())
    rows = jnp.zeros((1, 2), jnp.int32)
    records = jnp.zeros((1, 2, 1000, len(leads)))
    example = tasks.Task(records, jnp.zeros((1, 2, 2)), rows, rows, rows, jnp.ones(1))
    variables = jax.jit(learner.init)(jax.random.key(0), example)
    form = Form(100.0, 1000, tuple(leads))
    model = Model(Predictor.of(learner, variables), CALIBRATION, form, {"artefact": str(leads)})
    return model, learner, variables


MODELS = {frozenset(leads): of_leads(leads)[0] for leads in (STANDARD_LEADS, ("I", "II"), ("II",))}


def choose(leads):
    return MODELS[max((names for names in MODELS if names <= leads), key=len, default=ALL)]


def ecg(rate=1.0, seed=0, seconds=10):
    """Twelve leads in mV, of which the limb leads agree."""
    rng = np.random.default_rng(seed)
    phase = np.arange(100 * seconds) / 100 * rate % 1 - 0.5
    beat = np.exp(-(phase**2) / 2 / 0.02**2)[:, None]
    own = beat * np.linspace(0.6, 1.4, 8) + rng.normal(0, 0.02, (len(beat), 8))
    one, two = own[:, 0], own[:, 1]
    limb = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return np.concatenate([np.stack(limb, 1), own[:, 2:]], axis=1)


def write(path, mv, leads):
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = mv[:, [STANDARD_LEADS.index(lead) for lead in leads]]
    head = ",".join(["time (s)", *(f"{lead} (mV)" for lead in leads)])
    time = np.arange(len(mv)) / 100
    np.savetxt(path, np.column_stack([time, columns]), "%.4f", ",", header=head, comments="")
    return path


def asked(tmp_path, examples, **queries):
    """Examples of these leads, and queries by the name of their file, each of its leads."""
    for label, rate in (("slow", 0.8), ("fast", 1.9)):
        for i in range(2):
            write(tmp_path / "support" / label / f"{i}.csv", ecg(rate, i), examples)
    files = [
        str(write(tmp_path / f"{name}.csv", ecg(1.9, 7), leads)) for name, leads in queries.items()
    ]
    return answers.answer_by_leads(choose, tmp_path / "support", files)


def read(found):
    return {q.name: a.model.form.leads for a in found for q in a.queries}


def test_each_query_is_read_by_the_model_of_the_most_leads_that_it_and_all_examples_have(tmp_path):
    found = asked(
        tmp_path,
        STANDARD_LEADS,
        whole=STANDARD_LEADS,
        strip=("II",),
        limb=("aVR", "aVF"),  # they determine I and II
        chest=("I", "V1"),
    )
    assert read(found) == {
        "whole.csv": STANDARD_LEADS,
        "chest.csv": STANDARD_LEADS,  # no model suits I and V1; as before, without a rate
        "limb.csv": ("I", "II"),
        "strip.csv": ("II",),
    }
    said = [each.leads_read.split(",")[0] for each in found]
    assert said == ["", "leads read: I II", "leads read: II"]
    told = {q.name: d for a in found for q, d in zip(a.queries, a.diagnoses)}
    assert told["whole.csv"].error_rate == told["strip.csv"].error_rate == 0.1
    assert told["chest.csv"].error_rate is None
    assert not [w for name in ("strip.csv", "limb.csv") for w in told[name].warnings]


def test_up_to_two_chest_leads_may_be_lost_beside_examples_of_all_twelve(tmp_path):
    without = {n: tuple(lead for lead in STANDARD_LEADS if lead not in n.split("_")) for n in LOST}
    found = asked(tmp_path, STANDARD_LEADS, whole=STANDARD_LEADS, **without)
    told = {q.name.split(".")[0]: d for a in found for q, d in zip(a.queries, a.diagnoses)}
    limbs = {"V4_V5_V6": ("I", "II")}  # three are too many
    assert read(found) == {
        f"{name}.csv": limbs.get(name, STANDARD_LEADS) for name in ("whole", *LOST)
    }
    assert {name: each.error_rate for name, each in told.items()} == dict.fromkeys(told, 0.1)
    assert [w for w in told["V3"].warnings if "MISSING LEADS V3" in w]
    # Another model's rates are not known to hold.
    alone = answers.answer(MODELS[ALL], tmp_path / "support", [str(tmp_path / "V3.csv")])
    assert alone.diagnoses[0].error_rate is None
    np.testing.assert_array_equal(alone.diagnoses[0].probs, told["V3"].probs)
    # Where examples lack them, too, the rates did not hold.
    (tmp_path / "again").mkdir()
    fewer = asked(tmp_path / "again", without["V3"], V3=without["V3"])
    assert read(fewer) == {"V3.csv": ("I", "II")}


LOST = ("V3", "V5_V6", "V4_V5_V6")


def test_examples_of_fewer_leads_decide_too(tmp_path):
    (found,) = asked(tmp_path, LIMB, whole=STANDARD_LEADS)
    assert found.model.form.leads == ("I", "II")
    assert "note: leads read: I II," in answers.as_text(found)
    assert not found.warnings


def test_the_answer_is_that_of_the_chosen_model_and_says_so(tmp_path):
    found = asked(tmp_path, STANDARD_LEADS, whole=STANDARD_LEADS, strip=("II",))
    alone = answers.answer(
        MODELS[frozenset({"II"})], tmp_path / "support", [str(tmp_path / "strip.csv")]
    )
    np.testing.assert_array_equal(found[1].diagnoses[0].probs, alone.diagnoses[0].probs)
    content = json.loads(json.dumps(answers.as_json(*found)))
    whole, strip = content["diagnoses"]
    assert whole["read_by"] == {"leads": list(STANDARD_LEADS), "artefact": str(STANDARD_LEADS)}
    assert strip["read_by"]["leads"] == ["II"]
    assert strip["read_by"]["artefact"] == "('II',)"
    assert "leads read: II," in strip["read_by"]["why"]


def test_a_query_that_cannot_be_read_does_not_stop_the_others(tmp_path):
    asked(tmp_path, LIMB, good=LIMB)
    queries = [str(tmp_path / name) for name in ("gone.csv", "good.csv")]
    found = answers.answer_by_leads(choose, tmp_path / "support", queries)
    assert [f["error"].split(": ")[-1] for a in found for f in a.failed] == ["no such file"]
    assert read(found) == {"good.csv": ("I", "II")}
    with pytest.raises(MetaecgError, match="no such file"):
        answers.answer_by_leads(choose, tmp_path / "support", queries[:1])


def test_leads_that_do_not_change_in_a_window_are_not_there(tmp_path):
    signal = ecg(seconds=30)
    signal[1000:2000, STANDARD_LEADS.index("V3")] = 0.4
    signal[:, STANDARD_LEADS.index("V5")] = 0.0
    path = write(tmp_path / "long.csv", signal, STANDARD_LEADS)
    assert support.leads_of(path, Given(), 10.0) == ALL - {"V3", "V5"}
    assert support.leads_of(path, Given(), 10.0, most=1) == ALL - {"V5"}


def test_an_archive_is_read_by_the_leads_that_nearly_all_of_it_has(tmp_path, monkeypatch):
    monkeypatch.setattr(few_leads, "suiting", frozenset)
    paths = [write(tmp_path / f"{i}.csv", ecg(seed=i), STANDARD_LEADS) for i in range(19)]
    paths.append(write(tmp_path / "strip.csv", ecg(), ("II",)))
    paths.append(tmp_path / "missing.csv")
    assert recordings.suiting_model(paths, paths[:2], Given()) == ALL
    assert recordings.suiting_model(paths, [paths[0], paths[19]], Given()) == {"II"}
    assert recordings.suiting_model(paths[10:], [], Given()) == ALL
    # One in nine lacks the other leads.
    assert recordings.suiting_model(paths[11:], [], Given()) == {"II"}
    assert recordings.suiting_model([], [], Given()) == ALL


def test_the_package_comes_with_models_that_read_the_leads_of_their_names():
    sets = few_leads.sets()
    assert frozenset({"I"}) in sets
    assert frozenset({"I", "II"}) in sets
    for leads, path in sets.items():
        model = artefact.read(path)
        assert frozenset(model.form.leads) == leads, path
        assert model.calibration.rows, path


def test_the_model_of_most_leads_is_chosen_of_those_that_the_package_has(tmp_path, monkeypatch):
    model, *parts = of_leads(STANDARD_LEADS)
    artefact.write(tmp_path / "all.metaecg", model, *parts)
    (tmp_path / few_leads.FOLDER).mkdir()
    for leads in (("I", "II"), ("II",)):
        model, *parts = of_leads(leads)
        artefact.write(tmp_path / few_leads.FOLDER / f"{'_'.join(leads)}.metaecg", model, *parts)
    monkeypatch.setattr(artefact, "shipped_path", lambda: tmp_path / "all.metaecg")
    chosen = {
        there: few_leads.suiting(there.split()).form.leads
        for there in (" ".join(ALL), "I II III", "II V1", "V1", "")
    }
    assert chosen == {
        " ".join(ALL): STANDARD_LEADS,
        "I II III": ("I", "II"),
        "II V1": ("II",),
        "V1": STANDARD_LEADS,
        "": STANDARD_LEADS,
    }
