"""LlamaIndex embeddings from a Bedside encoder and the reverse, and a node parser that cuts notes to its size."""

from llama_index.embeddings.bedside.base import BedsideEmbedding
from llama_index.embeddings.bedside.encoder import LlamaIndexEncoder, as_encoder
from llama_index.embeddings.bedside.node_parser import BedsideNodeParser

__all__ = ["BedsideEmbedding", "BedsideNodeParser", "LlamaIndexEncoder", "as_encoder"]
