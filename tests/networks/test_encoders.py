"""Encoders: the source's figure 3 by its numbers, and against slow NumPy."""

import functools
import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaecg.data.synthetic import generator
from metaecg.errors import MetaecgError
from metaecg.networks import (
    ENCODERS,
    Convolutional,
    Frames,
    Residual,
    Whitened,
    Wide,
    encoder,
    layers,
)
from metaecg.networks.beat_network import BeatNetwork
from metaecg.signals import beats

RECORDS, SAMPLES, LEADS = 3, 37, 2
TINY = {
    "small": {"filters": (8, 8, 8), "kernels": (3, 3, 3), "features": 5, "dropout": 0.5},
    "residual": {"filters": (8, 8), "features": 5, "dropout": 0.5},
    "deep": {"filters": (8, 8, 8), "features": 5, "dropout": 0.5},
    "wide": {"filters": 6, "features": 5, "dropout": 0.5},
    "lstm": {"frame": 5, "hidden": 4, "features": 5},
    "rnn": {"frame": 5, "hidden": 4, "features": 5},
}
HAS_NORM = ("small", "residual", "deep")


def records(seed=0):
    return np.random.default_rng(seed).normal(size=(RECORDS, SAMPLES, LEADS)).astype(np.float32)


@functools.cache
def built(name, **options):
    """(module, variables far from their initial values, inference, training with gradients)."""
    module = encoder(name, **TINY[name], **options)
    shapes = jax.eval_shape(module.init, jax.random.key(0), records())
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda x: rng.normal(0, 0.5, x.shape).astype(np.float32), shapes)
    for norm in variables.get("batch_stats", {}).values():
        norm["var"] = 0.5 + norm["var"] ** 2

    def train(params, state, x, key):
        y, state = module.apply(
            {"params": params, **state},
            x,
            train=True,
            mutable=list(state),
            rngs={"dropout": key},
        )
        return jnp.sum(y**2), (y, state)

    return variables, jax.jit(module.apply), jax.jit(jax.value_and_grad(train, has_aux=True))


def train(name, x, key=0, **options):
    """Training mode: (embeddings, new state, gradient)."""
    variables, _, run = built(name, **options)
    state = {k: v for k, v in variables.items() if k != "params"}
    (_, (y, state)), gradient = run(variables["params"], state, x, jax.random.key(key))
    return y, state, gradient


@pytest.mark.parametrize("name", TINY)
def test_a_record_s_embedding_does_not_depend_on_the_others(name):
    variables, apply, _ = built(name)
    x, other = records(), records(1)
    other[1] = x[1]
    np.testing.assert_array_equal(apply(variables, x)[1], apply(variables, other)[1])
    assert apply(variables, x).shape == (RECORDS, 5)
    assert (np.asarray(apply(variables, x)[0]) != np.asarray(apply(variables, other)[0])).any()


@pytest.mark.parametrize("name", TINY)
def test_training_gives_every_parameter_a_finite_gradient(name):
    y, _, gradient = train(name, records())
    assert np.isfinite(y).all()
    for path, leaf in jax.tree.leaves_with_path(gradient):
        assert np.isfinite(leaf).all(), path
        assert np.any(leaf), path


@pytest.mark.parametrize("name", HAS_NORM)
def test_batch_norm_tracks_the_batch_in_training_and_not_in_inference(name):
    variables, _, _ = built(name)
    _, state, _ = train(name, records())
    for old, new in zip(jax.tree.leaves(variables["batch_stats"]), jax.tree.leaves(state)):
        assert np.all(np.asarray(old) != np.asarray(new))


def test_batch_norm_s_average_moves_by_a_tenth():
    variables, _, _ = built("small")
    _, state, _ = train("small", records())
    kernel = np.asarray(variables["params"]["Conv_0"]["kernel"])
    first = same_conv(records(), kernel, stride=2)
    old = variables["batch_stats"]["BatchNorm_0"]["mean"]
    np.testing.assert_allclose(
        state["batch_stats"]["BatchNorm_0"]["mean"],
        0.9 * old + 0.1 * first.mean((0, 1)),
        rtol=1e-5,
    )


