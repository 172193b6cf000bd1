"""Why recordings cannot be used, said once for all of the same reason."""

import re
from pathlib import PurePosixPath

MOST = 5
"""Reasons that are said."""


class Reasons:
    """Counts reasons by their text; as text it says the commonest, each with an example.

    Example:
      >>> reasons = Reasons()
      >>> reasons.add("AFIB/1", "1.dat: missing")
      >>> reasons.add("AFIB/2", "2.dat: missing")
      >>> str(reasons)
      "2 × *.dat: missing (first: 'AFIB/1')"
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, str] = {}

    def add(self, path: str, reason: str) -> None:
        """Counts the reason why the recording of a path cannot be used."""
        # The recording's name at the start would make each reason another one.
        name = re.escape(PurePosixPath(path).stem)
        alike = re.sub(rf"^\S*?{name}(?=\.\w+: )", "*", " ".join(reason.split()))
        self._counts[alike] = self._counts.get(alike, 0) + 1
        self._examples.setdefault(alike, path)

    def __str__(self) -> str:
        ranked = sorted(self._counts, key=lambda reason: -self._counts[reason])
        said = [f"{self._counts[r]} × {r} (first: {self._examples[r][:200]!r})" for r in ranked]
        more = [f"{len(said) - MOST} other reasons"] if len(said) > MOST else []
        return "; ".join(said[:MOST] + more) or "none"
