"""LlamaIndex embeddings from a Bedside encoder."""

from llama_index.embeddings.bedside.base import BedsideEmbedding

__all__ = ["BedsideEmbedding"]
