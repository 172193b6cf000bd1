"""All of a model but its embedding as texts and numbers, for programs that have no Python.

The ONNX file and the page hold what is written here, and nothing else of a model but its embedding:
see `docs/without_python.md`.
"""

import math
from typing import Any

from metaecg import NOTICE
from metaecg.diagnose import calibration, remarks
from metaecg.diagnose.model import Model
from metaecg.errors import MetaecgError
from metaecg.types import Variables

KEY = "metaecg"
"""The name of the text in an ONNX file's metadata."""


def ridge_head(variables: Variables) -> dict[str, Any]:
    """The two numbers of `learners.ridge`.

    Raises:
      MetaecgError: the variables are those of another learner.
    """
    head = variables.params.get("head", {})
    if set(head) != {"log_strength", "log_scale"}:
        raise MetaecgError(
            "only ridge regression is written for use without Python, and this is another learner; "
            "export it with --format=metaecg"
        )
    strength, scale = (math.exp(float(head[name])) for name in ("log_strength", "log_scale"))
    return {"kind": "ridge", "strength": strength, "scale": scale}


def description(model: Model, head: dict[str, Any]) -> dict[str, Any]:
    """What a program needs beside the embedding: numbers, texts, lists and mappings for JSON.

    Args:
      model: its form, calibration and provenance are described.
      head: what `ridge_head` says.
    """
    return {
        "format": "metaecg model in plain numbers",
        "version": 1,
        "notice": NOTICE,
        "record": model.form.to_json(),
        "head": head,
        "calibration": model.calibration.to_json(),
        "evidence_needed": calibration.EVIDENCE,
        "same_recording": remarks.SAME,
        "strange": remarks.STRANGE,
        "no_rate": remarks.no_rate("{reason}"),
        # What the model was trained on, recording by recording, is in the artefact.
        "provenance": model.origin,
    }
