"""A DOCX as a reader sees it, every part of it, whichever program wrote it."""

from __future__ import annotations

import io
import zipfile

import pytest

from bedside.errors import UnreadableFileError
from bedside.loaders import LoadReport, read

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
STRICT = "http://purl.oclc.org/ooxml/wordprocessingml/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
RELATED = "http://schemas.openxmlformats.org/package/2006/relationships"
W14 = "http://schemas.microsoft.com/office/word/2010/wordml"
MC = "http://schemas.openxmlformats.org/markup-compatibility/2006"
DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/diagram"


def part(name: str, inner: str, w: str = W) -> bytes:
    spaces = f'xmlns:w="{w}" xmlns:r="{R}" xmlns:w14="{W14}" xmlns:mc="{MC}" xmlns:dgm="{DRAWING}"'
    return f'<?xml version="1.0" encoding="UTF-8"?><w:{name} {spaces}>{inner}</w:{name}>'.encode()


def relations(kinds: dict[str, str], types: str = R) -> bytes:
    """The relationships from ids to parts: the id is the kind, with a number where there are several."""
    rows = "".join(
        f'<Relationship Id="{id}" Type="{types}/{id.rstrip("0123456789")}" Target="{name}"/>'
        for id, name in kinds.items()
    )
    return f'<Relationships xmlns="{RELATED}">{rows}</Relationships>'.encode()


def word(
    body: str, main: str = "word/document.xml", w: str = W, types: str = R, /, **parts: tuple[str, bytes]
) -> bytes:
    """A DOCX with a body and other parts, each given by its kind as its name and what is in it."""
    folder, _, file = main.rpartition("/")
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("_rels/.rels", relations({"officeDocument": main}, types))
        archive.writestr(main, part("document", f"<w:body>{body}</w:body>", w))
        archive.writestr(f"{folder}/_rels/{file}.rels", relations({id: name for id, (name, _) in parts.items()}, types))
        for name, data in parts.values():
            archive.writestr(f"{folder}/{name}", data)
    return out.getvalue()


