"""The approximate index: HNSW over all vectors of a collection, asked only where that was wished for.

It may miss rows; what it finds is scored exactly. So it is never used under a filter, which leaves it few of what it
finds, nor in a scope small enough to be read whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from psycopg import Connection

from bedside.engines.postgres.arrays import Float4s
from bedside.errors import InvalidInputError
from bedside.search.rank import Rows
from bedside.types import Vector

LARGE = 100_000
"""Records of a scope above which the index is asked; below, an exact search takes a tenth of a second."""
MOST = 1_000
"""What pgvector allows for ``hnsw.ef_search``."""
_NAME = "vec_nearest"
_LONGEST = 4_000


def add(connection: Connection[Any], dimension: int | None) -> None:
    """Make the index anew; other writers wait meanwhile.

    Raises:
        InvalidInputError: There are no vectors yet, or they are too long for it.
    """
    if not dimension:
        raise InvalidInputError("index: the collection holds no vectors yet")
    if dimension > _LONGEST:
        raise InvalidInputError(
            f"index: pgvector's index takes up to {_LONGEST} dimensions, and these have {dimension}"
        )
    drop(connection)
    # Unit vectors, because half precision has no room for long ones.
    connection.execute(f"create index {_NAME} on vec using hnsw ({_unit(dimension)} halfvec_cosine_ops)".encode())


def drop(connection: Connection[Any]) -> None:
    """Drop the index, where there is one: it takes vectors of one dimension only."""
    connection.execute(f"drop index if exists {_NAME}".encode())


def is_there(connection: Connection[Any]) -> bool:
    """Say whether there is an index."""
    found = connection.execute("select to_regclass(%s) is not null", (_NAME,)).fetchone()
    return bool(found and found[0])


def proposed(connection: Connection[Any], sid: int, vector: Vector, count: int, ef: int) -> Rows:
    """Return about ``count`` rows of a scope whose vectors are near ``vector``, ascending."""
    for setting in (
        f"hnsw.ef_search = {min(max(ef, count), MOST)}",
        "hnsw.iterative_scan = relaxed_order",  # goes on where many of what it finds are of other scopes
        "enable_sort = off",  # no plan that reads and sorts the whole scope
    ):
        connection.execute(f"set local {setting}".encode())
    unit = _unit(len(vector))
    found = connection.cursor(binary=True).execute(
        f"select row from vec where sid = %s order by {unit} <=> %s::vector::halfvec({len(vector)}) limit %s".encode(),  # noqa: S608 - every value is bound
        (sid, Float4s(np.asarray(vector / np.linalg.norm(vector), np.float32)), count),
    )
    rows = np.sort(np.array([row for (row,) in found.fetchall()], np.int64))
    connection.execute("set local enable_sort = on")
    return rows


def _unit(dimension: int) -> str:
    return f"(l2_normalize(v)::halfvec({dimension}))"
