"""What bytes are, by their content, and the documents they hold."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bedside.errors import UnreadableFileError
from bedside.remedies import Give, Remedy
from bedside.types import Document

MAX_BYTES = 64 << 20
"""The largest file, or attachment within one, that is read: 64 MiB. A note has thousands of bytes, a scan millions."""
# UTF-32's little-endian mark begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_HTML = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|(?:html|head|body|div|p|h[1-6]|table|article|section)\b)",
    re.IGNORECASE | re.DOTALL,
)
_CHARSET = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([\w:-]{2,40})|<\?xml[^>]+encoding=[\"']([\w:-]{2,40})", re.I)
_XML = re.compile(r"\s*<(?:\?xml\b|[A-Za-z][\w.:-]*\s[^>]*\bxmlns\b|ClinicalDocument\b)")
_SUFFIXES = {".md": "markdown", ".markdown": "markdown", ".csv": "csv", ".tsv": "csv"} | dict.fromkeys(
    (".html", ".htm", ".xhtml"), "html"
)
_OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# What a page means by its declaration, https://encoding.spec.whatwg.org/#names-and-labels: an encoding that it cannot
# be in, since the declaration was read as ASCII, is UTF-8.
_MEANT = dict.fromkeys(("iso-8859-1", "iso8859-1", "latin1", "latin-1", "ascii", "us-ascii"), "cp1252") | dict.fromkeys(
    ("utf-16", "utf-16le", "utf-16be", "utf-32"), "utf-8"
)


@dataclass(frozen=True)
class Content:
    """The bytes of a file or of an attachment.

    Attributes:
        data: The bytes.
        source: The path that names it.
        encoding: Of its text, where it is known; ``None`` is found out. A byte order mark is believed before it.
        is_html: It was said to be HTML, whatever it begins with.
    """

    data: bytes
    source: str
    encoding: str | None = None
    is_html: bool = False

    def refused(self, reason: str, *remedies: Remedy) -> UnreadableFileError:
        """Return the error that names this file."""
        return UnreadableFileError(self.source, reason, remedies)


def documents_of(content: Content) -> Iterator[Document]:
    """Yield the documents that bytes hold, those without text left out."""
    kind, text = kind_of(content)
    for document in _READERS[kind](content, text):
        if document.text.strip():
            yield replace(document, metadata={"source": content.source, "type": kind, **document.metadata})


def text_of(content: Content) -> str:
    """Return the text of bytes that are one document and no table: plain, HTML, PDF or DOCX."""
    kind, text = kind_of(content)
    if kind in ("csv", "fhir"):
        raise content.refused(f"expected a text, got {kind}")
    return "\n".join(document.text for document in _READERS[kind](content, text))


def kind_of(content: Content) -> tuple[str, str]:
    """Return what bytes are, and their text where they are text."""
    if content.data.startswith(b"%PDF-") or (b"%PDF-" in content.data[:1024] and b"startxref" in content.data):
        return "pdf", ""
    if content.data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "docx", ""
    if content.data.startswith(_OLD_OFFICE):
        raise content.refused(
            "an Office file of the old kind, or an encrypted one; store it as DOCX or PDF without one"
        )
    text = _decoded(content)
    if content.is_html or _HTML.match(text[:4096]):
        return "html", text
    if text.lstrip()[:1] in ("{", "[") and '"resourceType"' in text:
        return "fhir", text
    if text.startswith("{\\rtf"):
        raise content.refused("RTF, which is not read; store it as DOCX or text")
    if _XML.match(text[:4096]):
        raise content.refused("XML of an unknown kind; HTML is read")
    return _SUFFIXES.get(content.source[content.source.rfind(".") :].lower(), "text"), text


def _decoded(content: Content) -> str:
    marked = next((name for mark, name in _MARKS if content.data.startswith(mark)), None)
    name = marked or content.encoding or _declared(content.data[:1024]) or "utf-8"
    try:
        text = content.data.decode(name)
    except UnicodeDecodeError as error:
        raise content.refused(
            f"byte {error.start} is not {name}", Give("encoding", note="where the file is text in another one")
        ) from None
    except (LookupError, UnicodeError, TypeError):
        raise content.refused(f"{name!r} is no encoding of text that is known") from None
    if "\0" in text:
        raise content.refused("holds null characters: neither text nor PDF, DOCX, HTML or FHIR")
    return text


def _declared(beginning: bytes) -> str | None:
    """Return the encoding that HTML or XML says it is in."""
    found = _CHARSET.search(beginning) if beginning.lstrip()[:1] == b"<" else None
    name = (found[1] or found[2]).decode("ascii").lower() if found else None
    return None if name is None else _MEANT.get(name, name)


def _plain(content: Content, text: str) -> Iterator[Document]:
    yield Document(text, {}, content.source)


def _lazily(module: str) -> Callable[[Content, str], Iterator[Document]]:
    """Return a reader that is imported when it is first needed."""

    def read(content: Content, text: str) -> Iterator[Document]:
        from importlib import import_module

        reader: Any = import_module(f"bedside.loaders.{module}")
        yield from reader.documents(content, text)

    return read


_READERS: Mapping[str, Callable[[Content, str], Iterator[Document]]] = {
    "text": _plain,
    "markdown": _plain,
    "html": _lazily("html"),
    "pdf": _lazily("pdf"),
    "docx": _lazily("docx"),
    "csv": _lazily("table"),
    "fhir": _lazily("fhir"),
}
