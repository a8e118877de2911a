"""JSON: one array of records, read and written one record at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from bedside.formats.fields import BOM, from_line, to_line
from bedside.formats.json_parts import parts_of
from bedside.types import Document


def detect(path: Path, head: bytes) -> bool:
    """A file that begins with an array."""
    return path.is_file() and head.removeprefix(BOM).lstrip().startswith(b"[")


def read(path: Path) -> Iterator[Document]:
    """Yield the records of the array."""
    with parts_of(path) as parts:
        for number, _ in enumerate(parts.children(b"[", records=True), 1):
            yield from_line(parts.value(), path.name, f"record {number}")


def count(path: Path) -> int:
    """Return how many records the array has, found by its brackets: no record is parsed."""
    with parts_of(path) as parts:
        return sum(1 for _ in parts.children(b"[", records=True) if parts.value())


def write(path: Path, documents: Iterable[Document], *, vectors: bool) -> None:
    """Write an array with one record in each line."""
    with path.open("wb") as out:
        before = b"[\n"
        for document in documents:
            out.write(before + to_line(document, vectors=vectors))
            before = b",\n"
        out.write(b"\n]\n" if before == b",\n" else b"[]\n")
