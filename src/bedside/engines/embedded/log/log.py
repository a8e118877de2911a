"""The append-only log: JSON Lines in which every transaction ends with a commit line.

A commit line carries the number of records it closes and a running checksum over every byte of the log so far, so
that a line that was removed, doubled or moved is found as surely as one that was changed. What follows the last
commit is the unfinished transaction of a writer that died: readers ignore it, the next writer cuts it off.
"""

from __future__ import annotations

import contextlib
import os
import threading
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from weakref import finalize

from bedside.engines.embedded.log.codec import (
    COMMIT_ROOM,
    Chain,
    Change,
    Closing,
    Codec,
    Commit,
    as_commit,
    is_change,
)
from bedside.engines.embedded.log.seal import BrokenSealError, check
from bedside.errors import CollectionClosedError, CorruptLogError, ShreddedError
from bedside.records import Record
from bedside.support.files import open_private, read_at, refusals
from bedside.support.fork import fork_barrier, in_each_process
from bedside.support.turns import taking_turns

_CHUNK = 1 << 22
_READ = 1 << 18
"""Bytes that are cut into lines at once, which holds the interpreter: for 4 MiB up to 10 ms."""


@dataclass(frozen=True)
class Position:
    """A place between two transactions: byte offset, lines before it, running checksum up to it."""

    offset: int = 0
    line: int = 0
    chain: Chain = 0


@dataclass(frozen=True)
class Scan:
    """How far a reader has checked the lines: whole transactions, and the unfinished one behind them.

    A reader that looks again goes on from here, so that it reads the unfinished transaction of another process once.
    """

    position: Position = Position()
    offset: int = 0
    line: int = 0
    chain: Chain = 0
    pending: int = 0

    @classmethod
    def after(cls, position: Position) -> Scan:
        """Return a scan that has seen nothing behind ``position``."""
        return cls(position, position.offset, position.line, position.chain)


class Span(NamedTuple):
    """Where one record's line lies: byte offset and length."""

    offset: int
    length: int


class MemoryFile:
    """The bytes of a log that never touches a disk, behind the same four calls as :class:`DiskFile`."""

    name = "memory"

    def __init__(self) -> None:
        self._data = bytearray()
        self._lock = fork_barrier()  # bytes that are looked at cannot grow

    def size(self) -> int:
        """Return how many bytes there are."""
        return len(self._data)

    def read(self, offset: int, length: int) -> bytes:
        """Read ``length`` bytes at ``offset``, fewer at the end."""
        with self._lock, memoryview(self._data) as data:
            return bytes(data[offset : offset + length])

    def write(self, offset: int, chunks: Iterable[bytes]) -> None:
        """Put ``chunks`` in place of everything from ``offset`` on."""
        new = b"".join(chunks)
        with self._lock:
            del self._data[offset:]
            self._data += new

    def is_in_place(self) -> bool:
        """There is no other place."""
        return True

    def close(self) -> None:
        """Nothing is held open."""


