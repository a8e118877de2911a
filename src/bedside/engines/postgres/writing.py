"""What is written to a collection, each function within a transaction that is given to it.

Writers lock in one order: ``about`` (shared; alone while they decide the facts or read from an iterator), then the
scopes by number. So writers of different scopes do not wait for one another, and none waits in a circle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from psycopg import Connection

from bedside.engines.facts import Batch, Facts
from bedside.engines.postgres import facets, nearest, reading, schema
from bedside.engines.postgres.arrays import Int8s
from bedside.engines.postgres.copying import Part, copy_into
from bedside.engines.postgres.rows import (
    check_storable,
    in_parts,
    scope_to_json,
    sid_of,
    terms_of,
)
from bedside.engines.protocol import Selection
from bedside.engines.reports import Written
from bedside.errors import DatabaseError, DuplicateIdError
from bedside.records import Record, ScopeKey, with_id
from bedside.text.analyzer import Analyzer

_PART = 1_000
"""Records written at once, so that a batch of any size takes little memory beside itself."""


def write(
    connection: Connection[Any], analyzer: Analyzer, batches: Iterable[Batch], remove: Selection | None
) -> Written:
    """Remove what is selected and put all batches."""
    listed = batches if isinstance(batches, Sequence) else None
    given = (batch for batch in batches if batch.records)
    first = next(given, Batch(()))
    check(first.records)
    scopes = {record.scope for batch in listed or [first] for record in batch.records}
    if remove is not None:
        scopes.add(remove.scope)
    known, decided = _locked_facts(connection, first, alone=listed is None)
    lock_scopes(connection, scopes)
    known = settled(connection, known, first, decided=decided)
    seen = {(record.scope, record.id) for record in first.records}
    removed = 0 if remove is None else _removed(connection, remove, {id for scope, id in seen if scope == remove.scope})
    added = put(connection, analyzer, first.records)
    for batch in given:
        check(batch.records)
        for i, record in enumerate(batch.records):
            if (record.scope, record.id) in seen:
                sentence = f"documents[{i}].id: given twice; ids must differ within a scope"
                raise with_id(DuplicateIdError(sentence), record.id)
            seen.add((record.scope, record.id))
        if listed is None:
            lock_scopes(connection, {record.scope for record in batch.records})
        known = settled(connection, known, batch, decided=True)
        added += put(connection, analyzer, batch.records)
    return Written(added, removed)


def fill(connection: Connection[Any], analyzer: Analyzer, records: Iterable[Record]) -> None:
    """Put records into a collection that nobody else sees yet."""
    source = iter(records)
    while part := list(islice(source, _PART)):
        for record in part:
            check_storable(record, "record")
        lock_scopes(connection, {record.scope for record in part})
        put(connection, analyzer, part)
    for sid in facets.large(connection):  # what it was counted as on the way lacks keys that came later
        facets.count_anew(connection, sid)


def lock(connection: Connection[Any], scope: ScopeKey) -> None:
    """Keep other writers from a scope."""
    connection.execute("select from about for share")
    lock_scopes(connection, {scope})


def lock_all(connection: Connection[Any]) -> None:
    """Keep all other writers waiting."""
    connection.execute("select from about for update")


def remove_rows(connection: Connection[Any], rows: Any) -> None:
    """Remove rows of locked scopes, and take them out of the scopes' counters."""
    wanted = Int8s(np.asarray(rows, np.int64))
    found = connection.execute(
        "with gone as (delete from doc where row = any(%s) returning sid, dl, fields),"  # noqa: S608 - every value is bound
        " less as (select sid, count(*) as n, sum(dl) as tokens, gen_random_uuid() as state from gone group by sid),"
        " lessened as (update scope set n = scope.n - less.n, tokens = scope.tokens - less.tokens, state = less.state,"
        " counted = case when counted is not null and scope.n > less.n then less.state end"
        f" from less where scope.sid = less.sid) {facets.REMOVED}".encode(),
        (wanted,),
    )
    facets.remove(connection, found.fetchall())
    connection.execute("delete from vec where row = any(%s)", (wanted,))
    connection.execute("delete from post where row = any(%s)", (wanted,))


def decide(connection: Connection[Any], facts: Facts) -> None:
    """Write the facts; ``about`` is locked."""
    connection.execute("update about set facts = %s", (schema.facts_to_json(facts),))


def change_facts(connection: Connection[Any], change: Callable[[Facts], Facts]) -> None:
    """Put what ``change`` makes of the facts in their place."""
    connection.execute("select from about for update")
    decide(connection, change(reading.facts(connection)))


def _locked_facts(connection: Connection[Any], first: Batch, *, alone: bool) -> tuple[Facts, bool]:
    """Return the facts and whether they bind what is written, locked so that both stay as they are.

    A writer that may change them is alone from the start: two that shared the lock and then both wanted it alone would
    wait for one another.
    """
    if not alone:
        connection.execute("savepoint unlocked")
        connection.execute("select from about for share")
        known, decided = reading.facts(connection), holds_records(connection)
        if not first.records or (decided and known.with_vectors(first, decided=True) == known):
            return known, decided
        connection.execute("rollback to savepoint unlocked")
    connection.execute("select from about for update")
    return reading.facts(connection), holds_records(connection)


