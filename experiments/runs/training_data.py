"""What a run learns from and is validated on: a library, cut by a protocol."""

from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.runs import build, start, trained
from metaecg.data import protocols
from metaecg.data.library import Library
from metaecg.errors import MetaecgError
from metaecg.evaluate import training_conditions

STREAM_FROM = 8 * 2**30
"""Bytes of a training part above which config.signals = 'auto' reads it from disk step by step."""


class Opened(NamedTuple):
    """A library, the parts to train and validate on, and what config.json says of them.

    Attributes:
      unseen: splits that training must know nothing of.
      oracle: their classes may be known all the same, in other patients.
      embedded: the parts hold what a frozen encoder made of the signals.
    """

    library: Library
    parts: dict[str, build.Part]
    facts: dict[str, Any]
    unseen: tuple[protocols.Split, ...]
    oracle: bool
    embedded: bool = False


def embed(data: Opened, config, source: trained.Trained) -> Opened:
    """The parts as the encoder of another run sees them.

    Raises:
      MetaecgError: that encoder has other shapes than the configured one.
    """
    conditions, record = len(data.parts["train"].classes), data.facts["record"]
    whole = build.learner(build.unwhitened(config), conditions, hz=data.library.hz)
    labels = build.width(config, conditions)
    empty = build.example_task(record["samples"], len(record["leads"]), labels)
    mine = jax.eval_shape(whole.init, jax.random.key(0), empty)
    start.check_encoder(mine.params["encoder"], source.variables.params["encoder"])
    batch = 64 if config.views else 256  # random kernels make much of a recording
    parts = {k: build.embedded(p, whole, source.variables, batch) for k, p in data.parts.items()}
    return data._replace(parts=parts, embedded=True)


def open_parts(config) -> Opened:
    """Opens the configured library and protocol."""
    library = build.library(config)
    protocol = protocols.load(config.protocol)
    splits = protocols.disjoint_parts(library, protocol)
    if not splits["train"].classes:
        raise MetaecgError(f"protocol {protocol.name} has no train codes, and serves tests alone")
    size = len(splits["train"].rows) * library.signals[0].nbytes
    streamed = config.signals == "streamed" or (config.signals == "auto" and size > STREAM_FROM)
    parts = {
        p: build.part(library, protocol, p, resident=not streamed)
        for p in ("train", "validation")
        if splits[p].classes
    }
    unseen = [splits[p] for p in protocols.PARTS if p != "train"]
    if config.labels == "conditions":
        by_patient = training_conditions.part_by_patient(parts["train"].data.index)
        unseen += [held_out(library, parts["train"], rows) for rows in by_patient[1:]]
        parts |= {
            "held out": _take(parts["train"], by_patient.validation),
            "train": _take(parts["train"], by_patient.train),
        }
    facts = {
        "record": {
            "hz": library.hz,
            "samples": library.signals.shape[1],
            "leads": list(library.leads),
        },
        "classes": {name: list(split.classes) for name, split in splits.items()},
        "library_fingerprint": library.fingerprint,
        "protocol": protocol.name,
        "protocol_digest": protocol.digest,
    }
    return Opened(library, parts, facts, tuple(unseen), protocol.oracle)


def held_out(library: Library, part: build.Part, rows: np.ndarray) -> protocols.Split:
    """Records of a training part whose patients were left out of the training, not the classes."""
    rows = part.rows[rows]
    return protocols.Split(rows, np.zeros((len(rows), 0), bool), library.patients[rows], ())


def _take(part: build.Part, rows: np.ndarray) -> build.Part:
    return part._replace(data=training_conditions.take(part.data, rows), rows=part.rows[rows])
