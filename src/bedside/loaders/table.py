"""CSV and TSV: each row is a document."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bedside.csv_rows import csv_rows
from bedside.types import Document

if TYPE_CHECKING:
    from bedside.loaders.content import Content

_TEXT = ("text", "note", "note_text", "notes", "report", "body")
_TAKEN = frozenset(("source", "type", "row", "folder", "source_id", "start", "end", "section", "source_hash"))


def documents(content: Content, text: str) -> Iterator[Document]:
    """Yield each row, its cells as metadata under the names of the first line, as the strings they are.

    The text is the cell of the first column called ``text``, ``note``, ``note_text``, ``notes``, ``report`` or
    ``body``, in any case; without one it is a line ``name: value`` for each cell that is not empty. A column with the
    name of one of our own keys is called ``column_<name>``. The id ends in the cell of the column ``id`` where every
    row has another one, else in the row's number.
    """
    rows = list(_rows(content, text))
    if not rows:
        return
    (_, written_names), *body = rows
    names = [name.strip() for name in written_names]
    if len(set(names)) < len(names) or not all(names):
        raise content.refused("line 1: expected a different name for each column")
    for line, row in body:
        if len(row) != len(names):
            raise content.refused(f"line {line}: expected {len(names)} cells, got {len(row)}")
    column = next((i for wanted in _TEXT for i, name in enumerate(names) if name.lower() == wanted), None)
    ids = [row[names.index("id")] for _, row in body] if "id" in names else []
    if not all(ids) or len(set(ids)) < len(ids):
        ids = []
    for number, (_, row) in enumerate(body, 1):
        cells = dict(zip(names, row, strict=True))
        written = "\n".join(f"{name}: {value}" for name, value in cells.items() if value.strip())
        kept = {
            f"column_{name}" if name in _TAKEN else name: value
            for i, (name, value) in enumerate(cells.items())
            if i != column
        }
        body_text = written if column is None else row[column]
        yield Document(body_text, {"row": number, **kept}, f"{content.id}#{ids[number - 1] if ids else number}")


def _rows(content: Content, text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty, each with the number of its last line."""
    header = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    try:
        yield from csv_rows(io.StringIO(text, newline=""), delimiter)
    except csv.Error as error:
        raise content.refused(str(error)) from None
