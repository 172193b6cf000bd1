"""The table of conditions as arrays, so that a row can be looked up by a traced index."""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from metaecg.data.synthetic.conditions import CONDITIONS, NORMAL, Rhythm, Waves

DIPOLES = ("p_right", "p_left", "st", "sag", "t", "t_late", "u")


def _dense(row: Rhythm | Waves) -> dict[str, np.ndarray]:
    """A row as arrays of fixed shapes: dipoles [4], QRS [5, 6]."""

    def pad(values: Iterable[float], length: int) -> list[float]:
        values = list(values)
        return values + [0.0] * (length - len(values))

    dense = {}
    for field, value in row._asdict().items():
        if field == "qrs":
            value = [pad(one, 6) for one in value]
            value += [[0.5, 0.1, 0.0, 0.0, 0.0, 0.0]] * (5 - len(value))
        elif field in DIPOLES:
            value = pad(value, 4)
        dense[field] = np.array(value, np.float32)
    return dense


NORMAL_WAVES = _dense(NORMAL)
_ROWS = [(_dense(c.rhythm), _dense(c.waves)) for c in CONDITIONS]
_TABLE = np.stack(  # one matrix, so that looking a condition up is one gather
    [np.concatenate([v.ravel() for part in row for v in part.values()]) for row in _ROWS]
)


def look_up(condition: jax.Array | int) -> tuple[Rhythm, Waves]:
    """The rows of a condition as arrays, for an index that may be traced."""
    flat = jnp.asarray(_TABLE)[condition]
    parts: list[dict[str, Any]] = []
    start = 0
    for part in _ROWS[0]:
        parts.append({})
        for field, value in part.items():
            parts[-1][field] = flat[start : start + value.size].reshape(value.shape)
            start += value.size
    return Rhythm(**parts[0]), Waves(**parts[1])
