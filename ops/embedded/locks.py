"""Locks on directories."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ops.embedded.errors import EmbeddedError

POLL_SECONDS = 0.02


class Lock:
    """A file lock that ends with the last process holding it, so it is never stale."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        if self._descriptor is None:
            raise RuntimeError(f"{self.path} is not locked")
        return self._descriptor

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def acquire(self, seconds: float = 0) -> bool:
        """Take the lock and write our pid into it; False if others hold it for longer than `seconds`."""
        descriptor = self._open()
        if not _until(lambda: _flock(descriptor), seconds):
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        self._write(os.getpid())
        return True

    def holder(self) -> str:
        """The pid that the last holder wrote."""
        return self.path.read_text().strip() or "unknown"

    def hand_over(self, pid: int) -> None:
        """Leave the lock to a child that inherited it."""
        self._write(pid)
        self.release()

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except PermissionError as error:
            raise EmbeddedError(
                f"{error.filename} belongs to another user (was it started with sudo once?). Give the directory to "
                "yourself with chown -R, or choose another."
            ) from error

    def _write(self, pid: int) -> None:
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{pid}\n".encode(), 0)


def server_lock(path: Path, name: str, seconds: float = 15) -> Lock:
    """The lock that a server holds on its data.

    A server whose parent was killed needs a moment to write its data and end, hence the waiting.
    """
    lock = Lock(path)
    if not lock.acquire(seconds):
        raise EmbeddedError(
            f"{name} of an earlier run (pid {lock.holder()}) still works on {path.parent}. "
            f"Stop the program that started it, or end it with: kill {lock.holder()}"
        )
    return lock


def _flock(descriptor: int) -> bool:
    if sys.platform == "win32":
        raise EmbeddedError(
            "The embedded servers run on Linux and macOS. On Windows use WSL, or name a Kafka and a PostgreSQL in "
            "the settings."
        )
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _until(fact: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