def p(*runs: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr>{''.join(runs)}</w:p>"


def r(text: str, properties: str = "") -> str:
    return f'<w:r><w:rPr>{properties}</w:rPr><w:t xml:space="preserve">{text}</w:t></w:r>'


def text(data: bytes) -> str:
    (document,) = read(data, "letter.docx")
    return document.text


def lines(body: str, **parts: tuple[str, bytes]) -> list[str]:
    return text(word(body, **parts)).split("\n")


def test_notes_comments_headers_and_footers_are_text():
    def note(kind: str, words: str, id: int = 2) -> str:
        edge = f'<w:{kind} w:id="0" w:type="separator">{p(r("line"))}</w:{kind}>'
        return f'{edge if kind != "comment" else ""}<w:{kind} w:id="{id}">{p(r(words))}</w:{kind}>'

    body = (
        p(
            r("Takes aspirin"),
            *(f'<w:r><w:{kind}Reference w:id="2"/></w:r>' for kind in ("footnote", "endnote", "comment")),
        )
        + p(r("Rest."))
        + '<w:sectPr><w:headerReference w:type="default" r:id="header1"/><w:headerReference r:id="header2"/>'
        + '<w:footerReference r:id="footer1"/></w:sectPr>'
    )
    found = lines(
        body,
        footnotes=("footnotes.xml", part("footnotes", note("footnote", "stopped in May"))),
        endnotes=("endnotes.xml", part("endnotes", note("endnote", "by the GP"))),
        comments=("comments.xml", part("comments", note("comment", "ask again"))),
        header1=("header1.xml", part("hdr", p(r("Ward 7")))),
        header2=("header2.xml", part("hdr", p(r("Ward 7")))),
        footer1=("footer1.xml", part("ftr", p(r("Dr. Who")))),
    )
    assert found == [
        *("Ward 7", "", "Takes aspirin", "[footnote: stopped in May]", "[endnote: by the GP]", "[comment: ask again]"),
        *("Rest.", "", "Dr. Who"),
    ]


def test_tracked_changes_are_taken_as_accepted_and_what_is_struck_out_or_hidden_is_left_out():
    deleted = "<w:rPr><w:del/></w:rPr>"
    rows = (
        f"<w:tbl><w:tr><w:tc>{p(r('K'))}</w:tc><w:tc>{p(r('4.1'))}</w:tc></w:tr>"
        f"<w:tr><w:trPr><w:del/></w:trPr><w:tc>{p(r('Na'))}</w:tc></w:tr></w:tbl>"
    )
    body = (
        p(r("Takes "), f"<w:ins>{r('apixaban')}</w:ins>", "<w:del><w:r><w:delText>warfarin</w:delText></w:r></w:del>")
        + p(f"<w:moveFrom>{r('moved')}</w:moveFrom>", f"<w:moveTo>{r('moved')}</w:moveTo>")
        + p(r("one "), properties=deleted)
        + p(r("line"))
        + p(
            r("a"),
            r("b", "<w:strike/>"),
            r("c", '<w:strike w:val="0"/>'),
            r("d", "<w:vanish/>"),
            r("e", "<w:dstrike/>"),
        )
        + rows
    )
    assert lines(body) == ["Takes apixaban", "moved", "one line", "ac", "K\t4.1"]


def test_raised_numbers_symbols_and_formulas_keep_their_sense():
    up = '<w:vertAlign w:val="superscript"/>'
    symbols = '<w:rFonts w:ascii="Symbol" w:hAnsi="Symbol"/>'
    styles = part(
        "styles",
        '<w:style w:styleId="Up"><w:basedOn w:val="Base"/></w:style>'
        f'<w:style w:styleId="Base"><w:rPr>{up}</w:rPr></w:style>',
    )
    body = (
        p(r("10"), r("9", up), r("/L, 10"), r("12", '<w:rStyle w:val="Up"/>'))
        + p('<w:r><w:sym w:font="Symbol" w:char="F0B3"/><w:t> 92 </w:t><w:sym w:font="Wingdings" w:char="F0FE"/></w:r>')
        + p(r("5 m", symbols))
        + p("<w:sSup><w:e><w:t>10</w:t></w:e><w:sup><w:t>-3</w:t></w:sup></w:sSup>")
        + p("<w:f><w:num><w:t>1</w:t></w:num><w:den><w:t>2</w:t></w:den></w:f>")
    )
    assert lines(body, styles=("styles.xml", styles)) == ["10⁹/L, 10¹²", "≥ 92 ☑", "5 μ", "10⁻³", "1/2"]


def field(data: str) -> str:
    return f'<w:r><w:fldChar w:fldCharType="begin"><w:ffData>{data}</w:ffData></w:fldChar></w:r>'


def control(properties: str, content: str) -> str:
    return f"<w:sdt><w:sdtPr>{properties}</w:sdtPr><w:sdtContent>{content}</w:sdtContent></w:sdt>"


@pytest.mark.parametrize(
    ("filled", "seen"),
    [
        (field("<w:checkBox><w:default w:val='0'/><w:checked/></w:checkBox>"), "[x]"),
        (field("<w:checkBox><w:default w:val='1'/></w:checkBox>"), "[x]"),
        (field("<w:checkBox><w:default w:val='1'/><w:checked w:val='0'/></w:checkBox>"), "[ ]"),
        (field("<w:ddList><w:result w:val='1'/><w:listEntry w:val='no'/><w:listEntry w:val='yes'/></w:ddList>"), "yes"),
        (field("<w:ddList><w:listEntry w:val='no'/><w:listEntry w:val='yes'/></w:ddList>"), "no"),
        (field("<w:ddList><w:result w:val='9'/><w:listEntry w:val='no'/></w:ddList>"), ""),
        (field("<w:textInput/>") + "<w:r><w:instrText>FORMTEXT</w:instrText></w:r>" + r("142/91"), "142/91"),
        (control("<w14:checkbox><w14:checked w14:val='1'/></w14:checkbox>", r("\u2612")), "[x]"),
        (control("<w14:checkbox><w14:checked w14:val='0'/></w14:checkbox>", r("\u2610")), "[ ]"),
        (control("<w:dropDownList/>", r("current")), "current"),
        (control("<w:showingPlcHdr/><w:text/>", r("Click or tap here to enter text.")), ""),
    ],
)
def test_a_field_of_a_form_is_the_value_that_a_person_sees(filled, seen):
    assert lines(p(r("Field: "), filled)) == [f"Field: {seen}".strip()]


def test_text_boxes_are_text_once_whatever_draws_them():
    box = f"<w:txbxContent>{p(r('box'))}</w:txbxContent>"
    twins = "<mc:AlternateContent><mc:Choice>{}</mc:Choice><mc:Fallback>{}</mc:Fallback></mc:AlternateContent>"
    for drawn in (box, f"<w:pict>{box}</w:pict>", twins.format(box, box), twins.format("", box)):
        assert lines(p(r("beside"), f"<w:r>{drawn}</w:r>") + p(r("below"))) == ["beside", "box", "below"]


def test_a_diagram_is_its_words():
    data = part("dataModel", "<dgm:pt><dgm:t><w:t>Admit</w:t></dgm:t></dgm:pt><dgm:pt><w:t>Treat</w:t></dgm:pt>")
    body = p("<w:r><w:drawing><dgm:relIds r:dm='diagramData1'/></w:drawing></w:r>") + p(r("End"))
    assert lines(body, diagramData1=("data1.xml", data)) == ["Admit", "Treat", "End"]


def test_a_file_within_is_read_where_it_stands_and_one_that_cannot_be_is_named():
    body = p(r("Before")) + "".join(f'<w:altChunk r:id="aFChunk{n}"/>' for n in (1, 2, 3)) + p(r("After"))
    data = word(
        body,
        aFChunk1=("part1.html", b"<html><p>HbA1c <b>8.2</b> %</p></html>"),
        aFChunk2=("part2.docx", word(p(r("Inner")))),
        aFChunk3=("part3.pdf", b"%PDF-1.7 damaged"),
    )
    report = LoadReport()
    (document,) = read(data, "letter.docx", report=report)
    assert document.text.split("\n") == ["Before", "HbA1c 8.2 %", "Inner", "After"]
    assert [(finding.part, finding.outcome) for finding in report.findings] == [("word/part3.pdf", "refused")]
    with pytest.raises(UnreadableFileError, match=r"letter\.docx: word/part3\.pdf"):
        list(read(data, "letter.docx", strict=True))


def test_a_damaged_part_takes_no_other_along():
    report = LoadReport()
    data = word(p(r("Rest.")), footnotes=("footnotes.xml", b"<a"), styles=("styles.xml", b"\xff\xfe\xff"))
    (document,) = read(data, "letter.docx", report=report)
    assert document.text == "Rest."
    assert [finding.part for finding in report.findings] == ["styles", "footnotes"]


@pytest.mark.parametrize(
    ("main", "w", "types"),
    [
        ("word/document2.xml", W, R),
        ("word/document.xml", STRICT, "http://purl.oclc.org/ooxml/officeDocument/relationships"),
    ],
)
def test_a_body_of_another_name_and_strict_open_xml_are_read(main, w, types):
    assert text(word(p(r("Rest.")), main, w, types)) == "Rest."


def test_headings_are_known_by_their_styles_and_levels():
    styles = part(
        "styles",
        '<w:style w:styleId="berschrift2"><w:name w:val="heading 2"/></w:style>'
        '<w:style w:styleId="Mine"><w:name w:val="Clinic"/><w:basedOn w:val="berschrift2"/></w:style>',
    )
    body = (
        p(r("Plan"), properties='<w:pStyle w:val="berschrift2"/>')
        + p(r("Labs"), properties='<w:pStyle w:val="Mine"/>')
        + p(r("Note"), properties='<w:outlineLvl w:val="0"/>')
        + p(properties='<w:pStyle w:val="Mine"/>')
        + p(r("Rest."))
    )
    assert lines(body, styles=("styles.xml", styles)) == ["## Plan", "", "## Labs", "", "# Note", "", "Rest."]


def test_a_table_keeps_its_rows_and_one_that_lays_out_the_page_its_lines():
    def row(*cells: str) -> str:
        return f"<w:tr>{''.join(f'<w:tc>{cell}</w:tc>' for cell in cells)}</w:tr>"

    values = f"<w:tbl>{row(p(r('K')), p(r('4.1')) + p(r('high')))}{row(p(), p(r('140')))}</w:tbl>"
    assert lines(values + p(r("End"))) == ["K\t4.1 high", "\t140", "End"]
    layout = f"<w:tbl>{row(p(r('Ward')), values + p())}</w:tbl>"
    assert [line for line in lines(layout) if line] == ["Ward", "K\t4.1 high", "\t140"]


def test_a_reference_that_leads_nowhere_or_outside_is_harmless():
    outside = (
        f'<Relationships xmlns="{RELATED}">'
        f'<Relationship Id="x" Type="{R}/aFChunk" TargetMode="External" Target="file:///etc/passwd"/>'
        f'<Relationship Id="y" Type="{R}/aFChunk" Target="../../../etc/passwd"/></Relationships>'
    )
    data = io.BytesIO(word(p(r("Rest.")) + '<w:altChunk r:id="x"/><w:altChunk r:id="y"/><w:altChunk r:id="z"/>'))
    out = io.BytesIO()
    with zipfile.ZipFile(data) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, outside if name == "word/_rels/document.xml.rels" else old.read(name))
    report = LoadReport()
    assert [document.text for document in read(out.getvalue(), "a.docx", report=report)] == ["Rest."]
    assert [finding.reason for finding in report.findings] == ["only linked to"]


@pytest.mark.parametrize(
    "unit", ["<w:p>", "<w:tbl><w:tr><w:tc>", "<w:sdt><w:sdtContent>", "<mc:AlternateContent><mc:Choice>"]
)
def test_a_document_nested_without_end_ends(unit):
    closing = "".join(f"</{name[1:]}" for name in reversed(unit.replace(">", "> ").split()))
    assert text(word(p(r("Rest.")) + unit * 10_000 + closing * 10_000)).strip() == "Rest."


def test_a_footnote_that_is_referred_to_a_hundred_thousand_times_is_written_once():
    notes = part("footnotes", f'<w:footnote w:id="2">{p(r("stopped"))}</w:footnote>')
    body = p(r("Rest."), '<w:r><w:footnoteReference w:id="2"/></w:r>' * 100_000)
    assert lines(body, footnotes=("footnotes.xml", notes)) == ["Rest.", "[footnote: stopped]"]
