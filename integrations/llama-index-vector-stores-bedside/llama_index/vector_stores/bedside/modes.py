"""LlamaIndex' queries as the arguments of :meth:`bedside.Collection.search`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode
from llama_index.vector_stores.bedside.filters import to_filter
from llama_index.vector_stores.bedside.nodes import REF_DOC_ID
from llama_index.vector_stores.bedside.rerank import as_reranker

from bedside.errors import InvalidInputError
from bedside.search.options import OPTIONS, SearchOptions
from bedside.support.checks import check_int, check_known
from bedside.types import FilterDict

__all__ = ["QueryOptions", "asks_only_filters", "check_query", "restriction", "search_arguments"]

_MMR_THRESHOLD = 0.5
"""What LlamaIndex uses where none is given."""
_SAID_OTHERWISE = ("top_k", "filter", "mode", "alpha", "diversity", "ids", "explain")
"""Options of the core for which ``VectorStoreQuery`` has words of its own, and the one that hits alone can carry."""
_OPTIONS = [name for name, option in OPTIONS.items() if option.surface and name not in _SAID_OTHERWISE]


@dataclass(frozen=True)
class QueryOptions:
    """What a query may say besides ``VectorStoreQuery``, as keywords or as a retriever's ``vector_store_kwargs``.

    Attributes:
        core: The core's options that ``VectorStoreQuery`` has no word for: ``fetch_k`` (the pool of MMR and of rank
            fusion), ``fusion``, ``min_score``, ``offset``, ``group_by``, ``assertion``, ``rerank`` (node
            postprocessors too); see ``bedside.search.options``.
        mmr_threshold: 1 looks at relevance alone, 0 at difference alone; goes before that of the query.
    """

    core: SearchOptions = field(default_factory=SearchOptions)
    mmr_threshold: float | None = None

    def __post_init__(self) -> None:
        """Refuse a wrong value in every mode, also in one that does not use it."""
        _diversity(_first(self.mmr_threshold, _MMR_THRESHOLD))

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> QueryOptions:
        """Check keyword arguments.

        Raises:
            UnknownOptionError: One is unknown.
            InvalidInputError: One is out of its range.
        """
        check_known("query", given, ["mmr_threshold", *_OPTIONS])
        core = {name: value for name, value in given.items() if name in _OPTIONS}
        if "rerank" in core:
            core["rerank"] = as_reranker(core["rerank"])
        return cls(SearchOptions.of(core), given.get("mmr_threshold"))

    def arguments(self) -> dict[str, Any]:
        """Give the core's keyword arguments."""
        return {name: getattr(self.core, name) for name in _OPTIONS}


def search_arguments(query: VectorStoreQuery, options: QueryOptions) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give the question of the search that answers ``query``, and its options, both as keyword arguments.

    Raises:
        InvalidInputError: The mode is unknown, or one that Bedside does not serve.
        FilterError: The filters are not well formed.
    """
    filter, ids = restriction(query)
    chosen = _MODES[_mode(query)](query, options)
    question: dict[str, Any] = {name: chosen.pop(name) for name in ("query", "vector") if name in chosen}
    return question, {**options.arguments(), **chosen, "filter": filter, "ids": ids}


def check_query(query: object) -> None:
    """Refuse what is not LlamaIndex' own object, such as the question itself, and what of it is not served."""
    if not isinstance(query, VectorStoreQuery):
        raise InvalidInputError(f"query: expected a VectorStoreQuery, got {type(query).__name__}")
    if query.query_str is not None and not isinstance(query.query_str, str):
        raise InvalidInputError(f"query: query_str: expected one text or None, got {type(query.query_str).__name__}")
    for name in ("similarity_top_k", "sparse_top_k", "hybrid_top_k"):
        check_int(f"query: {name}", getattr(query, name), optional=name != "similarity_top_k")
    for name in ("output_fields", "embedding_field"):
        if getattr(query, name) is not None:
            raise InvalidInputError(f"query: {name} is not served; nodes come back whole, and each has one embedding")


