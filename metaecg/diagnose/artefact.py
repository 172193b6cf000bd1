"""One file that diagnoses without the training code: programs, parameters and calibration.

It is a zip archive without pickle. `manifest.json` holds format, version, what the programs take,
the calibration, where the model comes from, and the sha256 of every other member:

- `embed.bin`, `classify.bin`: programs serialised by `jax.export` for CPU, CUDA and TPU, with all
  counts symbolic. Both take the list of parameters first, then `embed` float32 [n, samples, leads]
  in mV and `classify` the six fields of a `types.Task` with a leading axis of tasks, its records
  embeddings float32 [b, n, D].
- `parameters/0000.npy` …: that list, float32 or float16 (turned into float32 when read).
- `background/….npy`, if there: by which a diagnosis outside the candidates is noticed.

Running it needs jax and numpy, and flatbuffers, in which jax.export writes programs.
"""

import contextlib
import functools
import importlib.metadata
import importlib.util
import re
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from metaecg.diagnose import arrays, sealed_file
from metaecg.diagnose.background import of_members, to_members
from metaecg.diagnose.calibration import Calibration
from metaecg.diagnose.model import Form, Model
from metaecg.diagnose.predictor import Predictor
from metaecg.diagnose.sealed_file import ArtefactError as ArtefactError
from metaecg.limits import Limits

if TYPE_CHECKING:
    import jax
    from jax import export

    from metaecg.types import Array, Learner, Variables

OLDEST_JAX = (0, 10)
PLATFORMS = ("cpu", "cuda", "tpu")
_NAMES = ("artefact", "file")
"""What `read` adds to the provenance that is in a file: its fingerprint, and its name."""


def write(
    path: Path, model: Model, learner: "Learner", variables: "Variables", *, half: bool = False
) -> None:
    """Writes an artefact.

    Args:
      path: the file.
      model: the calibration, the form of a recording and the provenance are written.
      learner: what the model's predictor was made of; it embeds records by themselves.
      variables: of the learner.
      half: whether to store parameters as float16, half the size.

    Raises:
      ArtefactError: the learner adapts to every episode as a whole.
    """
    import jax
    import jax.numpy as jnp

    parameters, tree = jax.tree.flatten(variables)
    stored = [np.asarray(p, np.float16 if half else np.float32) for p in parameters]
    shapes = [jax.ShapeDtypeStruct(p.shape, jnp.float32) for p in stored]
    with _no_paths():
        programs = _programs(learner, tree, shapes, model.form)
    members = {f"{name}.bin": bytes(exported.serialize()) for name, exported in programs.items()}
    members |= {f"parameters/{n:04d}.npy": arrays.to_bytes(array) for n, array in enumerate(stored)}
    members |= to_members(model.background)
    manifest = {
        "format": sealed_file.FORMAT,
        "version": sealed_file.VERSION,
        "jax": jax.__version__,
        "platforms": list(PLATFORMS),
        "parameters": len(stored),
        **learner.limits._asdict(),
        "record": model.form.to_json(),
        "calibration": model.calibration.to_json(),
        "provenance": _without_names(model),
    }
    sealed_file.write(path, manifest, members)


def recalibrate(path: Path, output: Path, model: Model) -> None:
    """Writes an artefact again with another calibration, provenance and, if any, background.

    Args:
      path: an artefact that `read` reads.
      output: the file to write; may be the same.
      model: these are written; all else stays as it is.
    """
    manifest, members, _ = sealed_file.read(path)
    changed = {"calibration": model.calibration.to_json(), "provenance": _without_names(model)}
    sealed_file.write(output, {**manifest, **changed}, members | to_members(model.background))


def _without_names(model: Model) -> dict[str, Any]:
    return {key: value for key, value in model.provenance.items() if key not in _NAMES}


@contextlib.contextmanager
def _no_paths() -> Iterator[None]:
    """Keeps the folders of this machine out of the programs, which name source files for debugging.

    jax reads the setting when a function is traced, so that what is cached is traced anew.
    """
    import jax

    name = "jax_hlo_source_file_canonicalization_regex"
    before = getattr(jax.config, name)
    jax.clear_caches()
    jax.config.update(name, r".*[/\\]")
    try:
        yield
    finally:
        jax.config.update(name, before)


def _programs(
    learner: "Learner", tree: Any, shapes: "Sequence[jax.ShapeDtypeStruct]", form: Form
) -> "dict[str, export.Exported]":
    """Exports `embed` and `classify` with all counts symbolic."""
    import jax
    import jax.numpy as jnp
    from jax import export

    from metaecg.types import Task

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

    limits = learner.limits
    constraints = [] if limits.longest is None else [f"s <= {limits.longest}"]
    (r,) = export.symbolic_shape("r")
    b, n, s, q, w, d = export.symbolic_shape("b, n, s, q, w, d", constraints=constraints)
    slots = w if limits.slots is None else limits.slots

    def array(*shape, dtype=jnp.float32):
        return jax.ShapeDtypeStruct(shape, dtype)

    records = array(r, form.samples, len(form.leads))
    features = d if limits.inner_products else jax.eval_shape(embed, shapes, records).shape[-1]
    rows = (array(b, size, dtype=jnp.int32) for size in (s, q, q))
    task = (array(b, n, features), array(b, n, slots), *rows, array(b, dtype=jnp.int32))

    def exported(function: Callable, *arguments) -> "export.Exported":
        return export.export(jax.jit(function), platforms=PLATFORMS)(shapes, *arguments)

    return {"embed": exported(embed, records), "classify": exported(classify, *task)}


