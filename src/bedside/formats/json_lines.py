"""JSON Lines: one record in each line, as ``bedside add`` reads and ``bedside get --json`` prints them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from bedside.errors import InvalidInputError, UnreadableFileError
from bedside.formats.fields import BOM, MAX_RECORD, from_line, kind, to_line
from bedside.types import Document


def detect(path: Path, head: bytes) -> bool:
    """A file that begins with an object, or an empty file: a collection without records."""
    return path.is_file() and (not head or head.removeprefix(BOM).lstrip().startswith(b"{"))


def read(path: Path) -> Iterator[Document]:
    """Yield the records; lines of white space are passed over. A pipe is read as well as a file."""
    for number, line in lines(path):
        yield from_line(line, path.name, f"line {number}")


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, numbered from 1; memory holds one.

    Raises:
        UnreadableFileError: A line is longer than any record may be.
    """
    with path.open("rb") as source:
        for number, line in enumerate(iter(lambda: source.readline(MAX_RECORD + 1), b""), 1):
            if len(line) > MAX_RECORD:
                raise UnreadableFileError(path.name, f"line {number}: longer than {MAX_RECORD} bytes")
            record = line.removeprefix(BOM) if number == 1 else line
            if record.strip():
                yield number, record


def count(path: Path) -> int:
    """Return how many records a file has."""
    return sum(1 for _ in lines(path))


def objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each line's object and where it stands, for data that is not a collection's.

    Raises:
        InvalidInputError: There is no such file, or a line is not a JSON object.
    """
    if not path.is_file():
        raise InvalidInputError(f"{path} is missing")
    for number, line in lines(path):
        where = f"{path}, line {number}"
        try:
            found = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise InvalidInputError(f"{where}: not JSON ({error.msg})") from error
        if not isinstance(found, dict):
            raise InvalidInputError(f"{where}: expected an object, got {kind(found)}")
        yield where, found


def write(path: Path, documents: Iterable[Document], *, vectors: bool) -> None:
    """Write one line for each document."""
    with path.open("wb") as out:
        out.writelines(to_line(document, vectors=vectors) + b"\n" for document in documents)
