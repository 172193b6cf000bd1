"""The in-context transformer: what its tokens may see, and where its training starts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaecg import learners
from metaecg.episodes import tasks
from metaecg.learners.transformer import InContext
from metaecg.networks import Identity, Transformer

SMALL = {"width": 8, "layers": 2, "heads": 2}
WAY, S, Q, D = 3, 6, 4, 5


def example(seed=0):
    rng = np.random.default_rng(seed)
    records = rng.normal(0, 1, (S + Q, D)).astype(np.float32)
    labels = np.eye(WAY, dtype=np.float32)[rng.integers(0, WAY, S + Q)]
    order = np.arange(S + Q, dtype=np.int32)
    return tasks.Task(
        *map(jnp.asarray, (records, labels, order[:S], order[S:], np.full(Q, S), np.int32(WAY)))
    )


def built(**options):
    """A network with parameters off their start, and its jitted function of a task."""
    network = Transformer(**SMALL, **options)
    shapes = jax.eval_shape(network.init, jax.random.key(0), example())["params"]
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda x: rng.normal(0, 0.5, x.shape).astype(np.float32), shapes)
    return params, jax.jit(lambda task: network.apply({"params": params}, task))


@pytest.fixture(scope="module")
def free():
    return built()


@pytest.fixture(scope="module")
def ordered():
    return built(order_free=False, length=S + Q + 1)


def dense(params, x):
    return x @ params["kernel"] + params["bias"]


def norm(params, x):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x * params["scale"] + params["bias"]


def slow(params, task, query):
    """One sequence for one query, a token and a head at a time; every record sees all context."""
    x = [dense(params["records"], np.asarray(r)) for r in task.records[:S]]
    x = [a + dense(params["labels"], np.asarray(y)) for a, y in zip(x, task.labels[:S])]
    x.append(dense(params["records"], np.asarray(task.records[query])) + params["unlabelled"][0])
    for layer in range(SMALL["layers"]):
        attention = params[f"attention_{layer}"]
        normed = [norm(params[f"norm_attention_{layer}"], a) for a in x]
        q, k, v = ([dense(attention[n], a) for a in normed] for n in ("query", "key", "value"))
        after = []
        for t, token in enumerate(x):
            heads = []
            for head in (slice(0, 4), slice(4, 8)):
                seen = [*range(S), S] if t == S else range(S)
                scores = np.array([q[t][head] @ k[s][head] / 2 for s in seen])
                weights = np.exp(scores) / np.exp(scores).sum()
                heads.append(sum(w * v[s][head] for w, s in zip(weights, seen)))
            after.append(token + dense(attention["out"], np.concatenate(heads)))
        for t, token in enumerate(after):
            hidden = dense(params[f"mlp_in_{layer}"], norm(params[f"norm_mlp_{layer}"], token))
            hidden = np.asarray(jax.nn.gelu(hidden))
            x[t] = token + dense(params[f"mlp_out_{layer}"], hidden)
    return [norm(params["norm"], a) for a in x]


def test_two_streams_equal_one_sequence_for_each_query(free):
    params, apply = free
    task = example()
    streams = apply(task)
    for r in range(Q):
        expected = slow(params, task, S + r)
        np.testing.assert_allclose(streams.query[r], expected[-1], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(streams.context, expected[:-1], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["free", "ordered"])
def test_fault_in_groups_no_record_sees_itself_labelled_nor_what_comes_after(name, request):
    _, apply = request.getfixturevalue(name)
    task = tasks.group(example().records, example().labels)
    before = apply(task)
    for t in (0, 3, S + Q - 1):
        labels = task.labels.at[t].set(jnp.roll(task.labels[t], 1))
        after = apply(task._replace(labels=labels)).query
        np.testing.assert_allclose(after[: t + 1], before.query[: t + 1], atol=1e-6)
        assert t == S + Q - 1 or np.abs(after[t + 1 :] - before.query[t + 1 :]).max() > 1e-4


@pytest.mark.parametrize("name", ["free", "ordered"])
def test_padding_on_the_left_changes_nothing(name, request):
    _, apply = request.getfixturevalue(name)
    task = example()
    padded = task._replace(
        support=jnp.concatenate([jnp.full(2, -1, jnp.int32), task.support]),
        sees=jnp.full(Q, S + 2),
    )
    plain, other = apply(task), apply(padded)
    np.testing.assert_allclose(other.query, plain.query, atol=1e-5)
    np.testing.assert_allclose(other.context[2:], plain.context, atol=1e-5)
    assert np.isfinite(other.context).all()


def test_order_matters_only_where_it_is_meant_to(free, ordered):
    task = example()
    turned = task._replace(support=task.support[jnp.array([3, 1, 5, 0, 2, 4])])
    for (_, apply), free_of_order in ((free, True), (ordered, False)):
        gap = np.abs(apply(turned).query - apply(task).query).max()
        assert (gap < 1e-5) == free_of_order


def test_training_starts_from_the_nearest_centroid_by_angle():
    task = example()
    head = InContext(WAY, SMALL)
    params = jax.jit(head.init)(jax.random.key(0), task)["params"]
    answer = jax.jit(lambda p: head.apply({"params": p}, task))
    records = np.asarray(task.records)
    normed = (records - records.mean(1, keepdims=True)) / records.std(1, keepdims=True)
    expected = learners.Prototypes(cosine=True).apply({}, task._replace(records=normed))
    np.testing.assert_allclose(answer(params), expected, rtol=1e-3)
    gradient = jax.jit(jax.grad(lambda p: answer(p).std()))(params)
    assert np.any(gradient["adapt"]["kernel"])


def test_gradients_are_finite_where_slots_are_not_in_use():
    learner = learners.transformer(Identity(), way=WAY, **SMALL)
    few = example()._replace(way=jnp.int32(2), labels=jnp.eye(3)[jnp.arange(S + Q) % 2])
    batch = jax.tree.map(lambda x: x[None], few)
    variables = jax.jit(learner.init)(jax.random.key(0), batch)
    loss = jax.jit(jax.grad(lambda p: learner.loss(p, {}, batch, jax.random.key(0))[0]))
    gradient = loss(variables.params)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradient))


def test_what_does_not_fit_is_refused():
    task = example()
    for options, message in (
        ({"width": 9, "heads": 2}, "9 does not divide by 2 heads"),
        ({"order_free": False, "length": S}, f"length ≥ {S + 1}"),
    ):
        with pytest.raises(ValueError, match=message):
            jax.eval_shape(Transformer(**options).init, jax.random.key(0), task)
    with pytest.raises(ValueError, match="'prototypes' or 'slots', not 'mean'"):
        learners.transformer(Identity(), way=3, readout="mean")
    with pytest.raises(ValueError, match="3 columns, the network 4 slots"):
        jax.eval_shape(InContext(4, SMALL).init, jax.random.key(0), task)
