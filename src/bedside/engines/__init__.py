"""Where a collection lives: the protocols that an engine answers, and a table of the engines there are.

Nothing of an engine is imported before a place of its kind is used. What stands above the engines asks here, and names
none of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

from bedside.audit.log import AuditLog
from bedside.audit.verbs import beside
from bedside.engines.facts import Facts
from bedside.engines.protocol import Engine
from bedside.engines.reports import Check, RepairReport, VerifyReport
from bedside.errors import InvalidInputError
from bedside.records import Record
from bedside.support.keys import KeySource

Place: TypeAlias = str | os.PathLike[str]
"""A folder or a URL."""
_ENGINES: Mapping[str, str] = {
    "": "bedside.engines.embedded",
    "postgres": "bedside.engines.postgres",
    "postgresql": "bedside.engines.postgres",
}
"""The module that opens a place, by the scheme of its URL; without a scheme it is a folder, or memory."""
_AS_PATHS = {(f"{scheme}:",) for scheme in _ENGINES if scheme}


def open_engine(place: Place | None, **how: Any) -> Engine:
    """Open the engine of a place, creating what is not there.

    Args:
        place: A folder or a URL; ``None`` is memory.
        **how: ``facts`` (those of a new collection, made when one is needed), ``read_only``, ``lock_timeout``,
            ``key`` and ``row_security``.

    Raises:
        BedsideError: Those of :meth:`bedside.Collection.open`.
    """
    return _module(place).open_engine(place, **how)


def write_new(place: Place, facts: Facts, records: Iterable[Record], key: KeySource | None = None) -> None:
    """Create a collection that holds records, with the facts of the one that they come from: all of it or nothing.

    Args:
        place: A new or empty folder, or the URL of a collection that is not there yet.
        facts: Those of the original.
        records: Taken one by one.
        key: The master key of an encrypted original, whose copy is encrypted too.

    Raises:
        InvalidInputError: The original is encrypted and the engine cannot encrypt.
        NotACollectionError: Something is there already.
        InvalidDocumentError: The engine cannot hold a record.
        WriteFailedError: The disk refused.
    """
    _module(place).write_new(place, facts.of_a_copy(), records, key)


def holds_collection(place: Place) -> bool:
    """Tell whether there is a collection, be it a damaged one; nothing is opened.

    Example:
        >>> holds_collection("no-such.bedside")
        False
    """
    return _module(place).holds_collection(place)


def read_facts(place: Place) -> Facts:
    """Read what decides how a collection is read, without opening it.

    Raises:
        NotACollectionError: There is none, or its manifest is damaged.
        FormatVersionError: This release does not read its format.
    """
    return _module(place).read_facts(place)


def sizes(place: Place) -> dict[str, int]:
    """Return how many bytes a collection's parts have: ``log_bytes``, or ``table_bytes`` and ``index_bytes``.

    Raises:
        NotACollectionError, FormatVersionError: As :func:`read_facts`.
    """
    return _module(place).sizes(place)


def examine(place: Place) -> list[Check]:
    """Return what there is to say of a server, its settings, the role, and the collection: what is wrong, what to do.

    Raises:
        InvalidInputError: It is a folder.
        DatabaseError: The server cannot be reached.
    """
    return _module(place).examine(place)


def shown(place: Place) -> str:
    """Return a place for messages: a URL without its password.

    Example:
        >>> shown("ward.bedside")
        'ward.bedside'
    """
    return _module(place).shown(place)


def root_of(root: Place) -> Place:
    """Return the folder, or the URL of the database, that collections are in.

    Raises:
        InvalidInputError: It is itself a collection.
        OSError: There is no such folder.
    """
    return _module(root).root_of(root)


def list_collections(root: Place) -> list[str]:
    """Return the names of the collections right below a root, sorted; symbolic links are left out."""
    return sorted(_module(root).list_collections(root))


def below(root: Place, name: str) -> Place | None:
    """Return the place of a collection right below a root, there or not; ``None`` where nothing may be.

    Args:
        root: As :func:`root_of` returned it.
        name: One that the caller has checked: it is made part of a path.
    """
    return _module(root).below(root, name)


def repair(place: Place, *, key: KeySource | None = None, audit: AuditLog | None = None) -> RepairReport:
    """Save what is whole of a collection whose log is damaged; no process may have it open.

    Every record whose line has a matching checksum is kept, in order, as one transaction of a new log. The damaged log
    is kept beside it: delete it once it is no longer needed, because it holds notes.

    Args:
        place: The collection's folder.
        key: Of an encrypted collection.
        audit: Takes a line that says who did it; what cannot be recorded is not done.

    Returns:
        What was saved, and each line that was lost. A lost ``delete`` brings its record back: look at them.

    Raises:
        NotACollectionError: There is no readable manifest: put it back from a backup, it says whose records are whose.
        LockTimeoutError: Another process is writing.
        KeyRequired, WrongKeyError, KeyringError: The key does not fit.
        ActorRequired: There is a trail, and it is not said who acts.
    """
    with beside(audit, "repair") as line:
        if line is not None:
            line.about(read_facts(place).id)
            line.write(durable=True)
        return _module(place).repair(place, key=key)


def verify_without_key(place: Place) -> VerifyReport:
    """Read every line of an encrypted collection's log and check what needs no key: checksums and chain.

    Raises:
        CorruptLogError: A line is damaged, missing, doubled or moved.
        NotACollectionError: There is no collection.
    """
    return _module(place).verify_without_key(place)


class _EngineModule(Protocol):
    """What the module of an engine offers, beside the engine that it opens."""

    def open_engine(self, place: Place | None, **how: Any) -> Engine: ...
    def write_new(self, place: Place, facts: Facts, records: Iterable[Record], key: KeySource | None) -> None: ...
    def holds_collection(self, place: Place) -> bool: ...
    def read_facts(self, place: Place) -> Facts: ...
    def sizes(self, place: Place) -> dict[str, int]: ...
    def examine(self, place: Place) -> list[Check]: ...
    def shown(self, place: Place) -> str: ...
    def root_of(self, root: Place) -> Place: ...
    def list_collections(self, root: Place) -> list[str]: ...
    def below(self, root: Place, name: str) -> Place | None: ...
    def repair(self, place: Place, *, key: KeySource | None) -> RepairReport: ...
    def verify_without_key(self, place: Place) -> VerifyReport: ...


def _module(place: Place | None) -> _EngineModule:
    """Return the module that opens a place."""
    if isinstance(place, Path) and place.parts[:1] in _AS_PATHS:
        raise InvalidInputError(
            "path: expected a folder, got a URL: in Python a URL is a str: a Path drops one of its slashes"
        )
    scheme = place.partition("://")[0] if isinstance(place, str) and "://" in place else ""
    if scheme not in _ENGINES:
        raise InvalidInputError("path: expected a folder, got a URL; only those of postgresql:// are taken")
    return cast(_EngineModule, import_module(_ENGINES[scheme]))
