"""FHIR's documents come whole, each once, whatever holds them; one that cannot be read takes no other along."""

from __future__ import annotations

import base64
import json

import pytest

from bedside import Collection, Document
from bedside.errors import UnreadableFileError
from bedside.loaders import LoadReport, content, load, read

LOINC = "http://loinc.org"


def packed(data: str | bytes) -> str:
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def attached(data: str | bytes, kind: str = "text/plain", **fields) -> dict:
    return {"contentType": kind, "data": packed(data), **fields}


def reference(*attachments: dict, id: str = "d", **fields) -> dict:
    held = [{"attachment": attachment} for attachment in attachments]
    return {"resourceType": "DocumentReference", "id": id, "status": "current", "content": held, **fields}


def bundle(*resources: dict, **fields) -> dict:
    return {"resourceType": "Bundle", "entry": [{"resource": resource} for resource in resources], **fields}


def div(text: str) -> dict:
    return {"status": "additional", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{text}</div>'}


def coded(text: str, code: str = "") -> dict:
    return {"text": text, "coding": [{"system": LOINC, "code": code, "display": "by its code"}] if code else []}


def found(value: object, **options) -> list[tuple[str, str]]:
    documents = read(json.dumps(value).encode(), "a.json", **options)
    return [(str(document.id).removeprefix("a.json#"), document.text) for document in documents]


# -- documents ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "xml"])
def test_a_composition_is_its_sections_under_their_titles_with_what_it_says_of_itself(form):
    plan = {"title": "Plan", "code": coded("", "18776-5"), "text": div("<p>Rest &amp; walk<br/>10<sup>9</sup>/L</p>")}
    exam = {"title": "Exam", "text": div("<p>Well.</p>"), "section": [{"code": coded("Lungs"), "text": div("Clear.")}]}
    none = {"title": "Allergies", "emptyReason": {"text": "Not asked"}}
    value = bundle(
        {
            "resourceType": "Composition", "id": "c", "status": "final", "date": "2024-03-01",
            "type": coded("", "18842-5"),
            "title": "Letter", "subject": {"reference": "Patient/p"}, "author": [{"reference": "Practitioner/w"}],
            "relatesTo": [{"code": "replaces", "targetReference": {"reference": "Composition/b"}}],
            "section": [plan, exam, none],
        },
        {"resourceType": "Patient", "id": "p", "name": [{"given": ["Ann", "M."], "family": "Lee"}]},
        {"resourceType": "Practitioner", "id": "w", "name": [{"text": "Dr. Who"}]},
    )  # fmt: skip
    data = as_xml(value) if form == "xml" else json.dumps(value).encode()
    (document,) = read(data, "a")
    assert document.text == (
        "## Plan\n\nRest & walk\n10⁹/L\n\n## Exam\n\nWell.\n\n### Lungs\n\nClear.\n\n## Allergies\n\n(Not asked)"
    )
    assert (document.id, document.metadata) == (
        "a#Composition/c",
        {
            "source": "a", "type": "fhir", "resource": "Composition/c", "title": "Letter", "status": "final",
            "date": "2024-03-01", "subject": "Patient/p", "patient": "Ann M. Lee", "author": "Dr. Who",
            "kind": "by its code", "loinc": "18842-5", "replaces": ["Composition/b"],
            "section_codes": {"Plan": "18776-5"},
        },
    )  # fmt: skip


def as_xml(value: dict) -> bytes:
    """The same in XML, by the rules of https://hl7.org/fhir/xml.html."""

    def element(name: str, value: object) -> str:
        if isinstance(value, list):
            return "".join(element(name, item) for item in value)
        if name == "div":
            return str(value)
        if isinstance(value, dict):
            inner = "".join(element(key, item) for key, item in value.items() if key != "resourceType")
            kind = value.get("resourceType")
            return f"<{name}><{kind}>{inner}</{kind}></{name}>" if kind else f"<{name}>{inner}</{name}>"
        written = str(value).replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
        return f'<{name} value="{written}"/>'

    inner = "".join(element(key, item) for key, item in value.items() if key != "resourceType")
    kind = value["resourceType"]
    return f'<?xml version="1.0"?><!-- a --><{kind} xmlns="http://hl7.org/fhir">{inner}</{kind}>'.encode()


def test_a_report_is_its_narrative_its_conclusion_and_its_forms_each_where_it_says_more():
    report = {"resourceType": "DiagnosticReport", "id": "r", "code": {"text": "CXR"}, "conclusion": "Pneumonia."}
    form = attached("Opacity in the right lower lobe.", title="Form")
    told = {**report, "text": div("Heart of normal size."), "presentedForm": [form]}
    assert found(told) == [
        ("DiagnosticReport/r", "Opacity in the right lower lobe."),
        ("DiagnosticReport/r/1", "Heart of normal size.\n\n## Conclusion\nPneumonia."),
    ]
    assert found({**report, "text": div("Clear: Pneumonia.")}) == [("DiagnosticReport/r", "Clear: Pneumonia.")]
    assert found({**report, "conclusionCode": [{"text": "Effusion"}]}) == [
        ("DiagnosticReport/r", "Pneumonia.\nEffusion")
    ]


LETTER = "Cough for three days. Plan: rest at home and walk daily, come again in two weeks."


def test_alternates_of_one_document_are_taken_once_the_richest_and_what_differs_is_kept():
    page, rtf = f"<p>{LETTER}</p><p>Dr. Who</p>", rf"{{\rtf1 {LETTER}}}"
    alternates = [attached(LETTER), attached(page, "text/html"), attached(rtf, "application/rtf")]
    for order in (alternates, alternates[::-1]):
        assert found(reference(*order)) == [("DocumentReference/d", f"{LETTER}\n\nDr. Who")]
    other = attached("<p>Another letter altogether.</p>", "text/html")
    assert [text for _, text in found(reference(alternates[0], other))] == [LETTER, "Another letter altogether."]
    assert [text for _, text in found(reference(attached("Page 1"), attached("Page 1")))] == ["Page 1", "Page 1"]


def test_a_binary_is_read_with_what_refers_to_it_wherever_it_stands_and_alone_where_nothing_does():
    value = bundle(
        {"resourceType": "Binary", "id": "1", "contentType": "text/plain", "data": packed("First.")},
        reference({"url": "Binary/1", "title": "T"}, id="a", date="2024-03-01"),
        reference({"url": "https://x.test/fhir/Binary/2/_history/1"}, attached("Inline.", "text/html"), id="b"),
        {"resourceType": "Binary", "id": "2", "contentType": "text/plain", "data": packed("Second.")},
        {"resourceType": "Binary", "id": "3", "contentType": "text/plain", "data": packed("Alone.")},
    )
    value["entry"].append({"fullUrl": "urn:uuid:4", "resource": {"resourceType": "Binary", "data": packed("By uuid.")}})
    value["entry"].append({"resource": reference({"url": "urn:uuid:4"}, id="c")})
    assert sorted(found(value)) == [
        ("Binary/3", "Alone."), ("DocumentReference/a", "First."), ("DocumentReference/b", "Inline."),
        ("DocumentReference/b/1", "Second."), ("DocumentReference/c", "By uuid."),
    ]  # fmt: skip
    lines = "\n".join(json.dumps(entry["resource"]) for entry in value["entry"][:5])
    facts = {document.id: document.metadata for document in read(lines.encode(), "a.ndjson")}
    assert facts["a.ndjson#DocumentReference/a"]["date"] == "2024-03-01"
    assert facts["a.ndjson#DocumentReference/a"]["title"] == "T"


def test_a_binary_within_its_resource_and_data_in_an_address_are_read():
    inner = {"resourceType": "Binary", "id": "x", "contentType": "text/html", "data": packed("<p>Rest &amp; walk</p>")}
    assert found(reference({"url": "#x"}, contained=[inner])) == [("DocumentReference/d", "Rest & walk")]
    assert found(reference({"url": f"data:text/plain;base64,{packed('Rest.')}"})) == [("DocumentReference/d", "Rest.")]


@pytest.mark.parametrize(
    ("relation", "wanted"),
    [
        ({"code": "replaces", "target": {"reference": "DocumentReference/1"}}, ["DocumentReference/1"]),
        ({"code": {"coding": [{"code": "replaces"}]}, "target": {"identifier": {"value": "x-1"}}}, ["x-1"]),
        ({"type": "replaces", "resourceReference": {"reference": "Composition/1"}}, ["Composition/1"]),
        ({"code": "replaces", "targetIdentifier": {"value": "y"}}, ["y"]),
        ({"code": "appends", "target": {"reference": "DocumentReference/1"}}, None),
        ("replaces", None),
    ],
)
def test_what_a_document_replaces_is_in_its_metadata(relation, wanted):
    (document,) = read(json.dumps(reference(attached("x"), relatesTo=[relation])).encode(), "a")
    assert document.metadata.get("replaces") == wanted


# -- coded resources ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "fields", "line"),
    [
        (
            "Observation",
            '{"status":"final","code":{"text":"Potassium"},"valueQuantity":{"value":4.10,"unit":"mmol/L"},'
            '"referenceRange":[{"low":{"value":3.5},"high":{"value":5.0}}],"interpretation":[{"text":"normal"}],'
            '"effectiveDateTime":"2024-03-01","note":[{"text":"Hemolysed?"}]}',
            "Potassium: 4.10 mmol/L (3.5 to 5.0) normal; 2024-03-01\nHemolysed?",
        ),
        (
            "Observation",
            '{"status":"preliminary","code":{"text":"BP"},"component":[{"code":{"text":"systolic"},"valueQuantity":'
            '{"value":120,"unit":"mmHg"}},{"code":{"text":"diastolic"},"dataAbsentReason":{"text":"not done"}}]}',
            "BP: systolic 120 mmHg, diastolic not done; preliminary",
        ),
        ("Observation", '{"status":"final","code":{"text":"Smoker"},"valueBoolean":false}', "Smoker: no"),
        (
            "Condition",
            '{"code":{"text":"Asthma"},"clinicalStatus":{"coding":[{"code":"active"}]},"verificationStatus":{"coding":'
            '[{"code":"refuted"}]},"onsetDateTime":"2010"}',
            "Condition: no Asthma; active; refuted; since 2010",
        ),
        (
            "MedicationRequest",
            '{"status":"stopped","intent":"order","medicationReference":{"reference":"#m"},"contained":[{"resourceType":'
            '"Medication","id":"m","code":{"text":"Metformin 500 mg"}}],"dosageInstruction":[{"text":"1 tablet bid"}],'
            '"authoredOn":"2024-03-01","reasonCode":[{"text":"diabetes"}]}',
            "Medication: Metformin 500 mg, 1 tablet bid; stopped; order; 2024-03-01; for diabetes",
        ),
        (
            "MedicationRequest",
            '{"status":"active","doNotPerform":true,"medicationCodeableConcept":{"text":"Aspirin"},"dosageInstruction":'
            '[{"doseAndRate":[{"doseQuantity":{"value":100,"unit":"mg"}}],"route":{"text":"oral"},"timing":{"repeat":'
            '{"frequency":2,"period":1,"periodUnit":"d"}},"asNeededBoolean":true}]}',
            "Medication: no Aspirin, 100 mg oral 2 times in 1 d as needed; not to be given; active",
        ),
        (
            "AllergyIntolerance",
            '{"code":{"text":"Penicillin"},"criticality":"high","reaction":[{"manifestation":[{"text":"Hives"}],'
            '"severity":"severe"}],"clinicalStatus":{"text":"active"}}',
            "Allergy: Penicillin; Hives (severe); criticality high; active",
        ),
        (
            "Procedure",
            '{"status":"not-done","code":{"text":"Appendectomy"},"performedPeriod":{"start":"2024-03-01"}}',
            "Procedure: no Appendectomy; not-done; 2024-03-01",
        ),
        (
            "MedicationStatement",
            '{"status":"not-taken","medicationCodeableConcept":{"text":"Warfarin"},"effectivePeriod":{"start":"2024"},'
            '"dosage":[{"doseAndRate":[{"doseQuantity":{"value":5,"unit":"mg"}}],"route":{"text":"oral"}}]}',
            "Medication: no Warfarin, 5 mg oral; not-taken; 2024",
        ),
        (
            "MedicationAdministration",
            '{"status":"completed","medicationCodeableConcept":{"text":"Heparin"},"effectiveDateTime":"2024-03-01",'
            '"dosage":{"dose":{"value":5000,"unit":"IU"},"route":{"text":"subcutaneous"}}}',
            "Medication: Heparin, 5000 IU subcutaneous; completed; 2024-03-01",
        ),
        (
            "Immunization",
            '{"status":"not-done","vaccineCode":{"text":"MMR"},"statusReason":{"text":"refused"},'
            '"occurrenceDateTime":"2024-03"}',
            "Immunization: no MMR; not-done; refused; 2024-03",
        ),
        (
            "FamilyMemberHistory",
            '{"relationship":{"text":"Mother"},"condition":[{"code":{"text":"Breast cancer"}},'
            '{"code":{"text":"Gout"}}]}',
            "Family history: Mother: Breast cancer, Gout",
        ),
        (
            "QuestionnaireResponse",
            '{"item":[{"text":"Smoker?","answer":[{"valueBoolean":false}]},{"text":"Asked later"},'
            '{"text":"Pain","item":[{"text":"Score","answer":[{"valueInteger":7,"item":[{"text":"Where","answer":[{"valueCoding":'
            '{"display":"left hip"}}]}]}]}]}]}',
            "Smoker?: no\nPain\nScore: 7\nWhere: left hip",
        ),
        (
            "AllergyIntolerance",
            '{"code":{"text":"Penicillin"},"clinicalStatus":"inactive","verificationStatus":"refuted"}',
            "Allergy: no Penicillin; inactive; refuted",
        ),
        ("CarePlan", '{"text":{"div":"<div><p>Walk daily.</p></div>"}}', "Walk daily."),
        (
            "Condition",
            '{"code":{"text":"Asthma"},"text":{"status":"additional","div":"<div>Worse at night.</div>"}}',
            "Condition: Asthma\nWorse at night.",
        ),
        (
            "Condition",
            '{"code":{"text":"Asthma"},"text":{"status":"generated","div":"<div>Details: code Asthma</div>"}}',
            "Condition: Asthma",
        ),
    ],
)
def test_a_coded_resource_is_a_short_text_where_it_is_asked_for(kind, fields, line):
    data = f'{{"resourceType":"{kind}","id":"1",{fields[1:]}'.encode()
    (document,) = read(data, "a.json", resources=True)
    assert (document.id, document.text) == (f"a.json#{kind}/1", line)
    assert list(read(data, "a.json", report=(report := LoadReport()))) == []
    assert f"no documents among its resources (1 {kind}" in report.findings[0].reason
    assert (f"1 {kind}" in report.findings[-1].reason) and (kind == "CarePlan") == (len(report.findings) == 1)


