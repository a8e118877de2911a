"""Loading in bulk; see :class:`bedside.engines.bulk.BulkLoading`.

The ledger ``loaded`` sets rows aside for each shard, so that its records have the same rows whoever loads it, and when.
Where the collection was empty its indexes are made last; the keys stay, so that no id comes twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from psycopg import Connection

from bedside.engines.bulk import Entry, Wholes
from bedside.engines.facts import Batch, Facts
from bedside.engines.postgres import facets, reading, schema, upkeep, writing
from bedside.engines.postgres.arrays import Int8s
from bedside.engines.postgres.connection import Database
from bedside.engines.postgres.copying import COLUMNS, Part, copy_into
from bedside.engines.postgres.rows import in_parts, sid_of, terms_of
from bedside.engines.protocol import Selection
from bedside.errors import EncoderMismatch, InvalidDocumentError, InvalidInputError
from bedside.filters.parse import parse
from bedside.records import Record, ScopeKey
from bedside.text.analyzer import Analyzer

_CHUNK = 1 << 20
_PART = 1_000
"""Records whose rows are made at once."""


class PostgresBulkLoading:
    """Loads a collection.

    Args:
        database: Its transactions.
        facts: Those that what is loaded is made by.
        analyzer: Makes the terms of its records.
    """

    def __init__(self, database: Database, facts: Facts, analyzer: Analyzer) -> None:
        self._database = database
        self._facts = facts
        self._analyzer = analyzer

    def plan(self, sizes: Mapping[str, int], sample: Batch) -> dict[str, Entry]:
        """Enter shards into the ledger, and return what it says of each."""

        def work(connection: Connection[Any]) -> dict[str, Entry]:
            writing.lock_all(connection)
            is_filled = writing.holds_records(connection)
            writing.settled(connection, reading.facts(connection), sample, decided=is_filled)
            known = _entries(connection, list(sizes))
            new = {shard: size for shard, size in sizes.items() if shard not in known}
            for shard, first in _set_aside(connection, new).items():
                connection.execute("insert into loaded (shard, first) values (%s, %s)", (shard, first))
            if not is_filled:
                schema.drop_indexes(connection)
            return {shard: known[shard][1] if shard in known else Entry() for shard in sizes}

        return self._database.write(work)

    def check(self, records: Sequence[Record]) -> None:
        """Refuse records that PostgreSQL cannot hold."""
        writing.check(records)

    def load(self, shard: str, batches: Iterable[Batch], refused: Sized, wholes: Wholes | None = None) -> Entry:
        """Load a planned shard, as one transaction."""
        found = self._database.read(lambda connection: _entries(connection, [shard])).get(shard)
        if found is None:
            raise InvalidInputError("bulk_load: the shard was not planned")
        first, entry = found
        if entry.documents is not None:
            return entry
        with _files() as files:
            content = _Content(files, first, None if wholes is None else wholes.key)
            for batch in batches:
                for records in in_parts(batch.records, _PART):
                    content.add(records, self._analyzer)
            return self._database.write(lambda c: self._loaded(c, shard, content, len(refused), wholes))

    def finish(self) -> None:
        """Make the indexes that are missing, count facets, and renew what the planner knows."""
        upkeep.compact(self._database)

    def _loaded(
        self, connection: Connection[Any], shard: str, content: _Content, refused: int, wholes: Wholes | None
    ) -> Entry:
        connection.execute("select from about for share")
        now = reading.facts(connection)
        if (now.dimension, now.encoder) != (self._facts.dimension, self._facts.encoder):
            raise EncoderMismatch("the collection was encoded anew while it was loaded; load the rest once more")
        connection.execute("select from loaded where shard = %s for update", (shard,))
        entry = _entries(connection, [shard])[shard][1]
        if entry.documents is not None:  # another process has just loaded it
            return entry
        old, late = _in_the_way(connection, content, wholes)
        if old:
            writing.lock_scopes(connection, content.scopes.values())
            writing.remove_rows(connection, old)
        for table in COLUMNS:
            _copy(connection, table, content.chunks(table), [content.first + at for at in late])
        # Locked last, so that shards are copied side by side.
        writing.lock_scopes(connection, content.scopes.values())
        kept = [at for at in range(len(content.ids)) if at not in late]
        writing.count(connection, [content.sids[at] for at in kept], [content.lengths[at] for at in kept])
        facets.forget(connection, list(content.scopes))  # counted anew once all shards are loaded
        connection.execute(
            "update loaded set documents = %s, refused = %s where shard = %s", (len(kept), refused, shard)
        )
        return Entry(len(kept), refused)


@contextmanager
def _files() -> Iterator[dict[str, IO[bytes]]]:
    """Yield a file for each table; without names, so that of a process that is killed no text is left on the disk."""
    with TemporaryFile() as doc, TemporaryFile() as vec, TemporaryFile() as post:
        yield {"doc": doc, "vec": vec, "post": post}


class _Content:
    """The rows of a shard, in files, and what is asked of them before they are copied.

    Args:
        files: One for each table.
        first: The row of its first record.
        whole: The metadata key of what records are parts of.
    """

    def __init__(self, files: Mapping[str, IO[bytes]], first: int, whole: str | None) -> None:
        self.first = first
        self.ids: list[str] = []
        self.sids: list[int] = []
        self.lengths: list[int] = []
        self.wholes: list[str] = []
        self.scopes: dict[int, ScopeKey] = {}
        self._whole = whole
        self._files = files

    def add(self, records: Sequence[Record], analyzer: Analyzer) -> None:
        """Add records."""
        numbers = {record.scope: sid_of(record.scope) for record in records}
        sids = [numbers[record.scope] for record in records]
        rows = np.arange(len(records), dtype=np.int64) + self.first + len(self.ids)
        part = Part(rows, sids, records, [terms_of(record, analyzer) for record in records])
        for table, found in part.columns().items():
            self._files[table].write(found)
        self.ids += [record.id for record in records]
        self.sids += sids
        self.lengths += part.lengths
        self.wholes += [] if self._whole is None else [record.metadata[self._whole] for record in records]
        self.scopes |= {sid: scope for scope, sid in numbers.items()}

    def chunks(self, table: str) -> Iterator[bytes]:
        """Yield what is to be copied into a table, from the beginning each time."""
        self._files[table].seek(0)
        return iter(lambda: self._files[table].read(_CHUNK), b"")


def _entries(connection: Connection[Any], shards: list[str]) -> dict[str, tuple[int, Entry]]:
    """Return the first row and the entry of each shard that the ledger knows."""
    found = connection.execute("select shard, first, documents, refused from loaded where shard = any(%s)", (shards,))
    return {shard: (first, Entry(documents, refused)) for shard, first, documents, refused in found}


def _set_aside(connection: Connection[Any], sizes: Mapping[str, int]) -> dict[str, int]:
    """Return the first of the rows set aside for each shard; no writer takes rows before the transaction ends."""
    total = sum(sizes.values())
    (last,) = connection.execute("select setval('line', nextval('line') + %s)", (total,)).fetchone() or (0,)
    ends = np.cumsum(list(sizes.values()), dtype=np.int64).tolist()
    return {shard: last - total + end - size for (shard, size), end in zip(sizes.items(), ends, strict=True)}


def _in_the_way(connection: Connection[Any], content: _Content, wholes: Wholes | None) -> tuple[list[int], set[int]]:
    """Return the rows that the shard's records replace, and the places of its records that later ones replaced."""
    found = connection.execute(
        "select at - 1, row from unnest(%s::bigint[], %s::text[]) with ordinality as new(sid, id, at)"
        " join doc using (sid, id)",
        (content.sids, content.ids),
    ).fetchall()
    if wholes is None or not found:
        late = {at for at, row in found if row > content.first + at}
        return [row for at, row in found if at not in late], late
    stored = _parts(connection, content, {at for at, _ in found}, wholes)
    for at, row in found:
        if row not in stored[content.sids[at], content.wholes[at]]:
            raise InvalidDocumentError(
                f"notes: a record that is not a passage has the id {content.ids[at]!r}, which a passage of the note"
                " needs"
            )
    newer = {whole for whole, rows in stored.items() if max(rows) > content.first}
    old = [row for whole, rows in stored.items() if whole not in newer for row in rows]
    pairs = zip(content.sids, content.wholes, strict=True)
    return old, {at for at, whole in enumerate(pairs) if whole in newer}


