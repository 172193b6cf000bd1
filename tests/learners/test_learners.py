"""One matrix of properties over all learners."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import special
from tiny import Tiny

from metaecg import learners, losses
from metaecg.episodes import tasks
from metaecg.learners import probes
from metaecg.networks import Identity
from metaecg.train import parallel
from metaecg.train.checkpoints import Checkpoints, restore_variables
from metaecg.types import Learner, TrainState, Variables

SNAIL = {"attention": ((4, 3), (4, 3)), "filters": 4}


def build(name):
    return {
        "snail": lambda: learners.snail(Tiny(), way=3, length=4, **SNAIL),
        "source": lambda: learners.snail(Tiny(), way=3, length=4, closed_form="none", **SNAIL),
        "protonet": lambda: learners.protonet(Tiny()),
        "cosine": lambda: learners.protonet(Tiny(), cosine=True),
        "supervised": lambda: learners.supervised(Tiny(), num_conditions=3),
        "maml": lambda: learners.maml(Tiny(norm=False), way=3, rate=0.5, steps=2),
        "anil": lambda: learners.anil(Tiny(), way=3, rate=0.5, steps=2),
        "matching": lambda: learners.matching(Tiny()),
        "transformer": lambda: learners.transformer(Tiny(), way=3, **SMALL),
        "slots": lambda: learners.transformer(Tiny(), way=3, readout="slots", **SMALL),
        "ordered": lambda: learners.transformer(
            Tiny(), way=3, readout="slots", order_free=False, length=4, **SMALL
        ),
        "ridge": lambda: learners.ridge(Tiny()),
        "logistic": lambda: probes.with_probe(learners.protonet(Tiny()), probes.logistic),
        "cl2n": lambda: probes.with_probe(learners.protonet(Tiny()), probes.centred(probes.cosine)),
    }[name]()


SMALL = {"width": 8, "layers": 1, "heads": 2}
# Learners that take the support as a set, by whether slots are mere names to them from the start.
SETS = ("protonet", "cosine", "supervised", "maml", "anil", "matching", "ridge", "logistic", "cl2n")
UNORDERED = (*SETS, "transformer", "slots")
# Networks that start from the nearest prototype have not begun to read the rest.
STARTING = ("transformer", "snail")
EMBEDDED = ("snail", "source", *(name for name in UNORDERED if name != "maml"), "ordered")
ALL = (*EMBEDDED, "maml")
PROBED = ("logistic", "cl2n")  # trained as what they are put on
TRAINED = tuple(name for name in ALL if name not in PROBED)


class Compiled(NamedTuple):
    learner: Learner
    variables: Variables
    predict: Any
    value_and_grad: Any


@functools.cache
def compiled(name):
    """A learner with its functions jitted once for all tests, and variables off their start."""
    learner = build(name)
    example = jax.tree.map(
        jnp.asarray,
        tasks.Task(
            np.zeros((1, 9, 24, 2), np.float32),
            np.zeros((1, 9, 3), np.float32),
            *(np.zeros((1, 3), np.int32) for _ in range(3)),
            np.full(1, 3, np.int32),
        ),
    )
    variables = jax.jit(learner.init)(jax.random.key(0), example)
    value_and_grad = jax.jit(jax.value_and_grad(learner.loss, has_aux=True))
    return Compiled(learner, variables, jax.jit(learner.predict), value_and_grad)


def answers(name, batch):
    made = compiled(name)
    return np.exp(made.predict(*made.variables, batch))


def training_tasks(name, batch):
    """What the learner's loss takes: the tasks, or for supervised learning their records."""
    if name != "supervised":
        return batch
    records = batch.records.reshape(-1, *batch.records.shape[2:])
    flat = tasks.batch_of_records(jnp.asarray(records), jnp.asarray(batch.labels.reshape(-1, 3)))
    return jax.tree.map(lambda x: x[None], flat)


def other(batch, row):
    """Another task in one place of the batch."""
    return batch._replace(
        records=np.concatenate([batch.records[:row], batch.records[row:][::-1]]),
        labels=np.concatenate([batch.labels[:row], batch.labels[row:][::-1]]),
    )


def test_every_learner_is_in_the_matrix():
    builders = {
        "snail",
        "protonet",
        "supervised",
        "maml",
        "anil",
        "matching",
        "transformer",
        "ridge",
    }
    known = {n for n in learners.__all__ if n[0].islower() and n != "from_head"}
    assert known == builders, "add new learners to this file"


