"""Adding, replacing, deleting and reading documents through LangChain."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_bedside import BedsideVectorStore, as_encoder
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.load import Serializable, dumps

from bedside import Collection
from bedside.errors import (
    CollectionClosedError,
    EncoderMismatch,
    InvalidDocumentError,
    InvalidInputError,
    InvalidVectorError,
    ScopeMismatch,
    ScopeRequired,
)

METADATA = {
    "patient_id": "Ä-1",
    "n": 2**53 + 1,
    "x": 1.0,
    "yes": True,
    "none": None,
    "list": ["a", 1, 1.5, False, None, {"deep": [[]]}],
    "object": {"a.b": {"": 0}},
}


def ids(documents: list[Document]) -> list[str | None]:
    return [document.id for document in documents]


def test_texts_may_come_from_a_generator(store: BedsideVectorStore) -> None:
    """A generator of texts, of metadatas and of ids is read once and stored whole."""
    given = store.add_texts((f"text {i}" for i in range(3)), ({"i": i} for i in range(3)), ids=iter("xyz"))
    assert given == ["x", "y", "z"]
    assert [(d.id, d.page_content, d.metadata) for d in store.get_by_ids(given)] == [
        ("x", "text 0", {"i": 0}),
        ("y", "text 1", {"i": 1}),
        ("z", "text 2", {"i": 2}),
    ]


def test_documents_may_come_from_a_generator(store: BedsideVectorStore) -> None:
    """A generator of documents is stored whole."""
    assert len(store.add_documents(Document(f"text {i}") for i in range(3))) == 3
    assert store.count() == 7


def test_none_among_ids_leaves_the_documents_own_id_or_makes_one(store: BedsideVectorStore) -> None:
    """An id in ``ids`` goes first, then the document's own, then a new one."""
    documents = [Document("one", id="own"), Document("two", id="own too"), Document("three")]
    first, second, third = store.add_documents(documents, ids=["given", None, None])
    assert (first, second) == ("given", "own too")
    assert third not in {"given", "own", "own too"}
    assert ids(store.get_by_ids([third, "given"])) == [third, "given"]


@pytest.mark.parametrize("arguments", [{"ids": ["x"]}, {"metadatas": [{}]}, {"ids": ["x", "y", "z"]}, {"ids": []}])
def test_lists_of_another_length_are_refused(store: BedsideVectorStore, arguments: dict[str, Any]) -> None:
    """ids and metadatas must be one for each text, and the error says which is not; nothing is stored."""
    with pytest.raises(InvalidInputError, match=next(iter(arguments))):
        store.add_texts(["one", "two"], **arguments)
    assert store.count() == 4


@pytest.mark.parametrize(
    "arguments",
    [
        {"texts": "angina"},
        {"texts": None},
        {"texts": ["one", "two"], "ids": "xy"},
        {"texts": ["one"], "metadatas": {"year": 2021}},
        {"texts": ["one"], "metadatas": ["year"]},
    ],
)
def test_one_text_is_not_a_list_of_letters(store: BedsideVectorStore, arguments: dict[str, Any]) -> None:
    """One value where a list is expected is refused by name, not taken apart; nothing is stored."""
    with pytest.raises(InvalidInputError, match=list(arguments)[-1]):
        store.add_texts(**arguments)
    assert store.count() == 4


@pytest.mark.parametrize("wrong", [["one"], [None], "one", Document("one"), None, [Document("one"), ("two",)]])
async def test_what_is_no_document_is_refused(store: BedsideVectorStore, wrong: Any) -> None:
    """Anything but documents raises a named error, sync and async; nothing is stored."""
    with pytest.raises(InvalidInputError, match="documents"):
        store.add_documents(wrong)
    with pytest.raises(InvalidInputError, match="documents"):
        await store.aadd_documents(wrong)
    assert store.count() == 4


def test_the_key_that_belongs_to_llama_index_is_refused(store: BedsideVectorStore) -> None:
    """Metadata that could not come back are refused, as in the LlamaIndex store; nothing is stored."""
    with pytest.raises(InvalidDocumentError, match="_node"):
        store.add_texts(["one"], [{"_node": 1}])
    assert store.count() == 4


@pytest.mark.parametrize("arguments", [{"scope": "A"}, {"scope": ["A"]}, {"scope_keys": "id"}])
def test_scopes_and_their_keys_are_not_letters(embedding: Embeddings, arguments: dict[str, Any]) -> None:
    """A scope is a dict and its keys are a list: a text in their place is refused."""
    with pytest.raises(InvalidInputError, match=next(iter(arguments))):
        BedsideVectorStore(embedding, **arguments)


