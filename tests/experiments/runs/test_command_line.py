"""What every command does with its flags, its output, and errors of the machine."""

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from absl import flags

from experiments.runs import command_line
from metaecg.errors import MetaecgError

ROOT = Path(command_line.__file__).parents[2]
START = "from experiments.runs import command_line\nfrom metaecg.errors import MetaecgError\n"


def command(body, *arguments, before="", **options):
    """Runs a command whose `main` has this body, in a process of its own."""
    main = "\n".join(f"    {line}" for line in body.splitlines())
    program = f"{START}{before}\ndef main(argv):\n{main}\ncommand_line.run(main)\n"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, check=False, **options
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8", "utf-16"])
def test_any_text_can_be_printed_whatever_the_encoding(encoding):
    signs = "0.8 ± 0.1 × 2 – θ … \\udcff 心"
    body = f'print("{signs}")\nraise MetaecgError("{signs}")'
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    ran = command(body, env=env)
    out, err = ran.stdout.decode(encoding), ran.stderr.decode(encoding)
    assert ran.returncode == 1
    assert "Traceback" not in err
    assert err.startswith("error: 0.8 ")
    signs_there = {"ascii": "0.8 +- 0.1 x 2 - ? ... ? ?", "latin-1": "0.8 ± 0.1 × 2 - ? ... ? ?"}
    assert out.strip() == signs_there.get(encoding, out.strip())
    assert err.strip() == f"error: {out.strip()}"


def test_errors_of_the_machine_are_one_line():
    for body, said in {
        "open('no/file')": "error: no/file: No such file or directory",
        "raise OSError('a library says this')": "error: a library says this",
        "raise MemoryError": "error: the memory does not suffice",
        "raise RuntimeError('RESOURCE_EXHAUSTED: 3 GiB')": "error: the memory does not suffice",
        "raise KeyboardInterrupt": "error: interrupted",
        "raise MetaecgError('two\\n  lines')": "error: two lines",
    }.items():
        ran = command(body)
        assert ran.stderr.decode().startswith(said)
        assert ran.stderr.count(b"\n") == 1
        assert ran.returncode == (130 if "Interrupt" in body else 1)
    assert b"Traceback" in command("raise RuntimeError('a defect')").stderr


def test_a_reader_that_has_seen_enough_ends_the_command_quietly():
    body = "for _ in range(100000): print('x' * 100)"
    main = f"{START}\ndef main(argv):\n    {body}\ncommand_line.run(main)\n"
    with subprocess.Popen(
        [sys.executable, "-c", main], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as ran:
        ran.stdout.read(10)
        ran.stdout.close()
        assert ran.stderr.read() == b""


@pytest.mark.parametrize("question", ["--help", "--version"])
def test_nobody_need_read_the_list_of_commands(question):
    with subprocess.Popen(
        [sys.executable, "-m", "experiments", question],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    ) as ran:
        ran.stdout.close()
        assert ran.stderr.read() == b""
    assert ran.returncode == 141


def test_flags_are_checked_before_the_command_begins():
    before = (
        "from absl import flags\n"
        "@command_line.defines_flags\n"
        "def define_flags():\n"
        "    flags.DEFINE_string('workdir', None, 'A folder.')\n"
        "    flags.DEFINE_integer('episodes', 3, 'A number.', lower_bound=1)\n"
        "    flags.DEFINE_list('shots', ['1'], 'Numbers.')\n"
        "define_flags()"
    )
    for arguments, said in {
        ("--workdir=",): "error: --workdir is empty: give a value, or leave the flag out",
        ("--workdri=x",): "error: there is no flag --workdri (did you mean --workdir?)",
        ("--" + "x" * 5000,): "error: there is no flag --xxx",
        ("stray",): "error: unexpected argument 'stray': flags are written --name=value",
        ("--episodes=0",): "error: flag --episodes=0",
        ("--episodes=many",): "error: flag --episodes=many",
        ("--episodes",): "error: Missing value for flag --episodes",
        ("--flagfile=no/file",): "error: ",
    }.items():
        ran = command("print('begun')", *arguments, before=before)
        assert ran.stderr.decode().startswith(said), arguments
        assert ran.stderr.count(b"\n") == 1, arguments
        assert len(ran.stderr) < 300, arguments
        assert (ran.returncode, ran.stdout) == (1, b""), arguments
    ran = command("print('begun')", "--workdir=a", "--shots=", before=before)
    assert ran.stdout == b"begun\n"


def test_flags_of_one_command_replace_those_of_another():
    for default in (1, 2):

        @command_line.defines_flags
        def define(default=default):
            flags.DEFINE_integer("test_of_replacing", default, "A number.")

        define()
        flags.FLAGS(["test"])
        assert flags.FLAGS.test_of_replacing == default


@pytest.mark.parametrize("text", [["1", "x"], [], ["0"], ["1", "1"], ["²"], [""], ["-1"]])
def test_lists_of_numbers_are_numbers(text):
    with pytest.raises(MetaecgError, match=r"^--shots="):
        command_line.counts("shots", text)
    assert command_line.counts("shots", ["5", "1"]) == [5, 1]


def test_streams_that_cannot_be_changed_are_left(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    command_line.print_anywhere()


# What runs the tests in the background may have them ignore Ctrl-C, which a child would inherit.
LISTEN = """import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"""


@pytest.mark.parametrize("start", [["-m", "experiments.train"], ["-m", "experiments", "train"]])
def test_ctrl_c_while_modules_are_imported_is_one_line(start, tmp_path):
    # A module that takes its time, in the place of one that the command imports.
    (tmp_path / "optax.py").write_text("import time; print('begun', flush=True); time.sleep(60)")
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", LISTEN, *start, "--config=quickstart"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, text=True,
        cwd=Path(__file__).parents[3],
    ) as ran:  # fmt: skip
        assert ran.stdout.readline() == "begun\n"
        time.sleep(0.2)
        ran.send_signal(2)
        assert ran.stderr.read() == "error: interrupted\n"


def test_a_home_folder_is_not_needed():
    program = "from pathlib import Path; Path.home = lambda: (_ for _ in ()).throw(RuntimeError())"
    env = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
    ran = subprocess.run([sys.executable, "-c", f"{program}\nimport experiments"], env=env)
    assert ran.returncode == 0


@pytest.mark.parametrize("command", ["diagnose", "prepare"])
def test_help_needs_neither_jax_nor_filters(command):
    code = f"""
import sys
from experiments import {command}
sys.exit(str([m for m in ("jax", "scipy.signal", "matplotlib") if m in sys.modules] or ""))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.strip() == ""


@pytest.mark.parametrize(
    ("command", "named"),
    [("train", ["--config:"]), ("find", ["--support:", "--hz:"]), ("calibrate", ["--artefact:"])],
)
def test_help_lists_the_flags_that_commands_share(command, named):
    line = [sys.executable, "-m", "experiments", command, "--help"]
    helped = subprocess.run(line, cwd=ROOT, capture_output=True, text=True).stdout
    assert [name for name in named if name not in helped] == []
