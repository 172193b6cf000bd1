"""Devices and hosts: one mesh, episodes sharded over it, everything else replicated."""

from collections.abc import Callable

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from metaecg.errors import MetaecgError
from metaecg.train.training_step import Draw
from metaecg.types import Array, ArrayTree, Task


def start(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Joins the processes of a run into one; before anything else touches a device.

    Args:
      coordinator: HOST:PORT of process 0; 'auto' where the cluster says it (SLURM, Open MPI, a TPU
        pod slice); None for a run of one process.
      processes, process: how many there are and which this is; None with 'auto'.

    Raises:
      MetaecgError: the flags contradict each other, or the others cannot be reached.
    """
    given = [x is not None for x in (processes, process)]
    if coordinator is None or coordinator == "auto":
        if any(given):
            raise MetaecgError("--num_processes and --process_id need --coordinator=HOST:PORT")
        if coordinator is None:
            return
    elif not all(given):
        raise MetaecgError(
            f"--coordinator={coordinator} needs --num_processes and --process_id as well"
        )
    try:
        address = None if coordinator == "auto" else coordinator
        jax.distributed.initialize(address, processes, process)
    except (RuntimeError, ValueError) as error:
        raise MetaecgError(f"--coordinator={coordinator}: {error}") from None


def is_main() -> bool:
    """Whether this process is the one that writes logs."""
    return jax.process_index() == 0


def any_process(flag: bool) -> bool:
    """Whether the flag is up in any process, so that all leave a loop at the same step."""
    if jax.process_count() == 1:
        return flag
    return bool(np.any(multihost_utils.process_allgather(np.array(flag))))


def from_main(tree: ArrayTree) -> ArrayTree:
    """The values that the main process holds, in every process."""
    return tree if jax.process_count() == 1 else multihost_utils.broadcast_one_to_all(tree)


def mesh() -> Mesh:
    """All devices of all processes in one axis, `episodes`."""
    return jax.make_mesh((jax.device_count(),), ("episodes",), axis_types=(AxisType.Auto,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of what every device holds whole: parameters, optimiser, library."""
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
    """Places a pytree that every process holds on every device."""
    sharding = replicated(mesh)
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def place(leaf: Array) -> Array:
        value = np.asarray(leaf)
        return jax.make_array_from_callback(value.shape, sharding, lambda at: value[at])

    return jax.tree.map(place, tree)


def like(tree: ArrayTree, mesh: Mesh) -> ArrayTree:
    """Shapes and types of a pytree, to be restored onto every device."""
    sharding = replicated(mesh)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


def local(tree: ArrayTree) -> ArrayTree:
    """A replicated pytree as this process's own, for work that the others do not share."""
    return tree if jax.process_count() == 1 else jax.tree.map(np.asarray, tree)


def jit_replicated(function: Callable, mesh: Mesh, **options) -> Callable:
    """`jax.jit` with every output on every device."""
    return jax.jit(function, out_shardings=replicated(mesh), **options)
