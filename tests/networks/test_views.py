"""Views joined: any leads, rate and length; and what an encoder must do, they do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from metaecg import networks
from metaecg.data.synthetic import generator
from metaecg.errors import MetaecgError
from metaecg.learners import whitening
from metaecg.networks import rhythm
from metaecg.networks.views import VIEWS, views
from metaecg.networks.waves import waves
from metaecg.signals.beats import Beats, Peaks, find_beats

pytestmark = pytest.mark.usefixtures("one_device")

UNTRAINED = "kernels+differences+beat+beat_kernels+spread_kernels+rhythm+waves"


@pytest.fixture(scope="module")
def library():
    return generator.library(patients=12, seconds=6.0)


def fit(module, signals, labels, **options):
    variables = jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, *signals.shape[1:])))
    return variables, whitening.fit(module, variables, signals, labels, scale=0.001, **options)


def test_what_is_fitted_is_float32_whatever_jax_takes_by_default():
    module = views(UNTRAINED, hz=100)
    with jax.enable_x64(True):
        shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 500, 2), jnp.float32))
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("leads", "hz", "seconds"),
    [
        pytest.param(1, 50, 5, marks=pytest.mark.long),
        pytest.param(2, 250, 6, marks=pytest.mark.long),
        pytest.param(3, 100, 7, marks=pytest.mark.long),
        pytest.param(8, 128, 5, marks=pytest.mark.long),
        (12, 100, 5),
    ],
)
def test_any_leads_rate_and_length(leads, hz, seconds):
    library = generator.library(patients=6, hz=hz, seconds=seconds)
    signals = library.signals[:8, :, :leads]
    module = views(UNTRAINED, hz=hz, directions=4, dilations=2)
    _, variables = fit(module, signals, library.labels[:8])
    embed = jax.jit(module.apply)
    found = np.asarray(embed(variables, signals.astype(np.float32) / 1000))
    assert np.isfinite(found).all()
    lengths = [VIEWS[name].weight for name in module.names]
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), np.linalg.norm(lengths), rtol=1e-3)
    for odd in (np.zeros((1, *signals.shape[1:])), np.full((1, *signals.shape[1:]), 7.0)):
        assert np.isfinite(embed(variables, odd.astype(np.float32))).all()


def test_fitted_views_are_deterministic_alone_or_among_others_and_exported(library):
    module = views("kernels+beat+rhythm", hz=100, directions=8, dilations=2)
    before, variables = fit(module, library.signals, library.labels)
    records = jnp.asarray(library.millivolts(slice(6)))
    embed = jax.jit(module.apply)
    want = np.asarray(embed(variables, records))
    one = np.concatenate([embed(variables, r[None]) for r in records])
    np.testing.assert_allclose(one, want, atol=2e-3)
    # Nothing is a parameter, so that no optimiser moves it; and training mode changes nothing.
    assert {*variables} == {*before} == {"fitted"}
    train = jax.jit(lambda v, x: module.apply(v, x, train=True, mutable=["fitted"]))
    trained, state = train(variables, records)
    np.testing.assert_allclose(trained, want, atol=2e-3)
    jax.tree.map(np.testing.assert_array_equal, state["fitted"], variables["fitted"])

    (count,) = export.symbolic_shape("r")
    shape = jax.ShapeDtypeStruct((count, *records.shape[1:]), jnp.float32)
    exported = export.export(jax.jit(module.apply), platforms=("cpu", "cuda", "tpu"))(
        jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), variables), shape
    )
    again = export.deserialize(bytearray(exported.serialize()))
    np.testing.assert_allclose(again.call(variables, records), want, atol=2e-3)


def test_a_trained_encoder_is_one_view_among_others(library):
    encoder = networks.encoder("small", features=16)
    module = views("raw+rhythm", hz=100, encoder=encoder, directions=8, dilations=2)
    records = jnp.asarray(library.millivolts(slice(6)))
    blocks = 2 * (64 + 96 + 128)  # mean and maximum of the second block's channels on
    before, variables = fit(module, library.signals, library.labels)
    assert {*before} == {"params", "batch_stats", "fitted"}
    jax.tree.map(np.testing.assert_array_equal, before["params"], variables["params"])
    assert jax.eval_shape(module.apply, variables, records).shape == (6, blocks + len(rhythm.NAMES))

    def loss(params):
        return (module.apply({**variables, "params": params}, records) ** 3).sum()

    gradients = jax.tree.leaves(jax.jit(jax.grad(loss))(variables["params"]))
    assert all(np.isfinite(g).all() for g in gradients)
    assert any(np.abs(g).max() > 0 for g in gradients)


@pytest.mark.parametrize(
    ("text", "says"),
    [("kernels+nose", "'nose' is none of raw"), ("beat+beat", "once"), ("raw", "needs an encoder")],
)
def test_names_that_are_wrong_are_named(text, says):
    with pytest.raises(MetaecgError, match=says):
        views(text, hz=100)


def test_rhythm_of_known_beats():
    at = jnp.array([[100, 200, 300, 350, 500, 600, 0, 0, 0, 0]], jnp.int32)
    real = jnp.arange(10)[None] < 6
    unlike = jnp.array([[0.1, 0.1, 0.5, 0.1]])
    beats = Beats(
        Peaks(at, real), jnp.full((1, 90, 2), -0.7), jnp.zeros((1, 90, 2)), unlike, unlike > 0
    )
    found = dict(zip(rhythm.NAMES, np.asarray(rhythm.rhythm(beats))[0]))
    assert found["rate"] == pytest.approx(1.0)  # intervals of 1, 1, 0.5, 1.5 and 1 s
    assert found["beats a second"] == pytest.approx(3.0)
    assert found["deviation of intervals"] == pytest.approx(np.sqrt(0.1))
    assert found["median deviation of intervals"] == 0
    assert found["shortest interval"] == pytest.approx(-0.5)
    assert found["longest interval"] == pytest.approx(0.5)
    assert found["deviation of successive intervals"] == pytest.approx(np.sqrt(1.5 / 4))
    assert found["share of intervals that differ by 0.12 s"] == pytest.approx(0.75)
    assert found["most premature beat"] == pytest.approx(-0.5)
    assert found["longest pause after an interval"] == pytest.approx(1.0)
    assert found["correlation of successive intervals"] == pytest.approx(-0.0625 / 0.1001, rel=1e-3)
    assert found["mean distance of beats from the median"] == pytest.approx(0.2)
    assert found["greatest distance of a beat from the median"] == pytest.approx(0.5)
    assert found["share of beats unlike the median"] == pytest.approx(0.25)
    assert found["size of the median beat"] == pytest.approx(0.7)


def test_waves_of_a_known_beat():
    """A beat drawn by hand, on a level of 0.3 mV, which counts for nothing."""
    heights = np.zeros((90, 2))
    heights[17, 0] = 0.15  # P, 0.18 s before the R peak
    heights[[33, 35, 38], 0] = -0.1, 1.2, -0.4  # Q, R and S
    heights[[45, 49], 0] = 0.05, 0.1  # ST
    heights[61, 0] = -0.3  # T, 0.26 s after it, negative
    heights[35, 1] = -0.8
    spread = np.zeros((1, 90, 2))
    spread[:, 5:28] = 0.02
    nothing = jnp.zeros((1, 1))
    beats = Beats(
        Peaks(nothing, nothing), jnp.asarray(heights[None] + 0.3), spread, nothing, nothing
    )
    found = np.asarray(waves(beats))[0].astype(float)
    assert found.shape == (8 * 2 + 3,)
    mv = np.sign(found[:16]) * np.expm1(np.abs(found[:16])) / 5
    names = ["P", "P low", "R", "S", "T", "T low", "J", "ST"]
    read = dict(zip(names, mv.reshape(8, 2).round(5).tolist()))
    assert read == {
        "P": [0.15, 0], "P low": [0, 0], "R": [1.2, 0], "S": [-0.4, -0.8],
        "T": [0.1, 0], "T low": [-0.3, 0], "J": [0.05, 0], "ST": [0.1, 0],
    }  # fmt: skip
    np.testing.assert_allclose(np.exp(found[16:]), [0.025, 0.005, 0.005], rtol=1e-5)


@pytest.mark.parametrize("kind", ["zero", "noise", "one beat", "two beats", "three beats"])
def test_rhythm_and_waves_are_finite_whatever_is_found(kind):
    signals = np.zeros((2, 500, 1), np.float32)
    if kind == "noise":
        signals += np.random.default_rng(0).normal(size=signals.shape).astype(np.float32)
    for place in {"one beat": (250,), "two beats": (100, 250), "three beats": (100, 250, 400)}.get(
        kind, ()
    ):
        signals[:, place - 2 : place + 3, 0] = (0.3, 0.8, 1, 0.8, 0.3)
    beats = jax.jit(find_beats)(signals)
    numbers, heights = np.asarray(rhythm.rhythm(beats)), np.asarray(waves(beats))
    assert numbers.shape == (2, len(rhythm.NAMES))
    assert heights.shape == (2, 8 * 1 + 3)
    assert np.isfinite(heights).all()
    assert np.isfinite(numbers).all()
    # Beats in fewer than half of the stretches of 1.5 s are too few to know one by.
    assert (numbers == 0).all() == (kind in ("zero", "noise", "one beat"))