@pytest.mark.parametrize(
    ("kind", "fields", "asked"),
    [
        ("Condition", {"code": {"text": "Asthma"}, "verificationStatus": {"coding": [{"code": "refuted"}]}}, "asthma"),
        ("AllergyIntolerance", {"code": {"text": "Penicillin"}, "verificationStatus": "refuted"}, "penicillin"),
        ("Procedure", {"code": {"text": "Colonoscopy"}, "status": "not-done"}, "colonoscopy"),
        ("Immunization", {"vaccineCode": {"text": "MMR"}, "status": "not-done"}, "MMR"),
        ("MedicationStatement", {"medicationCodeableConcept": {"text": "Warfarin"}, "taken": "n"}, "warfarin"),
    ],
)
def test_what_a_resource_denies_is_not_found_as_present(kind, fields, asked):
    value = {"resourceType": kind, "id": "1", **fields}
    notes = Collection.open()
    notes.add([Document(text, id=id) for id, text in found(value, resources=True)])
    assert len(notes) == 1
    assert notes.search(asked, mode="sparse", assertion="only") == []


def test_what_release_3_marks_as_entered_in_error_is_no_note():
    wrong = {"resourceType": "Condition", "code": {"text": "Asthma"}, "verificationStatus": "entered-in-error"}
    assert found(wrong, resources=True, report=LoadReport()) == []


