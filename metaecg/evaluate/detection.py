"""Detection: does this ECG show X, given K examples with X and K without?

One class against all else, asked of every record of a part that is not of a patient of the support:
at the part's own prevalence, and, by weighting, at one half. A part chosen for rare statements has
more of them than an archive or a clinic.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from metaecg.errors import MetaecgError
from metaecg.evaluate.statistics import patient_weights
from metaecg.types import Array, Learner, LibraryIndex, Task, Variables

SCORES = ("auroc", "auprc", "auprc_balanced")


class Questions(NamedTuple):
    """E questions to a part of R records.

    Attributes:
      classes: int32 [E], the class X asked for.
      slots: int32 [E], 0 or 1, the slot that stands for 'has X'.
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
    classes, slots, support, support_slots, asked = (np.array(column) for column in zip(*drawn))
    return Questions(
        classes.astype(np.int32),
        slots.astype(np.int32),
        support.astype(np.int32),
        support_slots.astype(np.int32),
        asked,
    )


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


def areas(weights: np.ndarray, scores: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """AUROC, AUPRC, and AUPRC with the negatives weighted as much as the positives.

    AUPRC is average precision: the mean over positives of the precision at their score, ties
    included.

    Args:
      weights: float [B, N], how often each record counts in each of B samples.
      scores: float [N].
      positive: bool [N].

    Returns:
      float [3, B]; NaN where a sample lacks positives or negatives.
    """
    order = np.argsort(-scores)
    ranked, positive = scores[order], positive[order]
    weights = np.asarray(weights, np.float64)[:, order]
    summed = np.cumsum(np.pad(weights * positive, ((0, 0), (1, 0))), axis=1)
    passed = np.cumsum(np.pad(weights * ~positive, ((0, 0), (1, 0))), axis=1)
    above, upto = (np.searchsorted(-ranked, -ranked[positive], side) for side in ("left", "right"))
    # At the score of each positive: positives and negatives from it on, and negatives that tie.
    yes, true, false = weights[:, positive], summed[:, upto], passed[:, upto]
    ties = false - passed[:, above]
    yeses, noes = summed[:, -1:], passed[:, -1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        roc = np.sum(yes * (noes - false + ties / 2), axis=1) / (yeses * noes)[:, 0]
        # A record that does not count has no precision, and no share in the mean.
        natural, balanced = (
            np.sum(np.where(yes > 0, yes * true / (true + false * ratio), 0), axis=1) / yeses[:, 0]
            for ratio in (1, yeses / noes)
        )
    return np.array([roc, natural, balanced])


class Detected(NamedTuple):
    """Scores of one learner.

    Attributes:
      summary: JSON-ready: macro and per class, each score with its 95 % interval over patients.
      macro: float [3, 1 + draws], means over classes, of the part itself and of each bootstrap
        sample of its patients; the same samples for every learner.
    """

    summary: dict[str, Any]
    macro: np.ndarray


def score(
    questions: Questions,
    scores: np.ndarray,
    index: LibraryIndex,
    classes: tuple[str, ...],
    *,
    draws: int = 500,
    seed: int = 0,
) -> Detected:
    """AUROC and AUPRC of each class, mean over its repeats, with intervals by patient bootstrap.

    Args:
      questions: what was asked.
      scores: float [E, R], what `answer` returned.
      index: the part.
      classes: names of its columns.
      draws: bootstrap samples of the part's patients.
      seed: of the bootstrap.
    """
    labels: np.ndarray = np.asarray(index.labels)
    _, who = np.unique(np.asarray(index.patients), return_inverse=True)
    people = patient_weights(who.max() + 1, draws, seed)
    weights = np.concatenate([np.ones((1, people.shape[1])), people])[:, who.reshape(-1)]
    found: dict[int, list[np.ndarray]] = {}
    for c, asked, said in zip(questions.classes.tolist(), questions.asked, scores):
        found.setdefault(c, []).append(areas(weights[:, asked], said[asked], labels[asked, c]))
    means = {c: np.mean(repeats, axis=0) for c, repeats in found.items()}
    macro = np.nanmean(list(means.values()), axis=0)
    per_class = {}
    for c, mean in means.items():
        prevalence = np.mean([labels[a, c].mean() for a in questions.asked[questions.classes == c]])
        carriers = int(labels[:, c].sum())
        per_class[classes[c]] = {
            "records": carriers,
            "prevalence": float(prevalence),
            **_with_intervals(mean),
        }
    left_out = [name for c, name in enumerate(classes) if c not in found]
    summary = {"macro": _with_intervals(macro), "per_class": per_class, "left_out": left_out}
    return Detected(summary, macro)


def difference(a: Detected, b: Detected) -> dict[str, tuple[float, float, float]]:
    """Macro scores of a minus those of b, on the same resampled patients: (gap, low, high)."""
    gap = a.macro - b.macro
    low, high = _ends(gap)
    return {n: (float(gap[i, 0]), float(low[i]), float(high[i])) for i, n in enumerate(SCORES)}


def _with_intervals(values: np.ndarray) -> dict[str, Any]:
    """Scores [3, 1 + draws] as numbers and 95 % intervals."""
    low, high = np.clip(_ends(values), 0, 1)
    numbers = {n: float(values[i, 0]) for i, n in enumerate(SCORES)}
    return numbers | {f"{n}_ci95": (float(low[i]), float(high[i])) for i, n in enumerate(SCORES)}


def _ends(values: np.ndarray) -> np.ndarray:
    """95 % intervals [2, 3] of values [3, 1 + draws], around the part's own."""
    # A patient drawn twice ranks beside himself, which lifts AUPRC in every sample alike.
    lift = np.nanmedian(values[:, 1:], axis=1) - values[:, 0]
    return np.nanquantile(values[:, 1:], [0.025, 0.975], axis=1) - lift
