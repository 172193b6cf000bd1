"""A session on disk: what was asked, and every answer in a file that is only added to.

`SESSION/` holds, without any pickle,

- ``session.json``: the question, and the fingerprints of the library and of the model;
- ``examples.npy``: float32 [S, samples, leads], the examples' signals in mV;
- ``answers.jsonl``: a line for each event, an answer or an undo, on the disk before the next
  recording is shown. A line that a kill cut off was never acknowledged, and is dropped.
"""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from metaecg.data import files
from metaecg.errors import MetaecgError
from metaecg.search.question import Example
from metaecg.search.session import Session

VERSION = 1


class Log:
    """The answers of a session, each written before it counts.

    Args:
      folder: the session's, which the caller has locked.
      ids: of the archive's recordings, row by row.
    """

    def __init__(self, folder: Path, ids: list[str]):
        self._path, self._ids = folder / "answers.jsonl", ids

    def replay(self, session: Session) -> None:
        """Gives a session all answers that are on disk.

        Raises:
          MetaecgError: the file is damaged, or of another archive.
        """
        row_of = {id: row for row, id in enumerate(self._ids)}
        answers: list[tuple[int, Any]] = []
        for number, event in enumerate(self._events(), 1):
            try:
                if event.get("event") == "undo":
                    answers.pop()
                else:
                    answers.append((row_of[event["id"]], event["answer"]))
            except (AttributeError, KeyError, IndexError, TypeError):
                raise self._damaged(number) from None
        for number, (row, verdict) in enumerate(answers, 1):
            try:
                session.answer(row, verdict)
            except MetaecgError as error:
                raise MetaecgError(f"{self._path}: answer {number}: {error}") from None

    def answer(self, session: Session, row: int, verdict: str) -> None:
        """Writes an answer, then gives it to the session.

        Raises:
          MetaecgError: it is none, or the recording was read; nothing is written then.
          OSError: it cannot be written; the session has not changed then.
        """
        session.check(row, verdict)
        self._write({"event": "answer", "id": self._ids[row], "answer": verdict})
        session.answer(row, verdict)  # type: ignore[arg-type]

    def undo(self, session: Session) -> None:
        """Writes that the last answer is taken back, then takes it back.

        Raises:
          MetaecgError: there is none.
        """
        if not session.answers:
            raise MetaecgError("there is no answer to take back")
        self._write({"event": "undo"})
        session.undo()

    def _write(self, event: dict[str, str]) -> None:
        event["at"] = datetime.now(UTC).isoformat(timespec="seconds")
        with open(self._path, "ab") as file:
            file.write(json.dumps(event, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _events(self) -> Iterator[dict[str, Any]]:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(self._path, whole)
        for number, line in enumerate(content[:whole].splitlines(), 1):
            try:
                yield json.loads(line)
            except ValueError:
                raise self._damaged(number) from None

    def _damaged(self, number: int) -> MetaecgError:
        return MetaecgError(
            f"{self._path}, line {number}: no answer of this session; the lines before it are "
            "whole: remove it, or put the file of a backup in place"
        )


def create(folder: Path, examples: list[Example], **facts: Any) -> None:
    """Writes what a session asks; `facts` are JSON-ready.

    Raises:
      MetaecgError: there is something in the folder.
      OSError: it cannot be written.
    """
    if any(path.name != ".lock" for path in folder.iterdir()):
        raise MetaecgError(f"{folder}: is not empty and holds no session; choose another --session")
    with open(folder / "examples.npy", "wb") as file:
        np.save(file, np.concatenate([e.windows for e in examples]), allow_pickle=False)
    listed = [
        {"name": e.name, "sought": e.sought, "row": e.row, "notes": list(e.notes)}
        | {"windows": len(e.windows)}
        for e in examples
    ]
    content = {"version": VERSION, "examples": listed, **facts}
    text = json.dumps(content, indent=1, ensure_ascii=False)
    files.write_whole(folder / "session.json", text)


def load(folder: Path) -> tuple[list[Example], dict[str, Any]]:
    """What `create` wrote: the examples, and the facts.

    Raises:
      MetaecgError: it is damaged, or there is none.
    """
    path = folder / "session.json"
    try:
        content = files.read_json(path)
        if content["version"] != VERSION:
            raise MetaecgError(f"{path}: version {content['version']!r:.20}, not {VERSION}")
        signals = np.load(folder / "examples.npy", allow_pickle=False)
        listed = content.pop("examples")
        ends = np.cumsum([int(e.get("windows", 1)) for e in listed])
        if not len(ends) or ends[-1] != len(signals):
            raise ValueError("examples.npy has not as many windows as session.json says")
        examples = [
            Example(
                str(e["name"]),
                bool(e["sought"]),
                first,
                int(e["row"]),
                tuple(e["notes"]),
                tuple(later),
            )
            for e, (first, *later) in zip(listed, np.split(signals, ends[:-1]))
        ]
    except FileNotFoundError as error:
        raise MetaecgError(f"{error.filename or path}: missing; is {folder} a session?") from None
    except (ValueError, KeyError, TypeError, EOFError) as error:
        raise MetaecgError(f"{folder}: damaged session ({error}); begin another") from None
    return examples, content
