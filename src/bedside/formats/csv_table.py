r"""CSV: one row for each record, metadata flattened into typed columns.

The rule, by which every record comes back as it was (but for the order of metadata keys):

* Columns are ``id``, ``text``, one for each metadata value, and ``vector`` as a JSON list, each followed by ``:`` and
  its type: ``metadata.ward:str``.
* Objects within the metadata become columns of their own, ``metadata.site.ward``; lists, empty objects and null are
  JSON in a cell. In a key, ``.``, ``:`` and ``\`` are preceded by a ``\``, and NUL is ``\0``.
* A column is ``str``, ``int``, ``float`` or ``bool`` where all its values are; else it is ``json``, every cell JSON. An
  empty string or a NUL among its values makes a column ``json`` too.
* An empty cell of a metadata column means that the record lacks the key.
* A ``str`` cell that a spreadsheet could take for a formula (it begins with ``=``, ``+``, ``-``, ``@``, one of their
  full-width forms, a tab or a line break) gets an apostrophe before it, and so does one that begins with an apostrophe.

A column without a type is that of another program: its cells are texts as they stand, apostrophes and numbers too,
and one named neither id, text, vector nor ``metadata.…`` is the metadata key of that name.
"""

from __future__ import annotations

import csv
import io
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from bedside.errors import UnreadableFileError
from bedside.formats.fields import exact_numbers, kind, make, parse, to_line
from bedside.support.csv_rows import csv_rows
from bedside.types import Document

_GUARDED = tuple("=+-@\t\r\n'＝＋－＠")
_TYPES = ("str", "int", "float", "bool", "json")
_HEADER = re.compile(r"(id|text|vector|metadata\.(?:\\.|[^\\:])*)(?::(\w+))?", re.DOTALL)
_KEY = re.compile(r"((?:\\.|[^\\.])*)(?:\.|$)", re.DOTALL)
_ESCAPES = {"\\": "\\\\", ".": "\\.", ":": "\\:", "\0": "\\0"}
_MEANINGS = {escape: character for character, escape in _ESCAPES.items()}
_INT = re.compile(r"-?[0-9]+")


class Column(NamedTuple):
    """A column of the table: where its values belong, and their type (``None``: another program's)."""

    path: tuple[str, ...]
    type: str | None


def detect(path: Path, head: bytes) -> bool:
    """A file whose first row is of columns, the text or the vector among them."""
    if not path.is_file() or b"\0" in head:
        return False
    try:
        _, first = next(csv_rows(io.StringIO(head.decode("utf-8-sig", "ignore"), newline="")), (0, []))
    except csv.Error:
        return False
    return bool({"text", "vector"} & {cell.partition(":")[0] for cell in first})


def read(path: Path) -> Iterator[Document]:
    """Yield the records of the rows."""
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as source:
            rows = csv_rows(source)
            columns = [_column(cell) for cell in next(rows, (0, []))[1]]
            if len({column.path for column in columns}) < len(columns) or not columns:
                raise UnreadableFileError(path.name, "line 1: expected the names of the columns, each once")
            for number, (_, row) in enumerate(rows, 1):
                yield _document(row, columns, path.name, f"record {number}")
    except (csv.Error, UnicodeDecodeError) as error:
        reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else f"not CSV: {error}"
        raise UnreadableFileError(path.name, f"after record {number}: {reason}") from None


def count(path: Path) -> int:
    """Return how many records the table has."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as source:
            return sum(1 for _ in csv_rows(source)) - 1
    except (csv.Error, UnicodeDecodeError):
        raise UnreadableFileError(path.name, "not CSV") from None


def write(path: Path, documents: Iterable[Document], *, vectors: bool) -> None:
    """Write the table; the columns are known only at the end, so the records wait in a temporary file beside it."""
    with tempfile.TemporaryFile(dir=path.parent) as waiting:
        types: dict[tuple[str, ...], str] = {("id",): "str", ("text",): "str"}
        for document in documents:
            waiting.write(to_line(document, vectors=vectors) + b"\n")
            for place, value in _cells(document, vectors=vectors).items():
                found = _type(value, place)
                types[place] = found if types.get(place, found) == found else "json"
        waiting.seek(0)
        ordered = sorted(types.items(), key=lambda item: item[0] == ("vector",))
        with path.open("w", encoding="utf-8", newline="") as out:
            table = csv.writer(out)  # a line end of \r\n makes it quote both characters wherever they stand in a cell
            table.writerow(_header(place, type) for place, type in ordered)
            for line in waiting:
                cells = _cells(Document(**orjson.loads(line)), vectors=vectors)
                table.writerow(_to_cell(cells[place], type) if place in cells else "" for place, type in ordered)


def _cells(document: Document, *, vectors: bool) -> dict[tuple[str, ...], Any]:
    cells: dict[tuple[str, ...], Any] = {("text",): document.text}
    if document.id is not None:
        cells["id",] = document.id
    cells |= dict(_leaves(document.metadata, ("metadata",)))
    if vectors and document.vector is not None:
        cells["vector",] = exact_numbers(document.vector)
    return cells


def _leaves(value: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict) and (value or len(place) == 1):
        for key, item in value.items():
            yield from _leaves(item, (*place, key))
    else:
        yield place, value


def _type(value: Any, place: tuple[str, ...]) -> str:
    if type(value) is str:
        return "json" if "\0" in value or (not value and len(place) > 1) else "str"
    return kind(value) if type(value) in (int, float, bool) else "json"


def _to_cell(value: Any, type: str) -> str:
    if type == "str":
        return f"'{value}" if value.startswith(_GUARDED) else str(value)
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode()


def _header(place: tuple[str, ...], type: str) -> str:
    return ".".join("".join(_ESCAPES.get(c, c) for c in key) for key in place) + f":{type}"


def _column(cell: str) -> Column:
    match = _HEADER.fullmatch(cell)
    if match is None or match[2] not in (None, *_TYPES):
        return Column(("metadata", cell), None)
    keys = _KEY.findall(match[1] + ".")[:-1]
    place = tuple(re.sub(r"\\.", lambda escape: _MEANINGS.get(escape[0], escape[0]), key) for key in keys)
    return Column(place, match[2] or ("json" if match[1] == "vector" else None))


def _document(row: list[str], columns: list[Column], file: str, where: str) -> Document:
    if len(row) != len(columns):
        raise UnreadableFileError(file, f"{where}: expected {len(columns)} cells, got {len(row)}")
    fields: dict[str, Any] = {"metadata": {}}
    for cell, (place, type) in zip(row, columns, strict=True):
        if cell:
            *parents, key = place
            node = fields
            for parent in parents:
                node = node.setdefault(parent, {})
                if not isinstance(node, dict):
                    raise UnreadableFileError(file, f"{where}: {'.'.join(place)}: what it belongs to is not an object")
            node[key] = _value(cell, type, file, f"{where}: {'.'.join(place)}")
    return make(fields, file, where)


def _value(cell: str, type: str | None, file: str, where: str) -> Any:
    if type in (None, "str"):
        return cell[1:] if type and cell.startswith("'") else cell
    if type == "json":
        return parse(cell, file, where)
    try:
        return _PARSERS[str(type)](cell)
    except (ValueError, KeyError):
        raise UnreadableFileError(file, f"{where}: the cell is no {type}") from None


def _int(cell: str) -> int:
    if not _INT.fullmatch(cell) or len(cell) > 20:
        raise ValueError
    return int(cell)


_PARSERS: dict[str, Callable[[str], Any]] = {
    "int": _int,
    "float": float,
    "bool": {"true": True, "false": False}.__getitem__,
}
