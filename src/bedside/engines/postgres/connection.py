"""Connections and transactions: one counted pool for each URL and process, retries, and errors in our own words.

A message of the server may quote a value, so ours carry its code alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import psycopg
from psycopg import Connection, Cursor
from psycopg.abc import Query
from psycopg.sql import SQL, Composable, Composed
from psycopg_pool import ConnectionPool, PoolTimeout

from bedside.engines.postgres import arrays, schema
from bedside.engines.postgres.url import Place
from bedside.errors import (
    BedsideError,
    DatabaseError,
    InvalidInputError,
    LockTimeoutError,
    ReadOnlyError,
    WriteFailedError,
)
from bedside.remedies import Give
from bedside.support.fork import fork_barrier, in_each_process

_MOST = 16
"""Connections of one process to one database; a server allows 100 to all by default."""
_IDLE = 60.0
_ATTEMPTS = 5
_LONGEST_WAIT = 2**31 - 1
_NOTHING = SQL("select")
_LOST = ("08", "57P01", "57P02", "57P03")
_REPEATED = ("40001", "40P01", "23505")
"""Not serialisable, a deadlock, and an id that a bulk load has just committed: such a load locks its scopes last."""
_FULL = ("53", "54")
_T = TypeVar("_T")


class SharedPool:
    """The connections of a process to one database, opened when they are needed."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self.users = 0
        self._left: list[Any] = []
        self._pool: ConnectionPool | None = None
        in_each_process(self._start_anew)

    def _start_anew(self) -> None:
        """Begin without connections; those of the parent are kept untouched: closing them here would end them there."""
        self._left.append(self._pool)
        self._pool = None
        self._lock = threading.Lock()

    @contextmanager
    def connection(self, first: Query = "") -> Iterator[Cursor[Any]]:
        """Lend a connection by the cursor that a first statement was done with; it goes back when the block ends.

        The first statement finds out whether the server is still there, so nothing is asked for that alone.
        """
        pool = self._opened()
        cursor = _begun(pool, first)
        try:
            yield cursor
        finally:
            pool.putconn(cursor.connection)

    def _opened(self) -> ConnectionPool:
        with self._lock:
            if self._pool is None:
                self._pool = ConnectionPool(
                    self._conninfo,
                    min_size=0,
                    max_size=_MOST,
                    max_idle=_IDLE,
                    kwargs={"autocommit": True, "prepare_threshold": None},
                    configure=arrays.register,
                    open=True,
                )
            return self._pool

    def close(self) -> None:
        """Close what is open; a later use opens anew."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()


def _begun(pool: ConnectionPool, first: Query) -> Cursor[Any]:
    """Take a connection that has done a statement; those that a server which went away left behind are replaced."""
    for _ in range(_MOST):
        try:
            return _taken(pool, first)
        except psycopg.Error as error:
            if not _is_lost(error):
                raise
    return _taken(pool, first)


def _taken(pool: ConnectionPool, first: Query) -> Cursor[Any]:
    connection = pool.getconn()
    try:
        cursor = connection.execute(first)
        while cursor.nextset():  # of several statements, the answer to the last one counts
            pass
    except BaseException:
        _end(connection, "rollback")
        pool.putconn(connection)  # which throws a broken one away
        raise
    return cursor


_pools: dict[str, SharedPool] = {}
_pools_lock = fork_barrier()


def shared_pool(conninfo: str) -> SharedPool:
    """Return the process' pool of a database, counted: give it back with :func:`give_back`."""
    with _pools_lock:
        pool = _pools.setdefault(conninfo, SharedPool(conninfo))
        pool.users += 1
    return pool


def pool_in_use(conninfo: str) -> SharedPool | None:
    """Return the process' pool of a database, counted, where somebody has it; else ``None``."""
    with _pools_lock:
        pool = _pools.get(conninfo)
        if pool is None or not pool.users:
            return None
        pool.users += 1
    return pool


