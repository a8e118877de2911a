"""A lock that processes take turns with, for what is locked a thousand times a second."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bedside.errors import LockTimeoutError
from bedside.remedies import Give
from bedside.support.files import FILE_MODE, open_private

if sys.platform != "win32":
    import fcntl

_POLL = 0.0005
"""Seconds between two looks at a lock that another process has."""


class QuickLock:
    """A lock file, held open between two turns; one thread at a time may use it.

    ``filelock`` opens, checks and closes its file at each turn, which costs more than the line that is written under
    the lock; it does the work where there is no ``flock``.

    Args:
        path: The lock file; it is made.
        timeout: Seconds to wait for another process.
    """

    def __init__(self, path: Path, timeout: float) -> None:
        self._path, self._timeout = path, timeout
        self._fd: int | None = None

    @contextmanager
    def held(self, what: str) -> Iterator[None]:
        """Hold the lock for a block.

        Args:
            what: What it guards, for the message.

        Raises:
            LockTimeoutError: Another process held it for too long.
            OSError: The file cannot be made.
        """
        if sys.platform == "win32":
            with self._held_by_filelock(what):
                yield
            return
        if self._fd is None:
            self._fd = open_private(self._path, writable=True, create=True)
        until = time.monotonic() + self._timeout
        while not _taken(self._fd):
            if time.monotonic() > until:
                raise self._too_long(what)
            time.sleep(_POLL)
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    @contextmanager
    def _held_by_filelock(self, what: str) -> Iterator[None]:
        from filelock import FileLock, Timeout  # it imports asyncio: a quarter of the time of `import bedside`

        try:
            with FileLock(self._path, timeout=self._timeout, mode=FILE_MODE, poll_interval=_POLL):
                yield
        except Timeout:
            raise self._too_long(what) from None

    def _too_long(self, what: str) -> LockTimeoutError:
        waited = f"another process has held {what} for over {self._timeout:g} s"
        return LockTimeoutError(waited, remedies=[Give("lock_timeout", note="to wait longer")])


if sys.platform != "win32":

    def _taken(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
