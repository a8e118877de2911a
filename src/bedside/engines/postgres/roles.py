"""Row-level security: which login roles may read which scopes, enforced by the server for every query.

The policies ask ``granted()``, which knows by whom the session logged in. No setting of a session takes part: whoever
may run SQL may change those. The owner of the tables, its members and superusers are not bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import Connection, sql

from bedside.engines.postgres import schema
from bedside.engines.postgres.rows import sid_of
from bedside.errors import InvalidInputError
from bedside.records import ScopeKey
from bedside.remedies import Give

if TYPE_CHECKING:
    from typing_extensions import LiteralString

_DDL = """
create table access (role text collate "C" not null, sid bigint not null, primary key (role, sid));
create function granted() returns bigint[] language sql stable security definer begin atomic
    select coalesce(array_agg(sid), '{}') from access join pg_catalog.pg_roles on rolname = role
    where pg_has_role(session_user, pg_roles.oid, 'member');
end;
revoke all on function granted() from public;
"""
_POLICY = """
alter table {0} enable row level security;
create policy granted on {0} for select using (sid = any ((select granted())::bigint[]));
"""
_RIGHTS: tuple[LiteralString, ...] = (
    "usage on schema {0}",
    "select on {0}.about, {0}.scope, {0}.doc, {0}.vec, {0}.post, {0}.facet",
    "execute on function {0}.granted()",
)


def secure(connection: Connection[Any]) -> None:
    """Bind all roles but the owner, in the schema that the connection's search path begins with."""
    connection.execute(_DDL.encode())
    for table in schema.TABLES:
        bind(connection, table)


def bind(connection: Connection[Any], table: str) -> None:
    """Bind all roles but the owner in one of the tables."""
    connection.execute(_POLICY.format(table).encode())


def is_secured(connection: Connection[Any], name: str) -> bool:
    """Say whether row-level security was asked for when the collection in a schema was made."""
    found = connection.execute(
        "select relrowsecurity from pg_class where relname = 'doc' and relnamespace = to_regnamespace(quote_ident(%s))",
        (name,),
    ).fetchone()
    return bool(found and found[0])


def grant(connection: Connection[Any], name: str, scope: ScopeKey, role: str) -> None:
    """Let a role read a scope; ``name`` is the schema.

    Raises:
        InvalidInputError: The collection has no row-level security, or the role is not there or not bound by it.
    """
    _check(connection, name, role)
    connection.execute("insert into access (role, sid) values (%s, %s) on conflict do nothing", (role, sid_of(scope)))
    _change(connection, "grant {} to {}", name, role)


def revoke(connection: Connection[Any], name: str, scope: ScopeKey, role: str) -> None:
    """Let a role no longer read a scope; with the last one, it loses its rights to the tables."""
    _check_secured(connection, name)
    connection.execute("delete from access where role = %s and sid = %s", (role, sid_of(scope)))
    left, known = connection.execute(
        "select exists (select from access where role = %s), exists (select from pg_roles where rolname = %s)",
        (role, role),
    ).fetchone() or (True, False)
    if known and not left:
        _change(connection, "revoke {} from {}", name, role)


def owns(connection: Connection[Any], name: str) -> bool:
    """Say whether the role may do what the owner of a collection may."""
    found = connection.execute(
        "select pg_has_role(relowner, 'usage') from pg_class where relname = 'doc'"
        " and relnamespace = to_regnamespace(quote_ident(%s))",
        (name,),
    ).fetchone()
    return bool(found and found[0])


def gone(connection: Connection[Any], name: str) -> list[str]:
    """Return the roles that were granted something and are no longer there."""
    query = sql.SQL("select distinct role from {} where role not in (select rolname from pg_roles) order by role")
    return [role for (role,) in connection.execute(query.format(sql.Identifier(name, "access")))]


def _change(connection: Connection[Any], statement: LiteralString, name: str, role: str) -> None:
    for right in _RIGHTS:
        rights = sql.SQL(right).format(sql.Identifier(name))
        connection.execute(sql.SQL(statement).format(rights, sql.Identifier(role)))


def _check_secured(connection: Connection[Any], name: str) -> None:
    if not is_secured(connection, name):
        raise InvalidInputError(
            "the collection was created without row-level security: copy it into one that has it",
            remedies=[Give("row_security", True)],
        )


def _check(connection: Connection[Any], name: str, role: str) -> None:
    _check_secured(connection, name)
    found = connection.execute(
        "select rolsuper or rolbypassrls or pg_has_role(rolname, relowner, 'member') from pg_roles, pg_class"
        " where rolname = %s and pg_class.oid = 'doc'::regclass",
        (role,),
    ).fetchone()
    if found is None:
        raise InvalidInputError(f"role: the server has no role {role!r}; create it first: create role … login")
    if found[0]:
        raise InvalidInputError(
            f"role: {role!r} is the owner of the tables, a member of it, or a superuser: row-level security does not "
            "bind it"
        )
