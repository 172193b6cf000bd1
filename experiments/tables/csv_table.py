"""Rows of measurements as a CSV file."""

import csv
from pathlib import Path
from typing import Any


def write(rows: list[dict[str, Any]], path: str | None) -> None:
    """Writes rows of the same columns, numbers to four digits, if a file was asked for."""
    if path:
        with open(Path(path).expanduser(), "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(
                {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()}
                for row in rows
            )
