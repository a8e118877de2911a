"""LlamaIndex vector store over a Bedside collection, a retriever of whole notes, and an evaluator of answers."""

from llama_index.vector_stores.bedside.answers import BedsideAnswerEvaluator
from llama_index.vector_stores.bedside.base import BedsideVectorStore
from llama_index.vector_stores.bedside.note_retriever import BedsideNoteRetriever

__all__ = ["BedsideAnswerEvaluator", "BedsideNoteRetriever", "BedsideVectorStore"]
