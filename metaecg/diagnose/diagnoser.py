"""From labelled examples to a diagnoser, and from a recording to a diagnosis that can be checked.

diagnoser = Diagnoser(model).fit([("a.csv", "WPW", signal), ...])
diagnosis = diagnoser(query)         # float32 [samples, leads] in mV
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple, overload

import numpy as np

from metaecg.diagnose import remarks
from metaecg.diagnose.calibration import (
    Row,
    calibrated,
    closeness,
    distances,
    plausible,
    recognition,
    sure,
)
from metaecg.diagnose.diagnosis import Diagnosis, Evidence
from metaecg.diagnose.model import Model
from metaecg.diagnose.predictor import (
    Reading,
    along,
    log_probs,
    of_examples,
    readings,
    without_each,
)
from metaecg.episodes.support_orders import mean_over_orders
from metaecg.errors import MetaecgError

Example = tuple[str, str, np.ndarray]
"""(name, label, float32 [samples, leads] or [windows, samples, leads] in mV)."""

_BLOCK = 16  # queries answered at a time, where there are several
_ORDERS_LEFT_OUT = 2  # orders in which examples are left out


class _Support(NamedTuple):
    """What is computed once of the examples; `slots` int [S], their labels as numbers."""

    names: tuple[str, ...]
    labels: tuple[str, ...]
    slots: np.ndarray
    basis: np.ndarray | None  # of what their embeddings span
    read: np.ndarray  # the embeddings, `along` it
    scaled: np.ndarray
    placed: np.ndarray | None
    outlines: np.ndarray
    reading: Reading  # the orders, then the first of these with each example left out
    orders: int
    row: Row
    recognised: np.ndarray  # float [way], how well each label's examples are when left out
    unstated: str  # why no rate can be stated, whatever the query
    warnings: tuple[str, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Diagnoser:
    """A model that knows no diagnoses yet; `fit` gives it some.

    Attributes:
      model: the trained model.
      error_rate: of the plausible sets and of the answers given, 0 < error_rate < 1.
      spare: chest leads that a query may lack, zero in their place: the rates are known to hold.
      orders, seed: of the examples that a learner of sequences is asked for and averaged over.
    """

    model: Model
    error_rate: float = 0.1
    spare: int = 0
    orders: int = 8
    seed: int = 0
    _support: _Support | None = None

    def __post_init__(self):
        if not 0 < self.error_rate < 1:
            raise MetaecgError(f"error_rate {self.error_rate:g}: must be between 0 and 1")

    def fit(self, support: Sequence[Example]) -> "Diagnoser":
        """Returns a diagnoser of the support's labels; each record is embedded once, here.

        Args:
          support: labelled examples, as many of each label as there are, all of one shape.

        Raises:
          MetaecgError: fewer than two labels, more labels or examples than the learner takes, or
            a signal that is not finite or of another shape.
        """
        if not support:
            raise MetaecgError("there is no labelled example; give some of each diagnosis")
        names, given, signals = zip(*support)
        labels = tuple(dict.fromkeys(given))
        if len(labels) < 2:
            raise MetaecgError(
                f"all {len(given)} examples are of one diagnosis, {labels[0]}; give examples of "
                "what it is to be distinguished from, such as normal ECGs"
            )
        predictor, calibration = self.model.predictor, self.model.calibration
        most, longest, *_ = predictor.limits
        if most is not None and len(labels) > most:
            raise MetaecgError(
                f"{len(labels)} diagnoses are given, this model distinguishes at most {most}; give "
                "fewer"
            )
        if longest is not None and len(given) > longest:
            raise MetaecgError(
                f"{len(given)} examples are given, this model reads at most {longest}; give up to "
                f"{longest // len(labels)} of each of the {len(labels)} diagnoses"
            )
        windows = self.model.form.windows_of(signals, names)
        records = _first(windows)
        slots = np.array([labels.index(label) for label in given])
        outlined = remarks.outlines(records)
        rng = np.random.default_rng(self.seed)
        reading = readings(predictor, len(slots), len(labels), self.orders, rng)
        less = without_each(Reading(*(part[:_ORDERS_LEFT_OUT] for part in reading)))
        every = Reading(*(np.concatenate(parts) for parts in zip(reading, less)))
        # A label's noise falls with its number of examples, hence the harmonic mean.
        shot = float(1 / np.mean(1 / np.bincount(slots)))
        lacking = [remarks.incomplete(record, self.model.form.leads) for record in windows]
        incomplete = [f"{name} ({why})" for name, why in zip(names, lacking) if why]
        unstated = calibration.outside(len(labels), shot)
        if incomplete:
            unstated = (
                f"{len(incomplete)} of {len(names)} examples are incomplete, such as "
                f"{incomplete[0]}, and whole recordings were calibrated"
            )
        warnings = (*remarks.about_examples(names, given, outlined),)
        if unstated:
            warnings = (remarks.no_rate(unstated), *warnings)
        embeddings, row = predictor.embed_windows(windows), calibration.at(len(labels), shot)
        basis = predictor.basis(embeddings)
        read = along(basis, embeddings)
        left_out = of_examples(predictor, read[None], slots[None])
        fitted = _Support(
            tuple(names),
            labels,
            slots,
            basis,
            read,
            calibration.scaled(embeddings),
            self.model.placed(embeddings),
            outlined,
            every,
            len(reading.support),
            row,
            recognition(left_out, slots[None], row.temperature)[0],
            unstated,
            warnings,
        )
        return dataclasses.replace(self, _support=fitted)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences for the reader about the examples, which hold for every query."""
        return self._fitted().warnings

    def _fitted(self) -> _Support:
        if self._support is None:
            raise MetaecgError("this diagnoser has no labelled examples yet; call fit first")
        return self._support

    @overload
    def __call__(self, query: Sequence[np.ndarray]) -> list[Diagnosis]: ...
    @overload
    def __call__(self, query: np.ndarray) -> Any: ...

    def __call__(self, query):
        """Diagnoses one recording, or several in one call.

        Args:
          query: float32 [samples, leads] in mV, as the support; or [Q, samples, leads], or a
            list of Q, of which each may be [windows, samples, leads]: a longer recording, whose
            windows' embeddings are averaged.

        Returns:
          A `Diagnosis`, or a list of Q.

        Raises:
          MetaecgError: a recording is not finite or of another shape; `fit` was not called.
        """
        if getattr(query, "ndim", 3) == 2:
            return self([query])[0]
        if not len(query):
            return []
        query = self.model.form.windows_of(query, ["the query"] * len(query))
        found: list[Diagnosis] = []
        for first in range(0, len(query), _BLOCK):
            # Read as one, or as a block, so that one program serves all other numbers of queries.
            size = 1 if len(query) == 1 else _BLOCK
            found += self._block(query[first : first + _BLOCK], size)
        return found

    def _block(self, windows: list[np.ndarray], size: int) -> list[Diagnosis]:
        support, model = self._fitted(), self.model
        way, count = len(support.labels), len(support.slots)
        counts, row = np.bincount(support.slots), support.row
        embedded, queries = model.predictor.embed_windows(windows), _first(windows)
        read = np.resize(along(support.basis, embedded), (size, support.read.shape[1]))
        both = np.concatenate([support.read, read])
        said = log_probs(model.predictor, both[None], support.slots[None], support.reading)
        said = said[:, : len(embedded)]
        by_order = calibrated(said[: support.orders], row.temperature)  # [P, Q, way]
        probs = mean_over_orders(by_order, axis=0)
        top = probs.argmax(-1)

        # Leave-one-out, against the same orders with everything in.
        less = said[support.orders :].reshape(-1, count, *said.shape[1:])  # [P', S, Q, way]
        gone = (counts[support.slots] == 1)[:, None] & (support.slots[:, None] == np.arange(way))
        less = calibrated(np.where(gone[None, :, None], -np.inf, less), row.temperature)
        change = (by_order[: len(less), None] - less).mean(0)  # [S, Q, way]
        others = counts[support.slots] > 1
        variants = np.concatenate([by_order, less.mean(0)[others]])
        low, high = variants.min(0), variants.max(0)
        effects = np.take_along_axis(change, top[None, :, None], -1)[..., 0].T
        scaled = model.calibration.scaled(embedded)
        apart = distances(scaled, support.scaled)
        near = np.zeros_like(apart)
        for label in range(way):
            mine = support.slots == label
            near[:, mine] = closeness(apart[:, mine], row.bandwidth)
        weights = near * probs[:, support.slots]

        inside = plausible(probs, row, self.error_rate, support.recognised)
        answered = sure(probs, row, self.error_rate, support.recognised)
        strange = model.calibration.strangeness(scaled) > model.calibration.strange
        alike = remarks.outlines(queries) @ support.outlines.T
        given = [support.labels[s] for s in support.slots]
        likeness = model.likeness(row, embedded, support.placed, support.slots)
        found = []
        for q, query in enumerate(windows):
            ranked = np.argsort(-probs[q], kind="stable")
            evidence = [
                Evidence(int(s), float(weights[q, s]), float(effects[q, s]))
                for s in np.argsort(-weights[q], kind="stable")
            ]
            gone = remarks.incomplete(query, model.form.leads, self.spare)
            stated = not (support.unstated or gone)
            warnings = [
                *remarks.about_copies(support.names, given, alike[q]),
                *remarks.about_orders(by_order[:, q].argmax(-1), int(top[q])),
            ]
            if gone:
                warnings.insert(0, remarks.no_rate(f"{gone}, and whole recordings were calibrated"))
            if strange[q]:
                warnings.append(remarks.STRANGE)
            like = float(likeness[q]) if stated and likeness is not None else None
            warnings += remarks.about_likeness(like)
            found.append(
                Diagnosis(
                    support.labels,
                    probs[q].astype(np.float32),
                    low[q].astype(np.float32),
                    high[q].astype(np.float32),
                    support.labels[top[q]] if answered[q] and stated else None,
                    tuple(support.labels[w] for w in ranked if inside[q, w] or not stated),
                    self.error_rate if stated else None,
                    tuple(evidence),
                    tuple(warnings),
                    like,
                )
            )
        return found


def _first(recordings: Sequence[np.ndarray]) -> np.ndarray:
    """The first window of each recording: [N, samples, leads]."""
    return np.stack([windows[0] for windows in recordings])
