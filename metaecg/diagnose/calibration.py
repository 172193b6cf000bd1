"""Numbers fitted on validation episodes that make a learner's answers mean what they say.

A temperature makes probabilities agree with frequencies (Guo et al. 2017), a quantile of conformal
scores gives sets of labels that miss the truth at a stated rate (Vovk et al. 2005; split conformal
prediction with the score 1 − p of Sadinle et al. 2019), a binomial bound says from which certainty
on an answer may be given (Geifman & El-Yaniv 2017), and a quantile of distances says when a
recording is unlike all that the model was trained on. All but the last depend on way and shot, and
are fitted for several of each; outside what was fitted, no rate is stated.

Diagnoses differ: some are recognised by five examples, others hardly. A probability is therefore
judged against how well the label's own examples are recognised when they are left out
(`recognition`), and the quantile is one that holds for nine in ten statements, each by itself:
statements are drawn from a population as recordings are (Dunn, Wasserman & Ramdas 2023). What was
fitted on some diagnoses is used on others: the rates hold for unseen diagnoses as far as these
resemble those of the validation, which `stated_rates.measure` measures.
"""

import functools
from typing import Any, NamedTuple

import numpy as np

from metaecg.errors import MetaecgError

FAR = 0.99
"""Share of the validation's recordings that are not called unusual."""

EVIDENCE = 100
"""The fewest recordings that a certainty is judged by."""

STATEMENTS = 0.9
"""Share of statements of which plausible sets miss no more recordings than the rate stated."""


class Row(NamedTuple):
    """Numbers of one kind of episode.

    Attributes:
      way: number of labels.
      shot: examples of each.
      temperature: log-probabilities are divided by it.
      bandwidth: of the closeness that shares a label's probability among its examples.
      scores: the 1 − p, p as `adjusted`, up to which labels are plausible, for sets that hold the
        truth at rates of 0 … 1, at equal steps.
      risks: upper bound of the rate of wrong answers among queries whose likeliest label has at
        least probability 0 … 1, at equal steps.
      counts: how many recordings each of the risks rests on; empty in files of version 0.1.
      slope: how much of a label's recognition its log-odds are judged against.
      usual: the mean recognition.
      unlike: how unlike all candidates recordings are whose diagnosis is one of them, as
        `background.unlikeness`: up to which a share of 0 … 1 is, at equal steps. Empty without a
        background.
    """

    way: int
    shot: float
    temperature: float
    bandwidth: float
    scores: tuple[float, ...]
    risks: tuple[float, ...]
    counts: tuple[float, ...] = ()
    slope: float = 0.0
    usual: float = 0.0
    unlike: tuple[float, ...] = ()

    def threshold(self, error_rate: float) -> float:
        """The score up to which a label is plausible, so that sets miss the truth at that rate."""
        return float(np.interp(1 - error_rate, np.linspace(0, 1, len(self.scores)), self.scores))

    def sure(self, error_rate: float) -> float:
        """The probability from which on answers are wrong at that rate or less; inf if none.

        Thresholds are tested one after another, the strictest first, and the first whose bound is
        above the rate ends the test: so the bound holds for the one that is chosen, as it would not
        for the best of all. The first is the strictest that rests on `EVIDENCE` recordings.
        """
        risks = np.array(self.risks)
        enough = np.array(self.counts) >= EVIDENCE if self.counts else risks <= error_rate
        chosen = float("inf")
        for level in range(max(np.flatnonzero(enough), default=-1), -1, -1):
            if risks[level] > error_rate:
                break
            chosen = level / (len(risks) - 1)
        return float(chosen)

    def likeness(self, unlike: np.ndarray) -> np.ndarray | None:
        """Share of recordings with a candidate's diagnosis that were as unlike all, or more so."""
        if not self.unlike:
            return None
        return 1 - np.interp(unlike, self.unlike, np.linspace(0, 1, len(self.unlike)))


