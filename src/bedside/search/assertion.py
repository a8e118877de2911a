"""Rows that deny what a question asks for, or assert what it wants absent: how they are told and where they rank.

A row is contradicted where at least :data:`SHARE` of what the question asks about, by each term's idf times its count
in the question, stands in the row in the wrong polarity only: every occurrence negated where the finding should be
present, none where it should be absent. Its score loses the length of the scale, so that it comes after what matches
about as well and is not contradicted. In a sparse search nothing is left of it, and what scores nothing is a hit only
where every row does.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bedside.search.options import SearchOptions
from bedside.search.pool import Candidates, Matches, Pool, Question, Signal
from bedside.search.rank import Scores, added_up
from bedside.text.assertions import Polarity

SHARE = 0.9
"""Of the weight that must be contradicted: of two words both, of many all but the lightest."""

_LOSS = -1.0
_OUT = -3.0  # below every score without it, so that what will be left out takes no other row's place


def contradicted(matches: Matches, weights: Scores, asked: Mapping[str, Polarity], n: int) -> NDArray[np.bool_]:
    """Say which rows contradict a question: bool ``[n]``.

    Args:
        matches: The postings that the question met.
        weights: What each of its terms weighs: 0 where no visible row holds it.
        asked: Which terms it asks about, and how (:func:`bedside.text.assertions.asked_polarity`).
        n: How many rows there are.
    """
    if not asked:
        return np.zeros(n, np.bool_)
    wrong = matches.counts
    if "absent" in asked.values():
        absent = np.array([asked.get(term) == "absent" for term in matches.terms], np.bool_)
        wrong = np.where(absent[matches.which], 0, wrong)
    against = np.flatnonzero(matches.negated == wrong)  # few: to pick by a mask takes several times as long
    if not len(against):
        return np.zeros(n, np.bool_)
    weights = np.where([term in asked for term in matches.terms], weights, 0.0)
    lost = np.bincount(matches.rows[against], weights[matches.which[against]], minlength=n)
    return (lost > 0) & (lost >= SHARE * added_up(weights))


def demotion(options: SearchOptions, question: Question, candidates: Candidates) -> Signal | None:
    """Return what contradicted rows lose."""
    if question.asserted is None or not len(question.asserted.contradicted):
        return None
    rows = question.asserted.contradicted
    rows = rows[candidates.allows(rows)]
    return Signal(rows, np.full(len(rows), _OUT if options.assertion == "only" else _LOSS))


def left_out(options: SearchOptions, question: Question, pool: Pool) -> Pool:
    """Leave contradicted rows out of the pool, where only others are wanted."""
    if options.assertion != "only" or question.asserted is None:
        return pool
    return pool.take(~np.isin(pool.rows, question.asserted.contradicted))
