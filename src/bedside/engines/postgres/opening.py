"""Opening a collection on a server: finding it, or making it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bedside.engines.facts import Facts
from bedside.engines.postgres import arrays, migrations, roles, schema, writing
from bedside.engines.postgres.connection import (
    Database,
    give_back,
    lock_timeout_statement,
    pool_in_use,
    raise_ours,
)
from bedside.engines.postgres.doctor import examine
from bedside.engines.postgres.engine import PostgresEngine
from bedside.engines.postgres.url import Place, parse
from bedside.engines.reports import Check
from bedside.errors import BedsideError, DatabaseError, FormatVersionError, InvalidInputError, NotACollectionError
from bedside.records import Record
from bedside.text.analyzer import Analyzer
from bedside.text.tokenizer import ClinicalTokenizer

_SECONDS = 10
"""To reach the server, where the URL has no ``connect_timeout``."""


def opened(
    url: str, facts: Callable[[], Facts], *, read_only: bool, lock_timeout: float, row_security: bool
) -> PostgresEngine:
    """Open the collection that a URL names; see :func:`bedside.engines.postgres.open_engine`."""
    place = parse(url)
    with _connected(place) as connection:
        try:
            extension = _extension(connection, place, read_only=read_only)
            created = _found_or_made(
                connection, place, facts, extension, read_only=read_only, row_security=row_security
            )
            if not (created or read_only):
                _bring_up(connection, place, extension, lock_timeout)
            known = _read(connection, place, extension)
            if row_security and not roles.is_secured(connection, place.schema):
                raise InvalidInputError(f"row_security: {place.name} was created without it; copy it into a new one")
        except psycopg.Error as error:
            raise_ours(error, place)
    database = Database(place, extension, read_only=read_only, lock_timeout=lock_timeout)
    try:
        return PostgresEngine(database, known, created=created)
    except BaseException:
        database.close()
        raise


def held(url: str) -> bool:
    """Say whether a URL names a collection."""
    place = parse(url)
    with _looking(place) as connection:
        return bool(schema.exists(connection, place.schema))


def facts_at(url: str) -> Facts:
    """Read the facts of the collection that a URL names."""
    place = parse(url)
    with _looking(place) as connection:
        _check_there(connection, place)
        return _read(connection, place, _extension(connection, place, read_only=True))


def sizes_at(url: str) -> dict[str, int]:
    """Return the bytes of the tables and of the indexes of the collection that a URL names."""
    place = parse(url)
    with _looking(place) as connection:
        _check_there(connection, place)
        return schema.sizes(connection, place.schema)


def listed(url: str) -> list[str]:
    """Return the names of the collections in the database that a URL names, those that the role may use."""
    with _looking(parse(url)) as connection:
        return schema.listed(connection)


def examined(url: str) -> list[Check]:
    """Return what there is to say of the server and the collection that a URL names."""
    place = parse(url)
    with _looking(place) as connection:
        return list(examine(connection, place.schema, lambda: _read(connection, place, "public")))


@contextmanager
def _looking(place: Place) -> Iterator[Connection[Any]]:
    """Lend a connection for a look: one of the pool where a collection of this database is open."""
    pool = pool_in_use(place.conninfo)
    try:
        if pool is None:
            with _connected(place) as connection:
                yield connection
        else:
            with pool.connection() as cursor:
                yield cursor.connection
    except psycopg.Error as error:
        raise_ours(error, place)
    finally:
        if pool is not None:
            give_back(pool)


def _check_there(connection: Connection[Any], place: Place) -> None:
    if not schema.exists(connection, place.schema):
        raise NotACollectionError(f"{place.name}: there is no collection")


def _connected(place: Place) -> Connection[Any]:
    known = conninfo_to_dict(place.conninfo)
    try:
        conninfo = make_conninfo(place.conninfo, connect_timeout=known.get("connect_timeout") or _SECONDS)
        connection = psycopg.connect(conninfo, autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        reason = place.hidden(str(error)).strip().replace("\n", "; ")
        raise DatabaseError(f"{place.name}: {reason}") from None
    arrays.register(connection)
    return connection


def _extension(connection: Connection[Any], place: Place, *, read_only: bool) -> str:
    """Return the schema that pgvector is in, creating the extension where the role may."""
    query = "select nspname from pg_extension join pg_namespace n on n.oid = extnamespace where extname = 'vector'"
    found = connection.execute(query).fetchone()
    if found is None and not read_only:
        try:
            connection.execute("create extension if not exists vector")
        except psycopg.Error as error:
            if error.sqlstate != "23505":  # another process has just created it
                raise _without_extension(place) from None
        found = connection.execute(query).fetchone()
    if found is None:
        raise _without_extension(place)
    return str(found[0])


def _without_extension(place: Place) -> BedsideError:
    return DatabaseError(
        f"{place.name}: the database lacks the extension pgvector; have an administrator install it on the server and "
        "run: create extension vector"
    )


def _found_or_made(
    connection: Connection[Any],
    place: Place,
    facts: Callable[[], Facts],
    extension: str,
    *,
    read_only: bool,
    row_security: bool,
) -> bool:
    """Make the collection where there is none; returns whether it did. Several processes take turns."""
    if schema.exists(connection, place.schema):
        return False
    if read_only:
        raise NotACollectionError(f"{place.name}: there is no collection, and read_only creates none")
    with connection.transaction():
        if _locked(connection, place):
            return False
        known = facts()
        _make(connection, place, extension, known, ClinicalTokenizer.from_settings(known.sparse["tokenizer"]))
        schema.add_indexes(connection, place.schema)
        if row_security:
            roles.secure(connection)
    return True


def filled(url: str, facts: Facts, records: Iterable[Record]) -> None:
    """Make a collection of records; see :func:`bedside.engines.postgres.write_new`."""
    place = parse(url)
    analyzer = Analyzer.of(facts.sparse)
    with _connected(place) as connection:
        try:
            extension = _extension(connection, place, read_only=False)
            with connection.transaction():
                if _locked(connection, place):
                    raise NotACollectionError(f"{place.name} already holds a collection; a copy needs a new place")
                _make(connection, place, extension, facts, analyzer.tokenizer)
                writing.fill(connection, analyzer, records)
                schema.add_indexes(connection, place.schema)
        except psycopg.Error as error:
            raise_ours(error, place)


def _locked(connection: Connection[Any], place: Place) -> bool:
    """Say whether there is a collection, and let nobody else make one until the transaction ends."""
    connection.execute("select pg_advisory_xact_lock(%s)", (schema.lock_number(place.schema),))
    there = schema.exists(connection, place.schema)
    if there is False:
        raise NotACollectionError(f"{place.name}: the schema holds tables that are not those of a collection")
    return bool(there)


def _make(
    connection: Connection[Any], place: Place, extension: str, facts: Facts, tokenizer: ClinicalTokenizer
) -> None:
    """Make the schema and its tables."""
    connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(place.schema)))
    connection.execute(schema.path_statement(place.schema, extension))
    schema.create(connection, facts, schema.terms_of(tokenizer))


def _bring_up(connection: Connection[Any], place: Place, extension: str, lock_timeout: float) -> None:
    """Bring the tables of an earlier release up to this one's format, where the role may."""
    with connection.transaction():
        connection.execute(schema.path_statement(place.schema, extension))
        found = connection.execute("select format from about").fetchone()
        if found is not None and found[0] < schema.FORMAT and roles.owns(connection, place.schema):
            connection.execute(lock_timeout_statement(lock_timeout))
            migrations.bring_up(connection, place.schema)


def _read(connection: Connection[Any], place: Place, extension: str) -> Facts:
    with connection.transaction():
        connection.execute(schema.path_statement(place.schema, extension))
        found = connection.execute("select format, terms, facts from about").fetchone()
    if found is None:
        raise NotACollectionError(f"{place.name}: the table `about` is empty")
    number, terms, text = found
    if number != schema.FORMAT:
        said = f"{place.name} has format {number}; this release reads format {schema.FORMAT}"
        brought_up = ", and brings it up to it when the owner of its tables opens it to write"
        raise FormatVersionError(said + (brought_up if number < schema.FORMAT else ""))
    known = schema.facts_of(text)
    mine = schema.terms_of(ClinicalTokenizer.from_settings(known.sparse["tokenizer"]))
    if terms != mine:
        raise FormatVersionError(
            f"{place.name}: its terms were made by a tokenizer of [{terms}], and this is [{mine}]: words would not be "
            "found. Use the same releases, or copy it with those into a new collection"
        )
    return known
