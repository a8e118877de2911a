"""The verbs over the collections in a folder or a database, for one caller at a time, whatever the transport.

A name is looked up below one root and can never leave it; a caller's access is applied before a collection is touched.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeAlias
from weakref import WeakValueDictionary

from bedside.audit import AuditLog
from bedside.collection import Collection
from bedside.engines import Place, below, holds_collection, list_collections, read_facts, root_of
from bedside.engines.protocol import EraseReceipt, VerifyReport
from bedside.errors import EncoderMismatch, EncoderRequired, InvalidInputError, NotACollectionError, ReadOnlyError
from bedside.notes import NoteHit
from bedside.notes.history import Version
from bedside.notes.notes import NoteChange
from bedside.search.options import SearchOptions
from bedside.serving.access import Access
from bedside.support.fork import in_each_process
from bedside.support.keys import KeySource
from bedside.types import Document, Encoder, FilterDict, Hit

ScopeCount: TypeAlias = tuple[dict[str, str | int], int]
# Device names that Windows takes for something else than a folder, whatever follows their first dot.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
NAME_PATTERN = r"^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?$"
_NAME = re.compile(NAME_PATTERN)
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


@dataclass(frozen=True)
class Limits:
    """How much one request may ask.

    Attributes:
        body: Bytes of a request's body.
        bodies: Bytes of all bodies that are in memory at once, at least one of the largest; others wait unread.
        documents: Documents that one request adds or returns, and ids it names.
        top_k: Hits, skipped ones included.
        seconds: Until a request is answered with an error; work that has begun goes on.
        running: Requests that read and work at once.
        waiting: Requests that wait for them; more are turned away.
        writing: Requests that encode and write and work at once: beside two, a search on two processors waits for its
            turn and no longer.
        writes_waiting: Requests that wait for them; more are turned away.
    """

    body: int = 32 * 2**20
    bodies: int = 128 * 2**20
    documents: int = 1_000
    top_k: int = 1_000
    seconds: float = 60.0
    running: int = 8
    waiting: int = 256
    writing: int = 2
    writes_waiting: int = 64

    def check(self, name: str, value: int, most: int) -> None:
        """Raise :class:`InvalidInputError` where ``value`` is above ``most``."""
        if value > most:
            raise InvalidInputError(f"{name}: at most {most} here, got {value}")


@dataclass(frozen=True)
class Stats:
    """What a collection is.

    Attributes:
        name: Its name.
        documents: How many there are, in all scopes together; of its own scope for a caller that is bound to one, and
            ``None`` for a caller that is bound to one of several scope keys.
        dimension: Of its vectors; ``None`` before the first.
        scope_keys: The metadata keys that divide it.
        encoder: Name of the encoder that texts are encoded with here; ``None``: give vectors, or search sparse.
    """

    name: str
    documents: int | None
    dimension: int | None
    scope_keys: tuple[str, ...]
    encoder: str | None


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
        self.root = root_of(root)
        self.encoder = encoder
        self.limits = limits or Limits()
        self.read_only = read_only
        self.audit = audit
        self.key = key
        self.backups = None if backups is None else root_of(backups)
        self.imports = None if imports is None else imports.resolve(strict=True)
        self._opened: dict[str, Collection] = {}
        in_each_process(self._make_locks)

    def _make_locks(self) -> None:
        self._doors: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._lock = threading.Lock()

    def list_collections(self, access: Access) -> list[str]:
        """Return the names of the collections that the caller may see."""
        return [name for name in list_collections(self.root) if is_name(name) and access.sees(name)]

    def create(self, access: Access, name: str, scope_keys: Sequence[str]) -> Stats:
        """Create an empty collection, or do nothing where it is there with the same scope keys."""
        self._check_writing(access)
        access.check_whole("create")
        collection = self._collection(access, name, scope_keys)
        if tuple(scope_keys) != collection.scope_keys:
            raise InvalidInputError(f"scope_keys: the collection was created with {list(collection.scope_keys)}")
        return self.stats(access, name)

    def stats(self, access: Access, name: str) -> Stats:
        """Say what a collection is."""
        collection = self._collection(access, name)
        bound = access.bound({}, collection.scope_keys)
        documents: int | None = None
        if not bound:
            documents = len(collection)
        elif set(bound) == set(collection.scope_keys):
            documents = collection.scoped(**bound).count()
        encoder = None if collection.encoder is None else collection.encoder.name
        return Stats(name, documents, collection.dimension, collection.scope_keys, encoder)

    def add(self, access: Access, name: str, scope: Scope, documents: Sequence[Document]) -> list[str]:
        """Add documents; all or none."""
        self._check_writing(access)
        self.limits.check("documents", len(documents), self.limits.documents)
        return self._records(access, name, scope).add(documents)

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
    ) -> list[Document]:
        """Return documents."""
        most = self.limits.documents
        self._check_ids(ids)
        self.limits.check("limit", limit or 0, most)
        records = self._records(access, name, scope)
        chosen = most if limit is None else limit
        return records.get(ids, filter=filter, limit=chosen, offset=offset, include_vectors=include_vectors)

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
        self, access: Access, name: str, scope: Scope, filter: FilterDict | None, *, all_scopes: bool = False
    ) -> int:
        """Count documents, in every scope where that is asked."""
        return self._counted(access, name, scope, all_scopes=all_scopes).count(filter, all_scopes=all_scopes)

    def facets(
        self,
        access: Access,
        name: str,
        scope: Scope,
        key: str,
        filter: FilterDict | None,
        *,
        all_scopes: bool = False,
    ) -> list[tuple[Any, int]]:
        """Count documents by a metadata key; the most frequent values, at most as many as documents are returned."""
        records = self._counted(access, name, scope, all_scopes=all_scopes)
        return records.facets(key, filter=filter, all_scopes=all_scopes)[: self.limits.documents]

    def scopes(self, access: Access, name: str, limit: int | None, offset: int) -> list[ScopeCount]:
        """Return the scopes that hold documents, and how many."""
        access.check_unbound("scopes")
        return self._page(self._collection(access, name).scopes(), limit, offset)

    def cohort(
        self, access: Access, name: str, query: str | None, filter: FilterDict | None, limit: int | None, offset: int
    ) -> list[ScopeCount]:
        """Return the scopes that hold documents about something, and how many."""
        access.check_unbound("cohort")
        return self._page(self._collection(access, name).cohort(query, filter=filter), limit, offset)

    def add_notes(self, access: Access, name: str, scope: Scope, notes: Sequence[Document]) -> dict[str, NoteChange]:
        """Add notes, or replace those that changed; all or none."""
        self._check_writing(access)
        self.limits.check("notes", len(notes), self.limits.documents)
        return self._records(access, name, scope).add_notes(notes)

    def get_note(self, access: Access, name: str, scope: Scope, id: str) -> Document | None:
        """Return a note as it was added."""
        return self._records(access, name, scope).get_note(id)

    def history(self, access: Access, name: str, scope: Scope, id: str) -> list[Version]:
        """Return the versions that a note or record is linked with, the newest first."""
        return self._records(access, name, scope).history(id)[: self.limits.documents]

    def delete_note(self, access: Access, name: str, scope: Scope, id: str) -> bool:
        """Delete a note with all of its passages."""
        self._check_writing(access)
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
        places = [below(self.root, name) for name in self.list_collections(access)]
        divided = [set(read_facts(place).scope_keys) for place in places if place is not None]
        return all(keys == set(access.scope) for keys in divided if set(access.scope) <= keys)

    def delete(
        self, access: Access, name: str, scope: Scope, ids: Sequence[str] | None, filter: FilterDict | None
    ) -> int:
        """Delete documents."""
        self._check_writing(access)
        self._check_ids(ids)
        return self._records(access, name, scope).delete(ids, filter=filter)

    def erase(
        self, access: Access, name: str, scope: Scope, ids: Sequence[str] | None, filter: FilterDict | None
    ) -> EraseReceipt:
        """Delete documents and every trace of them in the collection's files."""
        self._check_writing(access)
        self._check_ids(ids)
        return self._records(access, name, scope).erase(ids, filter=filter)

    def verify(self, access: Access, name: str) -> VerifyReport:
        """Read every line of the log."""
        access.check_unbound("verify")
        return self._collection(access, name).verify()

    # Looking after whole collections, for an access whose role is admin

    def drop(self, access: Access, name: str) -> None:
        """Remove a collection with all that it holds."""
        self._tended(access, name, "drop")
        collection = self._collection(access, name)
        with self._door(name):
            collection.drop()
            self._opened.pop(name, None)

    def compact(self, access: Access, name: str) -> Stats:
        """Give up the room of what was deleted and replaced."""
        self._tended(access, name, "compact")
        self._collection(access, name).compact()
        return self.stats(access, name)

    def reembed(self, access: Access, name: str) -> Stats:
        """Encode every text with the server's encoder and make it the collection's."""
        self._tended(access, name, "reembed")
        if self.encoder is None:
            raise EncoderRequired("reembed: this server was started without an encoder")
        self._collection(access, name).reembed(self.encoder)
        return self.stats(access, name)

    def import_file(self, access: Access, name: str, file: str, format: str | None) -> int:
        """Add the records of a file in the folder of imports; returns how many."""
        self._tended(access, name, "import")
        if self.imports is None:
            raise InvalidInputError("import: this server was started without a folder of imports (--imports)")
        path = next((path for path in self.imports.iterdir() if path.name == file and not path.is_symlink()), None)
        if path is None:
            raise InvalidInputError("file: expected the name of a file in the server's folder of imports")
        return self._collection(access, name).import_from(path, format=format)

    def list_backups(self, access: Access) -> list[str]:
        """Return the names of the backups."""
        access.check_whole("backups")
        return [name for name in list_collections(self._copies()) if is_name(name)]

    def back_up(self, access: Access, name: str, to: str | None) -> str:
        """Copy a collection to the place of backups; returns the copy's name, which says when if it was not given."""
        access.check_whole("backup")
        self._place(access, name)
        made = to or f"{name[:40]}-{datetime.now(timezone.utc):%Y%m%dT%H%M%SZ}"
        self._collection(access, name).copy_to(self._copy(made))
        return made

    def restore(self, access: Access, name: str, source: str) -> Stats:
        """Make a collection of a backup; there must be none of this name."""
        place = self._tended(access, name, "restore")
        copy = self._copy(source)
        if not holds_collection(copy):
            raise NotACollectionError(f"there is no backup {source!r}")
        with self._door(name):
            if holds_collection(place):
                raise InvalidInputError(
                    f"restore: there is a collection {name!r}; drop it first, or choose another name"
                )
            with Collection.open(copy, read_only=True, audit=self.audit, key=self.key) as backup:
                backup.copy_to(place)
        return self.stats(access, name)

    def _tended(self, access: Access, name: str, verb: str) -> Place:
        self._check_writing(access)
        access.check_whole(verb)
        return self._place(access, name)

    def _copies(self) -> Place:
        if self.backups is None:
            raise InvalidInputError("backups: this server was started without a place for them (--backups)")
        return self.backups

    def _copy(self, name: str) -> Place:
        place = below(self._copies(), name) if is_name(name) else None
        if place is None:
            raise InvalidInputError("backup: expected a name as collections have")
        return place

    def check_ready(self) -> int:
        """Ask whether the root is there and the place of every open collection answers; returns how many there are.

        Raises:
            OSError, BedsideError: Something of it does not.
        """
        names = list_collections(self.root)
        with self._lock:
            opened = list(self._opened)
        for name in opened:
            place = below(self.root, name)
            if name in names and place is not None:  # one that was removed is closed with the next request for it
                read_facts(place)
        return len(names)

    @property
    def opened(self) -> int:
        """How many collections are open."""
        return len(self._opened)

    def must_open(self, access: Access, name: str) -> bool:
        """Tell whether this is a collection that the caller may see and that no request has opened yet."""
        if name in self._opened or not is_name(name) or not access.sees(name):
            return False
        place = below(self.root, name)
        return place is not None and holds_collection(place)

    def open(self, name: str) -> None:
        """Open a collection before a request needs it."""
        self._collection(Access(), name)

    def close(self) -> None:
        """Close every collection."""
        with self._lock:
            for collection in self._opened.values():
                collection.close()
            self._opened.clear()

    def _check_writing(self, access: Access) -> None:
        if self.read_only:
            raise ReadOnlyError("this server is read-only")
        access.check_writing()

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
        return self._collection(access, name)

    def _check_ids(self, ids: Sequence[str] | None) -> None:
        self.limits.check("ids", len(ids or ()), self.limits.documents)

    def _records(self, access: Access, name: str, scope: Scope) -> Collection:
        """Return the part of a collection that the request is about, never more than the caller may see."""
        collection = self._collection(access, name)
        where = _where(scope)
        bound = access.bound(where.scope, collection.scope_keys)
        return collection.scoped(**bound, must_exist=where.must_exist) if bound else collection

    def _collection(self, access: Access, name: str, scope_keys: Sequence[str] | None = None) -> Collection:
        """Return a collection, opened once; with ``scope_keys``, it is created if there is none."""
        place = self._place(access, name)
        with self._door(name):
            there = holds_collection(place)
            if name in self._opened and not there:  # somebody removed it
                self._opened.pop(name).close()
            if not there and scope_keys is None:
                raise NotACollectionError(f"there is no collection {name!r}")
            if name not in self._opened:
                self._opened[name] = self._open(place, scope_keys or ())
            return self._opened[name]

    def _door(self, name: str) -> threading.Lock:
        """The lock under which a collection is opened: its own, so that none waits for another's opening."""
        with self._lock:
            return self._doors.setdefault(name, threading.Lock())

    def _place(self, access: Access, name: str) -> Place:
        if not is_name(name):
            raise InvalidInputError(
                "collection: expected a name of 1 to 64 letters, digits, _, - and ., not beginning or ending with "
                "- or ., and no device name"
            )
        place = below(self.root, name) if access.sees(name) else None
        if place is None:
            raise NotACollectionError(f"there is no collection {name!r}")
        return place

    def _open(self, place: Place, scope_keys: Sequence[str]) -> Collection:
        """Open with the encoder where it fits, without one where the collection was written with another."""
        how: dict[str, Any] = {
            "scope_keys": scope_keys,
            "read_only": self.read_only,
            "key": self.key,
            "audit": self.audit,
        }
        try:
            return Collection.open(place, encoder=self.encoder, **how)
        except EncoderMismatch:
            return Collection.open(place, **how)


def _where(scope: Scope) -> Where:
    return scope if isinstance(scope, Where) else Where(scope)


def is_name(name: str) -> bool:
    """Tell whether a collection may have this name."""
    return _NAME.fullmatch(name) is not None and _RESERVED.fullmatch(name) is None
