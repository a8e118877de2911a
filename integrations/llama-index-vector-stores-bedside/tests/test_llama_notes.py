"""Whole notes through LlamaIndex: what the core finds, gives back and renders, under its own verbs' names."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from llama_index.core import Document
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.llms import MockLLM
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import NodeWithScore, QueryBundle
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores.types import (
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)
from llama_index.embeddings.bedside import BedsideEmbedding, BedsideNodeParser
from llama_index.vector_stores.bedside import BedsideNoteRetriever, BedsideVectorStore

import bedside
from bedside.errors import (
    FilterError,
    InvalidDocumentError,
    InvalidInputError,
    NotCalibratedError,
    ScopeMismatch,
    ScopeRequired,
    UnknownOptionError,
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
PLAN = MetadataFilters(filters=[MetadataFilter(key="section", value="PLAN")])


@pytest.fixture(scope="module")
def encoder() -> bedside.Encoder:
    return bedside.load_encoder("bedside/static")


def documents(**changed: str) -> list[Document]:
    return [Document(text=text, id_=id, metadata={"day": id[-1]}) for id, text in {**NOTES, **changed}.items()]


@pytest.fixture
def filled(encoder: bedside.Encoder) -> BedsideVectorStore:
    store = BedsideVectorStore(encoder=encoder)
    store.add_notes(documents(), splitter=SECTIONS)
    return store


@pytest.fixture
def core(encoder: bedside.Encoder) -> bedside.Collection:
    notes = bedside.Collection.open(encoder=encoder)
    notes.add_notes([bedside.Document(text, {"day": id[-1]}, id) for id, text in NOTES.items()], splitter=SECTIONS)
    return notes


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(
    "options", [{}, {"filters": PLAN}, {"alpha": 0.2, "offset": 1}, {"ids": ["visit-2", "visit-3"]}]
)
def test_notes_scores_and_contexts_are_the_cores(
    filled: BedsideVectorStore, core: bedside.Collection, question: str, options: dict[str, Any]
) -> None:
    """Known items come back the same, to the last bit, in a call, a coroutine and a retriever."""
    asked = {name: value for name, value in options.items() if name != "filters"}
    if "filters" in options:
        asked["filter"] = {"section": "PLAN"}
    expected = core.search_notes(question, top_k=2, **asked)
    found = filled.search_notes(question, 2, **options)
    assert expected
    assert [(hit.id, hit.score, hit.metadata) for hit in found] == [
        (hit.id, hit.score, hit.metadata) for hit in expected
    ]
    assert asyncio.run(filled.asearch_notes(QueryBundle(question), 2, **options)) == found
    for budget in (10, 60):
        assert filled.context(found, max_tokens=budget) == context(expected, max_tokens=budget)
    whole = BedsideNoteRetriever(filled, similarity_top_k=2, **options).retrieve(question)
    assert [(note.node.node_id, note.score) for note in whole] == [(hit.id, hit.score) for hit in expected]
    assert [note.node.get_content() for note in whole] == [NOTES[hit.id] for hit in expected]
    short = asyncio.run(BedsideNoteRetriever(filled, similarity_top_k=2, max_tokens=15, **options).aretrieve(question))
    assert [note.node.get_content() for note in short] == [hit.context(max_tokens=15) for hit in expected]


class ByLength(BaseNodePostprocessor):
    """A reranker that likes long passages."""

    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: Any = None) -> list[NodeWithScore]:
        return [NodeWithScore(node=each.node, score=float(len(each.node.get_content()))) for each in nodes]


def test_a_node_postprocessor_reranks_notes(filled: BedsideVectorStore, core: bedside.Collection) -> None:
    """As the function of the same scores does in the core."""
    expected = core.search_notes("chest pain", rerank=lambda _, texts: [float(len(text)) for text in texts])
    found = filled.search_notes("chest pain", rerank=ByLength())
    assert [(hit.id, hit.score) for hit in found] == [(hit.id, hit.score) for hit in expected]


def test_a_note_is_added_changed_given_back_and_deleted(encoder: bedside.Encoder) -> None:
    """Each verb has its coroutine; a note that did not change is left as it is."""
    store = BedsideVectorStore(encoder=encoder)
    assert store.add_note("HPI: Cough.", id="n1", metadata={"kind": "clinic"}) == "added"
    assert store.add_note("HPI: Cough.", id="n1", metadata={"kind": "clinic"}) == "unchanged"
    assert asyncio.run(store.aadd_notes([Document(text="HPI: No cough.", id_="n1")])) == {"n1": "replaced"}
    for note in (store.get_note("n1"), asyncio.run(store.aget_note("n1"))):
        assert isinstance(note, Document)
        assert (note.text, note.doc_id, note.metadata) == ("HPI: No cough.", "n1", {})
    assert asyncio.run(store.adelete_note("n1")) is True
    assert store.delete_note("n1") is False
    assert store.get_note("n1") is None
    for wrong in ("n1", Document(text="x"), None, ["HPI: Cough."]):
        with pytest.raises(InvalidDocumentError):
            store.add_notes(wrong)  # type: ignore[arg-type]


def test_bad_notes_are_left_out_where_that_is_asked_for(encoder: bedside.Encoder) -> None:
    store = BedsideVectorStore(encoder=encoder, on_bad_document="skip")
    assert store.add_notes([Document(text="HPI: Cough.", id_="n1"), Document(text=" ", id_="n2")]) == {"n1": "added"}
    assert [(skipped.index, skipped.id) for skipped in store.skipped] == [(1, "n2")]
    assert store.add_note(" ", id="n3") is None


def test_a_blank_question_gives_the_notes_that_the_filters_leave(filled: BedsideVectorStore) -> None:
    assert filled.search_notes(" ") == filled.search_notes("chest pain", 0) == []
    assert [hit.id for hit in filled.search_notes("", filters=PLAN)] == list(NOTES)


@pytest.mark.parametrize("wrong", [{"filter": {}}, {"top_k": 3}, {"similarity_top_k": -1}, {"max_tokens": 0}])
def test_a_retriever_of_notes_refuses_what_it_does_not_know_when_it_is_made(
    filled: BedsideVectorStore, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        BedsideNoteRetriever(filled, **wrong)


@pytest.mark.parametrize(
    ("question", "options", "error"),
    [
        ("pain", {"where": {}}, UnknownOptionError),
        ("pain", {"filter": {}}, UnknownOptionError),
        ("pain", {"filters": {"section": "HPI"}}, FilterError),
        ("pain", {"top_k": -1}, InvalidInputError),
        ({"question": "pain"}, {}, InvalidInputError),
    ],
)
def test_what_a_search_for_notes_does_not_take_is_refused(
    filled: BedsideVectorStore, question: Any, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        filled.search_notes(question, **options)


def test_a_measured_threshold_leaves_what_it_leaves_in_the_core(filled: BedsideVectorStore) -> None:
    """By the store, by a retriever of notes, and by an index' retriever of passages."""
    first, second, *_ = filled.search_notes("chest pain")
    filled.client.set_min_score((first.score + second.score) / 2, mode="hybrid", notes=True)
    assert filled.search_notes("chest pain", min_score="calibrated") == [first]
    retriever = BedsideNoteRetriever(filled, min_score="calibrated")
    assert [found.node_id for found in retriever.retrieve("chest pain")] == [first.id]
    asked = VectorStoreQuery(query_str="chest pain", mode=VectorStoreQueryMode.HYBRID, similarity_top_k=9)
    with pytest.raises(NotCalibratedError, match="search in mode 'hybrid'"):
        filled.query(asked, min_score="calibrated")
    every = filled.query(asked)
    assert every.similarities is not None
    filled.client.set_min_score(sum(every.similarities[:2]) / 2, mode="hybrid")
    assert filled.query(asked, min_score="calibrated").ids == (every.ids or [])[:1]


