"""The PostgreSQL engine: the same verbs and answers, on a server that many processes share.

A collection is a schema; the server must have the extension pgvector. Comes with ``bedside[postgres]``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from bedside.engines.protocol import Facts
from bedside.support.extras import needs

if TYPE_CHECKING:
    from bedside.engines.postgres.engine import PostgresEngine

__all__ = ["open_engine"]


def open_engine(
    place: str | os.PathLike[str] | None, *, facts: Callable[[], Facts], read_only: bool, lock_timeout: float
) -> PostgresEngine:
    """Open the collection that a URL names, creating it where there is none.

    Raises:
        InvalidInputError: It is no URL of PostgreSQL.
        MissingExtraError: ``bedside[postgres]`` is not installed.
        NotACollectionError: The schema holds something else, or nothing while ``read_only``.
        FormatVersionError: It was made in a newer format, or its postings by another release of the tokenizer.
        DatabaseError: The server cannot be reached, refuses, or lacks pgvector.
    """
    with needs("postgres"):
        from bedside.engines.postgres.opening import opened

    return opened(str(place), facts, read_only=read_only, lock_timeout=lock_timeout)
