"""What there is to read in a FHIR resource: its files, its narrative, its sections."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from email.message import Message
from typing import TYPE_CHECKING, NamedTuple

from bedside.loaders.attachments import charset, from_base64, richest
from bedside.loaders.fhir_json import LOINC, Resource, at, code_of, concept, first, key_of, many, string

if TYPE_CHECKING:
    from bedside.loaders.content import Content

_TEXTLESS = ("image/", "audio/", "video/", "application/dicom")


class Part(NamedTuple):
    """A part of a document.

    Attributes:
        kind: Its content type, or what else it is.
        text: It.
        title: As its attachment has it.
    """

    kind: str
    text: str
    title: str = ""


def attachments_of(resource: Resource) -> list[object]:
    """Return the attachments of a DocumentReference or a DiagnosticReport."""
    if resource["resourceType"] == "DiagnosticReport":
        return many(resource.get("presentedForm"))
    if resource["resourceType"] == "DocumentReference":
        return [at(item, "attachment") for item in many(resource.get("content"))]
    return []


def parts_of(content: Content, resource: Resource, named: str, held: Collection[str]) -> Iterator[Part]:
    """Yield what a resource holds itself: its attachments, and a report's own words.

    Args:
        content: The file.
        resource: A DocumentReference or a DiagnosticReport.
        named: Its name in the report.
        held: Addresses of files that stand by themselves, and are read where they stand.
    """
    attachments = attachments_of(resource)
    found = False
    for number, attachment in enumerate(attachments, 1):
        part = named if len(attachments) == 1 else f"{named}/attachment {number}"
        link = string(at(attachment, "url"))
        if not string(at(attachment, "data")) and link and not link.startswith(("#", "data:")):
            found = found or key_of(link) in held
            if key_of(link) not in held:
                content.leave_out(part, "only linked to")
        elif text := file_text(content, _held(resource, attachment), part):
            found = True
            yield Part(
                first(at(attachment, "contentType"), f"attachment {number}"), text, string(at(attachment, "title"))
            )
    if resource["resourceType"] == "DiagnosticReport":
        yield Part("narrative", _own_words(content, resource))
    elif not found:
        yield Part("narrative", narrative(content, resource))


def file_text(content: Content, attachment: object, part: str) -> str:
    """Return the text of an Attachment or a Binary; empty, and said in the report, where it cannot be read."""
    from bedside.loaders.content import text_of

    written, link = first(at(attachment, "data"), at(attachment, "content")), string(at(attachment, "url"))
    kind, encoding = _type(string(at(attachment, "contentType")))
    if link.startswith("data:") and ";base64," in link[:200]:
        header, _, written = link.partition(";base64,")
        kind, encoding = _type(header.removeprefix("data:"))
    if not written:
        return ""
    if kind.startswith(_TEXTLESS):
        content.leave_out(part, f"a picture or a recording ({kind})")
        return ""
    with content.part(part):
        return text_of(content.attached(from_base64(content, written), part, encoding=encoding, media_type=kind))
    return ""


def narrative(content: Content, resource: object) -> str:
    """Return the XHTML of a resource or of a section as text."""
    from bedside.loaders.html import page_text

    written = string(at(resource, "text", "div"))
    return page_text(content, written)[0] if written else ""


def composed(content: Content, resource: Resource) -> tuple[str, dict[str, str]]:
    """Return a Composition's sections as one text with Markdown headings, and their LOINC codes by their titles."""
    parts, codes = list[str](), dict[str, str]()
    waiting = [(section, 2) for section in reversed(many(resource.get("section")))]
    while waiting:
        section, level = waiting.pop()
        title = first(at(section, "title"), concept(at(section, "code"))).replace("\n", " ")
        if title and (code := code_of(at(section, "code"), LOINC)):
            codes.setdefault(title, code)
        body = narrative(content, section)
        if not body and (reason := concept(at(section, "emptyReason"))):
            body = f"({reason})"
        if not body and at(section, "entry") is not None:
            content.leave_out(title or "section", "entries without a narrative")
        parts.extend(part for part in (f"{'#' * min(level, 6)} {title}" if title else "", body) if part)
        waiting.extend((inner, level + 1) for inner in reversed(many(at(section, "section"))))
    texts = [narrative(content, resource), "\n\n".join(parts)]
    return "\n\n".join(texts[place] for place in richest(texts)), codes


def _own_words(content: Content, resource: Resource) -> str:
    """Return narrative and conclusion of a report, each where it says something of its own."""
    concluded = [string(resource.get("conclusion")), *map(concept, many(resource.get("conclusionCode")))]
    conclusion = "\n".join(dict.fromkeys(filter(None, concluded)))
    texts = [narrative(content, resource), conclusion]
    kept = [texts[place] for place in richest(texts)]
    return f"{kept[0]}\n\n## Conclusion\n{kept[1]}" if len(kept) > 1 else "".join(kept)


def _held(resource: Resource, attachment: object) -> object:
    """Return an attachment, or the Binary in the same resource that it refers to."""
    link = string(at(attachment, "url"))
    if not link.startswith("#"):
        return attachment
    return next((inner for inner in many(resource.get("contained")) if string(at(inner, "id")) == link[1:]), None)


def _type(written: str) -> tuple[str, str | None]:
    """Return media type and charset as they are said to be."""
    header = Message()
    header["Content-Type"] = "".join(written.splitlines())[:200]
    named = header.get_param("charset")
    return header.get_content_type() if written else "", charset(named if isinstance(named, str) else None)
