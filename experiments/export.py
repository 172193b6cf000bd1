"""Writes a trained run as one file: for jax and numpy alone, as ONNX, or as a page for a browser.

    python -m experiments.export --workdir=DIR --output=FILE.metaecg [--half] [--library=LIBRARY]
    python -m experiments.export --artefact=OLD.metaecg --output=NEW.metaecg [--half]
    python -m experiments.export --format=onnx --output=FILE.onnx [--workdir=DIR|--artefact=FILE]
    python -m experiments.export --format=html --output=FILE.html [--workdir=DIR|--artefact=FILE]
        [--support=FOLDER|FILE.csv] [--onnxruntime=FOLDER]

Every file is compared with the model before the command says that it is done. An exported file is
written anew with the programs of this version, which may be faster than its own; parameters and
calibration stay as they are. The formats onnx and html, which need no Python where they are used,
take the shipped model where neither --workdir nor --artefact is given. Examples named by --support
are put into the page, where everyone who has it can read them; what their files do not say is asked
for: --hz, --units, --leads.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import flags

from experiments.runs import command_line, model_flags, models, rebuilt
from experiments.runs.model_flags import define_given, define_model, given
from metaecg.diagnose import artefact, calibration, fitting, onnx_file, plain
from metaecg.diagnose import support as files
from metaecg.diagnose.model import Form, Model
from metaecg.errors import MetaecgError
from metaecg.types import Episode, Learner, Variables

FLAGS = flags.FLAGS
FORMATS = ("metaecg", "onnx", "html")


def export(folder: Path, output: Path, *, library: str | None = None, half: bool = False) -> str:
    """Writes and verifies an artefact of a run; returns what to tell the user.

    Raises:
      MetaecgError: the run cannot be read or exported, or the file does not give its answers.
    """
    run, model, kept = models.load(folder, library)
    measured = {part: kept[part] for part in ("validation", "test") if part in kept}
    model = model._replace(provenance={**model.provenance, "measured": measured})
    return _write(output, model, run.learner, run.variables, half)


def renew(file: Path, output: Path, *, half: bool = False) -> str:
    """Writes an artefact anew with the programs of this version; returns what to tell the user.

    Raises:
      MetaecgError: it cannot be read, its learner cannot be built anew, or the new file does not
        give its answers.
    """
    model, learner, variables = load(None, file)
    half = half or bool(model.provenance.get("half"))
    return _write(output, model, learner, variables, half)


def _write(output: Path, model: Model, learner: Learner, variables: Variables, half: bool) -> str:
    unfinished = output.with_name(output.name + ".part")
    model = model._replace(provenance={**model.provenance, "half": half})
    artefact.write(unfinished, model, learner, variables, half=half)
    written = artefact.read(unfinished)
    difference = _difference(model, written)
    if not difference < (0.05 if half else 1e-3):
        raise MetaecgError(
            f"{unfinished}: its probabilities differ from the model's by up to {difference:.2g}"
            + ("; export without --half" if half else "")
        )
    os.replace(unfinished, output)
    fingerprint = written.provenance["artefact"][:16]
    return (
        f"{output}: {output.stat().st_size / 1e6:.2f} MB, fingerprint {fingerprint}\n"
        f"probabilities differ from the model's by at most {difference:.1e}"
    )


def _difference(model: Model, written: Model) -> float:
    """Greatest difference of probabilities on invented records, 2-way 1-shot.

    A model that was trained on one example a class reads no more.
    """
    signals = model.form.invented(6)
    slots = np.array([[0, 1, 0, 1]])
    rows = np.arange(6)[None]
    episode = Episode(slots[:, :2], rows[:, :2], slots[:, :2], rows[:, 2:], slots)
    probs = [
        calibration.calibrated(
            fitting.over_orders(predictor, np.asarray(predictor.embed(signals)), episode, 2), 1.0
        )
        for predictor in (model.predictor, written.predictor)
    ]
    return float(np.abs(probs[0] - probs[1]).max())


def load(
    folder: Path | None, file: Path | None, library: str | None = None
) -> tuple[Model, Learner, Variables]:
    """A run, an artefact or the shipped model, with what it was made of.

    Raises:
      MetaecgError: it cannot be read, or an artefact's learner cannot be built anew.
    """
    if folder is not None:
        run, model, _ = models.load(folder, library)
        return model, run.learner, run.variables
    path = model_flags.artefact_path(str(file) if file else None)
    model = artefact.read(path)
    return model, *rebuilt.learner_of(path, model)


def as_onnx(model: Model, learner: Learner, variables: Variables) -> tuple[bytes, np.ndarray]:
    """The embedding of a model as ONNX, all else in its metadata, and how far it is from JAX's.

    Raises:
      MetaecgError: the learner is not ridge regression, or its encoder cannot be converted.
    """
    embed, described = learner.embed, plain.description(model, plain.ridge_head(variables))
    assert embed is not None  # ridge regression has one
    return onnx_file.convert(lambda records: embed(*variables, records), model.form, described)


def as_page(
    model: Model,
    learner: Learner,
    variables: Variables,
    examples: Sequence[files.Example],
    onnxruntime: str | None,
) -> tuple[bytes, np.ndarray]:
    """A page that diagnoses in a browser, with examples in it; see `as_onnx`.

    Raises:
      MetaecgError: as of `as_onnx`; the runtime cannot be had.
    """
    from experiments.runs import onnxruntime_web  # with it, what draws figures
    from metaecg.figures import standalone

    runtime = onnxruntime_web.load(onnxruntime)  # before the conversion, which takes a minute
    content, off = as_onnx(model, learner, variables)
    described = plain.description(model, plain.ridge_head(variables))
    return standalone.page(described, content, runtime, examples, model.background).encode(), off


def read_examples(form: Form) -> list[files.Example]:
    """The examples that --support names, in a model's form.

    Raises:
      MetaecgError: one cannot be read, or there are none.
    """
    listed = files.list_support(Path(FLAGS.support).expanduser())
    return [(files.read(path, form, given()), label) for path, label in listed]


@command_line.defines_flags
def define_flags() -> None:
    define_model()
    flags.DEFINE_string("output", None, "file to write, such as diagnoser.metaecg")
    flags.DEFINE_enum(
        "format",
        "metaecg",
        FORMATS,
        "metaecg for jax and numpy, onnx for any runtime of ONNX, html for a browser",
    )
    flags.DEFINE_string(
        "support", None, "of html: labelled examples to put into it, as metaecg diagnose takes them"
    )
    flags.DEFINE_string(
        "onnxruntime", None, "of html: folder of onnxruntime-web, which npm is asked for otherwise"
    )
    define_given()
    flags.DEFINE_string("library", None, "library to calibrate on, if the run's own has moved")
    flags.DEFINE_bool("half", False, "store parameters in 16 bits: half the size (of metaecg)")


def main(_) -> None:
    form = FLAGS.format
    command_line.need("output")
    ending = Path(FLAGS.output).suffix[1:]
    if ending in FORMATS and ending != form:
        raise MetaecgError(
            f"--output={FLAGS.output}: the format is {form}; give --format={ending}, or a name "
            f"that ends in .{form}"
        )
    if not (FLAGS.workdir or FLAGS.artefact) and form == "metaecg":
        raise MetaecgError(
            "--workdir is needed: the trained run to write as one file; or --artefact, to write an "
            "exported one anew (--format=onnx and --format=html take the shipped model as well)"
        )
    model_flags.check_one_model()
    if FLAGS.half and form != "metaecg":
        raise MetaecgError(f"--half: the format {form} has 32 bits; leave it out")
    folder, file, output = (
        None if f is None else Path(f).expanduser()
        for f in (FLAGS.workdir, FLAGS.artefact, FLAGS.output)
    )
    assert output is not None
    if output.is_dir() or not output.parent.is_dir():
        raise MetaecgError(f"--output={output}: name a file in a folder that exists")
    if form == "metaecg":
        if folder is not None:
            print(export(folder, output, library=FLAGS.library, half=FLAGS.half))
        else:
            assert file is not None
            print(renew(file, output, half=FLAGS.half))
        return
    onnx_file.check_installed()
    examples: list[files.Example] = []
    if form == "html" and FLAGS.support:  # before the learner is built, which takes long
        examples = read_examples(
            model_flags.load(FLAGS.workdir, FLAGS.artefact, FLAGS.library).form
        )
    loaded = load(folder, file, FLAGS.library)
    if form == "html":
        content, off = as_page(*loaded, examples, FLAGS.onnxruntime)
    else:
        content, off = as_onnx(*loaded)
    unfinished = output.with_name(output.name + ".part")
    unfinished.write_bytes(content)
    os.replace(unfinished, output)
    print(
        f"{output}: {len(content) / 1e6:.2f} MB\n"
        f"embeddings of {len(off)} invented records differ from jax by {np.median(off):.1e} of the "
        f"largest number (median; at most {off.max():.1e})"
    )
    if form == "html" and FLAGS.support:
        print("the labelled examples are in it: whoever has the page has these ECGs")


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