def _parts(
    connection: Connection[Any], content: _Content, places: set[int], wholes: Wholes
) -> Mapping[tuple[int, str], set[int]]:
    """Return the stored rows of the wholes that the records at some places are parts of."""
    asked: dict[int, set[str]] = defaultdict(set)
    for at in places:
        asked[content.sids[at]].add(content.wholes[at])
    stored: dict[tuple[int, str], set[int]] = defaultdict(set)
    for sid, names in asked.items():
        where = reading.selected(connection, sid, Selection(content.scopes[sid], parse(wholes.parts_of(sorted(names)))))
        for row, name in connection.execute(
            f"select row, fields ->> %s::text from doc where {where.sql}".encode(),  # noqa: S608 - every value is bound
            (wholes.key, *where.values),
        ):
            stored[sid, name].add(row)
    return stored


def _copy(connection: Connection[Any], table: str, chunks: Iterable[bytes], without: Sequence[int]) -> None:
    """Copy a shard's rows into a table, by way of another where some are to be left out."""
    if not without:
        copy_into(connection, table, chunks)
        return
    connection.execute(f"create temp table new_{table} (like {table}) on commit drop".encode())
    copy_into(connection, table, chunks, into=f"new_{table}")
    connection.execute(
        f"insert into {table} select * from new_{table} where row <> all(%s)".encode(),  # noqa: S608 - a constant
        (Int8s(np.array(without, np.int64)),),
    )
