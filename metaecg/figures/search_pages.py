"""The page of `experiments.find`: what was found, each recording above the example it is like."""

from collections.abc import Sequence
from typing import Any

from metaecg.diagnose.model import Model
from metaecg.figures.pages import Table, details, on_paper, render
from metaecg.search.question import Found, Question
from metaecg.search.recordings import Recordings


def found_page(
    model: Model,
    recordings: Recordings,
    question: Question,
    found: Found,
    warnings: Sequence[str] = (),
    first: int = 20,
) -> str:
    """The first recordings of a ranking, each on ECG paper above the example that it is most like.

    Args:
      model: what embedded the archive; its provenance is shown as a table.
      recordings: the archive's.
      question: what was asked.
      found: the answer.
      warnings: sentences about the examples.
      first: how many are shown.

    Returns:
      Self-contained HTML; about 0.2 MB for each recording of 10 s at 100 Hz.
    """
    rows = [int(row) for row in found.order[:first]]
    drawn: dict[int, Any] = {}
    cases = []
    for place, row in enumerate(rows, 1):
        nearest = int(found.nearest[row])
        if nearest not in drawn:
            example = question.examples[nearest]
            drawn[nearest] = on_paper(example.signal, model.form, f"example {example.name}")
        name = recordings.ids[row]
        cases.append(
            {
                "title": f"{place}. {name}",
                "ecg": on_paper(recordings.signals([row])[0], model.form, name),
                "probability": float(found.probabilities[row]),
                "note": recordings.notes[row],
                "example": drawn[nearest],
            }
        )
    head = ("place", "recording", "nearest example", "probability")
    overview = [
        (
            place,
            recordings.ids[row],
            question.examples[found.nearest[row]].name,
            f"{found.probabilities[row]:.1%}",
        )
        for place, row in enumerate(rows, 1)
    ]
    return render(
        "found.html",
        title="Recordings like the examples",
        overview=Table(head, overview, numbers=1),
        sought=[example.name for example in question.examples if example.sought],
        others=[example.name for example in question.examples if not example.sought],
        copies=[
            (recordings.ids[row], question.examples[example].name)
            for row, example, copy in zip(question.known, question.known_as, question.copies)
            if copy
        ],
        total=len(recordings.ids),
        warnings=[*warnings],
        cases=cases,
        provenance=details(model.origin),
    )
