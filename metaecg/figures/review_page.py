"""The page of a review: the recording most worth reading, large, and the example it is like."""

import functools

import numpy as np

from metaecg.diagnose.model import Model
from metaecg.figures.pages import Drawing, on_paper, render
from metaecg.search.archive import unit
from metaecg.search.log import Log
from metaecg.search.recordings import Recordings
from metaecg.search.session import SOON, Session

WHY = {
    "likeliest": "the likeliest of the unread",
    "unlike": "likely, and unlike those that were read",
    "control": "drawn at random, for the estimate",
}
SAID = {"yes": "Yes", "no": "No", "unsure": "Unsure"}


class Reader:
    """What the page shows and does.

    Args:
      model: whose form the recordings have.
      recordings: the archive's.
      session: the reading.
      log: where its answers are kept.
    """

    def __init__(self, model: Model, recordings: Recordings, session: Session, log: Log):
        self._model, self._recordings, self._session, self._log = model, recordings, session, log
        self._examples = np.flatnonzero(session.question.sought)
        self._units = unit(session.question.placed[self._examples])
        self._said = "The session is open."
        self._example = functools.lru_cache(maxsize=64)(self._draw_example)
        self._recording = functools.lru_cache(maxsize=4)(self._draw_recording)

    def page(self, nonce: str) -> str:
        """The page of what is to be read now; `nonce` allows its script."""
        session = self._session
        shown, left = session.next(), session.remaining()
        read = len(session.answers)
        values = {
            "title": f"Reading {read + 1}" if shown else "Reading done",
            "nonce": nonce,
            "read": read,
            "found": len(session.found),
            "left": left,
            "soon": SOON,
            "control": session.control,
            "done": read >= SOON and left.soon < 1,
            "said": self._said,
            "last": self._recordings.ids[session.answers[-1].row] if read else "",
            "shown": None,
        }
        if shown:
            row, why = shown
            values["shown"] = {
                "id": self._recordings.ids[row],
                "why": WHY[why],
                "note": self._recordings.notes[row],
                "ecg": self._recording(row),
                "example": self._example(int((self._units @ session.place(row)).argmax())),
            }
        return render("review.html", **values)

    def answer(self, id: str, verdict: str) -> None:
        """Takes the answer to the recording that is shown; one that was sent twice counts once."""
        shown = self._session.next()
        if shown is None or self._recordings.ids[shown[0]] != id or verdict not in SAID:
            self._said = "This answer was not to the recording that is shown; it was not taken."
            return
        self._log.answer(self._session, shown[0], verdict)
        self._said = f"{SAID[verdict]} is kept."

    def undo(self, id: str) -> None:
        """Takes back the last answer, if it is that to the recording of this id."""
        answers = self._session.answers
        if not answers or self._recordings.ids[answers[-1].row] != id:
            self._said = "There is no answer to take back."
            return
        self._log.undo(self._session)
        self._said = "The last answer is taken back."

    def _draw_recording(self, row: int) -> Drawing:
        name = self._recordings.ids[row]
        return on_paper(self._recordings.signals([row])[0], self._model.form, name)

    def _draw_example(self, number: int) -> Drawing:
        example = self._session.question.examples[self._examples[number]]
        return on_paper(example.signal, self._model.form, f"example {example.name}")
