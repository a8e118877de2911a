"""Rows of CSV whose cells may be as long as a clinical note."""

from __future__ import annotations

import csv
import threading
from collections.abc import Iterable, Iterator

from bedside.support.fork import in_each_process

MAX_CELL = 1 << 26
"""Most characters of one cell: 64 Mi, far above any note. Python's own limit, 128 Ki, is below some."""
_one_at_a_time: threading.Lock
_outside: int | None = None  # the program's own limit, while a row is read


def _make_lock() -> None:
    global _one_at_a_time
    _one_at_a_time = threading.Lock()
    if _outside is not None:  # forked while another thread read a row
        csv.field_size_limit(_outside)


in_each_process(_make_lock)


def csv_rows(lines: Iterable[str], delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty, each with the number of its last line.

    Python knows one limit of a cell's length for the whole process, so it is raised for the time of one row and put
    back: the program around this one keeps the limit that it chose.

    Raises:
        csv.Error: Quotes do not match, or a cell is longer than ``MAX_CELL``; the message begins with the line.
    """
    global _outside
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        with _one_at_a_time:
            _outside = csv.field_size_limit(MAX_CELL)
            try:
                row = next(reader, None)
            except csv.Error as error:
                raise csv.Error(f"line {reader.line_num}: {error}") from None
            finally:
                csv.field_size_limit(_outside)
                _outside = None
        if row is None:
            return
        if row:
            yield reader.line_num, row


def csv_records(lines: Iterable[str], delimiter: str = ",") -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows under the names of the first, each with the number of its last line.

    Raises:
        csv.Error: As of :func:`csv_rows`, where a name is given twice, and where a row has another number of cells than
            the first.
    """
    rows = csv_rows(lines, delimiter)
    first, names = next(rows, (0, []))
    if len(set(names)) < len(names):
        raise csv.Error(f"line {first}: expected a different name for each column")
    for line, row in rows:
        if len(row) != len(names):
            raise csv.Error(f"line {line}: expected {len(names)} cells as in the first line, got {len(row)}")
        yield line, dict(zip(names, row, strict=True))
