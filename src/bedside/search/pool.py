"""What goes through the ranking: questions, what an engine lets it ask, and the pool of rows that the stages change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bedside.search.rank import Rows, Scores
from bedside.text.assertions import Polarity
from bedside.types import Copy, Document, Encoder, Matrix, Vector

Mask = NDArray[np.bool_]


class Signal(NamedTuple):
    """A named part of the score before the cut: float64 ``values`` for ``rows`` (ascending), zero for every other."""

    rows: Rows
    values: Scores

    def at(self, rows: Rows) -> Scores:
        """Return the value of each of ``rows``."""
        if not len(self.rows):
            return np.zeros(len(rows))
        places = np.minimum(self.rows.searchsorted(rows), len(self.rows) - 1)
        return np.where(self.rows[places] == rows, self.values[places], 0.0)

    def along(self, rows: Rows) -> Scores:
        """Return the value of each of ascending ``rows``: costs what the signal holds, and nothing for its own rows."""
        if rows is self.rows:
            return self.values
        found = np.zeros(len(rows))
        if len(rows):
            places = np.minimum(rows.searchsorted(self.rows), len(rows) - 1)
            held = rows[places] == self.rows
            found[places[held]] = self.values[held]
        return found


class Top(NamedTuple):
    """Rows with their scores, and with their exact cosines where the scores are made of them."""

    rows: Rows
    scores: Scores
    cosines: Scores | None = None

    def take(self, positions: Any) -> Top:
        """Return the rows at ``positions`` (indices, a mask or a slice), in that order."""
        cosines = None if self.cosines is None else self.cosines[positions]
        return Top(self.rows[positions], self.scores[positions], cosines)


class Matches(NamedTuple):
    """The postings that a query met, with what each gives to its row; those of a row stand in query order.

    ``counts`` says how often the row holds the term, and ``negated`` how many of these occurrences are negated.
    """

    terms: Sequence[str]
    which: NDArray[np.intp]
    rows: NDArray[np.int32]
    scores: Scores
    counts: NDArray[Any]
    negated: NDArray[Any]


@dataclass(frozen=True)
class SparseResult:
    """The rows that hold at least one query term, and their BM25 scores.

    Attributes:
        rows: int64 ``[m]``, ascending; each is visible and scores above zero.
        scores: float64 ``[m]``, BM25 in its own units.
        bound: The most any document could score for this query: the sum of its known terms' idf, 0 without
            any. A term is known when a visible row holds it.
        contradicted: int64 ``[c]``, ascending: the visible rows that say the opposite of what is asked (see
            :mod:`bedside.search.assertion`).
        asked: Which terms are asked about, and in which polarity; empty where nobody minds.
        weights: What each known term weighs: its idf times its count in the query.
    """

    rows: Rows
    scores: Scores
    bound: float
    matches: Matches = field(repr=False)
    contradicted: Rows = field(default_factory=lambda: np.zeros(0, np.int64))
    asked: Mapping[str, Polarity] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)

    def of_rows(self, rows: Rows) -> SparseResult:
        """Return the same with row ``i`` named ``rows[i]``; they are ascending, and -1 stays."""
        matched = self.matches.rows
        matches = self.matches._replace(rows=np.where(matched < 0, matched, rows[matched]))
        return replace(self, rows=rows[self.rows], matches=matches, contradicted=rows[self.contradicted])

    def explain(self, row: int) -> dict[str, float]:
        """Give each query term's part of the score of one row.

        Args:
            row: A row number; a row that is not among :attr:`rows` has no parts.

        Returns:
            Term -> part, in the order of the query, only for terms the row holds. The parts sum to the row's
            score within 1e-9.
        """
        terms, which, _, scores, *_ = self.matches
        return {terms[which[i]]: float(scores[i]) for i in self._places(row)}

    def negations(self, row: int) -> dict[str, tuple[int, int]]:
        """Say of each term that is asked about how often a row negates it and holds it, where the row holds it."""
        terms, which, _, _, counts, negated = self.matches
        found = {terms[which[i]]: (int(negated[i]), int(counts[i])) for i in self._places(row)}
        return {term: times for term, times in found.items() if term in self.asked}

    def _places(self, row: int) -> NDArray[np.intp]:
        return np.flatnonzero(self.matches.rows == row)


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        text: What BM25 looks for; ``None`` where only a vector is given.
        vector: float32 ``[d]``; ``None`` in a sparse search.
        sparse: Its BM25 over the visible rows; the engine fills it in.
        asserted: The same where rows that contradict the text are to rank lower, also in a dense search, which takes
            nothing else from it; the engine fills it in.
        encoder: The encoder that the asker goes by; an engine whose vectors another one made refuses it.
        tokenize: Cuts texts into the terms that BM25 counts; the engine fills it in.
    """

    text: str | None
    vector: Vector | None
    sparse: SparseResult | None = None
    asserted: SparseResult | None = None
    encoder: Encoder | None = None
    tokenize: Callable[[str], list[str]] | None = None


