"""FHIR: the documents of a file of resources, alone, in a Bundle, or one on each line.

Releases STU3 to R5 (https://hl7.org/fhir/documentreference.html, https://hl7.org/fhir/composition.html,
https://hl7.org/fhir/diagnosticreport.html, https://hl7.org/fhir/binary.html).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from bedside.loaders.attachments import richest
from bedside.loaders.fhir_facts import facts_of, is_wrong, name_of
from bedside.loaders.fhir_json import Resource, at, first, key_of, resources_of, string
from bedside.loaders.fhir_lines import LINES, line_of
from bedside.loaders.fhir_texts import Part, attachments_of, composed, file_text, narrative, parts_of
from bedside.loaders.links import REPLACES
from bedside.types import Document

if TYPE_CHECKING:
    from bedside.loaders.content import Content

Resources: TypeAlias = "Callable[[Content], Iterator[tuple[Resource, str]]]"
_DOCUMENTS = ("DocumentReference", "DiagnosticReport", "Composition")
_NAMED = ("Patient", "Practitioner", "PractitionerRole", "Organization", "RelatedPerson", "Device", "Medication")


def documents(content: Content, text: str) -> Iterator[Document]:
    """Yield the documents of a file.

    * ``DocumentReference``: its attachments. What is there in several content types is taken once, the richest.
    * ``DiagnosticReport``: its narrative and conclusion, and each presented form that says more.
    * ``Composition``: its sections under their titles, as one document.
    * ``Binary``: with the resource that refers to it, else by itself.
    * With ``resources``: each coded resource of :data:`bedside.loaders.fhir_lines.LINES` as a short text, and the
      narrative of every other resource that has one.

    What is marked ``entered-in-error`` is left out, and so is what is only linked to, pictures and sound; the report
    says so, and of which resources nothing is read. Metadata: see :func:`bedside.loaders.fhir_facts.facts_of`.
    """
    return documents_among(content, lambda asked: resources_of(asked, text))


def documents_among(content: Content, resources: Resources) -> Iterator[Document]:
    """Yield the documents among resources.

    They are read twice, since a file may stand before or after what refers to it; memory is taken for the texts that
    wait for another part of their document alone.

    Args:
        content: The file.
        resources: Yields them anew each time, and says in the report of what it is given what it cannot read.
    """
    from bedside.loaders.report import LoadReport

    survey = _surveyed(resources(replace(content, report=LoadReport())))
    waiting = {named: _Waiting(missing) for named, missing in survey.missing().items()}
    found, silent = 0, Counter[str]()
    for named, resource, url in _named(resources(content)):
        before, told = found, len(content.report.findings)
        for document in _documents_of(content, survey, waiting, named, resource, url):
            found += bool(document.text.strip())
            yield document
        if found == before and told == len(content.report.findings) and named not in waiting:
            silent[resource["resourceType"]] += _is_read(content, resource["resourceType"])
    if not found:
        kinds = ", ".join(f"{count} {kind}" for kind, count in survey.kinds.most_common(5)) or "none"
        content.leave_out("", f"no documents among its resources ({kinds})")
    elif kinds := ", ".join(f"{count} {kind}" for kind, count in silent.most_common() if count):
        content.leave_out("", f"resources without a text: {kinds}")
    coded = ", ".join(f"{survey.kinds[kind]} {kind}" for kind in LINES if survey.kinds[kind])
    if coded and not content.options.resources:
        content.leave_out("", f"coded resources, which are read with resources=True: {coded}")


def _is_read(content: Content, kind: str) -> bool:
    """Whether a text is looked for in resources of a kind; a Binary is part of what refers to it."""
    return kind in _DOCUMENTS or (content.options.resources and kind not in (*_NAMED, "Binary"))


@dataclass
class _Survey:
    """What a first reading finds.

    Attributes:
        asked: By each address of a file: the names of the resources that refer to it.
        held: The addresses of the files that are there.
        names: Of persons, organizations and medicines by their addresses.
        kinds: The number of resources of each kind.
        documents: The names of those that another may replace by their addresses.
    """

    asked: dict[str, list[str]] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    names: dict[str, str] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    documents: dict[str, str] = field(default_factory=dict)

    def missing(self) -> dict[str, set[str]]:
        """Return by the names of resources the addresses of those of their files that stand by themselves."""
        found: dict[str, set[str]] = {}
        for key in self.asked.keys() & self.held:
            for named in self.asked[key]:
                found.setdefault(named, set()).add(key)
        return found


@dataclass
class _Waiting:
    """A document whose files have not all come.

    Attributes:
        missing: The addresses of those that have not.
        parts: What there is of it.
        facts: Its metadata, as soon as its resource has come.
    """

    missing: set[str]
    parts: list[Part] = field(default_factory=list)
    facts: dict[str, Any] | None = None


def _named(resources: Iterator[tuple[Resource, str]]) -> Iterator[tuple[str, Resource, str]]:
    """Give each resource a name of its own in the file: its id, or its number where it has none."""
    taken: set[str] = set()
    for number, (resource, url) in enumerate(resources, 1):
        named = f"{resource['resourceType']}/{string(resource.get('id')) or number}"
        named = f"{named}.{number}" if named in taken else named
        taken.add(named)
        yield named, resource, url


def _surveyed(resources: Iterator[tuple[Resource, str]]) -> _Survey:
    survey = _Survey()
    for named, resource, url in _named(resources):
        kind, keys = resource["resourceType"], _keys(resource, url)
        survey.kinds[kind] += 1
        if kind == "Binary":
            survey.held |= keys
        elif kind in _NAMED and (name := name_of(resource)):
            survey.names.update(dict.fromkeys(keys, name))
        elif kind in _DOCUMENTS:
            survey.documents.update(dict.fromkeys(keys, named))
        for attachment in () if is_wrong(resource) else attachments_of(resource):
            if link := string(at(attachment, "url")):
                survey.asked.setdefault(key_of(link), []).append(named)
    return survey


def _keys(resource: Resource, url: str) -> set[str]:
    """Return the addresses by which a resource may be referred to."""
    return {f"{resource['resourceType']}/{string(resource.get('id'))}"} | ({key_of(url)} if url else set())


def _documents_of(
    content: Content, survey: _Survey, waiting: dict[str, _Waiting], named: str, resource: Resource, url: str
) -> Iterator[Document]:
    """Yield the documents of one resource, or those that it was the last missing part of."""
    kind = resource["resourceType"]
    if is_wrong(resource):
        content.leave_out(named, "entered in error")
    elif kind == "Binary":
        yield from _file(content, survey, waiting, named, resource, url)
    elif kind in ("DocumentReference", "DiagnosticReport"):
        parts = parts_of(content, resource, named, survey.held)
        facts = _facts(survey, named, resource)
        if named in waiting:
            title = first(*(at(attachment, "title") for attachment in attachments_of(resource)))
            waiting[named].facts = {**facts, **({"title": title} if title else {})}
            waiting[named].parts.extend(parts)
            yield from _complete(content, waiting, named)
        else:
            yield from _joined(content, named, list(parts), facts)
    elif kind == "Composition":
        text, codes = composed(content, resource)
        facts = {**_facts(survey, named, resource), **({"section_codes": codes} if codes else {})}
        yield Document(text, facts, f"{content.id}#{named}")
    elif content.options.resources:
        yield Document(_short(content, resource, survey), _facts(survey, named, resource), f"{content.id}#{named}")


def _facts(survey: _Survey, named: str, resource: Resource) -> dict[str, Any]:
    """Return a resource's metadata, with the names in this file of what it refers to."""
    facts = {"resource": named, **facts_of(resource, survey.names)}
    if REPLACES in facts:
        facts[REPLACES] = [survey.documents.get(key_of(link), link) for link in facts[REPLACES]]
    return facts


