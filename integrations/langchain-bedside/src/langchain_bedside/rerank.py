"""LangChain's rerankers as the core's: document compressors return documents, the core wants a score for each text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.documents import BaseDocumentCompressor, Document

from bedside.search.rerank import scores_of

__all__ = ["as_reranker"]

_AT = "bedside_at"


def as_reranker(given: Any) -> Any:
    """Give the core's reranker behind a document compressor; everything else is the core's own.

    Documents that the compressor leaves out come after those that it returns, in their order.
    """
    if not isinstance(given, BaseDocumentCompressor):
        return given

    def rerank(query: str, texts: Sequence[str]) -> Sequence[float]:
        documents = [Document(page_content=text, metadata={_AT: i}) for i, text in enumerate(texts)]
        found = given.compress_documents(documents, query)
        return scores_of(len(texts), [(d.metadata[_AT], d.metadata.get("relevance_score")) for d in found])

    return rerank
