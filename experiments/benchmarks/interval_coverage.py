"""How often the 95 % intervals over patients hold the truth, in a world where it is known.

    python -m experiments.benchmarks.interval_coverage --libraries=400

A world has twenty diagnoses, each a cloud of patients with records of their own. A library of it
has 20 to 200 patients a diagnosis. Two learners read two views of the records that are equally good
by construction, each by the nearest centroid. Their true scores come from patients without number.
The table counts, over many libraries, how often the interval of a score and that of the difference
hold the truth, and how often two equal learners differ with p < 0.05.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from absl import flags
from tqdm import tqdm

from experiments.runs import command_line
from experiments.tables import markdown
from metaecg.episodes import evaluation_sets
from metaecg.evaluate import detection, patient_intervals
from metaecg.evaluate.patient_intervals import Estimate
from metaecg.types import Episode, LibraryIndex

FLAGS = flags.FLAGS

SIZES = np.geomspace(20, 200, 20).round().astype(int)
"""Patients of each diagnosis."""
WAY, QUERY, REPEATS = 5, 5, 10
_SHARED, _OWN = 6, 6
_VIEWS = (np.arange(12), np.r_[0:6, 12:18])
"""The dimensions each learner reads: six in common, six of its own."""


class Sample(NamedTuple):
    """A library of the world: records float [R, 18] and who carries what."""

    records: np.ndarray
    members: LibraryIndex


def centres() -> np.ndarray:
    """The middle of each diagnosis: float [20, 18], the same in both learners' own dimensions."""
    rng = np.random.default_rng(7)
    shared, own = (rng.normal(0, 0.55, (len(SIZES), n)) for n in (_SHARED, _OWN))
    return np.concatenate([shared, own, own], axis=1)


def patients(rng: np.random.Generator, diagnoses: np.ndarray) -> np.ndarray:
    """Patients around the middle of their diagnoses, some more unlike it than others."""
    scale = np.sqrt(rng.gamma(4, 0.25, (len(diagnoses), 1)))
    middle = centres()[diagnoses]
    return middle + rng.normal(0, 0.8, middle.shape) * scale


def records(rng: np.random.Generator, of: np.ndarray) -> np.ndarray:
    """A record of each patient."""
    return of + rng.normal(0, 0.6, of.shape)


def sample(rng: np.random.Generator, times: int = 1) -> Sample:
    """A library; a quarter of the patients have two records. `times` as many patients."""
    diagnoses = np.repeat(np.arange(len(SIZES)), SIZES * times)
    who = np.repeat(np.arange(len(diagnoses)), 1 + (rng.random(len(diagnoses)) < 0.25))
    labels = np.eye(len(SIZES), dtype=bool)[diagnoses[who]]
    return Sample(records(rng, patients(rng, diagnoses)[who]), LibraryIndex(labels, who))


def right(seen: np.ndarray, episodes: Episode) -> np.ndarray:
    """Whether the nearest centroid of [R, D] answers each query rightly: float [E, Q]."""
    slots = np.eye(WAY)[episodes.support_slots]
    middle = np.einsum("esd,esw->ewd", seen[episodes.support], slots) / slots.sum(1)[..., None]
    asked = seen[episodes.query]
    distance = (middle**2).sum(-1)[:, None] - 2 * np.einsum("eqd,ewd->eqw", asked, middle)
    return (distance.argmin(-1) == episodes.query_slots).astype(float)


def log_odds(seen: np.ndarray, questions: detection.Questions) -> np.ndarray:
    """How much nearer each record is to the centroid of those with X: float [E, R]."""
    has = questions.support_slots == questions.slots[:, None]
    yes, no = (
        (seen[questions.support] * x[..., None]).sum(1) / x.sum(1)[:, None] for x in (has, ~has)
    )
    return 2 * (yes - no) @ seen.T - ((yes**2).sum(1) - (no**2).sum(1))[:, None]


