"""FHIR's coded resources as short readable texts: results, conditions, medicines, allergies, procedures, answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bedside.loaders.fhir_json import Resource, at, concept, first, key_of, many, string

_Names = Mapping[str, str]


def line_of(resource: Resource, names: _Names) -> str:
    """Return a resource of one of :data:`LINES` as a line, and its notes as lines after it.

    Args:
        resource: The resource.
        names: Of what it refers to, such as medicines, by their addresses.

    Example:
        >>> line_of({"resourceType": "Observation", "code": {"text": "Potassium"}, "status": "final",
        ...          "valueQuantity": {"value": 4.1, "unit": "mmol/L"}, "effectiveDateTime": "2024-03-01"}, {})
        'Potassium: 4.1 mmol/L; 2024-03-01'
    """
    line = LINES[resource["resourceType"]](resource, names)
    notes = [string(at(note, "text")) for note in many(resource.get("note"))]
    return "\n".join(filter(None, (line, *notes))) if line else ""


def _observation(resource: Resource, _: _Names) -> str:
    parts = [_measured(part) for part in many(resource.get("component"))]
    said = _joined(", ", _value(resource), *parts)
    status = string(resource.get("status"))
    unusual = "" if status in ("final", "amended", "corrected") else status
    return _line(concept(resource.get("code")), said, _when(resource, "effective"), unusual)


def _measured(component: Any) -> str:
    name, value = concept(at(component, "code")), _value(component)
    return f"{name} {value}" if value else ""


def _value(measured: Any) -> str:
    """Return a value with its unit, its range and what it means."""
    quantity = at(measured, "valueQuantity")
    interval = at(measured, "valueRange")
    ratio = at(measured, "valueRatio")
    value = first(
        _quantity(quantity),
        concept(at(measured, "valueCodeableConcept")),
        *(at(measured, f"value{kind}") for kind in ("String", "Integer", "Decimal", "Date", "DateTime", "Time", "Uri")),
        *(at(measured, "valueCoding", name) for name in ("display", "code")),
        at(measured, "valueReference", "display"),
        _span(at(measured, "valuePeriod")),
        {"true": "yes", "false": "no"}.get(string(at(measured, "valueBoolean"))),
        _between(at(interval, "low"), at(interval, "high")),
        _joined(" : ", _quantity(at(ratio, "numerator")), _quantity(at(ratio, "denominator"))),
        concept(at(measured, "dataAbsentReason")),
    )
    if not value:
        return ""
    ranges = [
        first(at(item, "text"), _between(at(item, "low"), at(item, "high")))
        for item in many(at(measured, "referenceRange"))
    ]
    meaning = [concept(item) for item in many(at(measured, "interpretation"))]
    limits = _joined(", ", *ranges)
    return _joined(" ", value, f"({limits})" if limits else "", *meaning)


def _condition(resource: Resource, _: _Names) -> str:
    states = [_state(resource, name) for name in ("clinicalStatus", "verificationStatus", "severity")]
    ended = _when(resource, "abatement")
    times = [_after("since ", _when(resource, "onset")), _after("until ", ended)]
    return _line("Condition", _denied(concept(resource.get("code")), is_refuted(resource)), *states, *times)


def is_refuted(resource: Resource) -> bool:
    """Whether it says of a condition or an allergy that the patient has none."""
    stated = resource.get("verificationStatus")
    return "refuted" in (stated, *(at(coding, "code") for coding in many(at(stated, "coding"))))


def _denied(said: str, is_denied: bool) -> str:
    """Return what is said as a search understands that it is not so: a status after it is no denial."""
    return f"no {said}" if said and is_denied else said


def _state(resource: Resource, name: str) -> str:
    """Return a status in words; it was a plain code until release 3."""
    return first(concept(resource.get(name)), resource.get(name))


_NEVER = {
    ("doNotPerform", "true"): "not to be given",
    ("taken", "n"): "not taken",  # until release 3, as the next
    ("notGiven", "true"): "not given",
}
"""What says that a medicine is not given, beside the status."""


def _medication(resource: Resource, names: _Names) -> str:
    referred = first(
        at(resource, "medicationReference", "reference"), at(resource, "medication", "reference", "reference")
    )
    inside = next((i for i in many(resource.get("contained")) if referred == f"#{string(at(i, 'id'))}"), None)
    medicine = first(
        concept(resource.get("medicationCodeableConcept")),
        concept(at(resource, "medication", "concept")),
        at(resource, "medicationReference", "display"),
        concept(at(inside, "code")),
        names.get(key_of(referred)),
    )
    doses = [_dose(dose) for name in ("dosageInstruction", "dosage") for dose in many(resource.get(name))]
    status = string(resource.get("status"))
    never = _joined("; ", *(words for (name, value), words in _NEVER.items() if string(resource.get(name)) == value))
    # Release 5 spells it so.
    times = first(resource.get("authoredOn"), _when(resource, "effective"), _when(resource, "occurence"))
    said = [
        never,
        status,
        string(resource.get("intent")),
        first(times, resource.get("whenHandedOver"), resource.get("dateAsserted")),
    ]
    given = _joined(", ", _denied(medicine, bool(never) or status in ("not-taken", "not-done")), *doses)
    return _line("Medication", given, *said, _reasons(resource))


def _reasons(resource: Resource) -> str:
    said = [concept(_present(at(item, "concept"), item)) for item in many(resource.get("reasonCode"))]
    return _after("for ", _joined(", ", *said))


def _dose(dose: Any) -> str:
    """Return an instruction in its own words, else as amount, way and times."""
    if text := first(at(dose, "text"), at(dose, "patientInstruction")):
        return text
    amount = _quantity(_present(at(dose, "doseAndRate", 0, "doseQuantity"), at(dose, "doseQuantity"), at(dose, "dose")))
    repeat = at(dose, "timing", "repeat")
    often = _joined(" ", string(at(repeat, "frequency")), _after("times in ", _joined(" ", *_period(repeat))))
    needed = "as needed" if string(at(dose, "asNeededBoolean")) == "true" else ""
    return _joined(" ", amount, concept(at(dose, "route")), concept(at(dose, "timing", "code")) or often, needed)


def _period(repeat: Any) -> list[str]:
    return [string(at(repeat, "period")), string(at(repeat, "periodUnit"))] if at(repeat, "frequency") else []


def _present(*values: Any) -> Any:
    """Return the first value that is there."""
    return next((value for value in values if value is not None), None)


def _allergy(resource: Resource, _: _Names) -> str:
    reactions = [_reaction(reaction) for reaction in many(resource.get("reaction"))]
    states = [_state(resource, name) for name in ("clinicalStatus", "verificationStatus")]
    kind = string(resource.get("type"))
    risk = _after("criticality ", string(resource.get("criticality")))
    label = "Intolerance" if kind == "intolerance" else "Allergy"
    return _line(
        label,
        _denied(concept(resource.get("code")), is_refuted(resource)),
        _joined(", ", *reactions),
        risk,
        *states,
        _when(resource, "onset"),
    )


def _reaction(reaction: Any) -> str:
    signs = [concept(_present(at(sign, "concept"), sign)) for sign in many(at(reaction, "manifestation"))]
    said = first(_joined(", ", *signs), at(reaction, "description"))
    severity = string(at(reaction, "severity"))
    return f"{said} ({severity})" if said and severity else said


def _procedure(resource: Resource, _: _Names) -> str:
    sites = [concept(site) for site in many(resource.get("bodySite"))]
    results = [concept(resource.get("outcome")), *(concept(item) for item in many(resource.get("complication")))]
    when = _when(resource, "performed") or _when(resource, "occurrence")
    status = string(resource.get("status"))
    return _line(
        "Procedure",
        _joined(", ", _denied(concept(resource.get("code")), status == "not-done"), *sites),
        status,
        when,
        *results,
    )


def _immunization(resource: Resource, _: _Names) -> str:
    vaccine, status = concept(resource.get("vaccineCode")), string(resource.get("status"))
    why_not = concept(resource.get("statusReason"))
    return _line(
        "Immunization",
        _denied(vaccine, status == "not-done"),
        status,
        why_not,
        _when(resource, "occurrence"),
        _reasons(resource),
    )


def _family(resource: Resource, _: _Names) -> str:
    conditions = _joined(", ", *(concept(at(item, "code")) for item in many(resource.get("condition"))))
    relative = concept(resource.get("relationship"))
    return _line("Family history", _joined(": ", relative, conditions) if conditions else "")


def _answers(resource: Resource, _: _Names) -> str:
    """Return a line for each question that was answered, and for each title above some."""
    return "\n".join(_answered(resource))


def _answered(item: Any) -> list[str]:
    lines: list[str] = []
    for inner in many(at(item, "item")):
        answers = many(at(inner, "answer"))
        below = [line for held in (inner, *answers) for line in _answered(held)]
        said, question = _joined(", ", *map(_value, answers)), first(at(inner, "text"), at(inner, "linkId"))
        lines += [f"{question}: {said}" if said else question] if said or below else []
        lines += below
    return lines


LINES: Mapping[str, Callable[[Resource, _Names], str]] = {
    "Observation": _observation,
    "Condition": _condition,
    "MedicationRequest": _medication,
    "MedicationStatement": _medication,
    "MedicationAdministration": _medication,
    "MedicationDispense": _medication,
    "Immunization": _immunization,
    "FamilyMemberHistory": _family,
    "QuestionnaireResponse": _answers,
    "AllergyIntolerance": _allergy,
    "Procedure": _procedure,
}
"""What makes a line of each kind of resource."""


def _when(resource: Resource, name: str) -> str:
    """Return a date, a period, an age or words, whichever there is of a name."""
    age = _quantity(resource.get(f"{name}Age"))
    return first(
        resource.get(f"{name}DateTime"),
        _span(resource.get(f"{name}Period")),
        f"age {age}" if age else "",
        resource.get(f"{name}String"),
    )


def _span(period: Any) -> str:
    return _joined(" to ", string(at(period, "start")), string(at(period, "end")))


def _quantity(quantity: Any) -> str:
    number = f"{string(at(quantity, 'comparator'))}{string(at(quantity, 'value'))}"
    return _joined(" ", number, first(at(quantity, "unit"), at(quantity, "code"))) if number else ""


def _between(low: Any, high: Any) -> str:
    least, most = _quantity(low), _quantity(high)
    return f"{least} to {most}" if least and most else _after("at least ", least) or _after("at most ", most)


def _line(label: str, said: str, *more: str) -> str:
    """Return ``label: said; more; more``; nothing where nothing is said."""
    return _joined("; ", f"{label}: {said}" if label else said, *dict.fromkeys(more)) if said else ""


def _joined(separator: str, *parts: str) -> str:
    return separator.join(part for part in parts if part)


def _after(words: str, said: str) -> str:
    return words + said if said else ""
