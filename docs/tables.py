"""Writes every table of measured numbers into the pages, from the CSV files in docs/results.

    python docs/tables.py

A page says where by a comment, which its table follows:

    <!-- results/rare_medium_5way.csv: learner | 1-shot | 5-shot -->

Without names after the colon, the table has all columns. The first lines of a CSV file begin with
'#' and say which command measured it, when, on what machine, by which version.
"""

import csv
import re
import sys
from pathlib import Path

DOCS = Path(__file__).parent
PAGES = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]
MARK = re.compile(
    r"^<!-- results/(?P<file>[\w.-]+\.csv)(?:: (?P<columns>[^\n]*?))? -->\n(?:\|[^\n]*\n)*", re.M
)


def rows(path: Path) -> list[list[str]]:
    """The head and the rows of a results file, without the lines that say where it is from."""
    lines = path.read_text("utf-8").splitlines()
    return list(csv.reader(line for line in lines if not line.startswith("#")))


def table(path: Path, columns: str | None) -> str:
    """A results file as a Markdown table.

    Raises:
      SystemExit: the file has no column of that name.
    """
    head, *body = rows(path)
    at = list(range(len(head)))
    if columns:
        names = columns.split(" | ")
        if unknown := [name for name in names if name not in head]:
            sys.exit(f"{path}: no column {unknown[0]!r}; there are {', '.join(head)}")
        at = [head.index(name) for name in names]
    lines = [[row[i] for i in at] for row in (head, *body)]
    first, *others = (f"| {' | '.join(cells)} |".replace("  |", " |") for cells in lines)
    return "\n".join([first, "|" + "---|" * len(at), *others, ""])


def render(text: str) -> str:
    """A page with its tables as the results files have them today."""

    def written(mark: re.Match) -> str:
        comment = mark[0].split("\n", 1)[0]
        return f"{comment}\n{table(DOCS / 'results' / mark['file'], mark['columns'])}"

    return MARK.sub(written, text)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(render(page.read_text("utf-8")), "utf-8")
