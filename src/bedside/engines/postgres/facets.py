"""How many records of a scope hold each value of a metadata key: counted when asked, or kept where a scope is large.

A scope is counted as a whole when it grows to :data:`LARGE` records, and by ``compact``. From then on each write
changes the counts in its own transaction, under the scope's lock. ``scope.counted`` is the state that they are of, and
the server refuses whoever would change the state and leave it behind: counts are right, or not there. They are not kept
of keys with many or long values, nor of keys that came since the scope was counted as a whole: for these its records
are counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from bedside.engines.postgres import reading
from bedside.engines.postgres.arrays import Int8s
from bedside.engines.postgres.bm25 import Statistics
from bedside.engines.postgres.rows import scalar
from bedside.engines.postgres.sql import Clause, storable
from bedside.engines.protocol import Selection
from bedside.filters.rules import frequent_first
from bedside.search.rank import Rows

LARGE = 10_000
"""Records; counting fewer takes a few milliseconds."""
_MOST = 1_000
"""Values of a key."""
_KEYS = 100
"""Those that most records of a scope have."""
_LONGEST = 400
"""Bytes of a value as JSON, and of a key: together they are an entry of an index, which holds 2,700."""
_SAMPLE = 5_000
"""Records that show which keys have too many values, before all records are counted."""
_ELEMENTS = "jsonb_array_elements(case jsonb_typeof(f) when 'array' then f else '[]' end)"
_EACH = f"lateral (select f as value union select x from {_ELEMENTS} as x) as each"  # noqa: S608 - constants
"""A stored value itself and what it holds, where it is a list; a list counts once for each of its elements."""
_IS_SCALAR = "jsonb_typeof(value) not in ('array', 'object')"
_TOO_LONG = "'{}'"
"""Stands for a value that is too long; no scalar is an object."""
_KEPT = f"case when octet_length(value::text) > {_LONGEST} then {_TOO_LONG} else value end"
_NOT_KEPT = f"count(*) > {_MOST} or bool_or(value = {_TOO_LONG})"
"""Of the values of a key."""


def read(connection: Connection[Any], found: Statistics, selection: Selection, key: str) -> list[tuple[Any, int]]:
    """Count the selected records by each scalar at a path, itself or in a list; once for each state of the scope."""
    if not storable(key):
        return []

    def now() -> list[tuple[Any, int]]:
        is_whole = selection == Selection(selection.scope)
        known = _kept(connection, found.sid, key) if is_whole and found.corpus.n >= LARGE else []
        return known or _counted(connection, reading.selected(connection, found.sid, selection), key)

    return list(reading.once(found.remembered, ("facets", key), selection, now))


def _counted(connection: Connection[Any], where: Clause, key: str) -> list[tuple[Any, int]]:
    found = connection.execute(
        # Counted by whole values first: there are fewer of them than records.
        "select value::text, sum(n)::bigint from"  # noqa: S608 - every value is bound
        f" (select fields -> %s::text as f, count(*) as n from doc where {where.sql} group by f) as at,"
        f" {_EACH} where {_IS_SCALAR} group by value".encode(),
        (key, *where.values),
    )
    return _sorted(found.fetchall())


def _kept(connection: Connection[Any], sid: int, key: str) -> list[tuple[Any, int]]:
    """Return the counts that are kept of a key; none: its records are to be counted."""
    found = connection.execute("select value::text, n from facet where sid = %s and path = %s", (sid, key))
    return _sorted(found.fetchall())


def _sorted(found: Sequence[tuple[str, int]]) -> list[tuple[Any, int]]:
    return sorted(((scalar(text), number) for text, number in found), key=frequent_first)


def large(connection: Connection[Any]) -> list[int]:
    """Return the numbers of the scopes that are to be counted."""
    return [sid for (sid,) in connection.execute("select sid from scope where n >= %s order by sid", (LARGE,))]


def count_anew(connection: Connection[Any], sid: int) -> None:
    """Count a scope as a whole, where it is still there; writers of it wait."""
    connection.execute("select from about for share")
    if not connection.execute("select from scope where sid = %s for no key update", (sid,)).fetchall():
        return
    sample = f"(select fields from doc where sid = %s limit {_SAMPLE}) as sample"  # noqa: S608 - constants
    connection.execute("delete from facet where sid = %s", (sid,))
    connection.execute(
        f"with various as ({_by_value(sample, 'true')}),"  # noqa: S608 - every value is bound
        f" without as (select path from various group by path having {_NOT_KEPT}),"
        f" every as ({_by_value('doc', 'sid = %s and path not in (select path from without)')}),"
        f" chosen as (select path from every group by path having not ({_NOT_KEPT})"
        f" order by sum(n) desc, path limit {_KEYS})"
        " insert into facet (sid, path, value, n)"
        " select %s, path, value, n from every join chosen using (path)".encode(),
        (sid, sid, sid),
    )
    connection.execute("update scope set counted = state where sid = %s", (sid,))


def _by_value(source: str, condition: str) -> str:
    """Return the query for the values of every key of some records, and how many hold each."""
    return (
        f"select path, {_KEPT} as value, sum(n)::bigint as n from (select path, f, count(*) as n from {source},"  # noqa: S608 - constants
        f" jsonb_each(fields) as field(path, f) where {condition} and octet_length(path) <= {_LONGEST}"
        f" group by path, f) as whole, {_EACH} where {_IS_SCALAR} group by 1, 2"
    )


def _changed(source: str) -> str:
    """Return the query for what records of counted scopes add to, or take off, the counts that are kept."""
    return (
        f"select sid, path, {_KEPT} as value, sum(n)::bigint as n from (select sid, path, f, count(*) as n"  # noqa: S608 - constants
        f" from {source} join scope using (sid), jsonb_each(fields) as field(path, f) where counted is not null"
        " group by sid, path, f) as whole,"
        " lateral (select from facet where facet.sid = whole.sid and facet.path = whole.path limit 1) as kept,"
        f" {_EACH} where {_IS_SCALAR} group by 1, 2, 3"
    )


REMOVED = f"select sid, path, value::text, n from ({_changed('gone')}) as fewer"  # noqa: S608 - constants
"""The query for what the records of ``gone``, with their ``sid`` and ``fields``, add to the counts that are kept."""


def remove(connection: Connection[Any], counts: Sequence[tuple[int, str, str, int]]) -> None:
    """Take what :data:`REMOVED` found off the counts of locked scopes, and leave no value that no record holds."""
    if not counts:
        return
    columns = [list(column) for column in zip(*counts, strict=True)]
    connection.execute(
        # Given as arrays, whose length the planner knows: it looks the values up, and does not read all counts.
        "with fewer as (select sid, path, value::jsonb, n"
        " from unnest(%s::bigint[], %s::text[], %s::text[], %s::bigint[]) as fewer(sid, path, value, n)),"
        " emptied as (delete from facet using fewer where (facet.sid, facet.path, facet.value) ="
        " (fewer.sid, fewer.path, fewer.value) and facet.n = fewer.n)"
        " update facet set n = facet.n - fewer.n from fewer where (facet.sid, facet.path, facet.value) ="
        " (fewer.sid, fewer.path, fewer.value) and facet.n <> fewer.n",
        columns,
    )


def add(connection: Connection[Any], rows: Rows) -> None:
    """Count new records of counted scopes, which are locked; a key that now has too many values is no longer kept."""
    found = connection.execute(
        f"with more as ({_changed('(select sid, fields from doc where row = any(%s)) as new')})"  # noqa: S608 - every value is bound
        " insert into facet (sid, path, value, n) select * from more"
        " on conflict (sid, path, value) do update set n = facet.n + excluded.n"
        " returning sid, path, xmax = 0".encode(),
        (Int8s(rows),),
    )
    grown = sorted({(sid, path) for sid, path, is_new in found if is_new})
    if grown:
        connection.execute(
            "with grown as (select * from unnest(%s::bigint[], %s::text[]) as grown(sid, path)),"  # noqa: S608 - every value is bound
            " without as (select sid, path from grown join facet using (sid, path) group by sid, path"
            f" having {_NOT_KEPT}) delete from facet using without"
            " where facet.sid = without.sid and facet.path = without.path".encode(),
            ([sid for sid, _ in grown], [path for _, path in grown]),
        )


def forget(connection: Connection[Any], sids: Sequence[int]) -> None:
    """Keep no counts of some scopes, which are locked, until they are counted anew."""
    connection.execute(
        "with no_longer as (update scope set counted = null where sid = any(%s) and counted is not null returning sid)"
        " delete from facet using no_longer where facet.sid = no_longer.sid",
        (list(sids),),
    )


def wrong(connection: Connection[Any]) -> int | None:
    """Return the number of a scope whose counts are not those of its records."""
    found = connection.execute("select sid from facet left join scope using (sid) where counted is null").fetchone()
    if found:
        return int(found[0])
    for (sid,) in connection.execute("select sid from scope where counted is not null").fetchall():
        differs = connection.execute(
            "with kept as (select path, value, n from facet where sid = %s),"  # noqa: S608 - every value is bound
            f" every as ({_by_value('doc', 'sid = %s and path in (select path from kept)')})"
            " select from kept full join every using (path, value)"
            " where kept.n is distinct from every.n limit 1".encode(),
            (sid, sid),
        )
        if differs.fetchall():
            return int(sid)
    return None
