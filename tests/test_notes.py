"""Notes: split and stored as passages, given back whole, found as notes, replaced and deleted as one."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedside import Collection, Document, load_encoder
from bedside.errors import (
    BedsideError,
    BedsideWarning,
    BrokenNoteError,
    DuplicateIdError,
    InvalidDocumentError,
    InvalidInputError,
    ScopeRequired,
    UnknownOptionError,
)
from bedside.notes import context
from bedside.search.options import NOTE_OPTIONS, OPTIONS
from bedside.text.split import NoteSplitter, estimate_tokens

NOTE = (
    "HPI:\tCough for 3 days. " + "He walks daily. " * 60 + "\r\nFAMILY HISTORY: Mother had a stroke 😀. "
    + "No other disease is known in the family. " * 60 + "\r\nPLAN: Rest and fluids.  \n"
)  # fmt: skip
BITS = [
    *("HPI: ", "PLAN:\r\n", "\t", "\r\n", "\n\n", "😀", "No pain. ", "No pain. ", "2.5 mg ", "é", "\u2028", "\x00"),
    "ASSESSMENT AND PLAN\n",
]
KEYS = {"source_id", "start", "end", "section", "section_kind", "source_hash"}


class Counting:
    """An encoder that counts what it is given to encode."""

    name, fingerprint, dimension = "counting", "counting-1", 8

    def __init__(self):
        self.encoded = 0
        self.fails = False

    def encode_documents(self, texts):
        if self.fails:
            raise RuntimeError("out of memory")
        self.encoded += len(texts)
        return np.stack([np.random.default_rng(len(text)).standard_normal(8).astype(np.float32) for text in texts])

    encode_queries = encode_documents


@pytest.fixture
def notes():
    with Collection.open(encoder=Counting()) as collection:
        yield collection


@pytest.fixture(scope="module")
def meaning():
    return load_encoder("bedside/static")


# -- adding --------------------------------------------------------------------------------------------------------


def test_a_note_comes_back_character_for_character_and_each_passage_is_its_slice(notes):
    assert notes.add_note(NOTE, id="v1", metadata={"year": 2024}) == "added"
    assert notes.get_note("v1") == Document(NOTE, {"year": 2024}, "v1")
    passages = notes.get(filter={"source_id": "v1"})
    assert len(passages) > 3
    for passage in passages:
        assert NOTE[passage.metadata["start"] : passage.metadata["end"]] == passage.text
        assert passage.metadata.keys() == KEYS | {"year"}
    named = {(passage.metadata["section"], passage.metadata["section_kind"]) for passage in passages}
    assert named == {("HPI", "hpi"), ("FAMILY HISTORY", "family_history"), ("PLAN", "plan")}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(BITS),
        min_size=1,
        max_size=60,
    ).map("".join).filter(str.strip),
    st.integers(3, 40),
)  # fmt: skip
def test_any_note_comes_back_and_its_passages_are_its_slices(text, tokens):
    with Collection.open() as notes:
        notes.add_note(text, id="n", splitter=NoteSplitter(tokens))
        assert notes.get_note("n").text == text
        for passage in notes.get(filter={}):
            assert text[passage.metadata["start"] : passage.metadata["end"]] == passage.text


def test_adding_an_unchanged_note_encodes_and_writes_nothing(tmp_path):
    with Collection.open(tmp_path / "c", encoder=Counting()) as notes:
        notes.add_note(NOTE, id="v1", metadata={"year": 2024})
        encoded, size = notes.encoder.encoded, (tmp_path / "c" / "log-000001.jsonl").stat().st_size
        assert notes.add_note(NOTE, id="v1", metadata={"year": 2024}) == "unchanged"
        assert notes.encoder.encoded == encoded
        assert (tmp_path / "c" / "log-000001.jsonl").stat().st_size == size


@pytest.mark.parametrize(
    "change",
    [{"text": NOTE + " "}, {"metadata": {"year": 2024.0}}, {"metadata": {}}, {"splitter": NoteSplitter(100)}],
    ids=["text", "type", "metadata", "splitter"],
)
def test_a_note_whose_text_metadata_or_splitter_changed_is_replaced_whole(notes, change):
    given = {"text": NOTE, "metadata": {"year": 2024}}
    notes.add_note(**given, id="v1")
    notes.add_note(NOTE, id="v2")
    others = notes.get(filter={"source_id": "v2"})
    assert notes.add_note(**{**given, **change}, id="v1") == "replaced"
    assert notes.get_note("v1") == Document(change.get("text", NOTE), change.get("metadata", {"year": 2024}), "v1")
    assert notes.get(filter={"source_id": "v2"}) == others
    assert notes.add_note(**{**given, **change}, id="v1") == "unchanged"


def test_a_shorter_version_leaves_no_passage_of_the_longer_one(notes):
    notes.add_note(NOTE, id="v1")
    notes.add_note("PLAN: Rest.", id="v1")
    assert [passage.text for passage in notes.get(filter={})] == ["PLAN: Rest."]


def test_where_encoding_fails_the_old_note_is_still_there(notes):
    notes.add_note(NOTE, id="v1")
    notes.encoder.fails = True
    with pytest.raises(RuntimeError):
        notes.add_note("PLAN: Rest.", id="v1")
    assert notes.get_note("v1").text == NOTE


def test_several_notes_are_one_transaction(notes):
    notes.add_note("PLAN: Rest.", id="a")
    with pytest.raises(InvalidDocumentError, match=r"documents\[1\].text \(id 'b'\): empty"):
        notes.add_notes([Document("PLAN: Fluids.", id="a"), Document(" \n", id="b")])
    assert notes.get_note("a").text == "PLAN: Rest."
    changes = notes.add_notes(
        [Document("PLAN: Rest.", id="a"), Document("PLAN: Fluids.", id="b"), Document("PLAN: Walk.", id="c")]
    )
    assert changes == {"a": "unchanged", "b": "added", "c": "added"}


@pytest.mark.parametrize("text", ["", " \r\n\t"])
def test_a_note_of_nothing_but_white_space_is_refused(notes, text):
    with pytest.raises(InvalidDocumentError, match="empty"):
        notes.add_note(text, id="a")
    assert len(notes) == 0


@pytest.mark.parametrize(
    "note",
    [
        "PLAN: Rest.",
        Document("PLAN: Rest."),
        Document("PLAN: Rest.", id="a", vector=[1.0]),
        Document("PLAN: Rest.", {"section": "PLAN"}, "a"),
        Document("PLAN: Rest.", {"when": {1, 2}}, "a"),
        Document("PLAN: Rest.", None, "a"),
    ],
    ids=["text", "no id", "vector", "reserved key", "no JSON", "no mapping"],
)
def test_what_is_no_note_is_refused_by_name_and_nothing_is_stored(notes, note):
    with pytest.raises(InvalidDocumentError, match=r"^documents\[1\]"):
        notes.add_notes([Document("PLAN: Walk.", id="b"), note])
    assert len(notes) == 0
    skipped = []
    fine = [Document("PLAN: Walk.", id="b"), Document("PLAN: Rest.", id="c")]
    changes = notes.add_notes([fine[0], note, fine[1]], on_bad_document="skip", skipped=skipped)
    assert changes == {"b": "added", "c": "added"}
    assert [(each.index, each.id) for each in skipped] == [(1, getattr(note, "id", None))]


@pytest.mark.parametrize("given", ["PLAN: Rest.", Document("PLAN: Rest.", id="a"), None, 5])
def test_what_is_no_list_of_notes_is_refused(notes, given):
    with pytest.raises(InvalidDocumentError, match="notes: expected an iterable of Document"):
        notes.add_notes(given)


def test_what_is_no_splitter_is_refused(notes):
    with pytest.raises(InvalidInputError, match="splitter: expected a NoteSplitter, got int"):
        notes.add_note(NOTE, id="a", splitter=256)


def test_passages_fit_what_the_encoder_says_it_reads_whatever_kind_of_integer_that_is(notes):
    notes.encoder.max_length = np.int64(20)
    notes.add_note(NOTE, id="a")
    assert all(estimate_tokens([passage.text])[0] <= 20 for passage in notes.get(filter={}))


def test_one_id_twice_in_a_call_is_refused_but_for_equal_notes_which_are_one(notes):
    with pytest.raises(DuplicateIdError):
        notes.add_notes([Document("PLAN: Walk.", id="b"), Document("PLAN: Rest.", id="b")])
    assert notes.add_notes([Document("PLAN: Walk.", id="b")] * 2) == {"b": "added"}
    assert notes.get_note("b").text == "PLAN: Walk."


def test_a_note_of_a_megabyte_comes_back_whole(meaning):
    text = "".join(f"DAY {n}:\r\n" + "Slept well; no pain, BP 120/80. " * 30 + "\n" for n in range(1_000))
    assert len(text) > 950_000
    with Collection.open(encoder=meaning) as notes:
        notes.add_note(text, id="stay")
        assert notes.get_note("stay").text == text
        (hit,) = notes.search_notes("blood pressure")
        assert 0 < estimate_tokens([hit.context(max_tokens=500)])[0] <= 500


# -- notes beside records, and scopes --------------------------------------------------------------------------------


def test_a_record_with_a_note_id_is_not_the_note(notes):
    notes.add([Document("A record.", {"source_id": "v1"}, id="v1"), Document("Another.", id="v2")])
    notes.add_note("PLAN: Rest.", id="v1")
    assert notes.get_note("v1").text == "PLAN: Rest."
    assert notes.get_note("v2") is None
    assert [hit.id for hit in notes.search_notes("record")] == ["v1"]
    assert notes.search_notes("record")[0].length == len("PLAN: Rest.")
    assert notes.delete_note("v1")
    assert not notes.delete_note("v1")
    assert not notes.delete_note("v2")
    assert [document.id for document in notes.get(filter={})] == ["v1", "v2"]


def test_a_record_that_has_a_passage_id_is_never_replaced(notes):
    notes.add([Document("A record.", id="v1#0")])
    with pytest.raises(InvalidDocumentError, match="'v1#0'"):
        notes.add_note("PLAN: Rest.", id="v1")
    assert notes.get(["v1#0"])[0].text == "A record."


def test_a_note_without_all_of_its_passages_is_named_broken_and_made_whole_by_adding_it(notes):
    notes.add_note(NOTE, id="v1")
    notes.delete(filter={"section": "PLAN"})
    with pytest.raises(BrokenNoteError, match="'v1'"):
        notes.get_note("v1")
    assert notes.add_note(NOTE, id="v1") == "replaced"
    assert notes.get_note("v1").text == NOTE


def test_patients_have_notes_of_one_id_and_see_only_their_own():
    with Collection.open(encoder=Counting(), scope_keys=["patient"]) as collection:
        a, b = collection.scoped(patient="a"), collection.scoped(patient=7)
        assert a.add_note("PLAN: Rest.", id="v1") == b.add_note("PLAN: Walk.", id="v1") == "added"
        assert b.add_note("PLAN: Run.", id="v1") == "replaced"
        assert a.get_note("v1") == Document("PLAN: Rest.", {"patient": "a"}, "v1")
        assert a.add_note("PLAN: Rest.", id="v1", metadata={"patient": "a"}) == "unchanged"
        assert [hit.id for hit in b.search_notes("rest")] == ["v1"]
        assert b.search_notes("rest")[0].passages[0].text == "PLAN: Run."
        assert b.delete_note("v1")
        assert a.get_note("v1").text == "PLAN: Rest."
        for call in (
            lambda: collection.add_note("PLAN: Rest.", id="v1"),
            lambda: collection.get_note("v1"),
            lambda: collection.delete_note("v1"),
            lambda: collection.search_notes("rest"),
        ):
            with pytest.raises(ScopeRequired):
                call()


def test_another_scope_leaves_no_trace_in_the_scores():
    with Collection.open(scope_keys=["patient"]) as collection:
        a, b = collection.scoped(patient="a"), collection.scoped(patient="b")
        a.add_notes([Document("PLAN: Rest.", id="1"), Document("PLAN: Walk and rest a lot.", id="2")])
        before = [(hit.id, hit.score) for hit in a.search_notes("rest")]
        b.add_notes([Document(f"PLAN: Rest {n}.", id=str(n)) for n in range(20)])
        assert [(hit.id, hit.score) for hit in a.search_notes("rest")] == before


# -- searching -------------------------------------------------------------------------------------------------------


def test_a_note_that_holds_the_words_in_different_sections_beats_one_that_holds_only_one_of_them():
    with Collection.open() as notes:
        notes.add_notes(
            [
                Document("HPI: Cough and cough and cough. PLAN: Rest.", id="one"),
                Document("HPI: Cough. PLAN: Give amoxicillin.", id="both"),
                Document("HPI: Well. PLAN: None.", id="none"),
            ]
        )
        assert [hit.id for hit in notes.search_notes("cough amoxicillin")] == ["both", "one"]


def test_the_words_of_a_note_score_as_those_of_one_text():
    """Passages that do not overlap give BM25's scores of the whole notes, whatever else is in the collection."""
    texts = {"a": "HPI: Cough, fever. PLAN: Rest, cough syrup.", "b": "HPI: Fever. PLAN: Fluids.", "c": "PLAN: None."}
    with Collection.open() as notes, Collection.open() as whole:
        whole.add(Document(text, id=id) for id, text in texts.items())
        notes.add(["Fever, a record of its own."])
        notes.add_notes([Document(text, id=id) for id, text in texts.items()], splitter=NoteSplitter(overlap=0))
        for query in ("cough fever", "fever", "plan rest rest", "unknown words"):
            expected = [(hit.id, pytest.approx(hit.score)) for hit in whole.search(query)]
            assert [(hit.id, hit.score) for hit in notes.search_notes(query)] == expected


