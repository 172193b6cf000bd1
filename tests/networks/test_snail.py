"""The two-stream network against the paper's, and the known faults of public ports."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from jax.test_util import check_grads

from metaecg.episodes import tasks
from metaecg.errors import MetaecgError
from metaecg.networks import Snail
from metaecg.networks.snail_blocks import AttentionBlock, CausalConv, Streams, TCBlock
from metaecg.types import Episode, Task

WAY, SUPPORT, FEATURES = 3, 6, 5
ROWS, LENGTH = 2 * SUPPORT, SUPPORT + 1
TINY = {"attention": ((4, 3), (4, 3), (4, 3)), "filters": 4, "normalise": False}
SLOTS = np.array([1, 0, 2, 2, 1, 0, 1, 0, 2, 0, 1, 2])
FIRST = np.arange(SUPPORT, dtype=np.int32)


def few_shot(seed=0):
    """Six labelled records, two of each class in mixed order; six queries see all of them."""
    return Task(
        records=np.random.default_rng(seed).normal(size=(ROWS, FEATURES)),
        labels=np.eye(WAY)[SLOTS],
        support=FIRST,
        query=FIRST + SUPPORT,
        sees=np.full(SUPPORT, SUPPORT, np.int32),
        way=np.int32(WAY),
    )


def window(seed=0):
    """A group of six records, each predicted from those before it."""
    return few_shot(seed)._replace(query=FIRST, sees=FIRST)


def scattered(seed=0):
    """Queries at several positions, one record asked twice, the context in another order."""
    return few_shot(seed)._replace(
        support=np.array([4, 2, 0, 5, 1, 3], np.int32),
        query=np.array([8, 8, 6, 7, 11, 10], np.int32),
        sees=np.array([3, 0, 5, 2, 6, 4], np.int32),
    )


def network(literal=False):
    return Snail(way=WAY, length=LENGTH, literal_dilations=literal, **TINY)


@functools.cache
def function(literal=False):
    """One compiled network for all tests, with everything between its blocks."""

    def run(params, task):
        options = {"capture_intermediates": True, "mutable": ["intermediates"]}
        logits, kept = network(literal).apply({"params": params}, task, **options)
        return logits, kept["intermediates"]

    return jax.jit(run)


def everything(params, task, literal=False):
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, function(literal)(params, task))


def apply(params, task, literal=False):
    return everything(params, task, literal)[0]


@functools.cache
def params(literal=False):
    """Parameters so large that no gate and no softmax is near linear; float64."""
    with jax.enable_x64(True):
        task = jax.tree.map(jnp.asarray, few_shot())
        shapes = jax.eval_shape(network(literal).init, jax.random.key(0), task)["params"]
    rng = np.random.default_rng(7)
    return jax.tree.map(lambda x: rng.normal(0, 0.5, x.shape), shapes)


def slow(params, task, **options):
    return reference.corrected(
        params, task.records, task.labels, task.support, task.query, task.sees, **options
    )


def changed(task, field, row, seed=1):
    """The task with other numbers in one row of a field."""
    values = getattr(task, field).copy()
    values[row] += np.random.default_rng(seed).normal(size=values[row].shape)
    return task._replace(**{field: values})


def answers_changed(task, field, rows):
    """bool [rows, Q]: does changing a row of a field change the logits of a query at all?"""
    before = apply(params(), task)
    after = [apply(params(), changed(task, field, row)) for row in rows]
    return np.stack([(x != before).any(1) for x in after])


@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize("task", [few_shot, window, scattered])
def test_two_streams_equal_one_sequence_per_query(task, literal):
    expected = slow(params(literal), task(), length=LENGTH, literal=literal)
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(
        apply(params(literal), task(), literal), expected, rtol=1e-10, atol=1e-10
    )


@jax.jit
def objective(params, records, task):
    logits = network().apply({"params": params}, task._replace(records=records))
    labels = task.labels[task.query]
    return -jnp.sum(jnp.where(labels > 0, labels * jax.nn.log_softmax(logits), 0))


@pytest.mark.long
@pytest.mark.parametrize("task", [few_shot, window])
def test_gradients_equal_finite_differences(task):
    with jax.enable_x64(True):
        arguments = jax.tree.map(jnp.asarray, (params(), task().records))
        loss = functools.partial(objective, task=task())
        check_grads(loss, arguments, order=1, modes=["rev"], eps=1e-5)


def gradient(task):
    with jax.enable_x64(True):
        arguments = jax.tree.map(jnp.asarray, (params(), task.records))
        value, pull = jax.vjp(functools.partial(objective, task=task), *arguments)
        return jax.tree.map(np.asarray, pull(jnp.ones_like(value)))


def test_gradient_reaches_every_parameter_and_record():
    of_params, of_records = gradient(few_shot())
    leaves = jax.tree.leaves_with_path(of_params)
    sizes = {jax.tree_util.keystr(path): np.abs(leaf).max() for path, leaf in leaves}
    # A key's bias adds the same to all scores of a query: the softmax cannot see it.
    still = {name for name, size in sizes.items() if size < 1e-6}
    assert still == {f"['attention_{i}']['key']['bias']" for i in range(3)}
    assert (np.abs(of_records) > 1e-6).all()


def test_gradients_with_padding_and_unused_slots_are_finite():
    labels = np.eye(WAY)[SLOTS % 2]
    task = few_shot()._replace(
        support=np.array([-1, -1, -1, 0, 1, 4], np.int32), labels=labels, way=np.int32(2)
    )
    of_params, of_records = gradient(task)
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(of_params))
    assert (of_records != 0).any(1).tolist() == [True, True, False, False, True, False] + [True] * 6


@pytest.mark.parametrize("field", ["records", "labels"])
def test_fault_future_leaks_through_the_mask(field):
    task = few_shot()._replace(sees=np.array([2, 6, 4, 0, 1, 3], np.int32))
    reach = answers_changed(task, field, range(SUPPORT))
    np.testing.assert_array_equal(reach, FIRST[:, None] < task.sees)


def test_fault_queries_see_each_other():
    reach = answers_changed(few_shot(), "records", range(SUPPORT, ROWS))
    np.testing.assert_array_equal(reach, np.eye(SUPPORT, dtype=bool))


def test_fault_label_of_a_query_leaks_in():
    assert not answers_changed(few_shot(), "labels", range(SUPPORT, ROWS)).any()


def test_label_of_a_window_s_own_record_is_read_only_afterwards():
    reach = answers_changed(window(), "labels", range(SUPPORT))
    np.testing.assert_array_equal(reach, FIRST[:, None] < FIRST)
    own = answers_changed(window(), "records", range(SUPPORT))
    np.testing.assert_array_equal(own, FIRST[:, None] <= FIRST)


def test_context_depends_on_what_came_before_alone():
    _, before = everything(params(), few_shot())
    for row in range(SUPPORT):
        _, after = everything(params(), changed(few_shot(), "records", row))
        for block in ("attention_0", "tc_0", "attention_1", "tc_1", "attention_2"):
            old, new = (kept[block]["__call__"][0].context for kept in (before, after))
            np.testing.assert_array_equal((old != new).any(1), row <= FIRST)


def test_context_does_not_depend_on_the_queries():
    _, before = everything(params(), few_shot())
    _, after = everything(params(), changed(few_shot(), "records", slice(SUPPORT, ROWS)))
    old, new = (kept["attention_2"]["__call__"][0].context for kept in (before, after))
    np.testing.assert_array_equal(old, new)


def test_fault_softmax_over_queries_instead_of_keys():
    task = few_shot()._replace(sees=np.array([6, 3, 0, 6, 6, 1], np.int32))
    _, kept = everything(params(), task)
    for block in ("attention_0", "attention_1", "attention_2"):
        (weights,) = kept[block]["attention"]
        assert weights.shape == (SUPPORT, SUPPORT + 1)
        np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-12)
        assert np.abs(weights.sum(0) - 1).max() > 0.1
        visible = np.append(task.sees[:, None] > FIRST, np.ones((SUPPORT, 1), bool), axis=1)
        np.testing.assert_array_equal(weights > 0, visible)


def test_padding_on_the_left_changes_nothing():
    short = few_shot()._replace(
        support=np.array([0, 2, 3], np.int32), sees=np.array([3, 3, 2, 1, 0, 3], np.int32)
    )
    padded = short._replace(
        support=np.array([-1, -1, -1, 0, 2, 3], np.int32), sees=short.sees + np.int32(3)
    )
    np.testing.assert_allclose(
        apply(params(), padded), slow(params(), short, length=LENGTH), rtol=1e-10, atol=1e-10
    )


def test_padding_is_never_read():
    """A padded place indexes row −1, the last: its record is no query here and may be anything."""
    task = few_shot()._replace(
        support=np.array([-1, -1, 0, 1, 2, 3], np.int32),
        query=np.array([6, 7, 8, 9, 10, 4], np.int32),
    )
    assert not answers_changed(task, "records", [5, 11]).any()
    assert not answers_changed(task, "labels", [5, 11]).any()


def test_fewer_shots_equal_an_episode_that_has_no_more():
    task, rows = few_shot(), jnp.arange(ROWS)
    episode = Episode(rows[:3], rows[:6], jnp.asarray(SLOTS[:6]), rows[6:], jnp.asarray(SLOTS[6:]))
    one = jax.tree.map(np.asarray, tasks.few_shot(task.records, episode, WAY, jnp.int32(1)))
    first = task._replace(support=np.array([0, 1, 2], np.int32), sees=np.full(6, 3, np.int32))
    np.testing.assert_allclose(
        apply(params(), one._replace(labels=task.labels)),
        slow(params(), first, length=LENGTH),
        rtol=1e-10,
        atol=1e-10,
    )


def test_unused_slots_get_no_probability():
    logits = apply(params(), few_shot()._replace(way=np.int32(2)))
    np.testing.assert_array_equal(logits[:, 2], -np.inf)
    np.testing.assert_array_equal(logits[:, :2], apply(params(), few_shot())[:, :2])


def test_order_of_the_context_matters():
    turned = few_shot()._replace(support=FIRST[::-1].copy())
    assert np.abs(apply(params(), few_shot()) - apply(params(), turned)).max() > 1e-3


def test_slots_are_not_interchangeable_in_one_network():
    """Why episodes permute them: the network answers by slot."""
    order = np.array([2, 0, 1])
    renamed = apply(params(), few_shot()._replace(labels=few_shot().labels[:, order]))
    assert np.abs(renamed - apply(params(), few_shot())[:, order]).max() > 1e-3


def test_slots_renamed_together_with_the_columns_that_read_them_rename_the_answers():
    order = np.array([2, 0, 1])
    columns = np.concatenate([np.arange(FEATURES), FEATURES + order])

    def renamed(path, x):
        if path[-1].key == "log_scale":
            return x
        layer, kind = path[-2].key, path[-1].key
        if kind == "kernel":
            x = np.concatenate([x[columns], x[len(columns) :]])
        return x[..., order] if layer == "logits" else x

    np.testing.assert_allclose(
        apply(
            jax.tree_util.tree_map_with_path(renamed, params()),
            few_shot()._replace(labels=few_shot().labels[:, order]),
        ),
        apply(params(), few_shot())[:, order],
        rtol=1e-10,
    )


def test_causal_convolution_literal():
    """y_t = 10 x_{t−2} + x_t; a query at position p takes context p − 2."""
    inputs = Streams(
        context=jnp.array([[1.0], [2.0], [3.0], [4.0]]),
        query=jnp.array([[5.0], [6.0], [7.0]]),
        sees=jnp.array([4, 2, 1]),
        real=jnp.ones(4, bool),
    )
    weights = {"now": {"kernel": np.ones((1, 1)), "bias": np.zeros(1)}}
    weights["past"] = {"kernel": np.full((1, 1), 10.0)}
    context, query = jax.jit(CausalConv(1, 2).apply)({"params": weights}, inputs)
    assert context[:, 0].tolist() == [1, 2, 13, 24]
    assert query[:, 0].tolist() == [35, 16, 7]


def test_attention_literal():
    """Scores are divided by √4: ln 3 and 0 against two keys give 3/4 and 1/4."""
    inputs = Streams(
        context=jnp.array([[1.0, 0.0]]),
        query=jnp.array([[0.0, 1.0]]),
        sees=jnp.array([1]),
        real=jnp.ones(1, bool),
    )
    query, key = np.zeros((2, 2, 4))
    query[1, 0], key[0, 0] = 1, 2 * np.log(3)
    weights = {
        "query": {"kernel": query, "bias": np.zeros(4)},
        "key": {"kernel": key, "bias": np.zeros(4)},
        "value": {"kernel": np.array([[8.0], [4.0]]), "bias": np.zeros(1)},
    }
    out = jax.jit(AttentionBlock(4, 1).apply)({"params": weights}, inputs)
    np.testing.assert_allclose(out.query, [[0, 1, 7]], rtol=1e-6)
    np.testing.assert_allclose(out.context, [[1, 0, 8]], rtol=1e-6)


@pytest.mark.parametrize("literal", [False, True])
def test_offsets_that_temporal_convolutions_reach(literal):
    """1, 2, 4 … reach every offset before the query; the paper's 2, 4, 8 … the even ones only."""
    rng = np.random.default_rng(0)
    block = TCBlock(LENGTH, 2, literal)
    inputs = Streams(
        context=rng.normal(size=(SUPPORT, 3)).astype(np.float32),
        query=rng.normal(size=(1, 3)).astype(np.float32),
        sees=np.array([SUPPORT]),
        real=np.ones(SUPPORT, bool),
    )
    shapes = jax.eval_shape(block.init, jax.random.key(0), inputs)
    weights = jax.tree.map(lambda x: rng.normal(0, 0.5, x.shape).astype(np.float32), shapes)
    run = jax.jit(block.apply)
    before = run(weights, inputs).query
    reach = [
        (np.asarray(run(weights, changed(inputs, "context", row)).query) != before).any()
        for row in range(SUPPORT)
    ]
    assert reach == ([True, False] * 3 if literal else [True] * 6)


