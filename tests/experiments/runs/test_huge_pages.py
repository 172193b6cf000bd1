"""That a command asks for huge pages once, and only where nobody has decided otherwise."""

import os
import subprocess
import sys

import pytest

from experiments.runs import huge_pages

PROGRAM = """
import os, sys
from experiments.runs import huge_pages
print(sys.argv[1:], os.environ.get("GLIBC_TUNABLES"), flush=True)
huge_pages.ask()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked for huge pages")
def test_a_process_starts_anew_once_with_its_arguments():
    free = {key: value for key, value in os.environ.items() if key != "GLIBC_TUNABLES"}
    for setting, said in (
        ({}, ["['a b', '--c'] None", "['a b', '--c'] glibc.malloc.hugetlb=1"]),
        ({"GLIBC_TUNABLES": ""}, ["['a b', '--c'] "]),
    ):
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM, "a b", "--c"],
            env={**free, **setting},
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stdout.splitlines() == said


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES")
    monkeypatch.setattr(os, "execve", None)
    for platform in ("win32", "darwin"):
        monkeypatch.setattr(sys, "platform", platform)
        huge_pages.ask()
