"""The embedding of a model as an ONNX file, for every runtime that is not JAX.

Its input `records` is float32 [n, samples, leads] in mV and its output `embeddings` float32 [n, D],
for any n. All else that a diagnosis needs is JSON in its metadata: see `plain`. The head is a few
lines: see `docs/without_python.md`.
"""

import contextlib
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from metaecg import errors
from metaecg.diagnose import plain
from metaecg.diagnose.model import Form
from metaecg.errors import MetaecgError
from metaecg.signals import portable
from metaecg.types import Array

OPSET = 21
"""Of ONNX 1.16 (2024), which onnxruntime reads from version 1.18 on."""

WITHIN = 1e-3
"""The most that embeddings may differ from JAX's, in units of the largest number in each.

They differ by some 10⁻⁵: of a thousand recordings of PTB-XL, by 7.5·10⁻⁵ at most.
"""


def check_installed() -> None:
    """Asserts that what `convert` needs is installed.

    Raises:
      MetaecgError: a package is not; says how to install it.
    """
    for package in ("jax2onnx", "onnx", "onnxruntime"):
        errors.check_installed("writing ONNX", package, "onnx")


def convert(
    embed: Callable[[Array], Array], form: Form, described: dict[str, Any]
) -> tuple[bytes, np.ndarray]:
    """An ONNX model of a function of records, and how far it is from it: see `differences`.

    Args:
      embed: float32 [n, samples, leads] -> float32 [n, D], a pure function.
      form: of the records.
      described: what `plain.description` says.

    Raises:
      MetaecgError: a package is not installed, jax2onnx cannot convert the function, or the
        model gives other numbers.
    """
    check_installed()
    import jax2onnx
    import onnx

    shape = (form.samples, len(form.leads))
    try:
        with _quiet(), portable.operations():
            model = jax2onnx.to_onnx(
                lambda records: embed(records),
                [jax.ShapeDtypeStruct(("n", *shape), jnp.float32)],
                opset=OPSET,
                input_names=["records"],
                output_names=["embeddings"],
            )
    except Exception as error:  # of many types, the primitive that it lacks in its message
        said = " ".join(str(error).split())[:200]
        raise MetaecgError(f"jax2onnx cannot convert this encoder: {said}") from error
    # It declares some shapes with the axes of JAX's order. Runtimes find all shapes by themselves,
    # and onnxruntime-web refuses those that differ.
    del model.graph.value_info[:]
    onnx.helper.set_model_props(
        model, {plain.KEY: json.dumps(described, ensure_ascii=False, separators=(",", ":"))}
    )
    model.producer_name, model.doc_string = "metaecg", described["notice"]
    content: bytes = model.SerializeToString()
    off = differences(embed, content, form.invented(9))
    if not off.max() <= WITHIN:
        raise MetaecgError(
            f"the ONNX model's embeddings differ by {off.max():.1e} of the largest number"
        )
    return content, off


def differences(embed: Callable[[Array], Array], content: bytes, records: np.ndarray) -> np.ndarray:
    """The greatest difference of each embedding from onnxruntime's, over its largest number: [n].

    Args:
      embed: as of `convert`.
      content: the ONNX file.
      records: float32 [n, samples, leads].
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors: it warns of shapes that jax2onnx wrote and it corrects
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    wanted = np.asarray(embed(jnp.asarray(records)))
    found = np.asarray(session.run(["embeddings"], {"records": records})[0])
    largest = np.maximum(np.abs(wanted).max(axis=1), 1e-9)
    off: np.ndarray = np.abs(found - wanted).max(axis=1) / largest
    return off


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what jax2onnx prints and logs of its progress."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(level)
