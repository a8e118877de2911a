"""The collections below one root, each looked up by its name, opened once, and kept open for all callers.

A name can never leave the root; a caller's access is applied before a collection is touched.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from bedside.audit import AuditLog
from bedside.collection import Collection
from bedside.engines import Place, below, holds_collection, list_collections, read_facts, root_of
from bedside.errors import EncoderMismatch, InvalidInputError, NotACollectionError, ReadOnlyError
from bedside.serving.access import Access
from bedside.support.fork import in_each_process
from bedside.support.keys import KeySource
from bedside.types import Encoder

# Device names that Windows takes for something else than a folder, whatever follows their first dot.
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
NAME_PATTERN = r"^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?$"
_NAME = re.compile(NAME_PATTERN)


def is_name(name: str) -> bool:
    """Tell whether a collection may have this name."""
    return _NAME.fullmatch(name) is not None and _RESERVED.fullmatch(name) is None


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


class Shelf:
    """The open collections of a server. Threads may share it.

    Args:
        root: The folder, each collection a folder in it; or the URL of a database, each a schema in it.
        encoder: Encodes texts for every collection that was written with it, and for new ones.
        read_only: Whether nobody may write.
        audit: Records each verb under the name of its caller's access.
        key: The master key of the collections; see :meth:`bedside.Collection.open`.

    Raises:
        InvalidInputError: ``root`` is itself a collection.
        OSError: There is no such folder.
    """

    def __init__(
        self, root: Place, encoder: Encoder | None, *, read_only: bool, audit: AuditLog | None, key: KeySource | None
    ) -> None:
        self.root = root_of(root)
        self.encoder = encoder
        self.read_only = read_only
        self.audit = audit
        self.key = key
        self._opened: dict[str, Collection] = {}
        in_each_process(self._make_locks)

    def _make_locks(self) -> None:
        self._doors: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()
        self._lock = threading.Lock()

    def names(self, access: Access) -> list[str]:
        """Return the names of the collections that the caller may see."""
        return [name for name in list_collections(self.root) if is_name(name) and access.sees(name)]

    def stats(self, access: Access, name: str) -> Stats:
        """Say what a collection is."""
        collection = self.collection(access, name)
        bound = access.bound({}, collection.scope_keys)
        documents: int | None = None
        if not bound:
            documents = len(collection)
        elif set(bound) == set(collection.scope_keys):
            documents = collection.scoped(**bound).count()
        encoder = None if collection.encoder is None else collection.encoder.name
        return Stats(name, documents, collection.dimension, collection.scope_keys, encoder)

    def check_writing(self, access: Access) -> None:
        """Raise :class:`ReadOnlyError` unless the caller may write here."""
        if self.read_only:
            raise ReadOnlyError("this server is read-only")
        access.check_writing()

    def collection(self, access: Access, name: str, scope_keys: Sequence[str] | None = None) -> Collection:
        """Return a collection, opened once; with ``scope_keys``, it is created if there is none."""
        place = self.place(access, name)
        with self.door(name):
            there = holds_collection(place)
            if name in self._opened and not there:  # somebody removed it
                self._opened.pop(name).close()
            if not there and scope_keys is None:
                raise NotACollectionError(f"there is no collection {name!r}")
            if name not in self._opened:
                self._opened[name] = self._open(place, scope_keys or ())
            return self._opened[name]

    def door(self, name: str) -> threading.Lock:
        """The lock under which a collection is opened: its own, so that none waits for another's opening."""
        with self._lock:
            return self._doors.setdefault(name, threading.Lock())

    def place(self, access: Access, name: str) -> Place:
        """Return where a collection is, or would be.

        Raises:
            InvalidInputError: It is no name for a collection.
            NotACollectionError: The caller may not see it.
        """
        if not is_name(name):
            raise InvalidInputError(
                "collection: expected a name of 1 to 64 letters, digits, _, - and ., not beginning or ending with "
                "- or ., and no device name"
            )
        place = below(self.root, name) if access.sees(name) else None
        if place is None:
            raise NotACollectionError(f"there is no collection {name!r}")
        return place

    def drop(self, access: Access, name: str) -> None:
        """Remove a collection with all that it holds."""
        collection = self.collection(access, name)
        with self.door(name):
            collection.drop()
            self._opened.pop(name, None)

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
        return self._is_there(name)

    def open(self, name: str) -> None:
        """Open a collection before a request needs it."""
        self.collection(Access(), name)

    def read_along(self, name: str) -> None:
        """Have a collection that is open hold all that others committed; let go of one that they removed."""
        with self.door(name):
            collection = self._opened.get(name)
            if collection is not None and not self._is_there(name):
                self._opened.pop(name).close()
                return
        if collection is not None:
            len(collection)  # what counts waits for what is on its way

    def close(self) -> None:
        """Close every collection."""
        with self._lock:
            for collection in self._opened.values():
                collection.close()
            self._opened.clear()

    def _is_there(self, name: str) -> bool:
        place = below(self.root, name)
        return place is not None and holds_collection(place)

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
