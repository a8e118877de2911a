"""FHIR: the texts of DocumentReference and DiagnosticReport, alone, in a Bundle, or one on each line.

Release R4 and later (https://hl7.org/fhir/documentreference.html, https://hl7.org/fhir/diagnosticreport.html).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from email.message import Message
from typing import TYPE_CHECKING, Any

import orjson

from bedside.types import Document

if TYPE_CHECKING:
    from bedside.loaders.content import Content

_KINDS = ("DocumentReference", "DiagnosticReport")
_TEXTLESS = ("image/", "audio/", "video/", "application/dicom")


def documents(content: Content, text: str) -> Iterator[Document]:
    """Yield the attachments that carry their data; a report without any gives its conclusion or its narrative.

    What is marked ``entered-in-error`` is left out, and so are attachments that are only linked to and those that say
    that they are pictures or sound. Metadata: ``resource`` (``DocumentReference/7``), ``status``, ``date``, ``subject``
    and ``title``, as far as they are there.
    """
    for number, resource in enumerate(_resources(content, _parsed(content, text)), 1):
        if "entered-in-error" in (resource.get("status"), resource.get("docStatus")):
            continue
        named = f"{resource['resourceType']}/{resource.get('id') or number}"
        for place, (title, body) in enumerate(_texts(content, resource, named)):
            metadata = {"resource": named, **_facts(resource), **({"title": title} if title else {})}
            yield Document(body, metadata, f"{content.source}#{named}" + (f"/{place}" if place else ""))


def _parsed(content: Content, text: str) -> list[Any]:
    """Return the JSON value, or one of each line."""
    try:
        return [orjson.loads(text)]
    except orjson.JSONDecodeError as error:
        lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        whole = f"line {error.lineno}: {error.msg}"
    values = []
    for number, line in lines:
        try:
            values.append(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            reason = whole if number == lines[0][0] else f"line {number}: {error.msg}"
            raise content.refused(f"damaged JSON, {reason}") from None
    return values


def _resources(content: Content, values: list[Any]) -> Iterator[dict[str, Any]]:
    """Yield the resources that hold documents, wherever they stand."""
    waiting = values[::-1]
    while waiting:
        value = waiting.pop()
        if not isinstance(value, dict):
            if isinstance(value, list):
                waiting.extend(value[::-1])
            continue
        kind = value.get("resourceType")
        if kind == "Bundle":
            waiting.extend(_dict(entry).get("resource") for entry in reversed(_list(value.get("entry"))))
        elif kind in _KINDS:
            yield value
        elif kind is None:
            raise content.refused("expected FHIR resources, got JSON without resourceType")


def _texts(content: Content, resource: Mapping[str, Any], named: str) -> Iterator[tuple[str, str]]:
    """Yield title and text of each attachment, or what stands in for them."""
    if resource["resourceType"] == "DocumentReference":
        attachments = [_dict(_dict(item).get("attachment")) for item in _list(resource.get("content"))]
    else:
        attachments = [_dict(item) for item in _list(resource.get("presentedForm"))]
    held = [item for item in attachments if _str(item.get("data")) and not _type(item)[0].startswith(_TEXTLESS)]
    for attachment in held:
        yield _str(attachment.get("title")), _attached(content, attachment, named)
    if not held:
        yield "", _str(resource.get("conclusion")) or _narrative(content, resource)


def _attached(content: Content, attachment: Mapping[str, Any], named: str) -> str:
    """Return an attachment's text; empty, and said in the report, where it cannot be read."""
    from bedside.loaders.content import text_of

    kind, charset = _type(attachment)
    with content.part(named):
        try:
            data = base64.b64decode("".join(attachment["data"].split()), validate=True)
        except (binascii.Error, ValueError):
            raise content.refused("the attachment's data is not base64") from None
        return text_of(content.attached(data, named, encoding=charset, media_type=kind))
    return ""


def _type(attachment: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return media type and charset as they are said to be."""
    header = Message()
    header["Content-Type"] = "".join(_str(attachment.get("contentType")).splitlines())
    charset = header.get_param("charset")
    return header.get_content_type(), charset if isinstance(charset, str) and charset else None


def _narrative(content: Content, resource: Mapping[str, Any]) -> str:
    """Return the resource's own XHTML as text."""
    from bedside.loaders.html import documents as html

    written = _str(_dict(resource.get("text")).get("div"))
    return next(html(content, written)).text if written else ""


def _facts(resource: Mapping[str, Any]) -> dict[str, str]:
    date = resource.get("date") or resource.get("effectiveDateTime") or resource.get("issued")
    subject = _dict(resource.get("subject")).get("reference")
    facts = {"status": resource.get("status"), "date": date, "subject": subject, "kind": _name(resource)}
    return {key: value for key, value in facts.items() if isinstance(value, str) and value}


def _name(resource: Mapping[str, Any]) -> str:
    """Return what kind of document it is, in words."""
    concept = _dict(resource.get("type") or resource.get("code"))
    codings = _list(concept.get("coding"))
    return _str(concept.get("text")) or _str(_dict(codings[0] if codings else None).get("display"))


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _str(value: Any) -> str:
    return value if isinstance(value, str) else ""
