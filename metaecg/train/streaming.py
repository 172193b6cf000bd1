"""Libraries larger than memory: rows named ahead, records gathered on the host behind compute."""

import collections
import dataclasses
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from metaecg.train.batches import Batch, Data, Draw
from metaecg.types import Array


class Rows:
    """Some rows of an array that stays where it is: what a part is of a memory-mapped library.

    Args:
      signals: array-like [R, samples, leads], such as a `numpy.memmap`.
      rows: int [n], the rows that are row 0 … n − 1 here.
    """

    def __init__(self, signals: np.ndarray, rows: np.ndarray):
        self._signals, self._rows = signals, np.asarray(rows)
        self.shape = (len(self._rows), *signals.shape[1:])
        self.dtype = signals.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, at: Any) -> np.ndarray:
        """Reads rows `at` (a slice, or any shape) into memory: [*at.shape, samples, leads]."""
        rows = self._rows[at if isinstance(at, slice) else np.asarray(at)]
        return np.asarray(self._signals[rows])


def gather(
    draw: Draw,
    data: Data,
    key: Array,
    first: int,
    last: int,
    mesh: Mesh,
    *,
    shared: bool = True,
    ahead: int = 2,
) -> Iterator[Batch]:
    """The records of steps first … last − 1, the next `ahead` of them read while a step computes.

    Each process reads the records of its own devices only.

    Args:
      draw: names the rows; `draw.of_batch(batch, key, step)` then equals `draw(data, key, step)`.
      data: `signals` are host memory or `Rows`.
      key: of the run.
      first, last: steps.
      mesh: the devices; tasks are spread over them.
      shared: every process holds the same library. Otherwise each draws its share of the tasks
        from its own, and a step depends on how many processes there are.
      ahead: steps in memory besides the one in use.
    """
    share = draw
    if not shared:
        share = dataclasses.replace(draw, batch=draw.batch // jax.process_count())  # type: ignore
        key = jax.random.fold_in(key, jax.process_index())
    plan_step = jax.jit(share.plan)
    sharding = NamedSharding(mesh, PartitionSpec(*(None,) * draw.axis, "episodes"))

    def read(step: int) -> Batch:
        plan = jax.tree.map(np.asarray, plan_step(data.index, key, jnp.int32(step)))
        if shared:
            shape = (*plan.rows.shape, *data.signals.shape[1:])

            def mine(at: Any) -> np.ndarray:
                return data.signals[plan.rows[at[:2]]]

            signals = jax.make_array_from_callback(shape, sharding, mine)
        else:
            signals, plan = jax.tree.map(
                lambda x: jax.make_array_from_process_local_data(sharding, x),
                (data.signals[plan.rows], plan),
            )
        return Batch(plan, signals, np.float32(data.scale))

    with ThreadPoolExecutor(1, "gather") as pool:
        waiting: collections.deque[Future[Batch]] = collections.deque()
        try:
            for step in range(first, last):
                while len(waiting) <= ahead and step + len(waiting) < last:
                    waiting.append(pool.submit(read, step + len(waiting)))
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