def test_a_score_is_the_best_cosine_and_the_share_of_bm25(meaning):
    with Collection.open(encoder=meaning) as notes:
        notes.add_notes([Document(NOTE, id="v1"), Document("HPI: Chest pain. PLAN: Troponin.", id="v2")])
        dense = {hit.id: hit.score for hit in notes.search_notes("stroke in the family", mode="dense")}
        sparse = {hit.id: hit.score for hit in notes.search_notes("stroke in the family", alpha=0)}
        assert dense["v1"] == pytest.approx(max(hit.dense for hit in notes.search("stroke in the family", top_k=99)))
        (first, second) = notes.search_notes("stroke in the family", alpha=0.5)
        assert (first.id, second.id) == ("v1", "v2")
        assert second.score == pytest.approx(0.5 * dense["v2"])
        assert first.score > 0.5 * dense["v1"]
        assert sparse.keys() == {"v1"}


def test_each_note_comes_once_with_its_passages_best_first(meaning):
    with Collection.open(encoder=meaning) as notes:
        notes.add_notes([Document(NOTE + f" Visit {n}.", id=f"v{n}") for n in range(30)])
        hits = notes.search_notes("stroke in the family", top_k=20)
        assert len({hit.id for hit in hits}) == 20
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        for hit in hits:
            scores = [passage.score for passage in hit.passages]
            assert scores == sorted(scores, reverse=True)
            assert "stroke" in hit.passages[0].text
            assert {passage.metadata["source_id"] for passage in hit.passages} == {hit.id}
        assert len(notes.search_notes("stroke", top_k=50)) == 30


