"""A PDF: what its forms were filled with, which of its pages say nothing and why, words whole at the ends of lines."""

from __future__ import annotations

import io
import logging

import pytest

from bedside import Collection
from bedside.errors import UnreadableFileError
from bedside.loaders import LoadReport, pdf_page, read
from bedside.loaders.hyphens import joined

HELVETICA = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
UNMAPPED = (
    b"<< /Type /Font /Subtype /Type0 /BaseFont /ABCDEF+Arial /Encoding /Identity-H /DescendantFonts "
    b"[<< /Type /Font /Subtype /CIDFontType2 /BaseFont /ABCDEF+Arial /DW 500 >>] >>"
)
PICTURE = (
    b"<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /BitsPerComponent 8 /ColorSpace /DeviceGray /Length 1 >>\n"
    b"stream\n0\nendstream"
)
SCAN = b"q 612 0 0 792 0 0 cm /Im Do Q"


def shown(*lines: str) -> bytes:
    """Drawing operations that show lines of text."""
    written = " ".join(f"({line}) Tj T*" for line in lines)
    return f"BT /F1 11 Tf 14 TL 50 740 Td {written} ET".encode("cp1252")


def pdf(*pages: bytes, annotations: tuple[bytes, ...] = (), font: bytes = HELVETICA, catalog: bytes = b"") -> bytes:
    """A PDF of pages that draw something; the annotations are on the first."""
    objects = [b"", b"", font, PICTURE]
    numbers = []
    for content in pages:
        notes = b" ".join(annotations) if not numbers else b""
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R /Annots [%s] /Resources "
            b"<< /Font << /F1 3 0 R >> /XObject << /Im 4 0 R >> >> >>" % (len(objects), notes)
        )
        numbers.append(len(objects))
    kids = b" ".join(b"%d 0 R" % number for number in numbers)
    objects[0] = b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalog
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (len(numbers), kids)
    out = io.BytesIO()
    out.write(b"%PDF-1.4\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    out.write(b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table))
    out.write(b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, start))
    return out.getvalue()


def field(place: int, fields: bytes) -> bytes:
    return b"<< /Type /Annot /Subtype /Widget /Rect [100 %d 200 %d] %s >>" % (place, place + 12, fields)


def loaded(data: bytes) -> tuple[list[str], dict, LoadReport]:
    """The lines of the one note, its metadata, and the report."""
    report = LoadReport()
    (document,) = read(data, "a.pdf", report=report)
    return document.text.split("\n"), document.metadata, report


def test_what_was_filled_into_a_form_stands_at_the_end_of_its_page_as_a_person_sees_it():
    fields = (
        field(500, b"/FT /Tx /T (b1) /TU (Blood pressure) /V (142/91)"),
        field(600, b"/FT /Tx /T (allergies) /V <FEFF00700065006E0069006300690C31>"),
        field(400, b"/FT /Btn /T (Diabetes) /V /Yes /AS /Yes"),
        field(390, b"/FT /Btn /T (Asthma) /AS /Off"),
        field(380, b"/AS /2 /Parent << /FT /Btn /Ff 32768 /T (Smoker) /Opt [(never) (ex) (current)] /V /2 >>"),
        field(370, b"/AS /Off /Parent << /FT /Btn /Ff 32768 /T (Smoker) /V /2 >>"),
        field(360, b"/FT /Ch /T (Ward) /Opt [[(w1) (ICU)] [(w2) (CCU)]] /V (w2)"),
        field(350, b"/FT /Ch /T (Signs) /V [(cough) (fever)]"),
        field(340, b"/FT /Tx /T (empty) /V ()"),
        field(330, b"/FT /Tx /T (pin) /Ff 8192 /V (1234)"),
        field(320, b"/FT /Tx /T (gone) /F 2 /V (hidden)"),
        field(310, b"/FT /Btn /Ff 65536 /T (Print)"),
        b"<< /Type /Annot /Subtype /FreeText /Rect [0 100 9 110] /Contents (Typed on it.) >>",
        b"<< /Type /Annot /Subtype /Text /Rect [0 90 9 99] /Contents (Ask again.) >>",
        b"<< /Type /Annot /Subtype /Link /Rect [0 80 9 89] /Contents (a link) >>",
    )
    lines, _, report = loaded(pdf(shown("INTAKE FORM"), shown("Last page."), annotations=fields))
    assert lines == [
        *("INTAKE FORM", "allergies: penici\u0c31", "Blood pressure: 142/91", "[x] Diabetes", "[ ] Asthma"),
        *(
            "Smoker: current",
            "Ward: CCU",
            "Signs: cough, fever",
            "Typed on it.",
            "[comment: Ask again.]\fLast page.",
            "",
        ),
    ]
    assert report.is_complete


def test_a_form_that_only_its_maker_can_draw_is_refused():
    with pytest.raises(UnreadableFileError, match="XFA"):
        list(read(pdf(shown("Please wait..."), catalog=b"/AcroForm << /XFA (x) /Fields [] >>"), "a.pdf"))


