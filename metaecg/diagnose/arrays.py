"""Arrays as bytes, in the format of NumPy's .npy files and without pickle."""

import io

import numpy as np


def to_bytes(array: np.ndarray) -> bytes:
    """What a .npy file of an array holds."""
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=False)
    return file.getvalue()


def of_bytes(content: bytes) -> np.ndarray:
    """The array that `to_bytes` wrote.

    Raises:
      ValueError: the bytes are no array, or one of objects.
    """
    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
