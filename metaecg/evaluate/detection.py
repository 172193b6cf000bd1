"""Detection: does this ECG show X, given K examples with X and K without?

One class against all else, asked of every record of a part that is not of a patient of the support:
at the part's own prevalence, and, by weighting, at one half. A part chosen for rare statements has
more of them than an archive or a clinic.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metaecg.errors import MetaecgError
from metaecg.evaluate.patient_intervals import Estimate, estimate
from metaecg.types import Array, Learner, LibraryIndex, Task, Variables

SCORES = ("auroc", "auprc", "auprc_balanced")


class Questions(NamedTuple):
    """E questions to a part of R records.

    Attributes:
      classes: int32 [E], the class X asked for.
      slots: int32 [E], 0 or 1, the slot that means 'has X'.
      support: int32 [E, 2K], rows in random order, no patient twice.
      support_slots: int32 [E, 2K].
      asked: bool [E, R], the records to answer: those of no patient of the support.
    """

    classes: np.ndarray
    slots: np.ndarray
    support: np.ndarray
    support_slots: np.ndarray
    asked: np.ndarray


def draw_questions(
    index: LibraryIndex, seed: int, *, shot: int, repeats: int, least: int = 5
) -> Questions:
    """The fixed questions of a seed: each class `repeats` times, with other examples each time.

    Args:
      index: the part of the library.
      seed: of the draw.
      shot: K, examples with X and as many without.
      repeats: draws of the examples of each class.
      least: patients with X that must be left to ask; classes with fewer are left out.

    Raises:
      MetaecgError: no class has enough patients.
    """
    labels: np.ndarray = np.asarray(index.labels)
    patients = np.asarray(index.patients)
    rng = np.random.default_rng(seed)
    have = np.diagonal(np.asarray(index.without))
    able = np.flatnonzero(have >= shot + least)
    if not len(able):
        raise MetaecgError(
            f"no class has {shot} + {least} patients to be detected: the most is {have.max()}; "
            "ask for fewer shots"
        )
    drawn: list[tuple[Any, ...]] = []
    for c in np.repeat(able, repeats):
        order = rng.permutation(len(labels))
        _, first = np.unique(patients[order], return_index=True)
        once = order[np.sort(first)]  # one record of each patient, for those without X
        carriers = order[labels[order, c]]
        _, first = np.unique(patients[carriers], return_index=True)
        with_x = carriers[np.sort(first)[:shot]]
        without_x = once[~labels[once, c] & ~np.isin(patients[once], patients[with_x])][:shot]
        if len(without_x) < shot:
            raise MetaecgError(f"fewer than {shot} patients without class {c}: lower the shots")
        rows, slot = np.concatenate([with_x, without_x]), int(rng.integers(2))
        mixed = rng.permutation(2 * shot)
        row_slots = np.repeat([slot, 1 - slot], shot)
        others = ~np.isin(patients, patients[rows])
        drawn.append((c, slot, rows[mixed], row_slots[mixed], others))
    *numbers, asked = (np.array(column) for column in zip(*drawn))
    classes, slots, support, support_slots = (column.astype(np.int32) for column in numbers)
    return Questions(classes, slots, support, support_slots, asked)


def answer(
    learner: Learner, variables: Variables, records: Array, questions: Questions, slots: int
) -> np.ndarray:
    """The log-odds of 'has X' that a learner gives each record: float32 [E, R].

    Log-odds, because the probabilities of sure learners round to 1 and would rank as equal.

    Args:
      learner: the question is a 2-way task to it.
      variables: its variables.
      records: of the part: [R, D], what `predictions.embed` returned, for a learner that embeds
        records by themselves; [R, samples, leads] in mV for one that adapts its encoder.
      questions: what to ask.
      slots: width of the labels that the learner takes, ≥ 2.
    """
    tell = learner.classify or learner.predict
    first = [
        np.asarray(_answer(tell, slots, variables, records, *question))
        for question in zip(questions.support, questions.support_slots)
    ]
    return np.where(questions.slots[:, None] == 0, first, np.negative(first))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _answer(tell, slots: int, variables, records, support, support_slots) -> Array:
    """Log-odds of slot 0: float32 [R]."""
    count = len(records)
    labels = jnp.zeros((count, slots)).at[support].set(jax.nn.one_hot(support_slots, slots))
    rows, sees = jnp.arange(count), jnp.full(count, len(support))
    task = Task(records, labels, support, rows, sees, jnp.int32(2))
    log_probs = tell(*variables, jax.tree.map(lambda x: x[None], task))[0]
    return log_probs[:, 0] - log_probs[:, 1]


class Areas(NamedTuple):
    """Areas under the curves of one question, in the order of `SCORES`.

    Attributes:
      values: float [3]; NaN where there are no positives or no negatives.
      influence: float [3, N], the derivative of each by how much a record counts; sums to 0.
    """

    values: np.ndarray
    influence: np.ndarray


def areas(scores: np.ndarray, positive: np.ndarray) -> Areas:
    """AUROC, AUPRC, and AUPRC with the negatives weighted as much as the positives.

    AUPRC is average precision: the mean over positives of the precision at their score, ties
    included.

    Args:
      scores: float [N].
      positive: bool [N].
    """
    positive = np.asarray(positive, bool)
    yeses, noes = int(positive.sum()), int((~positive).sum())
    if not yeses or not noes:
        return Areas(np.full(3, np.nan), np.full((3, len(scores)), np.nan))
    order = np.argsort(-scores)
    ranked = -scores[order]
    above, upto = (np.searchsorted(ranked, -scores, side) for side in ("left", "right"))

    def before(values: np.ndarray, place: np.ndarray) -> np.ndarray:
        """The sum of the values of the records ranked before each place."""
        return np.concatenate([[0.0], np.cumsum(values[order])])[place]

    # At the score of each record: positives and negatives from it on; ties count half for AUROC.
    true, false = before(positive, upto), before(~positive, upto)
    wins = noes - (false + before(~positive, above)) / 2
    losses = (true + before(positive, above)) / 2
    roc = wins[positive].sum() / (yeses * noes)
    of_roc = np.where(positive, wins / noes - roc, losses / yeses - roc)
    of_roc /= np.where(positive, yeses, noes)
    values, influences = [roc], [of_roc]
    for ratio, tied in ((1.0, 0.0), (yeses / noes, 1.0)):
        precision = true / (true + false * ratio)
        area = precision[positive].mean()
        square = np.where(positive, (true + false * ratio) ** -2.0, 0)
        # A record counts at every positive that does not score above it.
        gain, loss = (x.sum() - before(x, above) for x in (square * false * ratio, square * true))
        influence = np.where(positive, precision - area + gain, -ratio * loss) / yeses
        # The ratio itself follows how much positives and negatives count.
        turn = tied * ratio * (square * true * false).sum() / yeses
        influence += turn * np.where(positive, -1 / yeses, 1 / noes)
        values.append(area)
        influences.append(influence)
    return Areas(np.array(values), np.array(influences))


class Detected(NamedTuple):
    """Scores of one learner.

    Attributes:
      summary: JSON-ready: macro and per class, each score with its 95 % interval over patients.
      areas: float [3, E], of each question.
      influence: float32 [3, E, P], how far each patient asked moves each area.
    """

    summary: dict[str, Any]
    areas: np.ndarray
    influence: np.ndarray


def score(
    questions: Questions, scores: np.ndarray, index: LibraryIndex, classes: tuple[str, ...]
) -> Detected:
    """AUROC and AUPRC of each class, mean over its repeats, with intervals over patients.

    The intervals count both roles of a patient, asked and example, and the draw of the examples
    (`intervals`).

    Args:
      questions: what was asked.
      scores: float [E, R], what `answer` returned.
      index: the part.
      classes: names of its columns.
    """
    labels: np.ndarray = np.asarray(index.labels)
    _, who = np.unique(np.asarray(index.patients), return_inverse=True)
    kinds, kind = np.unique(questions.classes, return_inverse=True)
    values = np.empty((len(SCORES), len(kind)))
    influence = np.zeros((len(SCORES), len(kind), who.max() + 1), np.float32)
    for e, (c, asked) in enumerate(zip(questions.classes, questions.asked)):
        found = areas(scores[e, asked], labels[asked, c])
        values[:, e] = found.values
        for moved, each in zip(influence[:, e], found.influence):
            moved[:] = np.bincount(who[asked], each, influence.shape[-1])
    detected = Detected({}, values, influence)
    per_class = {}
    for k, c in enumerate(kinds):
        here = kind == k
        per_class[classes[c]] = {
            "records": int(labels[:, c].sum()),
            "patients": len(np.unique(who[labels[:, c]])),
            "prevalence": float(np.mean([labels[a, c].mean() for a in questions.asked[here]])),
            **_with_intervals(estimates(detected, questions, index, [k])),
        }
    macro = _with_intervals(estimates(detected, questions, index))
    left_out = [name for c, name in enumerate(classes) if c not in kinds]
    return detected._replace(summary={"macro": macro, "per_class": per_class, "left_out": left_out})


def gap(a: Detected, b: Detected) -> Detected:
    """The areas of a minus those of b, of the same questions; without a summary."""
    return Detected({}, a.areas - b.areas, a.influence - b.influence)


def difference(
    a: Detected, b: Detected, questions: Questions, index: LibraryIndex
) -> dict[str, tuple[float, float, float]]:
    """Macro scores of a minus those of b, of the same questions: (gap, low, high) of each score."""
    found = estimates(gap(a, b), questions, index)
    return {name: (each.value, *each.interval) for name, each in zip(SCORES, found)}


def estimates(
    detected: Detected,
    questions: Questions,
    index: LibraryIndex,
    chosen: Sequence[int] | None = None,
) -> list[Estimate]:
    """Of each score, the mean over the chosen classes (places among those asked for), or all."""
    patients, who = np.unique(np.asarray(index.patients), return_inverse=True)
    labels: np.ndarray = np.asarray(index.labels)
    kinds, kind = np.unique(questions.classes, return_inverse=True)
    places = range(len(kinds)) if chosen is None else chosen
    shot = questions.support.shape[1] // 2
    found = []
    for values, influence in zip(detected.areas, detected.influence):
        asked, example, *noise = np.zeros((4, len(patients)))
        chance = 0.0
        means: list[float] = []
        for k in places:
            here = np.flatnonzero(kind == k)
            repeats = len(here)
            means.append(values[here].mean())
            moved = influence[here].mean(0)
            asked += moved / len(places)
            carriers = np.unique(who[labels[:, kinds[k]]])
            serves = np.zeros((repeats, len(patients)))
            serves[np.arange(repeats)[:, None], who[questions.support[here]]] = 1
            # Whoever is an example is not asked: what that changes is no merit of the examples.
            fares = values[here] + serves @ moved
            if repeats > 1:
                noise[0] += influence[here].var(0, ddof=1) / repeats / len(places) ** 2
                chance += values[here].var(ddof=1) / repeats / len(places) ** 2
                dilution = (len(carriers) - 1) / max(len(carriers) - shot, 1)
                dilution *= repeats / (repeats - 1) / repeats / len(places)
                moves = (serves - serves.mean(0)) * (fares - fares.mean())[:, None] * dilution
                example[carriers] += moves.sum(0)[carriers]
                noise[1][carriers] += (moves**2).sum(0)[carriers]
        found.append(estimate(float(np.mean(means)), asked, example, np.array(noise), chance))
    return found


def _with_intervals(found: list[Estimate]) -> dict[str, Any]:
    """The scores as numbers with their 95 % intervals."""
    numbers: dict[str, Any] = {name: each.value for name, each in zip(SCORES, found)}
    ends = {f"{n}_ci95": tuple(map(_within_one, each.interval)) for n, each in zip(SCORES, found)}
    return numbers | ends


def _within_one(value: float) -> float:
    return min(max(value, 0.0), 1.0)