@pytest.mark.parametrize(
    ("length", "blocks"), [(2, 1), (3, 2), (4, 2), (5, 3), (8, 3), (9, 4), (26, 5)]
)
def test_number_of_dense_blocks_is_the_rounded_up_logarithm(length, blocks):
    inputs = Streams(jnp.zeros((1, 2)), jnp.zeros((1, 2)), jnp.array([1]), jnp.ones(1, bool))
    shapes = jax.eval_shape(TCBlock(length, 2).init, jax.random.key(0), inputs)
    assert len(shapes["params"]) == blocks


def test_stack_has_the_paper_s_sizes():
    """5-way 5-shot on embeddings of 64: T = 26, five dense blocks of 128 in either TC block."""
    rows = jnp.arange(25)
    task = Task(jnp.zeros((50, 64)), jnp.zeros((50, 5)), rows, rows, rows, jnp.int32(5))
    shapes = jax.eval_shape(Snail(way=5, length=26).init, jax.random.key(0), task)["params"]
    assert shapes["attention_0"]["key"]["kernel"].shape == (69, 64)
    assert shapes["attention_0"]["value"]["kernel"].shape == (69, 32)
    assert shapes["tc_0"]["dense_0"]["conv"]["now"]["kernel"].shape == (101, 256)
    assert shapes["tc_0"]["dense_4"]["conv"]["past"]["kernel"].shape == (101 + 4 * 128, 256)
    assert shapes["attention_1"]["query"]["kernel"].shape == (101 + 640, 256)
    assert shapes["tc_1"]["dense_0"]["conv"]["now"]["kernel"].shape == (741 + 128, 256)
    assert shapes["attention_2"]["value"]["kernel"].shape == (869 + 640, 256)
    assert shapes["logits"]["kernel"].shape == (1509 + 256, 5)


