"""LlamaIndex' ``MetadataFilters`` as Bedside's filter language.

The meaning is that of LlamaIndex' own ``build_metadata_filter_fn``, with nesting on top, and with one addition: text
that spells a number or a boolean also matches stored numbers and booleans, because LlamaIndex' auto-retriever teaches
models to write ``"1813"`` for an int. What is stored as text is compared as text, whatever it looks like; but a date or
time in ISO 8601 after ``> >= < <=`` compares as time (:mod:`bedside.filters.dates`).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any, TypeAlias

from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)
from llama_index.vector_stores.bedside.nodes import NODE_KEY, REF_DOC_ID

from bedside.errors import FilterError
from bedside.filters.spelled import Reading, numbers, readings
from bedside.types import FilterDict

__all__ = ["to_filter"]

_Build: TypeAlias = Callable[[str, Any], FilterDict]

_EVERYTHING: FilterDict = {NODE_KEY: {"$nin": []}}
_NOTHING: FilterDict = {NODE_KEY: {"$in": []}}
_SOURCE_KEYS = {"ref_doc_id", "doc_id", "document_id"}
"""Names under which LlamaIndex' stores offer the source document's id, where the metadata have no such key."""


def to_filter(filters: MetadataFilters | None) -> FilterDict | None:
    """Give the Bedside filter that says the same; ``None`` where there is nothing to restrict.

    Raises:
        FilterError: It is not a ``MetadataFilters``, or an operator got a value it does not take.

    Example:
        >>> section = MetadataFilter(key="tags", value="icu", operator=FilterOperator.CONTAINS)
        >>> to_filter(MetadataFilters(filters=[section]))
        {'$and': [{'tags': {'$contains': 'icu'}}]}
    """
    if filters is None:
        return None
    if not isinstance(filters, MetadataFilters):
        raise FilterError(f"filters: expected MetadataFilters, got {type(filters).__name__}")
    return _group(filters) if filters.filters else None


def _group(group: MetadataFilters) -> FilterDict:
    if not group.filters:
        return _EVERYTHING
    parts = [_group(part) if isinstance(part, MetadataFilters) else _leaf(part) for part in group.filters]
    if group.condition is FilterCondition.OR:
        return {"$or": parts}
    if group.condition is FilterCondition.NOT:
        return _not({"$or": parts})
    return {"$and": parts}


def _leaf(leaf: MetadataFilter) -> FilterDict:
    build = _OPERATORS[leaf.operator]
    if leaf.key not in _SOURCE_KEYS:
        return build(leaf.key, leaf.value)
    own = [{leaf.key: {"$exists": True}}, build(leaf.key, leaf.value)]
    source = [{leaf.key: {"$exists": False}}, build(REF_DOC_ID, leaf.value)]
    return {"$or": [{"$and": own}, {"$and": source}]}


def _not(part: FilterDict) -> FilterDict:
    return {"$not": part}


def _or(parts: list[FilterDict]) -> FilterDict:
    return {"$or": parts} if parts else _NOTHING


def _equals(key: str, value: Any) -> FilterDict:
    return _NOTHING if value is None else _one_of(key, _readings(_scalar("==", value)))


def _is_in(key: str, value: Any) -> FilterDict:
    return _one_of(key, [stored for item in _list("in", value) for stored in _readings(item)])


def _one_of(key: str, values: list[Reading]) -> FilterDict:
    """The field itself is one of ``values``: ``$in`` alone would look into lists too, which ``$gte`` never does."""
    texts = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    flags = [value for value in values if isinstance(value, bool)]
    parts: list[FilterDict] = [{key: {"$in": texts, "$gte": ""}}] if texts else []
    parts += [{key: {"$in": numbers, "$gte": min(numbers)}}] if numbers else []
    return _or(parts + [{"$and": [{key: {"$eq": flag}}, _not({key: {"$contains": flag}})]} for flag in flags])


def _readings(value: str | float) -> list[Reading]:
    """The stored values that a filter's value stands for; it cannot be a boolean itself."""
    if isinstance(value, str):
        return readings(value)
    return [value, bool(value)] if value in (0, 1) else [value]


def _ordered(op: str, compare: Callable[[Any, Any], bool]) -> _Build:
    def build(key: str, value: Any) -> FilterDict:
        bounds = [_scalar(op, value), *(numbers(value) if isinstance(value, str) else [])]
        parts: list[FilterDict] = [{key: {op: bound}} for bound in bounds]
        flags = [] if isinstance(value, str) else [flag for flag in (False, True) if compare(flag, value)]
        return _or([*parts, _one_of(key, [*flags])])

    return build


def _contains(key: str, value: Any) -> FilterDict:
    return {key: {"$contains": _scalar("contains", value)}}


def _any(key: str, value: Any) -> FilterDict:
    return _or([_contains(key, item) for item in _list("any", value)])


def _all(key: str, value: Any) -> FilterDict:
    parts = [_contains(key, item) for item in _list("all", value)]
    return {"$and": [{key: {"$exists": True}}, {key: {"$ne": None}}, *parts]}


def _text(key: str, value: Any) -> FilterDict:
    return {key: {"$like": _pattern("text_match", value)}}


def _text_insensitive(key: str, value: Any) -> FilterDict:
    return {key: {"$ilike": _pattern("text_match_insensitive", value)}}


def _pattern(op: str, value: Any) -> str:
    if not isinstance(value, str):
        raise FilterError(f"filters: {op} takes text, got {type(value).__name__}")
    return "%" + re.sub(r"([\\%_])", r"\\\1", value) + "%"


def _scalar(op: str, value: Any) -> Any:
    if value is None or isinstance(value, list):
        raise FilterError(f"filters: {op} takes one text or number, got {type(value).__name__}")
    return value


def _list(op: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise FilterError(f"filters: {op} takes a list, got {type(value).__name__}")
    return value


_OPERATORS: dict[FilterOperator, _Build] = {
    FilterOperator.EQ: _equals,
    FilterOperator.NE: lambda key, value: _not(_equals(key, value)),
    FilterOperator.GT: _ordered("$gt", operator.gt),
    FilterOperator.GTE: _ordered("$gte", operator.ge),
    FilterOperator.LT: _ordered("$lt", operator.lt),
    FilterOperator.LTE: _ordered("$lte", operator.le),
    FilterOperator.IN: _is_in,
    FilterOperator.NIN: lambda key, value: _not(_is_in(key, value)),
    FilterOperator.ANY: _any,
    FilterOperator.ALL: _all,
    FilterOperator.CONTAINS: _contains,
    FilterOperator.TEXT_MATCH: _text,
    FilterOperator.TEXT_MATCH_INSENSITIVE: _text_insensitive,
    FilterOperator.IS_EMPTY: lambda key, _: {key: {"$empty": True}},
}