class Calibration(NamedTuple):
    """Plain numbers, for JSON.

    Attributes:
      rows: one for each way and shot that was fitted.
      mean: float [D], of the training embeddings.
      spread: float [D], standard deviation of the training embeddings.
      strange: distance from `mean` that a share `FAR` of validation recordings stays below.
    """

    rows: tuple[Row, ...]
    mean: tuple[float, ...]
    spread: tuple[float, ...]
    strange: float

    def to_json(self) -> dict[str, Any]:
        """Numbers, lists and mappings, for `json.dumps`."""
        return {**self._asdict(), "rows": [row._asdict() for row in self.rows]}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Calibration":
        """Reads what `to_json` wrote, in this version or in 0.1.

        Raises:
          MetaecgError: a field is missing or of another form.
        """
        try:
            rows = tuple(
                Row(
                    way=int(row["way"]),
                    shot=float(row["shot"]),
                    temperature=float(row["temperature"]),
                    bandwidth=float(row["bandwidth"]),
                    scores=tuple(map(float, row["scores"])),
                    risks=tuple(map(float, row["risks"])),
                    counts=tuple(map(float, row.get("counts", ()))),
                    slope=float(row.get("slope", 0)),
                    usual=float(row.get("usual", 0)),
                    unlike=tuple(map(float, row.get("unlike", ()))),
                )
                for row in fields["rows"]
            )
            mean, spread = (tuple(map(float, fields[name])) for name in ("mean", "spread"))
            made = cls(rows, mean, spread, float(fields["strange"]))
            if not rows or len(mean) != len(spread):
                raise ValueError("no rows, or mean and spread differ in length")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MetaecgError(
                f"calibration: {type(error).__name__} {error}; fit it again"
            ) from None
        return made

    def outside(self, way: int, shot: float) -> str:
        """Why no rate can be stated for a way and shot; empty where one can.

        A way is within where it lies between two that were fitted, and a shot where it lies between
        those that were fitted for both of these ways.
        """
        ways = sorted({row.way for row in self.rows})
        if not ways[0] <= way <= ways[-1]:
            fitted = f"{ways[0]}" + (f" to {ways[-1]}" if len(ways) > 1 else "")
            return f"there are {way} candidates, and the calibration was fitted for {fitted}"
        near = max(w for w in ways if w <= way), min(w for w in ways if w >= way)
        shots = [[row.shot for row in self.rows if row.way == w] for w in near]
        least, most = max(map(min, shots)), min(map(max, shots))
        if not least <= shot <= most:
            return (
                f"there are about {shot:.3g} examples of each of {way} candidates, and the "
                f"calibration was fitted for {least:g} to {most:g}"
            )
        return ""

    def at(self, way: int, shot: float) -> Row:
        """The row of a way and shot, between those fitted, on a logarithmic scale of both.

        Beyond the least and the most that were fitted, the row of these is used; see `outside`.
        """
        ways = sorted({row.way for row in self.rows})
        lower = max((w for w in ways if w <= way), default=ways[0])
        upper = min((w for w in ways if w >= way), default=ways[-1])
        low, high = self._at_shot(lower, shot), self._at_shot(upper, shot)
        weight = 0.0 if lower == upper else np.log(way / lower) / np.log(upper / lower)
        values = [low] if lower == upper else [low, high]
        return _between(values, [0.0, 1.0][: len(values)], weight)._replace(way=way, shot=shot)

    def _at_shot(self, way: int, shot: float) -> Row:
        rows = sorted((row for row in self.rows if row.way == way), key=lambda row: row.shot)
        return _between(rows, list(np.log([row.shot for row in rows])), float(np.log(shot)))

    def scaled(self, embeddings: np.ndarray) -> np.ndarray:
        """Embeddings [N, D] from `mean` in units of `spread`: float64 [N, D], for `distances`."""
        return (embeddings - _array(self.mean)) / _array(self.spread)

    def strangeness(self, scaled: np.ndarray) -> np.ndarray:
        """Root mean square of `scaled` embeddings [N, D], their distance from the mean: float [N].

        With the encoder that is shipped it finds wrong gains: of 150 recordings of PTB-XL, 97 % at
        ten times their size and 65 % at five times, and none as they are. Noise, a wrong rate and
        exchanged leads it does not find (at most 2 %).
        """
        return np.sqrt((scaled**2).mean(-1))


