"""Bringing the tables of an earlier release up to this one's format, step by step.

It happens when somebody opens the collection who may write to it and owns its tables, in one transaction: whoever reads
meanwhile waits, and a step that fails leaves everything as it was. What an earlier release still has open can read
afterwards, and is refused by the server where it would write what this one no longer understands, or leave behind what
this one keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from psycopg import Connection, sql

from bedside.engines.postgres import facets, roles, schema, writing
from bedside.engines.postgres.arrays import Int8s
from bedside.filters.dates import begins
from bedside.filters.validity import ALWAYS, FOREVER, VALID_FROM, VALID_TO


def bring_up(connection: Connection[Any], name: str) -> None:
    """Do the steps that lead from the collection's format to this one; ``name`` is the schema."""
    connection.execute("select pg_advisory_xact_lock(%s)", (schema.lock_number(name),))
    writing.lock_all(connection)
    ((found,),) = connection.execute("select format from about").fetchall()
    for number in range(found + 1, schema.FORMAT + 1):
        _STEPS[number](connection)
        connection.execute("update about set format = %s", (number,))
    schema.add_indexes(connection, name)


def _bounds(connection: Connection[Any]) -> None:
    """Keep when each record is valid, and another state of a scope for each change."""
    connection.execute(
        f"alter table doc add starts bigint not null default {ALWAYS}, add ends bigint not null default {FOREVER};"
        "alter table doc alter starts drop default, alter ends drop default,"
        " alter starts set statistics 0, alter ends set statistics 0;"
        "alter table scope add state uuid not null default gen_random_uuid()".encode()
    )
    for column, key in (("starts", VALID_FROM), ("ends", VALID_TO)):
        is_text = f"jsonb_typeof(fields -> '{key}') = 'string'"
        texts = connection.execute(f"select distinct fields ->> '{key}' from doc where {is_text}".encode())  # noqa: S608 - constants
        read = {text: at for (text,) in texts if (at := begins(text)) is not None}
        connection.execute(
            f"update doc set {column} = at from unnest(%s::text[], %s) as read(text, at)"  # noqa: S608 - constants
            f" where {is_text} and fields ->> '{key}' = text".encode(),
            (list(read), Int8s(np.array(list(read.values()), np.int64))),
        )


def _facets(connection: Connection[Any]) -> None:
    """Keep counts of facets, in a table that belongs to whom and is open to whom the records are."""
    connection.execute(schema.FACETS.encode())
    ((is_secured, owner),) = connection.execute(
        "select relrowsecurity, pg_get_userbyid(relowner) from pg_class where oid = 'doc'::regclass"
    ).fetchall()
    granted = connection.execute(
        "select privilege_type, rolname from pg_class, aclexplode(relacl) left join pg_roles on pg_roles.oid = grantee"
        " where pg_class.oid = 'doc'::regclass and grantee <> relowner"
    ).fetchall()
    if is_secured:
        roles.bind(connection, "facet")
    for right, role in granted:
        whom = sql.SQL("public") if role is None else sql.Identifier(role)
        connection.execute(sql.SQL("grant {} on facet to {}").format(sql.SQL(right), whom))
    connection.execute(sql.SQL("alter table facet owner to {}").format(sql.Identifier(owner)))
    for sid in facets.large(connection):
        facets.count_anew(connection, sid)


_STEPS: Mapping[int, Callable[[Connection[Any]], None]] = {2: _bounds, 3: _facets}
"""By the format that each leads to."""