def test_a_prompt_names_what_was_found(filled: BedsideVectorStore) -> None:
    """LlamaIndex' own prompts have the id that a model is to cite; what was added is given back without it."""
    engine = RetrieverQueryEngine.from_args(BedsideNoteRetriever(filled, similarity_top_k=1), llm=MockLLM())
    answer = engine.query("chest pain")
    assert "source_id: visit-1" in str(answer)  # the mock model repeats its prompt
    assert "source_id" not in filled.get_note("visit-1").metadata  # type: ignore[union-attr]
    found = BedsideNoteRetriever(filled).retrieve("chest pain")
    assert found[0].text == found[0].node.get_content() == NOTES["visit-1"]
    assert set(filled.add_notes([each.node for each in found], splitter=SECTIONS).values()) == {"unchanged"}


def test_notes_stay_in_their_scope(encoder: bedside.Encoder) -> None:
    store = BedsideVectorStore(encoder=encoder, scope_keys=["patient_id"])
    for patient in "AB":
        store.scoped(patient_id=patient).add_note(f"HPI: Cough of {patient}.", id="n1")
    with pytest.raises(ScopeRequired):
        store.search_notes("cough")
    a = store.scoped(patient_id="A")
    assert [found.node.get_content() for found in BedsideNoteRetriever(a).retrieve("cough")] == ["HPI: Cough of A."]
    assert a.delete_note("n1")
    assert store.scopes() == [({"patient_id": "B"}, 1)]
    with pytest.raises(ScopeMismatch):
        a.scopes()
    store.delete("n1")
    assert store.scopes() == []


