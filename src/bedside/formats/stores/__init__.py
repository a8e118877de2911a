"""The stores that people come from: one reader each, which yields documents or raises, and never skips.

Ids, texts and metadata come over as they are, vectors as float32. What a store cannot give back exactly is said in
its reader's docstring, or refused. :meth:`bedside.Collection.import_from` fills a collection from any of them.
"""

from bedside.formats.stores.chroma import read_chroma
from bedside.formats.stores.faiss import read_faiss
from bedside.formats.stores.lance import read_lancedb
from bedside.formats.stores.langchain_memory import read_langchain, write_langchain
from bedside.formats.stores.llama_index import read_llama_index
from bedside.formats.stores.pinecone import read_pinecone
from bedside.formats.stores.qdrant import read_qdrant

__all__ = [
    "read_chroma",
    "read_faiss",
    "read_lancedb",
    "read_langchain",
    "read_llama_index",
    "read_pinecone",
    "read_qdrant",
    "write_langchain",
]
