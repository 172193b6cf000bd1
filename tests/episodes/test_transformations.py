"""The sampler under every transformation of jax, and with 64-bit numbers: the same episodes."""

import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from metaecg import episodes
from metaecg.types import LibraryIndex

# Some pairs of these classes can only be filled by search, and one cannot be filled.
HARD = LibraryIndex(
    np.repeat(np.eye(4, dtype=bool), [2, 3, 4, 6], axis=0), [0, 1, 0, 1, 2, 0, 1, 2, 3, *range(6)]
)
one = functools.partial(episodes.sample_episode, way=2, shot=1, query=1)
many = functools.partial(episodes.sample_episodes, way=2, shot=1, query=1)


def keys():
    return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(0), jnp.arange(8))


@pytest.fixture(scope="module")
def expected():
    drawn = jax.tree.map(np.asarray, jax.jit(lambda: many(jax.random.key(0), 0, 8, HARD))())
    episodes.verify(HARD, drawn)
    return drawn


def sharded(function, in_specs):
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    shard = PartitionSpec("x")
    return jax.jit(jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=shard))


def with_jit():
    draw = jax.jit(one)
    return jax.tree.map(lambda *x: jnp.stack(x), *(draw(key, HARD) for key in keys()))


def with_vmap():
    return jax.vmap(lambda key: one(key, HARD))(keys())


def with_scan():
    return jax.lax.scan(lambda carry, key: (carry, one(key, HARD)), 0, keys())[1]


def with_pmap():
    return jax.pmap(lambda key: one(key, HARD))(keys())


def with_shard_map_of_keys():
    draw = sharded(
        lambda keys: jax.tree.map(lambda x: x[None], one(keys[0], HARD)), PartitionSpec("x")
    )
    return draw(keys())


def with_shard_map_of_numbers():
    draw = sharded(lambda first: many(jax.random.key(0), first[0], 1, HARD), PartitionSpec("x"))
    return draw(jnp.arange(8))


def with_shard_map_of_the_index():
    """Each device has a library of its own: here, the same."""
    stacked = jax.tree.map(lambda x: jnp.broadcast_to(x, (8, *x.shape)), HARD)

    def draw(key, number, stacked):
        index = jax.tree.map(lambda x: x[0], stacked)
        return many(key, number[0], 1, index)

    specs = (PartitionSpec(), PartitionSpec("x"), PartitionSpec("x"))
    return sharded(draw, specs)(jax.random.key(0), jnp.arange(8), stacked)


WAYS = [value for name, value in list(globals().items()) if name.startswith("with_")]


@pytest.mark.parametrize("draw", WAYS, ids=lambda draw: draw.__name__)
def test_episodes_are_the_same_under(draw, expected):
    for found, value in zip(draw(), expected):
        np.testing.assert_array_equal(found, value)


PROGRAM = """
import sys
import numpy as np, jax
from metaecg import episodes
from metaecg.types import LibraryIndex
labels = np.repeat(np.eye(4, dtype=bool), [2, 3, 4, 6], axis=0)
index = LibraryIndex(labels, [0, 1, 0, 1, 2, 0, 1, 2, 3, *range(6)])
draw = jax.jit(lambda key: episodes.sample_episodes(key, 0, 8, index, way=2, shot=1, query=1))
drawn = draw(jax.random.key(0))
episodes.verify(index, drawn)
assert jax.numpy.arange(2).dtype == "int64", "64-bit numbers are on"
assert all(leaf.dtype == "int32" for leaf in drawn)
assert episodes.windows(5, 3).dtype == "int32"
print([np.asarray(leaf).tolist() for leaf in drawn])
"""


def test_episodes_are_the_same_with_64_bit_numbers(expected):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "JAX_ENABLE_X64": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str([leaf.tolist() for leaf in expected])