def give_back(pool: SharedPool) -> None:
    """Close a pool when its last user is gone."""
    with _pools_lock:
        pool.users -= 1
        last = not pool.users
    if last:
        pool.close()


class Database:
    """Transactions on one collection.

    Args:
        place: Where it is.
        extension: The schema that pgvector is in.
        read_only: Refuse to write.
        lock_timeout: Seconds to wait for a lock.
    """

    def __init__(self, place: Place, extension: str, *, read_only: bool, lock_timeout: float) -> None:
        self.place = place
        self.lock_timeout = lock_timeout
        self._read_only = read_only
        path = schema.path_statement(place.schema, extension)
        # One trip to the server each.
        self._begin_reading = SQL("begin isolation level repeatable read read only; {}").format(path)
        self._begin_writing = SQL("begin isolation level read committed read write; {}; {}").format(
            path, lock_timeout_statement(lock_timeout)
        )
        self.pool = shared_pool(place.conninfo)

    def read(self, work: Callable[[Connection[Any]], _T]) -> _T:
        """Return what ``work`` makes of one state of the database."""
        return self.read_after(_NOTHING, lambda cursor: work(cursor.connection))

    def read_after(self, first: Composable, work: Callable[[Cursor[Any]], _T]) -> _T:
        """Return what ``work`` makes of one state of the database, and of what the first question in it is answered.

        A transaction is begun and asked in one trip to the server, which takes no values apart from the statement.
        """
        return self._repeated(lambda: self._reading(first, work), again=True)

    def write(self, work: Callable[[Connection[Any]], _T], *, again: bool = True) -> _T:
        """Return what ``work`` did, committed.

        Args:
            work: Reads and writes; what it raises takes everything back.
            again: Whether it may be called once more where the server took it back: it consumes nothing.

        Raises:
            ReadOnlyError: The collection is open for reading, or the server is a replica.
            LockTimeoutError: Another writer held a lock for too long.
            DatabaseError: The server cannot be reached, or was lost while it committed.
            WriteFailedError: The server's disk refused.
        """
        if self._read_only:
            raise ReadOnlyError(f"{self.place.name} is open for reading only", remedies=[Give("read_only", False)])
        return self._repeated(lambda: self._writing(work), again=again)

    @contextmanager
    def snapshot(self, first: Composable = _NOTHING) -> Iterator[Cursor[Any]]:
        """Lend a connection that sees one state until the block ends, by the cursor of a first question."""
        with self._own_errors(), self._state(first) as cursor:
            yield cursor

    @contextmanager
    def _state(self, first: Composable) -> Iterator[Cursor[Any]]:
        with self.pool.connection(SQL("; ").join([self._begin_reading, first])) as cursor:
            try:
                yield cursor
            finally:
                _end(cursor.connection, "rollback")

    @contextmanager
    def alone(self) -> Iterator[Connection[Any]]:
        """Lend a connection outside of any transaction, for what may not be in one.

        Through a pooler, which may send each statement to another session, it waits for locks without end: a setting
        would be some other client's.
        """
        if self._read_only:
            raise ReadOnlyError(f"{self.place.name} is open for reading only", remedies=[Give("read_only", False)])
        with self._own_errors(), self.pool.connection() as cursor:
            connection = cursor.connection
            if is_pooled(connection):
                yield connection
                return
            connection.execute(f"set lock_timeout = {_milliseconds(self.lock_timeout)}".encode())
            try:
                yield connection
            finally:
                _end(connection, "reset lock_timeout")

    def check_not_pooled(self, verb: str) -> None:
        """Refuse what depends on its session outside of transactions.

        Raises:
            InvalidInputError: A pooler stands before the server.
        """
        with self._own_errors(), self.pool.connection() as cursor:
            pooled = is_pooled(cursor.connection)
        if pooled:
            raise InvalidInputError(
                f"{verb}: {self.place.name} is reached through a pooler, and this works outside of transactions: give "
                "a URL that leads past it"
            )

    def close(self) -> None:
        """Give back the pool."""
        give_back(self.pool)

    def _reading(self, first: Composable, work: Callable[[Cursor[Any]], _T]) -> _T:
        with self._state(first) as cursor:
            return work(cursor)

    def _writing(self, work: Callable[[Connection[Any]], _T]) -> _T:
        with self.pool.connection(self._begin_writing) as cursor:
            connection = cursor.connection
            try:
                done = work(connection)
            except BaseException:
                _end(connection, "rollback")
                raise
            try:
                connection.execute("commit")
            except psycopg.Error as error:
                if _is_lost(error):
                    raise DatabaseError(
                        f"{self.place.name}: the connection was lost during the commit: whether it was written is "
                        "unknown. Write it again: the same ids replace what may be there"
                    ) from None
                _end(connection, "rollback")
                raise
            return done

    def _repeated(self, attempt: Callable[[], _T], *, again: bool) -> _T:
        """Try again where the server took everything back, or was lost before it was told to commit."""
        with self._own_errors():
            for _ in range(_ATTEMPTS - 1 if again else 0):
                try:
                    return attempt()
                except psycopg.Error as error:
                    if not (error.sqlstate in _REPEATED or _is_lost(error)):
                        raise
            return attempt()

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise_ours(error, self.place)


