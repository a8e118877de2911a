"""CSV and TSV: each row is a document, or the lines of a note where the rows are those."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bedside.loaders.guessing import text_by_guess
from bedside.loaders.table_names import id_columns, is_known, like_text, line_columns, plain, text_columns
from bedside.loaders.table_rows import Row, Table, table_of
from bedside.types import Document

if TYPE_CHECKING:
    from bedside.loaders.content import Content

_TAKEN = frozenset(
    ("source", "type", "row", "folder", "source_id", "start", "end", "section", "section_kind", "source_hash")
)
_NUMBER = re.compile(r"\d{1,9}(?:\.0*)?")  # pandas writes whole numbers beside empty cells as 1.0
_ROWS = 200  # by which a column is judged
_FIXED = 80  # characters: lines that are all as long as this or longer were cut, wherever a word stood


@dataclass(frozen=True)
class _Columns:
    """Which column is what."""

    text: int | None
    id: int | None
    line: int | None


def documents(content: Content, text: str) -> Iterator[Document]:  # noqa: ARG001 - the encoding may be a guess
    """Yield each row, its cells as metadata under the names of the first line, as the strings they are.

    The text is the cell of the column that the caller names, or else of the first whose name is one that notes have
    (:mod:`bedside.loaders.table_names`); without one it is a line ``name: value`` for each cell that is not empty.
    Where rows are lines of notes, each with its number, a note is all of its lines, with the first one's cells. A
    column with the name of one of our own keys is called ``column_<name>``. The id ends in the cell of the id column
    where every note has another one, else in the row's number.
    """
    table = table_of(content, text_by_guess(content))
    if table is None or not table.rows:
        return
    columns = _columns(content, table)
    notes = _lines_joined(content, table, columns) if columns.line is not None else _each(table, columns)
    ids = _ids(columns, notes)
    for (number, row, body), id in zip(notes, ids, strict=True):
        if not body.strip():
            content.leave_out(f"row {number}", "no text in it")
        yield Document(body, {"row": number, **_metadata(table.names, row, columns)}, f"{content.id}#{id}")


_Note = tuple[int, list[str], str]
"""The number of a note's first row, that row's cells, and the note's text."""


def _each(table: Table, columns: _Columns) -> list[_Note]:
    return [
        (number, row, _written(table.names, row) if columns.text is None else row[columns.text])
        for number, (_, row) in enumerate(table.rows, 1)
    ]


def _lines_joined(content: Content, table: Table, columns: _Columns) -> list[_Note]:
    """Return each note as its lines in the order of their numbers."""
    text, id, line = columns.text or 0, columns.id or 0, columns.line or 0
    groups: dict[str, list[tuple[int, int, list[str]]]] = {}
    for number, (_, row) in enumerate(table.rows, 1):
        groups.setdefault(row[id], []).append((int(row[line].partition(".")[0]), number, row))
    notes = []
    for rows in groups.values():
        rows.sort()
        numbers = [place for place, _, _ in rows]
        if numbers[-1] - numbers[0] + 1 > len(numbers) or numbers[0] > 1:
            content.guess(f"row {rows[0][1]}", "a note of which lines are missing")
        _, number, first = min(rows, key=lambda row: row[1])
        notes.append((number, first, _body([row[text] for _, _, row in rows])))
    return notes


def _body(lines: Sequence[str]) -> str:
    """Return lines as a text; those that were cut at one length go on where they were cut."""
    lengths = {len(line) for line in lines[:-1]}
    was_cut = len(lines) > 1 and len(lengths) == 1 and min(lengths) >= max(_FIXED, len(lines[-1]))
    return ("" if was_cut else "\n").join(lines)


def _columns(content: Content, table: Table) -> _Columns:
    """Return which column is what, as the caller says or as the names do.

    Raises:
        UnreadableFileError: The caller names a column that is not there, or an id that does not tell the rows apart.
    """
    options = content.options
    text = _asked(content, table, options.text_key)
    id = _asked(content, table, options.id_key)
    if text is None:
        text = _text_column(table)
    ids = [id] if id is not None else [each for each in id_columns(table.names) if each != text]
    lines = [each for each in line_columns(table.names) if each not in (text, id)]
    for place in ids if text is not None else ():
        for line in lines:
            if line != place and _are_lines(table.rows, place, line):
                return _Columns(text, place, line)
    apart = next((each for each in ids if _tells_apart(table.rows, each)), None)
    if apart is None and id is not None:
        raise content.refused(f"column {options.id_key!r}: expected another value in each row")
    if text is not None and any(plain(table.names[line]).startswith("line") for line in lines):
        content.guess("", "rows with a number of a line are taken for notes; name the column of the note with id_key=")
    return _Columns(text, apart, None)


def _asked(content: Content, table: Table, name: str | None) -> int | None:
    if name is None:
        return None
    if name not in table.names:
        is_sure = table.has_header and any(map(is_known, table.names))  # else they may be what a note says
        raise content.refused(f"no column {name!r}" + (f"; there are {', '.join(table.names)}" if is_sure else ""))
    return table.names.index(name)


def _text_column(table: Table) -> int | None:
    """Return the first column of a note's name with words in it, or the only one whose name ends as such names do.

    In a table without names it is the column with the most text, if there are words in it.
    """
    rows = table.rows[:_ROWS]

    def spoken(places: Sequence[int]) -> list[int]:
        return [place for place in places if any(" " in row[place].strip() for _, row in rows)]

    if not table.has_header:
        sizes = [sum(len(row[place]) for _, row in rows) for place in range(len(table.names))]
        return next(iter(spoken([sizes.index(max(sizes))])), None)
    named, like = text_columns(table.names), spoken(like_text(table.names))
    return next(iter([*spoken(named), *(like if len(like) == 1 else []), *named]), None)


def _are_lines(rows: Sequence[Row], id: int, line: int) -> bool:
    """Whether rows are lines of notes: several have one id, and each of those another whole number."""
    seen = {(row[id], row[line].strip()) for _, row in rows}
    several = len({each for each, _ in seen}) < len(rows)
    return several and len(seen) == len(rows) and all(id and _NUMBER.fullmatch(line) for id, line in seen)


def _tells_apart(rows: Sequence[Row], place: int) -> bool:
    cells = {row[place] for _, row in rows}
    return len(cells) == len(rows) and all(cell.strip() for cell in cells)


def _ids(columns: _Columns, notes: Sequence[_Note]) -> list[str]:
    return [str(number) if columns.id is None else row[columns.id] for number, row, _ in notes]


def _metadata(names: Sequence[str], row: Sequence[str], columns: _Columns) -> Mapping[str, str]:
    left_out = (columns.text, columns.line)
    return {
        f"column_{name}" if name in _TAKEN else name: value
        for place, (name, value) in enumerate(zip(names, row, strict=True))
        if place not in left_out
    }


def _written(names: Sequence[str], row: Sequence[str]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in zip(names, row, strict=True) if value.strip())
