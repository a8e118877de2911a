"""JSON: one array of records, read and written one record at a time.

The array is taken apart here and each record parsed whole, by the parser of JSON Lines: a streaming parser such as
ijson would bring rules of its own (yajl turns a lone surrogate into a question mark) and is several times slower.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from bedside.errors import UnreadableFileError
from bedside.formats.fields import BOM, MAX_RECORD, from_line, to_line
from bedside.types import Document

_CHUNK = 1 << 20
_SPACE = re.compile(rb"[ \t\r\n]*")
_OUTSIDE = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'["\\]')


def detect(path: Path, head: bytes) -> bool:
    """A file that begins with an array."""
    return path.is_file() and head.removeprefix(BOM).lstrip().startswith(b"[")


def read(path: Path) -> Iterator[Document]:
    """Yield the records of the array."""
    with path.open("rb") as source:
        source.seek(len(BOM) if source.read(len(BOM)) == BOM else 0)
        records = _Records(path.name)
        for chunk in iter(partial(source.read, _CHUNK), b""):
            for record in records.feed(chunk):
                yield from_line(record, path.name, f"record {records.number}")
        records.end()


def write(path: Path, documents: Iterable[Document], *, vectors: bool) -> None:
    """Write an array with one record in each line."""
    with path.open("wb") as out:
        before = b"[\n"
        for document in documents:
            out.write(before + to_line(document, vectors=vectors))
            before = b",\n"
        out.write(b"\n]\n" if before == b",\n" else b"[]\n")


class _Records:
    """Cuts the bytes of an array into those of its objects; holds what is not cut off yet."""

    def __init__(self, file: str) -> None:
        self.number = 0
        self._file = file
        self._buffer = b""
        self._at = self._depth = 0
        self._in_string = False
        self._allowed = b"["
        """What may stand between two records."""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the objects that end within ``chunk``."""
        self._buffer += chunk
        start = 0
        while self._at < len(self._buffer):
            if not self._depth:
                start = self._between()
            elif self._within():
                self.number += 1
                yield self._buffer[start : self._at]
        kept = start if self._depth else self._at
        self._buffer, self._at = self._buffer[kept:], self._at - kept
        if len(self._buffer) > MAX_RECORD:
            raise UnreadableFileError(self._file, f"record {self.number + 1}: longer than {MAX_RECORD} bytes")

    def end(self) -> None:
        """Refuse an array that has not ended."""
        if self._allowed or self._depth:
            raise UnreadableFileError(self._file, f"after record {self.number}: the file ends before its array does")

    def _between(self) -> int:
        """Move over white space and one character between records; return where it stands."""
        space = _SPACE.match(self._buffer, self._at)
        start = self._at if space is None else space.end()
        found = self._buffer[start : start + 1]
        self._at = start + 1 if found else start
        if found and found not in self._allowed:
            allowed = " or ".join(chr(byte) for byte in self._allowed) or "nothing"
            raise UnreadableFileError(
                self._file, f"after record {self.number}: not an array of objects: expected {allowed}"
            )
        self._depth = int(found == b"{")
        self._allowed = {b"[": b"{]", b"{": b",]", b",": b"{", b"]": b"", b"": self._allowed}[found]
        return start

    def _within(self) -> bool:
        """Move to the next bracket or quotation mark of a record; tell whether the record ends there."""
        match = (_INSIDE if self._in_string else _OUTSIDE).search(self._buffer, self._at)
        if match is None:
            self._at = len(self._buffer)
            return False
        self._at, mark = match.end(), match[0]
        if mark == b"\\":
            self._at += 1  # what it escapes may be in the next chunk
        elif mark == b'"':
            self._in_string = not self._in_string
        else:
            self._depth += 1 if mark in b"{[" else -1
        return not self._depth
