"""Searches of a scope, within a transaction that is given to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from psycopg import Connection

from bedside.engines.facts import Facts
from bedside.engines.postgres import nearest, reading, validity
from bedside.engines.postgres.bm25 import Grouped, Statistics, score
from bedside.engines.postgres.candidates import Dated, ServerCandidates, dates_of, newest_of
from bedside.engines.postgres.groups import Groups, groups_of, texts_as_one
from bedside.engines.postgres.memory import Remembered
from bedside.engines.postgres.rows import sid_of
from bedside.engines.postgres.sql import storable
from bedside.engines.protocol import Answer, Selection
from bedside.search.bm25 import Corpus
from bedside.search.options import SearchOptions
from bedside.search.pool import Question
from bedside.search.rank import Rows
from bedside.search.stages import answer
from bedside.text.assertions import asked_polarity
from bedside.text.tokenizer import ClinicalTokenizer

_NO_ROWS: Rows = np.zeros(0, np.int64)
_MOST = 0.75
"""Of a scope's rows: where a filter leaves more, the server is sent those that it leaves out (.7 and not 1.5 s for
900,000 of a million)."""
_LARGE = 10_000
"""Rows beyond which that pays: below, all that a filter leaves are quickly sent."""


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
        known.check_question(question.vector)
    empty = Statistics(sid_of(selection.scope), Corpus(0, 0, known.sparse["k1"], known.sparse["b"]))
    corpus, allowed, left_out = (
        (empty, _NO_ROWS, _NO_ROWS) if found is None else _narrowed(connection, found, selection)
    )
    remembered = corpus.remembered
    groups = grouped = None
    if options.group_by is not None:
        groups = _groups(connection, remembered, options.group_by, options.as_one or "")
        if options.as_one is not None:
            grouped = texts_as_one(groups).without(corpus.left_out)
    times = {key: _times(connection, remembered, key) for key in options.date_keys}
    plain = selection == Selection(selection.scope) and groups is None and not times and corpus.corpus.n > nearest.LARGE
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


def _narrowed(
    connection: Connection[Any], found: Statistics, selection: Selection
) -> tuple[Statistics, Rows | None, Rows]:
    """Return what BM25 knows of the records that count, the rows that filter and ids leave, and those left out.

    Of a filter that leaves nearly all, the server is told what it leaves out.
    """
    corpus, left_out, remembered = found, _NO_ROWS, found.remembered
    if selection.as_of is not None:
        valid = remembered.of("validity", lambda: validity.read(connection, found.sid))
        left_out, tokens = valid.left_out(selection.as_of)
        selection = replace(selection, as_of=None)
        corpus = found.without(left_out, tokens) if len(left_out) else found
    if selection == Selection(selection.scope):
        return corpus, None, left_out
    allowed = reading.once(remembered, "rows", selection, lambda: reading.rows_of(connection, found.sid, selection))
    if len(allowed) == found.corpus.n:
        return corpus, None, left_out
    if len(allowed) > _MOST * found.corpus.n > _LARGE:
        every = remembered.of("every", lambda: reading.rows_of(connection, found.sid, Selection(selection.scope)))
        return corpus, None, np.union1d(left_out, np.setdiff1d(every, allowed, assume_unique=True))
    return corpus, allowed, left_out


def _groups(connection: Connection[Any], remembered: Remembered, key: str, as_one: str = "") -> Groups:
    def read() -> Groups:
        return groups_of(connection, remembered.sid, _stored(key), _stored(as_one))

    return remembered.of(("groups", key, as_one), read)


def _times(connection: Connection[Any], remembered: Remembered, key: str) -> Dated:
    return remembered.of(("dates", key), lambda: dates_of(connection, remembered.sid, _stored(key)))


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
