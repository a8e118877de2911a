"""What FHIR says about a document: whose, when, by whom, of what kind, in place of which other one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bedside.loaders.fhir_json import LOINC, Resource, at, code_of, concept, first, key_of, many, string
from bedside.loaders.links import REPLACES

_WRONG = "entered-in-error"
_DATES = (
    *("date", "effectiveDateTime", "issued", "authoredOn", "recordedDate", "performedDateTime", "occurrenceDateTime"),
    *("onsetDateTime", "created", "sent"),
)


def facts_of(resource: Resource, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the metadata of a resource, as far as it is there.

    ``title``, ``status``, ``date`` (of the content before that of its recording), ``subject`` (the reference, such as
    ``Patient/7``), ``patient`` (a name), ``author``, ``kind`` and ``loinc`` (of the kind of document), ``document_id``
    (its identifier, the version's own before others), ``replaces``: references to the documents that it replaces, or
    their identifiers.

    Args:
        resource: The resource.
        names: Of those it refers to, by their addresses.
    """
    subject = first(at(resource, "subject", "reference"), at(resource, "patient", "reference"))
    kind = resource.get("type") or resource.get("code")
    authors = many(resource.get("author")) or many(resource.get("resultsInterpreter"))
    facts = {
        "title": first(resource.get("title"), resource.get("description")),
        "status": string(resource.get("status")),
        "date": first(*(resource.get(name) for name in _DATES), *_begins(resource)),
        "subject": subject,
        "patient": _named(at(resource, "subject") or at(resource, "patient"), names),
        "author": "; ".join(dict.fromkeys(filter(None, (_named(author, names) for author in authors)))),
        "kind": concept(kind),
        "loinc": code_of(kind, LOINC),
        "document_id": first(
            *map(_identifier, many(resource.get("masterIdentifier")) + many(resource.get("identifier")))
        ),
        REPLACES: list(dict.fromkeys(filter(None, map(_replaced, many(resource.get("relatesTo")))))),
    }
    return {key: value for key, value in facts.items() if value}


def is_wrong(resource: Resource) -> bool:
    """Whether a resource is marked as entered in error."""
    codings = many(at(resource, "verificationStatus", "coding"))
    own = (resource.get(name) for name in ("status", "docStatus", "verificationStatus"))  # the last until release 3
    said = [*own, *(at(coding, "code") for coding in codings)]
    return _WRONG in said


def name_of(resource: Resource) -> str:
    """Return what a person, an organization, a device or a medicine is called."""
    name = resource.get("name")
    if isinstance(name, str):
        return name.strip()
    human = next((one for one in many(name) if isinstance(one, dict)), None)
    if human is not None:
        parts = [*many(human.get("prefix")), *many(human.get("given")), human.get("family"), *many(human.get("suffix"))]
        return first(human.get("text"), " ".join(filter(None, map(string, parts))))
    return first(
        concept(resource.get("code")), at(resource, "deviceName", 0, "name"), at(resource, "practitioner", "display")
    )


def _named(reference: Any, names: Mapping[str, str]) -> str:
    return first(at(reference, "display"), names.get(key_of(string(at(reference, "reference")))))


def _begins(resource: Resource) -> list[Any]:
    return [at(resource, name, "start") for name in ("effectivePeriod", "performedPeriod", "occurrencePeriod")]


def _replaced(relation: Any) -> str:
    """Return what a relation says is replaced; empty where it is another relation. R5 has code as a concept."""
    code = at(relation, "code")
    if first(code, at(code, "coding", 0, "code"), at(relation, "type")) != "replaces":
        return ""
    targets = [at(relation, name) for name in ("target", "targetReference", "resourceReference")]
    found = first(*(at(target, "reference") for target in targets), _identifier(at(relation, "targetIdentifier")))
    return found or first(*(_identifier(at(target, "identifier")) for target in targets))


def _identifier(identifier: Any) -> str:
    """Return an identifier as FHIR writes it in one string: the system that gave it, a bar, the value."""
    return "|".join(filter(None, (string(at(identifier, name)) for name in ("system", "value"))))
