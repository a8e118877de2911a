"""What looks after a whole collection."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from psycopg import Connection, sql

from bedside.engines.facts import Batch, EncoderRecord, Facts, own_alpha
from bedside.engines.postgres import facets, nearest, reading, schema, writing
from bedside.engines.postgres.connection import Database
from bedside.engines.postgres.copying import copy_into, vector_rows
from bedside.engines.postgres.rows import (
    Terms,
    document_of,
    flat,
    in_parts,
    record_of,
    scope_of,
    sid_of,
    term_key,
    terms_of,
)
from bedside.engines.postgres.url import Place
from bedside.engines.protocol import Selection
from bedside.engines.reports import EraseReceipt, VerifyReport
from bedside.errors import DatabaseError, LockTimeoutError, TracesRemainError
from bedside.filters.validity import bounds
from bedside.records import Record
from bedside.search.versions import Versions
from bedside.support.progress import counting
from bedside.text.analyzer import Analyzer, encoded_texts
from bedside.types import Encoder

if TYPE_CHECKING:
    from typing_extensions import LiteralString

BEYOND = (
    "the write-ahead log, until the server reuses or archives it",
    "replicas, until they have followed",
    "base backups and archives",
    "the server's own logs",
    "what facets counted in collections open elsewhere, until these are asked about the scope again or closed",
    "the encoders' caches of other processes, and in this one's what was deleted or replaced before",
)
"""Where an erasure on a server cannot look."""
_PAUSE = 0.1


def erase(database: Database, selection: Selection, forget: Callable[[list[str]], None]) -> EraseReceipt:
    """Remove the selected records, then rewrite the tables, so that no data file holds them.

    Raises:
        InvalidInputError: A pooler is between, through which the tables cannot be rewritten.
        TracesRemainError: The records are gone, and the tables could not be rewritten without them: other transactions
            still see them, a lock was not free in time, or the role does not own the tables.
    """

    def work(connection: Connection[Any]) -> list[tuple[str, list[str]]]:
        writing.lock(connection, selection.scope)
        sid = sid_of(selection.scope)
        rows = reading.rows_of(connection, sid, selection).tolist()
        found = [document_of(record) for record, _ in reading.records(connection, sid, rows, None)]
        if rows:
            writing.remove_rows(connection, rows)
        connection.execute("delete from scope where sid = %s and n = 0", (sid,))
        title = reading.facts(connection).title
        return [(d.id or "", encoded_texts(d.text, d.metadata, title)) for d in found]

    database.check_not_pooled("erase")
    removed = database.write(work)
    forget([text for _, texts in removed for text in texts])
    try:  # also where nothing was removed now: what was deleted before may still lie in the files
        _rewrite(database)
    except (DatabaseError, LockTimeoutError) as error:
        raise TracesRemainError(
            f"the records were erased from the collection; its tables still hold traces of them ({error}). Call erase "
            "once more when it can rewrite them, or have their owner run VACUUM FULL"
        ) from None
    return EraseReceipt(tuple(id for id, _ in removed), {}, 0, 0, BEYOND)


def _rewrite(database: Database) -> None:
    """Rewrite the tables until no transaction keeps dead rows in them.

    A rewrite copies what an older transaction may still see, and says so to nobody; a vacuum after it counts that.
    """
    deadline = time.monotonic() + database.lock_timeout
    with database.alone() as connection:
        while True:
            _each_table(connection, database.place.schema, "vacuum (full) {}")
            # What this session did and has not yet reported would be taken off the count.
            connection.execute("select pg_stat_force_next_flush()")
            _each_table(connection, database.place.schema, "vacuum (analyze) {}")
            if not _dead_rows(connection, database.place.schema):
                return
            if time.monotonic() >= deadline:
                raise LockTimeoutError("a transaction that began before still sees them")
            time.sleep(_PAUSE)


def _dead_rows(connection: Connection[Any], name: str) -> int:
    found = connection.execute(
        "select sum(pg_stat_get_dead_tuples(oid)) from pg_class where relname = any(%s)"
        " and relnamespace = to_regnamespace(quote_ident(%s))",
        (list(schema.TABLES), name),
    ).fetchone()
    return int(found[0] or 0) if found else 0


def compact(database: Database) -> None:
    """Make missing indexes, count the facets of large scopes, free the room of dead rows, renew what the planner knows.

    Indexes are missing where a load in bulk began and whoever started it died.
    """
    database.write(lambda connection: schema.add_indexes(connection, database.place.schema))
    for sid in database.read(facets.large):
        database.write(partial(facets.count_anew, sid=sid))
    with database.alone() as connection:
        _each_table(connection, database.place.schema, "vacuum (analyze) {}")


def _each_table(connection: Connection[Any], name: str, statement: LiteralString) -> None:
    for table in schema.TABLES:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name, table)))


def verify(connection: Connection[Any], place: Place, known: Facts, analyzer: Analyzer) -> VerifyReport:
    """Hold fields, vectors, postings, counters and the counts of facets against the records they were made of.

    Raises:
        DatabaseError: Something does not agree; names the row or the scope, never what it holds.
    """
    where = place.name
    rows = [row for (row,) in connection.execute("select row from doc order by row")]
    n: Counter[int] = Counter()
    tokens: Counter[int] = Counter()
    postings, versions = 0, Versions()
    for part in in_parts(rows, reading.PART):
        for record, expected in _checked(connection, where, known, analyzer, part):
            versions.put(record.scope, record.id, record.metadata)
            sid = sid_of(record.scope)
            n[sid] += 1
            tokens[sid] += expected.length
            postings += len(expected.counts)
    for sid, key, *counted in connection.execute("select sid, key, n, tokens from scope").fetchall():
        if sid != sid_of(scope_of(key)) or counted != [n.pop(sid, 0), tokens[sid]]:
            raise DatabaseError(f"{where}: the counters of scope {sid} are not those of its records")
    if n:
        raise DatabaseError(f"{where}: {len(n)} scopes have records and no counters")
    if (miscounted := facets.wrong(connection)) is not None:
        raise DatabaseError(f"{where}: the counts of facets kept of scope {miscounted} are not those of its records")
    vectors = len(rows) if known.dimension else 0
    for name, expected_count in (("vec", vectors), ("post", postings)):
        (found,) = connection.execute(f"select count(*) from {name}".encode()).fetchone() or (0,)  # noqa: S608 - a constant
        if found != expected_count:
            raise DatabaseError(f"{where}: the table {name} holds {found} rows, and the records make {expected_count}")
    (size,) = connection.execute(
        "select sum(pg_total_relation_size(to_regclass(name))) from unnest(%s::text[]) as each(name)",
        (list(schema.TABLES),),
    ).fetchone() or (0,)
    missing = tuple(schema.missing_indexes(connection, place.schema))
    return VerifyReport(where, int(size), len(rows), len(rows), 0, versions.problems(), missing)


def _checked(
    connection: Connection[Any], where: str, known: Facts, analyzer: Analyzer, rows: list[int]
) -> Iterator[tuple[Record, Terms]]:
    """Yield records and their terms, where derived columns are what they should be."""
    postings = _postings(connection, rows)
    vectors = dict(connection.execute("select row, vector_dims(v) from vec where row = any(%s)", (rows,)).fetchall())
    derived = connection.execute(
        "select row, sid, id, dl, starts, ends, record from doc where row = any(%s) order by row", (rows,)
    ).fetchall()
    expected_fields = []
    for row, sid, id, dl, starts, ends, text in derived:
        record = record_of(text, known.scope_keys, None)
        terms = terms_of(record, analyzer)
        keyed = {term_key(sid, t): (sid, tf, terms.length, terms.negated[t]) for t, tf in terms.counts.items()}
        whole = (
            sid == sid_of(record.scope)
            and id == record.id
            and dl == terms.length
            and (starts, ends) == bounds(record.metadata)
            and postings.get(row, {}) == keyed
            and vectors.get(row) == (known.dimension or None)
        )
        if not whole:
            raise DatabaseError(f"{where}: what is stored beside the record of row {row} is not what it makes")
        expected_fields.append((row, flat(record.metadata).decode()))
        yield record, terms
    wrong = connection.execute(
        "select row from doc join unnest(%s::bigint[], %s::text[]) as made(row, fields) using (row)"
        " where doc.fields <> made.fields::jsonb limit 1",
        ([row for row, _ in expected_fields], [made for _, made in expected_fields]),
    ).fetchone()
    if wrong:
        raise DatabaseError(f"{where}: the metadata columns of row {wrong[0]} are not those of its record")


def _postings(connection: Connection[Any], rows: list[int]) -> Mapping[int, Mapping[int, tuple[int, ...]]]:
    found: dict[int, dict[int, tuple[int, ...]]] = {}
    for row, key, *rest in connection.execute(
        "select row, key, sid, tf, dl, negated from post where row = any(%s)", (rows,)
    ):
        found.setdefault(row, {})[key] = tuple(rest)
    return found


def reembed(
    connection: Connection[Any],
    batches: Callable[[Iterator[Record]], Iterator[Batch]],
    encoder: Encoder,
) -> None:
    """Put other vectors in place of all of them; rows, ids and texts stay as they are."""
    writing.lock_all(connection)
    known = reading.facts(connection)
    found = connection.execute("select row, sid from doc order by row").fetchall()
    rows = [row for row, _ in found]
    texts = reading.records(connection, None, rows, None)
    records = (record_of(text, known.scope_keys, None) for text, _ in texts)
    made = batches(counting(records, len(rows), "rewriting", "record"))
    connection.execute("delete from vec")
    nearest.drop(connection)
    at, dimension = 0, encoder.dimension
    for batch in made:
        part = found[at : at + len(batch.records)]
        at += len(part)
        copied = vector_rows([row for row, _ in part], [sid for _, sid in part], batch.records)
        copy_into(connection, "vec", [copied])
        vector = batch.records[0].vector if batch.records else None
        dimension = dimension if vector is None else len(vector)
    writing.decide(connection, known.with_encoder(EncoderRecord.of(encoder), dimension, own_alpha(encoder)))


def drop(connection: Connection[Any], name: str, *, only_empty: bool = False) -> None:
    """Drop the schema of a collection, with all that is in it; with ``only_empty`` only where nothing is stored."""
    connection.execute("select pg_advisory_xact_lock(%s)", (schema.lock_number(name),))
    writing.lock_all(connection)
    (held,) = connection.execute("select exists (select from doc)").fetchone() or (True,)
    if not (held and only_empty):
        connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(name)))