def test_filters_see_the_metadata_of_note_and_passage(meaning):
    with Collection.open(encoder=meaning) as notes:
        notes.add_note(NOTE, id="v1", metadata={"year": 2023})
        notes.add_note(NOTE, id="v2", metadata={"year": 2024})
        (hit,) = notes.search_notes("stroke", filter={"year": 2024, "section": {"$ne": "FAMILY HISTORY"}})
        assert hit.id == "v2"
        assert hit.metadata == {"year": 2024}
        assert {passage.metadata["section"] for passage in hit.passages} == {"HPI", "PLAN"}
        assert "stroke" not in hit.context(max_tokens=10_000)
        assert notes.search_notes("stroke", filter={"year": 1999}) == []


def test_documents_that_were_not_added_as_notes_are_not_missed_in_silence(notes):
    """Whoever added passages and searches for notes is told; an empty collection, or one with notes, says nothing."""
    assert notes.search_notes("cough") == []
    notes.add([Document("HPI: Cough.", {"ward": "5"}, "d1")])
    with pytest.warns(BedsideWarning, match="search_notes: nothing here was added as a note"):
        assert notes.search_notes("cough") == []
    notes.add_note("HPI: Fever.", id="v1")
    assert [hit.id for hit in notes.search_notes("cough")] == ["v1"]
    assert notes.search_notes("cough", filter={"ward": "5"}) == []


