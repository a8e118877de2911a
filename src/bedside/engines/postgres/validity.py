"""What of a scope is valid when, read once for each state of the scope and asked about on our side.

A search then sends the server the rows that are left out, and nothing that has to be worked out for each row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection

from bedside.engines.postgres.arrays import Int8s
from bedside.engines.postgres.schema import IS_DATED, NAMES_OTHERS
from bedside.filters.dates import span
from bedside.filters.validity import named
from bedside.search.rank import Rows
from bedside.search.versions import Chains

_IS_PASSAGE = "fields ? 'source_hash' and jsonb_typeof(fields -> 'source_id') = 'string'"
_VERSION = f"case when {_IS_PASSAGE} then fields ->> 'source_id' else id end"
_COLUMNS = ", ".join(f"coalesce(array_agg({name}), '{{}}')" for name in ("row", "starts", "ends", "dl"))


class Left(NamedTuple):
    """Rows that are left out, ascending, and how many terms they hold."""

    rows: Rows
    tokens: int


@dataclass(frozen=True)
class Validity:
    """When those records of a scope are valid that are not always, or that are named in another one's ``supersedes``.

    Attributes:
        rows: Theirs, ascending, int64 ``[m]``.
        starts: Where each one's bounds begin, as :func:`bedside.filters.validity.bounds` gives them.
        ends: Where they end.
        lengths: How many terms each holds.
        chains: Which supersede which, by their places in ``rows``.
    """

    rows: Rows
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    lengths: NDArray[np.int64]
    chains: Chains

    def left_out(self, as_of: datetime) -> Left:
        """Return what was not valid just before ``as_of``, or superseded by what was."""
        until, _ = span(as_of)
        valid = (self.starts < until) & (until <= self.ends)
        out = ~valid
        out[self.chains.superseded(valid)] = True
        return Left(self.rows[out], int(self.lengths[out].sum()))


def read(connection: Connection[Any], sid: int) -> Validity:
    """Read the validity of a scope."""
    said = connection.execute(
        f"select row, {_VERSION}, fields -> 'supersedes' from doc where sid = %s and {NAMES_OTHERS}".encode(),  # noqa: S608 - constants
        (sid,),
    ).fetchall()
    links: list[tuple[int, str, str]] = [(row, version, name) for row, version, value in said for name in named(value)]
    known = _called(connection, sid, {name for *_, name in links})
    linked = {row for row, _, _ in links} | {row for row, _ in known}
    rows, starts, ends, lengths = _rows(connection, sid, linked)
    place = {row: i for i, row in enumerate(rows.tolist())} if linked else {}
    chains = Chains.of(
        [(place[row], version, name) for row, version, name in links], [(place[row], name) for row, name in known]
    )
    return Validity(rows, starts, ends, lengths, chains)


def _called(connection: Connection[Any], sid: int, names: set[str]) -> list[tuple[int, str]]:
    """Return the rows of the records with some ids and of the passages of the notes with these, and the ids."""
    if not names:
        return []
    found = connection.execute(
        "with names as materialized (select unnest(%s::text[]) as name)"  # noqa: S608 - constants
        " select row, name from doc join names on id = name where sid = %s union all"
        " select row, name from doc join names on fields ->> 'source_id' = name"
        f" where sid = %s and {_IS_PASSAGE}".encode(),
        (list(names), sid, sid),
    )
    return found.fetchall()


def _rows(connection: Connection[Any], sid: int, linked: set[int]) -> tuple[NDArray[np.int64], ...]:
    """Return the rows that have bounds and some others, ascending, with their bounds and lengths."""
    found = connection.cursor(binary=True).execute(
        f"select {_COLUMNS} from doc where sid = %s and {IS_DATED} union all"  # noqa: S608 - constants
        f" select {_COLUMNS} from doc where sid = %s and row = any(%s) and not {IS_DATED}".encode(),
        (sid, sid, Int8s(np.array(list(linked), np.int64))),
    )
    columns = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    order = np.argsort(columns[0])
    return tuple(column[order] for column in columns)
