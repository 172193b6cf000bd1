"""How readers go through an archive whose labels are known, from a few examples."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from metaecg.search import ranking
from metaecg.search.session import AMONG

READERS = ("review", "mixed", "fixed ranking", "nearest neighbour", "oracle")


class Archived(NamedTuple):
    """An archive in its space: [N, D], who carries the statement: bool [N], patients: int [N].

    `lengths` are those of `Archive.lengths`: float32 [N].
    """

    placed: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    lengths: np.ndarray


def draws(
    of: Archived, count: int, times: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of the examples, each of another patient, and which rows are not of these patients."""
    rng = np.random.default_rng(seed)
    for _ in range(times):
        rows = rng.permutation(np.flatnonzero(of.labels))
        first = np.sort(np.unique(of.patients[rows], return_index=True)[1])[:count]
        examples = rows[first]
        yield examples, ~np.isin(of.patients, of.patients[examples])


def block(read: int) -> int:
    """Readings between two rankings: each of the first hundred, then fewer of them."""
    return 1 if read < 100 else 10 if read < 500 else 50 if read < 2000 else 250


def highest(scores: np.ndarray, count: int) -> np.ndarray:
    """The rows of so many highest scores, or of all, the highest first."""
    best = np.argpartition(-scores, min(max(count, 1), len(scores)) - 1)[:count]
    return best[np.argsort(-scores[best], kind="stable")]


def review(
    of: Archived, examples: np.ndarray, free: np.ndarray, most: int, mixed: bool = False
) -> np.ndarray:
    """The order in which at most so many recordings are read by the loop: rows [n].

    With `mixed`, one in four is unlike those that were read, as `search.session` says.
    """
    unread, rows, size = free.copy(), list(examples), of.placed.shape[1]
    positive = of.placed[examples].T @ of.placed[examples]
    sums = [of.placed[examples].sum(0), np.zeros(size)]
    negative, counts, order = np.zeros((size, size)), [len(examples), 0], list[int]()
    while len(order) < most and unread.any():
        # As `ranking.direction`, from sums that grow with the answers.
        weight = min(1.0, counts[0] / max(1, counts[1]))
        if len(rows) <= size:
            sought = np.append(np.ones(len(examples), bool), of.labels[order])
            direction = ranking.direction(of.placed[rows], sought)
        else:
            matrix = positive + weight * negative + ranking.NOISE * np.eye(size)
            direction = np.linalg.solve(matrix, sums[0] + weight * ranking.NOT_SOUGHT * sums[1])
        scores = ranking.scores(of.placed @ direction.astype(np.float32), of.lengths)
        step = min(block(len(order)), int(unread.sum()))
        others = mixed * ((len(order) + step) // 4 - len(order) // 4)
        best = highest(np.where(unread, scores, -np.inf), step - others)
        unread[best] = False
        if others:
            likely = highest(np.where(unread, scores, -np.inf), min(AMONG, int(unread.sum())))
            seen = (of.placed[likely] @ of.placed[rows + best.tolist()].T).max(1)
            unlike = likely[highest(-seen, others)]
            unread[unlike] = False
            best = np.concatenate([best, unlike])
        order += best.tolist()
        rows += best.tolist()
        for kind, chosen in enumerate((best[of.labels[best]], best[~of.labels[best]])):
            vectors = of.placed[chosen]
            total = positive if kind == 0 else negative
            total += vectors.T @ vectors
            sums[kind] = sums[kind] + vectors.sum(0)
            counts[kind] += len(chosen)
    return np.array(order)


def by_scores(scores: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The order of a ranking that no answer changes."""
    return np.argsort(-np.where(free, scores, -np.inf), kind="stable")[: int(free.sum())]


def ranked(of: Archived, rows: np.ndarray, sought: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The order by some rows, of which it is known whether they are sought."""
    direction = ranking.direction(of.placed[rows], sought).astype(np.float32)
    return by_scores(ranking.scores(of.placed @ direction, of.lengths), free)


def first_ranking(of: Archived, examples: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The order by the examples alone, before any answer."""
    return ranked(of, examples, np.ones(len(examples), bool), free)


def left_out(of: Archived, examples: np.ndarray, free: np.ndarray) -> np.ndarray:
    """The place of each example in the ranking by the others."""
    placed = of.placed[examples]
    others = ranking.without_each(placed)
    along = of.placed @ others.astype(np.float32)
    return ranking.left_out_places(placed, others, along, of.lengths, free)


def orders(
    of: Archived, examples: np.ndarray, free: np.ndarray, most: int
) -> dict[str, np.ndarray]:
    """The order of reading of each of `READERS`."""
    everything = np.flatnonzero(free)
    return {
        "review": review(of, examples, free, most),
        "mixed": review(of, examples, free, most, mixed=True),
        "fixed ranking": first_ranking(of, examples, free),
        "nearest neighbour": by_scores(of.placed @ of.placed[examples[0]], free),
        "oracle": ranked(of, everything, of.labels[everything], free),
    }