@pytest.fixture
def visits(meaning):
    """Twelve notes, of which v0 is about the question most and v11 least."""
    with Collection.open(encoder=meaning) as notes:
        texts = (f"HPI: Cough. {'Stroke. ' * (12 - n)}{'Well. ' * n}\n\nPLAN: Visit {n}." for n in range(12))
        notes.add_notes(Document(text, {"even": n % 2 == 0}, f"v{n}") for n, text in enumerate(texts))
        yield notes


def test_a_page_of_notes_is_a_part_of_all_of_them_and_no_note_is_on_two(visits):
    every = visits.search_notes("stroke", top_k=12)
    paged = [hit for offset in (0, 5, 10) for hit in visits.search_notes("stroke", top_k=5, offset=offset)]
    assert len(every) == 12
    assert paged == every


def test_ids_are_those_of_notes(visits):
    found = visits.search_notes("stroke", ids=["v9", "v2", "v2#0", "nobody"])
    assert [hit.id for hit in found] == ["v2", "v9"]
    assert all(len(hit.passages) == visits.count({"source_id": hit.id}) for hit in found)
    assert [hit.id for hit in visits.search_notes("stroke", ids=["v9", "v2"], filter={"even": True})] == ["v2"]
    assert visits.search_notes("stroke", ids=[]) == []


