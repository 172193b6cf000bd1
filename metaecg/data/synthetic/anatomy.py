"""A patient: the axes and the gains of the heart, and the electrodes on the chest."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metaecg.data.synthetic.random_deviates import Deviates

# Dower et al. 1980, J Electrocardiol 13:91: leads I, II, V1 … V6 on a dipole (left, inferior,
# anterior). The fourth column is the near field.
_DOWER = np.array(
    [
        [0.632, -0.235, -0.059, 0.0],
        [0.235, 1.066, 0.132, 0.0],
        [-0.515, 0.157, 0.917, 1.0],
        [0.044, 0.164, 1.387, 0.85],
        [0.882, 0.098, 1.277, 0.2],
        [1.213, 0.127, 0.601, 0.0],
        [1.125, 0.127, 0.086, 0.0],
        [0.831, 0.076, -0.230, 0.0],
    ],
    np.float32,
)
# Electrodes RA, LA, LL, V1 … V6 against Wilson's terminal, which is the mean of the first three.
_I, _II = _DOWER[0], _DOWER[1]
ELECTRODES = np.vstack([-(_I + _II) / 3, (2 * _I - _II) / 3, (2 * _II - _I) / 3, _DOWER[2:]])

_ALONG = np.gradient(np.eye(6, dtype=np.float32), axis=0)  # from one chest electrode to the next

# Planes of rotation: frontal, horizontal, sagittal. The near field is not turned.
_COSINES, _SINES = np.zeros((2, 3, 4, 4), np.float32)
for _i, (_a, _b) in enumerate(((0, 1), (0, 2), (1, 2))):
    _COSINES[_i, _a, _a] = _COSINES[_i, _b, _b] = 1
    _SINES[_i, _b, _a], _SINES[_i, _a, _b] = 1, -1
_STILL = np.eye(4, dtype=np.float32) - _COSINES

# The ranges of a row that a patient has a place in, and how much of it changes between records.
PLACES = {
    "rate": 0.5, "hf": 0.5, "lf": 0.5, "pr": 0.4, "before": 0.4, "atrial_rate": 0.5, "run": 0.5,
    "flutter": 0.3, "breath": 0.7, "gain": 0.3, "duration": 0.3, "qtc": 0.4,
    # Anatomy stays.
    "azimuth": 0.0, "elevation": 0.0, "breadth": 0.0, "wide": 0.0, "ratio": 0.0, "turns": 0.0,
    "severity": 0.0,
}  # fmt: skip
PLAY = np.array(list(PLACES.values()), np.float32)


class Patient(NamedTuple):
    """What stays the same in all records of a patient.

    Attributes:
      turn, t_turn, p_turn: [4, 4] rotations of QRS, T and P against the normal heart's.
      place: [ranges] where the patient is in each range of a row, as normal deviates.
      qrs, p, t: [5], [], [] gains of the waves.
      electrodes: [9, 4] lead vectors in this chest.
    """

    turn: jax.Array
    t_turn: jax.Array
    p_turn: jax.Array
    place: jax.Array
    qrs: jax.Array
    p: jax.Array
    t: jax.Array
    electrodes: jax.Array


def make_patient(deviates: Deviates) -> Patient:
    """Makes a patient: build, age and sex act through axis, voltages, intervals and electrodes."""
    z = jnp.clip(deviates.normal(10), -1.9, 1.9)
    turn = _rotation(13 * z[0], 10 * z[1], 6 * z[2])
    build = jnp.exp(0.10 * z[9])  # one gain for all that is seen through the same chest
    return Patient(
        turn=turn,
        t_turn=_rotation(9 * z[3], 10 * z[4], 0.0 * z[3]) @ turn,
        p_turn=_rotation(9 * z[5], 9 * z[6], 0.0 * z[5]) @ turn,
        place=deviates.normal(len(PLACES)),
        qrs=build * jnp.exp(0.13 * deviates.normal(5)),
        p=jnp.exp(0.16 * z[7]),
        t=build * jnp.exp(0.2 * z[8]),
        electrodes=jnp.asarray(ELECTRODES) * (1 + 0.05 * deviates.normal(*ELECTRODES.shape)),
    )


def put_on(deviates: Deviates, electrodes: jax.Array) -> jax.Array:
    """Electrodes [9, 4] as they were put on this time: chest ones astray, along or up and down."""
    chest = electrodes[3:]
    step = jnp.asarray(_ALONG) @ chest
    chest += 0.14 * deviates.normal(6, 1) * step
    chest = chest.at[:, 1].add(0.07 * deviates.normal())  # the wrong interspace, for all six
    electrodes = electrodes.at[3:].set(chest)
    return electrodes - electrodes[:3].mean(0, keepdims=True)


def _rotation(frontal: Any, horizontal: Any, sagittal: Any) -> jax.Array:
    """Rotation [4, 4] by three angles (degrees); positive `frontal` turns the axis rightwards."""
    angles = jnp.deg2rad(jnp.stack([frontal, horizontal, sagittal]))
    c, s = jnp.cos(angles), jnp.sin(angles)
    first, second, third = (_STILL[i] + c[i] * _COSINES[i] + s[i] * _SINES[i] for i in range(3))
    return first @ second @ third