def test_a_query_engine_answers_from_whole_notes(filled: BedsideVectorStore) -> None:
    answer = RetrieverQueryEngine.from_args(BedsideNoteRetriever(filled, similarity_top_k=1)).query("migraine")
    assert answer.source_nodes[0].node.get_content() == NOTES["visit-3"]


@pytest.mark.parametrize("strategy", [DocstoreStrategy.UPSERTS, DocstoreStrategy.UPSERTS_AND_DELETE])
def test_a_pipeline_keeps_whole_notes(encoder: bedside.Encoder, strategy: DocstoreStrategy) -> None:
    """Nodes that say which note they are of are the note, whoever stored them, and change with it."""
    store = BedsideVectorStore(encoder=encoder)
    parser = BedsideNodeParser(max_tokens=12, overlap=0, as_notes=True)
    pipeline = IngestionPipeline(
        transformations=[parser, BedsideEmbedding.from_encoder(encoder)],
        vector_store=store,
        docstore=SimpleDocumentStore(),
        docstore_strategy=strategy,
    )
    pipeline.run(documents=documents())
    for id, text in NOTES.items():
        note = store.get_note(id)
        assert note is not None
        assert (note.text, note.metadata) == (text, {"day": id[-1]})
    assert store.search_notes("migraine")[0].id == "visit-3"
    changed = documents(**{"visit-1": "HPI: No chest pain today.\n\nPLAN: None."})
    pipeline.run(documents=changed)
    note = store.get_note("visit-1")
    assert note is not None
    assert note.text == changed[0].text
    assert len({node.ref_doc_id for node in store.get_nodes()}) == 3


def test_what_makes_a_node_a_passage_is_put_before_no_text() -> None:
    """It would change vectors and fill prompts."""
    plain, notes = (
        BedsideNodeParser(max_tokens=12, overlap=0, as_notes=as_notes)(documents()) for as_notes in (False, True)
    )
    for mode in ("embed", "llm"):
        assert [node.get_content(mode) for node in notes] == [node.get_content(mode) for node in plain]
    assert [node.node_id for node in notes][:2] == ["visit-1#0", "visit-1#1"]
    assert notes[0].next_node.node_id == "visit-1#1"
    assert [(n.start_char_idx, n.end_char_idx) for n in notes] == [
        (n.metadata["start"], n.metadata["end"]) for n in notes
    ]
