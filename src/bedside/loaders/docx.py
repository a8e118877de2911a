"""DOCX as text: paragraphs as lines, headings as Markdown has them, table cells between tabs."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bedside.errors import MissingExtraError, UnreadableFileError
from bedside.types import Document

if TYPE_CHECKING:
    from bedside.loaders.content import Content

MAX_UNPACKED = 256 << 20
"""The most that a file's parts may have unpacked, 256 MiB: a page of text unpacks to some 10 KB."""
MAX_PARTS = 10_000
"""The most parts of a file: one for each picture, some dozen else."""
# ECMA-376 part 1, 17.13.5 and 17.3.3: struck out, moved away, a drawing's twin for old programs, list of tab stops.
_UNSEEN = frozenset(("del", "moveFrom", "Fallback", "pPr", "rPr"))
_SIGNS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}


def documents(content: Content, text: str) -> Iterator[Document]:  # noqa: ARG001 - DOCX is not text
    """Yield the document's body; headers, footers, comments and what was struck out are left out."""
    _check_zip(content)
    try:
        import docx
    except ModuleNotFoundError as error:
        raise MissingExtraError("python-docx", "loaders") from error
    try:
        body = "\n".join(_blocks(docx.Document(io.BytesIO(content.data))))
    except Exception as error:  # noqa: BLE001 - a damaged file makes the parser fail anywhere, in any way
        raise content.refused(f"a damaged DOCX ({type(error).__name__})") from None
    yield Document(body, {}, content.id)


def _check_zip(content: Content) -> None:
    """Refuse what is no DOCX, and what unpacks to more than a document can have; nothing is unpacked for it.

    A part that unpacks to more than its header says is cut there by :mod:`zipfile`, and then fails its checksum.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content.data)) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError, ValueError) as error:
        raise content.refused(f"a damaged DOCX or zip archive ({type(error).__name__})") from None
    names = {part.filename for part in parts}
    if "word/document.xml" not in names:
        raise content.refused("a zip archive that is no DOCX; unpack it")
    if len(parts) > MAX_PARTS or len(names) < len(parts):
        raise content.refused(f"a DOCX with over {MAX_PARTS} parts, or with a part twice")
    if sum(part.file_size for part in parts) > MAX_UNPACKED:
        raise UnreadableFileError(content.source, f"a DOCX that unpacks to over {MAX_UNPACKED >> 20} MiB")


def _blocks(document: Any) -> Iterator[str]:
    """Yield the paragraphs and the rows of tables, those within fields of a form among them."""
    styles = {style.style_id: str(style.name) for style in document.styles}
    for block in _within(document.element.body, {"p", "tbl"}):
        if _tag(block) == "tbl":
            for row in _within(block, {"tr"}):
                cells = _within(row, {"tc"})
                yield "\t".join(" ".join(" ".join(map(_text, _within(cell, {"p"}))).split()) for cell in cells)
        else:
            yield _heading(block, styles) + _text(block)


def _within(element: Any, wanted: set[str]) -> Iterator[Any]:
    """Yield what is ``wanted`` inside an element, at any depth, in order, but not within another one of it."""
    waiting = list(element)[::-1]
    while waiting:
        node = waiting.pop()
        if _tag(node) in wanted:
            yield node
        elif _tag(node) not in _UNSEEN:
            waiting.extend(list(node)[::-1])


def _text(paragraph: Any) -> str:
    """Return what a reader sees of a paragraph: what was put in and not yet accepted too, text boxes as lines."""
    text = ""
    for node in _within(paragraph, {*_SIGNS, "t", "p"}):
        text += "\n" + _text(node) if _tag(node) == "p" else _SIGNS.get(_tag(node)) or node.text or ""
    return text


def _tag(node: Any) -> str:
    """Return an element's name without its namespace; a comment in the XML has none."""
    return node.tag.rpartition("}")[2] if isinstance(node.tag, str) else ""


def _heading(paragraph: Any, styles: Mapping[str, str]) -> str:
    style = styles.get(paragraph.style or "", "")
    level = style.removeprefix("Heading ")
    return f"\n{'#' * int(level)} " if level != style and level.isdigit() and _text(paragraph).strip() else ""