def test_pages_that_hold_no_text_are_named_unless_they_are_empty():
    curves = b"0 0 m " + b"1 1 2 2 3 3 c " * 50 + b"f"
    pages = (shown("Cover."), SCAN, b"q Q 0 0 m 9 9 l S", b"", curves, SCAN + shown("FAX 2024-03-01 p. 2"))
    lines, metadata, report = loaded(pdf(*pages))
    assert "\n".join(lines).replace("\n", "") == "Cover.\f\f\f\f\fFAX 2024-03-01 p. 2"
    assert metadata["pages_without_text"] == [2, 5, 6]
    assert [finding.part for finding in report.findings] == ["page 2", "page 5", "page 6"]
    assert not report.is_complete
    with pytest.raises(UnreadableFileError, match=r"a\.pdf: page 2"):
        list(read(pdf(*pages), "a.pdf", strict=True))


def test_a_scan_whose_text_was_recognised_is_no_scan():
    assert loaded(pdf(SCAN + b" 3 Tr " + shown("Rest.")))[2].is_complete


@pytest.mark.parametrize("font", [HELVETICA, UNMAPPED])
def test_a_page_in_a_font_without_a_map_is_refused_and_the_others_are_read(font):
    garbled = b"BT /F1 11 Tf 50 740 Td <0001000200030004000500060007> Tj ET"
    with pytest.raises(UnreadableFileError, match="no page can be read: a font without a map"):
        list(read(pdf(garbled, font=font), "a.pdf"))
    if font is HELVETICA:
        lines, metadata, report = loaded(pdf(shown("Cough."), garbled))
        assert (lines[0].strip("\f"), metadata["pages_without_text"]) == ("Cough.", [2])
        assert [str(finding) for finding in report.findings] == [
            "a.pdf: page 2: a font without a map: its characters cannot be told"
        ]


def test_a_page_that_is_damaged_takes_no_other_along():
    lines, metadata, report = loaded(pdf(shown("Cough."), b"BT " + b"[" * 100_000 + b" ET", shown("Rest.")))
    assert ("".join(lines), metadata["pages_without_text"]) == ("Cough.\f\fRest.", [2])
    assert [finding.part for finding in report.findings] == ["page 2"]


def test_a_sign_without_a_meaning_among_many_is_shown_and_said():
    lines, _, report = loaded(pdf(shown("Cough for three days, no fever; lungs clear to auscultation, rest. \\001")))
    assert lines[0].endswith("rest. \ufffd")
    assert [(finding.part, finding.outcome) for finding in report.findings] == [("page 1", "guessed")]


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("pneu-\nmonia with", "pneumonia\nwith"),
        ("Pneu- \nmonia", "Pneumonia"),
        ("pneu\u00ad\nmonia", "pneumonia"),
        ("non-\nsmoker today", "non-smoker\ntoday"),
        ("follow-\nup", "follow-up"),
        ("follow-\ning", "following"),
        ("X-\nray", "X-ray"),
        ("T-\ncell", "T-cell"),
        ("HER2-\nnegative", "HER2-negative"),
        ("COVID-\n19 test", "COVID-19\ntest"),
        ("5-\n10 mg", "5-10\nmg"),
        ("late-\nonset, and late-onset", "late-onset,\nand late-onset"),
        ("follow-\nup and followup", "followup\nand followup"),
        ("a neg-\n3. Rest", "a neg-\n3. Rest"),
        ("Culture: neg-\nBlood", "Culture: neg-\nBlood"),
        ("Plan -\nrest", "Plan -\nrest"),
        ("Lungenent-\nzündung", "Lungenentzündung"),
        ("a-b-\nc", "a-b-c"),
        ("-\n-\n", "-\n-\n"),
    ],
)
def test_a_word_broken_at_the_end_of_a_line_is_whole_and_what_may_be_two_things_stays(broken, whole):
    assert joined(broken) == whole


def test_a_word_broken_at_the_end_of_a_page_is_whole():
    lines, *_ = loaded(pdf(shown("lower lobe pneu-"), shown("monia with", "effusion."), shown("- Rest")))
    assert "\n".join(lines).split("\f")[0] == "lower lobe pneumonia"
    assert [page.split() for page in "\n".join(lines).split("\f")[1:]] == [["with", "effusion."], ["-", "Rest"]]


def test_a_broken_word_is_found_and_the_offsets_of_its_passage_are_those_of_the_note():
    data = pdf(shown("IMPRESSION: Findings suggest right lower lobe pneu-", "monia with a small effu-", "sion."))
    (document,) = read(data, "a.pdf")
    with Collection.open() as notes:
        notes.add_notes([document])
        (hit,) = notes.search("pneumonia effusion", mode="sparse")
        assert document.text[hit.metadata["start"] : hit.metadata["end"]] == hit.text


def test_a_million_lines_that_end_in_a_hyphen_end():
    assert joined("aa-\n" * 1_000_000).count("a") == 2_000_000


def test_pypdfs_logger_stays_as_the_program_set_it(caplog, capsys):
    logger = logging.getLogger("pypdf")
    before = (logger.level, list(logger.handlers), list(logger.filters), logger.disabled)
    damaged = pdf(shown("Rest.")).replace(b"startxref\n", b"startxref\n9")
    with caplog.at_level(logging.WARNING):
        list(read(damaged, "a.pdf"))
    assert (logger.level, logger.handlers, logger.filters, logger.disabled) == before
    assert any(record.name.startswith("pypdf") for record in caplog.records)


def test_a_file_that_draws_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(pdf_page, "MAX_OPERATIONS", 20)
    with pytest.raises(UnreadableFileError, match="drawing operations"):
        list(read(pdf(*(shown("Rest."),) * 9), "a.pdf"))