def lock_timeout_statement(seconds: float) -> Composed:
    """Return the statement by which a transaction waits for each lock so long at most."""
    return SQL("set local lock_timeout = {}").format(_milliseconds(seconds))


def _milliseconds(seconds: float) -> int:
    """Return a limit as the server takes it, where 0 is none."""
    return int(min(max(seconds * 1000, 1), _LONGEST_WAIT))


def is_pooled(connection: Connection[Any]) -> bool:
    """Say whether a pooler, such as PgBouncer, stands before the server: it gives out session numbers of its own."""
    found = connection.execute("select pg_backend_pid()").fetchone()
    return found != (connection.info.backend_pid,)


def raise_ours(error: psycopg.Error, place: Place) -> NoReturn:
    """Raise the error of this library that says what the server's says, without what it quotes."""
    raise _ours(error, place.name, error.sqlstate or "") from None


def _ours(error: psycopg.Error, where: str, code: str) -> BedsideError:
    kind = type(error).__name__
    if isinstance(error, PoolTimeout):
        return DatabaseError(f"{where}: no connection within the time allowed: the server is down, or all are in use")
    if code == "55P03":
        return LockTimeoutError(f"{where}: another writer held a lock for longer than lock_timeout")
    if code == "57014":
        return DatabaseError(f"{where}: the server stopped a statement that took longer than its statement_timeout")
    if code == "25006":
        return ReadOnlyError(f"{where}: the server takes no writes: it is a replica, or the role may only read")
    if code in ("42501", "42P01"):  # the tables of a schema that the role may not use are not there for it
        return DatabaseError(f"{where}: the role lacks a right that this needs, or a table is gone ({code})")
    if code.startswith(_FULL):
        return WriteFailedError(f"{where}: the server refused the write ({code} {kind}); nothing was changed")
    if code in _REPEATED:
        return DatabaseError(f"{where}: other writers were in the way each time ({code} {kind}); nothing was changed")
    if _is_lost(error):
        return DatabaseError(f"{where}: the connection was lost; nothing was changed")
    return DatabaseError(f"{where}: the server answered {code} {kind}")


def _is_lost(error: psycopg.Error) -> bool:
    if isinstance(error, PoolTimeout):
        return False
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate.startswith(_LOST)


def _end(connection: Connection[Any], statement: str) -> None:
    """End a transaction where there is still a connection to end it on."""
    if not connection.closed:
        try:
            connection.execute(statement.encode())
        except psycopg.Error:
            connection.close()  # what brought us here is raised, and the pool replaces the connection
