"""LlamaIndex vector store over a Bedside collection, and an evaluator of the answers written from it."""

from llama_index.vector_stores.bedside.answers import BedsideAnswerEvaluator
from llama_index.vector_stores.bedside.base import BedsideVectorStore

__all__ = ["BedsideAnswerEvaluator", "BedsideVectorStore"]
