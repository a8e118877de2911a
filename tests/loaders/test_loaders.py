"""Files as notes: each kind by its content, exactly where it is text, and by name refused where it is hostile."""

from __future__ import annotations

import base64
import bz2
import csv
import gzip
import io
import json
import lzma
import os
import zipfile

import docx
import pypdf
import pytest
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from bedside import Collection, Document
from bedside.errors import BedsideWarning, UnreadableFileError
from bedside.loaders import LoadReport, files, load, read
from bedside.loaders.archives import MAX_UNPACKED

NOTE = "HPI:\tCough for 3 days, 38.5 °C 😀.\r\nPLAN: Rest.\n"


def pdf(*pages: str, password: str | None = None) -> bytes:
    """A PDF whose pages show a line of text each."""
    writer = pypdf.PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    for text in pages:
        page = writer.add_blank_page(300, 300)
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 20 200 Td ({text}) Tj ET".encode() if text else b"")
        page[NameObject("/Contents")] = writer._add_object(stream)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
        )
    if password is not None:
        writer.encrypt(user_password=password, owner_password="owner", algorithm="AES-256")  # noqa: S106
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def word() -> bytes:
    """A DOCX with a heading, paragraphs and a table."""
    document = docx.Document()
    document.add_heading("Assessment", level=1)
    document.add_paragraph("Type 2 diabetes.")
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(table._cells, ["Test", "Value", "HbA1c", "8.2 %"], strict=True):
        cell.text = text
    document.add_paragraph("Plan: metformin.")
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def reference(id: str, *texts: bytes, **fields) -> dict:
    attachments = [
        {"attachment": {"contentType": "text/plain", "data": base64.b64encode(text).decode()}} for text in texts
    ]
    return {"resourceType": "DocumentReference", "id": id, "status": "current", "content": attachments, **fields}


def one(data: bytes, source: str = "file") -> Document:
    (document,) = read(data, source)
    return document


# -- what each kind gives --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_comes_exactly_as_it_is_written_in_every_encoding_that_says_what_it_is(encoding):
    assert one(NOTE.encode(encoding), "a/visit.txt") == Document(
        NOTE, {"source": "a/visit.txt", "type": "text"}, "a/visit.txt"
    )


def test_text_in_another_encoding_is_read_where_it_is_named_and_refused_where_not():
    data = "Größe 38,5 °C".encode("cp1252")
    with pytest.raises(UnreadableFileError, match=r"old\.txt: byte 2 is not utf-8"):
        one(data, "old.txt")
    (document,) = read(data, "old.txt", encoding="cp1252")
    assert document.text == "Größe 38,5 °C"
    with pytest.raises(UnreadableFileError, match="not a known text encoding"):
        list(read(data, "old.txt", encoding="klingon"))


