"""CDA documents are their narrative by section, with titles and codes; nothing outside of the file is asked for."""

from __future__ import annotations

import base64

import pytest

from bedside import Collection
from bedside.errors import UnreadableFileError
from bedside.loaders import LoadReport, content, read

OLD = '<parentDocument><id root="1.2.3" extension="doc-{}"/></parentDocument></relatedDocument>'
HEADER = f"""
  <typeId root="2.16.840.1.113883.1.3" extension="POCD_HD000040"/>
  <id root="1.2.3" extension="doc-2"/>
  <code code="18842-5" codeSystem="2.16.840.1.113883.6.1" displayName="Discharge summary"/>
  <title>Letter of
    discharge</title>
  <effectiveTime value="20240301153000-0500"/>
  <setId root="1.2.3" extension="set"/><versionNumber value="2"/>
  <recordTarget><patientRole><id root="1.9" nullFlavor="UNK"/><id root="1.9" extension="mrn-7"/>
    <patient><name><given>Ann</given><given>M.</given><family>Lee</family></name></patient></patientRole></recordTarget>
  <author><assignedAuthor><assignedPerson><name><prefix>Dr.</prefix><family>Who</family></name></assignedPerson>
  </assignedAuthor></author>
  <relatedDocument typeCode="RPLC">{OLD.format(1)}
  <relatedDocument typeCode="APND">{OLD.format(0)}
"""


def section(title: str, text: str, code: str = "", more: str = "") -> str:
    coded = f'<code code="{code}" codeSystem="2.16.840.1.113883.6.1" displayName="by its code"/>' if code else ""
    named = f"<title>{title}</title>" if title else ""
    return f"<component><section>{coded}{named}<text>{text}</text>{more}</section></component>"


def cda(*sections: str, header: str = "", before: str = "") -> bytes:
    body = f"<component><structuredBody>{''.join(sections)}</structuredBody></component>"
    return f'{before}<ClinicalDocument xmlns="urn:hl7-org:v3">{header}{body}</ClinicalDocument>'.encode()


def unstructured(text: str) -> bytes:
    body = f"<component><nonXMLBody>{text}</nonXMLBody></component>"
    return f'<ClinicalDocument xmlns="urn:hl7-org:v3">{body}</ClinicalDocument>'.encode()


def one(data: bytes) -> str:
    (document,) = read(data, "a.xml")
    assert document.metadata["type"] == "cda"
    return document.text


def test_a_document_is_its_sections_under_their_titles_with_what_the_header_says():
    inner = section("Lungs", "Clear.")
    data = cda(
        section("Plan", "<paragraph>Rest.</paragraph>", "18776-5"), section("", "None.", "48765-2"),
        section("Exam", "See below.", more=inner), header=HEADER,
    )  # fmt: skip
    (document,) = read(data, "letters/a.xml")
    assert (
        document.text == "## Plan\n\nRest.\n\n## by its code\n\nNone.\n\n## Exam\n\nSee below.\n\n### Lungs\n\nClear."
    )
    assert (document.id, document.metadata) == (
        "letters/a.xml",
        {
            "source": "letters/a.xml", "type": "cda", "title": "Letter of discharge", "kind": "Discharge summary",
            "loinc": "18842-5", "date": "2024-03-01T15:30:00-05:00", "patient": "Ann M. Lee", "subject": "mrn-7",
            "author": "Dr. Who", "document_id": "1.2.3^doc-2", "set_id": "1.2.3^set", "version": "2",
            "replaces": ["1.2.3^doc-1"], "section_codes": {"Plan": "18776-5", "by its code": "48765-2"},
        },
    )  # fmt: skip


def test_its_sections_are_those_of_the_passages():
    data = cda(section("Plan", "Rest for two weeks."), section("Home remedies", "Tea."))
    with Collection.open() as notes:
        notes.add_notes(read(data, "a.xml"))
        assert {document.metadata["section"] for document in notes.get(filter={})} == {"Plan", "Home remedies"}


@pytest.mark.parametrize(
    ("narrative", "lines"),
    [
        (
            "<list><item>Penicillin</item><item><content>Latex</content>: rash</item></list>",
            ["Penicillin", "Latex: rash"],
        ),
        (
            "<table><thead><tr><th>Test</th><th>Value</th></tr></thead><tbody><tr><td>K</td><td><paragraph>4.1</paragraph>"
            "<paragraph>mmol/L</paragraph></td></tr><tr><td/><td>5</td></tr></tbody></table>",
            ["Test\tValue", "K\t4.1 mmol/L", "\t5"],
        ),
        (
            "<table><tbody><tr><td><table><tbody><tr><td>a</td><td>b</td></tr></tbody></table></td></tr></tbody></table>",
            ["a\tb"],
        ),
        ("WBC 7 x 10<sup>9</sup>/L, CO<sub>2</sub>", ["WBC 7 x 10⁹/L, CO2"]),
        (
            "<content>80</content>mm[Hg]<br/><content>CBC</content>at <content>1</content>.5",
            ["80 mm[Hg]", "CBC at 1.5"],
        ),
        (
            "Takes <content revised='delete'>warfarin</content><content revised='insert'>aspirin</content>",
            ["Takes aspirin"],
        ),
        ("a\n   b <paragraph xml:space='preserve'>HPI:\n two</paragraph>", ["a b", "HPI:", "two"]),
        ("<paragraph>one</paragraph>two<paragraph>three</paragraph>", ["one", "two", "three"]),
        ("A &lt; 5 &amp; B<!-- not --> C<footnote>See D</footnote>", ["A < 5 & B C", "See D"]),
    ],
)
def test_narrative_is_laid_out_as_it_is_seen(narrative, lines):
    assert [line for line in one(cda(section("T", narrative))).split("\n")[1:] if line] == lines


