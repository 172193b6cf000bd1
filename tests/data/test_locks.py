"""One process at a time holds a lock, on every system, and a refusal says what is so."""

import errno
import fcntl
import os
import sys
from types import SimpleNamespace

import pytest

from metaecg.data import files
from metaecg.errors import MetaecgError


def windows(monkeypatch):
    """Windows' own locks: of bytes, kept by this table until their file is closed."""
    held = {}

    def locking(file, mode, count):
        assert (mode, count) == (2, 1)
        status = os.fstat(file)
        holder = held.setdefault((status.st_dev, status.st_ino), file)
        if holder != file:
            raise PermissionError(errno.EACCES, "Permission denied")

    def close(file):
        for key in [key for key, holder in held.items() if holder == file]:
            del held[key]
        closed(file)

    closed = os.close
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
    monkeypatch.setattr(files.sys, "platform", "win32")
    monkeypatch.setattr(files.os, "close", close)
    monkeypatch.setattr(fcntl, "flock", lambda *_: pytest.fail("Windows has no flock"))


@pytest.mark.parametrize("system", [None, windows], ids=["here", "windows"])
def test_a_file_is_held_once_until_it_is_let_go(tmp_path, monkeypatch, system):
    if system:
        system(monkeypatch)
    path = tmp_path / ".lock"
    with files.locked(path, "held"):
        with pytest.raises(MetaecgError, match=r"^held$"), files.locked(path, "held"):
            pytest.fail("held twice")
        with files.locked(tmp_path / "other", "held"):
            pass
    with files.locked(path, "held"):
        pass


def test_where_there_are_no_locks_no_other_process_is_blamed(tmp_path, monkeypatch):
    no_locks = OSError(errno.ENOLCK, "No locks available")
    monkeypatch.setattr(fcntl, "flock", lambda *_: (_ for _ in ()).throw(no_locks))
    with pytest.raises(OSError, match="No locks available"), files.locked(tmp_path / "l", "held"):
        pytest.fail("not held")
