"""The wheel in an environment of its own, used from a folder that has `experiments/` as well."""

import os
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def said(*command, **options):
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, **options
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # A copy, since building writes into the folder it builds from.
    files = said("git", "ls-files", "-z", cwd=ROOT).stdout.split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / "source" / name).write_bytes((ROOT / name).read_bytes())
    built = said(sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", folder, folder / "source")
    if "No matching distribution" in built.stderr or "ConnectionError" in built.stderr:
        pytest.skip("building a wheel downloads setuptools, and there is no network")
    assert built.returncode == 0, built.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def metaecg(wheel, tmp_path_factory):
    """Runs the installed command where a user has an `experiments` of another kind."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    pip = said(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", wheel)
    assert pip.returncode == 0, pip.stderr
    # What the package needs is there already; this environment's own metaecg is not seen.
    packages = next((folder / "env" / "lib").glob("python*")) / "site-packages"
    (packages / "needed.pth").write_text(sysconfig.get_paths()["purelib"])
    home = folder / "home"
    (home / "experiments").mkdir(parents=True)
    (home / "experiments" / "__init__.py").write_text("raise SystemExit('another experiments')")
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}

    def run(*arguments, **options):
        command = folder / "env" / "bin" / "metaecg"
        return said(command, *arguments, cwd=home, env=env, **options)

    run.folder = home
    return run


@pytest.mark.slow
def test_the_wheel_holds_what_the_commands_need_and_no_more(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for there in ("experiments/__main__.py", "experiments/configs/quickstart.py"):
        assert there in names
    assert any(name.endswith(".metaecg") for name in names)
    for absent in ("experiments/stress", "experiments/benchmarks", "tests"):
        assert not any(name.startswith(absent) for name in names), absent


@pytest.mark.slow
def test_commands_work_from_any_folder(metaecg):
    began = time.monotonic()
    listed = metaecg("--help")
    assert time.monotonic() - began < 5
    assert listed.returncode == 0
    for command in ("train", "evaluate", "diagnose", "prepare", "export", "calibrate"):
        assert f"  {command} " in listed.stdout
    for command in ("train", "evaluate", "diagnose"):
        helped = metaecg(command, "--help")
        assert helped.returncode == 0, helped.stderr
        assert "flags:" in helped.stdout
    wrong = metaecg("trian")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (1, 1)
    assert "did you mean train?" in wrong.stderr


@pytest.mark.long
def test_a_run_of_the_installed_command(metaecg):
    short = ("--config.smoke=true", "--config.synthetic.patients=600", "--config.query=2")
    trained = metaecg("train", "--config=quickstart", *short, "--workdir=run")
    assert trained.returncode == 0, trained.stderr
    assert (metaecg.folder / "run" / "metrics.jsonl").is_file()
    measured = metaecg("evaluate", "--workdir=run")
    assert measured.returncode == 0, measured.stderr
    assert (metaecg.folder / "run" / "results.json").is_file()
