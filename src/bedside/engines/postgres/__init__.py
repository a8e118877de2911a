"""The PostgreSQL engine: the same verbs and answers, on a server that many processes share.

A collection is a schema; the server must have the extension pgvector. Comes with ``bedside[postgres]``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from bedside.engines.facts import Facts
from bedside.engines.reports import Check
from bedside.errors import InvalidInputError
from bedside.records import Record
from bedside.support.extras import needs

if TYPE_CHECKING:
    from bedside.engines.postgres.engine import PostgresEngine

__all__ = ["below", "holds_collection", "list_collections", "open_engine", "read_facts", "repair", "root_of", "shown"]
__all__ += ["examine", "sizes", "verify_without_key", "write_new"]

_Place: TypeAlias = "str | os.PathLike[str]"


def open_engine(
    place: str | os.PathLike[str] | None,
    *,
    facts: Callable[[], Facts],
    read_only: bool,
    lock_timeout: float,
    key: object = None,
    row_security: bool = False,
) -> PostgresEngine:
    """Open the collection that a URL names, creating it where there is none.

    Raises:
        InvalidInputError: It is not a URL of PostgreSQL, or a ``key`` was given.
        MissingExtraError: ``bedside[postgres]`` is not installed.
        NotACollectionError: The schema holds something else, or nothing while ``read_only``.
        FormatVersionError: It was made in a newer format, or its postings by another release.
        DatabaseError: The server cannot be reached, refuses, or lacks pgvector.
    """
    if key is not None:
        raise InvalidInputError(
            "key: Bedside encrypts folders only; on PostgreSQL use the encryption of the server and its disks"
        )
    with needs("postgres"):
        from bedside.engines.postgres.opening import opened

    return opened(str(place), facts, read_only=read_only, lock_timeout=lock_timeout, row_security=row_security)


def write_new(place: _Place, facts: Facts, records: Iterable[Record], key: object = None) -> None:
    """Create a collection that holds ``records`` in a schema that is not there or is empty, as one transaction."""
    if key is not None:
        raise InvalidInputError(
            "copy_to: the collection is encrypted, and a copy on PostgreSQL would be in the clear; export and import "
            "it where that is meant"
        )
    with needs("postgres"):
        from bedside.engines.postgres.opening import filled

    filled(str(place), facts, records)


def holds_collection(place: _Place) -> bool:
    """Tell whether a URL names a collection."""
    with needs("postgres"):
        from bedside.engines.postgres.opening import held

    return held(str(place))


def read_facts(place: _Place) -> Facts:
    """Read the facts of the collection that a URL names."""
    with needs("postgres"):
        from bedside.engines.postgres.opening import facts_at

    return facts_at(str(place))


def sizes(place: _Place) -> dict[str, int]:
    """Return the bytes of the tables and of the indexes of the collection that a URL names."""
    with needs("postgres"):
        from bedside.engines.postgres.opening import sizes_at

    return sizes_at(str(place))


def examine(place: _Place) -> list[Check]:
    """Return what there is to say of the server and the collection that a URL names."""
    with needs("postgres"):
        from bedside.engines.postgres.opening import examined

    return examined(str(place))


def shown(place: _Place) -> str:
    """Return a URL without the password and other parameters."""
    with needs("postgres"):
        from bedside.engines.postgres.url import parse

    return parse(str(place)).name


def root_of(root: _Place) -> str:
    """Return the URL of a database that can be reached; refuse one that names a collection."""
    with needs("postgres"):
        from bedside.engines.postgres.url import names_collection

    if names_collection(str(root)):
        raise InvalidInputError(f"{shown(root)} is itself a collection: give the URL without collection=")
    list_collections(root)
    return str(root)


def below(root: _Place, name: str) -> str:
    """Return the URL of a collection in the database of a URL."""
    with needs("postgres"):
        from bedside.engines.postgres.url import with_collection

    return with_collection(str(root), name)


def list_collections(root: _Place) -> list[str]:
    """Return the names of the collections in a database."""
    with needs("postgres"):
        from bedside.engines.postgres.opening import listed

    return listed(str(root))


def verify_without_key(place: _Place) -> NoReturn:
    """Refuse: nothing is encrypted."""
    raise InvalidInputError(f"{shown(place)}: nothing is encrypted on PostgreSQL; `verify` reads everything")


def repair(place: _Place, *, key: object = None) -> NoReturn:  # noqa: ARG001 # one signature
    """Refuse: there is no log."""
    raise InvalidInputError(
        f"{shown(place)}: there is no log to repair on PostgreSQL; `verify` finds what is wrong, and a backup of the "
        "server holds what was there"
    )