def true_accuracy(shot: int, episodes: int = 100_000, batch: int = 4_000) -> float:
    """The accuracy in episodes of ever new patients, mean of both learners, which are equal."""
    rng, found = np.random.default_rng(1), []
    slots = np.arange(WAY)
    for _ in range(episodes // batch):
        classes = rng.permuted(np.tile(np.arange(len(SIZES)), (batch, 1)), axis=1)[:, :WAY]
        of = patients(rng, classes.repeat(shot + QUERY, axis=1).ravel())
        every = records(rng, of).reshape(batch, WAY, shot + QUERY, -1)
        for view in _VIEWS:
            middle = every[:, :, :shot, view].mean(2)
            asked = every[:, :, shot:, view].reshape(batch, WAY * QUERY, -1)
            distance = (middle**2).sum(-1)[:, None] - 2 * asked @ middle.swapaxes(1, 2)
            found.append((distance.argmin(-1) == slots.repeat(QUERY)).mean())
    return float(np.mean(found))


def true_areas(shot: int, libraries: int) -> np.ndarray:
    """The mean areas over libraries of this size: float [3]; precision depends on their size."""
    found = []
    for number in range(libraries):
        library = sample(np.random.default_rng([number, shot, 99]))
        labels = np.asarray(library.members.labels)
        questions = detection.draw_questions(library.members, number, shot=shot, repeats=REPEATS)
        for view in _VIEWS:
            said = log_odds(library.records[:, view], questions)
            asked = zip(said, questions.classes, questions.asked)
            found.append([detection.areas(s[a], labels[a, c]).values for s, c, a in asked])
    return np.mean(found, axis=(0, 1))


def accuracies(library: Sample, shot: int, seed: int) -> tuple[Estimate, Estimate]:
    """The first learner's accuracy, and the difference of both."""
    drawn = evaluation_sets.balanced(
        library.members, seed, FLAGS.episodes, way=WAY, shot=shot, query=QUERY
    )
    first, second = (right(library.records[:, view], drawn) for view in _VIEWS)
    who = np.asarray(library.members.patients)
    one, gap = (patient_intervals.over_patients(y, drawn, who) for y in (first, first - second))
    return one, gap


def detections(library: Sample, shot: int, seed: int) -> list[tuple[Estimate, Estimate]]:
    """Of each area, the first learner's mean over diagnoses, and the difference of both."""
    questions = detection.draw_questions(library.members, seed, shot=shot, repeats=REPEATS)
    names = tuple(map(str, range(len(SIZES))))
    first, second = (
        detection.score(
            questions, log_odds(library.records[:, v], questions), library.members, names
        )
        for v in _VIEWS
    )
    gap = detection.gap(first, second)
    return list(zip(*(detection.estimates(x, questions, library.members) for x in (first, gap))))


def row(name: str, shot: int, truth: float, found: list[tuple[Estimate, Estimate]]) -> list[str]:
    """What the table says of a score."""
    cells = [name, str(shot), f"{truth:.3f}"]
    for estimates, true in zip(zip(*found), (truth, 0.0)):
        ends = np.array([each.interval for each in estimates])
        values = np.array([each.value for each in estimates])
        stated = np.sqrt(np.mean([each.deviation**2 for each in estimates]))
        cells += [f"{values.std(ddof=1):.4f}", f"{stated:.4f}"]
        cells.append(f"{np.mean((ends[:, 0] <= true) & (true <= ends[:, 1])):.3f}")
    return [*cells, f"{np.mean([gap.p < 0.05 for _, gap in found]):.3f}"]


def define_flags() -> None:
    flags.DEFINE_integer("libraries", 400, "Libraries drawn from the world.", lower_bound=2)
    flags.DEFINE_integer("episodes", 1000, "Episodes of each library and shot.", lower_bound=2)
    flags.DEFINE_list("shots", ["1", "5", "10"], "Examples of each class.")
    flags.DEFINE_boolean("detection", True, "Whether detection is measured, too.")


def main(_) -> None:
    shots, rows = command_line.counts("shots", FLAGS.shots), []
    for shot in shots:
        found = _of_each(accuracies, shot)
        rows.append(row("accuracy", shot, true_accuracy(shot), found))
    for shot in shots if FLAGS.detection else []:
        each = _of_each(detections, shot)
        truth = true_areas(shot, max(2, FLAGS.libraries // 2))
        for i, name in enumerate(("macro-AUROC", "macro-AUPRC", "macro-AUPRC, half with X")):
            rows.append(row(name, shot, truth[i], [of[i] for of in each]))
    heads = ["score", "shot", "truth", "deviation", "stated", "coverage"]
    heads += ["deviation of the difference", "stated", "coverage", "p < 0.05"]
    print(markdown.table(heads, rows))


def _of_each(measure: Callable[[Sample, int, int], Any], shot: int) -> list[Any]:
    numbers = tqdm(range(FLAGS.libraries), unit="library", desc=f"{shot}-shot", leave=False)
    return [measure(sample(np.random.default_rng([n, shot])), shot, n) for n in numbers]


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
