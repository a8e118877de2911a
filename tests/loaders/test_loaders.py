"""Files as notes: each kind by its content, exactly where it is text, and by name refused where it is hostile."""

from __future__ import annotations

import base64
import csv
import io
import json
import zipfile

import docx
import pypdf
import pytest
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from bedside import Collection, Document
from bedside.errors import UnreadableFileError
from bedside.loaders import docx as docx_loader
from bedside.loaders import files, load, read

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
    with pytest.raises(UnreadableFileError, match="no encoding"):
        list(read(data, "old.txt", encoding="klingon"))


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
    found = list(read(json.dumps(bundle).encode(), "b.json"))
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


def test_a_note_that_begins_as_json_does_is_text():
    for text in ("[**2151-7-16**] Cough.", '{"unfinished', "[] no finding"):
        assert one(text.encode()).text == text


@pytest.mark.parametrize("data", [b"", b" \r\n", "".encode("utf-16"), b"a,b\n"])
def test_a_file_without_text_gives_nothing(data):
    assert list(read(data, "a.csv" if data.startswith(b"a") else "a.txt")) == []


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


BOMB = zipped({"word/document.xml": b" " * (docx_loader.MAX_UNPACKED + 1)})
ENTITY = b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>"
HOSTILE = {
    "docx bomb": BOMB,
    "docx lying bomb": lying_bomb(),
    "docx of many parts": zipped({"word/document.xml": b"", **{str(n): b"" for n in range(10_001)}}),
    "docx cut": word()[:-500],
    "docx damaged": word().replace(b"word/document.xml", b"word/documenT.xml"),
    "docx empty": zipped({"word/document.xml": b""}),
    "docx entities": zipped({"[Content_Types].xml": ENTITY, "word/document.xml": b"<a/>"}),
    "zip": zipped({"a.txt": b"text"}),
    "pdf encrypted": pdf("Rest.", password="secret"),  # noqa: S106
    "pdf cut": pdf("Rest.")[:300],
    "pdf damaged": pdf("Rest.").replace(b"/Pages", b"/Pagez"),
    "pdf marker alone": b"%PDF-1.7\n",
    "pdf of a scan": pdf("", ""),
    "json deep": deep(100_000),
    "json cut": b'{"resourceType": "Bundle", "entry": [',
    "json second line": json.dumps(reference("a", b"x")).encode() + b'\n{"resourceType": ',
    "json of another kind": b'[{"resourceType": "Bundle"}, {"text": "x"}]',
    "base64": json.dumps(reference("a", b"x")).replace("eA==", "e!A").encode(),
    "attachment of a bomb": json.dumps(reference("a", BOMB)).encode(),
    "attachment of fhir": json.dumps(reference("a", json.dumps(reference("b", b"x")).encode())).encode(),
    "latin-1": b"38,5 \xb0C",
    "utf-16 without mark": "Cough".encode("utf-16-le"),
    "utf-16 cut": "Cough".encode("utf-16")[:-1],
    "binary": bytes(range(256)),
    "picture": b"\x89PNG\r\n\x1a\n\x00\x00",
    "xml": b"<?xml version='1.0'?><ClinicalDocument/>",
    "rows.csv of uneven rows": b"a,b\n1,2\n1,2,3\n",
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


def test_a_note_longer_than_pythons_limit_of_a_cell_is_read_and_the_limit_stays_the_programs():
    limit = csv.field_size_limit(1_000)
    try:
        assert one(b"id,text\na," + b"x" * 200_000 + b"\n", "cell.csv").text == "x" * 200_000
        assert csv.field_size_limit() == 1_000
    finally:
        csv.field_size_limit(limit)


def test_a_page_nested_without_end_ends():
    page = "<html><body>" + "<div>" * 3_000 + "Rest." + "</div>" * 3_000
    assert one(page.encode()).text == "Rest."


# -- files and folders ----------------------------------------------------------------------------------


def test_a_folder_is_walked_in_order_without_what_is_hidden_unfinished_or_a_link(tmp_path):
    ward = tmp_path / "ward"
    for name in ("b.txt", "a/c.txt", ".git/x.txt", ".hidden", "~$d.docx", "e.txt.part", "f.txt~", "a/d.md"):
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