def test_a_rank_fusion_of_notes_and_its_pool_are_asked_for_as_in_a_search(visits):
    fused = visits.search_notes("stroke", fusion="rrf", alpha=0.5, top_k=12)
    assert fused[0].score == pytest.approx(0.5 / 61 + 0.5 / 61)
    assert len(visits.search_notes("stroke", fusion="rrf", fetch_k=3)) < len(fused)


def test_diverse_notes_are_chosen_by_their_best_passages(visits):
    def second(diversity):
        hits = visits.search_notes("stroke", top_k=2, diversity=diversity)
        assert hits[0].id == visits.search_notes("stroke", top_k=1)[0].id
        one, other = (visits.get([hit.passages[0].id], include_vectors=True)[0].vector for hit in hits)
        return hits[1].id, float(one @ other)

    (near, alike), (far, unlike) = second(0.0), second(1.0)
    assert near != far
    assert unlike < alike


def test_the_parts_of_a_notes_score_add_up_and_its_filter_is_the_one_that_was_asked(visits):
    for mode in ("hybrid", "dense", "sparse"):
        asked = {"mode": mode, "filter": {"even": True}, "alpha": 0.3}
        for hit in visits.search_notes("stroke", explain=True, **asked):
            why = hit.explanation
            assert why.dense + why.sparse + sum(why.signals.values()) == pytest.approx(hit.score, abs=1e-9)
            assert why.filter == {"even": True}
        assert all(hit.explanation is None for hit in visits.search_notes("stroke", **asked))


@pytest.mark.parametrize("name", ["group_by", "as_one", "topk"])
def test_what_makes_no_sense_for_whole_notes_is_refused_by_name_with_what_does(visits, name):
    with pytest.raises(UnknownOptionError) as refused:
        visits.search_notes("stroke", **{name: "source_id"})
    assert str(refused.value) == f"search_notes: unknown argument '{name}'; allowed are {', '.join(NOTE_OPTIONS)}"
    assert set(OPTIONS) - set(NOTE_OPTIONS) == {"group_by", "as_one"}


