"""The registry of formats: how each is told by what is in it, and the module that reads it.

To add a format: write ``bedside/loaders/<module>.py`` with ``documents(content, text)``, and give it a row in
:data:`KINDS`, before the rows that would take its files for something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from bedside.loaders import mail_headers
from bedside.loaders.decoding import peeked
from bedside.remedies import Call, Remedy
from bedside.types import Document

if TYPE_CHECKING:
    from bedside.loaders.content import Content

_OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PICTURE = re.compile(rb"\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a|II\*\0|MM\0\*|.{128}DICM", re.DOTALL)
_COMPRESSED = re.compile(rb"\x1f\x8b|BZh\d1AY|\xfd7zXZ\0|\(\xb5/\xfd|7z\xbc\xaf|Rar!\x1a")
_OUTLOOK_MAIL = b"\x78\x9f\x3e\x22"  # the signature of TNEF, [MS-OXTNEF] 2.1.3.1
_HTML_NAMES = frozenset(
    ("html", "head", "body", "div", "p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "article", "section")
)
_CDA = "urn:hl7-org:v3"  # of its documents, and of examples that are a piece of one
_CDA_SIGNS = re.compile(r"<templateId\s{1,9}root=|\s(?:class|mood)Code=[\"'][A-Z]|<patientRole>")
_FHIR = "http://hl7.org/fhir"
_OPEN_DOCUMENT = "urn:oasis:names:tc:opendocument:xmlns:office:1.0"
_XHTML = "http://www.w3.org/1999/xhtml"
_HL7 = re.compile(r"\ufeff?[\s\x0b\x0c]{0,32}(?:MSH|FHS|BHS)[|^~\\&#!$%]")
_HL7_WITHIN = re.compile(r"\bMSH\|\^~\\&#?\|")
_HTML_MEDIA = ("text/html", "application/xhtml+xml")


@dataclass(frozen=True)
class Kind:
    """A format.

    Attributes:
        name: What ``type`` says in the metadata of its notes.
        is_it: Tells by the content. Rows are asked in order; the first that says yes reads the file.
        module: Of ``bedside.loaders``, imported when it is first needed; its ``documents(content, text)`` yields notes.
        refusal: Why such files are not read, in place of a module.
        remedies: What to do with them instead.
        is_binary: It is told and read from ``content.data``; ``documents`` gets an empty text. Others are decoded.
        holds_many: Its notes are documents each by itself, and not parts of one text (see ``text_of``).
    """

    name: str
    is_it: Callable[[Content], bool]
    module: str = ""
    refusal: str = ""
    remedies: tuple[Remedy, ...] = ()
    is_binary: bool = False
    holds_many: bool = False

    def documents(self, content: Content, text: str) -> Iterator[Document]:
        """Yield what the format's module makes of a file.

        Raises:
            UnreadableFileError: Such files are not read.
        """
        if self.refusal:
            raise content.refused(self.refusal, *self.remedies)
        from importlib import import_module

        reader: Any = import_module(f"bedside.loaders.{self.module}")
        yield from reader.documents(content, text)


def _is_pdf(content: Content) -> bool:
    data = content.data
    return data.startswith(b"%PDF-") or (b"%PDF-" in data[:1024] and b"startxref" in data)


def _is_docx(content: Content) -> bool:
    return any(name.startswith("word/") and name.endswith(".xml") for name in content.names)


def _is_odt(content: Content) -> bool:
    return content.data[30:].startswith(b"mimetypeapplication/vnd.oasis.opendocument.text") and bool(content.names)


def _is_flat_odt(content: Content) -> bool:
    root = content.root
    return root.name == "document" and root.namespace == _OPEN_DOCUMENT and "opendocument.text" in content.text[:20_000]


def _is_xlsx(content: Content) -> bool:
    return any(name.startswith("xl/workbook") and name.endswith(".xml") for name in content.names)


def _is_page(content: Content) -> bool:
    named = content.suffix in (".mht", ".mhtml")
    return _is_mail(content) and (named or mail_headers.is_page(content.data))


def _is_mail(content: Content) -> bool:
    named = content.suffix in (".eml", ".mht", ".mhtml") or content.media_type == "message/rfc822"
    return mail_headers.is_message(content.data, named=named)


def _is_zip(content: Content) -> bool:
    return content.data.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def _is_old_office(content: Content) -> bool:
    return content.data.startswith(_OLD_OFFICE)


def _is_picture(content: Content) -> bool:
    return _PICTURE.match(content.data) is not None


def _is_compressed(content: Content) -> bool:
    return _COMPRESSED.match(content.data) is not None


def _is_outlook_mail(content: Content) -> bool:
    return content.data.startswith(_OUTLOOK_MAIL)


def _is_rtf(content: Content) -> bool:
    return content.data.lstrip()[:5] == b"{\\rtf"


def _is_hl7(content: Content) -> bool:
    return _HL7.match(peeked(content.data[:256], content.encoding)) is not None


def _holds_hl7(content: Content) -> bool:
    """Whether messages stand among other lines, as in an interface's log."""
    return _HL7_WITHIN.search(content.text) is not None


