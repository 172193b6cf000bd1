"""What finding and reviewing share: a model, an archive with its embeddings, and examples."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from experiments.runs import model_flags
from metaecg.data.library import Library, open_library
from metaecg.data.readers import recognise
from metaecg.data.readers.given_by_user import Given
from metaecg.data.readers.lead_names import STANDARD_LEADS
from metaecg.diagnose import support as files
from metaecg.diagnose.model import Model
from metaecg.errors import MetaecgError
from metaecg.search import cache, question, recordings
from metaecg.search.archive import Archive
from metaecg.search.question import Example
from metaecg.search.recordings import Recordings

FLAGS = flags.FLAGS
flags.disclaim_key_flags()  # they belong to the command: its --help lists them


class Opened(NamedTuple):
    """An archive that is ready to be asked.

    Attributes:
      model: what embedded it.
      recordings: what is known of them.
      archive: their embeddings.
      failed: one line for each file that cannot be read.
      library: that they are of, if it is one.
    """

    model: Model
    recordings: Recordings
    archive: Archive
    failed: Sequence[str] = ()
    library: Library | None = None


def define_flags() -> None:
    """Defines the flags that name a model, an archive and examples."""
    model_flags.define_model()
    flags.DEFINE_string("library", None, "The library to search, made by metaecg prepare.")
    flags.DEFINE_string(
        "support",
        None,
        "The examples: a folder of recordings, a folder with a sub-folder for each diagnosis, or a "
        "CSV file of path,label.",
    )
    flags.DEFINE_string(
        "sought", None, "Which sub-folder or label is sought, where there are several."
    )
    flags.DEFINE_list("positives", [], "Ids of records of the library that are what is sought.")
    flags.DEFINE_list("negatives", [], "Ids of records of the library that are not it.")
    model_flags.define_given()


def open_prepared(path: str) -> Opened:
    """A library with its embeddings, which are computed where they are not kept yet.

    The flags name the model; otherwise it is that which comes with the package for these leads.

    Raises:
      MetaecgError: it is no library, or of another form than the model reads.
    """
    folder = Path(path).expanduser()
    # The embeddings are keyed by the fingerprint; hashing half a gigabyte again takes a second.
    library = open_library(folder, verify=not (folder / "embeddings").is_dir())
    model = model_flags.load(FLAGS.workdir, FLAGS.artefact, leads=library.leads)

    def progress(starts: Iterable[int]) -> Iterable[int]:
        return _bar(starts, "embedding", unit=" thousand")

    archive = cache.archive(model, library, folder, progress)
    return Opened(model, recordings.of_library(library), archive, (), library)


def _bar(iterable: Iterable[Any], said: str, **options: str) -> Iterable[Any]:
    from tqdm import tqdm  # which a question to an archive that is embedded need not wait for

    return tqdm(iterable, said, mininterval=0.5, **options)


def _model_for_files(path: str, given: Given) -> Model:
    """The model that comes with the package and suits the leads of a folder and of the examples."""
    listed = _listed(Path(FLAGS.support).expanduser(), FLAGS.sought) if FLAGS.support else []
    paths = recordings.list_folder(Path(path).expanduser())
    model = recordings.suiting_model(paths, [file for file, _ in listed], given)
    if len(model.form.leads) < len(STANDARD_LEADS):
        print(f"leads read: {' '.join(model.form.leads)}, by a model for these leads")
    return model


def open_files(path: str, given: Given) -> Opened:
    """A folder of recordings, embedded each time, by the model of the flags or one that suits.

    Raises:
      MetaecgError: none of them can be read.
    """
    if FLAGS.workdir or FLAGS.artefact:
        model = model_flags.load(FLAGS.workdir, FLAGS.artefact)
    else:
        model = _model_for_files(path, given)
    found, archive, failed = recordings.of_folder(
        Path(path).expanduser(), model, given, lambda paths: _bar(paths, "reading")
    )
    return Opened(model, found, archive, failed)


def examples(model: Model, archive: Recordings, given: Given) -> tuple[list[Example], list[str]]:
    """The examples that the flags name, and what the reader should know of them.

    Raises:
      MetaecgError: one cannot be read, or it is left open which label is sought.
    """
    found: list[Example] = []
    warnings: list[str] = []
    support, sought = FLAGS.support, FLAGS.sought
    if support:
        listed = _listed(Path(support).expanduser(), sought)
        read = [(files.read(path, model.form, given), label) for path, label in listed]
        warnings = files.about_examples(read)
        labels = list(dict.fromkeys(label for _, label in read))
        known = ", ".join(map(repr, labels))
        if sought is None and len(labels) > 1:
            raise MetaecgError(
                f"--support={support}: has {known}; say by --sought={labels[0]!r} "
                "which of them is sought"
            )
        if sought is not None and sought not in labels:
            raise MetaecgError(
                f"--sought={sought}: no example of it in --support={support}, which has {known}"
            )
        wanted = labels[0] if sought is None else sought
        found += question.from_files([(each, label == wanted) for each, label in read])
    elif sought is not None:
        raise MetaecgError("--sought names a label of --support, which is not given")
    found += question.from_ids(FLAGS.positives, True, archive)
    found += question.from_ids(FLAGS.negatives, False, archive)
    flat = [each.name for each in found if not np.ptp(each.signal, axis=0).any()]
    if flat:
        raise MetaecgError(f"{flat[0]}: every lead is flat; it can be no example")
    return found, warnings


def _listed(folder: Path, sought: str | None) -> list[tuple[Path, str]]:
    inner = folder.is_dir() and [
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    ]
    if folder.is_dir() and not inner:
        name = sought or files.shown(folder.name)
        return [(path, name) for path in recognise.find(folder)]
    return files.list_support(folder)


def report(failed: Sequence[str]) -> None:
    """Says which files could not be read, a line each."""
    for line in failed:
        print(f"error: {line}", file=sys.stderr)
