"""Devices: one mesh, episodes sharded over it, everything else replicated."""

from collections.abc import Callable

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from metaecg.errors import MetaecgError
from metaecg.training import Draw
from metaecg.types import ArrayTree, Task


def mesh() -> Mesh:
    """All devices in one axis, `episodes`."""
    return jax.make_mesh((jax.device_count(),), ("episodes",), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())


def shard_tasks(draw: Draw, mesh: Mesh, batch: int) -> Draw:
    """The same draw, its tasks spread over the mesh.

    Raises:
      ValueError: the batch does not divide by the number of devices.
    """
    devices = mesh.size
    if devices > 1 and batch % devices:
        raise MetaecgError(
            f"batch = {batch} does not divide by the {devices} devices: use a multiple"
        )
    episodes = NamedSharding(mesh, PartitionSpec("episodes"))
    records = NamedSharding(mesh, PartitionSpec(None, "episodes"))

    def sharded(*args) -> Task:
        tasks = draw(*args)
        if tasks.records.shape[0] == 1:  # one batch of records, not a batch of episodes
            spread = (tasks.records, tasks.labels)
            spread = jax.lax.with_sharding_constraint(spread, records)
            return tasks._replace(records=spread[0], labels=spread[1])
        return jax.lax.with_sharding_constraint(tasks, episodes)

    return sharded


def replicate(tree: ArrayTree, mesh: Mesh) -> ArrayTree:
    """Places a pytree on every device."""
    return jax.device_put(tree, replicated(mesh))


def jit_replicated(function: Callable, mesh: Mesh, **options) -> Callable:
    """`jax.jit` with every output on every device."""
    return jax.jit(function, out_shardings=replicated(mesh), **options)
