"""The lines of a page or a document while it is walked: blocks never run together, rows of tables stay rows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bedside.loaders.scripts import raised

MAX_NESTED = 20
"""Tables within one another that are kept apart: each copies its text once more. What lies deeper comes as lines."""
MAX_LINES = 5
"""A cell with more lines than this holds a part of the page, and not a value: it comes as lines."""


@dataclass
class _Frame:
    """What is written until an element ends: the page, a table, a row, a cell, or something raised."""

    kind: str
    key: object = None
    parts: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    is_layout: bool = False


class Lines:
    """Takes elements and texts in their order, and gives the text.

    Args:
        is_tight: Blocks are parted by one line end; else by an empty line, as pages show paragraphs.
    """

    def __init__(self, *, is_tight: bool = False) -> None:
        self._is_tight = is_tight
        self._frames = [_Frame("page")]
        self._tables = 0
        self._is_apart = False  # a field's value was written: what follows is another word
        self._mark = ""  # of a heading of which nothing is written yet

    @property
    def is_in_cell(self) -> bool:
        """Whether what comes next stands in a cell of a table."""
        return self._frames[-1].kind == "cell"

    def add(self, text: str, *, is_kept: bool = False) -> None:
        """Take a text; a space after a space is dropped unless white space is kept."""
        if self._is_apart and text[:1].isalnum():
            text = f" {text}"
        self._is_apart = self._is_apart and not text
        if not is_kept and text.startswith(" ") and self._ends_in_space():
            text = text[1:]
        if self._mark and text.strip():
            text, self._mark = self._mark + text.lstrip(), ""
        if text:
            self._frames[-1].parts.append(text)

    def word(self, text: str) -> None:
        """Take the value of a field: it is not part of the words around it."""
        if text:
            self.add(text if self._ends_in_space() else f" {text}", is_kept=True)
            self._is_apart = True

    def line(self) -> None:
        """Begin a new line."""
        self._mark, self._is_apart = "", False
        parts = self._frames[-1].parts
        if not self._is_tight or (parts and not parts[-1].endswith("\n")):
            parts.append("\n")

    def line_end(self) -> None:
        """Take a line end that is written."""
        self._frames[-1].parts.append("\n")

    def heading(self, level: int) -> None:
        """Begin a heading, which ends with the line."""
        self.line()
        self._mark = f"\n{'#' * level} "
        if self.is_in_cell:
            self._frames[-1].is_layout = True

    def begin(self, kind: str, key: object) -> None:
        """Begin a ``"table"``, a ``"row"``, a ``"cell"``, or something ``"raised"``, which ends with ``end(key)``."""
        if kind == "raised":
            if self._frames[-1].kind != "raised":
                self._frames.append(_Frame("raised", key))
        elif kind == "table":
            self.line()
            self._tables += 1
            if self._tables <= MAX_NESTED:
                self._frames.append(_Frame("table", key))
        elif self._in_table():
            self._begin_row_or_cell(kind, key)
        else:
            self.line()

    def end(self, kind: str, key: object) -> None:
        """End what began with ``key``, and what in it was never ended."""
        if any(frame.key is key for frame in self._frames[1:]):
            while self._frames[-1].key is not key:
                self._pop()
            self._pop()
        if kind == "table":
            self._tables -= 1
            self.line()
        elif kind != "raised" and not self._in_table():
            self.line()

    def text(self) -> str:
        """Return the text."""
        while len(self._frames) > 1:
            self._pop()
        lines = (line.rstrip().lstrip(" \r\x0b\x0c") for line in "".join(self._frames[0].parts).split("\n"))
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")

    def _begin_row_or_cell(self, kind: str, key: object) -> None:
        """Begin a row or a cell, and end those of the same table that were never closed."""
        ended = ("cell", "row", "raised") if kind == "row" else ("cell", "raised")
        while self._frames[-1].kind in ended:
            self._pop()
        if kind == "cell" and self._frames[-1].kind == "table":
            self._frames.append(_Frame("row", key))
        self._frames.append(_Frame(kind, key))

    def _in_table(self) -> bool:
        return 0 < self._tables <= MAX_NESTED and any(frame.kind == "table" for frame in self._frames)

    def _pop(self) -> None:
        self._mark, frame = "", self._frames.pop()
        below, text = self._frames[-1], "".join(frame.parts)
        if frame.kind == "cell":
            below.is_layout |= frame.is_layout or len(_filled(text.split("\n"))) > MAX_LINES
            below.cells.append(text)
        elif frame.kind == "row":
            before = "" if not below.parts or below.parts[-1].endswith("\n") else "\n"
            below.parts.append(f"{before}{text}{_row(frame)}\n")
        elif frame.kind == "table":
            below.is_layout |= below.kind == "cell" and (len(_filled(text.split("\n"))) > 1 or "\t" in text)
            below.parts.append(text)
        else:
            below.parts.append(raised(text))

    def _ends_in_space(self) -> bool:
        parts = self._frames[-1].parts
        return not parts or parts[-1][-1:].isspace()


def _row(frame: _Frame) -> str:
    """Return a row: its cells between tabs, or one below the other where they hold parts of the page."""
    filled = _filled(frame.cells)
    if frame.is_layout or len(frame.cells) == 1:
        return "\n".join(cell.strip("\n") for cell in filled)
    return "\t".join(" ".join(cell.split()) for cell in frame.cells).rstrip()


def _filled(texts: list[str]) -> list[str]:
    return [text for text in texts if text.strip()]