@pytest.mark.parametrize(
    "before",
    [
        "<!-- by hand -->", "<!-- a --><!-- b -->\n", "<?xml version='1.0'?><!-- a --><?style x?><!-- <section> -->",
        "\ufeff<?xml version='1.0' encoding='UTF-8'?>\n", "<!DOCTYPE ClinicalDocument>",
    ],
)  # fmt: skip
def test_what_stands_before_the_document_changes_nothing(before):
    assert one(cda(section("Plan", "Größe."), before=before)) == "## Plan\n\nGröße."


def test_a_prefix_for_its_names_and_a_prefix_that_nobody_declares_change_nothing():
    plain = cda(section("Plan", "<content xsi:type='x'>Rest.</content>", more="<entry sdtc:a='b'/>")).decode()
    assert one(plain.encode()) == "## Plan\n\nRest."
    prefixed = plain.replace("<", "<h:").replace("<h:/", "</h:").replace("xmlns=", "xmlns:h=")
    assert one(prefixed.encode()) == "## Plan\n\nRest."


def test_a_piece_of_a_document_is_read_without_a_frame_and_without_a_namespace():
    piece = '<section><templateId root="1.2"/><title>Allergies</title><text>Latex.</text></section>'
    assert one(piece.encode()) == "## Allergies\n\nLatex."


def test_it_is_read_in_the_encoding_that_it_declares():
    data = b"<?xml version='1.0' encoding='iso-8859-1'?>" + cda(section("T", "38,5 °C")).decode().encode("latin-1")
    assert one(data) == "## T\n\n38,5 °C"


@pytest.mark.parametrize(
    ("media_type", "data", "text"),
    [
        ("text/plain", b"Rest.", "Rest."),
        ("text/rtf", rb"{\rtf1 Gr\'f6\'dfe}", "Größe"),
        ("text/html", b"<p>Rest &amp; walk</p>", "Rest & walk"),
    ],
)
def test_a_body_that_is_a_file_is_read_by_what_is_in_it(media_type, data, text):
    packed = base64.encodebytes(data).decode()
    assert one(unstructured(f'<text mediaType="{media_type}" representation="B64">{packed}</text>')) == text
    if media_type == "text/plain":
        assert one(unstructured('<text mediaType="text/plain">Rest.</text>')) == "Rest."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('<text mediaType="application/pdf"><reference value="file:///etc/passwd"/></text>', "kept outside"),
        ('<text representation="B64">!!</text>', "not base64"),
        ('<text representation="B64" compression="DF">eA==</text>', "compressed"),
        ('<text mediaType="image/png" representation="B64">eA==</text>', "a picture"),
        ("", "empty"),
    ],
)
def test_a_body_that_cannot_be_read_is_named(text, reason):
    assert list(read(unstructured(text), "a.xml", report=(report := LoadReport()))) == []
    assert [finding.part for finding in report.findings] == ["nonXMLBody"]
    assert reason in report.findings[0].reason


def test_a_picture_in_a_section_and_a_section_without_narrative_are_said_and_take_nothing_along():
    value = '<value mediaType="image/gif" representation="B64">eA==</value>'
    media = f"<entry><observationMedia>{value}</observationMedia></entry>"
    data = cda(section("Plan", "Rest.", more=media), section("Codes", "", more="<entry/>"))
    (document,) = read(data, "a.xml", report=(report := LoadReport()))
    assert document.text == "## Plan\n\nRest.\n\n## Codes"
    assert {(finding.part, finding.outcome) for finding in report.findings} == {
        ("observationMedia", "left out"), ("Codes", "left out"),
    }  # fmt: skip


BILLION = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;">]>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY c SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize("before", [BILLION, OUTSIDE, '<!DOCTYPE a [<!ENTITY % c SYSTEM "http://x.test/a.dtd">%c;]>'])
def test_entities_and_references_to_other_files_are_refused(before):
    with pytest.raises(UnreadableFileError, match="declares entities or asks for other files"):
        one(cda(section("T", "&c;" if "% c" not in before else "x"), before=before))


@pytest.mark.parametrize(
    "data", [cda(section("T", "x"))[:-20], cda(section("T", "x")) * 2, cda("<component></section>")]
)
def test_a_damaged_document_is_refused_by_name_with_the_place(data):
    with pytest.raises(UnreadableFileError, match=r"a\.xml: damaged CDA, line 1, column \d+"):
        one(data)


def test_sections_within_one_another_without_end_and_deep_narrative_end():
    depth = 50_000
    nested = "<component><section><title>T</title><text>x</text>" * depth + "</section></component>" * depth
    assert one(cda(nested)).count("###### T") == depth - 4
    assert one(cda(section("T", "<td>" * depth + "x" + "</td>" * depth))).endswith("x")


@pytest.mark.parametrize("lead", ["", "<!-- one -->", "<!-- <html> --><!-- two -->"])
def test_what_a_document_is_can_be_asked_and_comments_before_it_do_not_matter(lead):
    data = f'{lead}<ClinicalDocument xmlns="urn:hl7-org:v3"><!-- a --><!-- b --></ClinicalDocument>'
    assert content.kind_of(content.Content(data.encode(), "a.xml")) == ("cda", data)
