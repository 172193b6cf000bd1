"""Finds the recordings of an archive that are like a few examples.

    python -m experiments.find --library=LIBRARY --support=FOLDER|FILE.csv [--sought=LABEL]
        [--positives=ID,ID,…] [--negatives=ID,…] [--output=ranked.csv] [--report=out.html]
        [--workdir=DIR|--artefact=FILE]
    python -m experiments.find --input=FOLDER --support=FOLDER …

Examples of what is sought suffice; the rest of the archive serves as the background. Examples of
what it must not be mistaken for sharpen the search: sub-folders of the support other than --sought,
or --negatives. Embeddings of a library are computed once and kept in its folder, so that the next
question is answered at once. Without --workdir and --artefact, a model that comes with the package
embeds the recordings, one for fewer leads where a library or a folder lacks some of the twelve.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from absl import flags

from experiments.runs import archives, command_line, model_flags
from metaecg import NOTICE
from metaecg.errors import MetaecgError
from metaecg.search import question
from metaecg.search.probability import ONE_IN
from metaecg.search.question import Found, Question
from metaecg.search.recordings import Recordings

FLAGS = flags.FLAGS
COLUMNS = ("place", "id", "source", "score", "probability", "nearest_example", "note")


@command_line.defines_flags
def define_flags() -> None:
    archives.define_flags()
    flags.DEFINE_string("input", None, "A folder of recordings to search, in place of a library.")
    flags.DEFINE_string("output", None, "A CSV file of the whole ranking.")
    flags.DEFINE_string("report", None, "An HTML page of the first recordings, to read and print.")
    flags.DEFINE_integer("first", 20, "How many recordings are shown.", lower_bound=1)


def table(recordings: Recordings, asked: Question, found: Found) -> Iterator[tuple[str, ...]]:
    """The rows of ranked.csv: the ranking, then what is an example, or a copy of one."""
    patients = {
        int(recordings.patients[row]): int(example)
        for row, example in zip(asked.known, asked.known_as)
        if recordings.patients[row] >= 0
    }
    known = {
        int(row): f"{'a copy of' if copy else 'is'} example {asked.examples[example].name}"
        for row, example, copy in zip(asked.known, asked.known_as, asked.copies)
    }
    # Lists, because to read an array number by number is slow.
    scores, chances = found.scores.tolist(), found.probabilities.tolist()
    of_patient, nearest = recordings.patients.tolist(), found.nearest.tolist()
    names = [example.name for example in asked.examples]
    for place, row in enumerate([*found.order.tolist(), *known], 1):
        notes = [known.get(row, ""), recordings.notes[row]]
        if row not in known and (example := patients.get(of_patient[row])) is not None:
            notes.insert(0, f"of the same patient as example {names[example]}")
        yield (
            "" if row in known else str(place),
            recordings.ids[row],
            recordings.sources[row],
            f"{scores[row]:.5f}",
            f"{chances[row]:.4g}",
            names[nearest[row]],
            "; ".join(filter(None, notes)),
        )


def text(rows: list[tuple[str, ...]], asked: Question, first: int) -> str:
    """What is printed: the first of the ranking, what was left out, what probabilities assume."""
    ranked = [row for row in rows if row[0]]
    width = max([len(row[1]) for row in ranked[:first]], default=0)
    lines = [
        f"{row[0]:>4}  {row[1]:{width}}  {float(row[4]):6.1%}  like {row[5]}"
        + (f"  ({row[6]})" if row[6] else "")
        for row in ranked[:first]
    ]
    lines += [f"left out: {row[1]}, {row[6]}" for row in rows if not row[0] and "copy" in row[6]]
    lines.append(
        f"The probabilities take one recording in {ONE_IN} to be sought, as where they were "
        "fitted; where more are, they are too low."
    )
    return "\n".join([f"{len(ranked)} recordings ranked by {len(asked.examples)} examples", *lines])


def main(_) -> int:
    if bool(FLAGS.library) == bool(FLAGS.input):
        raise MetaecgError("give either --library or --input: the archive to search (see --help)")
    if not (FLAGS.support or FLAGS.positives):
        raise MetaecgError(
            "give examples of what is sought by --support, or ids of the library by --positives"
        )
    given = model_flags.given()
    if FLAGS.library:
        opened = archives.open_prepared(FLAGS.library)
    else:
        opened = archives.open_files(FLAGS.input, given)
    model = opened.model
    examples, warnings = archives.examples(model, opened.recordings, given)
    asked = question.ask(model, opened.archive, examples, opened.recordings)
    found = question.answer(opened.archive, asked)
    rows = list(table(opened.recordings, asked, found))
    print(text(rows, asked, FLAGS.first))
    for warning in warnings:
        print(f"warning: {warning}")
    print(NOTICE)
    if FLAGS.output:
        with open(Path(FLAGS.output).expanduser(), "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([COLUMNS, *rows])
    if FLAGS.report:
        from metaecg.figures import search_pages  # matplotlib takes a second to import

        page = search_pages.found_page(
            model, opened.recordings, asked, found, warnings, FLAGS.first
        )
        Path(FLAGS.report).expanduser().write_text(page, encoding="utf-8")
    archives.report(opened.failed)
    return 1 if opened.failed else 0


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
