"""Deleting by id alone from a store that is divided by scope, as LlamaIndex' pipelines and indexes do.

A pipeline names no scope when it replaces a document or deletes one. An id belongs to its scope, so the one scope that
holds it is meant; where several hold it, nothing says which, and nothing is deleted.
"""

from __future__ import annotations

from collections.abc import Sequence

from bedside import Collection
from bedside.errors import ScopeRequired
from bedside.remedies import Give
from bedside.types import FilterDict

__all__ = ["delete_document", "delete_nodes"]


def delete_document(view: Collection, of_it: FilterDict) -> None:
    """Delete the nodes of one document.

    Args:
        view: A scope, which alone is looked at, or a whole collection.
        of_it: The filter that leaves the document's nodes.

    Raises:
        ScopeRequired: Several scopes hold nodes of it.
    """
    holding = [scope for scope in _scopes(view) if scope.count(of_it)]
    if len(holding) > 1:
        raise _ambiguous(view)
    for scope in holding:
        scope.delete(filter=of_it)


def delete_nodes(view: Collection, ids: Sequence[str] | None, filter: FilterDict | None) -> None:
    """Delete nodes by ids, by a filter, or what satisfies both; a filter alone needs a scope, as in every verb.

    Raises:
        ScopeRequired: Several scopes hold an id, or there are no ids.
        InvalidInputError: Neither is given.
    """
    if ids is None or view.scope or not view.scope_keys:
        view.delete(ids, filter=filter)
        return
    scopes = _scopes(view)
    held = [[str(document.id) for document in scope.get(ids, filter=filter)] for scope in scopes]
    if sum(map(len, held)) > len(set().union(*held)):
        raise _ambiguous(view)
    for scope, its in zip(scopes, held, strict=True):
        if its:
            scope.delete(its)


def _scopes(view: Collection) -> list[Collection]:
    if view.scope or not view.scope_keys:
        return [view]
    return [view.scoped(**scope) for scope, _ in view.scopes()]


def _ambiguous(view: Collection) -> ScopeRequired:
    return ScopeRequired(
        "delete: several scopes hold this id, and nothing says which of them is meant",
        remedies=[Give("scope", dict.fromkeys(view.scope_keys, "…"))],
    )