def _is_cda(content: Content) -> bool:
    root = content.root
    is_piece = bool(root.name) and not root.namespace and _CDA_SIGNS.search(content.text) is not None
    return root.name == "ClinicalDocument" or root.namespace == _CDA or is_piece


def _is_html(content: Content) -> bool:
    root = content.root
    named = content.suffix in (".html", ".htm", ".xhtml") and not (root.is_xml and not root.namespace)
    is_page = named or root.name.lower() in _HTML_NAMES
    return content.media_type in _HTML_MEDIA or (is_page and root.namespace in ("", _XHTML))


def _is_fhir_xml(content: Content) -> bool:
    return content.root.namespace == _FHIR


def _is_fhir(content: Content) -> bool:
    return content.text.lstrip()[:1] in ("{", "[") and '"resourceType"' in content.text


def _is_json(content: Content) -> bool:
    """Whether it is an object, a list of them or lines of them; a note may begin with a bracket too.

    One that is named as JSON is JSON, also where it is damaged or holds the NaN that Python writes.
    """
    begins = content.text.lstrip("\ufeff \t\r\n")[:1]
    if begins not in ("{", "["):
        return False
    if content.suffix in (".json", ".jsonl", ".ndjson"):
        return True
    for piece in (content.text, content.text.strip().partition("\n")[0]):
        try:
            return isinstance(orjson.loads(piece), dict if begins == "{" else list)
        except orjson.JSONDecodeError:
            continue
    return False


def _is_xml(content: Content) -> bool:
    root = content.root
    return root.is_xml or (bool(root.name) and content.text.rstrip().endswith(f"{root.name}>"))


def _is_table(content: Content) -> bool:
    named = content.suffix in (".csv", ".tsv") or content.media_type in ("text/csv", "text/tab-separated-values")
    return named and not content.root.name and not content.root.is_xml


def _is_markdown(content: Content) -> bool:
    return content.suffix in (".md", ".markdown")


KINDS: tuple[Kind, ...] = (
    Kind("fhir", lambda content: content.file is not None, "fhir_stream", is_binary=True, holds_many=True),
    Kind("pdf", _is_pdf, "pdf", is_binary=True),
    Kind("docx", _is_docx, "docx", is_binary=True),
    Kind("odt", _is_odt, "odt", is_binary=True),
    Kind("xlsx", _is_xlsx, "xlsx", is_binary=True, holds_many=True),
    Kind(
        "zip",
        _is_zip,
        refusal="a zip archive that is damaged, or of no kind that is read; unpack it, or store the file anew",
        is_binary=True,
    ),
    Kind(
        "doc",
        _is_old_office,
        refusal="an Office file of the old kind, or an encrypted one; store it as DOCX or PDF without a password",
        is_binary=True,
    ),
    Kind("picture", _is_picture, refusal="a picture: it needs OCR first", is_binary=True),
    Kind("compressed", _is_compressed, refusal="a compressed file; unpack it", is_binary=True),
    Kind(
        "tnef",
        _is_outlook_mail,
        refusal="Outlook's own form of a mail (winmail.dat); have it sent as HTML or plain text, or save it as .eml",
        is_binary=True,
    ),
    Kind("rtf", _is_rtf, "rtf", is_binary=True),
    Kind("hl7v2", _is_hl7, "hl7", is_binary=True, holds_many=True),
    Kind("mhtml", _is_page, "mail", is_binary=True),
    Kind("email", _is_mail, "mail", is_binary=True),
    Kind("odt", _is_flat_odt, "odt"),
    Kind("cda", _is_cda, "cda"),
    Kind("fhir", _is_fhir_xml, "fhir_xml", holds_many=True),
    Kind("csv", _is_table, "table", is_binary=True, holds_many=True),
    Kind("html", _is_html, "html"),
    Kind("xml", _is_xml, refusal="XML of an unknown kind", is_binary=True),
    Kind("fhir", _is_fhir, "fhir", holds_many=True),
    Kind(
        "json",
        _is_json,
        refusal="JSON of an unknown kind",
        remedies=(Call("import", "for lines of documents", python="Collection.import_from"),),
        is_binary=True,
    ),
    Kind(
        "hl7v2", _holds_hl7, refusal="HL7 v2 messages among other text; keep the messages alone, each from its MSH on"
    ),
    Kind("markdown", _is_markdown, "plain"),
    Kind("text", lambda _: True, "plain"),
)
"""Every format, in the order in which a file is tried."""
