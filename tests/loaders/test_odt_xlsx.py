"""ODT is what a reader sees of it; the sheets of XLSX are tables, each cell as it is shown."""

from __future__ import annotations

import datetime
import io
import zipfile

import openpyxl
import pytest
from openpyxl.comments import Comment

from bedside.errors import UnreadableFileError
from bedside.loaders import LoadReport, read, xlsx

SPACES = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" xmlns="t" xmlns:table="tb" xmlns:style="s" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:form="fm" xmlns:draw="d" xmlns:field="fi" '
    'xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0"'
)
STYLES = (
    '<style:style name="up"><style:text-properties text-position="super 58%"/></style:style>'
    '<style:style name="high"><style:text-properties text-position="33% 58%"/></style:style>'
    '<style:style name="out"><style:text-properties text-line-through-style="solid"/></style:style>'
    '<style:style name="child" parent-style-name="out"/>'
    '<style:style name="gone"><style:text-properties display="none"/></style:style>'
)
HEADERS = f"<x {SPACES}><office:master-styles><style:master-page><style:header><p>Ward 3</p></style:header>" + (
    "<style:footer><p>Page</p></style:footer></style:master-page></office:master-styles></x>"
)
FORM = (
    '<office:forms><form:form><form:checkbox id="c1" label="Smoker" current-state="checked"/>'
    '<form:text id="t1" current-value="142/91"/><form:listbox id="l1"><form:option label="never"/>'
    '<form:option label="daily" current-selected="true"/></form:listbox></form:form></office:forms>'
)

CONTROL = '<draw:control control="{}"/>'
TICK = '<field:fieldmark type="x.FORMCHECKBOX"><field:param name="x_Checked" value="true"/></field:fieldmark>'
CELL = "<table:table-cell{}>{}</table:table-cell>"
CELLS = CELL.format("", "<p>K</p><p>serum</p>") + "<table:covered-table-cell/>"
LAST = CELL.format(' number-columns-repeated="9999999"', "<p>4.1</p>")
ROW = f"<table:table><table:table-row>{CELLS}{LAST}"
ROW += "</table:table-row></table:table>"


def body(inner: str, frame: str = "document-content", more: str = "") -> str:
    return (
        f'<?xml version="1.0"?><office:{frame} {SPACES} {more}><office:automatic-styles>{STYLES}'
        f"</office:automatic-styles><office:body><office:text>{inner}</office:text></office:body></office:{frame}>"
    )


def packed(parts: dict[str, str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        for name, text in parts.items():
            archive.writestr(name, text, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def odt(inner: str) -> str:
    (document,) = read(packed({"content.xml": body(inner)}), "a.bin")
    assert document.metadata == {"source": "a.bin", "type": "odt"}
    return document.text


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        ('<h outline-level="2">Plan</h><p>Rest</p><p>Walk</p>', "## Plan\nRest\nWalk"),
        ('<p>10<span style-name="up">9</span>/L m<span style-name="high">2</span></p>', "10⁹/L m²"),
        ('<p><span style-name="child">old</span>new<span style-name="gone">x</span></p>', "new"),
        ('<p>a<s c="3"/>b<tab/>c<line-break/>d  e</p>', "a   b\tc\nd e"),
        ("<tracked-changes><p>deleted</p></tracked-changes><p>current</p>", "current"),
        ("<list><list-item><p>one</p></list-item><list-item><p>two</p></list-item></list>", "one\ntwo"),
        ("<p>a<note><note-citation>1</note-citation><note-body><p>Foot</p></note-body></note> b</p>", "a b\nFoot"),
        ("<p>a<office:annotation><dc:creator>Me</dc:creator><p>Why?</p></office:annotation></p>", "a\nWhy?"),
        ("<p>On <date>1 March</date><draw:frame><svg:title>logo</svg:title></draw:frame></p>", "On 1 March"),
        ("<p>a<draw:frame><draw:text-box><p>box</p></draw:text-box></draw:frame></p>", "a\nbox"),
        (FORM + "<p>" + ", ".join(map(CONTROL.format, ("c1", "t1", "l1"))) + "</p>", "[x] Smoker, 142/91, daily"),
        (f"<p>{TICK} yes</p>", "[x] yes"),
        (ROW, "K serum\t\t4.1"),
    ],
)  # fmt: skip
def test_an_odt_is_what_a_reader_sees(inner, text):
    assert odt(inner) == text


def test_headers_and_footers_stand_before_and_after_the_body_and_one_file_is_as_good_as_an_archive():
    parts = {"content.xml": body("<p>Rest</p>"), "styles.xml": HEADERS}
    assert [document.text for document in read(packed(parts), "a.odt")] == ["Ward 3\n\nRest\n\nPage"]
    flat = body("<p>Rest</p>", "document", 'office:mimetype="application/vnd.oasis.opendocument.text"')
    assert [(d.metadata["type"], d.text) for d in read(flat.encode(), "a.xml")] == [("odt", "Rest")]


ENTITY = "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (packed({"content.xml": body("<p>")}), "damaged ODT, line 1"),
        (packed({"x.xml": "<a/>"}), "without content.xml"),
        (packed({"content.xml": body("x").replace("?>", f"?>{ENTITY}", 1)}), "declares entities"),
        (packed({"META-INF/manifest.xml": "<a><encryption-data/></a>", "content.xml": "x"}), "encrypted"),
        (packed({"content.xml": body("<p>x</p>")})[:-30], "damaged"),
        (packed({"content.xml": "<a>" + " " * (257 << 20) + "</a>"}), "unpacks to over 256 MiB"),
        (packed({"content.xml": "<a/>" * 2_100_000}), "over 2000000 tags"),
    ],
)
def test_a_damaged_or_hostile_odt_is_refused_by_name(data, reason):
    with pytest.raises(UnreadableFileError, match=rf"a\.odt: .*{reason}"):
        list(read(data, "a.odt"))


