"""RTF is what a reader sees of it, in every encoding that it names; what it cannot say is said."""

from __future__ import annotations

import pytest

from bedside.errors import UnreadableFileError
from bedside.loaders import LoadReport, read

FONTS = (
    rb"{\fonttbl{\f0\froman Times;}{\f1\fcharset2 Symbol;}{\f2\fcharset238 Arial CE;}{\f3\fcharset128 Gothic;}"
    rb"{\f4\fcharset2 Wingdings;}}"
)


def one(body: bytes, start: bytes = rb"{\rtf1\ansi") -> str:
    (document,) = read(start + b" " + body + b"}", "a.rtf")
    assert document.metadata == {"source": "a.rtf", "type": "rtf"}
    return document.text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb"Gr\'f6\'dfe 38,5 \'b0C", "Größe 38,5 °C"),
        (rb"\u8805?5 \u-3986?\uc2\u945??b\uc0\u946 c", "≥5 \uf06eαbβc"),
        (rb"\u-10179?\u-8704? smile", "😀 smile"),
        (FONTS + rb"5 {\f1 m}g {\f1\'b3} 2 {\f2 \'b9} {\f3\'82\'a0\'82}\'a2", "5 μg ≥ 2 ą あ�¢"),
        (FONTS + rb"{\f4\'fe} yes {\f4\'a8} no \f1\u-3987?", "☑ yes ☐ no μ"),
        (rb"10{\super 9}/L 10\super -3\nosupersub  m\up6 2\up0 x{\sub 2}", "10⁹/L 10⁻³ m²x2"),
        (rb"one\par two\line three\tab four\page five", "one\ntwo\nthree\tfour\n\nfive"),
        (rb"\emdash\endash\bullet\lquote x\rquote\~y\_z\-w\{\}\\", "—–•‘x’\u00a0y-zw{}\\"),
        (rb"\trowd\intbl A\par a\cell B\cell\row\intbl C\cell D\cell\row\pard End", "A a\tB\nC\tD\nEnd"),
        (rb"\strike old\strike0 new {\v hidden}{\deleted gone}{\striked1 x}\b bold\b0", "new bold"),
        (rb"\strike a\plain  b {\*\unknown x {y}}{\info{\title T}}{\stylesheet{\s1 Normal;}}c", "b c"),
        (
            rb"See{\footnote Only once.} {\field{\*\fldinst HYPERLINK x}{\fldrslt the link}}.",
            "See the link.\nOnly once.",
        ),
        (rb"{\header Ward 3}{\headerf Ward 3}{\footer p. \chpgn}Text{\*\annotation Why?}", "Text\nWard 3\np.\nWhy?"),
        (rb"a{\shp{\*\shpinst{\sp{\sn n}{\sv v}}{\shptxt In a box\par}}{\shprslt again}}b", "ab\nIn a box"),
        (rb"{\upr{old}{\*\ud{\u945?}}} {\*\htmltag &lt;}\htmlrtf <\htmlrtf0 5", "α <5"),
        (rb"\bin3 }}}a", "a"),
        (b"caf\xe9", "café"),
        (rb"{\listtext 1.\tab}Asthma", "1.\tAsthma"),
    ],
)
def test_every_sign_and_word_is_what_it_stands_for(body, text):
    with_report = list(read(rb"{\rtf1\ansi " + body + b"}", "a.rtf", report=LoadReport()))
    assert [document.text for document in with_report] == [text]


@pytest.mark.parametrize(
    ("form", "seen"),
    [
        (rb"\fftype1\ffres25\ffdefres1", "[x]"),
        (rb"\fftype1\ffres0\ffdefres1", "[ ]"),
        (rb"\fftype2\ffres1{\*\ffl never}{\*\ffl daily}", "daily"),
        (rb"\fftype2\ffres7{\*\ffl never}", ""),
        (rb"\fftype0{\*\ffname Text1}{\*\ffdeftext x}", ""),
    ],
)
def test_a_field_of_a_form_is_what_it_shows(form, seen):
    field = rb"{\field{\*\fldinst FORM {\*\formfield" + form + rb"}}{\fldrslt }} Smokes."
    assert one(field) == f"{seen} Smokes.".strip()


@pytest.mark.parametrize(
    ("start", "byte", "letter"),
    [
        (rb"{\rtf1\ansi\ansicpg1251", rb"\'e6", "ж"),
        (rb"{\rtf1\mac", rb"\'8a", "ä"),
        (rb"{\rtf1\pc", rb"\'84", "ä"),
        (rb"{\rtf1\ansi\ansicpg65001", rb"\'c3\'a4", "ä"),
        (rb"{\rtf1\ansi\ansicpg99999", rb"\'e4", "ä"),
        (rb"{\rtf1\ansi\deff7{\fonttbl{\f7\fcharset161 Greek;}}", rb"\'e1", "α"),
    ],
)
def test_a_code_page_is_believed(start, byte, letter):
    assert one(byte, start) == letter


def test_letters_that_are_written_as_utf8_are_read_as_such_and_said_to_be_a_guess():
    (document,) = read("{\\rtf1 Größe}".encode(), "a.rtf", report=(report := LoadReport()))
    assert document.text == "Größe"
    assert [finding.outcome for finding in report.findings] == ["guessed"]


@pytest.mark.parametrize(
    ("data", "text", "said"),
    [
        (rb"{\rtf1 Rest. {\b walk", "Rest. walk", "cut off: 2 groups"),
        (rb"{\rtf1\ansi a\'81b}", "a\ufffdb", "some characters are not cp1252"),
        (rb"{\rtf1 a{\pict 00ff}b}", "ab", "1 pictures"),
        (rb"{\rtf1 one}{\rtf1 two}", "onetwo", ""),
        (b"{\\rtf1 a\\'", "a", "cut off"),
    ],
)
def test_what_is_damaged_is_read_as_far_as_it_goes_and_said(data, text, said):
    (document,) = read(data, "a.rtf", report=(report := LoadReport()))
    assert document.text == text
    assert said in "".join(map(str, report.findings))
    assert bool(said) == bool(report.findings)


def test_too_many_groups_within_one_another_are_refused():
    with pytest.raises(UnreadableFileError, match="over 10000 groups"):
        one(b"{" * 10_001)


@pytest.mark.parametrize(
    "unit", [b"{\\b x}", b"\\'e4", b"}", b"\\u65?", b"\\*", b"\\bin", b"\\bin999 ", b"\\", b"{\\pict 0}"]
)
def test_fifty_thousand_of_anything_end(unit):
    """A second; with quadratic time this would not end."""
    documents = list(read(rb"{\rtf1 a" + unit * 50_000, "a.rtf", report=(report := LoadReport())))
    assert len(documents) == 1 or report.findings