@pytest.mark.parametrize(
    "task", [pytest.param(few_shot, marks=pytest.mark.long), window, scattered]
)
def test_without_a_closed_form_it_is_the_network_of_the_paper_alone(task):
    plain = Snail(way=WAY, length=LENGTH, closed_form="none", **TINY)
    kept = {name: value for name, value in params().items() if name != "log_scale"}
    with jax.enable_x64(True):
        logits = jax.jit(plain.apply)({"params": kept}, task())
        created = plain.init(jax.random.key(0), task())["params"]
    expected = reference.snail(kept, *task()[:5], length=LENGTH)
    np.testing.assert_allclose(logits, expected, rtol=1e-10, atol=1e-10)
    assert set(created) == set(kept)
    assert np.abs(created["logits"]["kernel"]).min() > 0  # it starts from random numbers


@pytest.mark.slow
def test_training_starts_from_the_nearest_prototype():
    """Unit vectors e_0, e_1 of two classes; a query between them, and one at e_1."""
    task = Task(
        records=np.array([[1, 0], [0, 2], [3, 3], [0, 1]], np.float32),
        labels=np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]], np.float32),
        support=np.array([0, 1], np.int32),
        query=np.array([2, 3], np.int32),
        sees=np.array([2, 2], np.int32),
        way=np.int32(2),
    )
    network = Snail(way=3, length=3, **TINY)
    variables = network.init(jax.random.key(0), task)
    logits = network.apply(variables, task)
    expected = [[-10 * (2 - np.sqrt(2)), -10 * (2 - np.sqrt(2)), -np.inf], [-20, 0, -np.inf]]
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_training_starts_from_a_ridge_regression_of_what_each_query_sees():
    rng = np.random.default_rng(0)
    records = rng.normal(size=(9, 6)).astype(np.float32)
    support, sees = np.array([-1, 4, 0, 7, 2, 5], np.int32), np.array([6, 1, 4, 0], np.int32)
    labels = np.eye(3, dtype=np.float32)[rng.integers(0, 2, 9)]
    query = np.array([1, 3, 6, 8], np.int32)
    task = Task(records, labels, support, query, sees, np.int32(2))
    network = Snail(way=3, length=7, closed_form="ridge", **TINY)
    logits = network.apply(network.init(jax.random.key(0), task), task)
    units = records / np.linalg.norm(records, axis=1, keepdims=True)
    for row, (asked, count) in enumerate(zip(query, sees)):
        seen = support[1:count]
        x, y = units[seen], labels[seen]
        share = y.mean(0) if len(seen) else np.zeros(3)
        middle = x.mean(0) if len(seen) else 0
        x, y = x - middle, y - share
        penalty = 2 * max((x**2).sum() / max(len(seen), 1), 1e-12) * np.eye(6)
        weights = np.linalg.solve(x.T @ x + penalty, x.T @ y)
        expected = 10 * ((units[asked] - middle) @ weights + share)
        np.testing.assert_allclose(logits[row, :2], expected[:2], atol=1e-4)
        assert logits[row, 2] == -np.inf