@pytest.mark.parametrize("marked", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("named", ["latin-1", "utf-16-le"])
def test_a_byte_order_mark_is_believed_before_the_encoding_that_is_named(marked, named):
    (document,) = read("Größe".encode(marked), "old.txt", encoding=named)
    assert document.text == "Größe"


def test_text_that_speaks_of_files_is_text():
    for text in ("The %PDF- marker.", "A <meta charset=klingon> in prose.", "{curly} and <5 mg"):
        assert one(text.encode(), "a.txt").text == text


def test_markdown_is_its_own_text():
    document = one(b"# Plan\n\n* rest\n", "plan.md")
    assert (document.text, document.metadata["type"]) == ("# Plan\n\n* rest\n", "markdown")


def test_html_is_what_a_reader_sees():
    page = (
        "<!-- by hand --><!DOCTYPE html><html><head><title>Visit 7</title><style>p {}</style></head><body>"
        "<h2>Plan</h2><p>Give\n <b>2.5&nbsp;mg</b> daily.<br>Walk.</p><script>alert(1)</script><!-- hidden -->"
        "<table><tr><th>Test</th><td>HbA1c</td></tr></table><ul><li>one<li>two</ul><pre>a\n  b</pre></body></html>"
    )
    document = one(page.encode(), "page.bin")
    assert document.metadata == {"source": "page.bin", "type": "html", "title": "Visit 7"}
    lines = [line for line in document.text.split("\n") if line]
    assert lines == ["## Plan", "Give 2.5 mg daily.", "Walk.", "Test\tHbA1c", "one", "two", "a", "b"]


def test_html_is_read_in_the_encoding_it_declares():
    page = '<html><head><meta charset="windows-1252"></head><body><p>38,5 °C</p></body></html>'
    assert one(page.encode("cp1252")).text == "38,5 °C"


def test_a_piece_of_html_is_known_by_its_suffix():
    assert one(b"Walk <b>daily</b> &amp; rest.", "page.HTM").text == "Walk daily & rest."


@pytest.mark.parametrize(
    ("declared", "data"), [("ISO-8859-1", b"It\x92s"), ("us-ascii", b"It\x92s"), ("utf-16", "It’s".encode())]
)
def test_html_means_by_its_declaration_what_browsers_take_it_for(declared, data):
    assert one(f'<meta charset="{declared}"><p>'.encode() + data, "page.html").text == "It’s"


def test_a_pdf_is_its_pages_with_form_feeds_between_them():
    document = one(pdf("Cough for 3 days.", "", "Rest."), "scan")
    assert document.text == "Cough for 3 days.\f\fRest."
    assert document.metadata == {"source": "scan", "type": "pdf", "pages": 3}


def test_a_pdf_that_needs_no_password_to_be_read_is_read():
    assert one(pdf("Rest.", password="")).text == "Rest."


def test_a_docx_is_its_body_in_order():
    document = one(word(), "letter")
    lines = [line for line in document.text.split("\n") if line]
    assert lines == ["# Assessment", "Type 2 diabetes.", "Test\tValue", "HbA1c\t8.2 %", "Plan: metformin."]
    assert document.metadata == {"source": "letter", "type": "docx"}


def test_a_docx_loses_no_text_that_a_reader_sees():
    """Insertions that wait to be accepted, form fields, links, text boxes, nested tables; once, and nothing deleted."""
    document = docx.Document()
    space = nsdecls("w")
    box = "<w:txbxContent><w:p><w:r><w:t>box</w:t></w:r></w:p></w:txbxContent>"
    for xml in (
        f"<w:p {space}><w:pPr><w:tabs><w:tab w:val='left' w:pos='7'/></w:tabs></w:pPr><w:r><w:t>Takes </w:t></w:r>"
        "<w:ins><w:r><w:t>aspirin</w:t></w:r></w:ins><w:del><w:r><w:delText>warfarin</w:delText></w:r></w:del></w:p>",
        f"<w:sdt {space}><w:sdtContent><w:p><w:r><w:t>field</w:t></w:r></w:p></w:sdtContent></w:sdt>",
        f"<w:p {space}><w:sdt><w:sdtContent><w:r><w:t>choice</w:t></w:r></w:sdtContent></w:sdt>"
        "<w:hyperlink><w:r><w:tab/><w:t>link</w:t></w:r></w:hyperlink></w:p>",
        f"<w:p {space} xmlns:mc='http://schemas.openxmlformats.org/markup-compatibility/2006'><w:r><w:t>beside</w:t>"
        f"<mc:AlternateContent><mc:Choice>{box}</mc:Choice><mc:Fallback>{box}</mc:Fallback></mc:AlternateContent></w:r></w:p>",
    ):
        document.element.body.insert(-1, parse_xml(xml))
    table = document.add_table(2, 2)
    table.cell(0, 0).merge(table.cell(0, 1)).text = "Labs"
    table.cell(1, 0).text = "K"
    table.cell(1, 1).add_table(1, 1).cell(0, 0).text = "4.1"
    out = io.BytesIO()
    document.save(out)
    assert one(out.getvalue()).text.split("\n") == [
        *("Takes aspirin", "field", "choice\tlink", "beside", "box", "Labs", "K\t4.1")
    ]


def test_the_rows_of_a_table_are_documents_with_the_other_cells_as_metadata():
    data = 'id;Section;section;Text\r\n7;HPI;x;"Cough;\r\n3 days"\r\n8;PLAN;y;Rest\r\n9;PLAN;y;\r\n'
    assert list(read(data.encode(), "rows.csv")) == [
        Document(
            "Cough;\r\n3 days",
            {"source": "rows.csv", "type": "csv", "row": 1, "id": "7", "Section": "HPI", "column_section": "x"},
            "rows.csv#7",
        ),
        Document(
            "Rest",
            {"source": "rows.csv", "type": "csv", "row": 2, "id": "8", "Section": "PLAN", "column_section": "y"},
            "rows.csv#8",
        ),
    ]


def test_white_space_around_the_names_of_columns_and_empty_lines_before_them_are_nothing():
    document = one(b"\r\n id; Text \r\n7;Cough, dry\r\n", "rows.csv")
    assert (document.id, document.text) == ("rows.csv#7", "Cough, dry")


def test_a_table_without_a_text_column_gives_each_row_as_lines():
    first, second = read(b"drug\tdose\nmetformin\t500 mg\naspirin\t\n", "drugs.tsv")
    assert (first.text, second.text) == ("drug: metformin\ndose: 500 mg", "drug: aspirin")
    assert (first.id, second.id) == ("drugs.tsv#1", "drugs.tsv#2")


def test_fhir_documents_are_their_attachments_whatever_holds_them():
    report = {
        "resourceType": "DiagnosticReport",
        "id": "r1",
        "status": "final",
        "code": {"coding": [{"display": "Chest X-ray"}]},
        "effectiveDateTime": "2024-03-01",
        "subject": {"reference": "Patient/a"},
        "conclusion": "No infiltrate.",
    }
    narrated = {"resourceType": "DiagnosticReport", "id": "r2", "text": {"div": "<div><p>Clear lungs.</p></div>"}}
    bundle = {
        "resourceType": "Bundle",
        "entry": [
            {"resource": reference("d1", NOTE.encode(), pdf("Rest."), type={"text": "Visit"}, date="2024-03-02")},
            {"resource": {"resourceType": "Patient", "id": "a"}},
            {"resource": reference("d2", b"Wrong patient.", status="entered-in-error")},
            {"resource": {"resourceType": "DocumentReference", "content": [{"attachment": {"url": "http://x"}}]}},
            {"resource": report},
            {"resource": {"resourceType": "Bundle", "entry": [{"resource": narrated}]}},
        ],
    }
    found = list(read(json.dumps(bundle).encode(), "b.json", report=(report := LoadReport())))
    assert [str(finding) for finding in report.findings] == [
        "b.json: DocumentReference/d2: entered in error",
        "b.json: DocumentReference/4: only linked to",
    ]
    assert [(document.id, document.text) for document in found] == [
        ("b.json#DocumentReference/d1", NOTE),
        ("b.json#DocumentReference/d1/1", "Rest."),
        ("b.json#DiagnosticReport/r1", "No infiltrate."),
        ("b.json#DiagnosticReport/r2", "Clear lungs."),
    ]
    assert found[0].metadata == {
        "source": "b.json", "type": "fhir", "resource": "DocumentReference/d1", "status": "current",
        "date": "2024-03-02", "kind": "Visit",
    }  # fmt: skip
    assert found[2].metadata["kind"] == "Chest X-ray"
    assert found[2].metadata["subject"] == "Patient/a"
    lines = "\n".join(json.dumps(reference(id, id.encode())) for id in ("x", "y")) + "\n"
    assert [document.text for document in read(lines.encode(), "bulk.ndjson")] == ["x", "y"]


def test_an_attachment_is_read_in_the_encoding_that_it_names():
    resource = reference("d1", "38,5 °C".encode("latin-1"))
    resource["content"][0]["attachment"]["contentType"] = "text/plain; charset=iso-8859-1"
    assert one(json.dumps(resource).encode()).text == "38,5 °C"


@pytest.mark.parametrize("kind", ["text/plain; charset=ISO-8859-1; format=flowed", 'Text/Plain;Charset="iso-8859-1"'])
def test_an_attachment_names_its_encoding_as_mail_does(kind):
    resource = reference("a", "Größe".encode("latin-1"))
    resource["content"][0]["attachment"]["contentType"] = kind
    assert one(json.dumps(resource).encode()).text == "Größe"


def test_an_attachment_that_says_it_is_html_is_read_as_such():
    resource = reference("a", b"Rest &amp; <b>walk</b>.")
    resource["content"][0]["attachment"]["contentType"] = "text/html; charset=utf-8"
    assert one(json.dumps(resource).encode()).text == "Rest & walk."


def test_a_picture_among_the_attachments_takes_no_text_along():
    resource = reference("a", b"\xff\xd8\xff\xe0\x00", b"Rest.")
    resource["content"][0]["attachment"]["contentType"] = "image/jpeg"
    (document,) = read(json.dumps(resource).encode(), "a.json", report=(report := LoadReport()))
    assert document.text == "Rest."
    assert [finding.outcome for finding in report.findings] == ["left out"]


def test_a_report_whose_form_is_empty_gives_its_conclusion():
    report = {"resourceType": "DiagnosticReport", "id": "r", "presentedForm": [{"data": ""}], "conclusion": "Normal."}
    assert one(json.dumps(report).encode()).text == "Normal."


def test_what_a_resource_lacks_or_has_of_a_wrong_type_is_passed_over():
    for fields in (
        {"content": None, "subject": [1], "type": "x", "docStatus": {}},
        {"content": {"attachment": 1}, "id": 5, "status": ["current"]},
        {"content": [None, {}, {"attachment": None}, {"attachment": {"url": "x"}}]},
    ):
        report = LoadReport()
        resource = json.dumps({"resourceType": "DocumentReference", **fields}).encode()
        assert list(read(resource, "a.json", report=report)) == []
        assert report.empty == ["a.json"]


def test_a_note_that_begins_as_json_does_is_text():
    for text in ("[**2151-7-16**] Cough.", '{"unfinished', "[] no finding"):
        assert one(text.encode()).text == text


@pytest.mark.parametrize("data", [b"", b" \r\n", "".encode("utf-16"), b"a,b\n"])
def test_a_file_without_text_gives_nothing_and_says_so(data):
    name, report = "a.csv" if data.startswith(b"a") else "a.txt", LoadReport()
    assert list(read(data, name, report=report)) == []
    assert (report.empty, report.is_complete, str(report.findings[0])) == ([name], False, f"{name}: no text in it")
    with pytest.warns(BedsideWarning, match="no text in it"):
        list(read(data, name))


# -- hostile files -----------------------------------------------------------------------------------------------------


def zipped(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return out.getvalue()


def lying_bomb() -> bytes:
    """A DOCX whose body says in its headers that it is small, and is not."""
    real = zipped({"[Content_Types].xml": b"<a/>", "word/document.xml": b" " * 50_000_000})
    size = (50_000_000).to_bytes(4, "little")
    return real.replace(size, (500).to_bytes(4, "little"))


def deep(levels: int) -> bytes:
    return b'{"resourceType": "Bundle", "entry": ' + b"[" * levels + b"]" * levels + b"}"


BOMB = zipped({"word/document.xml": b" " * (MAX_UNPACKED + 1)})
ENTITY = b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>"
HOSTILE = {
    "docx bomb": BOMB,
    "docx lying bomb": lying_bomb(),
    "docx of many parts": zipped({"word/document.xml": b"", **{str(n): b"" for n in range(10_001)}}),
    "docx cut": word()[:-500],
    "docx damaged": word().replace(b"word/document.xml", b"word/documenT.xml"),
    "docx empty": zipped({"word/document.xml": b""}),
    "docx entities": zipped({"word/document.xml": ENTITY}),
    "zip": zipped({"a.txt": b"text"}),
    "pdf encrypted": pdf("Rest.", password="secret"),  # noqa: S106
    "pdf cut": pdf("Rest.")[:300],
    "pdf damaged": pdf("Rest.").replace(b"/Pages", b"/Pagez"),
    "pdf marker alone": b"%PDF-1.7\n",
    "pdf of a scan": pdf("", ""),
    "json deep": deep(100_000),
    "json cut": b'{"resourceType": "Bundle", "entry": [',
    "json of another kind": b'[{"resourceType": "Bundle"}, {"text": "x"}]',
    "base64": json.dumps(reference("a", b"x")).replace("eA==", "e!A").encode(),
    "attachment of a bomb": json.dumps(reference("a", BOMB)).encode(),
    "attachment of fhir": json.dumps(reference("a", json.dumps(reference("b", b"x")).encode())).encode(),
    "latin-1": b"38,5 \xb0C",
    "utf-16 without mark": "Cough".encode("utf-16-le"),
    "utf-16 cut": "Cough".encode("utf-16")[:-1],
    "binary": bytes(range(256)),
    "picture": b"\x89PNG\r\n\x1a\n\x00\x00",
    "xml": b"<?xml version='1.0'?><Chart/>",
    "xml without a prologue": b"<Chart xmlns='urn:x-chart'><text>Cough</text></Chart>",
    "old word": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 512,
    "short.csv with ids": b"text,id\nCough\n",
    "quotes.csv": b'a,b\n1,"2\n',
    "twice.csv": b"a,a\n1,2\n",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_raises_one_error_that_names_it(name):
    source = f"folder/{name}" + (".csv" if ".csv" in name else "")
    with pytest.raises(UnreadableFileError) as caught:
        list(read(HOSTILE[name], source))
    assert str(caught.value).startswith(source)
    assert caught.value.file.startswith(source)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (gzip.compress(b"HPI: Cough."), "a compressed file"),
        (bz2.compress(b"HPI: Cough."), "a compressed file"),
        (lzma.compress(b"HPI: Cough."), "a compressed file"),
        (b"\x78\x9f\x3e\x22\x01\x00\x01\x06\x90\x08\x00HPI: Cough.", "winmail.dat"),
        (b"\x89PNG\r\n\x1a\n\0\0", "a picture"),
        (b"\0" * 128 + b"DICM\x02\0", "a picture"),
        (b'{"id": "1", "text": "Cough."}\n{"id": "2", "text": "Rest."}\n', "call Collection.import_from"),
        (b'[{"text": "Cough."}]', "JSON of an unknown kind"),
        (b'{\n "text": "Cough."\n}', "JSON of an unknown kind"),
    ],
    ids=["gzip", "bzip2", "xz", "winmail", "PNG", "DICOM", "JSON lines", "JSON array", "JSON object"],
)
def test_what_is_no_note_is_refused_as_what_it_is(data, reason):
    with pytest.raises(UnreadableFileError, match=reason):
        list(read(data, "export.bin"))


@pytest.mark.parametrize("line", [b'{"text": "Cough", "age": NaN}\n', b'{"text": "Cough"', b'[{"text": "Cough"}'])
def test_json_with_pythons_nan_and_damaged_json_are_no_notes_where_they_are_named_as_json(line):
    for name in ("a.json", "a.jsonl", "a.ndjson"):
        with pytest.raises(UnreadableFileError, match="JSON of an unknown kind"):
            list(read(line, name))


@pytest.mark.parametrize("text", ["[** 2024 **] Cough.", "{S1} murmur.\n{S2} none.", "[]hyponatraemia", "1.5"])
def test_a_note_that_begins_with_a_bracket_is_a_note(text):
    assert one(text.encode(), "a.txt").text == text


def test_a_note_longer_than_pythons_limit_of_a_cell_is_read_and_the_limit_stays_the_programs():
    limit = csv.field_size_limit(1_000)
    try:
        assert one(b"id,text\na," + b"x" * 200_000 + b"\n", "cell.csv").text == "x" * 200_000
        assert csv.field_size_limit() == 1_000
    finally:
        csv.field_size_limit(limit)


@pytest.mark.parametrize("unit", ["<!--", "<?", "<!", "<![", "<a ", "</a", "<a b='", "&", "<![CDATA["])
@pytest.mark.parametrize("end", ["", ">", "-->"])
def test_a_page_of_what_is_never_closed_ends(unit, end):
    """400 KB take a second; with quadratic time this test would not end."""
    try:
        assert len(list(read(f"<html>{unit * 100_000}{end}Rest.".encode(), "page.html"))) <= 1
    except UnreadableFileError as error:
        assert "damaged HTML" in str(error)


def test_what_only_looks_like_markup_at_the_end_of_a_page_is_text():
    assert one(b"<html><p>Potassium <3.5 <!-- or").text == "Potassium <3.5 <!-- or"


def test_a_page_that_the_parser_rejects_is_refused_by_name():
    with pytest.raises(UnreadableFileError, match="damaged HTML"):
        one(b"<html><![a b>x")


def test_a_pdf_whose_pages_unpack_to_more_than_a_chart_has_is_refused(monkeypatch):
    from bedside.loaders import pdf as pdf_loader

    monkeypatch.setattr(pdf_loader, "MAX_UNPACKED", 200)
    assert one(pdf("Rest.", "Walk.")).metadata["pages"] == 2
    with pytest.raises(UnreadableFileError, match="pages that unpack to over"):
        one(pdf(*("Rest.",) * 9))


def test_a_page_nested_without_end_ends():
    page = "<html><body>" + "<div>" * 3_000 + "Rest." + "</div>" * 3_000
    assert one(page.encode()).text == "Rest."


# -- files and folders ----------------------------------------------------------------------------------


def test_a_folder_is_walked_in_order_without_what_is_hidden_unfinished_or_a_link(tmp_path):
    ward = tmp_path / "ward"
    for name in ("b.txt", "a/c.txt", ".git/x.txt", ".hidden", "~$d.docx", "#b.txt#", "e.txt.part", "f.txt~", "a/d.md"):
        (ward / name).parent.mkdir(parents=True, exist_ok=True)
        (ward / name).write_text(name)
    (tmp_path / "secret.txt").write_text("secret")
    (ward / "link.txt").symlink_to(tmp_path / "secret.txt")
    (ward / "z.txt").symlink_to(ward / "b.txt")
    assert [file.relative_to(ward).as_posix() for file in files(ward)] == ["b.txt", "a/c.txt", "a/d.md"]
    assert [document.text for document in load(ward / "a")] == ["a/c.txt", "a/d.md"]
    assert next(load(ward / "a/c.txt", root=ward)).id == "a/c.txt"
    with pytest.raises(UnreadableFileError, match="outside"):
        list(load(ward / "b.txt", root=ward / "a"))


def test_a_file_whose_name_is_not_utf8_is_refused_by_name(tmp_path):
    file = tmp_path / os.fsdecode(b"bad\xff.txt")
    file.write_text("PLAN: Rest.")
    with pytest.raises(UnreadableFileError, match="its name is not UTF-8"):
        list(load(file))


def test_a_folder_that_is_none_is_named(tmp_path):
    with pytest.raises(UnreadableFileError, match="gone: No such file"):
        list(files(tmp_path / "gone"))
    told = []
    assert list(files(tmp_path / "gone", onerror=told.append)) == []
    assert [error.file for error in told] == [(tmp_path / "gone").as_posix()]


def test_a_file_that_is_gone_or_too_large_is_named(tmp_path):
    with pytest.raises(UnreadableFileError, match=r"gone\.txt: No such file"):
        list(load(tmp_path / "gone.txt"))
    with (tmp_path / "large.txt").open("wb") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(UnreadableFileError, match="larger than 64 MiB"):
        list(load(tmp_path / "large.txt"))


def test_what_is_loaded_can_be_added_as_notes(tmp_path):
    (tmp_path / "rows.csv").write_text("section,text\nHPI,Cough.\nPLAN,Rest.\n")
    (tmp_path / "letter.docx").write_bytes(word())
    (tmp_path / "visit.txt").write_bytes(NOTE.encode())
    with Collection.open() as notes:
        assert set(notes.add_notes(load(tmp_path))) == {"rows.csv#1", "rows.csv#2", "letter.docx", "visit.txt"}
        assert notes.get_note("visit.txt").text == NOTE
        assert [hit.id for hit in notes.search_notes("metformin", filter={"type": "docx"})] == ["letter.docx"]
