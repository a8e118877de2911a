"""JSON Lines: one record in each line, as ``bedside add`` reads and ``bedside get --json`` prints them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from bedside.errors import UnreadableFileError
from bedside.formats.fields import BOM, MAX_RECORD, from_line, to_line
from bedside.types import Document


def detect(path: Path, head: bytes) -> bool:
    """A file that begins with an object, or an empty file: a collection without records."""
    return path.is_file() and (not head or head.removeprefix(BOM).lstrip().startswith(b"{"))


def read(path: Path) -> Iterator[Document]:
    """Yield the records; lines of white space are passed over. A pipe is read as well as a file."""
    with path.open("rb") as source:
        for number, line in enumerate(iter(lambda: source.readline(MAX_RECORD + 1), b""), 1):
            if len(line) > MAX_RECORD:
                raise UnreadableFileError(path.name, f"line {number}: longer than {MAX_RECORD} bytes")
            record = line.removeprefix(BOM) if number == 1 else line
            if record.strip():
                yield from_line(record, path.name, f"line {number}")


def write(path: Path, documents: Iterable[Document], *, vectors: bool) -> None:
    """Write one line for each document."""
    with path.open("wb") as out:
        out.writelines(to_line(document, vectors=vectors) + b"\n" for document in documents)