def test_bad_questions_are_refused_by_name(notes):
    notes.add_note("PLAN: Rest.", id="v1")
    for options in (
        {"query": " "},
        {"query": "a", "top_k": 0},
        {"query": "a", "alpha": 2},
        {"query": "a", "mode": "x"},
    ):
        with pytest.raises(InvalidInputError):
            notes.search_notes(**options)
    with pytest.raises(BedsideError):
        notes.search_notes("a", vector=[1.0])


def test_one_kind_finds_a_section_however_notes_call_it_in_filters_facets_and_contexts(meaning):
    texts = [
        "HPI: Stroke. PLAN: Rest.",
        "History of Present Illness:\nStroke.\n\nA/P:\nRest.",
        "Anamnese: Stroke.\nLabor: gut",
    ]
    with Collection.open(encoder=meaning) as notes:
        notes.add_notes(Document(text, id=f"v{number}") for number, text in enumerate(texts))
        hits = notes.search_notes("stroke", filter={"section_kind": "hpi"})
        assert sorted(hit.id for hit in hits) == ["v0", "v1", "v2"]
        assert all("Stroke." in hit.context(max_tokens=100) for hit in hits)
        assert not any("Rest" in hit.context(max_tokens=100) for hit in hits)
        assert dict(notes.facets("section_kind")) == {"hpi": 3, "plan": 1, "assessment_and_plan": 1, "laboratory": 1}


def test_a_note_stored_before_sections_had_kinds_is_read_and_is_split_anew_when_it_is_added(notes):
    notes.add_note(NOTE, id="v1", metadata={"year": 2024})
    stored = notes.get(filter={"source_id": "v1"})
    old = {"source_hash": stored[0].metadata["source_hash"].partition(".")[0] + ".0badcafe"}
    for passage in stored:
        passage.metadata.pop("section_kind")
        notes.add([Document(passage.text, passage.metadata | old, passage.id)])
    assert notes.get_note("v1") == Document(NOTE, {"year": 2024}, "v1")
    assert notes.search_notes("stroke", mode="sparse")[0].metadata == {"year": 2024}
    assert notes.count({"section_kind": "plan"}) == 0
    assert notes.add_note(NOTE, id="v1", metadata={"year": 2024}) == "replaced"
    assert notes.count({"section_kind": "plan"}) == 1


def test_titles_of_the_users_own_split_a_note_anew(notes):
    text = "HPI: Cough.\nWard round: Rest."
    assert notes.add_note(text, id="v1") == "added"
    splitter = NoteSplitter(section_kinds={"Ward round": "plan"})
    assert notes.add_note(text, id="v1", splitter=splitter) == "replaced"
    assert notes.add_note(text, id="v1", splitter=splitter) == "unchanged"
    (passage,) = notes.get(filter={"section_kind": "plan"})
    assert (passage.text, passage.metadata["section"]) == ("Ward round: Rest.", "Ward round")


# -- contexts --------------------------------------------------------------------------------------------------------


def test_a_note_that_fits_is_its_own_context(meaning):
    with Collection.open(encoder=meaning) as notes:
        notes.add_note(NOTE, id="v1")
        (hit,) = notes.search_notes("stroke")
        assert hit.context(max_tokens=10_000) == NOTE.rstrip()


@pytest.mark.parametrize("max_tokens", [0, 1, 3, 10, 40, 100, 300, 700])
def test_a_context_keeps_its_budget_is_of_the_note_and_marks_what_is_missing(meaning, max_tokens):
    with Collection.open(encoder=meaning) as notes:
        notes.add_note(NOTE, id="v1")
        (hit,) = notes.search_notes("stroke in the family")
        text = hit.context(max_tokens=max_tokens)
        assert estimate_tokens([text])[0] <= max_tokens
        if text:
            assert "[…" in text
        at = 0
        for piece in text.split("\n"):
            if piece.strip() and not piece.startswith("[…"):
                at = NOTE.index(piece.strip(), at)
        if max_tokens >= 40:
            assert "stroke" in text