# -- XLSX --------------------------------------------------------------------------------------------------------------


def book(*rows: list, title: str = "Notes") -> openpyxl.Workbook:
    made = openpyxl.Workbook()
    made.active.title = title
    for row in rows:
        made.active.append(row)
    return made


def saved(made: openpyxl.Workbook) -> bytes:
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def test_the_rows_of_each_sheet_are_notes_as_those_of_a_table_are():
    made = book(
        ["id", "seen", "text"],
        ["a", datetime.datetime(2024, 3, 1), 'Cough, fever; "bad"\nfor days'],
        ["b", None, "Rest at home"],
    )
    made.create_sheet("Drugs").append(["drug", "dose"])
    made["Drugs"].append(["metformin", "500 mg"])
    documents = list(read(saved(made), "x/a.bin"))
    assert [(document.id, document.text) for document in documents] == [
        ("x/a.bin#Notes#a", 'Cough, fever; "bad"\nfor days'),
        ("x/a.bin#Notes#b", "Rest at home"),
        ("x/a.bin#Drugs#1", "drug: metformin\ndose: 500 mg"),
    ]
    assert documents[0].metadata == {
        "source": "x/a.bin", "type": "xlsx", "row": 1, "id": "a", "seen": "2024-03-01", "sheet": "Notes",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "format", "shown"),
    [
        (0.082, "0.0%", "8.2 %"), (4.1, "0.00", "4.1"), (5, "General", "5"), (True, "General", "TRUE"),
        (datetime.datetime(2024, 3, 1, 10, 30), "yyyy-mm-dd hh:mm", "2024-03-01 10:30"), (0.1 + 0.2, "0", "0.3"),
        (datetime.time(7, 5), "hh:mm", "07:05:00"),
        ("#N/A", "General", "#N/A"), ("007", "@", "007"),
    ],
)  # fmt: skip
def test_a_cell_is_its_value_as_it_is_shown(value, format, shown):
    made = book(["name", "value"], ["x", value])
    made.active["B2"].number_format = format
    (document,) = read(saved(made), "a.xlsx")
    assert document.text == f"name: x\nvalue: {shown}"


def test_comments_are_read_and_hidden_sheets_and_formulas_without_a_value_are_said():
    made = book(["id", "text"], ["a", "Cough for days"], ["b", "=1+1"])
    made.active["A2"].comment = Comment("Ask again", "Dr. Who")
    made.create_sheet("Old").append(["x"])
    made["Old"].sheet_state = "hidden"
    documents = list(read(saved(made), "a.xlsx", report=(report := LoadReport())))
    assert (documents[-1].id, documents[-1].text) == ("a.xlsx#comments", "A2: Ask again")
    said = {(finding.part, finding.outcome) for finding in report.findings}
    assert {("Old", "left out"), ("", "refused")} <= said
    assert any("1 formulas without a value" in finding.reason for finding in report.findings)


def test_a_cell_far_away_from_the_others_costs_nothing():
    made = book(["id", "text", "seen"], ["a", "Cough for days", "x"])
    made.active["XFD2"] = "far"
    (document,) = read(saved(made), "a.xlsx", report=LoadReport())
    assert len(document.metadata) < 10


def test_more_cells_than_a_chart_has_are_refused(monkeypatch):
    monkeypatch.setattr(xlsx, "MAX_CELLS", 10)
    with pytest.raises(UnreadableFileError, match="over 10 cells"):
        list(read(saved(book(*[["a", "b", "c"]] * 9)), "a.xlsx"))


@pytest.mark.parametrize(
    "part", ["xl/workbook.xml", "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/styles.xml"]
)
@pytest.mark.parametrize("text", ["", "<a", ENTITY + "<a>&b;</a>", "<a/>"])
def test_a_damaged_part_gives_notes_or_an_error_that_names_the_file(part, text):
    data, out = saved(book(["id", "text"], ["a", "Cough for days"])), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, text if name == part else old.read(name))
    documents = list(read(out.getvalue(), "a.xlsx", report=(report := LoadReport())))
    assert documents or report.findings
    assert all("passwd" not in document.text and "root:" not in document.text for document in documents)