def holds_records(connection: Connection[Any]) -> bool:
    """Say whether there is a record, in any scope."""
    found = connection.execute("select exists (select from scope where n > 0)").fetchone()
    return bool(found and found[0])


def settled(connection: Connection[Any], known: Facts, batch: Batch, *, decided: bool) -> Facts:
    """Hold a batch against the facts, or let it decide them."""
    if not batch.records:
        return known
    facts = known.with_vectors(batch, decided=decided)
    if facts.dimension != known.dimension and known.dimension:
        nearest.drop(connection)
    if facts != known:
        decide(connection, facts)
    return facts


def lock_scopes(connection: Connection[Any], scopes: Iterable[ScopeKey]) -> None:
    """Make scopes that are not there and lock them, in the order of their numbers.

    Raises:
        DatabaseError: Two scopes have one number, by a chance of one in 2**64 for each pair.
    """
    wanted = sorted((sid_of(scope), scope_to_json(scope)) for scope in scopes)
    _make_scopes(connection, wanted)
    while True:
        found = connection.execute(
            "select sid, key from scope where sid = any(%s) order by sid for no key update",
            ([sid for sid, _ in wanted],),
        ).fetchall()
        if len(found) == len(wanted):
            break
        _make_scopes(connection, wanted)  # an erasure removed one between the two statements
    if sorted(found) != wanted:
        raise DatabaseError("two scopes have the same number: the new one cannot be stored in this collection")


def _make_scopes(connection: Connection[Any], wanted: Sequence[tuple[int, str]]) -> None:
    connection.execute(
        "insert into scope (sid, key) select * from unnest(%s::bigint[], %s::text[]) as new(sid, key) order by sid"
        " on conflict do nothing",
        ([sid for sid, _ in wanted], [key for _, key in wanted]),
    )


def _removed(connection: Connection[Any], remove: Selection, but: set[str]) -> int:
    """Remove what is selected, but for those that are put anew; returns how many."""
    sid = sid_of(remove.scope)
    where = reading.selected(connection, sid, remove)
    rows = connection.execute(
        f"select row from doc where {where.sql} and not id = any(%s)".encode(),  # noqa: S608 - every value is bound
        (*where.values, list(but)),
    ).fetchall()
    if rows:
        remove_rows(connection, [row for (row,) in rows])
    return len(rows)


def check(records: Sequence[Record]) -> None:
    """Refuse records that PostgreSQL cannot hold, before anything is done with them."""
    for i, record in enumerate(records):
        check_storable(record, f"documents[{i}]")


def put(connection: Connection[Any], analyzer: Analyzer, records: Sequence[Record]) -> int:
    """Put records into locked scopes in place of those of the same ids; returns how many."""
    for part in in_parts(records, _PART):
        _put_part(connection, analyzer, part)
    return len(records)


def _put_part(connection: Connection[Any], analyzer: Analyzer, records: Sequence[Record]) -> None:
    scopes = {record.scope: sid_of(record.scope) for record in records}
    sids = [scopes[record.scope] for record in records]
    there = connection.execute(
        "select row from doc join unnest(%s::bigint[], %s::text[]) as new(sid, id) using (sid, id)",
        (sids, [record.id for record in records]),
    ).fetchall()
    if there:
        remove_rows(connection, [row for (row,) in there])
    numbers = connection.execute("select nextval('line') from generate_series(1, %s)", (len(records),)).fetchall()
    rows = np.sort(np.array(numbers, np.int64).ravel())
    part = Part(rows, sids, records, [terms_of(record, analyzer) for record in records])
    for table, found in part.columns().items():
        copy_into(connection, table, [found])
    grown = count(connection, sids, part.lengths)
    if any(each.is_counted for each in grown):
        facets.add(connection, rows)
    for each in grown:
        if not each.is_counted and each.before < facets.LARGE <= each.after:
            facets.count_anew(connection, each.sid)


class Grown(NamedTuple):
    """A scope that new records came to: how many it held and holds, and whether counts of facets are kept of it."""

    sid: int
    before: int
    after: int
    is_counted: bool


def count(connection: Connection[Any], sids: Sequence[int], lengths: Sequence[int]) -> list[Grown]:
    """Count new records, each of so many terms, in their scopes, which are locked."""
    found = connection.execute(
        "update scope set n = scope.n + more.n, tokens = scope.tokens + more.tokens, state = more.state,"
        " counted = case when counted is not null then more.state end from"
        " (select sid, count(*) as n, sum(dl) as tokens, gen_random_uuid() as state from unnest(%s, %s) as new(sid, dl)"
        " group by sid) as more where scope.sid = more.sid"
        " returning scope.sid, scope.n - more.n, scope.n, counted is not null",
        (Int8s(np.array(sids, np.int64)), Int8s(np.array(lengths, np.int64))),
    )
    return [Grown(*each) for each in found]
