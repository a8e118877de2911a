"""The arguments of the public verbs: what may be given, checked before anything is done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypedDict

from bedside.errors import InvalidInputError
from bedside.records import check_id
from bedside.types import FilterDict, Fusion, Mode


class SearchOptions(TypedDict, total=False):
    """The options of :meth:`Collection.search`."""

    top_k: int
    filter: FilterDict | None
    mode: Mode | None
    alpha: float | None
    fusion: Fusion
    fetch_k: int | None
    min_score: float | None
    diversity: float | None
    offset: int
    ids: Sequence[str] | None
    group_by: str | None
    explain: bool


def check_selection(verb: str, ids: Sequence[str] | None, filter: FilterDict | None) -> list[str] | None:
    """Return the ids, checked; one of ``ids`` and ``filter`` must be given."""
    if ids is None and filter is None:
        raise InvalidInputError(f"{verb}: give ids= or filter=; filter={{}} means every document")
    return None if ids is None else check_ids(ids)


def check_ids(ids: Iterable[object]) -> list[str]:
    """Return a list of ids that can be ids."""
    if isinstance(ids, str):
        raise InvalidInputError("ids: expected a list of str, got a str; wrap it in [ ]")
    return [check_id(id, f"ids[{i}]") for i, id in enumerate(ids)]


def check_count(name: str, value: object) -> None:
    """Refuse what is neither None nor a natural number."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
        raise InvalidInputError(f"{name}: expected an int of at least 0, got {value!r}")


def check_texts(texts: Iterable[object] | None) -> list[str]:
    """Return query texts, none of them empty."""
    checked = [text for text in texts or () if isinstance(text, str) and text.strip()]
    if len(checked) < len(list(texts or ())):
        raise InvalidInputError("query: expected a text that is not empty, or a list of them")
    return checked


def check_scope_keys(keys: Iterable[object]) -> tuple[str, ...]:
    """Return the scope keys as a tuple."""
    checked = tuple(key for key in keys if isinstance(key, str) and key)
    if isinstance(keys, str) or len(set(checked)) < len(list(keys)):
        raise InvalidInputError("scope_keys: expected a list of different non-empty str")
    return checked
