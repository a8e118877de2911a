"""What is read of a collection, each function within a transaction that is given to it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from psycopg import Connection

from bedside.engines.facts import Facts
from bedside.engines.postgres import nearest, schema, validity
from bedside.engines.postgres.arrays import Int8s, none_of, vectors_of
from bedside.engines.postgres.bm25 import Grouped, Statistics, score
from bedside.engines.postgres.candidates import Dated, ServerCandidates, dates_of, newest_of
from bedside.engines.postgres.groups import Groups, groups_of, texts_as_one
from bedside.engines.postgres.memory import Memory, Remembered
from bedside.engines.postgres.rows import document_of, in_parts, scalar, scope_to_json, sid_of
from bedside.engines.postgres.sql import Clause, all_of, match, resolved, storable
from bedside.engines.protocol import Answer, Selection
from bedside.errors import DatabaseError, InvalidInputError, InvalidVectorError
from bedside.filters.rules import frequent_first
from bedside.filters.tree import Node
from bedside.records import ScopeKey
from bedside.remedies import Call, Give
from bedside.search.bm25 import Corpus
from bedside.search.options import SearchOptions
from bedside.search.pool import Question
from bedside.search.rank import Rows
from bedside.search.stages import answer
from bedside.text.assertions import asked_polarity
from bedside.text.tokenizer import ClinicalTokenizer
from bedside.types import Document, Vector

PART = 256
"""Records read at once."""
_NO_FACTS = "the table `about` is empty: this is not a whole collection"


def facts(connection: Connection[Any]) -> Facts:
    """Read the facts."""
    found = connection.execute("select facts from about").fetchone()
    if found is None:
        raise DatabaseError(_NO_FACTS)
    return schema.facts_of(found[0])


def state(connection: Connection[Any], scope: ScopeKey, memory: Memory) -> tuple[Facts, Statistics | None]:
    """Return the facts, and what BM25 knows of a scope, or ``None`` where it holds nothing; in one trip to the server.

    The scope itself is compared, and not its number alone, so that two of one number never see one another's records.
    """
    sid = sid_of(scope)
    found = connection.execute(
        "select facts, n, tokens, state from about left join scope on sid = %s and key = %s and n > 0",
        (sid, scope_to_json(scope)),
    ).fetchone()
    if found is None:
        raise DatabaseError(_NO_FACTS)
    text, n, tokens, now = found
    known = schema.facts_of(text)
    if n is None:
        return known, None
    corpus = Corpus(n, tokens, known.sparse["k1"], known.sparse["b"])
    return known, Statistics(sid, corpus, memory.of(sid, now))


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


def facets(
    connection: Connection[Any], remembered: Remembered, selection: Selection, key: str
) -> list[tuple[Any, int]]:
    """Count the selected records by each scalar at a path, itself or in a list; counted once for each state."""
    if not storable(key):
        return []

    def read() -> list[tuple[Any, int]]:
        return _counted(connection, selected(connection, remembered.sid, selection), key)

    if selection.ids is not None or selection.as_of is not None:
        return read()
    return list(remembered.of(("facets", key, _hashed(selection.node)), read))


def _counted(connection: Connection[Any], where: Clause, key: str) -> list[tuple[Any, int]]:
    found = connection.execute(
        # Counted by whole values first: there are fewer of them than records.
        "select e::text, sum(n)::bigint from"  # noqa: S608 - every value is bound
        f" (select fields -> %s::text as f, count(*) as n from doc where {where.sql} group by f) as at,"
        " lateral (select f as e union select x from jsonb_array_elements("
        "case jsonb_typeof(f) when 'array' then f else '[]' end) as x) as each"
        " where jsonb_typeof(e) not in ('array', 'object') group by e".encode(),
        (key, *where.values),
    )
    counted = [(scalar(text), number) for text, number in found]
    return sorted(counted, key=frequent_first)


def search(
    connection: Connection[Any],
    known: Facts,
    found: Statistics | None,
    tokenizer: ClinicalTokenizer,
    selection: Selection,
    options: SearchOptions,
    questions: Sequence[Question],
    *,
    approximate: int | None = None,
) -> list[Answer]:
    """Rank the selected records of a scope for each question, and read what the answers are made of."""
    for question in questions:
        known.check_encoder(question.encoder)
        _check_vector(question, known.dimension)
    corpus = found or Statistics(sid_of(selection.scope), Corpus(0, 0, known.sparse["k1"], known.sparse["b"]))
    empty = np.zeros(0, np.int64)
    left_out = empty
    remembered = corpus.remembered
    if found is not None and selection.as_of is not None:
        valid = remembered.of("validity", lambda: validity.read(connection, corpus.sid))
        left_out, tokens = valid.left_out(selection.as_of)
        selection = replace(selection, as_of=None)
        corpus = corpus.without(left_out, tokens) if len(left_out) else corpus
    narrowed = selection != Selection(selection.scope)
    allowed = empty if found is None else _allowed(connection, remembered, selection) if narrowed else None
    groups = grouped = None
    if options.group_by is not None:
        groups = _groups(connection, remembered, options.group_by, options.as_one or "")
        if options.as_one is not None:
            grouped = texts_as_one(groups).without(corpus.left_out)
    times = {key: _times(connection, remembered, key) for key in options.date_keys}
    plain = allowed is None and not len(left_out) and groups is None and not times and corpus.corpus.n > nearest.LARGE
    ef = approximate if plain and approximate and nearest.is_there(connection) else None
    candidates = ServerCandidates(connection, corpus.sid, known.dimension, allowed, groups, left_out, ef, times=times)
    if options.latest_by is not None:
        valued = _groups(connection, remembered, options.latest_by)
        candidates = replace(candidates, newest=newest_of(valued, times[options.date_key], candidates))
    asked = [_scored(connection, corpus, tokenizer, options, grouped, question, allowed) for question in questions]
    answers = [Answer(question, pool) for question, pool in answer(options, asked, candidates)]
    for each in answers:
        candidates.keep(each.pool.rows)
    return answers


def _allowed(connection: Connection[Any], remembered: Remembered, selection: Selection) -> Rows:
    """Return the selected rows, ascending; what a filter leaves is remembered, and of the filter a hash."""

    def read() -> Rows:
        return rows_of(connection, remembered.sid, selection)

    return read() if selection.ids is not None else remembered.of(("rows", _hashed(selection.node)), read)


def _groups(connection: Connection[Any], remembered: Remembered, key: str, as_one: str = "") -> Groups:
    def read() -> Groups:
        return groups_of(connection, remembered.sid, _stored(key), _stored(as_one))

    return remembered.of(("groups", key, as_one), read)


def _times(connection: Connection[Any], remembered: Remembered, key: str) -> Dated:
    return remembered.of(("dates", key), lambda: dates_of(connection, remembered.sid, _stored(key)))


def _hashed(node: Node | None) -> bytes:
    """Return a hash of a filter: of its text, as 1, 1.0 and True are equal and not the same filter."""
    return hashlib.blake2b(repr(node).encode(errors="backslashreplace"), digest_size=16).digest()


def _stored(key: str) -> str:
    """Return a key that the server can be asked for; none is empty."""
    return key if storable(key) else ""


def _scored(
    connection: Connection[Any],
    corpus: Statistics,
    tokenizer: ClinicalTokenizer,
    options: SearchOptions,
    grouped: Grouped | None,
    question: Question,
    allowed: Rows | None,
) -> Question:
    """Return the question with its BM25, where the search has a sparse half or goes by what texts assert."""
    if question.text is None:
        return question
    is_dense = options.halves == "dense"
    asked = {} if options.assertion == "any" else asked_polarity(question.text, tokenizer)
    if is_dense and not asked:
        return question
    found = score(connection, corpus, tokenizer.tokenize(question.text), grouped, asked, allowed)
    asserted, tokenize = found if asked else None, tokenizer.tokenize
    return replace(question, sparse=None if is_dense else found, asserted=asserted, tokenize=tokenize)


def _check_vector(question: Question, dimension: int | None) -> None:
    if question.vector is None:
        return
    if len(question.vector) != (dimension or len(question.vector)):
        raise InvalidVectorError(f"vector: expected dimension {dimension}, got {len(question.vector)}")
    if dimension == 0:
        raise InvalidInputError(
            "search: the collection holds texts without vectors, which only BM25 finds",
            remedies=[Give("mode", "sparse"), Call("reembed", "to make the vectors")],
        )