def restriction(query: VectorStoreQuery) -> tuple[FilterDict | None, list[str] | None]:
    """Give the filter and the ids of the nodes that may answer; an empty ``node_ids`` does not restrict.

    Raises:
        InvalidInputError: ``node_ids`` or ``doc_ids`` is not a list of str.
        FilterError: The filters are not well formed.
    """
    parts = [] if (metadata := to_filter(query.filters)) is None else [metadata]
    if query.doc_ids is not None:
        parts.append({REF_DOC_ID: {"$in": _ids("doc_ids", query.doc_ids)}})
    ids = [] if query.node_ids is None else _ids("node_ids", query.node_ids)
    return ({"$and": parts} if parts else None), ids or None


def asks_only_filters(query: VectorStoreQuery) -> bool:
    """Whether a query has no question: the auto-retriever's way to ask for all that its filters leave.

    An embedding beside white space was made of the white space; one beside no text, or ``""``, is the question.
    """
    text = query.query_str or ""
    if query.query_embedding is None and query.query_str is None:
        return restriction(query) != (None, None)
    return not text.strip() and (query.query_embedding is None or text != "")


def _ids(name: str, given: object) -> list[str]:
    """Give a list of ids; one id alone would come apart into its letters."""
    ids: list[Any] = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [None]
    if not all(isinstance(id, str) for id in ids):
        raise InvalidInputError(f"query: {name}: expected a list of str and of nothing else")
    return ids


def _mode(query: VectorStoreQuery) -> VectorStoreQueryMode:
    """Give the mode, if it is one that is served; no mode is ever answered as another one."""
    name = str(getattr(query.mode, "value", query.mode))
    served = {mode.value: mode for mode in _MODES}
    if name not in served:
        raise InvalidInputError(f"query: mode {name!r} is not served; served are {', '.join(served)}")
    return served[name]


def _dense(query: VectorStoreQuery, _: QueryOptions) -> dict[str, Any]:
    return {**_question(query), "mode": "dense", "top_k": query.similarity_top_k}


def _sparse(query: VectorStoreQuery, _: QueryOptions) -> dict[str, Any]:
    return {"query": _words(query), "mode": "sparse", "top_k": _first(query.sparse_top_k, query.similarity_top_k)}


def _hybrid(query: VectorStoreQuery, options: QueryOptions) -> dict[str, Any]:
    return {
        "query": _words(query),
        "vector": query.query_embedding,
        "mode": "hybrid",
        "top_k": _first(query.hybrid_top_k, query.similarity_top_k),
        "alpha": query.alpha,
        "fetch_k": _first(options.core.fetch_k, query.sparse_top_k),
    }


def _mmr(query: VectorStoreQuery, options: QueryOptions) -> dict[str, Any]:
    threshold = _first(options.mmr_threshold, query.mmr_threshold, _MMR_THRESHOLD)
    return {**_dense(query, options), "diversity": _diversity(threshold)}


def _diversity(threshold: Any) -> float:
    """Give the core's word for LlamaIndex' share of relevance."""
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0 <= threshold <= 1:
        raise InvalidInputError(f"query: mmr_threshold: expected a number from 0 to 1, got {threshold!r}")
    return 1 - threshold


def _words(query: VectorStoreQuery) -> str | None:
    """Give the text of a question whose words are compared; a query of nothing at all is the core's to refuse."""
    if query.query_str is None and query.query_embedding is not None:
        raise InvalidInputError(f"query: query_str: mode {_mode(query).value!r} compares words, and there are none")
    return query.query_str


def _question(query: VectorStoreQuery) -> dict[str, Any]:
    """The vector and, for what it asserts, the text; that alone for a collection that was opened with an encoder."""
    if query.query_embedding is None:
        return {"query": query.query_str}
    return {"query": (query.query_str or "").strip() or None, "vector": query.query_embedding}


def _first(*values: Any) -> Any:
    """Give the first value that is given; 0 is given."""
    return next((value for value in values if value is not None), None)


_Arguments: TypeAlias = Callable[[VectorStoreQuery, QueryOptions], dict[str, Any]]
_MODES: dict[VectorStoreQueryMode, _Arguments] = {
    VectorStoreQueryMode.DEFAULT: _dense,
    VectorStoreQueryMode.SPARSE: _sparse,
    VectorStoreQueryMode.TEXT_SEARCH: _sparse,
    VectorStoreQueryMode.HYBRID: _hybrid,
    VectorStoreQueryMode.SEMANTIC_HYBRID: _hybrid,
    VectorStoreQueryMode.MMR: _mmr,
}
