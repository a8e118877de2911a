"""CDA R2 and C-CDA: the narrative of the sections under their titles, or the file that stands in its place.

HL7 Clinical Document Architecture, release 2 (https://www.hl7.org/implement/standards/product_brief.cfm?product_id=7).
The narrative is what the author attests to; the coded entries beside it say the same again and are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bedside.loaders.attachments import from_base64
from bedside.loaders.cda_narrative import narrative
from bedside.loaders.hl7_values import time_of
from bedside.loaders.links import REPLACES
from bedside.loaders.xml_tree import Element, attribute, child, children, name_of, parsed, words_in
from bedside.types import Document

if TYPE_CHECKING:
    from bedside.loaders.content import Content

_LOINC = "2.16.840.1.113883.6.1"
_REPLACES = "RPLC"  # of relatedDocument's type codes; the others, APND and XFRM, leave the other document as it is


def documents(content: Content, text: str) -> Iterator[Document]:
    """Yield the document, or an example's piece of one, as one text with a Markdown heading for each section.

    Metadata, as far as it is there: ``title``, ``kind`` and ``loinc`` (of the kind of document), ``date``, ``patient``
    (a name), ``subject`` (the patient's number), ``author``, ``document_id``, ``set_id``, ``version``, ``replaces``
    (the ids of the documents that it replaces), and ``section_codes``: the LOINC code of each section by its title.
    """
    root = parsed(content, text, "CDA")
    codes: dict[str, str] = {}
    body = "\n\n".join(part for part in _parts(content, root, codes) if part)
    yield Document(body, {**_facts(root), **({"section_codes": codes} if codes else {})}, content.id)


def _parts(content: Content, root: Element, codes: dict[str, str]) -> Iterator[str]:
    """Yield each section with its heading, and each file within the document as text."""
    waiting = [(root, 1)]
    while waiting:
        node, level = waiting.pop()
        name = name_of(node)
        if name == "section":
            level += 1
            yield _section(content, node, level, codes)
        elif name in ("nonXMLBody", "observationMedia"):
            yield _file(content, node, name)
            continue
        elif name == "text" and level == 1:  # in no section: an example of an entry
            yield narrative(node)
        waiting.extend((inner, level) for inner in reversed(node) if name_of(inner) != "text" or level == 1)


def _section(content: Content, section: Element, level: int, codes: dict[str, str]) -> str:
    """Return heading and narrative of a section, without the sections in it."""
    code, written = child(section, "code"), child(section, "text")
    title = words_in(child(section, "title")) or attribute(code, "displayName") or attribute(code, "code")
    if title and attribute(code, "code") and attribute(code, "codeSystem") in ("", _LOINC):
        codes.setdefault(title, attribute(code, "code"))
    body = "" if written is None else narrative(written)
    if not body and child(section, "entry") is not None:
        content.leave_out(title or "section", "coded entries without a narrative")
    heading = f"{'#' * min(level, 6)} {title}" if title else ""
    return "\n\n".join(part for part in (heading, body) if part)


def _file(content: Content, node: Element, name: str) -> str:
    """Return the text of a file that stands in the document; empty, and said in the report, where it has none."""
    from bedside.loaders.content import text_of

    held = child(node, "text" if name == "nonXMLBody" else "value")
    media_type = attribute(held, "mediaType").lower()
    link = attribute(child(held, "reference"), "value")
    if held is None or link:
        reason = f"kept outside of the document, in {link}" if link else "empty"
        (content.refuse if name == "nonXMLBody" else content.leave_out)(name, reason)
        return ""
    if media_type.startswith("image/"):
        content.leave_out(name, "a picture")
        return ""
    with content.part(name):
        if attribute(held, "representation") != "B64":
            data = "".join(held.itertext()).encode()
            return text_of(content.attached(data, name, encoding="utf-8", media_type=media_type))
        if attribute(held, "compression"):
            raise content.refused(f"compressed ({attribute(held, 'compression')}), which is not read")
        return text_of(content.attached(from_base64(content, "".join(held.itertext())), name, media_type=media_type))
    return ""


def _facts(root: Element) -> dict[str, Any]:
    if name_of(root) != "ClinicalDocument":
        return {}
    patient, code = child(root, "recordTarget", "patientRole"), child(root, "code")
    facts = {
        "title": words_in(child(root, "title")),
        "kind": attribute(code, "displayName"),
        "loinc": attribute(code, "code") if attribute(code, "codeSystem") in ("", _LOINC) else "",
        "date": time_of(attribute(child(root, "effectiveTime"), "value")),
        "patient": _person(child(patient, "patient", "name")),
        "subject": next((id for node in children(patient, "id") if (id := attribute(node, "extension"))), ""),
        "author": "; ".join(dict.fromkeys(filter(None, map(_author, children(root, "author"))))),
        "document_id": _id(child(root, "id")),
        "set_id": _id(child(root, "setId")),
        "version": attribute(child(root, "versionNumber"), "value"),
        REPLACES: [
            _id(child(related, "parentDocument", "id"))
            for related in children(root, "relatedDocument")
            if attribute(related, "typeCode") == _REPLACES
        ],
    }
    return {key: value for key, value in facts.items() if value}


def _id(node: Element | None) -> str:
    """Return an instance identifier as HL7 writes it in one string."""
    return "^".join(filter(None, (attribute(node, "root"), attribute(node, "extension"))))


def _author(node: Element) -> str:
    """Return who wrote: a person, else a device, else an organization."""
    assigned = child(node, "assignedAuthor")
    device = child(assigned, "assignedAuthoringDevice")
    return (
        _person(child(assigned, "assignedPerson", "name"))
        or words_in(child(device, "softwareName"))
        or words_in(child(device, "manufacturerModelName"))
        or words_in(child(assigned, "representedOrganization", "name"))
    )


def _person(name: Element | None) -> str:
    """Return a name as it is written: its parts in their order, or its text."""
    if name is None:
        return ""
    return " ".join(filter(None, map(words_in, name))) or words_in(name)
