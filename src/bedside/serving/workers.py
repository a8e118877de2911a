"""Several processes that serve one address, each with an interpreter of its own, so that none waits for another's.

The process that was started by hand serves nothing. It opens the sockets, runs its own command once more for each
worker, starts another where one dies, and ends with the last of them.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from prometheus_client.multiprocess import mark_process_dead

from bedside.errors import InvalidInputError
from bedside.serving.metrics import SHARED_VARIABLE

log = logging.getLogger(__name__)

VARIABLE = "BEDSIDE_WORKER"
"""Tells a worker where its line to the first process and the sockets are."""
_PAUSE = 1.0
"""Seconds until a worker that ended by itself is followed by another: one that cannot start must not fill the log."""


@dataclass(frozen=True)
class Worker:
    """What a worker was given by the process that started it.

    Attributes:
        folder: What the workers share among themselves; it goes when the server ends.
        sockets: Where all of them listen: whoever is free takes a connection, and keeps it.
    """

    folder: Path
    sockets: list[socket.socket]
    _line: socket.socket

    @classmethod
    def here(cls) -> Worker | None:
        """Return what this process was given, or ``None`` where it is no worker."""
        given = os.environ.pop(VARIABLE, None)
        if given is None:
            return None
        folder, _, numbers = given.rpartition(":")
        line, *listening = (socket.socket(fileno=int(number)) for number in numbers.split(","))
        return cls(Path(folder), listening, line)

    def ready(self, _address: str) -> None:
        """Say that this worker serves; from now on it ends when the first process does, however that ended."""
        self._line.sendall(b".")
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        with suppress(OSError):
            self._line.recv(1)  # nothing is ever said: the other end is gone
        os.kill(os.getpid(), signal.SIGTERM)


@dataclass(frozen=True)
class _Started:
    process: subprocess.Popen[bytes]
    line: socket.socket

    def serves(self) -> bool:
        """Wait until it serves, or has ended."""
        return self.line.recv(1) == b"."

    def end(self) -> int:
        """Wait until it has ended, and return its exit status."""
        self.line.close()
        return self.process.wait()


def supervise(count: int, sockets: Sequence[socket.socket], ready: Callable[[], None]) -> bool:
    """Have so many workers serve until SIGINT or SIGTERM, which then ends this process as it would have without them.

    Args:
        count: How many.
        sockets: That listen.
        ready: Is called once all workers serve.

    Returns:
        False where a worker could not be started; it said why.

    Raises:
        InvalidInputError: The system cannot hand sockets to other processes in this way.
    """
    if sys.platform == "win32":
        raise InvalidInputError("workers: more than 1 needs Linux or macOS")
    with tempfile.TemporaryDirectory(prefix="bedside-") as folder:
        supervisor = _Supervisor(sockets, Path(folder))
        with supervisor.heeding():
            began = supervisor.begin(count, ready)
            supervisor.keep()
    if supervisor.told is not None:
        signal.raise_signal(supervisor.told)
    return began


class _Supervisor:
    """Starts workers and ends them.

    Attributes:
        told: The signal that ends the server; ``None`` while it goes on.
    """

    def __init__(self, sockets: Sequence[socket.socket], folder: Path) -> None:
        self._sockets, self._folder = sockets, folder
        self._running: list[_Started] = []
        self._failed = False
        self.told: int | None = None

    @contextmanager
    def heeding(self) -> Iterator[None]:
        """Hand the signals that end a server on to its workers."""
        before = {number: signal.signal(number, self._heed) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _heed(self, number: int, _frame: FrameType | None) -> None:
        again, self.told = self.told is not None, self.told or number
        # The first time what has begun is answered; a second Ctrl-C does not wait for that.
        self._end_all(number if again else signal.SIGTERM)

    def _end_all(self, number: int) -> None:
        for worker in self._running:
            worker.process.send_signal(number)

    def begin(self, count: int, ready: Callable[[], None]) -> bool:
        """Start the workers; the first one alone, so that what is wrong is said once."""
        serve = self._start().serves()
        others = [self._start() for _ in range(1, count)] if serve else []
        serve = serve and all(worker.serves() for worker in others)
        if serve and self.told is None:
            ready()
        else:
            self._failed = True
            self._end_all(signal.SIGTERM)
        return serve

    def keep(self) -> None:
        """Start another worker where one ends by itself; return when all have ended and none shall follow."""
        while self._running:
            ended, _, _ = select.select([worker.line for worker in self._running], [], [])
            for worker in [worker for worker in self._running if worker.line in ended]:
                if worker.line.recv(1):
                    continue  # it serves, in place of one that died
                self._running.remove(worker)
                status = worker.end()
                mark_process_dead(worker.process.pid, str(self._folder))  # type: ignore[no-untyped-call]
                if not self._ending():
                    log.error("worker %d ended by itself with status %d", worker.process.pid, status)
                    time.sleep(_PAUSE)
                    self._replace()

    def _ending(self) -> bool:
        return self._failed or self.told is not None

    def _replace(self) -> None:
        if not self._ending():
            log.info("worker %d takes its place", self._start().process.pid)

    def _start(self) -> _Started:
        ours, theirs = socket.socketpair()
        with theirs:
            numbers = [each.fileno() for each in (theirs, *self._sockets)]
            given = {VARIABLE: f"{self._folder}:{','.join(map(str, numbers))}", SHARED_VARIABLE: str(self._folder)}
            process = subprocess.Popen(  # noqa: S603 - the command that this process was started with
                [sys.executable, *sys.orig_argv[1:]],
                env={**os.environ, **given},
                pass_fds=numbers,
                start_new_session=True,  # Ctrl-C is heard by this process alone
            )
        worker = _Started(process, ours)
        self._running.append(worker)
        if self._ending():  # it was told meanwhile
            process.terminate()
        return worker
