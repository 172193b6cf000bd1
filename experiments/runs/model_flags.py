"""The flags that name a model and that say of files what they do not say, for every command.

What needs jax is imported where it is first used: --help shall not take a second.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from metaecg.data.readers.given_by_user import FASTEST, SLOWEST, UNITS, Given
from metaecg.errors import MetaecgError

if TYPE_CHECKING:
    from metaecg.diagnose.model import Model

FLAGS = flags.FLAGS
flags.disclaim_key_flags()  # they belong to the command: its --help lists them


def define_model() -> None:
    """Defines the flags that name a model; see `load`."""
    flags.DEFINE_string("workdir", None, "The folder of a trained run.")
    flags.DEFINE_string("artefact", None, "A file made by metaecg export.")


def check_one_model() -> None:
    """Asserts that --workdir and --artefact do not name a model each.

    Raises:
      MetaecgError: they do.
    """
    if FLAGS.workdir and FLAGS.artefact:
        raise MetaecgError("--workdir and --artefact are both given; name one of them")


def check_error_rate() -> None:
    """Asserts that --error_rate is a share.

    Raises:
      MetaecgError: it is 0 or less, or 1 or more.
    """
    if not 0 < FLAGS.error_rate < 1:
        raise MetaecgError(f"--error_rate={FLAGS.error_rate:g}: must be between 0 and 1")


def load(
    workdir: str | None,
    file: str | None,
    library: str | None = None,
    leads: Iterable[str] | None = None,
) -> "Model":
    """Loads a trained run, an artefact, or an artefact that comes with the package.

    Args:
      workdir: the folder of the run.
      file: the artefact.
      library: of the run, if it has moved.
      leads: of what is asked; if neither a run nor an artefact is named, they choose the artefact.

    Raises:
      MetaecgError: both are named, or none is and none comes with the package.
    """
    if workdir and file:
        raise MetaecgError("--workdir and --artefact are both given; name one of them")
    if workdir:
        from experiments.runs import models  # checkpoints take seconds to import

        return models.load(Path(workdir).expanduser(), library).model
    from metaecg.diagnose import artefact

    return artefact.read(artefact_path(file, leads))


def artefact_path(file: str | None, leads: Iterable[str] | None = None) -> Path:
    """An artefact that is named, or the one that comes with the package.

    Args:
      file: what --artefact says.
      leads: of what is asked; if no artefact is named, that for these is taken.

    Raises:
      MetaecgError: there is no such file, or none is named and none comes with the package.
    """
    from metaecg.diagnose import artefact, few_leads

    if file:
        path = Path(file).expanduser()
        if path.is_dir():
            raise MetaecgError(
                f"--artefact={file}: is a folder; give a file made by metaecg export, or the "
                "folder of a trained run by --workdir"
            )
        if not path.exists():
            raise MetaecgError(
                f"--artefact={file}: there is no such file; give one made by metaecg export"
            )
        return path
    return few_leads.path_for(leads) if leads else artefact.shipped_path()


def by_kind(kinds: Sequence[tuple[int, float]]) -> Iterable[Any]:
    """Shows how many kinds of episodes, (way, shot) each, were calibrated or measured."""
    from tqdm import tqdm

    return tqdm(kinds, "episodes", unit=" kinds", mininterval=0.5)


def given() -> Given:
    """What the flags say of files that do not say it themselves."""
    return Given(FLAGS.hz, FLAGS.units, tuple(FLAGS.leads) if FLAGS.leads else None)


def define_given() -> None:
    """Defines the flags that `given` reads."""
    flags.DEFINE_float(
        "hz",
        None,
        "Samples per second of files that do not say.",
        lower_bound=SLOWEST,
        upper_bound=FASTEST,
    )
    flags.DEFINE_enum(
        "units", None, list(UNITS), "The unit of files that do not say.", case_sensitive=False
    )
    flags.DEFINE_list("leads", None, "Names of the leads in order, of files that do not say.")
