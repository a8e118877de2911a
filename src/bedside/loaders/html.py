"""HTML as text: blocks on lines of their own, headings as Markdown has them, cells between tabs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bedside.errors import MissingExtraError
from bedside.types import Document

if TYPE_CHECKING:
    from bedside.loaders.content import Content

_UNSEEN = frozenset(("script", "style", "template", "noscript", "head", "iframe", "object", "svg"))
_BLOCKS = (
    *("address", "article", "aside", "blockquote", "body", "dd", "div", "dl", "dt", "fieldset", "figure", "footer"),
    *("form", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "table", "tr", "ul"),
)
_BEFORE = {"br": "\n"} | dict.fromkeys(_BLOCKS, "\n") | {f"h{level}": f"\n\n{'#' * level} " for level in range(1, 7)}
_AFTER = dict.fromkeys((*_BLOCKS, *(f"h{level}" for level in range(1, 7))), "\n") | {"td": "\t", "th": "\t"}


def documents(content: Content, text: str) -> Iterator[Document]:
    """Yield the page as one document, with its ``title`` where it has one."""
    try:
        from bs4 import BeautifulSoup
        from bs4.builder import ParserRejectedMarkup
    except ModuleNotFoundError as error:
        raise MissingExtraError("beautifulsoup4", "loaders") from error
    try:
        page = BeautifulSoup(_closed(text), "html.parser")
    except ParserRejectedMarkup:
        raise content.refused("damaged HTML") from None
    title = page.title.get_text(" ", strip=True) if page.title else ""
    lines = (line.strip() for line in "".join(_seen(page)).split("\n"))
    body = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    yield Document(body, {"title": title} if title else {}, content.id)


def _closed(text: str) -> str:
    """Write what looks like markup and is never closed as the text that it is read as.

    Python's parser looks for the end of each such comment anew: 400 KB of ``<!--`` took it 147 s.
    """
    for end, begin in (("-->", "<!--"), (">", "<")):
        tail = text.rfind(end) + len(end) if end in text else 0
        text = text[:tail] + text[tail:].replace(begin, f"&lt;{begin[1:]}")
    return text


def _seen(page: Any) -> Iterator[str]:
    """Yield what a reader of the page sees, in order.

    The tree is walked with a stack of its own, since a page may be nested deeper than Python calls.
    """
    from bs4.element import PreformattedString, Tag

    waiting: list[tuple[Any, bool]] = [(page, False)]
    while waiting:
        node, kept = waiting.pop()
        if isinstance(node, Tag):
            if node.name in _UNSEEN:
                continue
            yield _BEFORE.get(node.name, "")
            waiting.append((_AFTER.get(node.name, ""), True))
            waiting.extend((child, kept or node.name == "pre") for child in reversed(node.contents))
        elif not isinstance(node, PreformattedString):  # comments and the like
            yield node if kept else re.sub(r"\s+", " ", node)
