"""Whatever bytes come, of every format: notes, or one named error; no other failure, and no file written."""

from __future__ import annotations

import base64
import io
import json
import sys
import zipfile
from email.message import EmailMessage

import openpyxl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bedside import Collection
from bedside.errors import MissingExtraError, UnreadableFileError
from bedside.loaders import LoadReport, read

LETTER = "HPI: Cough for three days, 38.5 °C.\nPLAN: Rest at home."


def packed(parts: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return out.getvalue()


def a_mail() -> bytes:
    message = EmailMessage()
    message["From"], message["Subject"], message["Message-ID"] = "a@x.test", "Größe", "<1@x.test>"
    message.set_content(LETTER)
    message.add_alternative(f"<p>{LETTER}</p>", subtype="html")
    message.add_attachment(rb"{\rtf1 Walk}", maintype="application", subtype="rtf", filename="a.rtf")
    message.set_boundary("b")  # the same bytes each time
    return message.as_bytes()


def a_book() -> bytes:
    made, out = openpyxl.Workbook(), io.BytesIO()
    for row in (["id", "text"], ["a", "Cough for days"], ["b", "Rest at home"]):
        made.active.append(row)
    made.save(out)
    return out.getvalue()


def a_cda() -> bytes:
    text = (
        "<table><tr><td>K</td><td>4.1</td></tr></table><list><item>Rest</item></list><content>x</content>10<sup>9</sup>"
    )
    section = f'<section><code code="1-8"/><title>Plan</title><text>{text}</text></section>'
    body = f"<component><structuredBody><component>{section}</component></structuredBody></component>"
    document = f'<ClinicalDocument xmlns="urn:hl7-org:v3"><title>T</title>{body}</ClinicalDocument>'
    return f'<?xml version="1.0"?>{document}'.encode()


def a_bundle() -> dict:
    data = base64.b64encode(LETTER.encode()).decode()
    narrative = {"div": '<div xmlns="http://www.w3.org/1999/xhtml"><p>Rest.</p></div>'}
    return {
        "resourceType": "Bundle",
        "entry": [
            {"resource": {"resourceType": "Composition", "id": "c", "section": [{"title": "Plan", "text": narrative}]}},
            {"resource": {"resourceType": "DocumentReference", "id": "d", "content": [{"attachment": {"data": data}}]}},
            {"resource": {"resourceType": "DocumentReference", "content": [{"attachment": {"url": "Binary/b"}}]}},
            {"resource": {"resourceType": "Binary", "id": "b", "contentType": "text/plain", "data": data}},
            {"resource": {"resourceType": "Observation", "code": {"text": "K"}, "valueQuantity": {"value": 4.1}}},
        ],
    }


HL7 = (
    b"MSH|^~\\&|A|B|C|D|2024||ORU^R01|1|P|2.5\rPID|1||7||Lee^Ann\rOBR|1|||X^CT\r"
    b"OBX|1|TX|R^R||Rest \\T\\ walk.\\.br\\End\r"
)
ODT = '<o:document-content xmlns:o="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns:text="t"><o:body>'
SAMPLES = {
    "a.rtf": rb"{\rtf1\ansi{\fonttbl{\f0 Arial;}}\f0 Gr\'f6\'dfe \u8805?5\par{\b walk}\trowd a\cell b\cell\row"
    rb"{\footnote x}}",
    "a.hl7": HL7 + b"OBX|2|ED|P||L^application^rtf^Base64^e1xydGYxIFdhbGt9\rNTE|1||Noted.\r" + HL7,
    "cda.xml": a_cda(),
    "a.json": json.dumps(a_bundle()).encode(),
    "a.ndjson": "\n".join(json.dumps(entry["resource"]) for entry in a_bundle()["entry"]).encode(),
    "fhir.xml": b'<Composition xmlns="http://hl7.org/fhir"><id value="c"/><section><title value="Plan"/><text>'
    b'<div xmlns="http://www.w3.org/1999/xhtml"><p>Rest.</p></div></text></section></Composition>',
    "a.eml": a_mail(),
    "a.odt": packed(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "content.xml": f"{ODT}<text:p>Rest.</text:p></o:body></o:document-content>",
        }
    ),
    "a.xlsx": a_book(),
}  # fmt: skip
INSERTED = st.one_of(
    st.binary(max_size=20),
    st.sampled_from(
        [b"{", b"}", b"<", b">", b"\\", b"&a;", b"<!--", b"]]>", b"\0", b"|", b"~", b"^", b"\r", b"\xff", b'"', b"[[[["]
    ),
)


def everything(data: bytes, name: str) -> tuple[list, LoadReport]:
    report = LoadReport()
    return list(read(data, name, report=report, resources=True)), report


