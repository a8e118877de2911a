"""Whole notes through LangChain: what the core finds, gives back and renders, under its own verbs' names."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_bedside import (
    BedsideEmbeddings,
    BedsideNoteRetriever,
    BedsideNoteSplitter,
    BedsideRecordManager,
    BedsideRetriever,
    BedsideVectorStore,
    UnknownSearchArgumentError,
)
from langchain_classic.retrievers import EnsembleRetriever
from langchain_core.documents import Document
from langchain_core.indexing import index
from langchain_core.prompts import PromptTemplate, format_document

import bedside
from bedside.errors import (
    BedsideError,
    FilterError,
    InvalidDocumentError,
    InvalidInputError,
    NotCalibratedError,
    ScopeMismatch,
    ScopeRequired,
)
from bedside.notes import context
from bedside.text.split import NoteSplitter

NOTES = {
    "visit-1": "HPI: Chest pain on exertion for two weeks. Eased by rest.\n\nPLAN: Stress test. Aspirin 81 mg.",
    "visit-2": "HPI: Cough for 3 days. No fever.\n\nMEDICATIONS: Metformin 500 mg twice daily.\n\nPLAN: Rest, fluids.",
    "visit-3": "HPI: Headache with aura.\n\nFAMILY HISTORY: Migraine in her mother.\n\nPLAN: Sumatriptan 50 mg.",
}
QUESTIONS = ["chest pain", "metformin 500 mg", "migraine", "which visit had a stress test", "cough and fluids"]
SECTIONS = NoteSplitter(12, 0)


@pytest.fixture(scope="module")
def static() -> BedsideEmbeddings:
    return BedsideEmbeddings(model="bedside/static")


def documents(**changed: str) -> list[Document]:
    return [Document(text, id=id, metadata={"day": id[-1]}) for id, text in {**NOTES, **changed}.items()]


@pytest.fixture
def splitter() -> BedsideNoteSplitter:
    return BedsideNoteSplitter(max_tokens=12, overlap=0)


@pytest.fixture
def store(static: BedsideEmbeddings, splitter: BedsideNoteSplitter) -> BedsideVectorStore:
    store = BedsideVectorStore(static)
    store.add_notes(documents(), splitter=splitter)
    return store


@pytest.fixture
def core(static: BedsideEmbeddings) -> bedside.Collection:
    notes = bedside.Collection.open(encoder=static.encoder)
    notes.add_notes([bedside.Document(text, {"day": id[-1]}, id) for id, text in NOTES.items()], splitter=SECTIONS)
    return notes


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    "options", [{}, {"filter": {"section": "PLAN"}}, {"alpha": 0.2, "offset": 1}, {"ids": ["visit-2", "visit-3"]}]
)
async def test_notes_scores_and_contexts_are_the_cores(
    store: BedsideVectorStore, core: bedside.Collection, question: str, options: dict[str, Any]
) -> None:
    """Known items come back the same, to the last bit, in a call, a coroutine and a retriever."""
    expected = core.search_notes(question, top_k=2, **options)
    found = store.search_notes(question, 2, **options)
    assert expected
    assert [(hit.id, hit.score, hit.metadata) for hit in found] == [
        (hit.id, hit.score, hit.metadata) for hit in expected
    ]
    assert await store.asearch_notes(question, 2, **options) == found
    for budget in (10, 60):
        assert store.context(found, max_tokens=budget) == context(expected, max_tokens=budget)
    whole = BedsideNoteRetriever(vectorstore=store, k=2, score_key="score").invoke(question, **options)
    assert [(note.id, note.metadata["score"]) for note in whole] == [(hit.id, hit.score) for hit in expected]
    assert [note.page_content for note in whole] == [NOTES[hit.id] for hit in expected]
    short = await BedsideNoteRetriever(vectorstore=store, k=2, max_tokens=15).ainvoke(question, **options)
    assert [note.page_content for note in short] == [hit.context(max_tokens=15) for hit in expected]


def test_the_options_of_the_search_are_the_cores(store: BedsideVectorStore, core: bedside.Collection) -> None:
    """Modes under LangChain's name, diversity as lambda_mult, explanations."""
    for mode in ("dense", "sparse", "hybrid"):
        expected = core.search_notes("chest pain", mode=mode, diversity=0.7, explain=True)
        found = store.search_notes("chest pain", 10, retrieval_mode=mode, lambda_mult=0.3, explain=True)
        assert [(hit.id, hit.score) for hit in found] == [(hit.id, hit.score) for hit in expected]
        assert [hit.explanation and hit.explanation.formula for hit in found] == [
            hit.explanation and hit.explanation.formula for hit in expected
        ]


