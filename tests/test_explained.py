"""An explained search as a page."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside import Collection, Document, Hit
from bedside.analysis.explained import explanation_page, pieces, save_explanation
from bedside.errors import InvalidInputError
from bedside.text.tokenizer import ClinicalTokenizer
from command_line import bedside, json_lines

TOKENIZER = ClinicalTokenizer()
TEXTS = ["Denies chest pain; <script>alert(1)</script> cough & fever.", "Chest pain since Monday."]


@pytest.fixture
def notes():
    with Collection.open() as made:
        made.add([Document(text, {"section": "<b>HPI</b>"}, id=f"n{i}") for i, text in enumerate(TEXTS)])
        yield made


@given(st.text(), st.text())
def test_the_pieces_of_a_passage_are_its_text(text, query):
    assert (
        "".join(piece.text for piece in pieces(text, dict.fromkeys(TOKENIZER.tokenize(query), 1.0), TOKENIZER)) == text
    )


def test_words_of_the_question_negations_and_what_they_deny_are_marked():
    found = pieces("No fever. Denies chest pain, has a cough.", {"chest": 1.5, "cough": 2.0}, TOKENIZER)
    assert [piece.text for piece in found if piece.cue] == ["No", "Denies"]
    assert "".join(piece.text for piece in found if piece.negated) == "feverchest pain"
    assert [(piece.text, piece.terms) for piece in found if piece.terms] == [
        ("chest", "chest 1.5000"), ("cough", "cough 2.0000")
    ]  # fmt: skip


def test_the_page_loads_nothing_runs_nothing_and_escapes_texts_and_metadata(notes):
    page = explanation_page("<i>chest</i> pain", notes.search("chest pain", explain=True, assertion="any"), notes.facts)
    assert not re.search(r"<script|<i>|<b>HPI|https?://|src=|@import|url\(", page)
    assert TEXTS[0] in html.unescape(re.sub(r"<[^>]+>", "", page))
    assert "default-src 'none'" in page


def test_the_parts_on_the_page_sum_to_the_score(notes):
    hits = notes.search("chest pain", explain=True, assertion="any")
    page = explanation_page("chest pain", hits, notes.facts)
    for article, hit in zip(page.split("<article>")[1:], hits, strict=True):
        assert f"<b>{hit.score:.4f}</b>" in article
        parts = [float(part) for part in re.findall(r"<td>([+-][\d.]+)</td>", article)]
        assert sum(parts) == pytest.approx(hit.score, abs=2e-4)


def test_hits_without_explanation_are_refused_and_none_at_all_are_said(notes):
    with pytest.raises(InvalidInputError, match="explain=True"):
        explanation_page("pain", notes.search("chest pain"), notes.facts)
    assert "No document was found." in explanation_page("pain", [])
    assert isinstance(notes.search("pain", explain=True)[0], Hit)


def test_search_writes_the_page_readable_by_its_owner_alone(tmp_path):
    ward, page = tmp_path / "ward", tmp_path / "why.html"
    bedside("add", ward, "-", stdin=json_lines([{"text": text, "id": f"n{i}"} for i, text in enumerate(TEXTS)]))
    bedside("search", ward, "chest pain", "--assertion", "any", "--explain-html", page)
    assert 'class="cue">Denies</span>' in page.read_text("utf-8")
    assert page.stat().st_mode & 0o077 == 0
    assert save_explanation(page, None, []) == page
