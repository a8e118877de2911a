"""Newer before older: the part of the score that fades with age, and the orders that go by date.

A record's date is the beginning of what its metadata has under the search's ``date_key``; what has no date there gains
nothing and comes last. ``latest_by`` is decided before the cut, so that the newest record of a value is found however
many older ones match as well; ``newest_first`` orders the page that was found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from bedside.filters.dates import UTC, span
from bedside.filters.validity import moment
from bedside.search.options import SearchOptions
from bedside.search.pool import Candidates, Mask, Pool, Question, Signal

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
