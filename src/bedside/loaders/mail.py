"""E-mail and MHTML: the message as one document, each attachment as its own, read by what is in it.

RFC 5322 (messages), 2045 to 2049 (MIME), 2557 (MHTML, what browsers save a page as).
"""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from dataclasses import replace
from email.errors import (
    CloseBoundaryNotFoundDefect,
    InvalidBase64CharactersDefect,
    InvalidBase64LengthDefect,
    MessageError,
    StartBoundaryNotFoundDefect,
)
from email.header import decode_header, make_header
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from bedside.loaders.attachments import charset, richest
from bedside.loaders.mail_headers import is_page
from bedside.types import Document

if TYPE_CHECKING:
    from bedside.loaders.content import Content

MAX_PARTS = 1_000
"""The most parts of a message: the parser looks at each line once for each part around it."""
_SEVERAL = re.compile(rb"\n\r?\nFrom [^\n]{1,200}\d{4}\r?\n[!-9;-~]{1,76}:")  # of a mailbox (RFC 4155)
_UNSEEN = ("text/css", "text/javascript", "application/javascript", "application/x-javascript")
_AS_ONE = ("multipart/alternative", "multipart/related")
_TEXTLESS = ("image", "audio", "video", "font")
_LONGEST_HEADER = 2_000
_DAMAGED_HEADER = (ValueError, LookupError, MessageError)
_CUT = (CloseBoundaryNotFoundDefect, StartBoundaryNotFoundDefect)
_NOT_BASE64 = (InvalidBase64CharactersDefect, InvalidBase64LengthDefect)


def documents(content: Content, text: str) -> Iterator[Document]:  # noqa: ARG001 - each part has its own encoding
    """Yield the message with its subject before its text, and then its attachments.

    Of texts that say the same as HTML and as plain text, the one that says more counts. Metadata of the message, as far
    as it is there: ``title`` (the subject), ``date``, ``author``, ``to``; of an attachment: ``part_of``, the message's
    id, beside its own.
    """
    message = _parsed(content)
    texts, files = list[str](), list[Message]()
    for part in _parts(message):
        if _is_file(part):
            files.append(part)
        else:
            texts.extend(_texts(content, part))
    subject = _header(message, "Subject")
    page = is_page(content.data)
    body = "\n\n".join(text for text in texts if text.strip())
    head = f"Subject: {subject}\n\n" if subject and body and not page else ""
    yield Document(head + body, _facts(message, page), content.id)
    taken: set[str] = set()
    for number, part in enumerate(files, 1):
        name = _name(part) or f"attachment {number}"
        yield from _attached(content, part, f"{number}/{name}" if name in taken else name)
        taken.add(name)


def _parsed(content: Content) -> Message:
    data = content.data.lower()
    if data.count(b"multipart/") + data.count(b"message/rfc822") > MAX_PARTS:
        raise content.refused(f"a message of over {MAX_PARTS} parts")
    if _SEVERAL.search(content.data):
        raise content.refused("a mailbox of several messages; store each by itself")
    try:
        message = email.message_from_bytes(content.data)
        defects = [defect for part in message.walk() for defect in part.defects]
    except (RecursionError, ValueError, LookupError, AttributeError, TypeError) as error:  # a damaged header
        raise content.refused(f"a damaged message ({type(error).__name__})") from None
    if any(isinstance(defect, _CUT) for defect in defects):
        content.refuse("", "cut off: a part of the message does not end")
    return message


def _parts(message: Message) -> Iterator[Message]:
    """Yield what a message is made of: single parts, and groups of parts that say the same or show one page."""
    waiting = [message]
    while waiting:
        part = waiting.pop()
        is_group = part.get_content_maintype() == "multipart" and part.get_content_type() not in _AS_ONE
        if is_group:
            waiting.extend(reversed(_inside(part)))
        else:
            yield part


def _inside(part: Message) -> list[Message]:
    held = part.get_payload()
    return [inner for inner in held if isinstance(inner, Message)] if isinstance(held, list) else []


def _is_file(part: Message) -> bool:
    """Whether a part is not a text of the message itself."""
    is_text = part.get_content_type() in ("text/plain", "text/html") and part.get_content_disposition() != "attachment"
    return not is_text and part.get_content_maintype() != "multipart"


def _texts(content: Content, part: Message) -> list[str]:
    """Return what a reader sees of a part of the message itself."""
    kind = part.get_content_type()
    if kind == "multipart/alternative":
        texts = ["\n\n".join(_texts(content, inner)) for inner in _inside(part)]
        return [texts[place] for place in richest(texts)]
    if part.is_multipart():
        return [text for inner in _inside(part) for text in _texts(content, inner)]
    if kind in _UNSEEN:
        return []
    return [_text(content, part, _name(part) or "body")]


def _text(content: Content, part: Message, place: str) -> str:
    """Return a part's text; empty, and said in the report, if there is none or it cannot be read."""
    from bedside.loaders.content import text_of

    if part.get_content_maintype() in _TEXTLESS:
        content.leave_out(place, "a picture, a recording or a font")
        return ""
    with content.part(place):
        return text_of(_content(content, part, place))
    return ""


def _attached(content: Content, part: Message, place: str) -> Iterator[Document]:
    """Yield the documents of an attachment."""
    from bedside.loaders.content import documents_of

    if part.get_content_maintype() in _TEXTLESS:
        content.leave_out(place, "a picture, a recording or a font")
        return
    with content.part(place):
        for document in documents_of(_content(content, part, place)):
            yield replace(document, metadata={"part_of": content.id, **document.metadata})


def _content(content: Content, part: Message, place: str) -> Content:
    """Return a part as a file of its own.

    Raises:
        UnreadableFileError: It is not encoded as it says, or lies in too many messages.
    """
    if part.get_content_type() == "message/rfc822" and _inside(part):
        return content.attached(_inside(part)[0].as_bytes(), place)
    try:
        data = part.get_payload(decode=True)
    except _DAMAGED_HEADER as error:
        raise content.refused(f"a damaged part ({type(error).__name__})") from None
    if not isinstance(data, bytes) or any(isinstance(defect, _NOT_BASE64) for defect in part.defects):
        raise content.refused("the data is not base64")
    return content.attached(
        data, place, encoding=charset(part.get_content_charset()), media_type=part.get_content_type()
    )


def _name(part: Message) -> str:
    """Return a file's name without folders."""
    try:
        name = str(make_header(decode_header(str(part.get_filename() or "")[:_LONGEST_HEADER])))
    except _DAMAGED_HEADER:
        return ""
    return re.split(r"[/\\]", name)[-1].strip()


def _header(message: Message, name: str) -> str:
    """Return a header in words; empty where it cannot be read."""
    try:
        return " ".join(str(make_header(decode_header(str(message.get(name, ""))[:_LONGEST_HEADER]))).split())
    except _DAMAGED_HEADER:
        return ""


def _facts(message: Message, page: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"title": _header(message, "Subject"), "date": _date(_header(message, "Date"))}
    if not page:  # which a program sends
        facts["author"] = _header(message, "From")
        facts["to"] = [_person(person) for person in getaddresses([_header(message, "To")])]
    return {key: value for key, value in facts.items() if value}


def _person(person: tuple[str, str]) -> str:
    name, address = person
    return f"{name} <{address}>" if name and address else name or address


def _date(written: str) -> str:
    try:
        return parsedate_to_datetime(written).isoformat()
    except (ValueError, TypeError, IndexError):
        return ""
