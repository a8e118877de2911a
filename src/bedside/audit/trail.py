"""The files of a trail: ``audit-000001.jsonl`` and those that follow it, each with the chain of the one before it.

Threads and processes take turns at the end. What a killed writer left of a line is removed by the next one, which says
in its own line how many bytes it found, so that an edit cannot pass for a crash.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import orjson

from bedside.audit.chain import START, BrokenChainError, Keys, split
from bedside.errors import BrokenTrailError, WriteFailedError
from bedside.support.files import make_private_folder, open_private, refusals, sync_folder
from bedside.support.fork import in_each_process
from bedside.support.locks import QuickLock

FORMAT = 1
LOCK_NAME = "audit.lock"
_FILES = "audit-*.jsonl"
_SOON = 1.0
"""Seconds after which the disk has what was written, and not only the operating system."""
_TAIL = 1 << 14


@dataclass(frozen=True)
class End:
    """Where a trail ends.

    Attributes:
        number: Of the last file.
        size: Bytes of whole lines in it; 0 where it has not begun.
        seq: Of the last line of all; -1 before the first.
        mac: Of that line.
        torn: Bytes behind it that a killed writer left.
    """

    number: int = 1
    size: int = 0
    seq: int = -1
    mac: str = START
    torn: int = 0


@dataclass(frozen=True)
class Entry:
    """A line that was read, and where it stands.

    Attributes:
        file: Name of the file.
        line: Its number in the file, from 1.
        fields: What it says.
        mac: Its HMAC.
    """

    file: str
    line: int
    fields: dict[str, Any]
    mac: str


class Trail:
    """A folder of lines that follow one another; threads may share it, and processes may open the same one.

    Args:
        folder: Made when the trail begins.
        keys: Of the chain.
        max_bytes: A file that has reached this size is followed by another.
        lock_timeout: Seconds to wait for another process.
    """

    def __init__(self, folder: Path, keys: Keys, max_bytes: int, lock_timeout: float) -> None:
        self.folder, self.keys = folder, keys
        self._max_bytes = max_bytes
        self._turns = QuickLock(folder / LOCK_NAME, lock_timeout)
        in_each_process(self._make_state)

    def _make_state(self) -> None:
        self._turns.close()  # a forked child that kept its parent's would keep the parent's turn
        self._lock = threading.Lock()
        self._end: End | None = None
        self._opened: tuple[int, int] | None = None  # number and descriptor of the file that is written to
        self._syncing: threading.Timer | None = None
        self._failure: OSError | None = None

    def begin(self) -> None:
        """Begin the trail where there is none.

        Raises:
            WriteFailedError, LockTimeoutError, BrokenTrailError: As :meth:`append`.
        """
        with self._at_the_end() as end:
            if end.size == 0:
                self._begin_file(end)

    def append(self, fields: Mapping[str, Any], *, durable: bool) -> int:
        """Write a line to the end and return its number.

        When this returns, the operating system has the line: no end of this process can lose it.

        Args:
            fields: What the line says.
            durable: Whether the disk has it too when this returns; otherwise within a second.

        Raises:
            WriteFailedError: The disk refused; the trail is as before.
            LockTimeoutError: Another process held the end for too long.
            BrokenTrailError: Lines that were written are gone, or the last one was edited.
        """
        with self._at_the_end() as end:
            if end.size == 0 or end.size >= self._max_bytes:
                end = self._begin_file(end)
            end = self._write(end, fields)
            written = os.dup(self._descriptor(end.number)) if durable else None
        if written is None:
            self._sync_soon()
        else:
            self._sync(written)
        return end.seq

    def entries(self) -> Iterator[Entry]:
        """Yield every whole line, checked against the one before it.

        Raises:
            BrokenTrailError: A line was edited, removed or moved, or the key is another one.
        """
        previous, seq = START, 0
        files = self._files()
        for number, path in enumerate(files, 1):
            if path != self._path(number):
                raise BrokenTrailError(self._path(number).name, None, "the file is gone")
            with path.open("rb") as file:
                for place, line in enumerate(file, 1):
                    if path == files[-1] and not line.endswith(b"\n"):
                        return  # what a killed writer left
                    fields, previous = self._unsealed(path.name, place, previous, line, seq)
                    yield Entry(path.name, place, fields, previous)
                    seq += 1

    def torn_bytes(self) -> int:
        """Return how many bytes a killed writer left behind the last line; the next writer removes them."""
        files = self._files()
        return len(_parted(_tail(files[-1]))[1]) if files else 0

    def close(self) -> None:
        """Have the disk take what was written, and let go of the file."""
        with self._lock:
            if self._syncing is not None:
                self._syncing.cancel()
            opened, self._opened, self._end, self._syncing = self._opened, None, None, None
            self._turns.close()
        if opened is not None:
            self._sync(opened[1])

    @contextmanager
    def _at_the_end(self) -> Iterator[End]:
        """Hold the end of the trail against other threads and processes, and say where it is."""
        with self._lock, refusals(self.folder.name, "nothing was recorded"):
            if self._failure is not None:
                raise OSError(self._failure.errno, "the disk did not take the last lines of this audit trail")
            if self._end is None:
                make_private_folder(self.folder)
            with self._turns.held("the audit trail"):
                yield self._current_end()

    def _current_end(self) -> End:
        """Return where the trail ends now, whoever wrote last."""
        known = self._end
        number = known.number if known is not None else max(1, len(self._files()))
        while os.path.exists(self._name(number + 1)):  # noqa: PTH110 # once a line, and pathlib costs ten times as much
            number += 1
        if known is not None and known.number == number:
            size = self._size(number)
            if size < known.size:
                raise BrokenTrailError(self._path(number).name, None, "lines that this process wrote are gone")
            if size == known.size:
                return known
        self._end = self._read_end(number)
        return self._end

    def _read_end(self, number: int) -> End:
        """Read where the trail ends from its last file; where that has no line yet, from the one before it."""
        path = self._path(number)
        whole, torn = _parted(_tail(path))
        if not whole:
            before = self._read_end(number - 1) if number > 1 else End()
            return replace(before, number=number, size=0, torn=len(torn))
        *rest, last = whole.splitlines(keepends=True)
        try:
            previous = split(rest[-1])[1] if rest else self._mac_before(number)
            seq = orjson.loads(last)["seq"]
        except (BrokenChainError, orjson.JSONDecodeError, KeyError, TypeError):
            raise BrokenTrailError(path.name, None, "its last lines were edited") from None
        _, mac = self._unsealed(path.name, None, previous, last, seq)
        return End(number, path.stat().st_size - len(torn), seq, mac, len(torn))

    def _mac_before(self, number: int) -> str:
        return START if number == 1 else self._read_end(number - 1).mac

    def _begin_file(self, end: End) -> End:
        """Begin the trail, or its next file, with a line that says which file it is and which key it has."""
        number = end.number if end.size == 0 else end.number + 1
        if end.size:
            os.ftruncate(self._descriptor(end.number), end.size)
            os.fsync(self._descriptor(end.number))
        os.close(open_private(self._path(number), writable=True, create=True))
        sync_folder(self.folder)
        head = {"at": now(), "verb": "begin", "format": FORMAT, "file": number, "key": self.keys.mark}
        first = {"trail": secrets.token_hex(8)} if end.seq < 0 else {}
        return self._write(replace(end, number=number, size=0), {**head, **first})

    def _write(self, end: End, fields: Mapping[str, Any]) -> End:
        """Write a line behind ``end``, all of it or nothing, in place of what a killed writer left there."""
        torn = {"torn": end.torn} if end.torn else {}
        line, mac = self.keys.seal(end.mac, {"seq": end.seq + 1, **fields, **torn})
        fd = self._descriptor(end.number)
        try:
            if torn:
                os.ftruncate(fd, end.size)
            os.lseek(fd, end.size, os.SEEK_SET)
            left = memoryview(line)
            while left:
                left = left[os.write(fd, left) :]
        except BaseException:
            self._end = None
            with contextlib.suppress(OSError):
                os.ftruncate(fd, end.size)
            raise
        self._end = End(end.number, end.size + len(line), end.seq + 1, mac)
        return self._end

    def _descriptor(self, number: int) -> int:
        """Return the descriptor of a file, which stays open until another is asked for."""
        if self._opened is None or self._opened[0] != number:
            if self._opened is not None:
                os.close(self._opened[1])
                self._opened = None
            self._opened = (number, open_private(self._path(number), writable=True))
        return self._opened[1]

    def _size(self, number: int) -> int:
        """Return the size of the file that is written to; -1 where another, or none, has its name now."""
        try:
            found = os.stat(self._name(number))  # noqa: PTH116 # as above
        except FileNotFoundError:
            return -1
        return found.st_size if os.path.samestat(found, os.fstat(self._descriptor(number))) else -1

    def _sync_soon(self) -> None:
        """Have the disk take what was written within a second, without anybody waiting for it."""
        with self._lock:
            if self._syncing is None:
                self._syncing = threading.Timer(_SOON, self._sync_now)
                self._syncing.daemon = True
                self._syncing.start()

    def _sync_now(self) -> None:
        with self._lock:
            self._syncing = None
            written = None if self._opened is None else os.dup(self._opened[1])
        if written is not None:
            with contextlib.suppress(WriteFailedError):  # told to whoever writes next
                self._sync(written)

    def _sync(self, fd: int) -> None:
        """Sync a descriptor and close it, without the lock: a disk takes milliseconds, in which others write."""
        try:
            with refusals(self.folder.name, "what was recorded last may not be on the disk"):
                os.fsync(fd)
        except WriteFailedError as error:
            self._failure = error
            raise
        finally:
            os.close(fd)

    def _unsealed(
        self, file: str, line: int | None, previous: str, data: bytes, seq: int
    ) -> tuple[dict[str, Any], str]:
        try:
            fields, mac = self.keys.unseal(previous, data)
        except BrokenChainError as error:
            reason = f"{error}: it was edited, or one before it was edited, removed or moved"
            raise BrokenTrailError(file, line, self._another_key(file) or reason) from None
        if fields["seq"] != seq:
            raise BrokenTrailError(file, line, f"line {seq} of the trail was expected, found {fields['seq']}")
        return fields, mac

    def _another_key(self, file: str) -> str | None:
        """Say so where a file was begun with another key."""
        with (self.folder / file).open("rb") as head, contextlib.suppress(orjson.JSONDecodeError, KeyError, TypeError):
            if orjson.loads(head.readline())["key"] != self.keys.mark:
                return "the trail was begun with another key, or the first line of this file was edited"
        return None

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(_FILES))

    def _path(self, number: int) -> Path:
        return Path(self._name(number))

    def _name(self, number: int) -> str:
        return f"{self.folder}{os.sep}audit-{number:06d}.jsonl"


def now() -> str:
    """Return the time as a trail says it: UTC, to the millisecond."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _tail(path: Path) -> bytes:
    """Return the end of a file, with its last two lines at least; nothing of a file that is not there."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        size, length = file.seek(0, os.SEEK_END), _TAIL
        while True:
            file.seek(max(0, size - length))
            data = file.read()
            if length >= size or data.count(b"\n") > 2:
                return data
            length *= 4
    return b""


def _parted(data: bytes) -> tuple[bytes, bytes]:
    """Return whole lines, and what follows the last of them."""
    whole = data.rfind(b"\n") + 1
    return data[:whole], data[whole:]
