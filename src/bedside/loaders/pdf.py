"""PDF as text, a form feed between pages."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bedside.errors import MissingExtraError, UnreadableFileError
from bedside.types import Document

if TYPE_CHECKING:
    from bedside.loaders.content import Content

MAX_PAGES = 5_000
"""More pages are refused: a chart has hundreds, and a page that says nothing costs time all the same."""

MAX_UNPACKED = 256 << 20
"""The most that the pages' contents may have unpacked, 256 MiB: a page of text has some 5 KB, a drawing a megabyte."""


def documents(content: Content, text: str) -> Iterator[Document]:  # noqa: ARG001 - PDF is not text
    r"""Yield the whole file as one document, with the number of its ``pages``.

    The page of a character is one more than the form feeds (``"\f"``) before it.
    """
    try:
        import pypdf
    except ModuleNotFoundError as error:
        raise MissingExtraError("pypdf", "loaders") from error
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = pypdf.PdfReader(io.BytesIO(content.data), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise content.refused("encrypted with a password; store it without one")
        if len(reader.pages) > MAX_PAGES:
            raise content.refused(f"has over {MAX_PAGES} pages, the most that are read")
        pages, unpacked = [], 0
        for page in reader.pages:
            contents = page.get_contents()
            unpacked += 0 if contents is None else len(contents.get_data())
            if unpacked > MAX_UNPACKED:
                raise content.refused(f"pages that unpack to over {MAX_UNPACKED >> 20} MiB, the most that is read")
            pages.append(page.extract_text())
    except UnreadableFileError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file makes the parser fail anywhere, in any way
        raise content.refused(f"a damaged PDF ({type(error).__name__})") from None
    if not any(page.strip() for page in pages):
        raise content.refused("a PDF without text: scanned pages need OCR first")
    yield Document("\f".join(pages), {"pages": len(pages)}, content.id)