@pytest.mark.parametrize("name", HAS_NORM)
def test_group_norm_keeps_no_state(name):
    variables, apply, _ = built(name, norm="group")
    assert set(variables) == {"params"}
    assert np.isfinite(apply(variables, records())).all()


@pytest.mark.parametrize("name", ["small", "residual", "wide"])
def test_dropout_is_drawn_from_the_key(name):
    first, again, other = (train(name, records(), key)[0] for key in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (np.asarray(first) != np.asarray(other)).any()


def test_fault_dropout_taken_as_the_share_to_keep():
    """dropout = 0.1 loses a tenth of the activations and scales the others by 1/0.9."""
    module = Wide(filters=400, features=1, dropout=0.1)
    x = np.random.default_rng(0).normal(size=(50, 6, 1)).astype(np.float32)
    variables = jax.jit(module.init)(jax.random.key(0), x)
    _, kept = jax.jit(
        lambda v: module.apply(
            v,
            x,
            train=True,
            rngs={"dropout": jax.random.key(1)},
            mutable=["intermediates"],
            capture_intermediates=lambda m, _: isinstance(m, nn.Dropout | nn.Dense),
        )
    )(variables)
    before = np.maximum(kept["intermediates"]["Dense_0"]["__call__"][0][:, 0], 0)
    after = np.asarray(kept["intermediates"]["Dropout_0"]["__call__"][0])
    lost = (after == 0) & (before > 0)
    assert lost.sum() / (before > 0).sum() == pytest.approx(0.1, abs=0.02)
    np.testing.assert_allclose(after[~lost], before[~lost] / 0.9, rtol=1e-5)


def same_conv(x, kernel, stride=1):
    """Convolution [N, T, C] with [K, C, F], padded with zeros to ⌈T / stride⌉ steps."""
    taps, steps = len(kernel), -(-x.shape[1] // stride)
    missing = max(0, (steps - 1) * stride + taps - x.shape[1])
    x = np.pad(x, ((0, 0), (missing // 2, missing - missing // 2), (0, 0)))
    at = [x[:, t * stride : t * stride + taps] for t in range(steps)]
    return np.stack([np.einsum("nkc,kcf->nf", window, kernel) for window in at], axis=1)


def norm(x, params, stats):
    scaled = (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-5)
    return scaled * params["scale"] + params["bias"]


def max_pool_2(x):
    return np.stack([x[:, t : t + 2].max(1) for t in range(0, x.shape[1] - 1, 2)], axis=1)


def average_pool_6(x):
    return np.stack([x[:, t : t + 6].mean(1) for t in range(0, x.shape[1] - 5, 6)], axis=1)


def dense(x, params):
    return x @ params["kernel"] + params["bias"]


def test_small_equals_numpy():
    variables, apply, _ = built("small")
    params, stats = variables["params"], variables["batch_stats"]
    x = records().astype(float)
    for layer in range(3):
        x = same_conv(x, params[f"Conv_{layer}"]["kernel"], stride=1 if layer else 2)
        x = np.maximum(norm(x, params[f"BatchNorm_{layer}"], stats[f"BatchNorm_{layer}"]), 0)
        x = max_pool_2(x) if layer < 2 else x
    expected = dense(np.concatenate([x.mean(1), x.max(1)], axis=1), params["Dense_0"])
    np.testing.assert_allclose(apply(variables, records()), expected, rtol=1e-4, atol=1e-4)


def test_residual_equals_figure_3_in_numpy():
    """{3-conv, BatchNorm, ReLU, + shortcut, 2-maxpool} twice, 6-average-pool, ReLU, dense."""
    variables, apply, _ = built("residual")
    params, stats = variables["params"], variables["batch_stats"]
    x = records().astype(float)
    for block in range(2):
        shortcut = x @ params[f"Dense_{block}"]["kernel"]
        x = same_conv(x, params[f"Conv_{block}"]["kernel"])
        x = np.maximum(norm(x, params[f"BatchNorm_{block}"], stats[f"BatchNorm_{block}"]), 0)
        x = max_pool_2(x + shortcut)
    pooled = np.maximum(average_pool_6(x), 0)
    expected = dense(pooled, params["_Tail_0"]["Dense_0"]).mean(1)
    np.testing.assert_allclose(apply(variables, records()), expected, rtol=1e-4, atol=1e-4)


def test_wide_equals_a_1x1_convolution_before_the_pool_in_numpy():
    variables, apply, _ = built("wide")
    params = variables["params"]
    x = np.maximum(average_pool_6(dense(records().astype(float), params["Dense_0"])), 0)
    expected = dense(x.mean(1), params["Dense_1"])
    np.testing.assert_allclose(apply(variables, records()), expected, rtol=1e-4, atol=1e-4)


def test_recurrence_in_numpy():
    """h ← tanh(W x + U h) over frames of five samples; what is left of the last frame is cut."""
    variables, apply, _ = built("rnn")
    params = variables["params"]
    cell = params["SimpleCell_0"]
    h, states = np.zeros((RECORDS, 4)), []
    for start in range(0, SAMPLES - 4, 5):
        frame = records()[:, start : start + 5].reshape(RECORDS, -1)
        h = np.tanh(dense(frame, cell["i"]) + h @ cell["h"]["kernel"])
        states.append(h)
    assert len(states) == 7
    x = np.concatenate([np.mean(states, axis=0), np.max(states, axis=0)], axis=1)
    expected = dense(x, params["Dense_0"])
    np.testing.assert_allclose(apply(variables, records()), expected, rtol=1e-4, atol=1e-4)


def test_max_pool_literal_and_gradient():
    x = jnp.array([3.0, 1.0, 2.0, 5.0, 9.0])[None, :, None]
    assert layers.max_pool_2(x)[0, :, 0].tolist() == [3, 5]
    gradient = jax.grad(lambda x: jnp.sum(layers.max_pool_2(x)))(x)
    assert gradient[0, :, 0].tolist() == [1, 0, 0, 1, 0]


def shapes(module, samples=1000, leads=12):
    variables = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, samples, leads)))
    return jax.tree.map(jnp.shape, variables["params"])


def test_residual_has_the_source_s_sizes():
    params = shapes(Residual())
    convolutions = [params[f"Conv_{i}"]["kernel"] for i in range(4)]
    assert convolutions == [(3, 12, 64), (3, 64, 96), (3, 96, 128), (3, 128, 256)]
    assert params["_Tail_0"]["Dense_0"]["kernel"] == (256, 384)


def test_wide_has_the_source_s_sizes():
    params = shapes(Wide())
    assert params["Dense_0"]["kernel"] == (12, 2048)
    assert params["Dense_1"]["kernel"] == (2048, 384)


@pytest.mark.parametrize("name", ENCODERS)
def test_parameters_do_not_depend_on_the_recording_s_length(name):
    """10 s at 100 Hz with twelve leads, and 30 s at 200 Hz."""
    assert shapes(encoder(name)) == shapes(encoder(name), samples=6000)
    out = jax.eval_shape(
        lambda x: encoder(name).init_with_output(jax.random.key(0), x)[0], jnp.zeros((2, 6000, 1))
    )
    assert out.shape[0] == 2
    assert out.ndim == 2


def test_unknown_names_and_options_are_refused():
    with pytest.raises(MetaecgError, match=r"'resnet'; there are small, .*residual.*rnn"):
        encoder("resnet")
    with pytest.raises(MetaecgError, match=r"'small': .*'depth'"):
        encoder("small", depth=3)
    with pytest.raises(MetaecgError, match=r"'xla' or 'matmul', not 'fft'"):
        jax.eval_shape(Convolutional(conv="fft").init, jax.random.key(0), jnp.zeros((1, 64, 1)))
    with pytest.raises(MetaecgError, match=r"'batch' or 'group', not 'layer'"):
        jax.eval_shape(Convolutional(norm="layer").init, jax.random.key(0), jnp.zeros((1, 64, 1)))


@pytest.mark.parametrize(
    ("module", "least"), [(Convolutional(), 15), (Residual(), 16), (Frames(frame=10), 10)]
)
def test_recordings_too_short_to_embed_are_refused_with_the_numbers(module, least):
    def embed(samples):
        x = jnp.zeros((1, samples, 1))
        return jax.eval_shape(module.init_with_output, jax.random.key(0), x)[0]

    assert embed(least).shape == (1, module.features)
    with pytest.raises(MetaecgError, match=f"{least - 1} samples .* needs {least}"):
        embed(least - 1)


@pytest.mark.parametrize(
    ("kernel", "stride", "samples"), [(7, 2, 13), (7, 2, 12), (3, 1, 12), (4, 2, 12), (3, 3, 11)]
)
def test_convolution_by_matrix_product_equals_numpy(kernel, stride, samples):
    rng = np.random.default_rng(0)
    x, weights = rng.normal(size=(2, samples, 3)), rng.normal(size=(kernel, 3, 4))
    convolve = jax.jit(layers.conv_by_matmul, static_argnums=(2, 3))
    np.testing.assert_allclose(
        convolve(jnp.float32(x), jnp.float32(weights), (stride,), "SAME"),
        same_conv(x, weights, stride),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("name", HAS_NORM)
def test_both_convolutions_give_the_same_embeddings_from_the_same_parameters(name):
    variables, apply, _ = built(name)
    by_matmul = jax.jit(encoder(name, **TINY[name], conv="matmul").apply)
    np.testing.assert_allclose(
        by_matmul(variables, records()), apply(variables, records()), rtol=1e-4, atol=1e-4
    )


@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize("name", ["small", "residual"])
def test_gradients_within_a_loop_over_tasks_equal_those_outside(name):
    """XLA's fusions compute activations anew: a maximum must not lose its gradient by that."""
    options = TINY[name] | {"dropout": 0.0, "norm": "group", "conv": "matmul"}
    module = encoder(name, **options)
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(module.init, jax.random.key(0), records())
    params = jax.tree.map(lambda x: rng.normal(0, 0.3, x.shape), shapes)

    def step(params, x):
        def loss(params):
            return -jnp.mean(jax.nn.log_softmax(nn.relu(module.apply(params, x)))[:, 0])

        return jax.tree.map(lambda p, g: p - 0.5 * g, params, jax.grad(loss)(params))

    def loop(params, x):
        return jax.lax.scan(lambda p, _: (step(p, x), None), params, None, length=2)[0]

    with jax.enable_x64(True):
        x = rng.normal(size=(1, 6, 24, 2))
        within = jax.jit(jax.vmap(loop, (None, 0)))(params, x)
        outside = jax.jit(step)(params, x[0])
        outside = jax.jit(step)(outside, x[0])
        for a, b in zip(jax.tree.leaves(within), jax.tree.leaves(outside), strict=True):
            np.testing.assert_allclose(a[0], b, rtol=1e-9, atol=1e-9)


def test_whitening_has_32_bits_where_numbers_have_64():
    with jax.enable_x64(True):
        whitened = Whitened(Convolutional((8,), (3,), 5))
        made = jax.eval_shape(whitened.init, jax.random.key(0), records())
    assert {leaf.dtype for leaf in jax.tree.leaves(made)} == {jnp.dtype("float32")}


def test_whitening_leaves_the_encoder_as_it_was_until_it_is_set():
    plain, whitened = Convolutional((8,), (3,), 5), Whitened(Convolutional((8,), (3,), 5))
    key = jax.random.key(0)
    before, variables = plain.init(key, records()), whitened.init(key, records())
    assert jax.tree.all(
        jax.tree.map(jnp.array_equal, before, {k: v for k, v in variables.items() if k in before})
    )
    embeddings = np.asarray(plain.apply(before, records()))
    np.testing.assert_array_equal(whitened.apply(variables, records()), embeddings)
    mean, matrix = np.arange(5.0, dtype=np.float32), np.diag([2.0, 1, 1, 1, 0]).astype(np.float32)
    told = {**variables, "whitening": {"mean": mean, "matrix": matrix}}
    np.testing.assert_allclose(
        whitened.apply(told, records()), (embeddings - mean) @ matrix, rtol=1e-5, atol=1e-6
    )


@functools.cache
def beat_encoder():
    module = encoder("beat", filters=(8, 8, 8), features=5)
    signals = generator.library(patients=4, seconds=6.0).millivolts(slice(4))[:, :, :3]
    variables = jax.jit(module.init)(jax.random.key(0), signals[:1])

    def loss(params, x, key):
        variables_ = {**variables, "params": params}
        rngs = {"dropout": key}
        y, state = module.apply(variables_, x, train=True, mutable=["batch_stats"], rngs=rngs)
        return jnp.sum(y**2), (y, state)

    return module, variables, signals, jax.jit(jax.value_and_grad(loss, has_aux=True))


def inner_in_numpy(module, variables, x, layers_read, pool):
    """What the named normalisations give, rectified and pooled, of an application of its own."""
    seen = module.apply(variables, x, capture_intermediates=True, mutable=["intermediates"])[1]
    found = [np.asarray(seen["intermediates"][name]["__call__"][0]) for name in layers_read]
    return np.concatenate([pool(np.maximum(y, 0)) for y in found], axis=1)


def mean_and_most(y):
    return np.concatenate([y.mean(1), y.max(1)], axis=1)


@pytest.mark.parametrize(
    ("name", "layers_read"),
    [("small", ["BatchNorm_1", "BatchNorm_2"]), ("deep", ["BatchNorm_2", "BatchNorm_4"])],
)
def test_what_the_blocks_see_is_pooled_in_place_of_the_embedding(name, layers_read):
    module, variables = encoder(name, **TINY[name]), built(name)[0]
    expected = inner_in_numpy(module, variables, records(), layers_read, mean_and_most)
    found = module.apply(variables, records(), inner=True)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_what_the_blocks_see_of_a_beat_is_pooled_by_quarters():
    module = BeatNetwork(filters=(8, 8, 16), features=4)
    x = np.random.default_rng(1).normal(size=(3, 90, 2)).astype(np.float32)
    variables = module.init(jax.random.key(2), x)
    expected = inner_in_numpy(
        module,
        variables,
        x,
        ["BatchNorm_2", "BatchNorm_4"],
        lambda y: np.concatenate([part.mean(1) for part in _quarters(y)], axis=1),
    )
    found = module.apply(variables, x, inner=True)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def _quarters(y):
    ends = [0, y.shape[1] // 4, y.shape[1] // 2, 3 * y.shape[1] // 4, y.shape[1]]
    return [y[:, a:b] for a, b in itertools.pairwise(ends)]


@pytest.mark.usefixtures("one_device")
def test_the_beat_encoder_reads_the_median_beat_alone():
    module, variables, signals, _ = beat_encoder()
    found = jax.jit(beats.find_beats)(signals).median
    network = BeatNetwork((8, 8, 8), 5)
    want = np.asarray(jax.jit(network.apply)(variables, found))
    assert want.shape == (4, 5)
    assert np.unique(want.round(4), axis=0).shape == (4, 5)
    np.testing.assert_allclose(
        jax.jit(module.apply)(variables, signals), want, rtol=1e-3, atol=1e-3
    )


@pytest.mark.usefixtures("one_device")
def test_the_beat_encoder_learns_and_varies_beats_by_the_key():
    _, variables, signals, train = beat_encoder()
    runs = [train(variables["params"], signals, jax.random.key(n)) for n in (0, 0, 1)]
    (_, (first, state)), gradient = runs[0]
    np.testing.assert_array_equal(first, runs[1][0][1][0])
    assert (np.asarray(first) != np.asarray(runs[2][0][1][0])).any()
    assert jax.tree.all(jax.tree.map(lambda g: np.isfinite(g).all() and np.any(g), gradient))
    moved = jax.tree.map(
        lambda a, b: np.any(a != b), state["batch_stats"], variables["batch_stats"]
    )
    assert jax.tree.all(moved)


def test_recordings_without_beats_to_find_are_refused_with_the_numbers():
    with pytest.raises(MetaecgError, match=r"400 samples at 100 Hz.* 5 s or more"):
        jax.eval_shape(encoder("beat").init, jax.random.key(0), jnp.zeros((1, 400, 1)))
    with pytest.raises(MetaecgError, match="at 40 Hz"):
        jax.eval_shape(encoder("beat", hz=40).init, jax.random.key(0), jnp.zeros((1, 400, 1)))
