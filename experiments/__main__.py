"""All commands as one: `metaecg COMMAND …`, or `python -m experiments COMMAND …`."""

import ast
import runpy
import sys
from pathlib import Path

from experiments.runs import huge_pages

COMMANDS = {
    path.stem: path
    for path in sorted(Path(__file__).parent.glob("*.py"))
    if not path.stem.startswith("_")
}
"""Each module of this folder is a command; none is imported before it is run."""


def main() -> None:
    """Runs the command that the first argument names, with the arguments behind it."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("--help", "-h", "help"):
        _say(_help())
    elif name == "--version":
        import metaecg  # light: rooms are loaded when they are named

        _say(f"metaecg {metaecg.__version__}")
    elif name in COMMANDS:
        huge_pages.ask()
        sys.argv = [f"metaecg {name}", *arguments]
        runpy.run_module(f"experiments.{name}", run_name="__main__", alter_sys=True)
    else:
        from experiments.runs import command_line  # --help does without absl

        hint = command_line.nearest(name, COMMANDS)
        said = f"error: there is no command {name[:60]!a}{hint}; metaecg --help lists them"
        print(said, file=sys.stderr)
        sys.exit(1)


def _say(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # the reader of a pipe, such as head, has seen enough
        sys.stdout = None
        sys.exit(141)


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {_sentence(path)}" for name, path in COMMANDS.items()]
    return "\n".join(
        (
            "Few-shot ECG diagnosis by meta-learning. Research software, not a medical device.",
            "\n    metaecg COMMAND --help\n    metaecg COMMAND --flag=value …\n",
            *lines,
        )
    )


def _sentence(path: Path) -> str:
    """What a command does: the first line of its docstring, read without running it."""
    return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n")[0]


if __name__ == "__main__":
    main()