def test_another_closed_form_is_refused():
    with pytest.raises(MetaecgError, match="closed_form must be one of prototypes, ridge, none"):
        Snail(way=WAY, length=LENGTH, closed_form="median").init(jax.random.key(0), few_shot())


def test_wrong_sizes_are_refused_with_the_numbers():
    with pytest.raises(ValueError, match=r"3 columns, the network 4 slots"):
        Snail(way=4, length=LENGTH, **TINY).init(jax.random.key(0), few_shot())
    with pytest.raises(ValueError, match=r"6 support records .* length 6: .* length ≥ 7"):
        Snail(way=WAY, length=6, **TINY).init(jax.random.key(0), few_shot())


def test_normalising_is_the_paper_network_on_embeddings_of_mean_0_and_variance_1():
    task = few_shot()
    options = {**TINY, "closed_form": "none"}
    plain = Snail(way=WAY, length=LENGTH, **options)
    normalised = Snail(way=WAY, length=LENGTH, **{**options, "normalise": True})
    centred = task.records - task.records.mean(-1, keepdims=True)
    scaled = task._replace(records=centred / centred.std(-1, keepdims=True))
    with jax.enable_x64(True):
        logits = jax.jit(normalised.apply)({"params": params()}, task)
        expected = jax.jit(plain.apply)({"params": params()}, scaled)
    np.testing.assert_allclose(logits, expected, atol=1e-4)
