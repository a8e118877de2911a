"""LlamaIndex' own indexes, pipelines, retrievers and engines over the store."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import (
    Document,
    StorageContext,
    VectorStoreIndex,
    load_index_from_storage,
)
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata, MockLLM
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.node_parser import (
    HierarchicalNodeParser,
    SentenceSplitter,
    SentenceWindowNodeParser,
    get_leaf_nodes,
)
from llama_index.core.postprocessor import MetadataReplacementPostProcessor
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.retrievers import AutoMergingRetriever, QueryFusionRetriever, VectorIndexAutoRetriever
from llama_index.core.schema import IndexNode, MetadataMode, TextNode
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores.types import (
    MetadataFilter,
    MetadataFilters,
    MetadataInfo,
    VectorStoreInfo,
)
from llama_index.vector_stores.bedside import BedsideVectorStore

NOTES = {
    "cardiology": "Chest pain on exertion for two weeks. Relieved by rest. Troponin 0.04 ng/mL.",
    "pulmonology": "Shortness of breath at night. Wheezing on expiration. Peak flow 310 L/min.",
    "endocrinology": "HbA1c 9.1 percent. Metformin increased to 1000 mg twice daily.",
}


def documents(**changed: str) -> list[Document]:
    return [Document(id_=name, text=text, metadata={"clinic": name}) for name, text in {**NOTES, **changed}.items()]


def build(store: BedsideVectorStore, docs: list[Document] | None = None, **options: Any) -> VectorStoreIndex:
    context = StorageContext.from_defaults(vector_store=store)
    splitter = SentenceSplitter(chunk_size=24, chunk_overlap=0)
    docs = documents() if docs is None else docs
    return VectorStoreIndex.from_documents(docs, storage_context=context, transformations=[splitter], **options)


def sources(store: BedsideVectorStore) -> dict[str | None, str]:
    """The text of each source document, as its nodes hold it."""
    texts: dict[str | None, str] = {}
    for node in store.get_nodes():
        texts[node.ref_doc_id] = f"{texts.get(node.ref_doc_id, '')} {node.get_content()}".strip()
    return texts


class TestIndex:
    def test_an_index_retrieves_scored_nodes_with_their_relationships(self, store: BedsideVectorStore) -> None:
        best = build(store).as_retriever(similarity_top_k=1).retrieve("chest pain on exertion")[0]
        assert best.node.ref_doc_id == "cardiology"
        assert best.metadata == {"clinic": "cardiology"}
        assert best.node.next_node is not None
        assert 0 < best.score <= 1
        whole = NOTES["cardiology"]
        assert whole[best.node.start_char_idx : best.node.end_char_idx] == best.text

    @pytest.mark.parametrize("mode", ["default", "sparse", "text_search", "hybrid", "semantic_hybrid", "mmr"])
    def test_every_mode_works_through_a_retriever(self, store: BedsideVectorStore, mode: str) -> None:
        retriever = build(store).as_retriever(vector_store_query_mode=mode, similarity_top_k=2, alpha=0.5)
        assert retriever.retrieve("HbA1c 9.1")[0].node.ref_doc_id == "endocrinology"
        assert asyncio.run(retriever.aretrieve("HbA1c 9.1"))[0].node.ref_doc_id == "endocrinology"

    def test_filters_and_doc_ids_work_through_a_retriever(self, store: BedsideVectorStore) -> None:
        index = build(store)
        chosen = MetadataFilters(filters=[MetadataFilter(key="clinic", value="pulmonology")])
        for options in ({"filters": chosen}, {"doc_ids": ["pulmonology"]}):
            found = index.as_retriever(similarity_top_k=50, **options).retrieve("chest pain")
            assert {hit.node.ref_doc_id for hit in found} == {"pulmonology"}

    def test_vector_store_kwargs_reach_the_store(self, store: BedsideVectorStore) -> None:
        options = {"vector_store_query_mode": "mmr", "similarity_top_k": 2}
        index = build(store)
        relevant = index.as_retriever(**options, vector_store_kwargs={"mmr_threshold": 1.0}).retrieve("chest pain")
        plain = index.as_retriever(similarity_top_k=2).retrieve("chest pain")
        assert [hit.node_id for hit in relevant] == [hit.node_id for hit in plain]

    def test_documents_are_inserted_updated_refreshed_and_deleted(self, store: BedsideVectorStore) -> None:
        index = build(store)
        index.insert(Document(id_="neurology", text="Headache with aura."))
        assert set(sources(store)) == {*NOTES, "neurology"}
        index.update_ref_doc(Document(id_="neurology", text="Headache resolved."))
        assert sources(store)["neurology"] == "Headache resolved."
        assert index.refresh_ref_docs(documents()) == [False, False, False]
        assert index.refresh_ref_docs(documents(cardiology="No chest pain today.")) == [True, False, False]
        assert sources(store)["cardiology"] == "No chest pain today."
        index.delete_ref_doc("pulmonology", delete_from_docstore=True)
        assert set(sources(store)) == {"cardiology", "endocrinology", "neurology"}
        index.delete_nodes([node.node_id for node in store.get_nodes() if node.ref_doc_id == "neurology"])
        assert set(sources(store)) == {"cardiology", "endocrinology"}

    def test_the_async_ways_do_the_same(self, store: BedsideVectorStore) -> None:
        async def session() -> None:
            await index.ainsert(Document(id_="neurology", text="Headache with aura."))
            await index.adelete_ref_doc("cardiology")

        index = build(store, use_async=True)
        assert set(sources(store)) == set(NOTES)
        asyncio.run(session())
        assert set(sources(store)) == {"pulmonology", "endocrinology", "neurology"}

    def test_an_index_over_a_store_that_is_there_needs_no_nodes(self, store: BedsideVectorStore) -> None:
        build(store)
        index = VectorStoreIndex.from_vector_store(store)
        assert index.as_retriever(similarity_top_k=1).retrieve("wheezing")[0].node.ref_doc_id == "pulmonology"

    def test_an_index_node_leads_to_what_it_names(self, store: BedsideVectorStore) -> None:
        inner = TextNode(id_="inner", text="The whole discharge summary.")
        summary = IndexNode(id_="summary", text="Summary: chest pain.", index_id="inner", obj=inner)
        index = VectorStoreIndex([summary], storage_context=StorageContext.from_defaults(vector_store=store))
        assert index.as_retriever().retrieve("chest pain")[0].node.get_content() == "The whole discharge summary."


class TestPersistence:
    def test_a_storage_context_is_persisted_and_loaded(self, store: BedsideVectorStore, tmp_path: Path) -> None:
        folder = str(tmp_path / "storage")
        index = build(store)
        index.set_index_id("notes")
        index.storage_context.persist(folder)
        context = StorageContext.from_defaults(
            persist_dir=folder, vector_store=BedsideVectorStore.from_persist_dir(folder)
        )
        again = load_index_from_storage(context, index_id="notes")
        for mode in ("default", "hybrid"):
            found, expected = (
                one.as_retriever(vector_store_query_mode=mode).retrieve("troponin") for one in (again, index)
            )
            assert [(hit.node_id, hit.score) for hit in found] == [(hit.node_id, hit.score) for hit in expected]
        assert again.refresh_ref_docs(documents()) == [False, False, False]

    def test_a_context_loaded_without_our_store_fails(self, store: BedsideVectorStore, tmp_path: Path) -> None:
        build(store).storage_context.persist(str(tmp_path / "storage"))
        with pytest.raises(AttributeError):
            StorageContext.from_defaults(persist_dir=str(tmp_path / "storage"))


@pytest.fixture(params=["split", "whole"])
def pipeline(request: pytest.FixtureRequest, store: BedsideVectorStore, embed_model: Any) -> IngestionPipeline:
    """A pipeline into the store, of chunks and of whole documents."""
    splitter = [SentenceSplitter(chunk_size=24, chunk_overlap=0)]
    return IngestionPipeline(
        transformations=[*(splitter if request.param == "split" else []), embed_model],
        vector_store=store,
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS_AND_DELETE,
    )


class TestIngestion:
    def test_a_second_run_adds_nothing(self, pipeline: IngestionPipeline, store: BedsideVectorStore) -> None:
        assert pipeline.run(documents=documents())
        before = store.get_nodes()
        assert pipeline.run(documents=documents()) == []
        assert store.get_nodes() == before

    def test_a_changed_document_replaces_its_nodes(
        self, pipeline: IngestionPipeline, store: BedsideVectorStore
    ) -> None:
        pipeline.run(documents=documents())
        pipeline.run(documents=documents(cardiology="No chest pain today."))
        texts = {
            node.metadata["clinic"]: node.get_content(MetadataMode.NONE)
            for node in store.get_nodes()
            if node.metadata["clinic"] == "cardiology"
        }
        assert texts == {"cardiology": "No chest pain today."}

    def test_a_document_that_is_gone_takes_its_nodes_along(
        self, pipeline: IngestionPipeline, store: BedsideVectorStore
    ) -> None:
        pipeline.run(documents=documents())
        pipeline.run(documents=documents()[:1])
        assert {node.metadata["clinic"] for node in store.get_nodes()} == {"cardiology"}

    def test_the_async_run_does_the_same(self, pipeline: IngestionPipeline, store: BedsideVectorStore) -> None:
        assert asyncio.run(pipeline.arun(documents=documents()))
        before = store.get_nodes()
        assert asyncio.run(pipeline.arun(documents=documents())) == []
        assert store.get_nodes() == before


@pytest.mark.slow
@pytest.mark.timeout(100)
def test_worker_processes_fill_the_store_as_one_process_does(tmp_path: Path) -> None:
    """The transformations travel to the workers; what comes back is added once, and a second run adds nothing."""
    found = []
    for workers in (None, 2):
        store = BedsideVectorStore(tmp_path / str(workers))
        pipeline = IngestionPipeline(
            transformations=[MockEmbedding(8)],  # LlamaIndex' SentenceSplitter cannot be pickled
            vector_store=store,
            docstore=SimpleDocumentStore(),
            disable_cache=True,
        )
        assert pipeline.run(documents=documents(), num_workers=workers)
        assert pipeline.run(documents=documents(), num_workers=workers) == []
        found.append({node.node_id: node.get_content(MetadataMode.NONE) for node in store.get_nodes()})
    assert found == [NOTES, NOTES]


class Scripted(CustomLLM):
    """Answers everything with one text."""

    answer: str

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata()

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return CompletionResponse(text=self.answer)

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        yield self.complete(prompt)


class TestRetrievers:
    def test_sentence_windows_come_back_around_the_sentence(self, store: BedsideVectorStore) -> None:
        parser = SentenceWindowNodeParser.from_defaults(window_size=1)
        nodes = parser.get_nodes_from_documents(documents())
        index = VectorStoreIndex(nodes, storage_context=StorageContext.from_defaults(vector_store=store))
        engine = index.as_query_engine(
            similarity_top_k=1,
            node_postprocessors=[MetadataReplacementPostProcessor(target_metadata_key="window")],
        )
        (source,) = engine.query("relieved by rest").source_nodes
        assert source.node.get_content().replace("  ", " ") == NOTES["cardiology"]

    def test_leaves_merge_into_their_parent(self, store: BedsideVectorStore) -> None:
        parser = HierarchicalNodeParser.from_defaults(chunk_sizes=[128, 24], chunk_overlap=0)
        nodes = parser.get_nodes_from_documents([Document(id_="c", text=NOTES["cardiology"])])
        context = StorageContext.from_defaults(vector_store=store)
        context.docstore.add_documents(nodes)
        index = VectorStoreIndex(get_leaf_nodes(nodes), storage_context=context)
        assert len(store.get_nodes()) > 1
        merging = AutoMergingRetriever(index.as_retriever(similarity_top_k=10), context)
        assert [hit.node.get_content() for hit in merging.retrieve("chest pain")] == [NOTES["cardiology"]]

    def test_fusion_joins_two_modes(self, store: BedsideVectorStore) -> None:
        index = build(store)
        modes = [index.as_retriever(vector_store_query_mode=mode) for mode in ("default", "sparse")]
        fused = QueryFusionRetriever(modes, num_queries=1, mode="reciprocal_rerank", similarity_top_k=2, llm=MockLLM())
        assert fused.retrieve("troponin 0.04")[0].node.ref_doc_id == "cardiology"

    @pytest.mark.parametrize("question", ["books about marriage", ""])
    def test_the_auto_retriever_asks_as_its_prompt_teaches(self, store: BedsideVectorStore, question: str) -> None:
        """Its prompt writes numbers as text, and leaves the question empty where filters say it all."""
        spec = {
            "query": question,
            "filters": [
                {"key": "year", "value": "1813", "operator": ">"},
                {"key": "author", "value": "Jane Austen"},
            ],
        }
        books = [("Emma", 1815, "Jane Austen"), ("Pride", 1813, "Jane Austen"), ("Ivanhoe", 1819, "Walter Scott")]
        nodes = [TextNode(text=title, metadata={"year": year, "author": author}) for title, year, author in books]
        index = VectorStoreIndex(nodes, storage_context=StorageContext.from_defaults(vector_store=store))
        retriever = VectorIndexAutoRetriever(
            index,
            vector_store_info=VectorStoreInfo(
                content_info="books", metadata_info=[MetadataInfo(name="year", type="int", description="Year")]
            ),
            llm=Scripted(answer=f"```json\n{json.dumps(spec)}\n```"),
        )
        assert [hit.node.get_content() for hit in retriever.retrieve("books after 1813")] == ["Emma"]


class TestEngines:
    def test_a_query_engine_cites_its_sources(self, store: BedsideVectorStore) -> None:
        engine = build(store).as_query_engine(similarity_top_k=2, vector_store_query_mode="hybrid")
        answer = engine.query("metformin 1000 mg twice daily")
        assert answer.source_nodes[0].node.ref_doc_id == "endocrinology"
        assert "Metformin increased to 1000 mg" in str(answer)
        assert asyncio.run(engine.aquery("metformin 1000 mg twice daily")).source_nodes == answer.source_nodes

    def test_a_scoped_store_answers_from_one_patient(self) -> None:
        notes = BedsideVectorStore(scope_keys=["clinic"])
        index = build(notes)
        scoped = VectorStoreIndex.from_vector_store(notes.scoped(clinic="cardiology"))
        engine = RetrieverQueryEngine.from_args(scoped.as_retriever(similarity_top_k=50))
        cited = engine.query("HbA1c and metformin").source_nodes
        assert {hit.node.ref_doc_id for hit in cited} == {"cardiology"}
        assert index.vector_store is notes

    def test_a_chat_engine_remembers_and_cites(self, store: BedsideVectorStore) -> None:
        memory = ChatMemoryBuffer.from_defaults(token_limit=2000)
        engine = build(store).as_chat_engine(chat_mode="context", memory=memory, similarity_top_k=1)
        first = engine.chat("chest pain on exertion")
        assert first.source_nodes[0].node.ref_doc_id == "cardiology"
        engine.chat("wheezing on expiration")
        assert len(engine.chat_history) == 4
