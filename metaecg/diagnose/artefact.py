"""One file that diagnoses without the training code: programs, parameters and calibration.

It is a zip archive without pickle. `manifest.json` holds format, version, what the programs take,
the calibration, where the model comes from, and the sha256 of every other member:

- `embed.bin`, `classify.bin`: programs serialised by `jax.export` for CPU, CUDA and TPU, with all
  counts symbolic. Both take the list of parameters first, then `embed` float32 [n, samples, leads]
  in mV and `classify` the six fields of a `types.Task` with a leading axis of tasks, its records
  embeddings float32 [b, n, D].
- `parameters/0000.npy` …: that list, float32 or float16 (turned into float32 when read).

Running it needs jax and numpy, and flatbuffers, in which jax.export writes programs.
"""

import contextlib
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from metaecg.diagnose.calibration import Calibration
from metaecg.diagnose.predictor import Frozen
from metaecg.errors import MetaecgError
from metaecg.types import Learner, Task, Variables

FORMAT = "metaecg diagnoser"
VERSION = 1
PLATFORMS = ("cpu", "cuda", "tpu")
_MANIFEST, _SEAL = "manifest.json", "manifest.sha256"


class ArtefactError(MetaecgError):
    """A file is no artefact, or damaged, or of another version."""


class Artefact(NamedTuple):
    """What a file holds.

    Attributes:
      frozen: the learner, ready to run.
      calibration: for `diagnoser.Diagnoser`.
      record: the form of a recording: hz, samples, leads, and what else was done to it.
      provenance: where the model comes from, as it was given to `write`.
      fingerprint: sha256 of the manifest, which vouches for all else.
    """

    frozen: Frozen
    calibration: Calibration
    record: dict[str, Any]
    provenance: dict[str, Any]
    fingerprint: str


def write(
    path: Path,
    learner: Learner,
    variables: Variables,
    calibration: Calibration,
    *,
    record: dict[str, Any],
    provenance: dict[str, Any],
    slots: int | None,
    longest: int | None,
    ordered: bool,
    half: bool = False,
) -> None:
    """Writes an artefact.

    Args:
      path: the file.
      learner: embeds records by themselves.
      variables: of the learner.
      calibration: fitted with it.
      record: hz, samples, leads and further facts on the form of a recording, for JSON.
      provenance: facts on where the model comes from, for JSON.
      slots, longest, ordered: see `predictor.Frozen`.
      half: store parameters as float16, half the size.
    """
    parameters, tree = jax.tree.flatten(variables)
    stored = [np.asarray(p, np.float16 if half else np.float32) for p in parameters]
    shapes = [jax.ShapeDtypeStruct(p.shape, jnp.float32) for p in stored]
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "jax": jax.__version__,
        "platforms": list(PLATFORMS),
        "parameters": len(stored),
        "slots": slots,
        "longest": longest,
        "ordered": ordered,
        "record": record,
        "calibration": calibration.to_json(),
        "provenance": provenance,
    }
    with _no_paths():
        programs = _programs(learner, tree, shapes, record, manifest)
    members = {f"{name}.bin": bytes(exported.serialize()) for name, exported in programs.items()}
    for number, array in enumerate(stored):
        file = io.BytesIO()
        np.lib.format.write_array(file, array, allow_pickle=False)
        members[f"parameters/{number:04d}.npy"] = file.getvalue()
    manifest["members"] = {name: _sha256(content) for name, content in members.items()}
    text = json.dumps(manifest, ensure_ascii=False, indent=1).encode()
    members = {_MANIFEST: text, _SEAL: _sha256(text).encode(), **members}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # no date


@contextlib.contextmanager
def _no_paths() -> Iterator[None]:
    """Keeps the folders of this machine out of the programs, which name source files for debugging.

    jax reads the setting when a function is traced, so that what is cached is traced anew.
    """
    name = "jax_hlo_source_file_canonicalization_regex"
    before = getattr(jax.config, name)
    jax.clear_caches()
    jax.config.update(name, r".*[/\\]")
    try:
        yield
    finally:
        jax.config.update(name, before)


