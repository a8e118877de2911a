"""The verbs over the collections in a folder or a database, for one caller at a time, whatever the transport."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from bedside.audit import AuditLog
from bedside.collection import Collection
from bedside.encoders.remote import RemoteEncoder
from bedside.engines import Place, below, read_facts
from bedside.engines.reports import EraseReceipt, VerifyReport
from bedside.errors import InvalidInputError
from bedside.notes import NoteHit
from bedside.notes.history import Version
from bedside.notes.notes import NoteChange
from bedside.search.options import SearchOptions
from bedside.serving.access import Access
from bedside.serving.limits import Limits
from bedside.serving.shelf import Shelf, Stats
from bedside.serving.upkeep import Upkeep
from bedside.skipping import Skipped
from bedside.support.keys import KeySource
from bedside.support.processors import processors
from bedside.types import Document, Encoder, FilterDict, Hit

ScopeCount: TypeAlias = tuple[dict[str, str | int], int]
ScopeValues: TypeAlias = Mapping[str, str | int]


@dataclass(frozen=True)
class Where:
    """The scope that a request names, and whether it must hold a document.

    Attributes:
        scope: A value for each scope key that the caller is not bound to.
        must_exist: Refuse a scope that holds none, so that a mistyped one is told from one that has no answer.
    """

    scope: ScopeValues
    must_exist: bool = False


Scope: TypeAlias = ScopeValues | Where
Left: TypeAlias = list[Skipped] | None
"""Takes what cannot be stored; ``None``: that is an error."""


class Service:
    """The collections below one root. Threads may share it.

    Args:
        root: The folder, each collection a folder in it; or the URL of a database, each a schema in it.
        encoder: Encodes texts for every collection that was written with it, and for new ones.
        limits: See :class:`Limits`.
        read_only: Whether nobody may write.
        audit: Records each verb under the name of its caller's access.
        key: The master key of the collections, all of which are then encrypted; see :meth:`bedside.Collection.open`.
        backups: A folder or database for copies of collections; ``None``: nobody makes or restores any.
        imports: A folder of files that may be imported; ``None``: nobody imports any.

    Raises:
        InvalidInputError: ``root`` is itself a collection.
        OSError: There is no such folder.

    Attributes:
        shelf: The collections that are open.
        upkeep: The verbs that look after whole collections.
        limits: As given.
    """

    def __init__(
        self,
        root: Place,
        *,
        encoder: Encoder | None = None,
        limits: Limits | None = None,
        read_only: bool = False,
        audit: AuditLog | None = None,
        key: KeySource | None = None,
        backups: Place | None = None,
        imports: Path | None = None,
    ) -> None:
        self.shelf = Shelf(root, encoder, read_only=read_only, audit=audit, key=key)
        self.upkeep = Upkeep(self.shelf, backups=backups, imports=imports)
        self.limits = limits or Limits()

    @property
    def searching(self) -> int:
        """Searches at work at once, see :class:`Limits`."""
        if self.limits.searching is not None:
            return self.limits.searching
        elsewhere = isinstance(self.shelf.root, str) or isinstance(self.shelf.encoder, RemoteEncoder)
        return self.limits.running if elsewhere else min(self.limits.running, max(2, processors()))

    def close(self) -> None:
        """Close every collection."""
        self.shelf.close()

    def list_collections(self, access: Access) -> list[str]:
        """Return the names of the collections that the caller may see."""
        return self.shelf.names(access)

    def create(self, access: Access, name: str, scope_keys: Sequence[str]) -> Stats:
        """Create an empty collection, or do nothing where it is there with the same scope keys."""
        self.shelf.check_writing(access)
        access.check_whole("create")
        collection = self.shelf.collection(access, name, scope_keys)
        if tuple(scope_keys) != collection.scope_keys:
            raise InvalidInputError(f"scope_keys: the collection was created with {list(collection.scope_keys)}")
        return self.stats(access, name)

    def stats(self, access: Access, name: str) -> Stats:
        """Say what a collection is."""
        return self.shelf.stats(access, name)

    def add(
        self, access: Access, name: str, scope: Scope, documents: Sequence[Document], skipped: Left = None
    ) -> list[str]:
        """Add documents, all or none; where ``skipped`` is a list, what cannot be stored goes into it instead."""
        self.shelf.check_writing(access)
        self.limits.check("documents", len(documents), self.limits.documents)
        return self._records(access, name, scope).add(documents, **_bad(skipped))

    def get(
        self,
        access: Access,
        name: str,
        scope: Scope,
        *,
        ids: Sequence[str] | None,
        filter: FilterDict | None,
        limit: int | None,
        offset: int,
        include_vectors: bool,
        as_of: str | None = None,
    ) -> list[Document]:
        """Return documents."""
        most = self.limits.documents
        self._check_ids(ids)
        self.limits.check("limit", limit or 0, most)
        records = self._records(access, name, scope)
        chosen = most if limit is None else limit
        return records.get(
            ids, filter=filter, as_of=as_of, limit=chosen, offset=offset, include_vectors=include_vectors
        )

    def search(
        self,
        access: Access,
        name: str,
        scope: Scope,
        query: str | None,
        vector: Sequence[float] | None = None,
        **options: Any,
    ) -> list[Hit]:
        """Return the best documents; options as for :meth:`bedside.Collection.search`."""
        self._check_search(SearchOptions.of(options))
        return self._records(access, name, scope).search(query, vector=vector, **options)

    def count(
        self,
        access: Access,
        name: str,
        scope: Scope,
        filter: FilterDict | None,
        *,
        as_of: str | None = None,
        all_scopes: bool = False,
    ) -> int:
        """Count documents, in every scope where that is asked."""
        records = self._counted(access, name, scope, all_scopes=all_scopes)
        return records.count(filter, as_of=as_of, all_scopes=all_scopes)

    def facets(
        self,
        access: Access,
        name: str,
        scope: Scope,
        key: str,
        filter: FilterDict | None,
        *,
        as_of: str | None = None,
        all_scopes: bool = False,
    ) -> list[tuple[Any, int]]:
        """Count documents by a metadata key; the most frequent values, at most as many as documents are returned."""
        records = self._counted(access, name, scope, all_scopes=all_scopes)
        found = records.facets(key, filter=filter, as_of=as_of, all_scopes=all_scopes)
        return found[: self.limits.documents]

    def scopes(self, access: Access, name: str, limit: int | None, offset: int) -> list[ScopeCount]:
        """Return the scopes that hold documents, and how many."""
        access.check_unbound("scopes")
        return self._page(self.shelf.collection(access, name).scopes(), limit, offset)

    def cohort(
        self, access: Access, name: str, query: str | None, filter: FilterDict | None, limit: int | None, offset: int
    ) -> list[ScopeCount]:
        """Return the scopes that hold documents about something, and how many."""
        access.check_unbound("cohort")
        return self._page(self.shelf.collection(access, name).cohort(query, filter=filter), limit, offset)

    def add_notes(
        self, access: Access, name: str, scope: Scope, notes: Sequence[Document], skipped: Left = None
    ) -> dict[str, NoteChange]:
        """Add notes, or replace those that changed, all or none; ``skipped`` as for :meth:`add`."""
        self.shelf.check_writing(access)
        self.limits.check("notes", len(notes), self.limits.documents)
        return self._records(access, name, scope).add_notes(notes, **_bad(skipped))

    def get_note(self, access: Access, name: str, scope: Scope, id: str) -> Document | None:
        """Return a note as it was added."""
        return self._records(access, name, scope).get_note(id)

    def history(self, access: Access, name: str, scope: Scope, id: str) -> list[Version]:
        """Return the versions that a note or record is linked with, the newest first."""
        return self._records(access, name, scope).history(id)[: self.limits.documents]

    def delete_note(self, access: Access, name: str, scope: Scope, id: str) -> bool:
        """Delete a note with all of its passages."""
        self.shelf.check_writing(access)
        return self._records(access, name, scope).delete_note(id)

    def search_notes(
        self,
        access: Access,
        name: str,
        scope: Scope,
        query: str,
        vector: Sequence[float] | None = None,
        **options: Any,
    ) -> list[NoteHit]:
        """Return the best notes; options as for :meth:`bedside.Collection.search_notes`."""
        self._check_search(SearchOptions.of(options, notes=True))
        return self._records(access, name, scope).search_notes(query, vector=vector, **options)

    def is_bound(self, access: Access) -> bool:
        """Tell whether the caller's scope is settled in every collection that it can use, so that it need name none."""
        if not access.scope:
            return False
        places = [below(self.shelf.root, name) for name in self.list_collections(access)]
        divided = [set(read_facts(place).scope_keys) for place in places if place is not None]
        return all(keys == set(access.scope) for keys in divided if set(access.scope) <= keys)

    def delete(
        self, access: Access, name: str, scope: Scope, ids: Sequence[str] | None, filter: FilterDict | None
    ) -> int:
        """Delete documents."""
        self.shelf.check_writing(access)
        self._check_ids(ids)
        return self._records(access, name, scope).delete(ids, filter=filter)

    def erase(
        self, access: Access, name: str, scope: Scope, ids: Sequence[str] | None, filter: FilterDict | None
    ) -> EraseReceipt:
        """Delete documents and every trace of them in the collection's files."""
        self.shelf.check_writing(access)
        self._check_ids(ids)
        return self._records(access, name, scope).erase(ids, filter=filter)

    def verify(self, access: Access, name: str) -> VerifyReport:
        """Read every line of the log."""
        access.check_unbound("verify")
        return self.shelf.collection(access, name).verify()

    def _check_search(self, asked: SearchOptions) -> None:
        self.limits.check("top_k and offset", asked.depth, self.limits.top_k)
        self.limits.check("fetch_k", asked.fetch_k or 0, self.limits.top_k)
        self._check_ids(asked.ids)

    def _page(self, found: list[ScopeCount], limit: int | None, offset: int) -> list[ScopeCount]:
        most = self.limits.documents
        self.limits.check("limit", limit or 0, most)
        return found[offset : offset + (most if limit is None else limit)]

    def _counted(self, access: Access, name: str, scope: Scope, *, all_scopes: bool) -> Collection:
        """Return what is counted: one part of a collection, or all of it for a caller who may see that."""
        if not all_scopes:
            return self._records(access, name, scope)
        access.check_unbound("all_scopes")
        if _where(scope).scope:
            raise InvalidInputError("all_scopes: expected no scope beside it")
        return self.shelf.collection(access, name)

    def _check_ids(self, ids: Sequence[str] | None) -> None:
        self.limits.check("ids", len(ids or ()), self.limits.documents)

    def _records(self, access: Access, name: str, scope: Scope) -> Collection:
        """Return the part of a collection that the request is about, never more than the caller may see."""
        collection = self.shelf.collection(access, name)
        where = _where(scope)
        bound = access.bound(where.scope, collection.scope_keys)
        return collection.scoped(**bound, must_exist=where.must_exist) if bound else collection


def _bad(skipped: Left) -> dict[str, Any]:
    return {"on_bad_document": "raise" if skipped is None else "skip", "skipped": skipped}


def _where(scope: Scope) -> Where:
    return scope if isinstance(scope, Where) else Where(scope)