@pytest.mark.parametrize("resources", [False, True])
def test_resources_that_gave_no_text_beside_others_that_did_are_counted_in_the_report(resources):
    empty = [{"resourceType": kind, "id": "1"} for kind in ("DiagnosticReport", "Encounter", "CarePlan", "Patient")]
    value = bundle(reference(attached("Rest.")), *empty, {**empty[1], "id": "2"})
    report = LoadReport()
    assert len(found(value, resources=resources, report=report)) == 1
    (finding,) = report.findings
    assert finding.outcome == "left out"
    more = ", 2 Encounter, 1 CarePlan" if resources else ""
    counted = sorted(finding.reason.removeprefix("resources without a text: ").split(", "))
    assert counted == sorted(f"1 DiagnosticReport{more}".split(", "))


def test_what_was_entered_in_error_is_never_a_note():
    wrong = {"coding": [{"code": "entered-in-error"}]}
    value = [
        {
            "resourceType": "Observation",
            "id": "1",
            "status": "entered-in-error",
            "code": {"text": "K"},
            "valueString": "x",
        },
        {"resourceType": "Condition", "id": "2", "verificationStatus": wrong, "code": {"text": "Cancer"}},
        reference(attached("Wrong."), id="3", docStatus="entered-in-error"),
        {"resourceType": "Composition", "id": "4", "status": "entered-in-error", "text": div("Wrong.")},
    ]
    assert found(value, resources=True, report=(report := LoadReport())) == []
    assert [finding.part for finding in report.findings[:4]] == [
        "Observation/1", "Condition/2", "DocumentReference/3", "Composition/4",
    ]  # fmt: skip


