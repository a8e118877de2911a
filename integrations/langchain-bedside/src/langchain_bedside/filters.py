"""LangChain's ways to say a filter, turned into Bedside's one filter language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from langchain_core.documents import Document
from langchain_core.structured_query import (
    Comparator,
    Comparison,
    FilterDirective,
    Operation,
    Operator,
    StructuredQuery,
    Visitor,
)

from bedside.errors import FilterError
from bedside.types import FilterDict

__all__ = ["BedsideTranslator", "Filter", "Predicate", "as_filter"]

Predicate: TypeAlias = Callable[[Document], bool]
"""A filter as ``InMemoryVectorStore`` takes it."""
Filter: TypeAlias = "Mapping[str, Any] | FilterDirective | StructuredQuery | Predicate"
"""Everything the ``filter`` argument of the vector store takes."""

_COMPARATORS = {
    Comparator.EQ: "$eq",
    Comparator.NE: "$ne",
    Comparator.GT: "$gt",
    Comparator.GTE: "$gte",
    Comparator.LT: "$lt",
    Comparator.LTE: "$lte",
    Comparator.CONTAIN: "$contains",
    Comparator.LIKE: "$like",
    Comparator.IN: "$in",
    Comparator.NIN: "$nin",
}


class BedsideTranslator(Visitor):
    """Translate a ``StructuredQuery`` into the arguments of a search, as ``SelfQueryRetriever`` asks.

    Every comparator and operator of LangChain's query language is served. A ``not`` of several arguments means "none
    of them". Dates and datetimes become their ISO 8601 text, which orders as text.

    Example:
        >>> directive = Comparison(comparator=Comparator.GTE, attribute="year", value=2020)
        >>> BedsideTranslator().visit_structured_query(StructuredQuery(query="chest pain", filter=directive))
        ('chest pain', {'filter': {'year': {'$gte': 2020}}})
    """

    allowed_comparators = tuple(_COMPARATORS)
    allowed_operators = tuple(Operator)

    def visit_operation(self, operation: Operation) -> FilterDict:
        """Translate ``and``, ``or`` and ``not``."""
        parts = [argument.accept(self) for argument in operation.arguments]
        if operation.operator is Operator.NOT:
            return {"$not": parts[0] if len(parts) == 1 else {"$or": parts}}
        return {f"${operation.operator.value}": parts}

    def visit_comparison(self, comparison: Comparison) -> FilterDict:
        """Translate one comparison of a field with a value."""
        return {comparison.attribute: {_COMPARATORS[comparison.comparator]: _plain(comparison.value)}}

    def visit_structured_query(self, structured_query: StructuredQuery) -> tuple[str, dict[str, Any]]:
        """Give the query text and the search arguments; ``limit`` is the retriever's own matter."""
        if structured_query.filter is None:
            return structured_query.query, {}
        return structured_query.query, {"filter": structured_query.filter.accept(self)}


def as_filter(given: Mapping[str, Any] | FilterDirective | StructuredQuery | None) -> FilterDict | None:
    """Give the Bedside filter that says the same.

    Raises:
        FilterError: It is something else.
    """
    if isinstance(given, StructuredQuery):
        given = given.filter
    if isinstance(given, FilterDirective):
        translated: FilterDict = given.accept(BedsideTranslator())
        return translated
    if given is None or isinstance(given, Mapping):
        return given
    raise FilterError(
        "filter: expected a dict or a StructuredQuery (in searches also a function of one Document), "
        f"got {type(given).__name__}"
    )


def _plain(value: Any) -> Any:
    """Undo the query parser's dicts for dates: ``{"date": "2024-01-31", "type": "date"}`` is ``"2024-01-31"``."""
    if isinstance(value, Mapping) and value.get("type") in {"date", "datetime"}:
        return value[value["type"]]
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
