"""The embedded engine: JSON Lines on disk (or in memory) as the truth, and an index derived from them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from bedside.engines.embedded.engine import EmbeddedEngine
from bedside.engines.embedded.log.folder import DiskStorage
from bedside.engines.embedded.log.manifest import Manifest
from bedside.engines.embedded.log.storage import NOT_IN_MEMORY, MemoryStorage, Storage
from bedside.engines.embedded.places import (
    below,
    examine,
    holds_collection,
    list_collections,
    read_facts,
    root_of,
    shown,
    sizes,
    verify_without_key,
)
from bedside.engines.embedded.salvage import repair
from bedside.engines.facts import Facts
from bedside.errors import InvalidInputError
from bedside.records import Record
from bedside.support.keys import KeySource
from bedside.support.paths import check_folder

__all__ = [
    "EmbeddedEngine",
    "below",
    "examine",
    "holds_collection",
    "list_collections",
    "open_engine",
    "read_facts",
    "repair",
    "root_of",
    "shown",
    "sizes",
    "verify_without_key",
    "write_new",
]


def open_engine(
    place: str | os.PathLike[str] | None,
    *,
    facts: Callable[[], Facts],
    read_only: bool,
    lock_timeout: float,
    key: KeySource | None = None,
    row_security: bool = False,
) -> EmbeddedEngine:
    """Open the collection in a folder, creating it if there is none, or one in memory; with a ``key`` encrypted."""
    if place is None and key is not None:
        raise InvalidInputError(NOT_IN_MEMORY)
    if row_security:
        raise InvalidInputError(
            "row_security: only a database has roles; whoever may read a folder may read all that is in it"
        )
    storage: Storage = (
        MemoryStorage(Manifest.new(facts()))
        if place is None
        else DiskStorage.open(
            check_folder(place),
            lambda: Manifest.new(facts()),
            read_only=read_only,
            lock_timeout=lock_timeout,
            key=key,
        )
    )
    try:
        return EmbeddedEngine(storage, read_only=read_only)
    except BaseException:
        storage.close()
        raise


def write_new(
    place: str | os.PathLike[str], facts: Facts, records: Iterable[Record], key: KeySource | None = None
) -> None:
    """Create a collection that holds ``records`` in a new or empty folder; it is one once all are written."""
    DiskStorage.write_new(check_folder(place), Manifest.new(facts), records, key)