def _short(content: Content, resource: Resource, survey: _Survey) -> str:
    """Return a coded resource as a line, with its narrative where a person or a program added something to it."""
    line = line_of(resource, survey.names) if resource["resourceType"] in LINES else ""
    is_same = line and string(at(resource, "text", "status")) in ("generated", "empty")
    texts = [line, "" if is_same else narrative(content, resource)]
    return "\n".join(texts[place] for place in richest(texts))


def _file(
    content: Content, survey: _Survey, waiting: dict[str, _Waiting], named: str, resource: Resource, url: str
) -> Iterator[Document]:
    """Take a Binary to the documents that refer to it, or yield it by itself."""
    keys = _keys(resource, url)
    is_asked = any(key in survey.asked for key in keys)
    asking = [name for key in sorted(keys) for name in survey.asked.pop(key, ()) if name in waiting]  # each asks once
    text = file_text(content, resource, named)
    if not is_asked:
        yield Document(text, {"resource": named}, f"{content.id}#{named}")
    for name in dict.fromkeys(asking):
        waiting[name].missing -= keys
        waiting[name].parts.append(Part(string(resource.get("contentType")), text))
        yield from _complete(content, waiting, name)


def _complete(content: Content, waiting: dict[str, _Waiting], named: str) -> Iterator[Document]:
    """Yield a document whose parts have all come."""
    document = waiting[named]
    if document.facts is not None and not document.missing:
        del waiting[named]
        yield from _joined(content, named, document.parts, document.facts)


def _joined(content: Content, named: str, parts: list[Part], facts: dict[str, Any]) -> Iterator[Document]:
    """Yield the parts that say something of their own."""
    kept = richest([part.text for part in parts], [part.kind for part in parts])
    for number, place in enumerate(kept):
        title = {"title": parts[place].title} if parts[place].title else {}
        yield Document(
            parts[place].text, {**facts, **title}, f"{content.id}#{named}" + (f"/{number}" if number else "")
        )