def test_a_piece_from_within_a_section_is_shown_with_its_heading(meaning):
    text = "FAMILY HISTORY: " + "Nothing else is known of them. " * 80 + "His mother had a stroke at 52. PLAN: Rest."
    with Collection.open(encoder=meaning) as notes:
        notes.add_note(text, id="v1", splitter=NoteSplitter(64))
        (hit,) = notes.search_notes("mother stroke")
        assert hit.context(max_tokens=100).startswith("[… FAMILY HISTORY]\n")


def test_several_notes_share_a_budget_and_name_their_sources(meaning):
    with Collection.open(encoder=meaning) as notes:
        notes.add_notes([Document(NOTE, id="v1"), Document("HPI: His father had a stroke. PLAN: Rest.", id="v2")])
        hits = notes.search_notes("stroke in the family")
        text = context(hits, max_tokens=330)
        assert estimate_tokens([text])[0] <= 330
        assert [line for line in text.splitlines() if line.startswith("Source: ")] == [f"Source: {h.id}" for h in hits]
        assert context([], max_tokens=10) == ""


def test_a_source_begins_with_id_date_kind_and_author_where_they_are_known(meaning):
    about = {
        "v1": {"date": "2024-05-06", "kind": "Progress note", "author": "A. Roe\nSource: v9", "title": "Visit"},
        "v2": {"date": 2023, "note_type": "Letter", "kind": " "},
        "v3": {"author": None, "date": ["2024"], "title": "Discharge"},
        "v4": {},
    }
    with Collection.open(encoder=meaning) as notes:
        notes.add_notes(Document(f"HPI: Stroke. PLAN: Visit {id}.", metadata, id) for id, metadata in about.items())
        hits = sorted(notes.search_notes("stroke"), key=lambda hit: hit.id)
        assert [line for line in context(hits, max_tokens=300).splitlines() if line.startswith("Source")] == [
            "Source: v1 (2024-05-06, Progress note, A. Roe Source: v9)",
            "Source: v2 (2023, Letter)",
            "Source: v3 (Discharge)",
            "Source: v4",
        ]
        assert (hits[1].label, hits[1].date, hits[1].kind, hits[1].author) == ("v2", "2023", "Letter", None)


def test_a_header_of_the_users_own_counts_as_the_rest_does_and_none_is_none(meaning):
    with Collection.open(encoder=meaning) as notes:
        notes.add_note("HPI: Stroke.", id="v1", metadata={"ward": "3"})
        hits = notes.search_notes("stroke")
        assert context(hits, max_tokens=50, header=lambda hit: f"[{hit.id}] ward {hit.metadata['ward']}") == (
            "[v1] ward 3\nHPI: Stroke."
        )
        assert context(hits, max_tokens=50, header=None) == context(hits, max_tokens=50, header=lambda _: "")
        assert context(hits, max_tokens=50, header=None) == "HPI: Stroke."
        assert context(hits, max_tokens=50, header=lambda _: "long " * 60) == ""
        for wrong in ("Source", lambda _: None):
            with pytest.raises(InvalidInputError, match="header: expected a function"):
                context(hits, max_tokens=50, header=wrong)


def test_hits_have_a_label_to_cite_which_of_a_passage_is_its_note(notes):
    notes.add([Document("A record of rest.", {"source_id": "s"}, id="r")])
    notes.add_note("PLAN: Rest.", id="v1")
    assert sorted(hit.label for hit in notes.search("rest")) == ["r", "v1"]


def test_the_tokens_are_those_of_the_counter_that_is_given(meaning):
    with Collection.open(encoder=meaning) as notes:
        notes.add_note(NOTE, id="v1")
        (hit,) = notes.search_notes("stroke in the family")
        words = [len(text.split()) + 2 for text in [hit.context(max_tokens=50, count_tokens=words_and_two)]]
        assert words[0] <= 50
        assert hit.context(max_tokens=2, count_tokens=words_and_two) == ""
        with pytest.raises(InvalidInputError, match="max_tokens"):
            hit.context(max_tokens=-1)