class Candidates(Protocol):
    """The rows that one search may be answered with, in one consistent state of the engine."""

    @property
    def has_vectors(self) -> bool:
        """False in a collection of texts without vectors."""
        ...

    @property
    def exact(self) -> bool:
        """Whether :meth:`top` misses no row."""
        ...

    def allows(self, rows: Rows) -> Mask:
        """Say which of ``rows`` are among the candidates."""
        ...

    def top(self, vectors: Matrix, k: int, weight: float, signals: Sequence[Signal]) -> list[Top]:
        """Return for each vector ``[q, d]`` the ``k`` best rows by ``weight * cosine + signal``, best first."""
        ...

    def cosines(self, vector: Vector, rows: Rows) -> Scores:
        """Return the exact cosine of each of ``rows``."""
        ...

    def vectors(self, rows: Rows) -> Matrix:
        """Return the unit vectors of ``rows``, float32 ``[m, d]``."""
        ...

    def groups(self, rows: Rows) -> NDArray[np.int64]:
        """Return the number of the group that each of ``rows`` belongs to, by the search's ``group_by``."""
        ...

    def without(self, groups: NDArray[np.int64]) -> Candidates:
        """Return the candidates that are in none of ``groups``."""
        ...

    def dates(self, key: str) -> tuple[Rows, NDArray[np.int64]]:
        """Return the candidates that have a date at a key, ascending, and when it begins, as filters read it.

        Args:
            key: One of the search's ``date_keys``.
        """
        ...

    def latest(self) -> tuple[Candidates, Candidates]:
        """Return the candidates that are the newest of their value of the search's ``latest_by``, and all others."""
        ...

    def documents(self, rows: Sequence[int]) -> list[Document]:
        """Read rows, in the order given."""
        ...


class Seen(NamedTuple):
    """What a hit stands for beside itself, and the first and last date of it all, as metadata has them."""

    copies: tuple[Copy, ...] = ()
    first: str | None = None
    last: str | None = None


ALONE = Seen()


@dataclass(frozen=True)
class Pool:
    """The rows that answer a question, best first.

    Attributes:
        rows: The engine's handles, int64 ``[m]``.
        scores: float64 ``[m]``.
        parts: What the scores are the sums of, by name, each float64 ``[m]``; within 1e-9.
        candidates: What can be asked about the rows.
        places: Of a rank fusion: the rank of each row in either half, from 1, and 0 where it is in none.
        copies: By row, what it stands for, where copies are shown as one.
        cosines: The exact cosine of each row, float64 ``[m]``, where the ranking needed them all.
    """

    rows: Rows
    scores: Scores
    parts: Mapping[str, Scores]
    candidates: Candidates
    places: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    copies: Mapping[int, Seen] = field(default_factory=dict)
    cosines: Scores | None = None

    def take(self, positions: Any) -> Pool:
        """Return the pool of the rows at ``positions`` (indices, a mask or a slice), in that order."""
        parts = {name: part[positions] for name, part in self.parts.items()}
        places = {name: place[positions] for name, place in self.places.items()}
        cosines = None if self.cosines is None else self.cosines[positions]
        rows, scores = self.rows[positions], self.scores[positions]
        return replace(self, rows=rows, scores=scores, parts=parts, places=places, cosines=cosines)

    def plus(self, name: str, values: Scores) -> Pool:
        """Return the pool with one more part in its scores, in the order of the new scores."""
        more = replace(self, scores=self.scores + values, parts={**self.parts, name: values})
        return more.take(np.lexsort((self.rows, -more.scores)))

    def then(self, other: Pool) -> Pool:
        """Return the pool with the rows of another one behind its own."""
        rows = np.concatenate([self.rows, other.rows])
        scores = np.concatenate([self.scores, other.scores])
        parts, places = self._both(other, "parts"), self._both(other, "places")
        return Pool(rows, scores, parts, self.candidates, places)

    def _both(self, other: Pool, of: str) -> dict[str, NDArray[Any]]:
        """Return the parts or places of both, zero where one lacks them."""
        mine, others = getattr(self, of), getattr(other, of)
        none = np.zeros(len(self.rows)), np.zeros(len(other.rows))
        names = dict.fromkeys([*mine, *others])
        return {name: np.concatenate([mine.get(name, none[0]), others.get(name, none[1])]) for name in names}
