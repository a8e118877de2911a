"""The PostgreSQL engine: the same verbs and answers, on a server that many processes share.

A collection is a schema; the server must have the extension pgvector. Comes with ``bedside[postgres]``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from bedside.engines.protocol import Facts
from bedside.errors import InvalidInputError
from bedside.records import Record
from bedside.support.extras import needs

if TYPE_CHECKING:
    from bedside.engines.postgres.engine import PostgresEngine

__all__ = ["holds_collection", "list_collections", "log_bytes", "open_engine", "read_facts", "repair", "write_new"]

_Place: TypeAlias = "str | os.PathLike[str]"


def open_engine(
    place: str | os.PathLike[str] | None, *, facts: Callable[[], Facts], read_only: bool, lock_timeout: float
) -> PostgresEngine:
    """Open the collection that a URL names, creating it where there is none.

    Raises:
        InvalidInputError: It is no URL of PostgreSQL.
        MissingExtraError: ``bedside[postgres]`` is not installed.
        NotACollectionError: The schema holds something else, or nothing while ``read_only``.
        FormatVersionError: It was made in a newer format, or its postings by another release.
        DatabaseError: The server cannot be reached, refuses, or lacks pgvector.
    """
    with needs("postgres"):
        from bedside.engines.postgres.opening import opened

    return opened(str(place), facts, read_only=read_only, lock_timeout=lock_timeout)


def write_new(place: _Place, facts: Facts, records: Iterable[Record]) -> None:
    """Create a collection that holds ``records`` in a schema that is not there or is empty, as one transaction."""
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


def log_bytes(place: _Place) -> NoReturn:
    """Refuse: there is no log."""
    raise _refused(place, "there is no log on PostgreSQL; `verify` reports the size of the tables")


def list_collections(root: _Place) -> NoReturn:
    """Refuse: a database is no folder of collections."""
    raise _refused(root, "the collections in a database are not listed; open each by its URL")


def repair(place: _Place) -> NoReturn:
    """Refuse: there is no log."""
    raise _refused(
        place,
        "there is no log to repair on PostgreSQL; `verify` finds what is wrong, and a backup of the server holds what "
        "was there",
    )


def _refused(place: _Place, reason: str) -> InvalidInputError:
    with needs("postgres"):
        from bedside.engines.postgres.url import parse

    return InvalidInputError(f"{parse(str(place)).name}: {reason}")