# -- what cannot be read -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "reason", "outcome"),
    [
        (attached(b"%PDF-1.7 damaged", "application/pdf"), "a damaged PDF", "refused"),
        (attached(b"\x81", "text/plain; charset=klingon"), "not a known text encoding", "refused"),
        ({"contentType": "text/plain", "data": "e!!A"}, "not base64", "refused"),
        (attached(b"\x89PNG", "image/png"), "a picture", "left out"),
        ({"url": "https://x.test/a.pdf"}, "only linked to", "left out"),
    ],
)
def test_what_cannot_be_read_is_named_and_takes_no_other_along(bad, reason, outcome):
    value = bundle(reference(attached("One."), id="1"), reference(bad, id="2"), reference(attached("Three."), id="3"))
    for data in (json.dumps(value).encode(), "\n".join(json.dumps(e["resource"]) for e in value["entry"]).encode()):
        documents = list(read(data, "a.json", report=(report := LoadReport())))
        assert [document.text for document in documents] == ["One.", "Three."]
        assert [(finding.part, finding.outcome) for finding in report.findings] == [("DocumentReference/2", outcome)]
        assert reason in report.findings[0].reason


def test_a_damaged_line_among_others_is_named_and_one_at_the_beginning_refuses_the_file():
    line = json.dumps(reference(attached("x")))
    data = f'{line}\n{{"resourceType": \n\n{line}\n'.encode()
    documents = list(read(data, "a.ndjson", report=(report := LoadReport())))
    assert [document.id for document in documents] == ["a.ndjson#DocumentReference/d", "a.ndjson#DocumentReference/d.2"]
    assert [finding.part for finding in report.findings] == ["line 2"]
    with pytest.raises(UnreadableFileError, match="line 2: damaged JSON"):
        list(read(data, "a.ndjson", strict=True))
    with pytest.raises(UnreadableFileError, match=r"a\.json: damaged JSON, line 2"):
        list(read(b'{"resourceType": "Bundle", "entry": [\n' + line.encode(), "a.json"))


