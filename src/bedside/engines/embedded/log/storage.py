"""Where a collection lives: a folder that several processes share, or memory. Both have the same few calls."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol

from bedside.engines.embedded.log.codec import Change, Codec
from bedside.engines.embedded.log.keyring import Keyring
from bedside.engines.embedded.log.log import Log, MemoryFile, Position
from bedside.engines.embedded.log.manifest import Manifest
from bedside.errors import InvalidInputError
from bedside.support.keys import KeySource

NOT_IN_MEMORY = "key: a collection in memory has nothing at rest to encrypt; give it a folder"


class Storage(Protocol):
    """What a collection asks of the place it lives in."""

    path: Path | None
    cache: Path | None
    manifest: Manifest
    log: Log
    keyring: Keyring | None
    key: KeySource | None

    def cache_key(self) -> bytes | None:
        """Return what seals the cache by now; ``None`` of a plain collection."""
        ...

    def sealing(self, key: KeySource) -> AbstractContextManager[None]:
        """Make keys for a plain collection: what is prepared in this block is encrypted."""
        ...

    def rekey(self, key: KeySource) -> None:
        """Wrap the data keys of an encrypted collection by another master key."""
        ...

    def writing(self, timeout: float | None = None) -> AbstractContextManager[None]:
        """Hold the write lock; only then may anything below be called that writes."""
        ...

    def refresh(self) -> None:
        """Take over what other processes changed: ``manifest``, and ``log`` where it is another one than before."""
        ...

    def save(self, manifest: Manifest) -> None:
        """Replace the manifest."""
        ...

    def prepare(self, changes: Iterable[Change]) -> tuple[Log, Position]:
        """Put ``changes`` into a new log as one transaction; nothing refers to it yet. Returns it and its end."""
        ...

    def switch(self, log: Log, manifest: Manifest) -> None:
        """Make a prepared log the current one, together with the manifest that names it."""
        ...

    def remove_strays(self) -> None:
        """Delete logs that are not the current one, and files that a killed writer left."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...

    def drop(self) -> None:
        """After :meth:`close`: remove the collection with all that it holds."""
        ...

    def undo_creation(self) -> None:
        """After :meth:`close`: where this object created the collection and it is still empty, leave nothing of it."""
        ...


class MemoryStorage:
    """A collection that ends with the process."""

    path: Path | None = None
    cache: Path | None = None
    keyring: Keyring | None = None
    key: KeySource | None = None

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self._codec = Codec(manifest.scope_keys)
        self.log = Log(MemoryFile(), self._codec)

    def cache_key(self) -> bytes | None:
        """There is no cache."""
        return None

    def sealing(self, key: KeySource) -> AbstractContextManager[None]:  # noqa: ARG002 # one signature
        """Refuse: memory is not encrypted."""
        raise InvalidInputError(NOT_IN_MEMORY)

    def rekey(self, key: KeySource) -> None:  # noqa: ARG002 # one signature
        """Refuse: memory is not encrypted."""
        raise InvalidInputError(NOT_IN_MEMORY)

    def writing(self, timeout: float | None = None) -> AbstractContextManager[None]:  # noqa: ARG002 # one signature
        """Nobody else can write: the collection's own lock is enough."""
        return nullcontext()

    def refresh(self) -> None:
        """Nobody else can have changed anything."""

    def save(self, manifest: Manifest) -> None:
        """Replace the manifest."""
        self.manifest = manifest

    def prepare(self, changes: Iterable[Change]) -> tuple[Log, Position]:
        """Put ``changes`` into a new log."""
        log = Log(MemoryFile(), self._codec)
        return log, log.append(Position(), changes)[1]

    def switch(self, log: Log, manifest: Manifest) -> None:
        """Make a prepared log the current one."""
        self.log, self.manifest = log, manifest

    def remove_strays(self) -> None:
        """There are no files."""

    def close(self) -> None:
        """Nothing is held open."""

    def undo_creation(self) -> None:
        """There is nothing that stays."""

    def drop(self) -> None:
        """There is nothing that stays."""
