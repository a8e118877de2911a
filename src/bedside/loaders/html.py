"""HTML as text: blocks on lines of their own, headings as Markdown has them, cells between tabs, fields with values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bedside.errors import MissingExtraError
from bedside.loaders.html_looks import Looks, Styles, field_value
from bedside.loaders.layout import Lines
from bedside.types import Document

if TYPE_CHECKING:
    from bs4.element import Tag

    from bedside.loaders.content import Content

_TABLES = {"table": "table", "tr": "row", "td": "cell", "th": "cell"}
MAX_TAGS = 1_000_000
"""More tags are refused: each takes a kilobyte of memory, and a page of a chart has thousands."""


def documents(content: Content, text: str) -> Iterator[Document]:
    """Yield the page as one document, with its ``title`` where it has one.

    What is hidden, by the page's own styles too, and what is struck out is left out. A number that is raised stays so:
    10⁹/L. A field of a form is its value, a box ``[x]`` or ``[ ]``, a list what is chosen in it.
    """
    body, title = page_text(content, text)
    yield Document(body, {"title": title} if title else {}, content.id)


def page_text(content: Content, text: str) -> tuple[str, str]:
    """Return what a reader sees of a page, or of a piece of one, and its title.

    Raises:
        UnreadableFileError: The parser rejects it, or it has more than ``MAX_TAGS`` tags.
        MissingExtraError: ``bedside[loaders]`` is not installed.
    """
    try:
        from bs4 import BeautifulSoup
        from bs4.builder import ParserRejectedMarkup
    except ModuleNotFoundError as error:
        raise MissingExtraError("beautifulsoup4", "loaders") from error
    if text.count("<") > MAX_TAGS:
        raise content.refused(f"a page with over {MAX_TAGS} tags, the most that are read")
    try:
        page = BeautifulSoup(_closed(text), "html.parser")
    except ParserRejectedMarkup:
        raise content.refused("damaged HTML") from None
    sheets = "\n".join(str(sheet.string or "") for sheet in page.find_all("style"))
    return _seen(page, Styles(sheets)), page.title.get_text(" ", strip=True) if page.title else ""


def _closed(text: str) -> str:
    """Write what looks like markup and is never closed as the text that it is read as.

    Python's parser looks for the end of each such comment anew: 400 KB of ``<!--`` took it 147 s.
    """
    for end, begin in (("-->", "<!--"), (">", "<")):
        tail = text.rfind(end) + len(end) if end in text else 0
        text = text[:tail] + text[tail:].replace(begin, f"&lt;{begin[1:]}")
    return text


def _seen(page: Any, styles: Styles) -> str:
    """Return what a reader of the page sees, in order.

    The tree is walked with a stack of its own, since a page may be nested deeper than Python calls.
    """
    from bs4.element import PreformattedString, Tag

    lines = Lines()
    waiting: list[tuple[Any, bool, Looks | None]] = [(child, False, None) for child in reversed(page.contents)]
    while waiting:
        node, is_kept, ended = waiting.pop()
        if ended is not None:
            _end(lines, node, ended)
        elif not isinstance(node, Tag):
            if not isinstance(node, PreformattedString):  # comments and the like
                lines.add(str(node) if is_kept else re.sub(r"\s+", " ", node), is_kept=is_kept)
        elif (looks := styles.of(node)).is_seen:
            value = field_value(node)
            if value is not None:
                lines.word(value)
                continue
            _begin(lines, node, looks)
            waiting.append((node, is_kept, looks))
            waiting.extend((child, is_kept or looks.is_kept, None) for child in reversed(node.contents))
    return lines.text()


def _begin(lines: Lines, tag: Tag, looks: Looks) -> None:
    if tag.name == "br":
        lines.line_end()
    elif kind := _TABLES.get(tag.name):
        lines.begin(kind, tag)
    elif looks.level:
        lines.heading(looks.level)
    elif looks.is_block:
        lines.line()
    elif looks.is_raised:
        lines.begin("raised", tag)


def _end(lines: Lines, tag: Tag, looks: Looks) -> None:
    if kind := _TABLES.get(tag.name):
        lines.end(kind, tag)
    elif looks.level or looks.is_block:
        lines.line()
    elif looks.is_raised:
        lines.end("raised", tag)
