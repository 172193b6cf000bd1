"""From labelled examples to a diagnoser, and from a recording to a diagnosis that can be checked.

diagnoser = Diagnoser(frozen, calibration).fit([("a.csv", "WPW", signal), ...])
diagnosis = diagnoser(query)         # float32 [samples, leads] in mV
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, overload

import numpy as np

from metaecg.diagnose.calibration import Calibration, Row, calibrated, closeness, plausible, sure
from metaecg.diagnose.predictor import Frozen, Reading, log_probs, readings, without_each
from metaecg.errors import MetaecgError

Example = tuple[str, str, np.ndarray]
"""(name, label, float32 [samples, leads] in mV)."""

SAME = 0.99
"""Recordings that correlate more than this are the same one."""

_BLOCK = 16  # queries answered at a time, where there are several
_ORDERS_LEFT_OUT = 2  # orders in which examples are left out


class Evidence(NamedTuple):
    """What one labelled example has to do with the answer.

    Attributes:
      example: its row in the support.
      weight: its share, 1 in all: the probability of its label, divided among the label's examples
        by closeness to the query, softmax(−d²/h) of distances between embeddings. It says which
        examples are like the query, not how the learner computed its answer; `effect` tests that.
      effect: probability of the likeliest label minus what it is without this example. A label
        without any example left has probability 0.
    """

    example: int
    weight: float
    effect: float


class Diagnosis(NamedTuple):
    """The answer to one query.

    Attributes:
      labels: the candidates, in the order of the support.
      probs: float32 [way], calibrated, mean over orders of the support.
      low: float32 [way], least over these orders and with any one example left out, of those whose
        label has others.
      high: float32 [way], greatest.
      answer: the likeliest label, or None: unsure. An answer is given where no other label is
        plausible, and answers as certain were wrong at most at `error_rate` in validation.
      plausible: conformal set, likeliest first; it misses the truth at `error_rate`.
      error_rate: of queries whose diagnosis is among `labels`, if unlike-seen diagnoses behave as
        those of validation did.
      evidence: one for each example, the largest weight first.
      warnings: sentences for the reader.
    """

    labels: tuple[str, ...]
    probs: np.ndarray
    low: np.ndarray
    high: np.ndarray
    answer: str | None
    plausible: tuple[str, ...]
    error_rate: float
    evidence: tuple[Evidence, ...]
    warnings: tuple[str, ...]


class _Support(NamedTuple):
    """What is computed once of the examples; `slots` int [S], their labels as numbers."""

    names: tuple[str, ...]
    labels: tuple[str, ...]
    slots: np.ndarray
    embeddings: np.ndarray
    outlines: np.ndarray
    reading: Reading  # the orders, then the first of these with each example left out
    orders: int
    row: Row
    warnings: tuple[str, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Diagnoser:
    """A learner that knows no diagnoses yet; `fit` gives it some.

    Attributes:
      frozen: the learner, with its variables inside.
      calibration: fitted on validation.
      error_rate: of the plausible sets and of the answers given, 0 < error_rate < 1.
      orders: of the support, averaged over, for learners that depend on it.
      seed: of these orders.
    """

    frozen: Frozen
    calibration: Calibration
    error_rate: float = 0.1
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
                "what it is to be told apart from, such as normal ECGs"
            )
        if self.frozen.slots is not None and len(labels) > self.frozen.slots:
            raise MetaecgError(
                f"{len(labels)} diagnoses are given, this model tells at most {self.frozen.slots} "
                "apart; give fewer"
            )
        longest = self.frozen.longest
        if longest is not None and len(given) > longest:
            raise MetaecgError(
                f"{len(given)} examples are given, this model reads at most {longest}; give up to "
                f"{longest // len(labels)} of each of the {len(labels)} diagnoses"
            )
        records = _checked(signals, names)
        slots = np.array([labels.index(label) for label in given])
        outlines = _outlines(records)
        rng = np.random.default_rng(self.seed)
        reading = readings(self.frozen, len(slots), len(labels), self.orders, rng)
        less = without_each(Reading(*(part[:_ORDERS_LEFT_OUT] for part in reading)))
        every = Reading(*(np.concatenate(parts) for parts in zip(reading, less)))
        fitted = _Support(
            tuple(names),
            labels,
            slots,
            np.asarray(self.frozen.embed(records)),
            outlines,
            every,
            len(reading.support),
            # A label's noise falls with its number of examples, hence the harmonic mean.
            self.calibration.at(len(labels), float(1 / np.mean(1 / np.bincount(slots)))),
            tuple(_about_support(names, given, outlines)),
        )
        return dataclasses.replace(self, _support=fitted)

    @overload
    def __call__(self, query: Sequence[np.ndarray]) -> list[Diagnosis]: ...
    @overload
    def __call__(self, query: np.ndarray) -> Any: ...

    def __call__(self, query):
        """Diagnoses one recording, or several in one call.

        Args:
          query: float32 [samples, leads] in mV, as the support; or [Q, samples, leads], or a
            list of Q.

        Returns:
          A `Diagnosis`, or a list of Q.

        Raises:
          MetaecgError: a recording is not finite or of another shape; `fit` was not called.
        """
        if getattr(query, "ndim", 3) == 2:
            return self([query])[0]
        if not len(query):
            return []
        query = _checked(list(query), ["the query"] * len(query))
        found: list[Diagnosis] = []
        for first in range(0, len(query), _BLOCK):
            block = query[first : first + _BLOCK]
            # Filled up, so that one program serves all numbers of queries but one.
            fill = 0 if len(query) == 1 else _BLOCK - len(block)
            whole = np.concatenate([block, np.repeat(block[:1], fill, axis=0)])
            found += self._block(whole)[: len(block)]
        return found

    def _block(self, queries: np.ndarray) -> list[Diagnosis]:
        support = self._support
        if support is None:
            raise MetaecgError("this diagnoser has no labelled examples yet; call fit first")
        if queries[0].size != support.outlines.shape[1]:
            raise MetaecgError(
                f"the query has {queries.shape[1]} samples of {queries.shape[2]} leads, unlike the "
                "examples"
            )
        way, count = len(support.labels), len(support.slots)
        counts, row = np.bincount(support.slots), support.row
        embedded = np.asarray(self.frozen.embed(queries))
        both = np.concatenate([support.embeddings, embedded])[None]
        said = log_probs(self.frozen, both, support.slots[None], support.reading)
        by_order = calibrated(said[: support.orders], row.temperature)  # [P, Q, way]
        probs = by_order.mean(0)
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

        distances = self.calibration.distances(embedded, support.embeddings)
        near = np.zeros_like(distances)
        for label in range(way):
            mine = support.slots == label
            near[:, mine] = closeness(distances[:, mine], row.bandwidth)
        weights = near * probs[:, support.slots]

        inside = plausible(probs, row, self.error_rate)
        answered = sure(probs, row, self.error_rate)
        strange = self.calibration.strangeness(embedded) > self.calibration.strange
        alike = _outlines(queries) @ support.outlines.T
        found = []
        for q in range(len(queries)):
            ranked = np.argsort(-probs[q], kind="stable")
            evidence = [
                Evidence(int(s), float(weights[q, s]), float(effects[q, s]))
                for s in np.argsort(-weights[q], kind="stable")
            ]
            found.append(
                Diagnosis(
                    support.labels,
                    probs[q].astype(np.float32),
                    low[q].astype(np.float32),
                    high[q].astype(np.float32),
                    support.labels[top[q]] if answered[q] else None,
                    tuple(support.labels[w] for w in ranked if inside[q, w]),
                    self.error_rate,
                    tuple(evidence),
                    (
                        *_about_query(support, alike[q], by_order[:, q].argmax(-1), int(top[q])),
                        *_about_distance(bool(strange[q]), bool(distances[q].min() > row.far)),
                        *support.warnings,
                    ),
                )
            )
        return found


def _checked(signals: Sequence[np.ndarray], names: Sequence[str]) -> np.ndarray:
    shape = np.shape(signals[0])
    for name, signal in zip(names, signals):
        if np.ndim(signal) != 2 or np.shape(signal) != shape:
            raise MetaecgError(
                f"{name}: shape {np.shape(signal)}; [samples, leads] {shape} needed as in the rest"
            )
        if not np.isfinite(signal).all():
            raise MetaecgError(f"{name}: there are missing samples (NaN); interpolate or cut them")
    return np.stack(signals).astype(np.float32)


def _outlines(records: np.ndarray) -> np.ndarray:
    """Records [N, samples, leads] without offset and of length 1: products are correlations."""
    flat = (records - records.mean(1, keepdims=True)).reshape(len(records), -1)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)


def _about_support(names: Sequence[str], labels: Sequence[str], outlines: np.ndarray):
    for label, count in Counter(labels).items():
        if count == 1:
            yield f"{label} has a single example; the answer hangs on that one recording"
    for i, j in zip(*np.nonzero(np.triu(outlines @ outlines.T > SAME, 1))):
        if labels[i] == labels[j]:
            yield f"{names[i]} and {names[j]} are the same recording, given twice as {labels[i]}"
        else:
            yield (
                f"{names[i]} and {names[j]} are the same recording, given once as {labels[i]} and "
                f"once as {labels[j]}; correct the labels"
            )


def _about_query(support: _Support, alike: np.ndarray, first: np.ndarray, top: int):
    for s in np.flatnonzero(alike > SAME):
        yield (
            f"this recording is among the examples, as {support.names[s]} "
            f"({support.labels[support.slots[s]]}); the answer proves nothing"
        )
    other = int((first != top).sum())
    if other > len(first) / 4:
        yield (
            f"the answer depends on the order of the examples: in {other} of {len(first)} orders "
            "another diagnosis is likeliest"
        )


def _about_distance(strange: bool, far: bool):
    if strange:
        yield (
            "this recording is unlike those the model was trained on (artefacts, another device, "
            "a wrong unit or rate?); the probabilities cannot be relied on"
        )
    if far:
        yield (
            "this recording is unlike all examples given; its diagnosis may be none of the "
            "candidates"
        )
