"""A diagnoser as one HTML file that needs no server, no installation and no network.

The page's program is in `page/`, one file for each thing it does; here its parts are joined. What
the program computes is said in `docs/specification.md`.
"""

import base64
import gzip
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from metaecg.data.readers import lead_names
from metaecg.diagnose.background import FALSE_ALARMS, SHARED, Background
from metaecg.diagnose.support import Example
from metaecg.figures.pages import render

ORDER = ("numbers", "signal", "leads", "form", "table", "wfdb", "muse", "files", "ridge",
         "calibration", "background", "answer", "paper", "embedding", "page")  # fmt: skip
"""The files of the program, each after those that it imports."""

OWN_LICENCE = "metaecg: Apache License 2.0, https://www.apache.org/licenses/LICENSE-2.0"


class Runtime(NamedTuple):
    """What runs ONNX in a browser.

    Attributes:
      code: its JavaScript, a module that needs no other file but `wasm`.
      wasm: the WebAssembly that the module runs.
      licence: name, version and the whole text of its licence.
    """

    code: bytes
    wasm: bytes
    licence: str


def page(
    described: Mapping[str, Any],
    onnx: bytes,
    runtime: Runtime,
    examples: Sequence[Example] = (),
    background: Background | None = None,
    title: str = "Few-shot ECG diagnosis",
) -> str:
    """The page.

    Args:
      described: what `diagnose.plain.description` says.
      onnx: the embedding, as `diagnose.onnx_file.convert` made it.
      runtime: what runs it.
      examples: labelled recordings in the model's form, which everyone who has the page can read;
        their files' names are left out.
      background: by which a diagnosis that is no candidate is noticed.
      title: of the page.
    """
    counts: dict[str, int] = {}
    included = []
    for read, label in examples:
        counts[label] = counts.get(label, 0) + 1
        units = np.rint(read.windows / described["record"]["scale"]).astype("<i2")
        included.append(
            {
                "name": f"example {counts[label]}",
                "label": label,
                "hz": read.hz,
                "windows": len(units),
                "leads": units.shape[2],
                "notes": [{"text": note.text, "serious": note.serious} for note in read.notes],
                "units": base64.b64encode(units.swapaxes(1, 2).tobytes()).decode(),
            }
        )
    model = {**described, "lead_names": lead_names.table()}
    if background is not None:
        model["background"] = packed_background(background)
    return render(
        "standalone.html",
        title=title,
        style=Markup(_part("page.css")),
        script=Markup(program()),
        model=_json(model),
        included=_json(included),
        runtime=_packed(runtime.code),
        wasm=_packed(runtime.wasm),
        onnx=_packed(onnx),
        provenance=json.dumps(described["provenance"], indent=1, ensure_ascii=False),
        licences=f"{OWN_LICENCE}\n\n{runtime.licence}",
    )


def packed_background(background: Background) -> dict[str, Any]:
    """A background as the page reads it, its directions in base64."""
    return {
        "directions": base64.b64encode(background.packed().directions.tobytes()).decode(),
        "scale": background.scale.tolist(),
        "offset": background.offset.tolist(),
        "shared": SHARED,
        "false_alarms": FALSE_ALARMS,
    }


def program() -> str:
    """The program as one module: its files in order, without imports and exports."""
    return "\n".join(
        re.sub(r"^import [^;]+;\n|^export ", "", _part(f"{name}.js"), flags=re.MULTILINE)
        for name in ORDER
    )


def _part(name: str) -> str:
    return (resources.files("metaecg.figures") / "page" / name).read_text("utf-8")


def _json(value: Any) -> Markup:
    """JSON that cannot end the element that it is in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


def _packed(content: bytes) -> Markup:
    return Markup(base64.b64encode(gzip.compress(content, mtime=0)).decode())