async def test_a_note_is_added_changed_given_back_and_deleted(static: BedsideEmbeddings) -> None:
    """Each verb has its coroutine; a note that did not change is left as it is."""
    store = BedsideVectorStore(static)
    assert store.add_note("HPI: Cough.", id="n1", metadata={"kind": "clinic"}) == "added"
    assert store.add_note("HPI: Cough.", id="n1", metadata={"kind": "clinic"}) == "unchanged"
    assert await store.aadd_notes([Document("HPI: No cough.", id="n1")]) == {"n1": "replaced"}
    assert store.get_note("n1") == await store.aget_note("n1") == Document("HPI: No cough.", id="n1")
    assert store.add_notes([Document("PLAN: Rest.")], ids=["n2"]) == {"n2": "added"}
    assert await store.adelete_note("n1") is True
    assert store.delete_note("n1") is False
    assert store.get_note("n1") is None
    with pytest.raises(InvalidDocumentError, match="needs an id"):
        store.add_notes([Document("HPI: Cough.")])


def test_bad_notes_are_left_out_where_that_is_asked_for(static: BedsideEmbeddings) -> None:
    store = BedsideVectorStore(static, on_bad_document="skip")
    given = [Document("HPI: Cough.", id="n1"), Document(" ", id="n2")]
    assert store.add_notes(given) == {"n1": "added"}
    assert [(skipped.index, skipped.id) for skipped in store.skipped] == [(1, "n2")]
    assert store.add_note(" ", id="n3") is None


def test_a_blank_question_gives_the_notes_that_the_filter_leaves(store: BedsideVectorStore) -> None:
    for blank in ("", " \n"):
        assert store.search_notes(blank) == []
        found = store.search_notes(blank, filter={"section": "FAMILY HISTORY"})
        assert [(hit.id, hit.score, len(hit.passages), hit.length) for hit in found] == [
            ("visit-3", 1.0, 1, len(NOTES["visit-3"]))
        ]
        assert [hit.id for hit in store.search_notes(blank, 1, ids=["visit-1", "visit-2"], offset=1)] == ["visit-2"]
    assert store.search_notes("chest pain", 0) == []


WRONG: list[tuple[Any, dict[str, Any], type[Exception]]] = [
    ("chest pain", {"where": {}}, UnknownSearchArgumentError),
    ("chest pain", {"group_by": "day"}, UnknownSearchArgumentError),
    ("chest pain", {"score_key": "score"}, UnknownSearchArgumentError),
    ("chest pain", {"filter": lambda note: True}, FilterError),
    ("chest pain", {"lambda_mult": 2}, InvalidInputError),
    ("chest pain", {"k": -1}, InvalidInputError),
    ({"question": "chest pain"}, {}, InvalidInputError),
    (["chest pain"], {}, InvalidInputError),
]


