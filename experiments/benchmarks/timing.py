"""Alternating measurements: what is compared meets the same weather."""

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from experiments.runs import command_line, machine
from experiments.tables import markdown


def run(main: Callable[[Sequence[str]], int | None], repeats: int | None = None) -> None:
    """Runs a benchmark as a command, with the flags that benchmarks share beside its own.

    Args:
      main: as `command_line.run` takes it.
      repeats: how often it measures if --repeats is not given; None if it has no such flag.
    """
    if repeats is not None:
        flags.DEFINE_integer("repeats", repeats, "How often each is measured.", lower_bound=1)
    flags.DEFINE_string("output", None, "A JSON file of the measurements.")
    command_line.run(main)


def alternate(
    contenders: Mapping[str, Callable[[], object]], *, repeats: int, warm: int = 1
) -> dict[str, list[float]]:
    """Seconds of each call, by contender; a round calls each once, in turn.

    Args:
      contenders: functions that return when their work is done.
      repeats: rounds that are measured.
      warm: rounds before, to compile and to fill caches.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for measured in [False] * warm + [True] * repeats:
        for name, call in contenders.items():
            began = time.perf_counter()
            call()
            if measured:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest."""
    return {"median": statistics.median(values), "least": min(values), "greatest": max(values)}


def report(rows: Sequence[Mapping[str, Any]], output: str | None, **facts: Any) -> None:
    """Prints rows as a Markdown table, and writes them with the machine's facts if asked to."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    print(markdown.table(names, [[_shown(row.get(name, "")) for name in names] for row in rows]))
    if output:
        results = {"machine": machine.facts(), **facts, "rows": list(rows)}
        Path(output).expanduser().write_text(json.dumps(results, indent=1), "utf-8")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "{median:.4g} ({least:.4g}–{greatest:.4g})".format(**value)
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
