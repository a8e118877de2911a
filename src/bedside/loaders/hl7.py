"""HL7 v2: the reports, documents and comments of each message, in files of one message, several, or a batch.

HL7 2.1 to 2.8, chapters 2 (encoding and escapes), 3 (ADT), 7 (ORU) and 9 (MDM); all segments that carry text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bedside.loaders.attachments import from_base64, richest
from bedside.loaders.hl7_segments import Segment, messages
from bedside.loaders.hl7_values import time_of
from bedside.loaders.links import REPLACES
from bedside.types import Document

if TYPE_CHECKING:
    from bedside.loaders.content import Content

_TEXT = ("TX", "FT")
_DELETES = {"IAM": (6, "D"), "DG1": (21, "D"), "PR1": (20, "D"), "PRB": (1, "DE")}  # action codes: field and value
_WRONG = {"D": "deleted", "W": "wrong, for another patient"}  # of OBX-11, table 0085
_FILES = ("{\\rtf", "<html", "<!doctype", "<?xml", "<clinicaldocument", "%pdf-")
# What is said in one line: the fields of its subject, and of what is put after it.
_LINES = {
    "AL1": ("Allergy", (3,), (5, 4)),
    "IAM": ("Allergy", (3,), (5, 4)),
    "DG1": ("Diagnosis", (3, 4), ()),
    "PR1": ("Procedure", (3, 4), ()),
    "PRB": ("Problem", (3,), ()),
}
# What a report's order says of why it was asked for.
_ASKED = {13: "Clinical information", 31: "Reason"}
# Events of MDM messages (chapter 9): edited or replaced documents; the parent of an addendum (T05, T06) stays.
_REPLACING = ("T07", "T08", "T09", "T10")
_CANCELLED = "T11"


@dataclass
class _Group:
    """A report of a message: an OBR, or a TXA, what follows it, and the PID that it stands under."""

    head: dict[str, Segment]
    segments: list[Segment] = field(default_factory=list)


def documents(content: Content, text: str) -> Iterator[Document]:  # noqa: ARG001 - HL7 names its own encoding
    """Yield each report of each message, and each file within one as a document of its own where it says more.

    Lines of one report are joined; results are lines ``name: value unit (range) flag``. Metadata, as far as there:
    ``message`` (its control id), ``message_type``, ``kind``, ``date``, ``subject`` (the patient's number), ``patient``
    (a name), ``author``, ``status``, ``document_id`` and ``replaces``.
    """
    taken: set[str] = set()
    for number, message in enumerate(messages(content), 1):
        named = message[0].text(10) or str(number)
        named = f"{named}.{number}" if named in taken else named
        taken.add(named)
        yield from _documents_of(content, message, named)


def _documents_of(content: Content, message: Sequence[Segment], named: str) -> Iterator[Document]:
    facts, event, count = _facts_of_message(message), message[0].component(9, 2), 0
    for group in _groups(message):
        if event == _CANCELLED:
            content.leave_out(named, "the cancellation of a document")
            continue
        texts = [part for part in _texts(content, group, named) if part.strip()]
        for place in richest(texts):
            count += 1
            metadata = {"message": named, **facts, **_facts_of_patient(group), **_facts_of_group(group, event)}
            yield Document(texts[place], metadata, f"{content.id}#{named}" + (f"/{count}" if count > 1 else ""))
    if not count:
        content.leave_out(named, f"a message without text ({facts.get('message_type', 'of no type')})")


def _groups(message: Sequence[Segment]) -> Iterator[_Group]:
    """Yield a message's reports; what stands before the first one, such as a patient's allergies, belongs to it.

    A message may be about several patients: each report is of the one whose PID came last.
    """
    group = _Group({})
    for segment in message:
        is_new = segment.name in ("OBR", "PID") and segment.name in group.head
        if is_new or (segment.name == "TXA" and any(held.name == "OBX" for held in group.segments)):
            yield group
            group = _Group({name: held for name, held in group.head.items() if name == "PID"})
        if segment.name in ("PID", "OBR", "TXA"):
            group.head[segment.name] = segment
        elif segment.name in ("OBX", "NTE") or segment.name in _LINES:
            group.segments.append(segment)
    yield group


def _texts(content: Content, group: _Group, named: str) -> Iterator[str]:
    """Yield a report's text, and that of each file in it."""
    blocks, files = list[str](), list[str]()
    runs = list(_runs(content, group.segments, named))
    parts = {run[0].coded(3) for run in runs if run[0].raw(2) in _TEXT}
    for run in runs:
        kind, place = run[0].raw(2) if run[0].name == "OBX" else "", f"{named}/OBX-{run[0].text(1)}".rstrip("-")
        if kind == "ED":
            files.extend(_file(content, segment, place) for segment in run)
        elif kind == "RP":
            content.leave_out(place, "only linked to")
        else:
            block = _block(content, run, place)
            is_part = len(parts) > 1 and kind in _TEXT and block.strip() and run[0].coded(3)
            blocks.append(f"### {run[0].coded(3)}\n{block}" if is_part else block)
    order = group.head.get("OBR")
    name = order.coded(4) if order is not None else ""
    asked = [] if order is None else _asked(order)
    written = [*asked, *(block for block in blocks if block)]
    yield "\n".join([f"## {name}", *written] if name and written else written)
    yield from files


def _asked(order: Segment) -> list[str]:
    """Return a line for each reason that an order gives."""
    said = {number: ", ".join(filter(None, (order.coded(number, at) for at in range(order.count(number)))))
            for number in _ASKED}  # fmt: skip
    return [f"{_ASKED[number]}: {words}" for number, words in said.items() if words]


def _runs(content: Content, segments: Sequence[Segment], named: str) -> Iterator[list[Segment]]:
    """Yield the segments, those that are lines of one observation together."""
    run: list[Segment] = []
    for segment in segments:
        if segment.name == "OBX" and segment.text(11) in _WRONG:
            content.leave_out(f"{named}/OBX-{segment.text(1)}", _WRONG[segment.text(11)])
            continue
        if segment.name in _DELETES and segment.component(_DELETES[segment.name][0], 1) == _DELETES[segment.name][1]:
            content.leave_out(f"{named}/{segment.name}-{segment.text(1)}", "deleted")
            continue
        if run and not _continues(run[-1], segment):
            yield run
            run = []
        run.append(segment)
    if run:
        yield run


def _continues(before: Segment, segment: Segment) -> bool:
    if segment.name != before.name or segment.name != "OBX":
        return segment.name == before.name == "NTE"
    same = segment.raw(3) == before.raw(3) and segment.raw(2) == before.raw(2)
    return same and segment.raw(2) in (*_TEXT, "ST", "ED")


def _block(content: Content, run: Sequence[Segment], place: str) -> str:
    """Return one or several lines: of a report, of a comment, or a result."""
    first = run[0]
    if first.name == "NTE":
        return "\n".join(segment.text(3) for segment in run)
    if first.name in _LINES:
        label, subject, more = _LINES[first.name]
        said = next((value for number in subject if (value := first.coded(number))), "")
        detail = ", ".join(value for number in more if (value := first.coded(number)))
        return f"{label}: {said}" + (f" ({detail})" if detail else "") if said else ""
    if first.raw(2) in _TEXT or len(run) > 1:
        return _report(content, run, place)
    return _result(first)


def _report(content: Content, run: Sequence[Segment], place: str) -> str:
    """Return the lines of a report; where they are RTF, HTML or CDA, its text."""
    from bedside.loaders.content import text_of

    text = "\n".join(segment.text(5) for segment in run)
    if not text.lstrip().lower().startswith(_FILES):
        return text
    with content.part(place):
        return text_of(content.attached(text.lstrip().encode(), place, encoding="utf-8"))
    return ""


def _result(segment: Segment) -> str:
    """Return ``name: value unit (range) flag``."""
    value = _value(segment)
    if not value:
        return ""
    name, unit = segment.coded(3), segment.component(6, 1) or segment.component(6, 2)
    limits, flags = segment.text(7), ", ".join(filter(None, (segment.coded(8, at) for at in range(segment.count(8)))))
    said = [f"{value} {unit}".strip(), f"({limits})" if limits else "", flags]
    return (f"{name}: " if name else "") + " ".join(part for part in said if part)


def _value(segment: Segment) -> str:
    kind = segment.raw(2)
    if kind in ("CE", "CWE", "CNE", "CF", "IS", "ID"):
        values = [segment.coded(5, at) for at in range(segment.count(5))]
    elif kind in ("DT", "TS", "DTM", "TM"):
        values = [time_of(segment.component(5, 1)) if kind != "TM" else segment.component(5, 1)]
    elif kind == "SN":
        values = ["".join(segment.component(5, number) for number in range(1, 5))]
    elif kind in ("", "ST", "NM"):
        values = segment.text(5).split("\n")
    else:
        values = [segment.words(5, at) for at in range(segment.count(5))]
    return ", ".join(value for value in values if value)


def _file(content: Content, segment: Segment, place: str) -> str:
    """Return the text of encapsulated data (ED: source, type, subtype, encoding, data)."""
    from bedside.loaders.content import text_of

    kind, subtype, encoding, data = segment.encapsulated(5)
    if not data.strip():
        content.leave_out(place, "no data in it")
        return ""
    if kind.lower() in ("im", "image", "au", "audio", "video"):
        content.leave_out(place, "a picture or a recording")
        return ""
    with content.part(place):
        media_type = f"{'text' if kind.lower() == 'text' else 'application'}/{subtype}"
        return text_of(content.attached(_unpacked(content, encoding, data), place, media_type=media_type))
    return ""


def _unpacked(content: Content, encoding: str, data: str) -> bytes:
    if encoding.lower() == "hex":
        try:
            return bytes.fromhex(data)
        except ValueError:
            raise content.refused("the data is not hexadecimal") from None
    return data.encode() if encoding.upper() == "A" else from_base64(content, data)


def _facts_of_message(message: Sequence[Segment]) -> dict[str, Any]:
    head = message[0]
    facts = {"message_type": "^".join(filter(None, (head.component(9, 1), head.component(9, 2))))}
    facts["date"] = time_of(head.component(7, 1))
    return _there(facts)


def _facts_of_patient(group: _Group) -> dict[str, Any]:
    patient = group.head.get("PID")
    if patient is None:
        return {}
    name = " ".join(filter(None, (patient.component(5, number) for number in (5, 2, 3, 1, 4))))
    return _there({"subject": patient.component(3, 1) or patient.component(2, 1), "patient": name})


def _facts_of_group(group: _Group, event: str) -> dict[str, Any]:
    order, document = group.head.get("OBR"), group.head.get("TXA")
    facts: dict[str, Any] = {}
    if order is not None:
        facts |= _there({"kind": order.coded(4), "date": time_of(order.component(7, 1)), "status": order.text(25)})
        facts |= _there({"author": order.person(32)})
    if document is not None:
        facts |= _there({"kind": document.coded(2) if "kind" not in facts else facts["kind"]})
        facts |= _there({"date": time_of(document.component(4, 1)), "status": document.text(17)})
        facts |= _there({"author": document.person(9), "document_id": document.identifier(12)})
        facts |= {REPLACES: [id]} if event in _REPLACING and (id := document.identifier(13)) else {}
    return facts


def _there(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if value}
