"""``BedsideNoteSplitter``: passages of notes with exact offsets, everywhere LangChain takes a text splitter."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_bedside import BedsideEmbeddings, BedsideNoteSplitter, BedsideVectorStore
from langchain_core.documents import BaseDocumentTransformer, Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.stores import InMemoryStore
from langchain_text_splitters import TextSplitter

from bedside.errors import InvalidInputError
from bedside.text.split import NoteSplitter

try:
    from langchain_classic.retrievers import ParentDocumentRetriever
except ImportError:  # before LangChain 1.0
    from langchain.retrievers import ParentDocumentRetriever

NOTE = (
    "Seen today.\nHPI: Cough for 3 days. No fever. Takes 0.5 mg q.d. Cough is dry.\n\nPLAN: Rest. Return in 2 weeks.\n"
)
PIECES = ["HPI: ", "PLAN:\n", "Cough. ", "Dr. Wu gave 0.5 mg. ", "µ≥𝛽 ", "\n\n", "  ", "no fever", "x" * 40]
NOTES = st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map("".join)


def test_passages_carry_offsets_sections_and_their_documents_metadata() -> None:
    """Each passage has its document's metadata, its place, its heading and a numbered id."""
    note = Document(NOTE, id="n1", metadata={"patient_id": "A", "codes": ["J20"]})
    before = note.model_dump_json()
    passages = BedsideNoteSplitter().split_documents([note])
    assert [passage.metadata.get("section") for passage in passages] == [None, "HPI", "PLAN"]
    assert [passage.id for passage in passages] == ["n1.0", "n1.1", "n1.2"]
    assert all(passage.metadata["patient_id"] == "A" for passage in passages)
    passages[0].metadata["codes"].append("changed")
    assert note.model_dump_json() == before
    assert passages[1].metadata["codes"] == ["J20"]


@given(text=NOTES, max_tokens=st.integers(3, 30))
def test_offsets_are_exact_and_no_character_is_lost(text: str, max_tokens: int) -> None:
    """A passage is what its offsets say, and without overlap all of them together are the note."""
    splitter = BedsideNoteSplitter(max_tokens=max_tokens, overlap=0)
    passages = splitter.split_documents([Document(text)])
    for passage in passages:
        assert text[passage.metadata["start_index"] : passage.metadata["end_index"]] == passage.page_content
    if text.strip():
        assert "".join(passage.page_content for passage in passages) == text
    assert splitter.split_text(text) == [passage.page_content for passage in passages]


def test_tokens_are_the_embedding_models_own(minilm: BedsideEmbeddings) -> None:
    """With a model its tokenizer counts: the passages are the core's, and each fits."""
    note = NOTE * 10
    passages = BedsideNoteSplitter(minilm, max_tokens=24, overlap=6).split_text(note)
    count = minilm.encoder.count_tokens  # type: ignore[attr-defined]
    assert passages == [passage.text for passage in NoteSplitter(24, 6, count).split(note)]
    assert max(count(passages)) <= 24
    assert len(BedsideNoteSplitter(minilm).split_text(note)) < len(passages)


def test_passages_say_what_their_section_is_also_by_titles_of_the_users_own() -> None:
    note = Document(
        "Medical hx: asthma.\nWard round: Rest.\nFAMILY MEETING: held today.", metadata={"section_kind": "old"}
    )
    passages = BedsideNoteSplitter(section_kinds={"Ward round": "plan"}).split_documents([note])
    assert [passage.metadata.get("section_kind") for passage in passages] == ["past_medical_history", "plan", None]


async def test_every_way_of_a_text_splitter_gives_the_same_passages() -> None:
    """``create_documents``, ``transform_documents`` and their twin cut as ``split_documents`` does."""
    splitter = BedsideNoteSplitter(max_tokens=12)
    assert isinstance(splitter, TextSplitter)
    assert isinstance(splitter, BaseDocumentTransformer)
    expected = splitter.split_documents([Document(NOTE, metadata={"i": 1}), Document("Cough.", metadata={"i": 2})])
    assert len(expected) > 4
    assert all(passage.id is None for passage in expected)
    assert splitter.create_documents([NOTE, "Cough."], [{"i": 1}, {"i": 2}]) == expected
    given = [Document(NOTE, metadata={"i": 1}), Document("Cough.", metadata={"i": 2})]
    assert list(splitter.transform_documents(given)) == expected
    assert list(await splitter.atransform_documents(given)) == expected
    with pytest.raises(InvalidInputError, match="metadatas"):
        splitter.create_documents([NOTE], [{}, {}])


def test_splitting_a_changed_note_again_replaces_its_passages() -> None:
    """Numbered ids make a second ingestion an update."""
    store = BedsideVectorStore(DeterministicFakeEmbedding(size=8))
    for text in (NOTE, NOTE.replace("3 days", "4 days")):
        store.add_documents(BedsideNoteSplitter().split_documents([Document(text, id="n1")]))
    assert store.count() == 3
    assert "4 days" in store.get_by_ids(["n1.1"])[0].page_content


def test_the_parent_document_retriever_takes_it() -> None:
    """A retriever that asks for a text splitter finds passages and gives their notes."""
    store = BedsideVectorStore(DeterministicFakeEmbedding(size=8), retrieval_mode="sparse")
    retriever = ParentDocumentRetriever(
        vectorstore=store, docstore=InMemoryStore(), child_splitter=BedsideNoteSplitter(max_tokens=12)
    )
    retriever.add_documents([Document(NOTE), Document("HPI: Knee pain.")])
    assert store.count() > 2
    assert [found.page_content for found in retriever.invoke("return in 2 weeks")] == [NOTE]


def test_numbers_out_of_range_are_refused() -> None:
    """The core's rules hold for the adapter's arguments."""
    for bad in ({"max_tokens": 0}, {"overlap": -1}, {"max_tokens": 8, "overlap": 8}):
        with pytest.raises(InvalidInputError):
            BedsideNoteSplitter(**bad)


def test_the_splitters_library_is_loaded_with_the_splitter_only() -> None:
    """The store alone does not import the text splitters, older releases of which import every model library."""
    code = "import sys, langchain_bedside as b; b.BedsideVectorStore; print('langchain_text_splitters' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert ran.stdout.strip() == "False"
