"""A trained run as a model that is ready to answer: its calibration is fitted once and kept."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import jax

import metaecg
from experiments.runs import build, model_flags, rebuilt, trained
from metaecg.data import protocols
from metaecg.data.library import Library, open_library
from metaecg.diagnose import fitting
from metaecg.diagnose.calibration import Calibration
from metaecg.diagnose.model import Form, Model
from metaecg.diagnose.predictor import Predictor
from metaecg.errors import MetaecgError
from metaecg.train.checkpoints import digest

FILE = "calibration.json"


class Ready(NamedTuple):
    """A run and the model that it is.

    Attributes:
      run: as it was loaded from its work directory.
      model: ready to answer.
      kept: what calibration.json says, or would if it could be written.
    """

    run: trained.Trained
    model: Model
    kept: dict[str, Any]


def load(folder: Path, library: str | None = None) -> Ready:
    """Loads a run and its calibration, which is fitted and kept if it is not there yet.

    Args:
      folder: the work directory; it need not be writable.
      library: to fit on instead of the run's own, made alike.

    Raises:
      MetaecgError: there is no run, its library has moved, or its learner cannot diagnose.
    """
    run = trained.load(folder)
    predictor = Predictor.of(run.learner, run.variables)
    weights = digest(run.variables)
    kept = _kept(folder / FILE, weights)
    if not kept:
        opened = open_alike(run, library)
        rules = protocols.load(run.config.protocol)
        for remark in trained.check_unseen(
            run,
            opened,
            [protocols.split(opened, rules, "validation")],
            name=str(folder),
            remedy="calibrate it on a library whose validation classes it does not know",
            seen=rules.oracle,
        ):
            print(f"note: {remark}")
        fitted = fitting.calibrate(
            predictor,
            opened,
            rules,
            fitting.Plan(query=run.config.query, progress=model_flags.by_kind),
        )
        kept = {
            "version": metaecg.__version__,
            "model": weights,
            "library": opened.fingerprint,
            "record": Form.of(opened).to_json(),
            "calibration": fitted.to_json(),
        }
        keep(folder / FILE, kept)
    provenance = {
        "model": weights,
        "learner": run.config.learner,
        "encoder": run.config.encoder,
        "settings": rebuilt.settings_of(run.config),
        "step": run.step,
        "seed": run.config.seed,
        "library": run.facts["library_fingerprint"],
        "protocol": run.facts["protocol"],
        "protocol_sha256": _protocol_sha256(run),
        "calibrated_on": kept["library"],
        "trained_on": run.facts["classes"]["train"],
        "ancestry": trained.ancestry_of(run).to_json(),
        "metaecg": metaecg.__version__,
        "jax": jax.__version__,
    }
    calibration, form = Calibration.from_json(kept["calibration"]), Form.from_json(kept["record"])
    return Ready(run, Model(predictor, calibration, form, provenance), kept)


def keep(path: Path, fields: dict[str, Any]) -> None:
    """Writes calibration.json, or says that it cannot be written."""
    try:
        path.write_text(json.dumps(fields, ensure_ascii=False), encoding="utf-8")
    except OSError as error:  # a run that is shared read-only can be used all the same
        print(f"note: {path} cannot be written ({error.strerror}); it will be fitted again")


def open_alike(run: trained.Trained, path: str | None) -> Library:
    """Opens a run's library, or one at `path` whose records have the same form.

    Raises:
      MetaecgError: it is not there, or of another form.
    """
    try:
        library = open_library(Path(path).expanduser()) if path else build.library(run.config)
    except (MetaecgError, OSError) as error:
        raise MetaecgError(
            f"the calibration is fitted on the run's library: {error}; name where it is now by "
            "--library=LIBRARY"
        ) from None
    trained.check_form(run, library)
    return library


def _kept(path: Path, weights: str) -> dict[str, Any] | None:
    """What was fitted with these very weights by this version, or None."""
    try:
        fields = json.loads(path.read_text("utf-8"))
        same = (fields["model"], fields.get("version")) == (weights, metaecg.__version__)
        return fields if same else None
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise MetaecgError(f"{path}: damaged; delete it, and it is fitted again") from None


def _protocol_sha256(run: trained.Trained) -> str:
    try:
        return protocols.load(run.config.protocol).digest
    except MetaecgError:  # its file has moved; the run's classes are known all the same
        return hashlib.sha256(json.dumps(run.facts["classes"]).encode()).hexdigest()