@pytest.mark.parametrize("entry", ["x", {"text": "x"}, {"resourceType": 5}, 7])
def test_what_is_no_resource_among_resources_is_said(entry):
    documents = list(
        read(json.dumps([reference(attached("x")), entry]).encode(), "a.json", report=(report := LoadReport()))
    )
    assert len(documents) == 1
    assert "without resourceType" in report.findings[0].reason


def test_xml_that_declares_entities_or_is_nested_without_end_is_refused():
    entity = b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><Bundle xmlns="http://hl7.org/fhir">&b;</Bundle>'
    deep = b'<Bundle xmlns="http://hl7.org/fhir">' + b"<a>" * 5_000 + b"</a>" * 5_000 + b"</Bundle>"
    for data, reason in ((entity, "declares entities"), (deep, "over 200 elements")):
        with pytest.raises(UnreadableFileError, match=reason):
            list(read(data, "a.xml"))


# -- large files -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["ndjson", "bundle", "list"])
def test_a_file_too_large_for_memory_is_read_resource_by_resource_with_the_same_result(form, tmp_path, monkeypatch):
    resources = [
        reference({"url": "Binary/1"}, id="a", subject={"reference": "Patient/p"}),
        *(reference(attached(f"Note {number}."), id=str(number)) for number in range(20)),
        {"resourceType": "Binary", "id": "1", "contentType": "text/plain", "data": packed("From afar.")},
        {"resourceType": "Observation", "id": "o", "code": {"text": "K"}, "valueQuantity": {"value": 4.1}},
        {"resourceType": "Patient", "id": "p", "name": [{"text": "Ann Lee"}]},
    ]
    value = bundle(*resources) if form == "bundle" else resources
    lines = "\n".join(map(json.dumps, resources))
    (tmp_path / "a.json").write_text(lines if form == "ndjson" else json.dumps(value, indent=1))
    whole = list(load(tmp_path / "a.json", resources=True))
    monkeypatch.setattr("bedside.loaders.MAX_BYTES", 1_000)
    assert list(load(tmp_path / "a.json", resources=True)) == whole
    assert len(whole) == 22
    assert {"Ann Lee"} == {document.metadata["patient"] for document in whole if "patient" in document.metadata}


