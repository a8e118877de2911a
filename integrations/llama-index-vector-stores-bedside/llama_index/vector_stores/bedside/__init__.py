"""LlamaIndex vector store over a Bedside collection."""

from llama_index.vector_stores.bedside.base import BedsideVectorStore

__all__ = ["BedsideVectorStore"]
