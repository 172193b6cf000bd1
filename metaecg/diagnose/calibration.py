"""Numbers fitted on validation episodes that make a learner's answers mean what they say.

A temperature makes probabilities agree with frequencies (Guo et al. 2017), a quantile of conformal
scores gives sets of labels that miss the truth at a stated rate (Vovk et al. 2005; split conformal
prediction with the score 1 − p of Sadinle et al. 2019), and quantiles of distances say when a
recording is unlike all that was seen. All but the last depend on way and shot and are fitted for
several of each. What was fitted on some diagnoses is used on others: the stated rates hold for
unseen diagnoses only as far as these resemble them, which `measure` tells.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from metaecg import losses
from metaecg.diagnose.predictor import Frozen, Reading, log_probs, readings
from metaecg.errors import MetaecgError
from metaecg.types import Episode

_CHUNK = 20
"""Episodes answered at a time."""

FAR = 0.99
"""Share of validation recordings that are not called unusual."""

_LEVELS = np.linspace(0, 1, 201)


class Row(NamedTuple):
    """Numbers of one kind of episode.

    Attributes:
      way: number of labels.
      shot: examples of each.
      temperature: log-probabilities are divided by it.
      bandwidth: of the closeness that shares a label's probability among its examples.
      far: distance to the nearest example that a share `FAR` of queries stays below.
      scores: quantiles of 1 − p of the true label, at equal steps from 0 to 1.
      risks: share of wrong answers among queries whose likeliest label has at least probability
        0 … 1, at equal steps; one wrong answer is added, so that few queries prove little.
    """

    way: int
    shot: float
    temperature: float
    bandwidth: float
    far: float
    scores: tuple[float, ...]
    risks: tuple[float, ...]

    def threshold(self, error_rate: float) -> float:
        """The score up to which a label is plausible, so that sets miss the truth at that rate."""
        return float(np.interp(1 - error_rate, np.linspace(0, 1, len(self.scores)), self.scores))

    def sure(self, error_rate: float) -> float:
        """The probability from which on answers are wrong at that rate or less; inf if none."""
        enough = np.flatnonzero(np.array(self.risks) <= error_rate)
        return float(enough[0] / (len(self.risks) - 1)) if len(enough) else float("inf")


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
        """Reads what `to_json` wrote.

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
                    far=float(row["far"]),
                    scores=tuple(map(float, row["scores"])),
                    risks=tuple(map(float, row["risks"])),
                )
                for row in fields["rows"]
            )
            mean, spread = (tuple(map(float, fields[name])) for name in ("mean", "spread"))
            made = cls(rows, mean, spread, float(fields["strange"]))
            if not rows or len(mean) != len(spread):
                raise ValueError("no rows, or mean and spread differ in length")
        except (KeyError, TypeError, ValueError) as error:
            raise MetaecgError(
                f"calibration: {type(error).__name__} {error}; fit it again"
            ) from None
        return made

    def at(self, way: int, shot: float) -> Row:
        """The row of a way and shot: of the nearest way fitted, between the shots fitted.

        Beyond the fewest and most shots fitted, the row of these is used.
        """
        ways = sorted({row.way for row in self.rows}, key=lambda w: abs(np.log(w / way)))
        rows = sorted((row for row in self.rows if row.way == ways[0]), key=lambda row: row.shot)
        known = np.log([row.shot for row in rows])

        def between(values: list[float]) -> float:
            return float(np.interp(np.log(shot), known, values))

        return Row(
            way=way,
            shot=shot,
            temperature=between([row.temperature for row in rows]),
            bandwidth=between([row.bandwidth for row in rows]),
            far=between([row.far for row in rows]),
            scores=tuple(between(list(values)) for values in zip(*(row.scores for row in rows))),
            risks=tuple(between(list(values)) for values in zip(*(row.risks for row in rows))),
        )

    def distances(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Root mean square difference of embeddings in units of `spread`.

        Args:
          a: float [..., N, D].
          b: float [..., M, D].

        Returns:
          float [..., N, M].
        """
        a, b = a / np.array(self.spread), b / np.array(self.spread)
        square = (a**2).sum(-1)[..., :, None] + (b**2).sum(-1)[..., None, :]
        square = square - 2 * a @ np.swapaxes(b, -1, -2)
        return np.sqrt(np.maximum(square, 0) / a.shape[-1])

    def strangeness(self, embeddings: np.ndarray) -> np.ndarray:
        """Distance of embeddings [N, D] from the mean of those trained on: float [N]."""
        return self.distances(embeddings, np.array([self.mean]))[:, 0]


def calibrated(said: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities at a temperature, as many as there are readings; their mean is the answer.

    Args:
      said: log-probabilities [..., way]; any leading axes.
      temperature: 1 changes nothing, more makes less certain.
    """
    scaled = said / temperature
    exponent = np.exp(scaled - scaled.max(-1, keepdims=True))
    return exponent / exponent.sum(-1, keepdims=True)


def plausible(probs: np.ndarray, row: Row, error_rate: float) -> np.ndarray:
    """bool [..., way]: the labels of a set that misses the truth at the rate stated.

    Labels with 1 − p up to the row's threshold, and the likeliest in any case.

    Args:
      probs: float [..., way], calibrated.
      row: of this way and shot.
      error_rate: the rate, 0 < error_rate < 1.
    """
    return (1 - probs <= row.threshold(error_rate)) | (probs == probs.max(-1, keepdims=True))


def sure(probs: np.ndarray, row: Row, error_rate: float) -> np.ndarray:
    """bool [...]: whether the likeliest label may be given as the answer.

    It is, where no other label is plausible and answers as certain as this one were wrong at no
    more than the rate stated; arguments as of `plausible`.
    """
    alone = plausible(probs, row, error_rate).sum(-1) == 1
    return alone & (probs.max(-1) >= row.sure(error_rate))


def closeness(distances: np.ndarray, bandwidth: float) -> np.ndarray:
    """softmax(−d²/h) over the last axis: which examples are near."""
    return calibrated(-(distances**2), bandwidth)


def over_orders(
    frozen: Frozen, embeddings: np.ndarray, episodes: Episode, orders: int, seed: int = 0
) -> np.ndarray:
    """Log-probabilities in episodes, their support read in random orders.

    Args:
      frozen: the learner.
      embeddings: float32 [R, D], of the rows that the episodes speak of.
      episodes: leaves [E, ...].
      orders: how many; learners that do not depend on the order are read once.

    Returns:
      float32 [E, orders, Q, way].
    """
    rng = np.random.default_rng(seed)
    count, way = episodes.support.shape[1], episodes.classes.shape[1]
    said = []
    for first in range(0, len(episodes.support), _CHUNK):
        # The last chunk is filled up, so that it needs no program of its own.
        chosen = np.resize(np.arange(first, len(episodes.support))[:_CHUNK], _CHUNK)
        rows = np.concatenate([episodes.support[chosen], episodes.query[chosen]], axis=1)
        each = [readings(frozen, count, way, orders, rng) for _ in chosen]
        times = len(each[0].support)
        answer = log_probs(
            frozen,
            np.repeat(embeddings[rows], times, axis=0),
            np.repeat(episodes.support_slots[chosen], times, axis=0),
            Reading(*(np.concatenate(parts) for parts in zip(*each))),
        )
        said.append(answer.reshape(_CHUNK, times, *answer.shape[1:]))
    return np.concatenate(said)[: len(episodes.support)]


def fit_calibration(
    frozen: Frozen,
    embeddings: np.ndarray,
    episodes: Sequence[Episode],
    trained_on: np.ndarray,
    *,
    orders: int = 8,
    seed: int = 0,
) -> Calibration:
    """Fits all numbers; never on test episodes.

    Args:
      frozen: the learner.
      embeddings: float32 [R, D], of the validation records.
      episodes: of validation; each entry many episodes of one way and shot, leaves [E, ...].
      trained_on: float32 [T, D], embeddings of training records.
      orders: of the support, averaged over.
    """
    spread = trained_on.std(0)
    spread = np.maximum(spread, 1e-3 * spread.max())  # dead units have none
    partial = Calibration((), tuple(trained_on.mean(0).tolist()), tuple(spread.tolist()), 0.0)
    strange = float(np.quantile(partial.strangeness(embeddings), FAR))
    rows = tuple(_fit_row(partial, frozen, embeddings, drawn, orders, seed) for drawn in episodes)
    return partial._replace(rows=rows, strange=strange)


def _fit_row(
    partial: Calibration,
    frozen: Frozen,
    embeddings: np.ndarray,
    drawn: Episode,
    orders: int,
    seed: int,
) -> Row:
    way, shot = drawn.classes.shape[1], drawn.support.shape[1] // drawn.classes.shape[1]
    said = over_orders(frozen, embeddings, drawn, orders, seed)
    truth = drawn.query_slots
    temperature = _minimise(lambda t: _surprise(calibrated(said, t).mean(1), truth))
    probs = calibrated(said, temperature).mean(1)
    distances = partial.distances(embeddings[drawn.query], embeddings[drawn.support])
    belongs = drawn.support_slots[:, None, :] == truth[:, :, None]
    bandwidth = _minimise(
        lambda h: -np.log((closeness(distances, h) * belongs).sum(-1) + 1e-12).mean()
    )
    # The (n + 1)-th score, which nobody has seen, is the largest possible.
    scores = np.quantile(np.append(1 - _of_truth(probs, truth), 1.0), _LEVELS, method="higher")
    far = float(np.quantile(distances.min(-1), FAR))
    curves = (tuple(curve.round(5).tolist()) for curve in (scores, _risks(probs, truth)))
    return Row(way, float(shot), temperature, bandwidth, far, *curves)


def measure(
    frozen: Frozen,
    calibration: Calibration,
    embeddings: np.ndarray,
    episodes: Episode,
    *,
    error_rate: float = 0.1,
    orders: int = 8,
    seed: int = 1,
) -> dict[str, float]:
    """How well the stated rates hold on episodes, of test or any others; leaves [E, ...].

    Returns:
      accuracy, NLL and ECE of one reading as the learner states it (`raw_…`) and averaged and
      calibrated; `coverage` of the plausible sets, `worst_coverage` that of the class covered
      least; `set_size`; `answered`, the share of queries that are not 'unsure', and
      `wrong_answers`, the share of these that are wrong; `single` and `wrong_singles`, the same
      for all queries with a single plausible label.
    """
    way, shot = episodes.classes.shape[1], episodes.support.shape[1] // episodes.classes.shape[1]
    row = calibration.at(way, shot)
    said, truth = over_orders(frozen, embeddings, episodes, orders, seed), episodes.query_slots
    raw, probs = calibrated(said[:, 0], 1.0), calibrated(said, row.temperature).mean(1)
    inside, answered = plausible(probs, row, error_rate), sure(probs, row, error_rate)
    covered = np.take_along_axis(inside, truth[..., None], -1)[..., 0]
    classes = np.take_along_axis(episodes.classes, truth, 1)
    right = probs.argmax(-1) == truth
    single = inside.sum(-1) == 1
    return {
        "way": way,
        "shot": shot,
        "raw_accuracy": float((raw.argmax(-1) == truth).mean()),
        "accuracy": float(right.mean()),
        "raw_nll": _surprise(raw, truth),
        "nll": _surprise(probs, truth),
        "raw_ece": _calibration_error(raw, truth),
        "ece": _calibration_error(probs, truth),
        "coverage": float(covered.mean()),
        "worst_coverage": min(float(covered[classes == c].mean()) for c in np.unique(classes)),
        "set_size": float(inside.sum(-1).mean()),
        "single": float(single.mean()),
        "wrong_singles": float((single & ~right).sum() / max(1, single.sum())),
        "answered": float(answered.mean()),
        "wrong_answers": float((answered & ~right).sum() / max(1, answered.sum())),
    }


def _of_truth(probs: np.ndarray, truth: np.ndarray) -> np.ndarray:
    return np.take_along_axis(probs, truth[..., None], -1)[..., 0]


def _risks(probs: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Share of wrong answers, one more counted, among those of at least each level: [levels]."""
    certain = probs.max(-1).ravel()[:, None] >= _LEVELS
    wrong = (probs.argmax(-1) != truth).ravel()[:, None]
    return ((certain & wrong).sum(0) + 1) / (certain.sum(0) + 1)


def _surprise(probs: np.ndarray, truth: np.ndarray) -> float:
    return float(-np.log(_of_truth(probs, truth) + 1e-12).mean())


def _calibration_error(probs: np.ndarray, truth: np.ndarray) -> float:
    way = probs.shape[-1]
    flat, labels = probs.reshape(-1, way), np.eye(way)[truth.ravel()]
    return float(losses.calibration_error(jnp.asarray(flat), jnp.asarray(labels)))


def _minimise(loss) -> float:
    """The positive number of least loss, to a per mille: a grid over its logarithm, made finer."""
    low, high = np.log(1e-3), np.log(1e6)
    for _ in range(4):
        grid = np.linspace(low, high, 25)
        best = int(np.argmin([loss(x) for x in np.exp(grid)]))
        low, high = grid[max(0, best - 1)], grid[min(len(grid) - 1, best + 1)]
    return float(np.exp((low + high) / 2))
