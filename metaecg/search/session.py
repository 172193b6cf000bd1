"""A reading of an archive: what to read next, and what the answers so far say of the rest.

In a loop::

    session = Session(archive, question)
    while not session.remaining().soon < 1:
        row, why = session.next()
        session.answer(row, read_by_a_cardiologist(row))
"""

from typing import Literal, NamedTuple

import numpy as np

from metaecg.errors import MetaecgError
from metaecg.search import ranking, remaining
from metaecg.search.archive import Archive
from metaecg.search.probability import log_place
from metaecg.search.question import Question, left_out_places

Verdict = Literal["yes", "no", "unsure"]
VERDICTS: tuple[Verdict, ...] = ("yes", "no", "unsure")
Why = Literal["likeliest", "unlike", "control"]
STRATEGIES = ("likeliest", "mixed")

SOON = 50
"""Readings that `Remaining.soon` looks ahead."""

_EVERY = 4
"""In a mixed reading, one recording out of this many is unlike those that were read."""

AMONG = 20
"""The likeliest, of which the one least like any that was read is asked for."""


class Answer(NamedTuple):
    """One reading: the row, what was said, why it was shown, and its place in the ranking then."""

    row: int
    verdict: Verdict
    why: Why
    place: float


class Session:
    """The state of a reading; all that it says follows from the question and the answers so far.

    Args:
      archive: what is read; its embeddings are held in memory, float32.
      question: the examples.
      strategy: 'likeliest', or 'mixed', which in between asks for what is unlike all that was read.
      control: share of the readings that are of the random control sample, 0 to 1.
      seed: of the control sample.

    Attributes:
      answers: those that were given and not taken back.
      scores: float32 [N], with all answers so far.
    """

    def __init__(
        self,
        archive: Archive,
        question: Question,
        *,
        strategy: str = "likeliest",
        control: float = 0.1,
        seed: int = 0,
    ):
        if strategy not in STRATEGIES:
            raise MetaecgError(f"strategy {strategy!r}: is none of {', '.join(STRATEGIES)}")
        if not 0 <= control <= 1:
            raise MetaecgError(f"control {control:g}: is a share, from 0 to 1")
        self.question, self.strategy, self.control = question, strategy, control
        self._placed = np.concatenate([block for _, block in archive.placed()])
        self._lengths = archive.lengths
        self._free = np.ones(len(self._placed), bool)
        self._free[question.known] = False
        if not self._free.any():
            raise MetaecgError("the archive holds nothing but the examples: none is left to read")
        self._order = np.random.default_rng(seed).permutation(np.flatnonzero(self._free))
        self._prior = remaining.prior(left_out_places(archive, question))
        self.answers: list[Answer] = []
        self._fit()

    def _fit(self) -> None:
        yes, no = self.found, self._read("no")
        placed = np.concatenate([self.question.placed, self._placed[yes + no]])
        said = np.repeat([True, False], [len(yes), len(no)])
        sought = np.concatenate([self.question.sought, said])
        along = self._placed @ ranking.direction(placed, sought).astype(np.float32)
        self.scores = ranking.scores(along, self._lengths)
        self._unread = self._free.copy()
        self._unread[self._read_rows()] = False

    def _read_rows(self) -> list[int]:
        return [answer.row for answer in self.answers]

    def place(self, row: int) -> np.ndarray:
        """Where a recording is in the archive's space: float32 [D]."""
        return self._placed[row]

    @property
    def found(self) -> list[int]:
        """The rows that were read and are sought."""
        return self._read("yes")

    def _read(self, verdict: Verdict) -> list[int]:
        return [answer.row for answer in self.answers if answer.verdict == verdict]

    def next(self) -> tuple[int, Why] | None:
        """The row most worth reading and why, or None: all was read."""
        if not self._unread.any():
            return None
        sample = self._sample(len(self.answers) + 1)
        waiting = sample[self._unread[sample]]
        if waiting.size:
            return int(waiting[0]), "control"
        rows = np.flatnonzero(self._unread)
        scores = self.scores[rows]
        if self.strategy == "mixed" and len(self.answers) % _EVERY == _EVERY - 1:
            likely = rows[np.argsort(-scores, kind="stable")[:AMONG]]
            read = np.concatenate([self.question.placed, self._placed[self._read_rows()]])
            return int(likely[(self._placed[likely] @ read.T).max(1).argmin()]), "unlike"
        return int(rows[scores.argmax()]), "likeliest"

    def check(self, row: int, verdict: str) -> None:
        """Asserts that an answer can be taken.

        Raises:
          MetaecgError: the row was read, is an example or is none; or the verdict is none.
        """
        if verdict not in VERDICTS:
            raise MetaecgError(f"answer {verdict!r:.40}: is none of {', '.join(VERDICTS)}")
        if not 0 <= row < len(self._unread) or not self._unread[row]:
            raise MetaecgError(f"row {row}: was read already, is an example, or is not there")

    def answer(self, row: int, verdict: Verdict) -> None:
        """Takes an answer and ranks again.

        Raises:
          MetaecgError: it cannot be taken; see `check`.
        """
        self.check(row, verdict)
        above = int((self.scores[self._free] > self.scores[row]).sum())
        shown = self.next()
        why = shown[1] if shown and shown[0] == row else "likeliest"
        self.answers.append(Answer(row, verdict, why, (above + 1) / int(self._free.sum())))
        self._fit()

    def undo(self) -> Answer:
        """Takes the last answer back.

        Raises:
          MetaecgError: there is none.
        """
        if not self.answers:
            raise MetaecgError("there is no answer to take back")
        last = self.answers.pop()
        self._fit()
        return last

    def _sample(self, readings: int) -> np.ndarray:
        """The control sample after a number of readings, whatever they found."""
        return self._order[: int(self.control * readings)]

    def remaining(self, soon: int = SOON) -> remaining.Remaining:
        """How many of those sought are unread; see `remaining`.

        Args:
          soon: how many readings to look ahead.
        """
        verdicts = {answer.row: answer.verdict == "yes" for answer in self.answers}
        sample = [row for row in self._sample(len(self.answers)) if row in verdicts]
        hits = sum(verdicts[row] for row in sample)
        found, total = len(self.found), int(self._free.sum())
        low, high = remaining.interval(total, len(sample), hits)
        least, most = max(0, low - found), min(high - found, total - len(self.answers))
        ranked = [answer for answer in self.answers if answer.verdict != "unsure"]
        places = np.array([answer.place for answer in ranked])
        sought = np.array([answer.verdict == "yes" for answer in ranked], float)
        intercept, slope = remaining.curve(places, sought, self._prior)
        order = np.flatnonzero(self._free)
        order = order[np.argsort(-self.scores[order], kind="stable")]
        at = np.flatnonzero(self._unread[order])
        chances = 1 / (1 + np.exp(-intercept - slope * log_place((at + 1) / total)))
        return remaining.Remaining(
            float(chances.sum()), least, max(least, most), float(chances[:soon].sum())
        )
