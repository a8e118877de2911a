"""The PostgreSQL engine: see :class:`bedside.engines.protocol.Engine`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from psycopg import Connection, Cursor

from bedside.engines.bulk import BulkLoading
from bedside.engines.facts import Batch, Facts
from bedside.engines.postgres import facets, nearest, reading, roles, searching, upkeep, writing
from bedside.engines.postgres.bm25 import Statistics
from bedside.engines.postgres.bulk import PostgresBulkLoading
from bedside.engines.postgres.connection import Database
from bedside.engines.postgres.memory import Memory
from bedside.engines.postgres.rows import record_of, scope_of, sid_of
from bedside.engines.protocol import Answer, Selection
from bedside.engines.reports import EraseReceipt, VerifyReport, Written
from bedside.errors import CollectionClosedError, EncoderMismatch, InvalidVectorError
from bedside.records import Record, ScopeKey
from bedside.remedies import Call
from bedside.search.options import SearchOptions
from bedside.search.pool import Question
from bedside.support.fork import in_each_process
from bedside.text.analyzer import Analyzer
from bedside.types import Document, Encoder

_T = TypeVar("_T")


class PostgresEngine:
    """A collection in a schema of a PostgreSQL database.

    Args:
        database: Its transactions.
        facts: As they were when it was opened.
        created: Whether opening it created it.
    """

    path: Path | None = None

    def __init__(self, database: Database, facts: Facts, *, created: bool) -> None:
        self._database = database
        self._known = facts
        self._created = created
        self.place = database.place.again
        self._analyzer = Analyzer.of(facts.sparse)
        self._memory = Memory()
        self.closed = False
        in_each_process(self._make_locks)

    def _make_locks(self) -> None:
        self._switching = threading.Lock()

    def __reduce__(self) -> NoReturn:
        """Refuse: connections cannot be copied."""
        raise TypeError("an open collection cannot be copied or pickled: open its URL once more")

    @property
    def facts(self) -> Facts:
        """What holds, as far as the last transaction saw; asked anew until the dimension is decided."""
        if self._known.dimension is None and not self.closed:
            self._read(reading.facts)
        return self._known

    def write(self, batches: Iterable[Batch], remove: Selection | None = None) -> Written:
        """Remove what is selected and put all batches, as one transaction."""
        return self._write(
            lambda connection: writing.write(connection, self._analyzer, batches, remove),
            again=isinstance(batches, Sequence),
        )

    def update(self, selection: Selection, change: Callable[[Document], Record | None]) -> int:
        """Replace the selected records by what ``change`` makes of them, as one transaction."""

        def work(connection: Connection[Any]) -> int:
            writing.lock(connection, selection.scope)
            sid, known = sid_of(selection.scope), reading.facts(connection)
            rows = reading.chosen(connection, sid, selection)
            found = list(reading.documents(connection, sid, rows, known.dimension))
            changed = [new for old in found if (new := change(old)) is not None]
            writing.check(changed)
            if changed:
                known.with_vectors(Batch(changed), decided=True)
            return writing.put(connection, self._analyzer, changed)

        return self._write(work, again=False)

    def read(self, selection: Selection, offset: int, limit: int | None, *, vectors: bool) -> Iterator[Document]:
        """Yield documents as they were at the call: by id in the order asked, else in insertion order."""
        self._check_open()
        documents = self._documents(selection, offset, limit, vectors=vectors)
        next(documents)  # the transaction begins here, and ends when the iterator does or is dropped
        return (document for document in documents if document is not None)

    def _documents(
        self, selection: Selection, offset: int, limit: int | None, *, vectors: bool
    ) -> Iterator[Document | None]:
        """Yield None once the state is chosen, then documents; a short answer keeps no connection meanwhile."""
        stop = None if limit is None else offset + limit
        with self._database.snapshot(reading.state_query(selection.scope)) as cursor:
            connection, scope = cursor.connection, self._of_now(cursor, selection.scope)
            sid = 0 if scope is None else scope.sid
            rows = [] if scope is None else reading.chosen(connection, sid, selection)[offset:stop]
            dimension = self._known.dimension if vectors else None
            found = reading.documents(connection, sid, rows, dimension)
            if len(rows) > reading.PART:
                yield None
                for document in found:
                    self._check_open()
                    yield document
                return
            short = list(found)
        yield None
        for document in short:
            self._check_open()
            yield document

    def count(self, selection: Selection) -> int:
        """Count the selected records."""
        return self._of_scope(selection.scope, 0, lambda c, found: reading.count(c, found.sid, selection))

    def facets(self, selection: Selection, key: str) -> list[tuple[Any, int]]:
        """Count the selected records by the values of a metadata key."""
        return self._of_scope(selection.scope, [], lambda c, found: facets.read(c, found, selection, key))

    def scopes(self) -> Iterator[tuple[ScopeKey, int]]:
        """Yield every scope that holds records, and how many it holds."""
        found = self._read(lambda c: c.execute("select key, n from scope where n > 0").fetchall())
        return ((scope_of(key), n) for key, n in found)

    def search(self, selection: Selection, options: SearchOptions, questions: Sequence[Question]) -> list[Answer]:
        """Rank the selected records for each question, all in one state of the database."""
        ef = self._database.place.approximate

        def work(cursor: Cursor[Any]) -> list[Answer]:
            scope = self._of_now(cursor, selection.scope)
            tokenizer = self._analyzer.tokenizer
            return searching.search(
                cursor.connection,
                self._known,
                scope,
                tokenizer,
                selection,
                options,
                questions,
                approximate=ef,
            )

        self._check_open()
        try:
            return self._database.read_after(reading.state_query(selection.scope), work)
        except (EncoderMismatch, InvalidVectorError):
            with self._switching:  # another thread may be about to hand the asker its new encoder
                raise

    def erase(self, selection: Selection, forget: Callable[[list[str]], None]) -> EraseReceipt:
        """Remove the selected records, then rewrite the tables without them."""
        self._check_open()
        try:
            return upkeep.erase(self._database, selection, forget)
        finally:
            self._memory.forget()

    def compact(self) -> None:
        """Make the indexes that are missing, and give up the room of what was deleted and replaced: VACUUM."""
        self._check_open()
        upkeep.compact(self._database)

    def verify(self) -> VerifyReport:
        """Make fields, postings and counters anew from every record and compare them with what is stored."""
        return self._read(lambda c: upkeep.verify(c, self._database.place, self._known, self._analyzer))

    def reembed(
        self, batches: Callable[[Iterator[Record]], Iterator[Batch]], encoder: Encoder, then: Callable[[], None]
    ) -> None:
        """Put what ``batches`` makes of all records in place of their vectors, as one transaction."""
        with self._switching:
            self._write(
                lambda connection: upkeep.reembed(connection, batches, encoder),
                again=False,
            )
            then()

    def bulk_loading(self) -> BulkLoading:
        """Return what loads this collection in bulk, by the facts of now."""
        return PostgresBulkLoading(self._database, self.facts, self._analyzer)

    def set_alpha(self, alpha: float | None) -> None:
        """Note the weight of the dense half where a search names none."""
        self._write(lambda connection: writing.change_facts(connection, lambda facts: facts.with_alpha(alpha)))

    def set_min_score(self, verb: str, mode: str, min_score: float | None) -> None:
        """Note the least score of an answer of a verb in a mode."""
        self._write(
            lambda connection: writing.change_facts(
                connection, lambda facts: facts.with_min_score(verb, mode, min_score)
            )
        )

    def copy_to(self, write: Callable[[Facts, Iterable[Record], None], None]) -> None:
        """Hand the records of every scope to ``write``, all of one state."""
        self._check_open()
        with self._database.snapshot() as cursor:
            connection = cursor.connection
            known = reading.facts(connection)
            rows = [row for (row,) in connection.execute("select row from doc order by row")]
            found = reading.records(connection, None, rows, known.dimension)
            write(known, (record_of(text, known.scope_keys, vector) for text, vector in found), None)

    @property
    def exact(self) -> bool:
        """Whether every search finds the best rows: approximate search was not asked for, or has no index."""
        return self._database.place.approximate is None or not self._read(nearest.is_there)

    def index(self) -> None:
        """Make the index of approximate search."""
        self._write(lambda connection: nearest.add(connection, reading.facts(connection).dimension))

    def grant(self, scope: ScopeKey, role: str) -> None:
        """Let a login role read a scope."""
        self._write(lambda connection: roles.grant(connection, self._database.place.schema, scope, role))

    def revoke(self, scope: ScopeKey, role: str) -> None:
        """Let a login role no longer read a scope."""
        self._write(lambda connection: roles.revoke(connection, self._database.place.schema, scope, role))

    def undo_creation(self) -> None:
        """Close, and where opening this created the collection and it is still empty, leave nothing of it."""
        if self._created and not self.closed:
            self._database.write(lambda c: upkeep.drop(c, self._database.place.schema, only_empty=True))
        self.close()

    def drop(self) -> None:
        """Close, and drop the schema with all that is in it."""
        self._check_open()
        self._database.write(lambda c: upkeep.drop(c, self._database.place.schema))
        self.close()

    def close(self) -> None:
        """Give the connections back; later calls raise :class:`CollectionClosedError`."""
        if not self.closed:
            self.closed = True
            self._memory.forget()
            self._database.close()

    def _check_open(self) -> None:
        if self.closed:
            raise CollectionClosedError("the collection is closed", remedies=[Call("open", "once more")])

    def _read(self, work: Callable[[Connection[Any]], _T]) -> _T:
        self._check_open()

        def known(connection: Connection[Any]) -> _T:
            self._known = reading.facts(connection)
            return work(connection)

        return self._database.read(known)

    def _of_scope(self, scope: ScopeKey, nothing: _T, work: Callable[[Connection[Any], Statistics], _T]) -> _T:
        def held(cursor: Cursor[Any]) -> _T:
            found = self._of_now(cursor, scope)
            return nothing if found is None else work(cursor.connection, found)

        self._check_open()
        return self._database.read_after(reading.state_query(scope), held)

    def _of_now(self, answered: Cursor[Any], scope: ScopeKey) -> Statistics | None:
        """Take over the facts as they are now, and return what is known of a scope that holds records."""
        self._known, found = reading.state(answered, scope, self._memory)
        return found

    def _write(self, work: Callable[[Connection[Any]], _T], *, again: bool = True) -> _T:
        self._check_open()

        def known(connection: Connection[Any]) -> tuple[_T, Facts]:
            done = work(connection)
            return done, reading.facts(connection)

        done, self._known = self._database.write(known, again=again)
        return done