def read(path: str | Path) -> Model:
    """Reads an artefact; its programs are loaded when the first of them is called.

    The provenance says the file's name, and as `artefact` the sha256 of its manifest, which vouches
    for all else; every member is compared with its own.

    Raises:
      ArtefactError: it is no artefact, damaged, or of another version; or this installation cannot
        run it, which is said by the first call where a program is of a newer jax.
      OSError: it cannot be opened.
    """
    path = Path(path)
    manifest, members, fingerprint = sealed_file.read(path)
    _check_installation(path, manifest)
    loaded = functools.cache(lambda: _load(path, manifest, members))
    try:
        return Model(
            Predictor(
                lambda records: loaded().embed(records),
                lambda task: loaded().classify(task),
                Limits(**{name: manifest[name] for name in Limits._fields if name in manifest}),
            ),
            Calibration.from_json(manifest["calibration"]),
            Form.from_json(manifest["record"]),
            dict(zip(_NAMES, (fingerprint, path.name))) | manifest["provenance"],
            of_members(members),
        )
    except sealed_file.FOREIGN as error:
        raise sealed_file.not_ours(path, error) from None
    except Exception as error:  # numpy raises many types for damage
        raise sealed_file.damaged(path, error) from None


class _Loaded(NamedTuple):
    embed: "Callable[[Array], Array]"
    classify: "Callable[[Any], Array]"


def _load(path: Path, manifest: dict[str, Any], members: dict[str, bytes]) -> _Loaded:
    """The programs of an artefact, its parameters on the device."""
    import jax
    from jax import export

    try:
        with jax.ensure_compile_time_eval():  # the first call may be within a trace
            # Not jnp.asarray, which would compile a program for each shape.
            on_device = jax.device_put(_parameters(manifest, members))
        embed, classify = (
            jax.jit(export.deserialize(bytearray(members[f"{name}.bin"])).call)
            for name in ("embed", "classify")
        )
    except sealed_file.FOREIGN as error:
        raise sealed_file.not_ours(path, error) from None
    except Exception as error:  # flatbuffers raises many types for damage
        made_by = str(manifest.get("jax", "?"))
        if _version(made_by) > _version(jax.__version__):
            raise ArtefactError(
                f"{path}: its programs were made by jax {made_by} and cannot be read by the "
                f"installed jax {jax.__version__}; install a newer jax"
            ) from None
        raise sealed_file.damaged(path, error) from None
    return _Loaded(
        lambda records: embed(on_device, records), lambda task: classify(on_device, *task)
    )


def parameters(path: str | Path) -> list[np.ndarray]:
    """The float32 parameters in an artefact, as `jax.tree.leaves` orders a learner's variables."""
    return _parameters(*sealed_file.read(Path(path))[:2])


def _parameters(manifest: dict[str, Any], members: dict[str, bytes]) -> list[np.ndarray]:
    files = (f"parameters/{n:04d}.npy" for n in range(manifest["parameters"]))
    return [arrays.of_bytes(members[f]).astype(np.float32) for f in files]


def shipped() -> Model:
    """The shipped model; see `shipped_path`."""
    return read(shipped_path())


def shipped_path() -> Path:
    """The file of the shipped model.

    Raises:
      ArtefactError: none comes with this installation.
    """
    folder = Path(str(resources.files("metaecg.diagnose"))) / "shipped"
    found = sorted(folder.glob("*.metaecg"))
    if not found:
        raise ArtefactError(
            f"no diagnoser comes with this installation ({folder} has none): name a trained run by "
            "--workdir=DIR or an exported one by --artefact=FILE"
        )
    return found[-1]


def _check_installation(path: Path, manifest: dict[str, Any]) -> None:
    """Asserts that jax is new enough and flatbuffers there, which jax.export's programs need."""
    installed = importlib.metadata.version("jax")  # importing it takes half a second
    if _version(installed) < OLDEST_JAX:
        needed = ".".join(map(str, OLDEST_JAX))
        raise ArtefactError(
            f"{path}: needs jax {needed} or newer (it was made by {manifest.get('jax', '?')}), and "
            f"{installed} is installed: pip install --upgrade 'jax>={needed}'"
        )
    if importlib.util.find_spec("flatbuffers") is None:
        raise ArtefactError(
            f"{path}: its programs are read by the package flatbuffers, which is not installed: "
            "pip install flatbuffers"
        )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])
