"""Which scopes hold documents about something: the one question that is asked of every scope, answered in counts."""

from __future__ import annotations

from typing import Any

from bedside.arguments import check_texts
from bedside.collection import Collection
from bedside.errors import InvalidInputError
from bedside.filters.parse import parse
from bedside.remedies import Give
from bedside.text.lexicon import NEGATIONS
from bedside.text.tokenizer import ClinicalTokenizer
from bedside.types import FilterDict

__all__ = ["cohort"]


def cohort(
    records: Collection, query: str | None, *, filter: FilterDict | None = None
) -> list[tuple[dict[str, Any], int]]:
    """Return the scopes that hold documents about something, with counts; see :meth:`bedside.Collection.cohort`."""
    if not records.scope_keys:
        raise InvalidInputError("cohort: the collection has no scope keys, so there are no scopes to tell apart")
    if query is None and filter is None:
        raise InvalidInputError("cohort: nothing is asked", remedies=[Give("query"), Give("filter")])
    parse(filter)  # also where there is no scope to ask
    words = None if query is None else _words(records, query)
    found = [(dict(view.scope), _count(view, query, words, filter)) for view in records.views()]
    return sorted((each for each in found if each[1]), key=lambda each: -each[1])


def _words(records: Collection, query: str) -> frozenset[str]:
    """Return what a document must hold; how it denies what a query denies is its own affair."""
    check_texts([query])
    tokenizer = ClinicalTokenizer.from_settings(records.facts.sparse["tokenizer"])
    words = frozenset(tokenizer.tokenize(query)) - frozenset(tokenizer.tokenize(" ".join(NEGATIONS)))
    if not words:
        raise InvalidInputError("query: holds no word that could be looked for")
    return words


def _count(view: Collection, query: str | None, words: frozenset[str] | None, filter: FilterDict | None) -> int:
    """Count the documents of a scope; a search that ranks them all tells which words each holds."""
    left = view.count(filter)
    if query is None or words is None or not left:
        return left
    hits = view.search(query, mode="sparse", filter=filter, top_k=left, assertion="only", explain=True)
    return sum(hit.explanation is not None and words <= hit.explanation.terms.keys() for hit in hits)
