"""LangChain's ways to say a filter, turned into Bedside's one filter language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
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
from bedside.filters.dates import read
from bedside.filters.spelled import numbers, readings
from bedside.intake import storable
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
_ORDERED = {Comparator.GT, Comparator.GTE, Comparator.LT, Comparator.LTE}


class BedsideTranslator(Visitor):
    """Translate a ``StructuredQuery`` into the arguments of a search, as ``SelfQueryRetriever`` asks.

    Every comparator and operator of LangChain's query language is served. A ``not`` of several arguments means "none
    of them". Dates and datetimes compare as time: ``eq`` and ``lte`` of a day take in every time of that day. Text that
    spells a number or a boolean matches stored numbers and booleans too, because LangChain's prompt teaches models
    that every value is a string.

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
        return _comparison(comparison.attribute, comparison.comparator, comparison.value)

    def visit_structured_query(self, structured_query: StructuredQuery) -> tuple[str, dict[str, Any]]:
        """Give the query text and the search arguments; ``limit`` is the retriever's own matter."""
        if structured_query.filter is None:
            return structured_query.query, {}
        return structured_query.query, {"filter": structured_query.filter.accept(self)}


def as_filter(given: Filter | None) -> FilterDict | None:
    """Give the Bedside filter that says the same.

    Raises:
        FilterError: It is something else.
    """
    if isinstance(given, StructuredQuery):
        given = given.filter
    if isinstance(given, FilterDirective):
        translated: FilterDict = given.accept(BedsideTranslator())
        return translated
    if given is None:
        return None
    if isinstance(given, Mapping):
        return {key: _as_stored(value) for key, value in given.items()}
    raise FilterError(
        "filter: expected a dict or a StructuredQuery (in searches for passages also a function of one Document), "
        f"got {type(given).__name__}"
    )


def _as_stored(value: Any) -> Any:
    """Give a filter whose values are as the store keeps them in metadata; dates stay, because they compare as time."""
    if isinstance(value, Mapping):
        return {key: _as_stored(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_stored(item) for item in value]
    return value if isinstance(value, date) else storable(value)


def _comparison(field: str, comparator: Comparator, given: Any) -> FilterDict:
    if comparator is Comparator.LIKE:
        return {field: {"$like": _written(given)}}
    op, value = _COMPARATORS[comparator], _dated(given, field)
    if isinstance(value, list):
        return {field: {op: [reading for item in value for reading in _readings(item)]}}
    others = numbers(value) if comparator in _ORDERED and isinstance(value, str) else _readings(value)[1:]
    if not others:
        return {field: {op: value}}
    if comparator is Comparator.NE:
        return {field: {"$nin": [value, *others]}}
    return {"$or": [{field: {op: reading}} for reading in (value, *others)]}


def _readings(value: Any) -> list[Any]:
    return list(readings(value)) if isinstance(value, str) else [value]


def _dated(value: Any, field: str) -> Any:
    """Turn the query parser's dicts for dates into dates: ``{"date": "2024-01-31", "type": "date"}``."""
    if isinstance(value, list | tuple):
        return [_dated(item, field) for item in value]
    written = _written(value)
    if written is value:
        return value
    when = read(written) if isinstance(written, str) else None
    if when is None:
        raise FilterError(f"filter.{field}: expected a date or time in ISO 8601, such as 2024-05-31")
    return when


def _written(value: Any) -> Any:
    return value[value["type"]] if isinstance(value, Mapping) and value.get("type") in {"date", "datetime"} else value
