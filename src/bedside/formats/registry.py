"""Every format that records are read from or written to, and which one a file or folder is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedside.errors import InvalidInputError, UnreadableFileError
from bedside.formats import csv_table, json_array, json_lines, numpy_pair, tables, web
from bedside.formats.stores.detect import TESTS
from bedside.formats.stores.langchain_memory import write_langchain
from bedside.formats.stores.migration import READERS
from bedside.formats.vectra.write import write_documents
from bedside.types import Document

_HEAD = 4_096
"""Bytes by which a file is told; the heads of the stores' files fit as well."""


@dataclass(frozen=True)
class Format:
    """One way to keep records.

    Args:
        name: What ``format=`` takes.
        detect: Tells by path and first bytes whether a file or folder is of this format; extensions do not count.
        read: Yields the documents of a path one by one; some formats take options.
        write: Writes documents to a path; ``None`` where a format is only read.
        suffix: Of a file of this format, such as ``".csv"``; ``None`` where it says nothing.
        needs_vectors: It cannot hold records without vectors.
        replaces: A file that is there may be replaced; it cannot where a record is in several files.
        has_origin: Its writer is told where the records come from, and gets their vectors.
        count: Counts the records of a file without reading them; ``None`` where that cannot be done.
    """

    name: str
    detect: Callable[[Path, bytes], bool]
    read: Callable[..., Iterator[Document]]
    write: Callable[..., object] | None = None
    suffix: str | None = None
    needs_vectors: bool = False
    replaces: bool = True
    has_origin: bool = False
    count: Callable[[Path], int] | None = None


def _ignoring_vectors(write: Callable[[Path, Any], object]) -> Callable[..., object]:
    """Return the writer of a format that always holds vectors as one that is told so."""

    def writer(path: Path, documents: Any, *, vectors: bool) -> object:
        del vectors
        return write(path, documents)

    return writer


_WRITERS = {"vectra": _ignoring_vectors(write_documents), "langchain": _ignoring_vectors(write_langchain)}
_STORES = (
    Format(name, TESTS[name], read, write := _WRITERS.get(name), needs_vectors=write is not None, replaces=False)
    for name, read in READERS.items()
)
_ALL = (
    *_STORES,
    Format(
        "parquet",
        tables.detect_parquet,
        tables.read_parquet,
        tables.write_parquet,
        ".parquet",
        count=tables.count_parquet,
    ),
    Format("arrow", tables.detect_arrow, tables.read_arrow, tables.write_arrow, ".arrow", count=tables.count_arrow),
    Format(
        "numpy",
        numpy_pair.detect,
        numpy_pair.read,
        numpy_pair.write,
        ".npy",
        needs_vectors=True,
        replaces=False,
        count=numpy_pair.count,
    ),
    Format("web", web.detect, web.read, web.write, ".html", has_origin=True),
    Format("json", json_array.detect, json_array.read, json_array.write, ".json", count=json_array.count),
    Format("jsonl", json_lines.detect, json_lines.read, json_lines.write, ".jsonl", count=json_lines.count),
    Format("csv", csv_table.detect, csv_table.read, csv_table.write, ".csv", count=csv_table.count),
)
FORMATS = {format.name: format for format in _ALL}
"""Every format by its name, in the order in which they are tried: another program's JSON before our own."""


def detect_format(path: Path) -> Format:
    """Return the format of a file or folder, told by what is in it.

    Raises:
        FileNotFoundError: There is nothing.
        UnreadableFileError: It is not one of :data:`FORMATS`.
    """
    path.stat()
    head = b""
    if path.is_file():
        with path.open("rb") as source:
            head = source.read(_HEAD)
    for format in FORMATS.values():
        if format.detect(path, head):
            return format
    raise UnreadableFileError(path.name or str(path), f"none of the formats that are read: {', '.join(FORMATS)}")


def named_format(name: str) -> Format:
    """Return a format by its name.

    Raises:
        InvalidInputError: There is none of that name.
    """
    if name not in FORMATS:
        raise InvalidInputError(f"format: expected one of {', '.join(FORMATS)}, got {name!r}")
    return FORMATS[name]


def format_to_write(path: Path, name: str | None) -> Format:
    """Return the format to write ``path`` in: the one named, or that of its suffix.

    Raises:
        InvalidInputError: The suffix says nothing, or the format is only read.
    """
    by_suffix = {format.suffix: format for format in FORMATS.values() if format.suffix}
    if name is None and path.suffix not in by_suffix:
        raise InvalidInputError(f"format: give one, or a file that ends in one of {', '.join(by_suffix)}")
    format = by_suffix[path.suffix] if name is None else named_format(name)
    if format.write is None:
        written = ", ".join(name for name, format in FORMATS.items() if format.write)
        raise InvalidInputError(f"format: {format.name} is only read; written are {written}")
    return format
