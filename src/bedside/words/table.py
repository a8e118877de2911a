"""Words and their rows: looked up, compared, and their neighbours found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from bedside.encoders.pooling import unit
from bedside.encoders.texts import checked_texts
from bedside.errors import InvalidInputError, InvalidVectorError
from bedside.text.fold import fold
from bedside.types import Matrix, Vector
from bedside.words.nearest import DISTANCES, Best, Metric, Table, best_rows, check_metric, measure

_JOINT = re.compile("[-/‐‑–]")


class Neighbour(NamedTuple):
    """A word near another, and how near: a similarity, or a distance with a metric that is one."""

    word: str
    score: float


class Similarity(float):
    """A number that also says whether both words are known; 0.0 where one is not.

    Example:
        >>> Similarity(0.5, known=True).known
        True
    """

    known: bool

    def __new__(cls, value: float, *, known: bool) -> Similarity:
        """Make one."""
        made = super().__new__(cls, value)
        made.known = known
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return _similarity, (float(self), self.known)

    def __repr__(self) -> str:
        return f"Similarity({float(self)!r}, known={self.known})"


def _check_k(k: object) -> None:
    if not isinstance(k, Integral) or k < 1:
        raise InvalidInputError(f"k={k!r}: expected a whole number, at least 1")


def _similarity(value: float, known: bool) -> Similarity:
    return Similarity(value, known=known)


class WordTable:
    """Words, each once, and the rows of a table; what can be asked of them without any text."""

    words: Sequence[str]
    table: Table
    _rows_of: Mapping[str, int] | None = None

    @property
    def rows_of(self) -> Mapping[str, int]:
        """The row of each word, as it is written."""
        if self._rows_of is None:  # no cached_property: before Python 3.12 it has a lock, which a fork may leave held
            self._rows_of = dict(zip(self.words, range(len(self.words)), strict=True))
        return self._rows_of

    @property
    def vectors(self) -> Matrix:
        """float32 ``[n, d]``, as in the source: not normalised."""
        return self.table.rows

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    def __len__(self) -> int:
        """The number of words."""
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and bool(self._find(word))

    def row(self, word: str) -> int:
        """The row of a word as it is written."""
        return self.rows_of[word]

    def exact(self, word: str) -> Vector:
        """The vector of a word as it is written, without the other ways of looking it up; zeros where unknown."""
        row = self.rows_of.get(word)
        return np.zeros(self.dimension, np.float32) if row is None else self.vectors[row]

    def vector(self, word: str) -> Vector:
        """The vector of a word: float32 ``[d]``; zeros for an unknown one, as in wink. ``word in vectors`` tells."""
        rows = self._find(word)
        return self.vectors[list(rows)].mean(axis=0) if rows else np.zeros(self.dimension, np.float32)

    def similarity(
        self, a: str | Vector | Sequence[float], b: str | Vector | Sequence[float], metric: Metric = "cosine"
    ) -> Similarity:
        """Compare two words, or vectors such as those of two texts.

        Args:
            a: A word, or ``[d]`` numbers.
            b: Another.
            metric: ``"cosine"`` in [-1, 1], ``"dot"``, or the distances ``"euclidean"`` and ``"manhattan"``.

        Returns:
            A float with the attribute ``known``; 0.0 with ``known=False`` where a word is unknown or a vector zero, as
            that of a text without a known word is; never NaN.

        Raises:
            InvalidVectorError: Neither a word nor a vector of the words' dimension.
        """
        check_metric(metric)
        one, other = self._meant(a), self._meant(b)
        if one is None or other is None:
            return Similarity(0.0, known=False)
        return Similarity(float(measure(one[None], other, metric)[0]), known=True)

    def nearest(
        self, query: str | Vector | Sequence[float], k: int = 10, *, metric: Metric = "cosine"
    ) -> list[Neighbour]:
        """The ``k`` words nearest to a word or a vector, exactly, nearest first.

        Args:
            query: A word, which is not its own neighbour, or ``[d]`` numbers.
            k: How many.
            metric: As in :meth:`similarity`.

        Returns:
            Words and scores; none for an unknown word, nor for a zero vector where the metric is no distance.
        """
        if isinstance(query, str):
            return self.nearest_many([query], k, metric=metric)[0]
        return self.nearest_many(self._one(query)[None], k, metric=metric)[0]

    def nearest_many(
        self, queries: Sequence[str] | Matrix, k: int = 10, *, metric: Metric = "cosine"
    ) -> list[list[Neighbour]]:
        """Answer many :meth:`nearest` at once; they share one matrix product.

        Args:
            queries: Words, or ``[q, d]`` numbers.
            k: How many neighbours each.
            metric: As in :meth:`similarity`.
        """
        check_metric(metric)
        _check_k(k)
        if isinstance(queries, np.ndarray) and queries.dtype.kind != "U":
            matrix = np.atleast_2d(self._checked(queries))
            every = zip(matrix, best_rows(self.table, matrix, k, metric), strict=True)
            return [self._named(best, (), k) if metric in DISTANCES or row.any() else [] for row, best in every]
        found = [self._find(word) for word in checked_texts(queries)]
        known = [i for i, rows in enumerate(found) if rows]
        answers: list[list[Neighbour]] = [[] for _ in found]
        if known:
            matrix = np.stack([self.vector(queries[i]) for i in known])
            most = max(len(found[i]) for i in known)
            for i, best in zip(known, best_rows(self.table, matrix, k + most, metric), strict=True):
                answers[i] = self._named(best, found[i], k)
        return answers

    def analogy(self, positive: Sequence[str], negative: Sequence[str] = (), k: int = 10) -> list[Neighbour]:
        """Words that are to the positive ones as the negative ones are not: sums of unit vectors (Mikolov et al. 2013).

        Args:
            positive: Added. ``["paris", "germany"]``, negative ``["france"]`` asks for "berlin".
            negative: Subtracted.
            k: How many; none of the words given is among them.

        Raises:
            InvalidInputError: A word is unknown, or nothing is left of the sum.
        """
        _check_k(k)
        given = [*checked_texts(positive), *checked_texts(negative)]
        if unknown := [word for word in given if word not in self]:
            raise InvalidInputError(f"analogy: unknown words {unknown}")
        signs = np.array([1.0] * len(positive) + [-1.0] * len(negative), dtype=np.float32)
        total = signs @ unit(np.stack([self.vector(word) for word in given])) if given else np.zeros(self.dimension)
        if not np.linalg.norm(total) > 0:
            raise InvalidInputError("analogy: nothing is left of the sum of the words")
        taken = [row for word in given for row in self._find(word)]
        best = best_rows(self.table, total[None].astype(np.float32), k + len(taken), "cosine")[0]
        return self._named(best, taken, k)

    def _find(self, word: object) -> tuple[int, ...]:
        """The rows of a word: one, or those of its parts; none where it is unknown."""
        if not isinstance(word, str):
            raise InvalidInputError(f"word: expected str, got {type(word).__name__}")
        rows = self.rows_of
        if (row := rows.get(word)) is not None:
            return (row,)
        folded = fold(word)
        bare = folded.removesuffix("'s")
        for form in (word.lower(), folded, bare, bare.replace("-", "")):
            if (row := rows.get(form)) is not None:
                return (row,)
        parts = [rows.get(part) for part in _JOINT.split(bare) if part]
        known = tuple(row for row in parts if row is not None)
        return known if len(known) == len(parts) else ()

    def _named(self, best: Best, taken: Iterable[int], k: int) -> list[Neighbour]:
        left_out = set(taken)
        pairs = zip(best.rows.tolist(), best.scores.tolist(), strict=True)
        return [Neighbour(self.words[row], score) for row, score in pairs if row not in left_out][:k]

    def _meant(self, query: str | Vector | Sequence[float]) -> Vector | None:
        """The vector of a word, or the one given; ``None`` for an unknown word and for zeros."""
        if isinstance(query, str):
            return self.vector(query) if query in self else None
        vector = self._one(query)
        return vector if vector.any() else None

    def _one(self, query: Any) -> Vector:
        vector = self._checked(query)
        if vector.ndim != 1:
            raise InvalidVectorError(f"query: expected one vector, got shape {list(vector.shape)}; see nearest_many")
        return vector

    def _checked(self, vectors: Any) -> Matrix:
        try:
            found = np.asarray(vectors, dtype=np.float32)
        except (TypeError, ValueError):
            raise InvalidVectorError(f"query: expected a word or {self.dimension} finite numbers") from None
        if found.shape[-1:] != (self.dimension,) or not np.isfinite(found).all():
            raise InvalidVectorError(f"query: expected {self.dimension} finite numbers, got shape {list(found.shape)}")
        return found
