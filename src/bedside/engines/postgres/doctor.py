"""What a server and a collection on it are like, what is wrong, and what to do: read only, nothing of records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any

from psycopg import Connection, sql

from bedside.engines.facts import Facts
from bedside.engines.postgres import facets, roles, schema
from bedside.engines.postgres.connection import is_pooled
from bedside.engines.reports import Check
from bedside.errors import FormatVersionError, NotACollectionError

_OLDEST = 150_000
_ITERATIVE = (0, 8)
"""The release of pgvector whose index scans go on until enough rows are found."""
_STANDBYS = "select count(*) from pg_stat_replication where sync_state in ('sync', 'quorum')"
_LOCAL = "select coalesce(inet_client_addr() <<= '127.0.0.0/8' or inet_client_addr() = '::1', true)"
_CROWDED = 0.8
"""Of the server's connections in use."""


def examine(connection: Connection[Any], name: str, read: Callable[[], Facts]) -> Iterator[Check]:
    """Yield what there is to say of server, role, and the collection in a schema, whose facts ``read`` gives."""
    yield from _server(connection)
    yield from _settings(connection)
    yield from _role(connection, name)
    yield from _collection(connection, name, read)


def _one(connection: Connection[Any], query: str, *values: Any) -> Any:
    found = connection.execute(query.encode(), values).fetchone()
    return found[0] if found else None


def _server(connection: Connection[Any]) -> Iterator[Check]:
    number, version = connection.info.server_version, _setting(connection, "server_version")
    if number >= _OLDEST:
        yield Check("server", "ok", f"PostgreSQL {version}")
    else:
        yield Check("server", "wrong", f"PostgreSQL {version}", "upgrade it: 15 is the oldest that is supported")
    encoding = _setting(connection, "server_encoding")
    if encoding == "UTF8":
        yield Check("encoding", "ok", encoding)
    else:
        yield Check("encoding", "wrong", encoding, "make the database anew: create database … encoding 'UTF8'")
    yield _extension(connection)
    if _one(connection, "select pg_is_in_recovery()"):
        yield Check("standby", "ok", "a standby: it answers, and takes no writes")
    elif standbys := _one(connection, _STANDBYS):
        yield Check("standby", "ok", f"{standbys} synchronous standbys")
    else:
        do = "without one, a lost disk loses what the last backup lacks"
        yield Check("standby", "note", "no synchronous standby", do)
    yield from _pooler(connection)
    yield _encryption(connection)


def _extension(connection: Connection[Any]) -> Check:
    version = _one(connection, "select extversion from pg_extension where extname = 'vector'")
    if version is None:
        available = _one(connection, "select default_version from pg_available_extensions where name = 'vector'")
        do = "have it created: create extension vector" if available else "have pgvector installed on the server"
        return Check("pgvector", "wrong", "not in this database", do)
    if tuple(map(int, version.split(".")[:2])) < _ITERATIVE:
        return Check("pgvector", "note", version, "0.8 or newer is needed for approximate search")
    return Check("pgvector", "ok", version)


def _encryption(connection: Connection[Any]) -> Check:
    encrypted = _one(connection, "select ssl from pg_stat_ssl where pid = pg_backend_pid()")
    local = _one(connection, _LOCAL)
    safe = bool(encrypted or local)
    if is_pooled(connection):  # the server knows one half of the way
        safe = safe and (connection.pgconn.ssl_in_use or _is_here(connection.info.hostaddr))
    if safe:
        return Check("connection", "ok", "encrypted" if encrypted else "on this machine")
    return Check("connection", "wrong", "notes cross the network in the clear", "add sslmode=verify-full to the URL")


def _is_here(address: str) -> bool:
    """Say whether an address is of this machine; a socket of the file system has none."""
    return not address or ip_address(address).is_loopback


def _pooler(connection: Connection[Any]) -> Iterator[Check]:
    if is_pooled(connection):
        do = "erase needs a URL that leads past it; in transaction mode everything else works"
        yield Check("pooler", "note", "one stands before the server", do)


def _setting(connection: Connection[Any], name: str) -> str:
    return str(_one(connection, "select current_setting(%s)", name))


_DURABLE = {
    "fsync": ("on", "an acknowledged note can be lost, or the database damaged, when the machine stops: set it on"),
    "full_page_writes": ("on", "the database can be damaged when the machine stops: set it on"),
    "autovacuum": ("on", "what is deleted stays in the files, and searches get slower: set it on"),
}
_WISE = {
    "data_checksums": ("on", "damage on the disk goes unseen: pg_checksums --enable, with the server stopped"),
    "log_statement": ("none", "the server's log may hold notes' texts: set it to none"),
    "log_min_duration_statement": ("-1", "the log holds what slow statements ask for: set log_parameter_max_length=0"),
}


