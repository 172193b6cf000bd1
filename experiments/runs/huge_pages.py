"""Memory in huge pages, which makes XLA on a CPU about a third faster.

XLA takes and gives back tens of megabytes at every step. In pages of 4 KiB the kernel maps and
clears them one by one, which took 40 % of the time of embedding PTB-XL. Linux offers pages of 2 MiB
to programs that ask for them; glibc asks for a program, by a setting that it reads at its start.
"""

import os
import sys

SETTING = "GLIBC_TUNABLES"
"""Whoever sets this variable decides; `GLIBC_TUNABLES=` leaves all as it is."""


def ask() -> None:
    """Starts this process anew, once, with the setting; on Linux, where nothing is set yet."""
    if sys.platform == "linux" and SETTING not in os.environ:
        environment = {**os.environ, SETTING: "glibc.malloc.hugetlb=1"}
        os.execve(sys.executable, sys.orig_argv, environment)