class _Descriptor:
    """An open file, closed when the last who uses it lets go: one thread may close a collection that others read."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        finalize(self, os.close, fd).atexit = False  # threads may still read while the process ends


class DiskFile:
    """The bytes of a log file. A write that returns is on the disk; one that fails leaves the file as it was."""

    def __init__(self, path: Path, *, writable: bool, create: bool = False) -> None:
        self.name, self._path = path.name, path
        self._descriptor: _Descriptor | None = _Descriptor(open_private(path, writable=writable, create=create))
        in_each_process(self._make_lock)

    def _make_lock(self) -> None:
        self._lock = threading.Lock()

    def size(self) -> int:
        """Return how many bytes there are."""
        open_ = self._open()
        return os.fstat(open_.fd).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Read ``length`` bytes at ``offset``, fewer at the end."""
        open_ = self._open()
        return read_at(open_.fd, offset, length, self._lock)

    def write(self, offset: int, chunks: Iterable[bytes]) -> None:
        """Put ``chunks`` in place of everything from ``offset`` on, and sync."""
        open_ = self._open()
        failed: list[OSError] = []

        def made() -> Iterator[bytes]:
            """Yield the chunks; what making them raises is the caller's, such as an encoder's ConnectionError."""
            try:
                yield from chunks
            except OSError as error:
                failed.append(error)
                raise

        try:
            with refusals(self.name, "nothing was committed"):
                os.ftruncate(open_.fd, offset)
                with self._lock, open(open_.fd, "wb", buffering=_CHUNK, closefd=False) as out:  # a descriptor
                    out.seek(offset)
                    out.writelines(made())
                os.fsync(open_.fd)
        except BaseException:
            # Nothing was acknowledged, and without its commit line a rest that cannot be cut off is ignored.
            with contextlib.suppress(OSError):
                os.ftruncate(open_.fd, offset)
            if failed:
                raise failed[0] from None
            raise

    def is_in_place(self) -> bool:
        """Tell whether its path still leads to this very file."""
        open_ = self._open()
        try:
            return os.path.samestat(os.fstat(open_.fd), os.stat(self._path))  # noqa: PTH116 # half of Path.stat
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        self._descriptor = None

    def _open(self) -> _Descriptor:
        if (found := self._descriptor) is None:
            raise CollectionClosedError("the collection was closed while it was in use; open it again")
        return found