def _settings(connection: Connection[Any]) -> Iterator[Check]:
    for name, (right, do) in (_DURABLE | _WISE).items():
        found = _setting(connection, name)
        if found == right:
            yield Check(name, "ok", found)
        else:
            yield Check(name, "wrong" if name in _DURABLE else "note", found, do)
    commit = _setting(connection, "synchronous_commit")
    if commit in ("off", "local"):
        lost = "with the server" if commit == "off" else "with the primary"
        yield Check("synchronous_commit", "wrong", commit, f"an acknowledged note can be lost {lost}: set it on")
    else:
        yield Check("synchronous_commit", "ok", commit)
    used, most = _one(connection, "select count(*) from pg_stat_activity"), int(_setting(connection, "max_connections"))
    crowded = used > _CROWDED * most
    advice = "raise max_connections, or put a pooler in transaction mode before it" if crowded else ""
    yield Check("connections", "note" if crowded else "ok", f"{used} of {most}", advice)


def _role(connection: Connection[Any], name: str) -> Iterator[Check]:
    who, above = connection.execute(
        "select current_user::text, rolsuper or rolbypassrls from pg_roles where rolname = current_user"
    ).fetchone() or ("", False)
    if above:
        do = "use one that is not a superuser: nothing on the server binds this one"
        yield Check("role", "note", f"{who} is a superuser, or passes by row-level security", do)
    else:
        yield Check("role", "ok", who)
    if schema.exists(connection, name) is None:
        may = _one(connection, "select has_database_privilege(current_database(), 'create')")
        do = "" if may else f"have it granted: grant create on database … to {who}"
        yield Check("creating", "ok" if may else "wrong", "it may" if may else "it may not create collections", do)


def _collection(connection: Connection[Any], name: str, read: Callable[[], Facts]) -> Iterator[Check]:
    there = schema.exists(connection, name)
    if not there:
        found = "none of this name" if there is None else "the schema holds other tables"
        do = "bedside init makes one" if there is None else "give another collection= in the URL"
        yield Check("collection", "note" if there is None else "wrong", found, do)
        return
    if not _one(connection, "select has_schema_privilege(%s, 'usage')", name):
        yield Check("collection", "wrong", "the role may not use it", "have its owner grant it: bedside grant")
        return
    format_ = _format(read)
    yield format_
    if format_.state == "ok":
        yield _facets(connection, name)
    sizes = schema.sizes(connection, name)
    yield Check("size", "ok", ", ".join(f"{what.replace('_', ' ')} {size:,}" for what, size in sizes.items()))
    if missing := schema.missing_indexes(connection, name):
        do = "searches are slow without: bedside compact makes them, as does the end of a bulk load that is running"
        yield Check("indexes", "wrong", f"missing or not valid: {', '.join(missing)}", do)
    else:
        yield Check("indexes", "ok", "all there")
    yield from _security(connection, name)


def _format(read: Callable[[], Facts]) -> Check:
    try:
        known = read()
    except (NotACollectionError, FormatVersionError) as error:
        return Check("collection", "wrong", str(error), "open it with the release that made it")
    return Check("collection", "ok", f"format {schema.FORMAT}, scope keys {list(known.scope_keys)}")


def _facets(connection: Connection[Any], name: str) -> Check:
    query = sql.SQL("select count(*), count(*) filter (where counted is null) from {} where n >= %s")
    table = sql.Identifier(name, "scope")
    large, not_counted = connection.execute(query.format(table), (facets.LARGE,)).fetchone() or (0, 0)
    if not_counted:
        do = "their facets are slow: bedside compact counts them, as does the end of a bulk load that is running"
        return Check("facets", "note", f"no counts of {not_counted} of {large} large scopes", do)
    return Check("facets", "ok", f"counts of {large} large scopes")


def _security(connection: Connection[Any], name: str) -> Iterator[Check]:
    if not roles.is_secured(connection, name):
        do = "whoever has the role of the URL reads every scope; bedside init --row-security makes one that binds roles"
        yield Check("row security", "note", "none", do)
        return
    yield Check("row security", "ok", "on: roles other than the owner read what they are granted")
    if roles.owns(connection, name):
        gone = roles.gone(connection, name)
        do = "a new role of this name would have them: bedside revoke" if gone else ""
        found = f"dropped: {', '.join(gone)}" if gone else "all there"
        yield Check("granted roles", "note" if gone else "ok", found, do)