@pytest.mark.parametrize("wrong", ["notes.bedside", DeterministicFakeEmbedding, len])
def test_what_is_no_embedding_model_is_refused(wrong: Any) -> None:
    """A path or a model's name, a class and a function in the model's place are refused at once."""
    with pytest.raises(InvalidInputError, match="embedding"):
        BedsideVectorStore(wrong)


def test_an_id_that_is_there_is_replaced(store: BedsideVectorStore) -> None:
    """Adding under a known id replaces text, metadata and vector."""
    store.add_texts(["Rewritten."], [{"new": True}], ids=["a-1"])
    assert store.count() == 4
    assert store.get_by_ids(["a-1"]) == [Document("Rewritten.", id="a-1", metadata={"new": True})]
    assert store.similarity_search("Rewritten.", k=1)[0].id == "a-1"


@pytest.mark.parametrize("id", ["a/b", "../../x", "ÄÖ 漢字", " ", "a\nb", "x" * 5000])
def test_any_string_is_an_id(store: BedsideVectorStore, id: str) -> None:
    """Ids with any characters are kept as they are; PostgreSQL refuses one that its indexes cannot hold, by name."""
    if len(id) > 2_000 and str(store.collection.place).startswith("postgresql://"):
        with pytest.raises(InvalidDocumentError, match=r"documents\[0\].id: has over 2000 bytes"):
            store.add_texts(["text"], ids=[id])
        return
    assert store.add_texts(["text"], ids=[id]) == [id]
    assert ids(store.get_by_ids([id])) == [id]


def test_metadata_come_back_exactly_and_documents_are_not_changed(
    embedding: DeterministicFakeEmbedding, tmp_path: Path
) -> None:
    """What comes back equals what was given in value and type, also after the folder is opened again."""
    document = Document("text", metadata=METADATA)
    before = document.model_dump_json()
    store = BedsideVectorStore(embedding, tmp_path / "c")
    given = store.add_documents([document])
    assert document.model_dump_json() == before
    assert document.id is None
    store.close()
    back = BedsideVectorStore(embedding, tmp_path / "c").get_by_ids(given)[0].metadata
    assert repr(back) == repr(METADATA)


def test_documents_that_were_found_may_be_changed(store: BedsideVectorStore) -> None:
    """Changing a returned document's metadata changes nothing in the store."""
    store.get_by_ids(["b-2"])[0].metadata["tags"].append("changed")
    store.similarity_search("HbA1c", k=4)[0].metadata.clear()
    assert store.get_by_ids(["b-2"])[0].metadata == {"patient_id": "B", "tags": ["lab", "hba1c"]}


def test_identical_notes_of_two_patients_stay_two_documents(embedding: DeterministicFakeEmbedding) -> None:
    """The same text under two patients is two records, and every search gives both."""
    texts, metadatas = ["Denies pain."] * 2, [{"patient_id": "A"}, {"patient_id": "B"}]
    store = BedsideVectorStore.from_texts(texts, embedding, metadatas)
    for mode in ("dense", "sparse", "hybrid"):
        found = store.similarity_search("Denies pain.", k=10, retrieval_mode=mode)
        assert [d.metadata["patient_id"] for d in found] == ["A", "B"]


def test_get_by_ids_keeps_the_order_and_skips_what_is_missing(store: BedsideVectorStore) -> None:
    """Ids come back in the order asked, without those that are not there."""
    assert ids(store.get_by_ids(["b-2", "nobody", "a-1"])) == ["b-2", "a-1"]


def test_get_filters_pages_and_refuses_to_guess(store: BedsideVectorStore) -> None:
    """``get`` takes ids, a filter, a limit and an offset, and never means everything by omission."""
    assert ids(store.get(filter={})) == ["a-1", "a-2", "b-1", "b-2"]
    assert ids(store.get(filter={"patient_id": "B"}, limit=1, offset=1)) == ["b-2"]
    assert ids(store.get(["b-1", "a-1"], filter={"year": {"$lt": 2022}})) == ["a-1"]
    with pytest.raises(InvalidInputError):
        store.get()


def test_count_counts_what_a_filter_leaves(store: BedsideVectorStore) -> None:
    """``count`` takes the filters of the searches."""
    assert (store.count(), store.count({"patient_id": "A"})) == (4, 2)


