"""What was measured of a recording beside the examples behind its answer, with the median beats."""

from collections.abc import Sequence

from metaecg.diagnose import measurements
from metaecg.diagnose.measurements import Measured
from metaecg.diagnose.model import Form
from metaecg.figures.pages import Drawing, Table, on_paper


def beside_examples(
    name: str, measured: Measured, examples: Sequence[tuple[str, Measured]], form: Form
) -> tuple[Table, list[Drawing]]:
    """Measurements of a recording above those of some examples, and their median beats.

    Args:
      name: of the recording.
      measured: what was measured of it.
      examples: their names, and what was measured of them.
      form: of the signals.
    """
    found = [(name, measured), *examples]
    rows = [
        (
            shown,
            *(each.shown.get(what, "not measurable") for what in measurements.UNITS),
            f"{each.beats} of {each.found}",
        )
        for shown, each in [("this recording", measured), *examples]
    ]
    table = Table(("recording", *measurements.UNITS, "beats"), rows, numbers=8)
    fine, zero = form._replace(hz=float(measurements.HZ)), measurements.BEFORE / measurements.HZ
    drawn = [
        on_paper(each.beat, fine, "median beat", shown, [zero + at for at in each.marks.values()])
        for shown, each in found
        if each.beats
    ]
    return table, drawn
