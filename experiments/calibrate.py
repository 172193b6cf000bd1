"""Fits the calibration of a trained run on validation episodes, and measures it on test episodes.

    python -m experiments.calibrate --workdir=DIR [--library=LIBRARY] [--error_rate=0.1]

WORKDIR/calibration.json keeps both. `experiments.diagnose` and `experiments.export` read it, and
fit it first where it is missing or of other weights.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags
from tqdm import tqdm

import metaecg
from experiments.runs import build, command_line, trained
from metaecg import evaluate
from metaecg.data import protocols
from metaecg.data.library import Library, open_library
from metaecg.diagnose import calibration as calibrations
from metaecg.diagnose.calibration import Calibration
from metaecg.diagnose.predictor import Frozen, freeze
from metaecg.errors import MetaecgError
from metaecg.train.checkpoints import digest
from metaecg.types import Episode

FLAGS = flags.FLAGS

WAYS, SHOTS = (2, 3, 5), (1, 2, 5, 10)
FILE = "calibration.json"
_TRAINING_RECORDS = 3000  # that stand for all the model was trained on


class Ready(NamedTuple):
    """A trained run that can diagnose.

    Attributes:
      run: as loaded from its work directory.
      frozen: its learner.
      calibration: fitted on the validation part of its protocol.
      record: the form of its recordings: hz, samples, leads, scale and bandpass.
      provenance: where it comes from.
    """

    run: trained.Trained
    frozen: Frozen
    calibration: Calibration
    record: dict[str, Any]
    provenance: dict[str, Any]


def ready(folder: Path, library: str | None = None) -> Ready:
    """Loads a run and its calibration, which is fitted and kept if it is not there yet.

    Args:
      folder: the work directory.
      library: to fit on instead of the run's own, made alike.

    Raises:
      MetaecgError: there is no run, its library has moved, or its learner cannot diagnose.
    """
    run = trained.load(folder)
    limits = run.learner.limits
    frozen = freeze(
        run.learner,
        run.variables,
        slots=limits.slots,
        longest=limits.longest,
        ordered=limits.ordered,
    )
    model = digest(run.variables)
    kept = _kept(folder / FILE, model)
    if not kept:
        opened = _library(run, library)
        kept = {"model": model, **_fit(run, frozen, opened)}
        _keep(folder / FILE, kept)
    provenance = {
        "model": model,
        "learner": run.config.learner,
        "encoder": run.config.encoder,
        "step": run.step,
        "seed": run.config.seed,
        "library": run.facts["library_fingerprint"],
        "protocol": run.facts["protocol"],
        "protocol_sha256": _protocol_sha256(run),
        "calibrated_on": kept["library"],
        "trained_on": run.facts["classes"]["train"],
        "metaecg": metaecg.__version__,
        "jax": jax.__version__,
    }
    calibration = Calibration.from_json(kept["calibration"])
    return Ready(run, frozen, calibration, kept["record"], provenance)


def measure(
    prepared: Ready, library: Library, *, episodes: int, error_rate: float, part: str = "test"
) -> list[dict[str, float]]:
    """Measures accuracy, ECE, coverage and wrong answers; a row for each way and shot."""
    embeddings, drawn = _episodes(prepared.run, prepared.frozen, library, part, episodes, seed=1)
    return [
        calibrations.measure(
            prepared.frozen, prepared.calibration, embeddings, some, error_rate=error_rate
        )
        for some in tqdm(drawn, unit="kind", desc=part, leave=False)
    ]


def table(rows: list[dict[str, float]], error_rate: float) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| way | shot | accuracy | ECE before | after | NLL before | after "
        f"| coverage ({1 - error_rate:.0%} stated) | least of a class | labels in the set "
        f"| answered | wrong among these (≤ {error_rate:.0%} stated) |",
        "|" + "---|" * 12,
    ]
    for row in rows:
        lines.append(
            f"| {row['way']} | {row['shot']} | {row['accuracy']:.3f} | {row['raw_ece']:.3f} "
            f"| {row['ece']:.3f} | {row['raw_nll']:.3f} | {row['nll']:.3f} "
            f"| {row['coverage']:.3f} | {row['worst_coverage']:.3f} | {row['set_size']:.2f} "
            f"| {row['answered']:.1%} | {row['wrong_answers']:.1%} |"
        )
    return "\n".join(lines)


def _kept(path: Path, model: str) -> dict[str, Any] | None:
    """What was fitted with these very weights, or None."""
    try:
        fields = json.loads(path.read_text("utf-8"))
        return fields if fields["model"] == model else None
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise MetaecgError(f"{path}: damaged; delete it, and it is fitted again") from None


def _keep(path: Path, fields: dict[str, Any]) -> None:
    try:
        path.write_text(json.dumps(fields, ensure_ascii=False), encoding="utf-8")
    except OSError as error:  # a run that is shared read-only can be used all the same
        print(f"note: {path} cannot be written ({error.strerror}); it will be fitted again")


def _library(run: trained.Trained, path: str | None) -> Library:
    try:
        library = open_library(Path(path).expanduser()) if path else build.library(run.config)
    except (MetaecgError, OSError) as error:
        raise MetaecgError(
            f"the calibration is fitted on the run's library: {error}; name where it is now by "
            "--library=LIBRARY"
        ) from None
    trained.check_form(run, library)
    return library


def _fit(run: trained.Trained, frozen: Frozen, library: Library) -> dict[str, Any]:
    embeddings, drawn = _episodes(run, frozen, library, "validation", 200, seed=0)
    data = build.part(library, _protocol(run), "train", resident=False).data
    some = np.random.default_rng(0).permutation(data.index.num_records)[:_TRAINING_RECORDS]
    known = evaluate.embed(run.learner, run.variables, data, rows=np.sort(some))
    bar = tqdm(drawn, desc="calibrating", unit="kind", leave=False)
    fitted = calibrations.fit_calibration(frozen, embeddings, bar, np.asarray(known))
    return {
        "library": library.fingerprint,
        "record": {
            **run.facts["record"],
            "scale": library.scale,
            "bandpass": bandpass(library.processing),
            "processing": list(library.processing),
        },
        "calibration": fitted.to_json(),
    }


def bandpass(processing: tuple[str, ...]) -> list[float] | None:
    """The band that a library's recordings were filtered to, as `Target.describe` words it."""
    for step in processing:
        if found := re.match(r"band-pass ([\d.]+)–([\d.]+) Hz", step):
            return [float(found[1]), float(found[2])]
    return None


