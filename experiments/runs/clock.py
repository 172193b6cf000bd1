"""How fast a training is, without the time that programs are compiled."""

import time
from collections.abc import Callable

import jax

from metaecg.types import TrainState


class Clock:
    """Tasks and seconds since the start, without the first dispatches, which are compiled."""

    def __init__(self, batch: int):
        self.tasks, self._batch = 0, batch
        self._began, self._compiled = time.monotonic(), set[int]()

    def run(self, count: int, function: Callable, state: TrainState, *args):
        """Calls a function that takes `count` steps from a state."""
        if count in self._compiled:
            self.tasks += count * self._batch
            return function(state, *args)
        jax.block_until_ready(state)
        before = time.monotonic()
        made = jax.block_until_ready(function(state, *args))
        self._began += time.monotonic() - before
        self._compiled.add(count)
        return made

    def seconds(self) -> float:
        """Since the start, without the time of compilation."""
        return time.monotonic() - self._began
