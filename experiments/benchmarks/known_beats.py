"""Recordings whose beats are known: LUDB's, which cardiologists marked, and the generator's."""

from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import wfdb

from metaecg.data.synthetic import generator, heart
from metaecg.errors import MetaecgError
from metaecg.types import Array


def ludb(folder: Path, flag: str) -> Iterator[tuple[int, wfdb.Record, list[wfdb.Annotation]]]:
    """Each recording of LUDB: its number, the record, and the annotation of each of its leads.

    Args:
      folder: LUDB 1.0.1, as it was published.
      flag: that named the folder, for the message.

    Raises:
      MetaecgError: the folder is not LUDB.
    """
    headers = sorted((folder / "data").glob("*.hea"), key=lambda file: int(file.stem))
    if not headers:
        raise MetaecgError(f"--{flag}={folder}: there is no data/*.hea; name LUDB's folder")
    for header in headers:
        name = str(header.with_suffix(""))
        record = wfdb.rdrecord(name)
        yield int(header.stem), record, [wfdb.rdann(name, lead) for lead in record.sig_name]


def generated(count: int) -> tuple[np.ndarray, Array, heart.Plan]:
    """Synthetic recordings of 10 s at 100 Hz, `count` of each condition.

    Returns:
      The condition [R] of each recording, the signals [R, 1000, 12] in mV, and their plans.
    """
    condition = np.repeat(np.arange(len(generator.CONDITIONS)), count)
    keys = jax.random.split(jax.random.key(0), len(condition))
    signals, plans = (
        jax.jit(jax.vmap(function))(keys, condition)
        for function in (generator.generate, generator.plan)
    )
    return condition, signals, plans