def test_delete_takes_ids_a_filter_or_both(store: BedsideVectorStore) -> None:
    """Both given means what satisfies both; ids that are not there are no error."""
    assert store.delete(["nobody"]) is True
    assert store.delete(["a-1", "b-1"], filter={"patient_id": "A"}) is True
    assert ids(store.get(filter={})) == ["a-2", "b-1", "b-2"]
    assert store.delete(filter={"year": {"$exists": True}}) is True
    assert ids(store.get(filter={})) == ["b-2"]


def test_delete_without_ids_and_filter_deletes_nothing(store: BedsideVectorStore) -> None:
    """``delete()`` is refused, and an empty list of ids deletes nothing."""
    with pytest.raises(InvalidInputError):
        store.delete()
    assert store.delete([]) is True
    assert store.count() == 4


def test_update_documents_replaces_and_never_adds(store: BedsideVectorStore) -> None:
    """An update of an id that is not there is refused and changes nothing."""
    store.update_documents(["a-1"], [Document("Updated.")])
    assert store.get_by_ids(["a-1"])[0].page_content == "Updated."
    with pytest.raises(InvalidInputError):
        store.update_documents(["a-2", "nobody"], [Document("x"), Document("y")])
    assert store.get_by_ids(["a-2"])[0].page_content.startswith("Metformin")


def test_embeddings_may_be_given(embedding: DeterministicFakeEmbedding) -> None:
    """``add_embeddings`` stores the vectors it is given, as lists or arrays."""
    store = BedsideVectorStore(embedding)
    vectors = [[1.0] + [0.0] * 15, np.eye(16, dtype=np.float32)[1]]
    store.add_embeddings(zip(["one", "two"], vectors, strict=True), [{"i": 1}, {"i": 2}], ids=["1", "2"])
    assert store.similarity_search_with_score_by_vector(vectors[1], k=1) == [
        (Document("two", id="2", metadata={"i": 2}), 1.0)
    ]


@pytest.mark.parametrize(
    ("documents", "error"),
    [
        ([Document("ok"), Document("  ")], InvalidDocumentError),
        ([Document("ok"), Document("bad", metadata={"a": {1, 2}})], InvalidDocumentError),
        ([Document("ok"), Document("bad", metadata={"a": float("nan")})], InvalidDocumentError),
    ],
)
async def test_bad_documents_are_refused_and_change_nothing(
    store: BedsideVectorStore, documents: list[Document], error: type[Exception]
) -> None:
    """One bad document refuses the call, in both worlds."""
    with pytest.raises(error):
        store.add_documents(documents)
    with pytest.raises(error):
        await store.aadd_documents(documents)
    assert ids(store.get(filter={})) == ["a-1", "a-2", "b-1", "b-2"]


class Broken(Embeddings):
    """A model that answers as its maker says."""

    def __init__(self, answer: list[list[float]]) -> None:
        self.answer = answer

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.answer

    def embed_query(self, text: str) -> list[float]:
        return self.answer[0]


@pytest.mark.parametrize(
    "answer", [[[1.0, 2.0]], [[1.0, 2.0], [1.0]], [[1.0], [float("nan")]], [[1.0], [0.0]], [[], []], []]
)
def test_a_models_bad_answer_is_refused(answer: list[list[float]]) -> None:
    """Too few vectors, vectors of several lengths, not finite, zero or empty ones are refused; nothing is stored."""
    store = BedsideVectorStore(Broken(answer))
    with pytest.raises(InvalidVectorError):
        store.add_texts(["one", "two"])
    assert store.count() == 0


def test_a_store_is_neither_serialised_nor_pickled(store: BedsideVectorStore) -> None:
    """What it holds stays in its folder: LangChain's dumps leave it out, and pickle refuses it."""
    assert not isinstance(store, Serializable)
    assert json.loads(dumps(store))["type"] == "not_implemented"
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(store)


def test_another_dimension_is_refused(tmp_path: Path, embedding: DeterministicFakeEmbedding) -> None:
    """A folder written with 16 dimensions does not take 8."""
    BedsideVectorStore.from_texts(["one"], embedding, path=tmp_path / "c").close()
    with pytest.raises((InvalidVectorError, EncoderMismatch)):
        BedsideVectorStore(DeterministicFakeEmbedding(size=8), tmp_path / "c").add_texts(["two"])


