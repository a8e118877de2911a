"""Ask and discuss one patient's notes with LlamaIndex: a query engine with sources and a chat engine with memory.

Run it with a local model: ``pip install llama-index-llms-ollama`` and ``python llama_index_chat.py llama3.2``.
"""

from __future__ import annotations

import sys

from llama_index.core import Document, StorageContext, VectorStoreIndex
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import RESPONSE_TYPE
from llama_index.core.chat_engine.types import BaseChatEngine, ChatMode
from llama_index.core.llms import LLM
from llama_index.core.memory import Memory
from llama_index.core.schema import NodeWithScore
from llama_index.embeddings.bedside import BedsideEmbedding, BedsideNodeParser
from llama_index.vector_stores.bedside import BedsideVectorStore

from clinical_notes import read_patients

EMBED_MODEL = BedsideEmbedding(model_name="bedside/static")  # or "emilyalsentzer/Bio_ClinicalBERT"
NOT_EMBEDDED = ["patient_id", "author_role"]
RETRIEVAL = {"vector_store_query_mode": "hybrid", "similarity_top_k": 4}


def store_notes(path: str | None = None) -> BedsideVectorStore:
    """Cut all patients' notes into nodes and store them, each patient in a scope of their own."""
    store = BedsideVectorStore(path, scope_keys=["patient_id"])
    VectorStoreIndex.from_documents(
        [
            Document(id_=note.id, text=note.text, metadata=note.metadata, excluded_embed_metadata_keys=NOT_EMBEDDED)
            for note in read_patients()
        ],
        storage_context=StorageContext.from_defaults(vector_store=store),
        transformations=[BedsideNodeParser(embed_model=EMBED_MODEL)],
        embed_model=EMBED_MODEL,
    )
    return store


def open_record(store: BedsideVectorStore, patient_id: str) -> VectorStoreIndex:
    """Give an index that holds one patient's notes and cannot reach another's."""
    return VectorStoreIndex.from_vector_store(store.scoped(patient_id=patient_id), embed_model=EMBED_MODEL)


def query_engine(record: VectorStoreIndex, llm: LLM) -> BaseQueryEngine:
    """Build an engine that answers single questions."""
    return record.as_query_engine(llm=llm, **RETRIEVAL)


def chat_engine(record: VectorStoreIndex, llm: LLM) -> BaseChatEngine:
    """Build an engine that remembers: a follow-up is first rewritten as a question that stands alone."""
    memory = Memory.from_defaults(token_limit=3000)
    return record.as_chat_engine(chat_mode=ChatMode.CONDENSE_PLUS_CONTEXT, llm=llm, memory=memory, **RETRIEVAL)


def show(answer: RESPONSE_TYPE, sources: list[NodeWithScore]) -> None:
    """Print an answer and the passages it was given."""
    print(answer)
    for source in sources:
        print(f"  {source.score:.3f}  {source.node.ref_doc_id}  {source.metadata.get('section')}")


def main(llm: LLM) -> None:
    """Ask a question, then hold a short conversation."""
    record = open_record(store_notes(), "P01")
    answer = query_engine(record, llm).query("What was the latest HbA1c?")
    show(answer, answer.source_nodes)
    chat = chat_engine(record, llm)
    for message in ("Why was lisinopril stopped?", "And what was given instead?"):
        reply = chat.chat(message)
        print(reply)
        for source in reply.source_nodes:
            print(f"  {source.node.ref_doc_id}  {source.metadata.get('section')}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    from llama_index.llms.ollama import Ollama  # type: ignore[import-not-found, import-untyped, unused-ignore]

    main(Ollama(model=sys.argv[1]))
