"""A page is what a reader sees of it: values of fields, raised numbers, rows; nothing hidden, struck out or glued."""

from __future__ import annotations

import pytest

from bedside.errors import UnreadableFileError
from bedside.loaders import html as html_loader
from bedside.loaders import read


def text(body: str, head: str = "") -> str:
    page = f"<!DOCTYPE html><html><head>{head}</head><body>{body}</body></html>"
    return "\n".join(document.text for document in read(page.encode(), "page"))


def lines(body: str, head: str = "") -> list[str]:
    return [line for line in text(f"{body}<p>End</p>", head).split("\n") if line][:-1]


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        ("WBC 7.2 x 10<sup>9</sup>/L", "WBC 7.2 x 10⁹/L"),
        ("10<sup>-3</sup> mol", "10⁻³ mol"),
        ("K<sup>+</sup> and SpO<sub>2</sub>", "K⁺ and SpO2"),
        ("on the 1<sup>st</sup>", "on the 1st"),
        ("aspirin<sup>a</sup>", "aspirin^a"),
        ("10<span style='vertical-align: super'>9</span>/L", "10⁹/L"),
        ("<i>10<sup><b>12</b></sup></i>/L", "10¹²/L"),
    ],
)
def test_what_is_raised_keeps_its_sense(body, seen):
    assert text(body) == seen


@pytest.mark.parametrize(
    ("field", "seen"),
    [
        ("<input value='142/91'>", "142/91"),
        ("<input type=date value=2024-03-01>", "2024-03-01"),
        ("<input type=hidden value=secret><input type=submit value=Save><input type=password value=x>", ""),
        ("<textarea rows=2>walks &lt; 1 km</textarea>", "walks < 1 km"),
        ("<select><option>never<option selected>current</select>", "current"),
        ("<select><option>never</option><option>current</option></select>", "never"),
        ("<select><option disabled>choose</option><option>current</option></select>", "current"),
        ("<select multiple><option>A</option><option selected>B</option><option selected>C</option></select>", "B, C"),
        ("<select size=3><option>A</option><option>B</option></select>", ""),
        ("<input type=checkbox checked>", "[x]"),
        ("<input type=RADIO>", "[ ]"),
        ("<output>12</output>", "12"),
        ("<meter value=3>3 of 10</meter>", "3"),
        ("<input list=l><datalist id=l><option>offered</option></datalist>", ""),
    ],
)
def test_a_field_is_the_value_that_a_person_sees(field, seen):
    assert text(f"<label>Field:</label>{field}") == f"Field: {seen}".strip()


def test_a_value_is_no_part_of_the_words_around_it():
    assert text("BP<input value=142/91>mmHg, pulse <input value=80>.") == "BP 142/91 mmHg, pulse 80."
    assert text("<input type=checkbox checked>Diabetes<input type=checkbox>Asthma") == "[x] Diabetes [ ] Asthma"


@pytest.mark.parametrize(
    "hidden",
    [
        "<del>X</del>",
        "<s>X</s>",
        "<strike>X</strike>",
        "<span style='text-decoration: LINE-THROUGH red'>X</span>",
        "<p hidden>X</p>",
        "<div style='display : none !important'><p>X</p></div>",
        "<span style='visibility:hidden'>X</span>",
        "<p class='a draft'>X</p>",
        "<p id=old>X</p>",
        "<dialog>X</dialog>",
        "<span style='font-size:0'>X</span><span style='opacity: 0'>X</span>",
        "<template>X</template>",
        "<!-- X --><script>X</script><style>X</style>",
    ],
)
def test_what_is_hidden_or_struck_out_is_left_out(hidden):
    style = "<style>/* a */ .draft, .b { color: red; display: none } #old{text-decoration:line-through}</style>"
    assert text(f"<p>Shown.</p>{hidden}<p>Last.</p>", style) == "Shown.\n\nLast."


def test_styles_for_paper_and_a_later_rule_hide_nothing():
    style = (
        "<style>@media print { .a {display:none} .b {display:none} } .c {display:none} .c {display:block}"
        "@media screen { .d {display:none} } @media (max-width: 9px) { .a {display:none} }</style>"
    )
    assert text("<i class=a>A</i> <i class=b>B</i><b class=c>C</b><p class=d>D</p>", style) == "A B\nC"


def test_blocks_are_never_glued():
    blocks = (
        "address article aside blockquote center dd details dialog div dl dt fieldset figcaption figure footer form"
    )
    blocks += " header li main nav ol p pre section summary ul caption legend"
    for name in blocks.split():
        opened = f"<{name} open>" if name == "dialog" else f"<{name}>"
        assert lines(f"Left{opened}Middle</{name}>Right") == ["Left", "Middle", "Right"], name
    assert lines("A<span style='display:block'>B</span>C<br>D") == ["A", "B", "C", "D"]
    assert lines("<style>li{display:inline}</style><ul><li>A </li><li>B</li></ul>") == ["A B"]


def test_a_table_keeps_its_rows_whatever_is_in_the_cells():
    table = (
        "<table><caption>Labs</caption><thead><tr><th><p>Test</p></th><th><div>Value</div></th></tr></thead><tbody>"
        "<tr><td><p>HbA1c</p></td><td>8.2<br>high</td></tr><tr><td></td><td>4.1</td><td>K</td></tr>"
        "<tr><td>Note<td>ends <b>here</b></table>"
    )
    assert lines(table) == ["Labs", "Test\tValue", "HbA1c\t8.2 high", "\t4.1\tK", "Note\tends here"]


def test_a_page_that_is_laid_out_in_a_table_keeps_its_lines():
    assert lines("<table><tr><td>Menu</td><td><h2>Plan</h2><p>Rest.</p><p>Walk.</p></td></tr></table>") == [
        *("Menu", "## Plan", "Rest.", "Walk.")
    ]
    inner = "<table><tr><td>K</td><td>4.1</td></tr><tr><td>Na</td><td>140</td></tr></table>"
    assert lines(f"<table><tr><td>Labs</td><td>{inner}</td></tr></table>") == ["Labs", "K\t4.1", "Na\t140"]
    assert lines("<table><tr><td>One.<br>Two.</td></tr></table>") == ["One.", "Two."]


def test_white_space_counts_where_the_page_says_so():
    assert lines("<div style='white-space: pre-wrap'>HPI:\n  Cough</div>") == ["HPI:", "Cough"]
    assert text("a <b> b</b>\n<i> c</i>") == "a b c"


def test_a_page_whose_head_never_ends_is_read():
    page = b"<html><head><title>Visit</title><body><p>Cough.</p>"
    (document,) = read(page, "page.html")
    assert (document.text, document.metadata["title"]) == ("Cough.", "Visit")


@pytest.mark.parametrize(
    "unit", ["<table><tr><td>", "<td>", "<tr>", "<sup>", "<select><option>", "<div>", "<textarea>"]
)
def test_a_page_nested_ten_thousand_deep_ends(unit):
    assert len(list(read(f"<html><p>Rest.</p>{unit * 10_000}x".encode(), "page.html"))) == 1


@pytest.mark.parametrize("sheet", ["{" * 100_000, "a" * 100_000, ".a{" * 100_000, "/*" * 100_000, "@media{" * 100_000])
def test_a_hostile_style_sheet_ends(sheet):
    assert text("Rest.", f"<style>{sheet}</style>") == "Rest."


def test_a_page_of_too_many_tags_is_refused(monkeypatch):
    monkeypatch.setattr(html_loader, "MAX_TAGS", 100)
    with pytest.raises(UnreadableFileError, match="over 100 tags"):
        text("<br>" * 100)
