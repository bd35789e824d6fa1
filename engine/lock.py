"""An operating-system lock as proof of life: the kernel frees it however its holder dies.

The holder must never fork without exec (a forked child would keep the lock); files opened by Python are
closed on exec, so subprocesses are safe.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import UserError

if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def try_lock(path: Path, wait: float = 0.0) -> int | None:
    """Take the lock of the file `path`, which is made if need be.

    Args:
        path: The lock file; its folder exists. It is never deleted while somebody may hold it.
        wait: Seconds to keep trying. A holder-to-be should grant two, since `is_locked` takes the lock for
            an instant.

    Returns:
        An open file descriptor, to be kept for as long as the lock is needed and given to `release`; or None,
        if another process (or another descriptor of this one) holds it.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
    deadline = time.monotonic() + wait
    while True:
        try:
            _lock(fd)
            return fd
        except OSError:
            if time.monotonic() >= deadline:
                os.close(fd)
                return None
        time.sleep(0.02)


@contextmanager
def held(path: Path, wait: float, busy: str) -> Iterator[None]:
    """Hold the lock for what is done inside; its folder is made if need be.

    Args:
        path: The lock file.
        wait: Seconds to keep trying.
        busy: What to tell whoever waited in vain.

    Raises:
        UserError: Somebody else has held it for too long.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = try_lock(path, wait=wait)
    if fd is None:
        raise UserError(busy)
    try:
        yield
    finally:
        release(fd)


def release(fd: int) -> None:
    """Give the lock back."""
    os.close(fd)


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock; a file that does not exist is not locked."""
    if not path.exists():
        return False
    try:
        fd = try_lock(path)
    except OSError:  # gone, or not ours to open: nobody we know holds it
        return False
    if fd is None:
        return True
    release(fd)
    return False
