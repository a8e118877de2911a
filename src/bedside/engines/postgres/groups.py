"""The groups that a scope's records fall into by the value of a metadata key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from psycopg import Connection

from bedside.engines.postgres.bm25 import Grouped
from bedside.engines.postgres.rows import document_of
from bedside.filters.rules import fields
from bedside.search.rank import Rows


@dataclass(frozen=True)
class Groups:
    """The number of each row's group: ``rows`` ascending, int64 ``[m]``; a row that is not here is its own group.

    Attributes:
        rows: Those that have the key.
        numbers: From 0 for scalars, which ``as_one`` reads as one text; lists and objects follow.
        scalars: How many numbers are of scalars.
        lengths: How many terms each row holds; -1 where that was not wanted.
    """

    rows: Rows
    numbers: NDArray[np.int64]
    scalars: int
    lengths: NDArray[np.int64]

    def of(self, rows: Rows) -> NDArray[np.int64]:
        """Return the number of each row's group."""
        if not len(self.rows):
            return -1 - rows
        places = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return np.where(self.rows[places] == rows, self.numbers[places], -1 - rows)

    def within(self, numbers: NDArray[np.int64]) -> Rows:
        """Return the rows of some groups."""
        alone = -1 - numbers[numbers < 0]
        return np.union1d(self.rows[np.isin(self.numbers, numbers)], alone)


def groups_of(connection: Connection[Any], sid: int, key: str, as_one: str = "") -> Groups:
    """Number the groups of a scope's records by the value of a metadata key.

    Args:
        connection: Of the transaction.
        sid: The scope.
        key: That of the groups.
        as_one: The key of the records whose lengths are wanted; none is empty.
    """
    # A group is numbered by its first row: the server compares scalars as every engine does.
    found = connection.cursor(binary=True).execute(
        "select coalesce(array_agg(row order by row), '{}'), coalesce(array_agg(first order by row), '{}'),"
        " coalesce(array_agg(dl order by row), '{}'), coalesce(bool_or(first < 0), false) from"
        " (select row, case when jsonb_typeof(f) in ('array', 'object') then -1 else min(row) over (partition by f) end"
        " as first, case when one then dl else -1 end as dl from (select row, dl, fields -> %s::text as f,"
        " fields ? %s::text as one from doc where sid = %s and fields ? %s::text) as at) as numbered",
        (key, as_one, sid, key),
    )
    ((rows, firsts, lengths, others),) = found.fetchall()
    numbers = np.unique(firsts, return_inverse=True)[1] - int(others)
    scalars = int(numbers.max(initial=-1)) + 1
    if others:
        numbers[numbers < 0] = scalars + _others(connection, sid, key)
    return Groups(rows, numbers, scalars, lengths)


def _others(connection: Connection[Any], sid: int, key: str) -> NDArray[np.int64]:
    """Number the lists and objects that a scope's records have at a key, in the order of their rows.

    The server has no objects, and takes [1] and [1.0] for one list: only the records can tell.
    """
    kinds: dict[bytes, int] = {}
    found = connection.cursor(binary=True).execute(
        "select record from doc where sid = %s and jsonb_typeof(fields -> %s::text) in ('array', 'object')"
        " order by row",
        (sid, key),
    )
    values = (fields(document_of(record).metadata)[key] for (record,) in found)
    named = [kinds.setdefault(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), len(kinds)) for value in values]
    return np.array(named, np.int64)


def texts_as_one(groups: Groups) -> Grouped:
    """Return the rows that BM25 reads as one text for each group: those whose lengths were wanted, of a scalar."""
    held = (groups.numbers < groups.scalars) & (groups.lengths >= 0)
    return Grouped(groups.rows[held], groups.numbers[held], groups.lengths[held])