@pytest.mark.parametrize("name", ALL)
def test_probabilities_sum_to_one(name, easy_tasks):
    probs = answers(name, easy_tasks)
    assert probs.shape == (8, 6, 3)
    assert probs.dtype == np.float32
    np.testing.assert_allclose(probs.sum(-1), 1, rtol=1e-5)
    assert probs.std() > 1e-3


@pytest.mark.parametrize("name", ALL)
def test_variables_have_32_bits_where_numbers_have_64(name, easy_tasks):
    """A checkpoint is the same whatever the command that reads it was started with."""
    few = jax.tree.map(lambda x: x[:1], easy_tasks)
    with jax.enable_x64(True):
        made = jax.eval_shape(build(name).init, jax.random.key(0), few)
    assert {leaf.dtype for leaf in jax.tree.leaves(made)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("name", ALL)
def test_jit_equals_eager(name, easy_tasks):
    made = compiled(name)
    few = jax.tree.map(lambda x: x[:2], easy_tasks)
    eager = np.exp(made.learner.predict(*made.variables, few))
    np.testing.assert_allclose(eager, answers(name, easy_tasks)[:2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_answers_to_a_task_do_not_depend_on_its_batch(name, easy_tasks):
    changed = other(easy_tasks, 5)
    before, after = answers(name, easy_tasks), answers(name, changed)
    np.testing.assert_allclose(after[:5], before[:5], rtol=1e-6)
    assert np.abs(after[5] - before[5]).max() > 1e-4


@pytest.mark.parametrize("name", ALL)
def test_answers_to_a_query_do_not_depend_on_other_queries_nor_on_their_labels(name, easy_tasks):
    before = answers(name, easy_tasks)
    records, labels = easy_tasks.records.copy(), easy_tasks.labels.copy()
    records[:, 5] += 1
    labels[:, 3:] = np.roll(labels[:, 3:], 1, axis=-1)
    after = answers(name, easy_tasks._replace(records=records, labels=labels))
    np.testing.assert_allclose(after[:, [0, 1, 3, 4, 5]], before[:, [0, 1, 3, 4, 5]], rtol=1e-6)
    assert np.abs(after[:, 2] - before[:, 2]).max() > 1e-4


@pytest.mark.parametrize("name", ALL)
def test_padding_of_the_support_is_never_read(name, easy_tasks):
    support = easy_tasks.support.copy()
    support[:, 0] = -1
    padded = easy_tasks._replace(support=support)
    before = answers(name, padded)
    assert np.abs(before - answers(name, easy_tasks)).max() > 1e-4
    assert np.isfinite(before).all()
    records, labels = easy_tasks.records.copy(), easy_tasks.labels.copy()
    records[:, 0] += 1
    labels[:, [0, -1]] = 5
    after = answers(name, padded._replace(records=records, labels=labels))
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ALL)
def test_unused_slots_get_no_probability(name, easy_tasks):
    probs = answers(name, easy_tasks._replace(way=np.full(8, 2, np.int32)))
    np.testing.assert_array_equal(probs[..., 2], 0)
    np.testing.assert_allclose(probs.sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ALL)
def test_order_of_the_support_matters_to_readers_of_sequences_alone(name, easy_tasks):
    turned = easy_tasks._replace(support=easy_tasks.support[:, ::-1])
    difference = np.abs(answers(name, turned) - answers(name, easy_tasks)).max()
    assert (difference < 1e-5) == (name in (*UNORDERED, *STARTING))
    assert difference < 1e-5 or difference > 1e-4


@pytest.mark.parametrize("name", ALL)
def test_slots_are_names_to_all_but_networks_that_read_them(name, easy_tasks):
    order = np.array([2, 0, 1])
    renamed = answers(name, easy_tasks._replace(labels=easy_tasks.labels[..., order]))
    difference = np.abs(renamed - answers(name, easy_tasks)[..., order]).max()
    assert (difference < 1e-5) == (name in (*SETS, *STARTING))


@pytest.mark.parametrize("name", EMBEDDED)
def test_predict_is_classify_after_embed(name, easy_tasks):
    made = compiled(name)
    records = easy_tasks.records.reshape(72, 24, 2)
    embeddings = jax.jit(made.learner.embed)(*made.variables, records)
    assert embeddings.shape == (72, 8)
    embedded = easy_tasks._replace(records=embeddings.reshape(8, 9, 8))
    classified = jax.jit(made.learner.classify)(*made.variables, embedded)
    np.testing.assert_allclose(np.exp(classified), answers(name, easy_tasks), rtol=1e-4, atol=1e-6)


def test_maml_has_no_embedding_of_a_record_by_itself():
    learner = build("maml")
    assert learner.embed is None
    assert learner.classify is None


@pytest.mark.parametrize("name", TRAINED)
def test_fault_parameters_of_the_encoder_are_not_trained(name, easy_tasks):
    made = compiled(name)
    (loss, (state, metrics)), gradient = made.value_and_grad(
        *made.variables, training_tasks(name, easy_tasks), jax.random.key(0)
    )
    assert np.isfinite(loss)
    assert loss > 0
    assert jax.tree.structure(state) == jax.tree.structure(made.variables.state)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((gradient, metrics)))
    assert all(np.any(x) for x in jax.tree.leaves(gradient["encoder"]))


@pytest.mark.parametrize("name", [name for name in TRAINED if name != "maml"])
def test_loss_moves_the_running_averages(name, easy_tasks):
    made = compiled(name)
    (_, (state, _)), _ = made.value_and_grad(
        *made.variables, training_tasks(name, easy_tasks), jax.random.key(0)
    )
    for old, new in zip(jax.tree.leaves(made.variables.state), jax.tree.leaves(state), strict=True):
        assert np.all(np.asarray(old) != np.asarray(new))


@pytest.mark.parametrize("name", ["snail", "protonet", "maml", "anil", "matching", "transformer"])
def test_eight_devices_equal_one(name, easy_tasks):
    made, mesh = compiled(name), parallel.mesh()
    assert mesh.size == 8
    spread = jax.device_put(
        easy_tasks, jax.NamedSharding(mesh, jax.sharding.PartitionSpec("episodes"))
    )
    variables = parallel.replicate(made.variables, mesh)
    on_eight = made.value_and_grad(*variables, spread, jax.random.key(0))
    on_one = made.value_and_grad(*made.variables, easy_tasks, jax.random.key(0))
    assert len(on_eight[0][0].sharding.device_set) == 8
    for a, b in zip(jax.tree.leaves(on_eight), jax.tree.leaves(on_one), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("name", ALL)
def test_answers_survive_a_checkpoint_to_the_bit(name, easy_tasks, tmp_path):
    made = compiled(name)
    checkpoints = Checkpoints(tmp_path)
    step = jnp.int32(3)
    checkpoints.save(
        TrainState(step, made.variables, {}, jnp.int32(0), jnp.int32(0)), {"note": name}
    )
    checkpoints.wait()
    checkpoints.close()
    variables, meta = restore_variables(tmp_path, jax.eval_shape(lambda: made.variables))
    assert meta["note"] == name
    restored = np.exp(made.predict(*variables, easy_tasks))
    np.testing.assert_array_equal(restored, answers(name, easy_tasks))


@pytest.mark.parametrize("name", TRAINED)
def test_one_easy_batch_is_learned(name, easy_tasks):
    made = compiled(name)
    optimizer = optax.adam(0.02)
    update = jax.jit(optimizer.update)
    params, state = made.variables
    opt_state = optimizer.init(params)
    # Slots are no conditions: what supervised learning can tell apart are those of one task.
    known = jax.tree.map(lambda x: x[:1], easy_tasks) if name == "supervised" else easy_tasks
    batch = training_tasks(name, known)
    track = []
    for step in range(150):
        (loss, (state, _)), gradient = made.value_and_grad(
            params, state, batch, jax.random.key(step)
        )
        updates, opt_state = update(gradient, opt_state)
        params = jax.tree.map(lambda p, u: p + u, params, updates)
        track.append(float(loss))
    assert track[-1] < 0.5 * track[0]
    log_probs = made.predict(params, state, easy_tasks)
    accuracy = losses.accuracy(log_probs, easy_tasks.labels[:, 3:])[: len(known.way)]
    assert float(accuracy.mean()) > 0.85


def test_protonet_literal():
    """Prototypes (1, 0) and (0, 4) by the mean; (1, 1) is at squared distance 1 and 10."""
    head = learners.Prototypes()
    records = np.array([[2, 0], [0, 4], [0, 0], [1, 1]], np.float32)
    labels = np.eye(2, dtype=np.float32)[[0, 1, 0, 0]]
    task = tasks.Task(records, labels, np.arange(3), np.array([3]), np.array([3]), np.int32(2))
    np.testing.assert_allclose(head.apply({}, task), [[-1, -10]], rtol=1e-6)
    np.testing.assert_allclose(
        head.apply({}, task._replace(sees=np.array([1]))), [[-2, -2]], rtol=1e-6
    )


def test_matching_literal():
    """Cosines 1 and 0.6 for slot 0, 0.8 for slot 1, at scale 10."""
    head = learners.matching(Tiny()).classify
    records = np.array([[2, 0], [0.3, 0.4], [0.8, -0.6], [5, 0]], np.float32)
    labels = np.eye(3, dtype=np.float32)[[0, 0, 1, 0]]
    task = tasks.Task(records, labels, np.arange(3), np.array([3]), np.array([3]), np.int32(2))
    params = {"encoder": {}, "head": {"log_scale": np.float32(np.log(10))}}
    probs = np.exp(head(params, {}, jax.tree.map(lambda x: np.asarray(x)[None], task)))[0, 0]
    votes = np.exp([10.0, 6.0, 8.0])
    np.testing.assert_allclose(
        probs, [votes[:2].sum() / votes.sum(), votes[2] / votes.sum(), 0], rtol=1e-4
    )
    # Before slot 1 was seen, it counts as a record opposite to the query.
    early = task._replace(sees=np.array([2]))
    probs = np.exp(head(params, {}, jax.tree.map(lambda x: np.asarray(x)[None], early)))[0, 0]
    votes = np.exp([10.0, 6.0, -10.0])
    np.testing.assert_allclose(probs[1], votes[2] / votes.sum(), rtol=1e-3)


def test_anil_equals_gradient_descent_in_numpy(easy_tasks):
    rng = np.random.default_rng(0)
    records = rng.normal(0, 1, (8, 9, 5)).astype(np.float32)
    batch = easy_tasks._replace(records=records)
    params = {
        "kernel": rng.normal(0, 1, (5, 3)).astype(np.float32),
        "bias": rng.normal(0, 1, 3).astype(np.float32),
    }
    learner = learners.anil(Identity(), way=3, rate=0.3, steps=4)
    found = np.exp(learner.classify({"encoder": {}, "head": params}, {}, batch))
    for b in range(8):
        x, kernel, bias = np.maximum(records[b], 0), params["kernel"], params["bias"]
        for _ in range(4):
            error = (special.softmax(x[:3] @ kernel + bias, axis=1) - batch.labels[b, :3]) / 3
            kernel, bias = kernel - 0.3 * x[:3].T @ error, bias - 0.3 * error.sum(0)
        expected = special.softmax(x[3:] @ kernel + bias, axis=1)
        np.testing.assert_allclose(found[b], expected, rtol=1e-3, atol=1e-5)


def test_snail_of_conditions_answers_each_by_itself(easy_tasks):
    """Global labels: sigmoid loss on multi-hot targets, and windows of the sequence as tasks."""
    learner = learners.snail(Tiny(norm=False), way=3, length=10, conditions=True, **SNAIL)
    labels = np.maximum(easy_tasks.labels, np.roll(easy_tasks.labels, 1, axis=1))
    groups = jax.vmap(tasks.group)(jnp.asarray(easy_tasks.records), jnp.asarray(labels))
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(learner.init, jax.random.key(0), groups)
    variables = jax.tree.map(lambda x: rng.normal(0, 0.2, x.shape), shapes)
    probs = np.exp(jax.jit(learner.predict)(*variables, groups))
    assert probs.shape == (8, 9, 3)
    assert ((probs > 0) & (probs < 1)).all()
    assert np.abs(probs.sum(-1) - 1).max() > 0.1
    loss, _ = jax.jit(learner.loss)(*variables, groups, jax.random.key(0))
    expected = -np.where(labels > 0, np.log(probs), np.log1p(-probs)).mean()
    np.testing.assert_allclose(loss, expected, rtol=1e-3)


def test_maml_keeps_running_averages_and_answers_each_record_by_itself(easy_tasks):
    learner = learners.maml(Tiny(), way=3, rate=0.5, steps=2)
    params, state = learner.init(jax.random.key(0), easy_tasks)
    state = jax.tree.map(lambda x: x + 0.3, state)
    _, (after, _) = jax.jit(learner.loss)(params, state, easy_tasks, jax.random.key(1))
    assert jax.tree.all(jax.tree.map(jnp.array_equal, state, after))
    whole = learner.predict(params, state, easy_tasks)
    alone = learner.predict(
        params,
        state,
        easy_tasks._replace(query=easy_tasks.query[:, :1], sees=easy_tasks.sees[:, :1]),
    )
    np.testing.assert_allclose(whole[:, :1], alone, rtol=1e-4, atol=1e-5)
