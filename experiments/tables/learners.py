"""The learners of a table: trained runs, and their encoders read by probes."""

from collections.abc import Collection
from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiments.runs import build, trained
from metaecg import evaluate
from metaecg.data import protocols
from metaecg.data.library import Library
from metaecg.errors import MetaecgError
from metaecg.learners import probes
from metaecg.types import Array, Learner, Variables

RANDOM = "random encoder, nearest centroid"
ENSEMBLE = "ensemble of encoders"

OF_WHITENED = {
    "whitened_cosine": probes.cosine,
    "whitened_ridge": probes.ridge,
    "whitened_logistic": probes.logistic,
}
"""Probes that read whitened embeddings, and how they do: those of several encoders as one, too."""


class TableLearner(NamedTuple):
    """One row's learner.

    Attributes:
      learner, variables: what answers.
      embeddings: [R, D] of the measured part; None where records are not embedded by themselves.
    """

    learner: Learner
    variables: Variables
    embeddings: Array | None

    def fits(self, way: int, shot: int) -> bool:
        """Whether it can read such episodes."""
        slots, longest, *_ = self.learner.limits
        return way <= (slots or way) and way * shot <= (longest or way * shot)

    def slots(self, way: int) -> int:
        """Width of the labels it takes in episodes of that way."""
        return self.learner.limits.slots or way


def table_learners(
    runs: dict[str, trained.Trained],
    probe_names: list[str],
    measured: build.Part,
    library: Library,
    protocol: protocols.Protocol,
    *,
    probed: Collection[str] | None = None,
    ensemble: dict[str, trained.Trained] | None = None,
) -> dict[str, TableLearner]:
    """The runs by name, and under each that embeds records a row for each probe.

    Args:
      runs: trained runs by name.
      probe_names: of `probes.PROBES`.
      measured: the part to be measured.
      library, protocol: of the measured part.
      probed: the runs to be probed; all if not given.
      ensemble: runs whose encoders the probes of whitened embeddings read as one, too: whitened
        each by itself, of unit length, side by side.

    Raises:
      MetaecgError: there is no such probe; one of `ensemble` does not embed records.
    """
    check_probes(probe_names)
    rows: dict[str, TableLearner] = {}
    for name, run in runs.items():
        learner = run.learner
        if name == RANDOM:
            learner = probes.with_probe(learner, probes.centroid)
        embeddings = None
        if learner.embed is not None:
            embeddings = evaluate.embed(learner, run.variables, measured.data)
        if run.config.labels == "conditions" and name != RANDOM:
            print(f"{name} knows its own conditions alone: its encoder is in the rows of --probes")
        else:
            rows[name] = TableLearner(learner, run.variables, embeddings)
        if embeddings is None or not probe_names or (probed is not None and name not in probed):
            continue
        known = _base(run, learner, library, protocol)
        encoder = "random encoder" if name == RANDOM else name
        for probe in probe_names:
            reading = probes.with_probe(learner, probes.PROBES[probe](known))
            rows[f"{encoder} + {probe}"] = TableLearner(reading, run.variables, embeddings)
    if ensemble:
        beside = []
        for name, run in ensemble.items():
            if run.learner.embed is None:
                raise MetaecgError(
                    f"--ensemble: {name} adapts its encoder to each support and has no embeddings "
                    "that could stand beside others"
                )
            embeddings = evaluate.embed(run.learner, run.variables, measured.data)
            known = _base(run, run.learner, library, protocol)
            beside.append(probes.unit((embeddings - known.mean[None]) @ known.whitening))
        joined = jnp.concatenate(beside, axis=1)
        for probe in probe_names:
            if probe not in OF_WHITENED:
                continue
            reading = probes.with_probe(run.learner, OF_WHITENED[probe])
            rows[f"{ENSEMBLE} + {probe}"] = TableLearner(reading, run.variables, joined)
    return rows


def _base(
    run: trained.Trained, learner: Learner, library: Library, measured: protocols.Protocol
) -> probes.Base:
    """What probes know of a run's training part: its own, which has no class that it did not.

    Where that cannot be said any more, the training part of the measured protocol.
    """
    rules = trained.own_protocol(run, library) or measured
    part = build.part(library, rules, "train", resident=False)
    return probes.base(evaluate.embed(learner, run.variables, part.data), part.data.index)


def check_probes(names: list[str]) -> None:
    """Asserts that there are such probes.

    Raises:
      MetaecgError: there is one that is not; names those there are.
    """
    if unknown := [name for name in names if name not in probes.PROBES]:
        raise MetaecgError(
            f"--probes: no probe {unknown[0]!r}; there are {', '.join(probes.PROBES)}"
        )


def count(variables: Variables) -> int:
    """Parameters of a learner."""
    return sum(x.size for x in jax.tree.leaves(variables.params))
