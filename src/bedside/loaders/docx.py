"""DOCX as text: paragraphs as lines, headings as Markdown has them, table cells between tabs."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bedside.errors import MissingExtraError, UnreadableFileError
from bedside.types import Document

if TYPE_CHECKING:
    from bedside.loaders.content import Content

MAX_UNPACKED = 256 << 20
"""The most that a file's parts may have unpacked, 256 MiB: a page of text unpacks to some 10 KB."""
MAX_PARTS = 10_000
"""The most parts of a file: one for each picture, some dozen else."""


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
    yield Document(body, {}, content.source)


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
    for block in document.iter_inner_content():
        if hasattr(block, "rows"):
            for row in block.rows:
                yield "\t".join(" ".join(cell.text.split()) for cell in row.cells)
        else:
            yield _heading(block) + block.text


def _heading(paragraph: Any) -> str:
    style = str(getattr(paragraph.style, "name", ""))
    level = style.removeprefix("Heading ")
    return f"\n{'#' * int(level)} " if level != style and level.isdigit() and paragraph.text.strip() else ""
