"""FHIR exports larger than memory: NDJSON line by line, Bundles and lists entry by entry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from bedside.errors import MissingExtraError
from bedside.loaders.fhir import documents_among
from bedside.loaders.fhir_json import Resource, parsed, values_of_lines, within
from bedside.types import Document

if TYPE_CHECKING:
    from bedside.loaders.content import Content

MAX_LINE = 64 << 20
"""The longest line that is read, 64 MiB: a resource with the largest file that is."""


def documents(content: Content, text: str) -> Iterator[Document]:  # noqa: ARG001 - it is read from the file
    """Yield the documents of a file, as :func:`bedside.loaders.fhir.documents` does, with memory for one resource."""
    yield from documents_among(content, _resources)


def _resources(content: Content) -> Iterator[tuple[Resource, str]]:
    if content.file is None:
        raise ValueError("a stream needs its file")
    with content.file.open("rb") as file:
        for place, value in _values(content, file):
            yield from within(content, value, place)


def _values(content: Content, file: BinaryIO) -> Iterator[tuple[str, Any]]:
    """Yield the value of each line where the first line is one, else each entry of the one value."""
    exactly = content.options.resources
    try:
        parsed(file.readline(MAX_LINE), exactly)
    except ValueError:
        file.seek(0)
        yield from _entries(content, file)
    else:
        file.seek(0)
        yield from values_of_lines(content, _lines(content, file), exactly)


def _lines(content: Content, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not empty; one that is too long is refused."""
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        if len(line) > MAX_LINE:
            content.refuse(f"line {number}", f"longer than {MAX_LINE >> 20} MiB, the most that is read")
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE)
        elif line.strip():
            yield number, line


def _entries(content: Content, file: BinaryIO) -> Iterator[tuple[str, Any]]:
    """Yield the entries of a Bundle, each as a Bundle of its own, or the values of a list."""
    try:
        import ijson
    except ModuleNotFoundError as error:
        raise MissingExtraError("ijson", "loaders") from error
    is_list = file.read(1 << 16).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")
    file.seek(0)
    number = 0
    try:
        for number, value in enumerate(ijson.items(file, "item" if is_list else "entry.item"), 1):
            yield f"entry {number}", value if is_list else {"resourceType": "Bundle", "entry": [value]}
    except (ijson.JSONError, UnicodeDecodeError) as error:
        content.refuse(f"after entry {number}", f"damaged JSON ({type(error).__name__}); the rest is not read")
