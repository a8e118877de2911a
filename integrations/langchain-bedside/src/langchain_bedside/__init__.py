"""Bedside embeddings, vector store and retriever for LangChain."""

from langchain_bedside.embeddings import BedsideEmbeddings
from langchain_bedside.encoder import LangChainEncoder, as_encoder
from langchain_bedside.filters import BedsideTranslator
from langchain_bedside.options import SearchOptions, UnknownSearchArgumentError
from langchain_bedside.records import BedsideRecordManager
from langchain_bedside.retriever import BedsideRetriever
from langchain_bedside.store_retriever import BedsideVectorStoreRetriever
from langchain_bedside.vectorstore import BedsideVectorStore

__all__ = [
    "BedsideEmbeddings",
    "BedsideRecordManager",
    "BedsideRetriever",
    "BedsideTranslator",
    "BedsideVectorStore",
    "BedsideVectorStoreRetriever",
    "LangChainEncoder",
    "SearchOptions",
    "UnknownSearchArgumentError",
    "as_encoder",
]
