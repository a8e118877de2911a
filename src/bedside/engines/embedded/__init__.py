"""The embedded engine: JSON Lines on disk (or in memory) as the truth, and an index derived from them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields

from bedside.engines.embedded.engine import EmbeddedEngine
from bedside.engines.embedded.log.manifest import Manifest, log_name
from bedside.engines.embedded.log.storage import DiskStorage, MemoryStorage, Storage
from bedside.engines.embedded.places import holds_collection, list_collections, log_bytes, read_facts
from bedside.engines.embedded.salvage import repair
from bedside.engines.protocol import Facts
from bedside.support.paths import check_folder

__all__ = [
    "EmbeddedEngine",
    "holds_collection",
    "list_collections",
    "log_bytes",
    "open_engine",
    "read_facts",
    "repair",
]


def open_engine(
    place: str | os.PathLike[str] | None, *, facts: Callable[[], Facts], read_only: bool, lock_timeout: float
) -> EmbeddedEngine:
    """Open the collection in a folder, creating it if there is none, or one in memory."""

    def manifest() -> Manifest:
        known = facts()
        return Manifest(log=log_name(1), **{field.name: getattr(known, field.name) for field in fields(known)})

    storage: Storage = (
        MemoryStorage(manifest())
        if place is None
        else DiskStorage.open(check_folder(place), manifest, read_only=read_only, lock_timeout=lock_timeout)
    )
    try:
        return EmbeddedEngine(storage, read_only=read_only)
    except BaseException:
        storage.close()
        raise