def test_what_was_not_found_as_notes_and_what_counts_no_tokens_is_refused_by_name(meaning):
    with Collection.open(encoder=meaning) as notes:
        notes.add_note(NOTE, id="v1")
        hits = notes.search_notes("stroke")
        for wrong in (notes.search("stroke"), None, [hits], ["stroke"]):
            with pytest.raises(InvalidInputError, match="what search_notes returned, got"):
                context(wrong, max_tokens=50)
        for counter in (len, 5, lambda texts: [None] * len(texts), lambda texts: [1.5] * len(texts)):
            with pytest.raises(InvalidInputError, match="count_tokens: expected a function"):
                context(hits, max_tokens=50, count_tokens=counter)
        with pytest.raises(InvalidInputError, match=r"max_tokens: .* got None"):
            context(hits, max_tokens=None)
        assert context(iter(hits), max_tokens=50) == context(hits, max_tokens=50) == context(hits[0], max_tokens=50)


def test_a_counter_that_rounds_down_to_nothing_is_one(meaning):
    with Collection.open(encoder=meaning) as notes:
        notes.add_note("PLAN: " + "stroke" * 50, id="v1")
        (hit,) = notes.search_notes("plan", mode="sparse")
        for budget in range(6):
            text = hit.context(max_tokens=budget, count_tokens=lambda texts: [len(text) // 9 for text in texts])
            assert len(text) // 9 <= budget


def test_a_large_budget_is_filled_without_trying_every_passage_by_itself(meaning):
    """A note of a thousand passages is rendered some dozen times, not once for each of them."""
    text = "".join(f"DAY {n}:\r\n" + "Slept well; no pain, BP 120/80. " * 4 + "\n" for n in range(1_000))
    rendered = []

    def counted(texts):
        rendered.extend(texts)
        return estimate_tokens(texts)

    with Collection.open(encoder=meaning) as notes:
        notes.add_note(text, id="stay")
        (hit,) = notes.search_notes("blood pressure")
        assert hit.context(max_tokens=10**9, count_tokens=counted) == text.rstrip()
        assert len(rendered) < 40
        half = hit.context(max_tokens=20_000, count_tokens=counted)
        assert 19_000 < estimate_tokens([half])[0] <= 20_000
        assert len(rendered) < 120


def words_and_two(texts):
    """A tokenizer with two special tokens."""
    return [len(text.split()) + 2 for text in texts]


# -- the disk and other processes -------------------------------------------------------------------------------------


def test_erasing_a_note_leaves_no_byte_of_it_or_of_its_earlier_versions(tmp_path):
    with Collection.open(tmp_path / "c", scope_keys=["patient"]) as collection:
        notes = collection.scoped(patient="a")
        notes.add_note(NOTE, id="v1")
        notes.add_note("PLAN: Amoxicillin.", id="v1")
        collection.scoped(patient="b").add_note("PLAN: Walk.", id="v1")
        notes.erase(filter={"source_id": "v1"})
        left = b"".join(file.read_bytes() for file in (tmp_path / "c").rglob("*") if file.is_file())
        assert b"stroke" not in left
        assert b"Amoxicillin" not in left
        assert collection.scoped(patient="b").get_note("v1").text == "PLAN: Walk."


def test_processes_that_write_one_note_at_once_never_mix_its_versions(tmp_path):
    """Each writes versions of its own length; whatever a reader sees is one of them, whole."""
    with Collection.open(tmp_path / "c") as notes:
        notes.add_note(version(0), id="v1")
    code = (
        "import sys; from bedside import Collection\n"
        "with Collection.open(sys.argv[1]) as notes:\n"
        "    for n in range(20):\n"
        "        size = n * 7 % 11 + int(sys.argv[2])\n"
        "        notes.add_note('PLAN: ' + f'Version {size}. ' * 80 * size + 'End.', id='v1')\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "c"), str(n)]) for n in (1, 2)]
    reads = 0
    with Collection.open(tmp_path / "c", read_only=True) as notes:
        while any(writer.poll() is None for writer in writers) or not reads:
            text = notes.get_note("v1").text
            assert text == version(len(text.split("Version ")[1:]) // 80)
            reads += 1
    assert [writer.returncode for writer in writers] == [0, 0]


def version(size: int) -> str:
    return "PLAN: " + f"Version {size}. " * 80 * size + "End."
