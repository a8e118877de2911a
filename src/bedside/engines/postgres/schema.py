"""The tables of a collection, in a schema of their own.

``doc`` holds the records: ``record`` is their JSON, from which they come back exactly; ``fields`` the flat metadata
that filters read; ``starts`` and ``ends`` when they are valid, by Python's calendar, which no server has. Vectors stand
apart: beside the record a scan took 414 ms and not 57 (100,000 of 384 dimensions). ``post`` holds the postings of BM25
under a hash of scope and term, so that nothing is shared between scopes: how often a record of ``dl`` terms holds the
term (``tf``), and how many of these occurrences are ``negated``. ``loaded`` is the ledger of what was loaded in bulk:
hashes of files and counts. Whatever changes a scope's records gives its ``state`` another value: who remembers
something of them sees whether it still holds. ``facet`` holds how many records of large scopes have each value of a key
(:mod:`bedside.engines.postgres.facets`). The server keeps no statistics of what records hold: they would outlive
an erasure.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

import orjson
from psycopg import Connection, sql

from bedside.engines.facts import Facts, known_facts
from bedside.filters.validity import ALWAYS, FOREVER
from bedside.text.assertions import RULES_VERSION
from bedside.text.tokenizer import ClinicalTokenizer

FORMAT = 3
"""What the tables are like; :mod:`bedside.engines.postgres.migrations` brings older ones up to it."""
TABLES = ("doc", "vec", "post", "scope", "facet")
"""Those that hold something of records."""
_FIRST = ("about", "doc", "vec", "post", "scope")
"""Those that collections of every format have."""
FACETS = """
alter table scope add counted uuid check (counted = state);
create table facet (sid bigint not null, path text collate "C" not null, value jsonb not null, n bigint not null,
    primary key (sid, path, value)) with (fillfactor = 70);
alter table facet alter path set statistics 0, alter value set statistics 0;
"""
_DDL = (
    """
create sequence line;
create table about (one boolean primary key default true check (one), format int not null, terms text not null,
    facts text not null);
create table scope (sid bigint primary key, key text not null, n bigint not null default 0,
    tokens bigint not null default 0, state uuid not null default gen_random_uuid());
create table doc (row bigint not null, sid bigint not null, id text collate "C" not null, dl int not null,
    starts bigint not null, ends bigint not null, fields jsonb not null, record text not null,
    primary key (sid, row), unique (sid, id));
create table vec (row bigint not null, sid bigint not null, v vector not null, raw bytea, primary key (sid, row));
alter table vec alter v set storage main;
alter table doc alter id set statistics 0, alter starts set statistics 0, alter ends set statistics 0,
    alter fields set statistics 0, alter record set statistics 0;
alter table vec alter v set statistics 0, alter raw set statistics 0;
alter table scope alter key set statistics 0;
create table post (key bigint not null, row bigint not null, sid bigint not null, tf int not null, dl int not null,
    negated int not null);
create table loaded (shard text primary key, first bigint not null, documents bigint,
    refused bigint not null default 0);
"""
    + FACETS
)
IS_DATED = f"(starts > {ALWAYS} or ends < {FOREVER})"
NAMES_OTHERS = "fields ? 'supersedes'"
_INDEXES = {
    "doc_fields": "doc using gin (fields jsonb_path_ops) with (fastupdate = off)",
    "doc_row": "doc (row)",
    "doc_dated": f"doc (sid, row) include (starts, ends, dl) where {IS_DATED}",
    "doc_versions": f"doc (sid) where {NAMES_OTHERS}",
    "vec_row": "vec (row)",
    "post_key": "post (key, row) include (sid, tf, dl, negated)",
    "post_row": "post (row)",
}
"""Those that are quicker to build from all rows than row by row; the others are keys."""


def create(connection: Connection[Any], facts: Facts, terms: str) -> None:
    """Make the tables, without their indexes, in the schema that the connection's search path begins with."""
    connection.execute(_DDL.encode())
    connection.execute(
        "insert into about (format, terms, facts) values (%s, %s, %s)", (FORMAT, terms, facts_to_json(facts))
    )