class Log:
    """Transactions in order, over the bytes of a :class:`DiskFile` or :class:`MemoryFile`."""

    def __init__(self, file: DiskFile | MemoryFile, codec: Codec) -> None:
        self._file = file
        self.codec = codec

    @property
    def name(self) -> str:
        """The file's name, for messages and for the manifest."""
        return self._file.name

    def size(self) -> int:
        """Bytes in the file, an unfinished transaction included."""
        return self._file.size()

    def start(self) -> Position:
        """Write the header line of a new log and return the position after it."""
        self._file.write(0, [self.codec.header])
        return self._begin()

    def _begin(self) -> Position:
        header = self.codec.header
        return Position(len(header), 1, self.codec.chained(header, 0))

    def append(self, position: Position, changes: Iterable[Change]) -> tuple[Sequence[int], Position]:
        """Write ``changes`` as one transaction at ``position``.

        Returns where the line of each begins, with where the last one ends, and the position after.

        Anything after ``position`` is an unfinished transaction and is cut off. The caller holds the write lock.

        Raises:
            WriteFailedError: The disk refused; the log is as before.
        """
        if position.line == 0:
            position = self.start()
        # Numbers and not spans: a million tuples would make each collection of garbage hold up all threads for longer.
        offsets = array("q", [position.offset])
        after = position

        def lines() -> Iterator[bytes]:
            nonlocal after
            chain = position.chain
            for change in taking_turns(changes):
                line = self.codec.encode(change)
                offsets.append(offsets[-1] + len(line))
                chain = self.codec.chained(line, chain)
                yield line
            count = len(offsets) - 1
            commit = self.codec.commit(count, chain)
            end, chain = offsets[-1] + len(commit), self.codec.chained(commit, chain)
            after = Position(end, position.line + count + 1, chain)
            yield commit

        self._file.write(position.offset, lines())
        return offsets, after

    def verify(self, scan: Scan) -> Scan:
        """Check every line that ``scan`` has not seen and return how far that leads.

        Raises:
            CorruptLogError: The log is damaged in a way that a cut-off write does not explain.
        """
        position, offset, number, chain, pending = scan.position, scan.offset, scan.line, scan.chain, scan.pending
        for line in taking_turns(self._lines(offset)):
            if not line.endswith(b"\n"):
                self._refuse_damaged_end(line, number + 1)
                break
            number += 1
            try:
                check(line)
                closes = self._heads(line) if number == 1 else self.codec.closes(line, pending, chain)
            except BrokenSealError as error:
                raise CorruptLogError(self.name, number, str(error)) from None
            offset += len(line)
            chain = self.codec.chained(line, chain)
            pending += 1
            if closes:
                position, pending = Position(offset, number, chain), 0
        return Scan(position, offset, number, chain, pending)

    def changes(self, start: Position, end: Position) -> Iterator[tuple[Span, Change]]:
        """Yield the changes between two positions that :meth:`verify` found, and where they lie.

        Lines whose key was shredded are left out; the codec remembers whose they are and refuses these scopes.

        Raises:
            CorruptLogError: A line was not written with this collection's keys.
        """
        offset = start.offset
        for number, line in enumerate(taking_turns(self._lines(start.offset, end.offset)), start.line + 1):
            span = Span(offset, len(line))
            offset += len(line)
            if not is_change(line):
                continue
            try:
                change = self.codec.decode(line)
            except ShreddedError:
                continue
            except BrokenSealError as error:
                raise CorruptLogError(self.name, number, str(error)) from None
            yield span, change

    def closings(self, end: Position) -> Iterator[Closing]:
        """Yield what closes each transaction up to a position that :meth:`verify` found."""
        return (self.codec.closing(line) for line in taking_turns(self._lines(0, end.offset)) if as_commit(line))

    def is_in_place(self) -> bool:
        """Tell whether the log's path leads to its file, and not to one that was put in its place."""
        return self._file.is_in_place()

    def ends_at(self, position: Position) -> bool:
        """Tell whether a transaction of this log ends at ``position``, with the same history before it."""
        if position.offset > self.size():
            return False
        line = self._end_before(position.offset)
        if line == self.codec.header:
            return position == self._begin()
        commit = _commit_of(line)
        return commit is not None and self.codec.chain_behind(commit, line) == position.chain

    def commits_at(self, offset: int) -> bool:
        """Tell whether a commit line ends at ``offset``."""
        return _commit_of(self._end_before(offset)) is not None

    def _end_before(self, offset: int) -> bytes:
        """Return the line that ends at ``offset``, or as much of its end as a commit line may have."""
        before = self._file.read(max(0, offset - COMMIT_ROOM), min(offset, COMMIT_ROOM))
        return before[before.rfind(b"\n", 0, -1) + 1 :]

    def read(self, span: Span, *, vectors: bool = True) -> Record:
        """Return one record; without ``vectors`` its vector is left out.

        Raises:
            CorruptLogError: The line is not what was written.
        """
        try:
            change = self.codec.opened(self.line(span), vectors=vectors)
            if isinstance(change, Record):
                return change
            raise BrokenSealError("the line holds no record")
        except BrokenSealError as error:
            number = 1 + sum(1 for _ in self._lines(0, span.offset))
            raise CorruptLogError(self.name, number, str(error)) from None

    def line(self, span: Span) -> bytes:
        """Return the line of a record as it was written."""
        return self._file.read(span.offset, span.length)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _heads(self, line: bytes) -> bool:
        if line != self.codec.header:
            raise BrokenSealError("not the first line of such a log of Bedside as its manifest says")
        return True

    def _refuse_damaged_end(self, line: bytes, number: int) -> None:
        """Tell a damaged end from a cut-off one: a cut-off write never has anything after a whole sealed line."""
        try:
            check(line[:-1] + b"\n")
        except BrokenSealError:
            return
        raise CorruptLogError(self.name, number, "the line does not end with a line feed")

    def _lines(self, offset: int, end: int | None = None) -> Iterator[bytes]:
        """Yield lines with their line feeds, the last one perhaps without; memory is bounded by the longest line."""
        stop = self.size() if end is None else end
        rest: list[bytes] = []  # the pieces of a line that goes on: joined once, however long it is
        while offset < stop and (chunk := self._file.read(offset, min(_READ, stop - offset))):
            offset += len(chunk)
            *lines, last = chunk.split(b"\n")
            for line in lines:
                yield b"".join((*rest, line, b"\n"))
                rest = []
            rest.append(last)
        if any(rest):
            yield b"".join(rest)


def _commit_of(line: bytes) -> Commit | None:
    """Return the commit that a line says, or None for any other line."""
    try:
        return as_commit(line)
    except BrokenSealError:
        return None
