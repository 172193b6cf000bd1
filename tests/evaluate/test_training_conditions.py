"""Training conditions: patients apart, every condition scored by itself."""

import jax
import numpy as np
import pytest
from tiny import Tiny

from metaecg import learners
from metaecg.evaluate import training_conditions
from metaecg.types import Task, Variables


def test_patients_stand_in_one_part(index):
    parts = training_conditions.part_by_patient(index, share=0.2)
    patients, labels = np.asarray(index.patients), np.asarray(index.labels)
    held = [set(patients[rows]) for rows in parts]
    assert len(set.union(*held)) == sum(map(len, held))
    rows = np.concatenate(parts)
    assert len(set(rows)) == len(rows) == labels.any(1).sum()
    assert labels[rows].any(1).all()
    everyone = len(set(patients))
    assert len(held[1]) <= round(0.2 * everyone)
    again = training_conditions.part_by_patient(index, share=0.2)
    for a, b in zip(parts, again):
        np.testing.assert_array_equal(a, b)


def test_taken_rows_keep_their_labels_and_patients(data):
    part = training_conditions.take(data, np.array([5, 3, 3]))
    np.testing.assert_array_equal(part.signals, np.asarray(data.signals)[[5, 3, 3]])
    np.testing.assert_array_equal(part.index.labels, np.asarray(data.index.labels)[[5, 3, 3]])
    # Patients are numbered in the order in which they come.
    assert len({*np.asarray(data.index.patients)[[5, 3]].tolist()}) == 2
    assert part.index.patients.tolist() == [0, 1, 1]


def test_each_query_is_diagnosed_by_itself_from_the_context(data):
    learner = learners.snail(
        Tiny(norm=False), way=6, length=5, conditions=True, attention=((4, 4),), filters=4
    )
    rows = np.array([0, 1, 2, 3])
    task = {
        "records": np.zeros((1, 5, *data.signals.shape[1:]), np.float32),
        "labels": np.zeros((1, 5, 6), np.float32),
    }
    positions = np.arange(4, dtype=np.int32)[None]
    example = Task(**task, support=positions, query=positions[:, :1], sees=positions[:, :1], way=6)
    variables = learner.init(jax.random.key(0), example._replace(way=np.array([6], np.int32)))
    queries = training_conditions.take(data, np.arange(10, 17))
    options = {"rows": rows, "batch": 3}
    probs = training_conditions.diagnose(learner, Variables(*variables), data, queries, **options)
    assert probs.shape == (7, 6)
    assert ((probs > 0) & (probs < 1)).all()
    programs = training_conditions._answer._cache_size()
    again = training_conditions.diagnose(learner, Variables(*variables), data, queries, **options)
    np.testing.assert_array_equal(again, probs)
    assert training_conditions._answer._cache_size() == programs, "compiled again"
    one = training_conditions.take(data, np.array([14]))
    alone = training_conditions.diagnose(learner, Variables(*variables), data, one, **options)
    np.testing.assert_allclose(alone[0], probs[4], rtol=1e-5)
    fewer = training_conditions.diagnose(
        learner, Variables(*variables), data, queries, rows=rows[:2], batch=3
    )
    assert np.abs(fewer - probs).max() > 1e-4


def test_scores_leave_out_conditions_that_all_or_none_carry():
    labels = np.array([[1, 1, 0], [0, 1, 0], [1, 1, 0], [0, 1, 0]], bool)
    probs = np.array([[0.9, 0.1, 0.2], [0.3, 0.2, 0.1], [0.2, 0.3, 0.1], [0.1, 0.4, 0.1]])
    assert training_conditions.scores(probs, labels, ("A", "B", "C")) == {"A": 0.75}


def test_f1_of_conditions_that_exclude_each_other():
    probs = np.array([[0.9, 0.1, 0], [0.6, 0.4, 0], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7]])
    labels = np.eye(3, dtype=bool)[[0, 1, 1, 2]]
    found = training_conditions.f1(probs, labels, ("A", "B", "C"))
    assert found == pytest.approx({"A": 2 / 3, "B": 2 / 3, "C": 1})
    assert training_conditions.f1(probs, np.ones((4, 3), bool), ("A", "B", "C")) == {}