def add_indexes(connection: Connection[Any], schema: str) -> None:
    """Make the indexes that are missing or were not finished; where all are there, no writer is waited for."""
    for name in missing_indexes(connection, schema):
        connection.execute(f"drop index if exists {name}".encode())
        connection.execute(f"create index {name} on {_INDEXES[name]}".encode())


def drop_indexes(connection: Connection[Any]) -> None:
    """Drop what :func:`add_indexes` makes, where the role may."""
    owned = connection.execute(
        "select relname from pg_class where relname = any(%s) and relnamespace = current_schema()::regnamespace"
        " and pg_has_role(relowner, 'usage')",
        (list(_INDEXES),),
    ).fetchall()
    for (name,) in owned:
        connection.execute(sql.SQL("drop index {}").format(sql.Identifier(name)))


def exists(connection: Connection[Any], schema: str) -> bool | None:
    """Say whether a schema holds a collection; ``None`` where it holds nothing at all."""
    found = connection.execute(
        "select relname from pg_class where relnamespace = to_regnamespace(quote_ident(%s)) and relkind in ('r', 'p')",
        (schema,),
    ).fetchall()
    return None if not found else set(_FIRST) <= {name for (name,) in found}


def listed(connection: Connection[Any]) -> list[str]:
    """Return the names of the schemas that hold a collection and that the role may use."""
    found = connection.execute(
        "select nspname from pg_namespace n where has_schema_privilege(oid, 'usage') and %s = (select count(*) from"
        " pg_class where relnamespace = n.oid and relkind in ('r', 'p') and relname = any(%s))",
        (len(_FIRST), list(_FIRST)),
    )
    return [name for (name,) in found]


def sizes(connection: Connection[Any], schema: str) -> dict[str, int]:
    """Return the bytes of a collection's tables and of their indexes."""
    found = connection.execute(
        "select sum(pg_table_size(oid)), sum(pg_indexes_size(oid)) from pg_class where relkind in ('r', 'p') and"
        " relname = any(%s) and relnamespace = to_regnamespace(quote_ident(%s))",
        (list(TABLES), schema),
    ).fetchone()
    return dict(zip(("table_bytes", "index_bytes"), map(int, found or ()), strict=True))


def missing_indexes(connection: Connection[Any], schema: str) -> list[str]:
    """Return the names of the indexes that are not there, or were not finished."""
    found = connection.execute(
        "select relname from pg_class join pg_index on indexrelid = oid where indisvalid"
        " and relnamespace = to_regnamespace(quote_ident(%s))",
        (schema,),
    )
    there = {name for (name,) in found}
    return [name for name in _INDEXES if name not in there]


def path_statement(schema: str, extension: str) -> sql.Composed:
    """Return the statement that makes the collection's tables and the extension's operators the ones that are meant."""
    return sql.SQL("set local search_path = {}, {}").format(sql.Identifier(schema), sql.Identifier(extension))


def lock_number(schema: str) -> int:
    """Return the number of the advisory lock that the makers of a collection take turns by."""
    return int.from_bytes(hashlib.blake2b(schema.encode(), digest_size=8).digest(), "big", signed=True)


def terms_of(tokenizer: ClinicalTokenizer) -> str:
    """Return what decides the postings: another release of the stemmer or of the rules may make others."""
    return f"{tokenizer.fingerprint}; assertions {RULES_VERSION}"


def facts_to_json(facts: Facts) -> str:
    """Return facts as ``about`` holds them."""
    return orjson.dumps(asdict(facts)).decode()


def facts_of(text: str) -> Facts:
    """Return the facts that ``about`` holds."""
    return Facts(**known_facts(orjson.loads(text)))
