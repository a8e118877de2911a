"""Bedside embeddings, vector store, retriever and note splitter for LangChain."""

from typing import TYPE_CHECKING, Any

from langchain_bedside.answers import BedsideAnswerChecker
from langchain_bedside.embeddings import BedsideEmbeddings
from langchain_bedside.encoder import LangChainEncoder, as_encoder
from langchain_bedside.filters import BedsideTranslator
from langchain_bedside.note_retriever import BedsideNoteRetriever
from langchain_bedside.options import SearchOptions, UnknownSearchArgumentError
from langchain_bedside.records import BedsideRecordManager
from langchain_bedside.retriever import BedsideRetriever
from langchain_bedside.store_retriever import BedsideVectorStoreRetriever
from langchain_bedside.vectorstore import BedsideVectorStore

if TYPE_CHECKING:
    from langchain_bedside.splitter import BedsideNoteSplitter

__all__ = [
    "BedsideAnswerChecker",
    "BedsideEmbeddings",
    "BedsideNoteRetriever",
    "BedsideNoteSplitter",
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


def __getattr__(name: str) -> Any:
    """Load the splitter when it is first asked for: older releases of its base class import every model library."""
    if name == "BedsideNoteSplitter":
        from langchain_bedside.splitter import BedsideNoteSplitter

        return BedsideNoteSplitter
    raise AttributeError(f"module 'langchain_bedside' has no attribute {name!r}")