def _episodes(
    run: trained.Trained, frozen: Frozen, library: Library, part: str, count: int, seed: int
) -> tuple[np.ndarray, list[Episode]]:
    """Embeddings of a part's records, and episodes of every way and shot that it can fill."""
    drawn, refused = [], None
    data = build.part(library, _protocol(run), part, resident=False).data
    for way in sorted({*WAYS, run.config.way}):
        for shot in SHOTS:
            if way > (frozen.slots or way) or way * shot > (frozen.longest or way * shot):
                continue
            try:
                drawn.append(
                    evaluate.draw_episodes(
                        data,
                        jax.random.key(seed),
                        count,
                        way=way,
                        shot=shot,
                        query=run.config.query,
                    )
                )
            except MetaecgError as error:
                refused = error
    if not drawn:
        raise MetaecgError(f"{part} part of {run.facts['protocol']}: {refused or 'too small'}")
    return np.asarray(evaluate.embed(run.learner, run.variables, data)), drawn


def _protocol(run: trained.Trained) -> protocols.Protocol:
    return protocols.load(run.config.protocol)


def _protocol_sha256(run: trained.Trained) -> str:
    try:
        content = json.dumps(_protocol(run)[1:])
    except MetaecgError:  # its file has moved; the run's classes are known all the same
        content = json.dumps(run.facts["classes"])
    return hashlib.sha256(content.encode()).hexdigest()


@command_line.defines_flags
def define_flags() -> None:
    flags.DEFINE_string("workdir", None, "folder of a trained run")
    flags.DEFINE_string("library", None, "library to use instead of the run's own")
    flags.DEFINE_enum("part", "test", ["test", "validation"], "part to measure on")
    flags.DEFINE_integer("episodes", 200, "episodes of each kind to measure on", lower_bound=2)
    flags.DEFINE_float("error_rate", 0.1, "stated rate of misses and of wrong answers")


def main(_) -> None:
    if FLAGS.workdir is None:
        raise MetaecgError("--workdir is needed (see --help)")
    if not 0 < FLAGS.error_rate < 1:
        raise MetaecgError(f"--error_rate={FLAGS.error_rate:g}: must be between 0 and 1")
    folder = Path(FLAGS.workdir).expanduser()
    prepared = ready(folder, FLAGS.library)
    library = _library(prepared.run, FLAGS.library)
    rows = measure(
        prepared, library, episodes=FLAGS.episodes, error_rate=FLAGS.error_rate, part=FLAGS.part
    )
    kept = json.loads((folder / FILE).read_text("utf-8"))
    measured = {"error_rate": FLAGS.error_rate, "episodes": FLAGS.episodes, "rows": rows}
    _keep(folder / FILE, {**kept, FLAGS.part: measured})
    print(table(rows, FLAGS.error_rate))
    print(f"\n{FLAGS.part} part of {prepared.run.facts['protocol']}; kept in {folder / FILE}")


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