def check(data: bytes, name: str) -> None:
    documents, report = everything(data, name)
    assert documents or report.findings
    assert len({document.id for document in documents}) == len(documents)
    assert all(finding.file == name for finding in report.findings)
    for document in documents:
        assert str(document.id).startswith(name)
        assert document.text.strip()
        (document.text + json.dumps(document.metadata, ensure_ascii=False)).encode()


@pytest.mark.parametrize("name", SAMPLES)
def test_a_whole_file_is_read_without_a_finding_and_its_notes_can_be_stored(name):
    documents, report = everything(SAMPLES[name], name)
    assert documents
    assert report.findings == []
    with Collection.open() as notes:
        notes.add_notes(documents)
        assert {id for document in documents if (id := document.id)} == {
            document.metadata["source_id"] for document in notes.get(filter={})
        }


@pytest.mark.parametrize("name", SAMPLES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(cuts=[(0.5, 1.0)], inserted=b"", times=1)
@example(cuts=[], inserted=b"", times=2)
@given(
    cuts=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=3),
    inserted=INSERTED,
    times=st.integers(1, 3),
)
def test_a_file_that_is_cut_spoilt_or_doubled_gives_notes_or_findings_that_name_it(
    name, cuts, inserted, times, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    data = SAMPLES[name]
    for one, other in cuts:
        begin, end = sorted((int(one * len(data)), int(other * len(data))))
        data = data[:begin] + inserted + data[end:]
    check(data * times, name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_cut_anywhere_gives_notes_or_findings(name):
    data = SAMPLES[name]
    for length in range(0, len(data), max(1, len(data) // 150)):
        check(data[:length], name)


@pytest.mark.parametrize("name", SAMPLES)
def test_strict_refuses_a_file_of_which_anything_is_lost(name):
    data = SAMPLES[name]
    for length in range(len(data) // 3, len(data), max(1, len(data) // 20)):
        _, report = everything(data[:length], name)
        if any(finding.outcome == "refused" for finding in report.findings):
            with pytest.raises(UnreadableFileError) as caught:
                list(read(data[:length], name, strict=True, resources=True))
            assert caught.value.file.startswith(name)


UNITS = {
    "a.rtf": ["{\\b x}", "\\'e4", "\\u8364?", "\\par ", "{\\*\\x", "}"],
    "a.hl7": ["MSH|^~\\&|\r", "OBX|1|TX|||a\r", "\\", "~", "OBR|1\r", "OBX|1|ED|||^^^Base64^eA==\r"],
    "cda.xml": [
        "<section><title>a</title></section>",
        "<!-- a -->",
        "<section>",
        "&amp;",
        "<td>",
        "<content>a</content>",
    ],
    "a.json": ['{"resourceType":"Binary"},', "[", '{"resourceType":"DocumentReference"},', '"a",'],
    "a.ndjson": ['{"resourceType":"Binary"}\n', '{"resourceType":"DocumentReference","id":"1"}\n', "x\n"],
    "fhir.xml": ["<section><title value='a'/></section>", "<section>", "<!-- a -->"],
    "a.eml": ["--b\n\n", "To: a@x.test,\n", "=?utf-8?q?a?= ", "Content-Type: text/plain\n\n", "<a ", "From x\n"],
}


@pytest.mark.parametrize(("name", "unit"), [(name, unit) for name, units in UNITS.items() for unit in units])
@pytest.mark.parametrize("place", [0.15, 0.5])
def test_fifteen_thousand_of_anything_end(name, unit, place):
    """A second or two each; with quadratic time they would not end."""
    data = SAMPLES[name]
    at = int(len(data) * place)
    check(data[:at] + unit.encode() * 15_000 + data[at:], name)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name.endswith(".xml")])
def test_entities_are_refused_wherever_xml_is_read(name):
    entity = b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'><!ENTITY c 'aaaa'><!ENTITY d '&c;&c;&c;&c;'>]>"
    with pytest.raises(UnreadableFileError, match="declares entities"):
        list(read(entity + SAMPLES[name].rpartition(b"?>")[2], name))


@pytest.mark.parametrize(
    ("package", "name"),
    [("defusedxml", "cda.xml"), ("defusedxml", "a.odt"), ("openpyxl", "a.xlsx"), ("bs4", "fhir.xml")],
)
def test_a_format_whose_library_is_missing_names_the_extra_that_has_it(package, name, monkeypatch):
    for module in [module for module in sys.modules if module.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"bedside\[loaders\]"):
        list(read(SAMPLES[name], name))


def test_xml_is_read_in_utf16_as_it_is_in_utf8():
    wide = a_cda().decode().replace('version="1.0"', 'version="1.0" encoding="UTF-16"').encode("utf-16")
    assert [document.text for document in read(wide, "a")] == [document.text for document in read(a_cda(), "a")]
