"""The background against densities written out, and what it notices."""

import numpy as np
import pytest
from scipy import stats

from metaecg.diagnose import arrays, background
from metaecg.diagnose.background import Background, of_members, to_members, unlikeness
from metaecg.diagnose.calibration import Row

ROW = Row(2, 1.0, 1.0, 1.0, (0.5,), (0.5,))


def test_likelihoods_are_those_of_the_model_written_out():
    """A query and the examples of its label are jointly Gaussian, and share a part of variance."""
    rng = np.random.default_rng(0)
    queries, examples = (rng.normal(size=(n, 3)).astype(np.float32) for n in (4, 6))
    slots = np.array([0, 1, 1, 0, 1, 1])
    ratios = np.zeros((4, 2))
    for label in range(2):
        mine = examples[slots == label]
        joint = np.full((len(mine) + 1,) * 2, background.SHARED)
        np.fill_diagonal(joint, 1)
        for q, query in enumerate(queries):
            for d in range(3):
                values = [query[d], *mine[:, d]]
                ratios[q, label] -= stats.multivariate_normal(cov=joint).logpdf(values)
                ratios[q, label] += stats.multivariate_normal(cov=joint[1:, 1:]).logpdf(values[1:])
                ratios[q, label] += stats.norm.logpdf(query[d])
    np.testing.assert_allclose(unlikeness(queries, examples, slots), ratios.min(1), rtol=1e-4)


def test_the_background_has_mean_0_and_variance_1_where_it_varies_most():
    rng = np.random.default_rng(1)
    embeddings = (rng.normal(size=(500, 20)) * np.geomspace(5, 0.01, 20) + 3).astype(np.float32)
    placed = Background.of(embeddings).place(embeddings)
    np.testing.assert_allclose(placed.mean(0), 0, atol=1e-3)
    assert (placed**2).sum(1).mean() == pytest.approx(20, rel=1e-3)
    # Shrunk: what hardly varies is not blown up.
    assert placed.std(0).max() > 5 * placed.std(0).min()


def test_what_is_like_no_label_is_told_from_what_is(tmp_path):
    rng = np.random.default_rng(2)
    centres = rng.normal(0, 1, (12, 30))
    of = np.repeat(np.arange(12), 40)
    records = (centres[of] + rng.normal(0, 1, (480, 30))).astype(np.float32)
    seen = Background.of(records[of > 4])
    examples = np.flatnonzero((of < 4) & (np.arange(480) % 40 < 5))
    placed = seen.place(records)
    unlike = unlikeness(placed, placed[examples], of[examples])
    queries = np.arange(480) % 40 >= 5
    known, none = (unlike[queries & which] for which in (of < 4, of == 4))
    assert (none[:, None] > known).mean() > 0.9


def test_a_background_is_written_and_read():
    made = Background.of(np.random.default_rng(3).normal(size=(50, 6)))
    members = to_members(made)
    assert arrays.of_bytes(members["background/directions.npy"]).dtype == np.int8
    assert all(np.array_equal(a, b) for a, b in zip(of_members(members), made))
    assert (to_members(None), of_members({})) == ({}, None)
    with pytest.raises(ValueError, match="Object arrays cannot be"):
        arrays.to_bytes(np.array([{}]))


def test_likeness_is_the_share_that_is_as_unlike():
    assert ROW.likeness(np.array([1.0])) is None
    row = ROW._replace(unlike=(-2.0, 0.0, 4.0))
    shares = row.likeness(np.array([-9.0, -1.0, 0.0, 2.0, 9.0]))
    np.testing.assert_allclose(shares, [1, 0.75, 0.5, 0.25, 0])