def test_a_closed_store_says_so(store: BedsideVectorStore) -> None:
    """After ``close`` every verb raises the error that names it."""
    store.close()
    with pytest.raises(CollectionClosedError):
        store.similarity_search("x")
    with pytest.raises(CollectionClosedError):
        store.add_texts(["x"])


def test_from_documents_keeps_ids_and_takes_generators(
    embedding: DeterministicFakeEmbedding, notes: list[Document]
) -> None:
    """Documents with and without ids, from a generator, go in whole."""
    notes[1].id = None
    store = BedsideVectorStore.from_documents((note for note in notes), embedding)
    found = store.get(filter={})
    assert [d.page_content for d in found] == [note.page_content for note in notes]
    assert found[0].id == "a-1"
    assert BedsideVectorStore.from_documents(notes, embedding, ids=list("wxyz")).get(filter={})[3].id == "z"


def test_unknown_constructor_arguments_are_refused(embedding: DeterministicFakeEmbedding) -> None:
    """An argument of another store is a TypeError that names those of this one, not silence."""
    with pytest.raises(TypeError, match="unknown argument 'persist_directory'; allowed are embedding, path, scope"):
        BedsideVectorStore.from_texts(["x"], embedding, persist_directory="x")


def test_a_scoped_store_sees_its_scope_only(
    tmp_path: Path, embedding: DeterministicFakeEmbedding, notes: list[Document]
) -> None:
    """Reading, counting, searching, replacing and deleting stop at the border of the scope."""
    everyone = BedsideVectorStore(embedding, tmp_path / "c", scope_keys=["patient_id"])
    everyone.add_documents(notes)
    a = everyone.scoped(patient_id="A")
    assert ids(a.get(filter={})) == ["a-1", "a-2"]
    assert a.count() == 2
    assert a.get_by_ids(["b-1"]) == []
    for mode in ("dense", "sparse", "hybrid"):
        found = a.similarity_search("Denies chest pain", k=10, retrieval_mode=mode)
        assert {d.metadata["patient_id"] for d in found} == {"A"}
    a.delete(["b-1"])
    a.delete(filter={"patient_id": "B"})
    a.add_texts(["Mine."], ids=["b-1"])
    assert a.get_by_ids(["b-1"])[0].metadata == {"patient_id": "A"}
    b = everyone.scoped(patient_id="B")
    assert b.get_by_ids(["b-1"])[0].page_content == "Denies chest pain and dyspnea."
    with pytest.raises(ScopeMismatch):
        a.add_texts(["Not mine."], [{"patient_id": "B"}])
    with pytest.raises(ScopeMismatch):
        a.scoped(patient_id="B")
    with pytest.raises(ScopeRequired):
        everyone.similarity_search("chest pain")


def test_scope_is_a_constructor_argument(tmp_path: Path, embedding: DeterministicFakeEmbedding) -> None:
    """``scope=`` makes its keys the scope keys of a new folder, and is needed from then on."""
    a = BedsideVectorStore.from_texts(["Denies pain."], embedding, path=tmp_path / "c", scope={"patient_id": "A"})
    b = BedsideVectorStore(embedding, tmp_path / "c", scope={"patient_id": "B"})
    assert (a.count(), b.count()) == (1, 0)
    with pytest.raises(ScopeRequired):
        BedsideVectorStore(embedding, tmp_path / "c").count()


def test_an_open_collection_may_be_given(embedding: DeterministicFakeEmbedding) -> None:
    """A store over an open collection shares its records, and refuses a model that it was not opened with."""
    notes = Collection.open(encoder=as_encoder(embedding))
    BedsideVectorStore(collection=notes).add_texts(["one"], ids=["1"])
    assert "1" in notes
    assert BedsideVectorStore(embedding, collection=notes).similarity_search("one")[0].id == "1"
    with pytest.raises(EncoderMismatch):
        BedsideVectorStore(embedding, collection=Collection.open())
    with pytest.raises(InvalidInputError):
        BedsideVectorStore(embedding, "somewhere", collection=notes)


def test_a_store_may_do_without_a_model() -> None:
    """Texts without vectors are found by their words."""
    store = BedsideVectorStore(retrieval_mode="sparse")
    store.add_texts(["BP 120/80", "BP 150/95"], ids=["1", "2"])
    assert ids(store.similarity_search("150/95")) == ["2"]
    assert store.embeddings is None
