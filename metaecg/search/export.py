"""What a session found, for other programs: labels, new examples, and tasks for Label Studio."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from metaecg.data.library import Library
from metaecg.errors import MetaecgError
from metaecg.search.recordings import Recordings
from metaecg.search.session import VERDICTS, Session


def export(
    folder: Path, session: Session, recordings: Recordings, library: Library, name: str
) -> dict[str, int]:
    """Writes `labels.csv`, `examples/` and `label_studio.json` into a folder that is made.

    labels.csv has path, label and patient, as `metaecg prepare --labels` takes it, of what was
    answered with yes or no. The examples are CSV files in mV in a sub-folder for each label, as
    `--support` takes them. A task of Label Studio names the recording's file and what was said.

    Args:
      folder: to make; it must not exist, or be empty.
      session: whose answers are written.
      recordings: the archive's.
      library: that they are of; its patients, rate and leads.
      name: of what is sought, the label.

    Returns:
      how many answers of each kind there are.

    Raises:
      MetaecgError: something is in the way, or the name cannot be that of a folder.
      OSError: it cannot be written.
    """
    if not name or name != Path(name).name or name.startswith("."):
        raise MetaecgError(f"label {name!r}: must be the name of a sub-folder, such as WPW")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise MetaecgError(f"--export={folder}: exists and is not empty; choose another folder")
    labels = {"yes": name, "no": f"not {name}"}
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, str, int]] = []
    tasks: list[dict[str, Any]] = []
    for answer in session.answers:
        id, source = recordings.ids[answer.row], recordings.sources[answer.row]
        file = ""
        if label := labels.get(answer.verdict):
            rows.append((source or id, label, int(library.patients[answer.row])))
            file = f"examples/{label}/{''.join(c if c.isalnum() else '_' for c in id)}.csv"
            _write(folder / file, recordings.signals([answer.row])[0], library)
        choice = {
            "from_name": "diagnosis",
            "to_name": "ecg",
            "type": "choices",
            "value": {"choices": [labels.get(answer.verdict, "unsure")]},
        }
        tasks.append(
            {
                "data": {"id": id, "source": source, "csv": file},
                "annotations": [{"result": [choice]}],
                "meta": {"shown_as": answer.why, "place": answer.place},
            }
        )
    with open(folder / "labels.csv", "w", encoding="utf-8", newline="") as lines:
        csv.writer(lines, lineterminator="\n").writerows([("path", "label", "patient"), *rows])
    text = json.dumps(tasks, indent=1, ensure_ascii=False)
    (folder / "label_studio.json").write_text(text, encoding="utf-8")
    return {kind: sum(a.verdict == kind for a in session.answers) for kind in VERDICTS}


def _write(path: Path, signal: np.ndarray, library: Library) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    header = ",".join(["time (s)", *(f"{lead} (mV)" for lead in library.leads)])
    columns = np.column_stack([np.arange(len(signal)) / library.hz, signal])
    np.savetxt(path, columns, "%.4f", ",", header=header, comments="", encoding="utf-8")
