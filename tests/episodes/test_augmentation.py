"""Augmentation: what is lost is zero, speeds go both ways, and what cannot be done is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from metaecg.episodes.augmentation import NO_AUGMENTATION, Augmentation, augment
from metaecg.errors import MetaecgError

KEY = jax.random.key(0)


@pytest.mark.parametrize("crop", [1.0, 0.8])
def test_a_lost_lead_is_exactly_zero_whatever_else_is_added(crop):
    records = jnp.ones((200, 20, 12))
    strength = Augmentation(scale=0.3, lead_dropout=0.25, wander=0.2, noise=0.1, crop=crop)
    varied = np.asarray(augment(KEY, records, strength))
    lost = (varied == 0).all(1)
    assert ((varied == 0).any(1) == lost).all()
    assert lost.mean() == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / lost.size))
    without = augment(KEY, records, strength._replace(lead_dropout=0.0))
    np.testing.assert_allclose(varied, np.where(lost[:, None], 0, without), rtol=1e-5)


def test_a_warped_record_is_the_record_at_another_speed():
    time = np.linspace(0, 1, 1001)
    ramp = jnp.asarray(np.repeat(np.stack([time, 2 * time], -1)[None], 400, 0), jnp.float32)
    warped = np.asarray(augment(KEY, ramp, Augmentation(warp=0.05, crop=0.8)))
    assert warped.shape == (400, 800, 2)
    assert warped.min() >= 0
    assert warped[..., 0].max() <= 1
    np.testing.assert_allclose(warped[..., 1], 2 * warped[..., 0], rtol=1e-5)
    # A straight line stays one; its slope, by that of the record, is the speed.
    speed = (warped[:, -1, 0] - warped[:, 0, 0]) / 0.799
    steps = np.diff(warped[..., 0], axis=1)
    np.testing.assert_allclose(
        steps, np.broadcast_to(speed[:, None] / 1000, steps.shape), atol=1e-6
    )
    assert np.log(speed).std() == pytest.approx(0.05, rel=0.15)
    assert np.log(speed).mean() == pytest.approx(0, abs=0.01)
    assert warped[:, 0, 0].std() > 0.03


@pytest.mark.parametrize("crop", [0.5, 0.9, 0.99])
def test_records_are_made_faster_as_often_as_slower(crop):
    ramp = jnp.broadcast_to(jnp.arange(1000.0)[None, :, None], (2000, 1000, 1))
    warped = np.asarray(augment(KEY, ramp, Augmentation(warp=0.5, crop=crop)))[..., 0]
    speed = (warped[:, -1] - warped[:, 0]) / (warped.shape[1] - 1)
    assert warped.min() >= 0
    assert warped.max() <= 999
    assert speed.max() <= 1 / crop * 1.002
    assert speed.min() >= crop / 1.002
    assert abs((speed > 1).mean() - 0.5) < 4 * 0.5 / np.sqrt(2000)
    assert len(np.unique(speed.round(6))) > 100


@pytest.mark.parametrize(
    ("strength", "message"),
    [
        ({"warp": 0.1}, "warp needs crop below 1, such as 0.9"),
        ({"warp": float("nan")}, "warp must be a number from 0"),
        ({"scale": -1.0}, "scale must be a number from 0, not -1.0"),
        ({"noise": float("inf")}, "noise must be a number from 0, not inf"),
        ({"lead_dropout": 1.0}, "lead_dropout must be from 0 and below 1, not 1.0"),
        ({"crop": 0.0}, "crop must be above 0 and at most 1, not 0.0"),
        ({"crop": 1.5}, "crop must be above 0 and at most 1, not 1.5"),
    ],
)
def test_what_cannot_be_done_is_refused(strength, message):
    with pytest.raises(MetaecgError, match=f"^augmentation: {message}"):
        augment(KEY, jnp.ones((1, 10, 1)), Augmentation(**strength))


def test_nothing_is_done_by_default():
    records = jnp.ones((2, 10, 1))
    assert augment(KEY, records, NO_AUGMENTATION) is records
