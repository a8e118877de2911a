"""The lines of a page while it is walked: blocks never run together, rows of tables stay rows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bedside.loaders.scripts import raised

if TYPE_CHECKING:
    from bs4.element import Tag

    from bedside.loaders.html_looks import Looks

MAX_NESTED = 20
"""Tables within one another that are kept apart: each copies its text once more. What lies deeper comes as lines."""
_MANY_LINES = 5
"""A cell with more lines than this holds a part of the page, and not a value: it comes as lines."""


@dataclass
class _Frame:
    """What is written until an element ends: the page, a table, a row, a cell, or something raised."""

    kind: str
    tag: Tag | None = None
    parts: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    is_layout: bool = False


class Lines:
    """Takes a page's elements and texts in their order, and gives its text."""

    def __init__(self) -> None:
        self._frames = [_Frame("page")]
        self._tables = 0
        self._is_apart = False  # a field's value was written: what follows is another word

    def add(self, text: str, is_kept: bool) -> None:
        """Take a text; white space is collapsed unless it is kept."""
        if self._is_apart and text[:1].isalnum():
            text = f" {text}"
        self._is_apart = self._is_apart and not text
        if not is_kept and text.startswith(" ") and self._ends_in_space():
            text = text[1:]
        if text:
            self._frames[-1].parts.append(text)

    def word(self, text: str) -> None:
        """Take the value of a field: it is no part of the words around it."""
        if text:
            self.add(text if self._ends_in_space() else f" {text}", True)
            self._is_apart = True

    def begin(self, tag: Tag, looks: Looks) -> None:
        """Take the beginning of an element."""
        if tag.name in ("br", "hr"):
            self._line()
        elif tag.name in ("tr", "td", "th"):
            self._begin_cell_or_row(tag)
        elif tag.name == "table":
            self._line()
            self._tables += 1
            if self._tables <= MAX_NESTED:
                self._mark_layout()
                self._frames.append(_Frame("table", tag))
        elif looks.level:
            self._mark_layout()
            self._frames[-1].parts.append(f"\n\n{'#' * looks.level} ")
        elif looks.is_block:
            self._line()
        elif looks.raised == "sup" and self._frames[-1].kind != "raised":
            self._frames.append(_Frame("raised", tag))

    def end(self, tag: Tag, looks: Looks) -> None:
        """Take the end of an element."""
        if tag.name == "table":
            self._tables -= 1
        if any(frame.tag is tag for frame in self._frames[1:]):
            while self._frames[-1].tag is not tag:
                self._pop()
            self._pop()
        elif tag.name in ("tr", "td", "th") and not self._in_table():
            self._line()
        if tag.name not in ("tr", "td", "th", "br", "hr") and (looks.level or looks.is_block):
            self._line()

    def text(self) -> str:
        """Return the text of the page."""
        while len(self._frames) > 1:
            self._pop()
        lines = (line.strip() for line in "".join(self._frames[0].parts).split("\n"))
        return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()

    def _begin_cell_or_row(self, tag: Tag) -> None:
        """Open a row or a cell, and end those of the same table that were never closed."""
        ended = ("cell", "row", "raised") if tag.name == "tr" else ("cell", "raised")
        if not self._in_table():
            self._line()
            return
        while self._frames[-1].kind in ended:
            self._pop()
        if tag.name != "tr" and self._frames[-1].kind == "table":
            self._frames.append(_Frame("row", tag))
        self._frames.append(_Frame("row" if tag.name == "tr" else "cell", tag))

    def _in_table(self) -> bool:
        return 0 < self._tables <= MAX_NESTED and any(frame.kind == "table" for frame in self._frames)

    def _pop(self) -> None:
        frame = self._frames.pop()
        below = self._frames[-1]
        text = "".join(frame.parts)
        if frame.kind == "cell":
            below.is_layout |= frame.is_layout or len(text.split("\n")) > _MANY_LINES + 2
            below.cells.append(text)
        elif frame.kind == "row":
            below.parts.append(f"\n{text}{_row(frame)}\n")
        else:
            below.parts.append(raised(text) if frame.kind == "raised" else text)

    def _mark_layout(self) -> None:
        """Say of the cell that is being written that it holds blocks of its own."""
        if self._frames[-1].kind == "cell":
            self._frames[-1].is_layout = True

    def _line(self) -> None:
        """Begin a new line."""
        self._frames[-1].parts.append("\n")

    def _ends_in_space(self) -> bool:
        parts = self._frames[-1].parts
        return not parts or parts[-1][-1:].isspace()


def _row(frame: _Frame) -> str:
    """Return a row: its cells between tabs, or one below the other where they hold parts of the page."""
    filled = [cell for cell in frame.cells if cell.strip()]
    if frame.is_layout or len(filled) < 2:
        return "\n".join(filled)
    return "\t".join(" ".join(cell.split()) for cell in frame.cells).rstrip()
