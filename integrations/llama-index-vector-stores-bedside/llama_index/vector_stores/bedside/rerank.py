"""LlamaIndex' rerankers as the core's: node postprocessors return nodes, the core wants a score for each text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, TextNode

from bedside.search.rerank import scores_of

__all__ = ["as_reranker"]


def as_reranker(given: Any) -> Any:
    """Give the core's reranker behind a node postprocessor; everything else is the core's own.

    Nodes that the postprocessor leaves out come after those that it returns, in their order.
    """
    if not isinstance(given, BaseNodePostprocessor):
        return given

    def rerank(query: str, texts: Sequence[str]) -> Sequence[float]:
        nodes = [NodeWithScore(node=TextNode(text=text, id_=str(i)), score=None) for i, text in enumerate(texts)]
        found = given.postprocess_nodes(nodes, query_str=query)
        return scores_of(len(texts), [(int(each.node.node_id), each.score) for each in found])

    return rerank
