"""XLSX: each sheet is a table, read as CSV files are; comments on cells as a document of their own."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from bedside.errors import MissingExtraError, UnreadableFileError
from bedside.loaders.archives import opened, unpacked
from bedside.loaders.xml_tree import Element, attribute, child, name_of, parsed_part
from bedside.types import Document

if TYPE_CHECKING:
    from bedside.loaders.content import Content

MAX_CELLS = 5_000_000
"""The most cells of a file, empty ones between others too: one cell in the last column of a row makes 16,384."""
# A formula that was never computed, as programs write it who are no spreadsheet; its value is not in the file.
_UNCOMPUTED = re.compile(rb"<f(?:\s[^<>]{0,500})?(?:/>|>[^<]*</f>)\s{0,9}(?:<v\s{0,9}/>|<v></v>)?\s{0,9}</c>")


def documents(content: Content, text: str) -> Iterator[Document]:  # noqa: ARG001 - XLSX is not text
    """Yield the rows of each sheet, as :mod:`bedside.loaders.table` takes them; the sheet's name is their ``sheet``.

    A cell is its value as it is shown: dates as ISO 8601 has them, percentages with their sign, what a formula gave
    when the file was last saved. Hidden sheets are left out.
    """
    from bedside.loaders.content import documents_of

    with opened(content, "XLSX") as archive:
        parts = {name: unpacked(content, archive, name, "XLSX") for name in archive.namelist() if _is_read(name)}
    for sheet, rows in _sheets(content):
        data = _as_csv(rows)
        with content.part(sheet):
            for document in documents_of(content.attached(data, f"{sheet}.csv", encoding="utf-8")):
                id = str(document.id).replace(f"{sheet}.csv", sheet, 1)
                yield replace(document, id=id, metadata={**document.metadata, "type": "xlsx", "sheet": sheet})
    if missing := sum(len(_UNCOMPUTED.findall(data)) for name, data in parts.items() if "worksheets/" in name):
        content.refuse("", f"{missing} formulas without a value: open the file in a spreadsheet program and save it")
    notes = [note for name, data in sorted(parts.items()) if "omment" in name for note in _notes(content, data)]
    yield Document("\n".join(notes), {}, f"{content.id}#comments")


def _is_read(name: str) -> bool:
    return re.fullmatch(r"xl/(?:worksheets/[^/]*|(?:[^/]*/)?(?:threadedC|c)omment[^/]*)\.xml", name) is not None


def _sheets(content: Content) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield the names of the sheets that are shown, and their rows.

    Raises:
        UnreadableFileError: The file is damaged, or has too many cells.
        MissingExtraError: ``bedside[loaders]`` is not installed.
    """
    try:
        from openpyxl import load_workbook
    except ModuleNotFoundError as error:
        raise MissingExtraError("openpyxl", "loaders") from error
    seen = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions, which change no value
            book = load_workbook(io.BytesIO(content.data), read_only=True, data_only=True, keep_links=False)
        for sheet in book.worksheets:
            if sheet.sheet_state != "visible":
                content.leave_out(sheet.title, "a hidden sheet")
                continue
            sheet.reset_dimensions()  # the file may claim any size
            rows = []
            for row in sheet.iter_rows():
                seen += max(1, len(row))
                if seen > MAX_CELLS:
                    raise content.refused(f"XLSX with over {MAX_CELLS} cells, the most that are read")
                if any(cell.value is not None for cell in row):
                    rows.append([_shown(cell) for cell in row])
            yield sheet.title, rows
    except UnreadableFileError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file makes the parser fail anywhere, in any way
        raise content.refused(f"a damaged XLSX ({type(error).__name__})") from None


def _shown(cell: Any) -> str:
    """Return a cell's value as people read it."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ", timespec="minutes")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    if isinstance(value, int | float) and "%" in str(cell.number_format):
        return f"{float(value) * 100:.10g} %"
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def _as_csv(rows: Sequence[Sequence[str]]) -> bytes:
    """Write rows as CSV that says what stands between its cells, without the columns that are empty."""
    out = io.StringIO(newline="")
    out.write("sep=,\r\n")
    used = sorted({place for row in rows for place, cell in enumerate(row) if cell})
    csv.writer(out).writerows([row[place] if place < len(row) else "" for place in used] for row in rows)
    return out.getvalue().encode("utf-8", "replace")


def _notes(content: Content, data: bytes) -> Iterator[str]:
    """Yield the comments of a part as lines, each with its cell."""
    for node in parsed_part(content, data, "XLSX").iter():
        if name_of(node) in ("comment", "threadedComment") and (said := _said(node)):
            yield f"{attribute(node, 'ref')}: {said}"


def _said(node: Element) -> str:
    held = child(node, "text")
    return "" if held is None else " ".join("".join(held.itertext()).split())
