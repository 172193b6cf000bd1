"""Reads an archive with you: shows what is most worth reading, and learns from each answer.

    python -m experiments.review --session=FOLDER --library=LIBRARY --support=FOLDER
        [--sought=LABEL] [--positives=ID,…] [--negatives=ID,…] [--strategy=likeliest|mixed]
        [--control=0.1] [--port=0]
    python -m experiments.review --session=FOLDER --library=LIBRARY
    python -m experiments.review --session=FOLDER --library=LIBRARY --export=FOLDER --label=WPW

The first line begins a session and prints the address of a page on this machine; open it in a
browser and answer by Y, N, ? and U (undo). The second goes on with it, the third writes what was
found: labels.csv for prepare, a folder of examples, and tasks for Label Studio. The page needs the
package bottle: pip install -e ".[review]" in the clone of metaecg. Without --workdir and
--artefact, the shipped model embeds the recordings, or one for fewer leads where the library lacks
some of the twelve.
"""

import shlex
from pathlib import Path

from absl import flags

from experiments.runs import archives, command_line, model_flags, review_server
from metaecg.data import files
from metaecg.errors import MetaecgError
from metaecg.search import cache, log, question
from metaecg.search.export import export
from metaecg.search.session import STRATEGIES, VERDICTS, Session

FLAGS = flags.FLAGS


@command_line.defines_flags
def define_flags() -> None:
    archives.define_flags()
    flags.DEFINE_string("session", None, "The folder of the session; made where there is none.")
    flags.DEFINE_enum(
        "strategy",
        "likeliest",
        list(STRATEGIES),
        "What is shown: the likeliest, or mixed with some that are unlike those read.",
    )
    flags.DEFINE_float(
        "control",
        0.1,
        "The share of readings that are drawn at random, by which the rest is estimated.",
        lower_bound=0,
        upper_bound=1,
    )
    flags.DEFINE_integer("seed", 0, "Of the random readings.", lower_bound=0)
    flags.DEFINE_integer(
        "port", 0, "To listen on, on this machine alone; 0 takes a free one.", lower_bound=0
    )
    flags.DEFINE_string("export", None, "A folder to write what was found to, instead of reading.")
    flags.DEFINE_string("label", "sought", "The label that --export gives to what was found.")


def open_session(folder: Path) -> tuple[archives.Opened, Session, log.Log]:
    """Begins a session or goes on with one; its folder is locked by the caller.

    Raises:
      MetaecgError: the flags do not fit it, or it is damaged.
    """
    begun = (folder / "session.json").exists()
    given = model_flags.given()
    if begun and (FLAGS.support or FLAGS.positives or FLAGS.negatives):
        raise MetaecgError(
            f"--session={folder}: has its examples already; leave out --support, --positives and "
            "--negatives to go on with it, or choose another --session"
        )
    if not begun and not (FLAGS.support or FLAGS.positives):
        raise MetaecgError(
            f"--session={folder}: no session is there yet; give examples by --support or "
            "--positives to begin one"
        )
    opened = archives.open_prepared(FLAGS.library)
    model = opened.model
    assert opened.library is not None
    facts = {"library": opened.library.fingerprint, "model": cache.fingerprint(model)}
    if not begun:
        examples, warnings = archives.examples(model, opened.recordings, given)
        asked = question.ask(model, opened.archive, examples, opened.recordings)
        settings = {name: FLAGS[name].value for name in ("strategy", "control", "seed")}
        log.create(folder, examples, **facts, **settings, warnings=warnings)
    examples, kept = log.load(folder)
    for name, value in facts.items():
        if kept.get(name) != value:
            raise MetaecgError(
                f"--session={folder}: was begun with another {name}; go on with that one, or "
                "begin another session"
            )
    if begun:
        asked = question.ask(model, opened.archive, examples, opened.recordings)
    session = Session(
        opened.archive,
        asked,
        strategy=kept["strategy"],
        control=kept["control"],
        seed=kept["seed"],
    )
    written = log.Log(folder, list(opened.recordings.ids))
    written.replay(session)
    return opened, session, written


def main(_) -> None:
    command_line.need("session", "library")
    if not FLAGS.export:
        review_server.check_installed()  # before a session is made that could not be read
    folder = Path(FLAGS.session).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    refusal = (
        f"--session={folder}: another process reads in this session; end it first, or choose "
        "another folder"
    )
    with files.locked(folder / ".lock", refusal):
        opened, session, written = open_session(folder)
        assert opened.library is not None
        if FLAGS.export:
            to = Path(FLAGS.export).expanduser()
            said = export(to, session, opened.recordings, opened.library, FLAGS.label)
            print(f"{to}: " + ", ".join(f"{said[kind]} {kind}" for kind in VERDICTS))
            return
        from metaecg.figures.review_page import Reader  # matplotlib takes a second to import

        reader = Reader(opened.model, opened.recordings, session, written)
        review_server.serve(
            lambda token, port: review_server.application(
                token, reader.page, reader.answer, reader.undo, port
            ),
            FLAGS.port,
        )
        print(f"\nEvery answer is kept. Go on by: {_again()}")


def _again() -> str:
    """The command that goes on with this session."""
    names = ("library", "session", "workdir", "artefact")
    given = [f"--{name}={FLAGS[name].value}" for name in names if FLAGS[name].value]
    return shlex.join(["metaecg", "review", *given])


if __name__ == "__main__":
    define_flags()
    command_line.run(main)
