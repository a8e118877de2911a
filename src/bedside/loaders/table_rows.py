"""The rows of a CSV file: its encoding, its delimiter and its line of names, each judged over many rows."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from bedside.loaders.table_names import is_known
from bedside.support.csv_rows import csv_rows

if TYPE_CHECKING:
    from bedside.loaders.content import Content

Row = tuple[int, list[str]]
"""The number of a row's last line in the file, and its cells."""
_DELIMITERS = ",;\t|"
_NO_DELIMITER = "\x1f"
_SAMPLE = 1 << 18  # characters, and rows among them, by which a table is judged
_ROWS = 200
_SEP = re.compile(r"\"?sep=([^\r\n])\"?\r?\n", re.IGNORECASE)
_NAME = re.compile(r"[#%(\[$*.]?[^\W\d][^\r\n]{0,63}")
_VALUE = re.compile(r"[\d\s.,:;/+%-]+|.{0,80}[.!?]\s.{0,200}")
_LONGEST = 80
_WORDS = 6
_PREAMBLE = 20
"""Lines before the names that are looked at: a title, who exported it and when."""


@dataclass(frozen=True)
class Table:
    """A table as it was found.

    Attributes:
        names: Of the columns, all different.
        rows: The rows, each with a cell for every name.
        has_header: The names are the file's own.
    """

    names: list[str]
    rows: list[Row]
    has_header: bool


def table_of(content: Content, text: str) -> Table | None:
    """Return the table in a text, or ``None`` if there is none; what is not taken is said in the report.

    Raises:
        UnreadableFileError: Quotes do not match, a name is given twice, or nothing fits together.
    """
    skipped, delimiter = _delimiter(text)
    rows = _parsed(content, text, skipped, delimiter)
    if not rows:
        return None
    width = _width(rows)
    rows = _without_preamble(content, rows, width)
    names = _names(content, rows, width)
    if names is None and _is_prose(rows):
        rows, width = _parsed(content, text, skipped, _NO_DELIMITER), 1
    if names is None:
        content.guess("", "no line of names: the columns are numbered")
    body = rows if names is None else rows[1:]
    numbered = [f"column_{number}" for number in range(1, width + 1)]
    given = numbered if names is None else names
    return Table(given, list(_fitting(content, body, len(given))), names is not None)


def _parsed(content: Content, text: str, skipped: int, delimiter: str) -> list[Row]:
    """Return the rows that are not empty, from a place on."""
    before = text.count("\n", 0, skipped)
    try:
        lines = csv_rows(io.StringIO(text[skipped:], newline=""), delimiter)
        return [(before + line, cells) for line, cells in lines if any(map(str.strip, cells))]
    except csv.Error as error:
        raise content.refused(str(error)) from None


def _is_prose(rows: Sequence[Row]) -> bool:
    """Whether what seemed to part cells are the commas of sentences, which a space follows."""
    return all(cell.startswith(" ") for _, cells in rows[:_ROWS] for cell in cells[1:])


def _delimiter(text: str) -> tuple[int, str]:
    """Return where the rows begin, behind Excel's line ``sep=;``, and what stands between their cells.

    It is what gives the most rows one number of cells, then the most cells.
    """
    said = _SEP.match(text)
    if said:
        return said.end(), said[1]
    scores = {delimiter: _score(text, delimiter) for delimiter in _DELIMITERS}
    best = max(scores, key=lambda each: scores[each])
    return 0, best if scores[best][0] else _NO_DELIMITER


def _score(text: str, delimiter: str) -> tuple[float, int]:
    rows = csv_rows(io.StringIO(text[:_SAMPLE], newline=""), delimiter)
    widths: list[int] = []
    trust = 1.0
    try:
        widths += (len(cells) for _, cells in islice(rows, _ROWS))
    except csv.Error:
        trust = 1.0 if len(text) > _SAMPLE else 0.5
    if len(text) > _SAMPLE and 1 < len(widths) < _ROWS:
        widths.pop()  # cut
    width, count = Counter(widths).most_common(1)[0] if widths else (0, 0)
    return (round(trust * count / len(widths), 2), width) if width > 1 else (0.0, 0)


def _width(rows: Sequence[Row]) -> int:
    """Return how many cells most rows have; of two equally common numbers the first row's."""
    widths = Counter(len(cells) for _, cells in rows[:_ROWS])
    most = max(widths.values())
    return len(rows[0][1]) if widths[len(rows[0][1])] == most else max(w for w, n in widths.items() if n == most)


def _without_preamble(content: Content, rows: list[Row], width: int) -> list[Row]:
    """Return the rows from the table's first on; what stands before it is said in the report."""
    first = next((place for place, (_, cells) in enumerate(rows[:_PREAMBLE]) if _begins(content, cells, width)), 0)
    if width < 3:
        return rows
    for line, _ in rows[:first]:
        content.leave_out(f"line {line}", "stands before the table")
    return rows[first:]


def _begins(content: Content, cells: Sequence[str], width: int) -> bool:
    """Whether a row may be a table's first: of its width, or one less, with more in it than a title."""
    return len(cells) in (width, width - 1) and (_filled(cells) > 1 or _is_header(content, cells, sure=True))


def _names(content: Content, rows: Sequence[Row], width: int) -> list[str] | None:
    """Return the columns' names; ``None`` where the table has none.

    A column without a name, as of row names that pandas and R write, is ``index``; others are numbered. Where the rows
    have a cell more than the names, that is R's row names, or an empty one behind a last delimiter.
    """
    line, cells = rows[0]
    cells = [cell.strip() for cell in cells]
    if not _is_header(content, cells):
        return None
    if len(cells) == width - 1 and any(row[width - 1].strip() for _, row in rows[1:] if len(row) == width):
        cells = ["", *cells]
    given = [cell for cell in cells if cell]
    if len(set(given)) < len(given):
        raise content.refused(f"line {line}: expected a different name for each column")
    return [name or _spare(number, set(given)) for number, name in enumerate(cells)]


def _spare(number: int, given: set[str]) -> str:
    return "index" if number == 0 and "index" not in given else f"column_{number + 1}"


def _is_header(content: Content, cells: Sequence[str], *, sure: bool = False) -> bool:
    """Whether cells are names: one was asked for; or none looks like a value, and one is known or all look like names.

    Args:
        content: What the caller asks for.
        cells: Of a row.
        sure: Looks alone do not count.
    """
    given = [cell.strip() for cell in cells if cell.strip()]
    if {content.options.text_key, content.options.id_key} & set(given):
        return True
    if not given or any(_VALUE.fullmatch(cell) or len(cell) > _LONGEST for cell in given):
        return False
    return any(map(is_known, given)) or (not sure and all(_NAME.fullmatch(cell) and _is_short(cell) for cell in given))


def _is_short(cell: str) -> bool:
    return len(cell.split()) <= _WORDS and not cell.endswith((".", ";", "!")) and ": " not in cell


def _fitting(content: Content, rows: Sequence[Row], width: int) -> Iterator[Row]:
    """Yield the rows that have a cell for each name; the others are refused by their line."""
    for line, cells in rows:
        spare = cells[width:]
        if len(cells) < width or any(map(str.strip, spare)):
            content.refuse(f"line {line}", f"expected {width} cells, got {len(cells)}")
        else:
            yield line, cells[:width]


def _filled(cells: Sequence[str]) -> int:
    return sum(1 for cell in cells if cell.strip())