def _programs(
    learner: Learner,
    tree: Any,
    shapes: Sequence[jax.ShapeDtypeStruct],
    record: dict[str, Any],
    manifest: dict[str, Any],
) -> dict[str, export.Exported]:
    """Exports `embed` and `classify` with all counts symbolic."""
    run_embed, run_classify = learner.embed, learner.classify
    if run_embed is None or run_classify is None:
        raise ArtefactError(
            "this learner does not embed records by themselves; export one that does not adapt its "
            "encoder to each episode"
        )

    def embed(parameters, records):
        return run_embed(*jax.tree.unflatten(tree, parameters), records)

    def classify(parameters, *task):
        return run_classify(*jax.tree.unflatten(tree, parameters), Task(*task))

    constraints = [] if manifest["longest"] is None else [f"s <= {manifest['longest']}"]
    (r,) = export.symbolic_shape("r")
    b, n, s, q, w = export.symbolic_shape("b, n, s, q, w", constraints=constraints)
    slots = w if manifest["slots"] is None else manifest["slots"]

    def array(*shape, dtype=jnp.float32):
        return jax.ShapeDtypeStruct(shape, dtype)

    records = array(r, record["samples"], len(record["leads"]))
    features = jax.eval_shape(embed, shapes, records).shape[-1]
    rows = (array(b, size, dtype=jnp.int32) for size in (s, q, q))
    task = (array(b, n, features), array(b, n, slots), *rows, array(b, dtype=jnp.int32))

    def exported(function: Callable, *arguments) -> export.Exported:
        return export.export(jax.jit(function), platforms=PLATFORMS)(shapes, *arguments)

    return {"embed": exported(embed, records), "classify": exported(classify, *task)}


def read(path: Path) -> Artefact:
    """Reads an artefact and makes it ready to run; every member is compared with its sha256.

    Raises:
      ArtefactError: it is no artefact, damaged, or of another version.
      OSError: it cannot be opened.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            text = archive.read(_MANIFEST)
            manifest = json.loads(text)
            if manifest["format"] != FORMAT:
                raise KeyError(FORMAT)
            if manifest["version"] != VERSION:
                raise ArtefactError(
                    f"{path}: version {manifest['version']} of the format, this program reads "
                    f"{VERSION}; install another metaecg or export the model again"
                )
            if _sha256(text) != archive.read(_SEAL).decode():
                raise zipfile.BadZipFile(f"{_MANIFEST} differs from its sha256")
            members = {name: archive.read(name) for name in manifest["members"]}
        for name, content in members.items():
            if _sha256(content) != manifest["members"][name]:
                raise zipfile.BadZipFile(f"{name} differs from its sha256")
        parameters = [
            np.lib.format.read_array(io.BytesIO(members[f"parameters/{n:04d}.npy"]))
            for n in range(manifest["parameters"])
        ]
        programs = [
            export.deserialize(bytearray(members[f"{n}.bin"])) for n in ("embed", "classify")
        ]
        frozen = _run(programs, parameters, manifest)
        calibration = Calibration.from_json(manifest["calibration"])
        record, provenance = manifest["record"], manifest["provenance"]
    except (ArtefactError, OSError):
        raise
    except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ArtefactError(
            f"{path}: not made by experiments.export ({' '.join(str(error).split())})"
        ) from None
    except Exception as error:  # zlib, zipfile and flatbuffers raise many types for damage
        if not zipfile.is_zipfile(path):
            raise ArtefactError(f"{path}: not made by experiments.export, or cut short") from None
        said = " ".join(str(error).split())
        raise ArtefactError(f"{path}: damaged ({said}); copy it again") from None
    return Artefact(frozen, calibration, record, provenance, _sha256(text))


def _run(
    programs: list[export.Exported], parameters: list[np.ndarray], manifest: dict[str, Any]
) -> Frozen:
    on_device = [jnp.asarray(p, jnp.float32) for p in parameters]
    embed, classify = (jax.jit(program.call) for program in programs)
    return Frozen(
        lambda records: embed(on_device, records),
        lambda task: classify(on_device, *task),
        manifest["slots"],
        manifest["longest"],
        manifest["ordered"],
    )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
