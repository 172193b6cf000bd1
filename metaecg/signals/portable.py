"""Whether what is traced shall do without operations that other formats of programs lack.

ONNX, as jax2onnx writes it, has no complex numbers and no choice by the device. Where a function
has two ways to the same numbers, it asks `wanted` which of them to take.
"""

import contextlib
from collections.abc import Iterator

_wanted = False


@contextlib.contextmanager
def operations() -> Iterator[None]:
    """Within it, functions that are traced take the portable way; it is not for several threads."""
    global _wanted
    before, _wanted = _wanted, True
    try:
        yield
    finally:
        _wanted = before


def wanted() -> bool:
    """Whether `operations` is in force."""
    return _wanted