# Made once, for it would take about a millisecond in every diagnosis.
_array = functools.lru_cache(maxsize=16)(np.array)


def distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Root mean square differences [N, M] of `scaled` embeddings [N, D] and [M, D]."""
    square = (a**2).sum(-1)[:, None] + (b**2).sum(-1) - 2 * a @ b.T
    return np.sqrt(np.maximum(square, 0) / a.shape[-1])


def _between(rows: list[Row], known: list[float], at: float) -> Row:
    """Each number of rows that are known at some places, interpolated."""

    def between(values: Any) -> Any:
        if isinstance(values[0], tuple):
            return tuple(between(each) for each in zip(*values))
        return float(np.interp(at, known, values))

    return Row(*(between(values) for values in zip(*rows)))


def calibrated(said: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities at a temperature, as many as there are readings; their mean is the answer.

    Args:
      said: log-probabilities [..., way]; any leading axes.
      temperature: 1 changes nothing, more makes less certain.
    """
    scaled = said / temperature
    exponent = np.exp(scaled - scaled.max(-1, keepdims=True))
    return exponent / exponent.sum(-1, keepdims=True)


def recognition(said: np.ndarray, labels: np.ndarray, temperature: float) -> np.ndarray:
    """How well the examples of each label are recognised when they are left out.

    Args:
      said: log-probabilities [B, S, way], of `predictor.of_examples`.
      labels: int [B, S], whose they are.
      temperature: of the row.

    Returns:
      float [B, way], the mean log-odds of the examples' own label; NaN for a single example.
    """
    odds = log_odds(of_label(calibrated(said, temperature), labels))
    one_hot = labels[..., None] == np.arange(said.shape[-1])
    return np.where(one_hot, odds[..., None], 0).sum(-2) / one_hot.sum(-2)


def log_odds(probs: np.ndarray) -> np.ndarray:
    """log p / (1 − p), finite."""
    kept = np.clip(probs, 1e-6, 1 - 1e-6)
    return np.log(kept / (1 - kept))


def of_label(probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The probability [..., N] of a label each, of probs [..., N, way]."""
    return np.take_along_axis(probs, labels[..., None], -1)[..., 0]


def adjusted(probs: np.ndarray, row: Row, recognised: np.ndarray) -> np.ndarray:
    """Probabilities judged against how well each label is recognised at all, no longer 1 in all.

    Args:
      probs: float [..., Q, way], calibrated.
      row: of this way and shot.
      recognised: float [..., way], `recognition`; NaN changes nothing.
    """
    beyond = np.where(np.isnan(recognised), 0, recognised - row.usual)
    return 1 / (1 + np.exp(row.slope * beyond[..., None, :] - log_odds(probs)))


def plausible(probs: np.ndarray, row: Row, error_rate: float, recognised: np.ndarray) -> np.ndarray:
    """bool [..., Q, way]: the labels of a set that misses the truth at the rate stated.

    Labels with 1 − p up to the row's threshold, p as `adjusted`, and the likeliest in any case.

    Args:
      probs: float [..., Q, way], calibrated.
      row: of this way and shot.
      error_rate: the rate, 0 < error_rate < 1.
      recognised: float [..., way], `recognition`.
    """
    inside = 1 - adjusted(probs, row, recognised) <= row.threshold(error_rate)
    return inside | (probs == probs.max(-1, keepdims=True))


def sure(probs: np.ndarray, row: Row, error_rate: float, recognised: np.ndarray) -> np.ndarray:
    """bool [..., Q]: whether the likeliest label may be given as the answer.

    It is, where no other label is plausible and answers as certain as this one were wrong at no
    more than the rate stated; arguments as of `plausible`.
    """
    alone = plausible(probs, row, error_rate, recognised).sum(-1) == 1
    return alone & (probs.max(-1) >= row.sure(error_rate))


def closeness(distances: np.ndarray, bandwidth: float) -> np.ndarray:
    """softmax(−d²/h) over the last axis: which examples are near."""
    return calibrated(-(distances**2), bandwidth)
