"""Ask and discuss one patient's notes with LlamaIndex: engines over whole notes, with memory, and checked answers.

Run it with a local model: ``pip install llama-index-llms-ollama`` and ``python llama_index_chat.py llama3.2``.
"""

from __future__ import annotations

import sys

from llama_index.core import Document
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import Response
from llama_index.core.chat_engine import CondensePlusContextChatEngine
from llama_index.core.chat_engine.types import AgentChatResponse, BaseChatEngine
from llama_index.core.llms import LLM
from llama_index.core.memory import Memory
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.embeddings.bedside import BedsideEmbedding
from llama_index.vector_stores.bedside import BedsideAnswerEvaluator, BedsideNoteRetriever, BedsideVectorStore

from clinical_notes import read_patients

EMBED_MODEL = BedsideEmbedding(model_name="bedside/static")  # or "emilyalsentzer/Bio_ClinicalBERT"
CHECKER = BedsideAnswerEvaluator()


def store_notes(path: str | None = None) -> BedsideVectorStore:
    """Store all patients' notes, each patient in a scope of their own; what did not change is left as it is."""
    store = BedsideVectorStore(path, scope_keys=["patient_id"], encoder=EMBED_MODEL.encoder)
    for note in read_patients():
        record = store.scoped(patient_id=note.metadata["patient_id"])
        record.add_notes([Document(id_=note.id, text=note.text, metadata=note.metadata)])
    return store


def open_record(store: BedsideVectorStore, patient_id: str) -> BedsideNoteRetriever:
    """Give a retriever that finds one patient's notes, the best passages of each, and cannot reach another's."""
    return BedsideNoteRetriever(store.scoped(patient_id=patient_id), similarity_top_k=4, max_tokens=400)


def query_engine(record: BedsideNoteRetriever, llm: LLM) -> BaseQueryEngine:
    """Build an engine that answers single questions."""
    return RetrieverQueryEngine.from_args(record, llm=llm)


def chat_engine(record: BedsideNoteRetriever, llm: LLM) -> BaseChatEngine:
    """Build an engine that remembers: a follow-up is first rewritten as a question that stands alone."""
    memory = Memory.from_defaults(token_limit=3000)
    return CondensePlusContextChatEngine.from_defaults(retriever=record, llm=llm, memory=memory)


def show(answer: object) -> None:
    """Print an answer, the notes it was given, and what these do not support of it."""
    if not isinstance(answer, Response | AgentChatResponse):
        raise TypeError("show: a streamed answer is printed as it comes")
    print(answer)
    for source in answer.source_nodes:
        print(f"  {source.score:.3f}  {source.node.node_id}  {source.metadata['date']}")
    for problem in CHECKER.check(answer).problems:
        print(f"  Not supported: {problem.kind} {problem.text!r}: {problem.why}")


def main(llm: LLM) -> None:
    """Ask a question, then hold a short conversation."""
    record = open_record(store_notes(), "P01")
    show(query_engine(record, llm).query("What was the latest HbA1c?"))
    chat = chat_engine(record, llm)
    for message in ("Why was lisinopril stopped?", "And what was given instead?"):
        show(chat.chat(message))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    from llama_index.llms.ollama import Ollama  # type: ignore[import-not-found, import-untyped, unused-ignore]

    main(Ollama(model=sys.argv[1]))
