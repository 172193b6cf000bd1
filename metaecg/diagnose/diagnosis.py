"""What is said of one recording."""

from typing import NamedTuple

import numpy as np


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
      plausible: conformal set, likeliest first; of nine in ten diagnoses it misses `error_rate` at
        most, of version 0.1 of all recordings together. All labels where no rate can be stated.
      error_rate: of queries whose diagnosis is among `labels`, if unseen diagnoses behave as those
        of the validation did; None where no rate can be stated.
      evidence: one for each example, the largest weight first.
      warnings: sentences about this query; those of the `Diagnoser` are about the examples.
      likeness: share of validation recordings with a candidate's diagnosis that were as little like
        any candidate as this one; None where no rate can be stated or no background is known.
    """

    labels: tuple[str, ...]
    probs: np.ndarray
    low: np.ndarray
    high: np.ndarray
    answer: str | None
    plausible: tuple[str, ...]
    error_rate: float | None
    evidence: tuple[Evidence, ...]
    warnings: tuple[str, ...]
    likeness: float | None = None
