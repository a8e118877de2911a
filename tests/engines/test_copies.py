"""Copies: a hit that says the same again is shown with the better one, and no sentence is lost."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside import Collection, Document, load_encoder
from bedside.analysis.duplicates import duplicates
from bedside.audit import AuditLog, acting_as
from bedside.types import Copy
from engines.charts import chart, said
from engines.conftest import Open

DAY = (
    "Slept well, eats a normal diet and walks to the end of the hall twice a day without any help, wound dry, "
    "drain removed this morning, no fever overnight, bowels open, pain controlled with paracetamol four times a day"
)


def words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text.casefold())


def similarity(one: str, other: str) -> float:
    a, b = ({tuple(w[i : i + 5]) for i in range(max(len(w) - 4, 1))} for w in (words(one), words(other)))
    return len(a & b) / len(a | b)


def filled(open_: Open, documents: list[Document], **options: Any) -> Collection:
    notes = open_(**options)
    notes.add(documents)
    return notes


@pytest.mark.parametrize("mode", ["dense", "sparse", "hybrid"])
def test_a_hit_tells_of_its_copies_and_when_they_were_seen_first_and_last(open_: Open, mode) -> None:
    documents = [
        Document(f"PROGRESS: {DAY}", {"date": "2024-03-02", "source": "b.txt"}, "tue", [1, 1]),
        Document(f"Progress - {DAY.upper()}.", {"date": "2024-03-01"}, "mon", [1, 1.1]),
        Document(f"PROGRESS: {DAY}", {"date": "2024-03", "source_id": "n", "source_hash": "x"}, "n#0", [1, 1.2]),
        Document(f"PROGRESS: {DAY}", {}, "undated", [1, 1.3]),
        Document("Discharge letter, all well.", {"date": "2024-03-09"}, "letter", [1, 2]),
    ]
    notes = filled(open_, documents)
    ask: dict[str, Any] = {"vector": [1, 1], "mode": mode}
    plain = notes.search("who walks the hall", **ask)
    hits = notes.search("who walks the hall", **ask, collapse="copies")
    first = hits[0]
    assert {first.id, *(copy.id for copy in first.copies)} == {"tue", "mon", "n#0", "undated"}
    assert (first.first_seen, first.last_seen) in {("2024-03-01", "2024-03-02"), ("2024-03", "2024-03-02")}
    known = {
        "tue": Copy("tue", "b.txt", "2024-03-02"),
        "mon": Copy("mon", None, "2024-03-01"),
        "n#0": Copy("n#0", "n", "2024-03"),
        "undated": Copy("undated", None, None),
    }
    assert all(copy == known[copy.id] for copy in first.copies)
    assert [(hit.id, hit.score) for hit in hits] == [
        (hit.id, hit.score) for hit in plain if hit.id not in {copy.id for copy in first.copies}
    ]
    if mode != "sparse":
        assert (hits[1].id, hits[1].copies, hits[1].first_seen, hits[1].last_seen) == (
            "letter", (), "2024-03-09", "2024-03-09")  # fmt: skip


@pytest.mark.parametrize("mode", ["sparse", "hybrid"])
@pytest.mark.parametrize("seed", range(2))
def test_a_hit_is_a_copy_of_the_best_that_it_is_nearly_the_same_as_or_stands_for_itself(
    open_: Open, mode, seed
) -> None:
    draw = random.Random(seed)
    documents = chart(draw, 8, 0.7)
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(len(documents), 5)).astype(np.float32)
    notes = filled(open_, [Document(d.text, d.metadata, d.id, v) for d, v in zip(documents, vectors, strict=True)])
    texts = {document.id: document.text for document in documents}
    for question in ("current medications and doses", "blood pressure and weight", "creatinine today"):
        ask: dict[str, Any] = {"vector": rng.normal(size=5), "mode": mode, "top_k": 200, "fetch_k": 200}
        plain = notes.search(question, **ask)
        hits = notes.search(question, **ask, collapse="copies")
        place = {hit.id: i for i, hit in enumerate(plain)}
        shown = [hit.id for hit in hits]
        assert shown == sorted(shown, key=place.__getitem__)
        assert sorted([*shown, *(copy.id for hit in hits for copy in hit.copies)]) == sorted(place)
        for hit in hits:
            for copy in hit.copies:
                assert place[copy.id] > place[hit.id]
                assert similarity(texts[copy.id], hit.text) >= 0.8
        apart = [(a, b) for i, b in enumerate(shown) for a in shown[:i] if similarity(texts[a], texts[b]) >= 0.8]
        for a, b in apart:  # only for a sentence of its own
            assert set(said(Document(texts[b]))) - set(said(Document(texts[a])))


CHARTS = [(count, copied) for count in (5, 12, 20) for copied in (0.6, 0.75, 0.9)]
"""Days, and the share of sections that each day copies."""
QUESTIONS = [
    *("What medications does the patient take?", "blood pressure and heart rate", "history of present illness"),
    *("family history", "laboratory results", "social history smoking", "plan for the next days", "allergies"),
]


def facts(notes: Collection, question: str, **options: Any) -> int:
    """Return how many sentences the five best hits say, each counted once."""
    return len({sentence for hit in notes.search(question, top_k=5, **options) for sentence in said(hit.document)})


def test_copies_make_room_for_twice_as_many_facts_in_the_first_five(open_: Open) -> None:
    plain, collapsed = [], []
    for seed, (count, copied) in enumerate(CHARTS):
        notes = filled(open_, chart(random.Random(seed), count, copied), encoder=load_encoder("bedside/static"))
        for question in QUESTIONS:
            plain.append(facts(notes, question))
            collapsed.append(facts(notes, question, collapse="copies"))
    assert np.mean(collapsed) >= 2 * np.mean(plain), (np.mean(collapsed), np.mean(plain))


def lost(notes: Collection, sentences: Sequence[str]) -> list[str]:
    """Return the sentences that no hit for their own words holds."""
    ask: dict[str, Any] = {"mode": "sparse", "collapse": "copies", "assertion": "any"}
    return [each for each in sentences if not any(each in said(hit.document) for hit in notes.search(each, **ask))]


@pytest.mark.parametrize(("count", "copied"), CHARTS)
def test_every_sentence_of_a_chart_is_found_by_its_own_words(count, copied) -> None:
    with Collection.open() as notes:
        documents = chart(random.Random(count), count, copied)
        notes.add(documents)
        assert lost(notes, sorted({sentence for document in documents for sentence in said(document)})) == []


def test_sentences_are_found_by_their_own_words_on_every_engine(open_: Open) -> None:
    documents = chart(random.Random(3), 10, 0.8)
    every = sorted({sentence for document in documents for sentence in said(document)})
    assert lost(filled(open_, documents), every[::4]) == []


def test_a_page_is_filled_with_what_is_no_copy_and_pages_do_not_overlap(open_: Open) -> None:
    draw = random.Random(5)
    stories = [" ".join(["hall", *draw.choices(words(DAY), k=30)]) for _ in range(6)]
    notes = filled(open_, [Document(stories[i % 6], {"story": i % 6}, str(i)) for i in range(60)])
    ask: dict[str, Any] = {"mode": "sparse", "collapse": "copies", "top_k": 2}
    pages = [notes.search("hall", offset=offset, **ask) for offset in (0, 2, 4, 6)]
    assert [len(page) for page in pages] == [2, 2, 2, 0]
    assert {hit.metadata["story"] for page in pages for hit in page} == set(range(6))
    assert {len(hit.copies) for page in pages for hit in page} == {9}


def test_copies_of_another_scope_are_never_shown(open_: Open) -> None:
    notes = open_(scope_keys=["patient"])
    for patient in ("A", "B"):
        notes.scoped(patient=patient).add([Document(DAY, {"date": f"2024-03-0{i}"}, f"{patient}{i}") for i in (1, 2)])
    (hit,) = notes.scoped(patient="A").search("hall", mode="sparse", collapse="copies")
    assert {hit.id, *(copy.id for copy in hit.copies)} == {"A1", "A2"}


def test_the_audit_log_names_the_copies_that_a_search_tells_of(open_: Open, tmp_path: Path) -> None:
    audit = AuditLog(tmp_path / "audit", key=bytes(range(32)))
    notes = open_(audit=audit)
    with acting_as("dr.x"):
        notes.add([Document(DAY, {}, id) for id in ("mon", "tue", "wed")])
        notes.search("hall", mode="sparse", top_k=1, collapse="copies")
    assert set(list(audit.entries())[-1]["ids"]) == {audit.names.name("id", id) for id in ("mon", "tue", "wed")}


def test_what_differs_by_a_sign_or_a_number_that_is_asked_for_is_no_copy(open_: Open) -> None:
    texts = {"a": f"{DAY}. SpO2 > 90 % on air.", "b": f"{DAY}. SpO2 < 90 % on air.", "c": f"{DAY}. SpO2 94 % on air."}
    notes = filled(open_, [Document(text, {}, id) for id, text in texts.items()])
    assert {hit.id for hit in notes.search("SpO2 on air", mode="sparse", collapse="copies")} == set(texts)
    assert len(notes.search("pain with paracetamol", mode="sparse", collapse="copies")) == 1


def test_the_search_and_duplicates_agree_on_what_is_the_same(open_: Open) -> None:
    documents = chart(random.Random(7), 6, 0.7)
    notes = filled(open_, documents)
    pairs = {frozenset((pair.first, pair.second)) for group in duplicates(notes) for pair in group.pairs}
    hits = notes.search(" ".join(d.text for d in documents), mode="sparse", top_k=500, fetch_k=500, collapse="copies")
    collapsed = {frozenset((hit.id, copy.id)) for hit in hits for copy in hit.copies}
    assert collapsed
    assert collapsed <= pairs


def test_notes_that_say_the_same_about_the_question_are_one_hit_with_its_dates(open_: Open) -> None:
    notes = open_()
    for day in range(1, 6):
        labs = f"LABS: Potassium {3 + day / 10:.1f} mmol/L on the morning of day {day}, to be repeated."
        notes.add_note(f"PROGRESS: {DAY}.\n\n{labs}", id=f"day-{day}", metadata={"date": f"2024-03-0{day}"})
    notes.add_note("LETTER: Walks the hall, discharged.", id="letter", metadata={"date": "2024-03-09"})
    ask: dict[str, Any] = {"mode": "sparse", "collapse": "copies"}
    first, letter = sorted(notes.search_notes("who walks to the end of the hall", **ask), key=lambda hit: hit.id)
    assert letter.id == "letter"
    assert {first.id, *(copy.source for copy in first.copies)} == {f"day-{day}" for day in range(1, 6)}
    assert (first.first_seen, first.last_seen) == ("2024-03-01", "2024-03-05")
    assert len(notes.search_notes("potassium", **ask)) == 5  # each day's is another one
    newest = notes.search_notes("potassium", newest_first=True, top_k=3, **ask)
    assert [hit.metadata["date"] for hit in newest] == sorted((h.metadata["date"] for h in newest), reverse=True)
    pages = [notes.search_notes("potassium", top_k=2, offset=offset, **ask) for offset in (0, 2, 4)]
    assert sorted(hit.id for page in pages for hit in page) == [f"day-{day}" for day in range(1, 6)]