@pytest.mark.parametrize(("question", "options", "error"), WRONG)
def test_what_a_search_for_notes_does_not_take_is_refused(
    store: BedsideVectorStore, question: Any, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        store.search_notes(question, **options)


def test_a_measured_threshold_leaves_what_it_leaves_in_the_core(store: BedsideVectorStore) -> None:
    """By the store, by a retriever of notes, and as a store's default for passages."""
    first, second, *_ = store.search_notes("chest pain")
    store.collection.set_min_score((first.score + second.score) / 2, mode="hybrid", notes=True)
    assert store.search_notes("chest pain", min_score="calibrated") == [first]
    retriever = BedsideNoteRetriever(vectorstore=store, search_kwargs={"min_score": "calibrated"})
    assert [found.id for found in retriever.invoke("chest pain")] == [first.id]
    with pytest.raises(NotCalibratedError, match="search in mode 'hybrid'"):
        store.similarity_search("chest pain", min_score="calibrated")
    (best, top), (_, next_best), *_ = store.similarity_search_with_score("chest pain")
    store.collection.set_min_score((top + next_best) / 2, mode="hybrid")
    strict = BedsideVectorStore(collection=store.collection, min_score="calibrated")
    assert [found.id for found in strict.similarity_search("chest pain")] == [best.id]


def test_a_prompt_can_name_what_was_found_and_an_ensemble_joins_by_it(
    store: BedsideVectorStore, splitter: BedsideNoteSplitter
) -> None:
    """LangChain shows text and metadata only; what was added is given back without it."""
    retriever = BedsideNoteRetriever(vectorstore=store, k=2)
    found = retriever.invoke("chest pain")
    shown = PromptTemplate.from_template("[{source_id}] {page_content}")
    assert format_document(found[0], shown) == f"[{found[0].id}] {found[0].page_content}"
    assert "source_id" not in store.get_note(str(found[0].id)).metadata  # type: ignore[union-attr]
    assert store.add_notes(found, splitter=splitter) == {note.id: "unchanged" for note in found}
    both = EnsembleRetriever(retrievers=[retriever, BedsideRetriever(vectorstore=store, k=9)], id_key="source_id")
    joined = [note.metadata["source_id"] for note in both.invoke("chest pain")]
    assert len(joined) == len(set(joined))
    assert joined[0] == found[0].id


def test_notes_stay_in_their_scope(static: BedsideEmbeddings) -> None:
    """Two patients may have a note of one id; the whole store knows the scopes, a scoped one does not."""
    store = BedsideVectorStore(static, scope_keys=["patient_id"])
    for patient in "AB":
        store.scoped(patient_id=patient).add_note(f"HPI: Cough of {patient}.", id="n1")
    with pytest.raises(ScopeRequired):
        store.search_notes("cough")
    a = store.scoped(patient_id="A")
    assert [hit.passages[0].text for hit in a.search_notes("cough")] == ["HPI: Cough of A."]
    found = BedsideNoteRetriever(vectorstore=store).invoke("cough", scope={"patient_id": "B"})
    assert [note.page_content for note in found] == ["HPI: Cough of B."]
    assert a.delete_note("n1")
    assert store.scopes() == [({"patient_id": "B"}, 1)]
    with pytest.raises(ScopeMismatch):
        a.scopes()


def test_index_keeps_whole_notes(static: BedsideEmbeddings, splitter: BedsideNoteSplitter) -> None:
    """Passages that say which note they are of are the note, whoever stored them, and change with it."""
    splitter = BedsideNoteSplitter(max_tokens=12, overlap=0, as_notes=True)
    store = BedsideVectorStore(static)
    manager = BedsideRecordManager(store, source_id_key="source_id")

    def run(notes: list[Document]) -> dict[str, int]:
        given: dict[str, Any] = {"cleanup": "scoped_full", "source_id_key": "source_id", "key_encoder": "sha256"}
        return dict(index(splitter.split_documents(notes), manager, store, **given))

    run(documents())
    expected = BedsideVectorStore(static)
    expected.add_notes(documents(), splitter=BedsideNoteSplitter(max_tokens=12, overlap=0))
    for question in QUESTIONS:
        assert [(hit.id, pytest.approx(hit.score)) for hit in expected.search_notes(question)] == [
            (hit.id, hit.score) for hit in store.search_notes(question)
        ]
    assert store.get_note("visit-1") == documents()[0]
    assert run(documents())["num_skipped"] == store.count()
    changed = documents(**{"visit-1": "HPI: No chest pain today.\n\nPLAN: None."})
    run(changed)
    assert store.get_note("visit-1") == changed[0]
    assert store.add_notes(changed, splitter=splitter) == dict.fromkeys(NOTES, "unchanged")
    with pytest.raises(BedsideError, match="needs an id"):
        splitter.split_documents([Document("HPI: Cough.")])
