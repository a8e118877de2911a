"""PDF as text, a form feed between pages."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bedside.errors import MissingExtraError, UnreadableFileError
from bedside.loaders.hyphens import joined_pages
from bedside.loaders.pdf_fields import fields_of
from bedside.loaders.pdf_page import MAX_OPERATIONS, PageReader, PageText, TooMuchError
from bedside.types import Document

if TYPE_CHECKING:
    from bedside.loaders.content import Content

_NO_TEXT = "a PDF without text: scanned pages need OCR first"
_SCAN = "a picture, as of a scan: it needs OCR first"
_DRAWING = "no text on it: a scan or a drawing needs OCR first"
MAX_PAGES = 5_000
"""More pages are refused: a chart has hundreds, and a page that says nothing costs time all the same."""

MAX_UNPACKED = 256 << 20
"""The most that the pages' contents may have unpacked, 256 MiB: a page of text has some 5 KB, a drawing a megabyte."""


def documents(content: Content, text: str) -> Iterator[Document]:  # noqa: ARG001 - PDF is not text
    r"""Yield the whole file as one document, with the number of its ``pages``.

    The page of a character is one more than the form feeds (``"\f"``) before it. Words that were broken at the end of a
    line are whole; what was filled into a page's form stands at its end. Pages that hold something, but no text that
    can be read, are refused by number, and named in ``pages_without_text``.
    """
    try:
        import pypdf
    except ModuleNotFoundError as error:
        raise MissingExtraError("pypdf", "loaders") from error
    try:
        with _spoken_for():
            reader = pypdf.PdfReader(io.BytesIO(content.data), strict=False)
            _check(content, reader)
            pages, missing = _pages(content, reader)
    except UnreadableFileError:
        raise
    except TooMuchError:
        raise content.refused(f"over {MAX_OPERATIONS} drawing operations, the most that are read") from None
    except Exception as error:  # noqa: BLE001 - a damaged file makes the parser fail anywhere, in any way
        raise content.refused(f"a damaged PDF ({type(error).__name__})") from None
    if not any(page.strip() for page in pages):
        reasons = [reason for reason in missing.values() if reason not in (_SCAN, _DRAWING)]
        raise content.refused(f"no page can be read: {reasons[0]}" if reasons else _NO_TEXT)
    for number, reason in missing.items():
        content.refuse(f"page {number}", reason)
    without = {"pages_without_text": list(missing)} if missing else {}
    yield Document("\f".join(joined_pages(pages)), {"pages": len(pages), **without}, content.id)


def _check(content: Content, reader: Any) -> None:
    """Refuse what is locked, too long, or drawn by a program that only its maker has."""
    if reader.is_encrypted and not reader.decrypt(""):
        raise content.refused("encrypted with a password; store it without one")
    if len(reader.pages) > MAX_PAGES:
        raise content.refused(f"has over {MAX_PAGES} pages, the most that are read")
    form = reader.trailer["/Root"].get("/AcroForm")
    form = form.get_object() if form is not None else None
    if form and "/XFA" in form and not form.get("/Fields"):
        raise content.refused("a form (XFA) whose pages are not in the file; print it as PDF")


def _pages(content: Content, reader: Any) -> tuple[list[str], dict[int, str]]:
    """Return the text of each page, and why there is none of a page on which there is something."""
    pages: list[str] = []
    missing: dict[int, str] = {}
    drawing, unpacked = PageReader(), 0
    for number, page in enumerate(reader.pages, 1):
        contents = page.get_contents()
        unpacked += 0 if contents is None else len(contents.get_data())
        if unpacked > MAX_UNPACKED:
            raise content.refused(f"pages that unpack to over {MAX_UNPACKED >> 20} MiB, the most that is read")
        try:
            found, filled = drawing.read(page), "\n".join(fields_of(page))
        except TooMuchError:
            raise
        except Exception as error:  # noqa: BLE001 - a damaged page takes no other along
            found, filled, missing[number] = PageText("", 0, False, False), "", f"damaged ({type(error).__name__})"
        if reason := _reason(found, filled):
            missing[number] = reason
        elif found.unreadable:
            content.guess(f"page {number}", f"{found.unreadable} signs without a meaning are U+FFFD")
        text = "" if found.is_garbled else found.text
        pages.append("\n".join(filter(None, (text.rstrip() if filled else text, filled))))
    return pages, missing


def _reason(found: PageText, filled: str) -> str:
    """Return why a page on which there is something gives no text, or not all; empty where it does."""
    if found.is_garbled:
        return "a font without a map: its characters cannot be told"
    if found.is_scan:
        return _SCAN
    return _DRAWING if found.is_drawn and not found.text.strip() and not filled else ""


@contextmanager
def _spoken_for() -> Iterator[None]:
    """Keep what pypdf logs off standard error, where Python writes it while nobody listens; a listener hears it."""
    handler, logger = logging.NullHandler(), logging.getLogger("pypdf")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