def test_a_large_file_that_is_damaged_is_read_as_far_as_it_goes_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr("bedside.loaders.MAX_BYTES", 1_000)
    value = bundle(*(reference(attached(f"Note {number}."), id=str(number)) for number in range(20)))
    (tmp_path / "a.json").write_text(json.dumps(value, indent=1)[:-300])
    (tmp_path / "b.txt").write_text("x" * 2_000)
    documents = list(load(tmp_path, report=(report := LoadReport())))
    assert 10 < len(documents) < 20
    assert [finding.file for finding in report.findings] == ["a.json", "b.txt"]
    assert "the rest is not read" in report.findings[0].reason


def test_a_line_that_is_too_long_takes_no_other_along(tmp_path, monkeypatch):
    monkeypatch.setattr("bedside.loaders.MAX_BYTES", 1_000)
    monkeypatch.setattr("bedside.loaders.fhir_stream.MAX_LINE", 1_500)
    lines = [json.dumps(reference(attached("x" * size), id=str(size))) for size in (10, 5_000, 20)]
    (tmp_path / "a.ndjson").write_text("\n".join(lines))
    documents = list(load(tmp_path / "a.ndjson", report=(report := LoadReport())))
    assert [len(document.text) for document in documents] == [10, 20]
    assert [finding.part for finding in report.findings] == ["line 2"]


def test_an_attachment_larger_than_a_file_may_be_is_named(monkeypatch):
    monkeypatch.setattr(content, "MAX_BYTES", 100)
    value = bundle(reference(attached("x" * 200), id="1"), reference(attached("Rest."), id="2"))
    assert found(value, report=(report := LoadReport())) == [("DocumentReference/2", "Rest.")]
    assert [finding.part for finding in report.findings] == ["DocumentReference/1"]
