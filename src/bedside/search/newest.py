"""Newer before older: the part of the score that fades with age, and the orders that go by date.

A record's date is the beginning of what its metadata has under the search's ``date_key``; what has no date there gains
nothing and comes last. ``latest_by`` is decided before the cut, so that the newest record of a value is found however
many older ones match as well; ``newest_first`` orders the page that was found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from bedside.filters.dates import UTC, begins, span
from bedside.filters.rules import fields
from bedside.filters.validity import moment
from bedside.search.options import SearchOptions
from bedside.search.pool import Candidates, Mask, Pool, Question, Signal
from bedside.types import Document

NEVER = np.iinfo(np.int64).min
"""Stands for the date of what has none."""
Rank = Callable[[SearchOptions, Question, Candidates], Pool]


def recency(options: SearchOptions, _: Question, candidates: Candidates) -> Signal | None:
    """Return what the candidates gain by being new: all of ``weight`` now, or at the moment that is asked about."""
    fading = options.fading
    if fading is None:
        return None
    rows, when = candidates.dates(fading.key or options.date_key)
    asked = datetime.now(UTC) if options.as_of is None else moment(options.as_of)
    ages = np.maximum(span(asked)[0] - when, 0) / (fading.life / timedelta(microseconds=1))
    return Signal(rows, fading.weight * np.exp2(-ages))


def latest_of_each(numbers: NDArray[np.int64], when: NDArray[np.int64]) -> Mask:
    """Say which rows are the newest of their number; of several with one date, all are.

    Args:
        numbers: int64 ``[m]``, of each row's value.
        when: int64 ``[m]``, its date; :data:`NEVER` for a row without one, which is the newest of nothing.
    """
    _, groups = np.unique(numbers, return_inverse=True)
    newest = np.full(int(groups.max(initial=-1)) + 1, NEVER)
    np.maximum.at(newest, groups, when)
    return np.asarray((when == newest[groups]) & (when != NEVER))


def latest_first(options: SearchOptions, question: Question, candidates: Candidates, rank: Rank) -> Pool:
    """Rank the newest record of each value of ``latest_by``, then all others."""
    latest, others = candidates.latest()
    first = rank(options, question, latest)
    if options.group_by is not None:
        others = others.without(candidates.groups(first.rows))
    both = first.then(rank(options, question, others)).take(slice(options.pool))
    return replace(both, candidates=candidates)


def newest_first(options: SearchOptions, _: Question, pool: Pool) -> Pool:
    """Order what was found by its dates; of one date, and without one, it stays in the order of the ranking."""
    if not options.newest_first or not len(pool.rows):
        return pool
    rows, when = pool.candidates.dates(options.date_key)
    known = dict(zip(rows.tolist(), when.tolist(), strict=True))
    undated = np.array([row not in known for row in pool.rows.tolist()], np.bool_)
    newer = np.array([-known.get(row, 0) for row in pool.rows.tolist()], np.int64)
    return pool.take(np.lexsort((newer, undated)))  # a stable sort


def unranked(options: SearchOptions, documents: Sequence[Document]) -> list[Document]:
    """Return what no question ranks as the options want it: the newest first, and the first of each group alone."""
    metadata = [fields(document.metadata) for document in documents]
    begun = [begins(each.get(options.date_key)) for each in metadata]
    order = list(range(len(documents)))
    if options.newest_first:
        order.sort(key=lambda i: (begun[i] is None, -(begun[i] or 0)))
    if options.latest_by is not None:
        values = [_value(each, options.latest_by) for each in metadata]
        newest: dict[Any, int] = {}
        for value, at in zip(values, begun, strict=True):
            if at is not None:
                newest[value] = max(newest.get(value, at), at)
        order.sort(key=lambda i: values[i] is None or begun[i] is None or newest[values[i]] != begun[i])
    if options.group_by is not None:
        firsts: dict[bytes | int, int] = {}
        for i in order:
            firsts.setdefault(_value(metadata[i], options.group_by) or i, i)
        order = list(firsts.values())
    return [documents[i] for i in order]


def _value(metadata: Mapping[str, Any], key: str) -> bytes | None:
    """Return what is equal for equal values of a key; ``None`` where there is none."""
    return orjson.dumps(metadata[key], option=orjson.OPT_SORT_KEYS) if key in metadata else None
