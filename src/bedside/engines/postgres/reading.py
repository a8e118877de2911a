"""What is read of a collection, each function within a transaction that is given to it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from psycopg import Connection, Cursor
from psycopg.sql import SQL, Composed

from bedside.engines.facts import Facts
from bedside.engines.postgres import schema, validity
from bedside.engines.postgres.arrays import Int8s, none_of, vectors_of
from bedside.engines.postgres.bm25 import Statistics
from bedside.engines.postgres.memory import Memory, Remembered
from bedside.engines.postgres.rows import document_of, in_parts, scope_to_json, sid_of
from bedside.engines.postgres.sql import Clause, all_of, match, resolved, storable
from bedside.engines.protocol import Selection
from bedside.errors import DatabaseError
from bedside.records import ScopeKey
from bedside.search.bm25 import Corpus
from bedside.search.rank import Rows
from bedside.types import Document, Vector

PART = 256
"""Records read at once."""
_T = TypeVar("_T")
_NO_FACTS = "the table `about` is empty: this is not a whole collection"


def facts(connection: Connection[Any]) -> Facts:
    """Read the facts."""
    found = connection.execute("select facts from about").fetchone()
    if found is None:
        raise DatabaseError(_NO_FACTS)
    return schema.facts_of(found[0])


def state_query(scope: ScopeKey) -> Composed:
    """Return the question for the facts and for what is known of a scope, with its values in it.

    The scope itself is compared, and not its number alone, so that two of one number never see one another's records.
    """
    query = SQL("select facts, n, tokens, state from about left join scope on sid = {} and key = {} and n > 0")
    return query.format(sid_of(scope), scope_to_json(scope))


def state(answered: Cursor[Any], scope: ScopeKey, memory: Memory) -> tuple[Facts, Statistics | None]:
    """Return the facts, and what BM25 knows of a scope, or ``None`` where it holds nothing.

    Args:
        answered: To :func:`state_query`.
        scope: The scope.
        memory: What is remembered of scopes.
    """
    found = answered.fetchone()
    if found is None:
        raise DatabaseError(_NO_FACTS)
    text, n, tokens, now = found
    known = schema.facts_of(text)
    if n is None:
        return known, None
    corpus = Corpus(n, tokens, known.sparse["k1"], known.sparse["b"])
    return known, Statistics(sid_of(scope), corpus, memory.of(sid_of(scope), now))


def selected(connection: Connection[Any], sid: int, selection: Selection) -> Clause:
    """Return the condition on the rows of ``doc`` that a selection is."""
    clauses = [Clause("sid = %s", (sid,))]
    if selection.node is not None:
        clauses.append(match(resolved(selection.node, lambda path: _strings(connection, sid, path))))
    if selection.as_of is not None:
        clauses.append(none_of(validity.read(connection, sid).left_out(selection.as_of).rows))
    if selection.ids is not None:
        clauses.append(Clause("id = any(%s)", ([id for id in selection.ids if storable(id)],)))
    return all_of(clauses)


def _strings(connection: Connection[Any], sid: int, path: str) -> list[str]:
    """Return the distinct strings at a path, in lists too."""
    if not storable(path):
        return []
    found = connection.execute(
        "select distinct e #>> '{}' from (select fields -> %s::text as f from doc where sid = %s and fields ? %s::text)"
        " as at, lateral (select f as e union all select x from jsonb_array_elements("
        "case jsonb_typeof(f) when 'array' then f else '[]' end) as x) as each where jsonb_typeof(e) = 'string'",
        (path, sid, path),
    )
    return [text for (text,) in found]


def rows_of(connection: Connection[Any], sid: int, selection: Selection) -> Rows:
    """Return the selected rows, ascending."""
    where = selected(connection, sid, selection)
    found = connection.cursor(binary=True).execute(
        f"select coalesce(array_agg(row order by row), '{{}}') from doc where {where.sql}".encode(),  # noqa: S608 - every value is bound
        where.values,
    )
    (rows,) = found.fetchone() or (np.zeros(0, np.int64),)
    return np.asarray(rows, np.int64)


def chosen(connection: Connection[Any], sid: int, selection: Selection) -> list[int]:
    """Return the selected rows: by id in the order asked, else in insertion order."""
    if selection.ids is None:
        rows: list[int] = rows_of(connection, sid, selection).tolist()
        return rows
    where = selected(connection, sid, selection)
    found = connection.execute(f"select id, row from doc where {where.sql}".encode(), where.values)  # noqa: S608 - every value is bound
    by_id = dict(found.fetchall())
    return [by_id[id] for id in selection.ids if id in by_id]


def records(
    connection: Connection[Any], sid: int | None, rows: Sequence[int], dimension: int | None
) -> Iterator[tuple[str, Vector | None]]:
    """Yield each row's record as JSON and, with a dimension, its vector as it was given."""
    for part in in_parts(rows, PART):
        wanted = Int8s(np.array(part, np.int64))
        scoped = (
            Clause("row = any(%s)", (wanted,)) if sid is None else Clause("sid = %s and row = any(%s)", (sid, wanted))
        )
        cursor = connection.cursor(binary=True)
        cursor.execute(f"select row, record from doc where {scoped.sql}".encode(), scoped.values)  # noqa: S608 - as above
        found = dict(cursor.fetchall())
        vectors: dict[int, Vector] = {}
        if dimension:
            cursor.execute(
                f"select row, vector_send(v), raw from vec where {scoped.sql}".encode(),  # noqa: S608 - as above
                scoped.values,
            )
            sent = cursor.fetchall()
            given = vectors_of([each for _, each, _ in sent], dimension)
            for (row, _, raw), vector in zip(sent, given, strict=True):
                vectors[row] = vector.copy() if raw is None else np.frombuffer(raw, "<f4").astype(np.float32)
        for row in part:
            yield found[row], vectors.get(row)


def documents(connection: Connection[Any], sid: int, rows: Sequence[int], dimension: int | None) -> Iterator[Document]:
    """Yield documents, with their vectors where a dimension is given."""
    return (document_of(record, vector) for record, vector in records(connection, sid, rows, dimension))


def count(connection: Connection[Any], sid: int, selection: Selection) -> int:
    """Count the selected records."""
    where = selected(connection, sid, selection)
    found = connection.execute(f"select count(*) from doc where {where.sql}".encode(), where.values).fetchone()  # noqa: S608 - every value is bound
    return int(found[0]) if found else 0


def once(remembered: Remembered, what: Hashable, selection: Selection, read: Callable[[], _T]) -> _T:
    """Return what ``read`` reads of what a filter selects, once for each state; what is asked for by id is read anew.

    The filter is known by a hash of its text: 1, 1.0 and True are equal, and not the same filter.
    """
    if selection.ids is not None or selection.as_of is not None:
        return read()
    node = repr(selection.node).encode(errors="backslashreplace")
    return remembered.of((what, hashlib.blake2b(node, digest_size=16).digest()), read)
