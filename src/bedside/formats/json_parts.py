"""A JSON file taken apart value by value, so that memory holds one record of it and not the file.

The brackets, commas and keys around the records are read here. Each record is cut out by its brackets alone and parsed
whole by whoever asked for it: a streaming parser such as ijson would bring rules of its own (yajl turns a lone
surrogate into a question mark) and is several times slower.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from bedside.errors import UnreadableFileError
from bedside.formats.fields import BOM, MAX_RECORD, parse

_CHUNK = 1 << 20
_SPACE = re.compile(rb"[ \t\r\n]*")
_OUTSIDE = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'["\\]')
_LITERAL = re.compile(rb"[^ \t\r\n,\]}]*")
_CLOSING = {b"{": b"}", b"[": b"]"}
_KINDS = {b"{": "an object", b"[": "a list"}


class Parts:
    """Reads the values of a JSON file one after the other.

    Where a list or an object comes next, either :meth:`value` returns the bytes of all of it, or :meth:`children` goes
    into it: after each key that it yields, the value is taken before the next one is asked for.

    Args:
        source: The file, open for reading bytes; a byte order mark is passed over.
        file: Its name, for errors.

    Attributes:
        start: Where in the file the value begins that was taken last.

    Example:
        >>> from io import BytesIO
        >>> parts = Parts(BytesIO(b'{"version": 1, "items": [[1, 2], [3]]}'), "a.json")
        >>> for key in parts.children():
        ...     print(key, [parts.value() for _ in parts.children()] if parts.peek() == b"[" else parts.value())
        version b'1'
        items [b'[1, 2]', b'[3]']
        >>> parts.end()
    """

    def __init__(self, source: BinaryIO, file: str) -> None:
        head = source.read(len(BOM))
        self.start = 0
        self._source, self._file = source, file
        self._buffer, self._at = head.removeprefix(BOM), 0
        self._before = len(head) - len(self._buffer)  # bytes of the file that are not in the buffer any more
        self._records: int | None = None

    def peek(self) -> bytes:
        """Return the next byte that is not white space; none at the end of the file."""
        while True:
            space = _SPACE.match(self._buffer, self._at)
            self._at = self._at if space is None else space.end()
            if self._at < len(self._buffer) or not self._read_on(self._at):
                return self._buffer[self._at : self._at + 1]

    def value(self) -> bytes:
        """Return the bytes of the next value, for a parser to judge: only its brackets and quotation marks are read.

        Raises:
            UnreadableFileError: The file ends before it does, or it is longer than 64 MiB.
        """
        first = self.peek()
        self.start = self._before + self._at
        return self._closed() if first in (b"{", b"[", b'"') else self._literal()

    def children(self, *allowed: bytes, records: bool = False) -> Iterator[str]:
        """Yield the key of each value of the object that comes next; of a list, an empty str for each value.

        Args:
            *allowed: ``b"{"`` for an object, ``b"["`` for a list; both where nothing is given.
            records: Its values are the file's records: errors say after which of them they were found.

        Raises:
            UnreadableFileError: It begins with something else, or is damaged, or has the same key twice.
        """
        kind = self.peek()
        if kind not in (allowed or _KINDS):
            self._refuse(f"expected {' or '.join(_KINDS[opening] for opening in allowed or _KINDS)}")
        self._take(kind)
        closing = _CLOSING[kind]
        keys: set[str] = set()
        number, found = 0, self.peek()
        if found == closing:
            self._take(closing)
        while found != closing:
            self._records = number if records else self._records
            yield self._key(keys) if kind == b"{" else ""
            number += 1
            self._records = number if records else self._records
            found = self._take(b"," + closing)

    def member(self, key: str) -> Iterator[None]:
        """Yield once, where the value of ``key`` is to be taken from the object that comes next; skip the others.

        Raises:
            UnreadableFileError: The object is damaged, or has no such key.
        """
        found = False
        for name in self.children(b"{"):
            if name == key:
                found = True
                yield
            else:
                self.skip()
        if not found:
            raise UnreadableFileError(f"{self._file}: {key}", "missing")

    def skip(self) -> None:
        """Take the next value and refuse it if it is damaged; of a list or an object, memory holds one value of it."""
        if self.peek() in _CLOSING:
            for _ in self.children():
                self._parsed(self.value())
        else:
            self._parsed(self.value())

    def end(self) -> None:
        """Refuse whatever comes after the last value but white space."""
        if self.peek():
            self._refuse("expected nothing more")

    def _key(self, keys: set[str]) -> str:
        key = self._parsed(self.value())
        if not isinstance(key, str):
            self._refuse("expected a key in quotation marks")
        if key in keys:
            self._refuse("an object has the same key twice")
        keys.add(key)
        self._take(b":")
        return key

    def _take(self, allowed: bytes) -> bytes:
        found = self.peek()
        if not found:
            self._refuse("the file ends too soon")
        if found not in allowed:
            self._refuse(f"expected {' or '.join(chr(byte) for byte in allowed)}")
        self._at += 1
        return found

    def _closed(self) -> bytes:
        begin, depth, in_string = self._at, 0, False
        while True:
            match = (_INSIDE if in_string else _OUTSIDE).search(self._buffer, self._at)
            if match is None:
                self._at = max(self._at, len(self._buffer))
                begin = self._grow(begin)
                continue
            self._at, mark = match.end(), match[0]
            if mark == b"\\":
                self._at += 1  # what it escapes may not be read yet
            elif mark == b'"':
                in_string = not in_string
            else:
                depth += 1 if mark in b"{[" else -1
            if not depth and not in_string:
                return self._buffer[begin : self._at]

    def _literal(self) -> bytes:
        begin = self._at
        while True:
            match = _LITERAL.match(self._buffer, self._at)
            self._at = self._at if match is None else match.end()
            if self._at < len(self._buffer):
                return self._buffer[begin : self._at]
            begin = self._grow(begin)

    def _grow(self, begin: int) -> int:
        """Read on within a value that begins at ``begin``; return where it begins then."""
        if len(self._buffer) - begin > MAX_RECORD:
            self._refuse(f"a record longer than {MAX_RECORD} bytes")
        if not self._read_on(begin):
            self._refuse("the file ends too soon")
        return 0

    def _read_on(self, kept: int) -> bool:
        """Read more of the file, and let go of what stands before ``kept``; tell whether there was more."""
        chunk = self._source.read(_CHUNK)
        self._buffer = self._buffer[kept:] + chunk
        self._before, self._at = self._before + kept, self._at - kept
        return bool(chunk)

    def _parsed(self, value: bytes) -> Any:
        return parse(value, self._file, self._place())

    def _place(self) -> str:
        return f"byte {self._before + self._at}" if self._records is None else f"after record {self._records}"

    def _refuse(self, reason: str) -> NoReturn:
        raise UnreadableFileError(self._file, f"{self._place()}: {reason}")


@contextmanager
def parts_of(path: Path) -> Iterator[Parts]:
    """Open a JSON file; on leaving, nothing may follow the values that were taken.

    Raises:
        UnreadableFileError: It cannot be opened.
    """
    try:
        source = path.open("rb")
    except OSError as error:
        raise UnreadableFileError(path.name, f"cannot be read: {error.strerror}") from None
    with source:
        parts = Parts(source, path.name)
        yield parts
        parts.end()
