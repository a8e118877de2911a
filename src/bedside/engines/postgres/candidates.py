"""The records that one search may be answered with: the server proposes, the ranking decides.

The server adds up in float32. It proposes more rows than are wanted; their exact scores show whether a row that was not
proposed could still be among the best, and then it is asked for more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection

from bedside.engines.embedded.index.dense import unit_rows
from bedside.engines.postgres import nearest
from bedside.engines.postgres.arrays import Float4s, Float8s, Int8s, none_of, vectors_of
from bedside.engines.postgres.groups import Groups
from bedside.engines.postgres.rows import document_of, in_parts
from bedside.engines.postgres.sql import Clause, all_of
from bedside.filters.dates import stored_span
from bedside.search.newest import latest_of_each
from bedside.search.pool import Mask, Signal, Top
from bedside.search.rank import Rows, Scores, best
from bedside.types import Document, Matrix, Vector

_SPARE = 24
"""Rows proposed beyond those wanted."""
_DEEPER = 4
_PART = 4_096


Dated: TypeAlias = tuple[Rows, NDArray[np.int64]]
"""Rows, ascending, and when their dates begin, int64 ``[m]`` both."""


@dataclass(frozen=True)
class ServerCandidates:
    """The rows of one scope that filter and ids leave, in the transaction that reads them.

    Attributes:
        connection: Of the transaction; what was :meth:`kept` can be asked for after its end.
        sid: The scope.
        dimension: Of the vectors; 0 or ``None`` without.
        allowed: What filter and ids leave, ascending; ``None`` where there is neither.
        grouped: Of the search's ``group_by``.
        excluded: Rows left out, ascending.
        ef: How far the approximate index is searched; ``None``: it is not asked.
        units: The unit vectors that were read, by row.
        read: The records that were read, by row.
        times: By key, the rows that have a date there, ascending, and when it begins.
        newest: The rows that are the newest of their value of the search's ``latest_by``.
    """

    connection: Connection[Any]
    sid: int
    dimension: int | None
    allowed: Rows | None = None
    grouped: Groups | None = None
    excluded: Rows = field(default_factory=lambda: np.zeros(0, np.int64))
    ef: int | None = None
    units: dict[int, Vector] = field(default_factory=dict)
    read: dict[int, str] = field(default_factory=dict)
    times: Mapping[str, Dated] = field(default_factory=dict)
    newest: Rows = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def has_vectors(self) -> bool:
        """False in a collection of texts without vectors."""
        return bool(self.dimension)

    @property
    def exact(self) -> bool:
        """Whether no row can be missed."""
        return self.ef is None

    def allows(self, rows: Rows) -> Mask:
        """Say which of ``rows`` are among the candidates."""
        known = np.ones(len(rows), np.bool_) if self.allowed is None else np.isin(rows, self.allowed)
        return known & ~np.isin(rows, self.excluded)

    def top(self, vectors: Matrix, k: int, weight: float, signals: Sequence[Signal]) -> list[Top]:
        """Return for each vector the ``k`` best rows by ``weight * cosine + signal``, exactly."""
        return [self._top(vector, k, weight, signal) for vector, signal in zip(vectors, signals, strict=True)]

    def _top(self, vector: Vector, k: int, weight: float, signal: Signal) -> Top:
        """Return the best of the nearest rows and of those whose signals could lift them among the best.

        A row that is not among the nearest scores at most what the last of these does without its signal, and its own
        signal: few can still be among the best (Fagin, Lotem and Naor, 2003, call it the threshold algorithm).
        """
        if self.ef is not None:
            return self._nearly_top(vector, k, weight, signal, self.ef)
        wanted, signal = k + _SPARE, self._among(signal)
        if self.allowed is not None and len(self.allowed) <= wanted:
            return self._scored(vector, k, weight, signal, self.allowed[self.allows(self.allowed)])
        while True:
            strong = _strongest(signal, wanted)
            near, least = self._nearest(vector, wanted, strong)
            beyond = weight * (least + self._error) if len(near) == wanted else -np.inf
            known = np.union1d(near, strong)
            found = self._scored(vector, k, weight, signal, known)
            rivals = _without(known, signal, _kth(found, k) - beyond)
            if len(rivals.rows):
                more, lowest = self._lifted(vector, wanted, weight, rivals)
                found = self._scored(vector, k, weight, signal, np.union1d(found.rows, more))
                beyond = max(beyond, lowest + weight * self._error if len(more) == wanted else -np.inf)
            if _kth(found, k) > beyond or beyond == -np.inf:
                return found
            wanted *= _DEEPER

    def _nearly_top(self, vector: Vector, k: int, weight: float, signal: Signal, ef: int) -> Top:
        """Return the best of what the approximate index finds and of the rows with the highest signals."""
        wanted = max(k + _SPARE, ef)
        near = nearest.proposed(self.connection, self.sid, vector, wanted, ef)
        return self._scored(vector, k, weight, signal, np.union1d(near, _strongest(signal, wanted)))

    def _scored(self, vector: Vector, k: int, weight: float, signal: Signal, rows: Rows) -> Top:
        """Return the best ``k`` of some rows, exactly."""
        cosines = self.cosines(vector, rows)
        scores = weight * cosines + signal.at(rows)
        return Top(rows, scores, cosines).take(best(rows, scores, k))

    def _among(self, signal: Signal) -> Signal:
        """Return what a signal gives to the candidates."""
        if self.allowed is None and not len(self.excluded):
            return signal
        allowed = self.allows(signal.rows)
        return Signal(signal.rows[allowed], signal.values[allowed])

    @property
    def _error(self) -> float:
        """Bound the server's rounding: three float32 sums of ``d`` products (Higham, Accuracy and Stability, §3.1)."""
        return (2 * (self.dimension or 0) + 64) * 2.0**-24

    def _nearest(self, vector: Vector, count: int, also: Rows) -> tuple[Rows, float]:
        """Return the server's ``count`` nearest rows, ascending, and the lowest of their cosines there.

        The vectors of ``also`` are read on the same trip.
        """
        where = [Clause("sid = %s", (self.sid,))]
        if self.allowed is not None:
            where.append(Clause("row = any(%s)", (Int8s(self.allowed),)))
        if len(self.excluded):
            where.append(none_of(self.excluded))
        chosen = all_of(where)
        found = self.connection.cursor(binary=True).execute(
            # No vector goes through the sort: they are read for the rows that are left.
            "with near as materialized (select row, v <=> %s::vector as distance from vec"  # noqa: S608 - every value is bound
            f" where {chosen.sql} order by distance, row limit %s)"
            " select row, distance, vector_send(v), raw from (select * from near union all select row, null from"
            " unnest(%s) as also(row) where row not in (select row from near)) as wanted join vec using (row)"
            " where sid = %s".encode(),
            (Float4s(_unit(vector)), *chosen.values, count, Int8s(also), self.sid),
        )
        read = found.fetchall()
        self._keep([(row, sent, raw) for row, _, sent, raw in read])
        near = [(row, 1 - distance) for row, distance, *_ in read if distance is not None]
        return np.sort(np.array([row for row, _ in near], np.int64)), min((cosine for _, cosine in near), default=-1.0)

    def _lifted(self, vector: Vector, count: int, weight: float, rivals: Signal) -> tuple[Rows, float]:
        """Return the server's best ``count`` of some rows by ``weight * cosine + signal``, and the lowest score."""
        found = self.connection.cursor(binary=True).execute(
            b"select row, s, vector_send(v), raw from (select row, %s::float8 * (1 - (v <=> %s::vector)) + value as s"
            b" from unnest(%s, %s) as x(row, value) join vec using (row) where sid = %s order by s desc, row limit %s)"
            b" as lifted join vec using (row) where sid = %s",
            (weight, Float4s(_unit(vector)), Int8s(rivals.rows), Float8s(rivals.values), self.sid, count, self.sid),
        )
        read = found.fetchall()
        self._keep([(row, sent, raw) for row, _, sent, raw in read])
        return np.array([row for row, *_ in read], np.int64), min((score for _, score, *_ in read), default=0.0)

    def _keep(self, found: Sequence[tuple[int, bytes, bytes | None]]) -> None:
        """Keep unit vectors, made of what was given as every engine makes them."""
        new = [each for each in found if each[0] not in self.units]
        if new:
            given = vectors_of([sent for _, sent, _ in new], self.dimension or 0)
            for i, (_, _, raw) in enumerate(new):
                if raw is not None:
                    given[i] = np.frombuffer(raw, "<f4")
            self.units.update(zip((row for row, *_ in new), unit_rows(given), strict=True))

    def cosines(self, vector: Vector, rows: Rows) -> Scores:
        """Return the exact cosine of each of ``rows``."""
        wide = np.asarray(vector, np.float64)
        # einsum and not a matrix product: it adds up every row in the same order, so equal rows stay equal.
        products = np.einsum("ij,j->i", self.vectors(rows).astype(np.float64), wide / np.sqrt(wide @ wide))
        return np.asarray(np.clip(products, -1.0, 1.0))

    def vectors(self, rows: Rows) -> Matrix:
        """Return the unit vectors of ``rows``."""
        missing = [row for row in rows.tolist() if row not in self.units]
        for part in in_parts(missing, _PART):
            self._keep(
                self.connection.cursor(binary=True)
                .execute(
                    "select row, vector_send(v), raw from vec where sid = %s and row = any(%s)",
                    (self.sid, Int8s(np.array(part, np.int64))),
                )
                .fetchall()
            )
        found = [self.units[row] for row in rows.tolist()]
        return np.stack(found) if found else np.zeros((0, self.dimension or 0), np.float32)

    def groups(self, rows: Rows) -> NDArray[np.int64]:
        """Return the number of the group that each of ``rows`` belongs to."""
        return self._grouped.of(rows)

    def without(self, groups: NDArray[np.int64]) -> ServerCandidates:
        """Return the candidates that are in none of ``groups``."""
        return replace(self, excluded=np.union1d(self.excluded, self._grouped.within(groups)))

    def dates(self, key: str) -> Dated:
        """Return the candidates that have a date at a key, ascending, and when it begins."""
        rows, when = self.times[key]
        allowed = self.allows(rows)
        return rows[allowed], when[allowed]

    def latest(self) -> tuple[ServerCandidates, ServerCandidates]:
        """Return the candidates that are the newest of their value, and all others."""
        others = np.union1d(self.excluded, self.newest)
        return replace(self, allowed=self.newest), replace(self, excluded=others)

    def documents(self, rows: Sequence[int]) -> list[Document]:
        """Return rows in the order given; after the transaction, those that were kept."""
        self._read(rows)
        return [document_of(self.read[row]) for row in rows]

    def keep(self, rows: Rows) -> None:
        """Read what an answer is made of, so that it can be asked for after the transaction."""
        self._read(rows.tolist())
        if self.has_vectors:
            self.vectors(rows)

    def _read(self, rows: Sequence[int]) -> None:
        for part in in_parts([row for row in rows if row not in self.read], _PART):
            for row, record in self.connection.cursor(binary=True).execute(
                "select row, record from doc where sid = %s and row = any(%s)",
                (self.sid, Int8s(np.array(part, np.int64))),
            ):
                self.read[row] = record

    @property
    def _grouped(self) -> Groups:
        if self.grouped is None:
            raise RuntimeError("candidates without groups were asked for them")
        return self.grouped


def _unit(vector: Vector) -> Vector:
    unit: Vector = unit_rows(np.asarray(vector, np.float32)[None])[0]
    return unit


def _strongest(signal: Signal, count: int) -> Rows:
    """Return the rows of the highest signals, ascending."""
    return np.sort(signal.rows[best(signal.rows, signal.values, count)])


def _without(known: Rows, signal: Signal, least: float) -> Signal:
    """Return what a signal gives to rows that are not known, where that is ``least`` or more."""
    high = signal.values >= least
    rows, values = signal.rows[high], signal.values[high]
    new = np.isin(rows, known, invert=True)
    return Signal(rows[new], values[new])


def _kth(found: Top, k: int) -> float:
    """Return the score of the last of ``k``; where fewer were found, any other row would be among the best."""
    return float(found.scores[-1]) if len(found.scores) == k else -np.inf


def dates_of(connection: Connection[Any], sid: int, key: str) -> Dated:
    """Return the records of a scope that have a date at a key, and when it begins: no server has Python's calendar."""
    found = connection.cursor(binary=True).execute(
        "select fields ->> %s::text, array_agg(row) from doc"
        " where sid = %s and jsonb_typeof(fields -> %s::text) = 'string' group by 1",
        (key, sid, key),
    )
    spans = [(span, rows) for text, rows in found if (span := stored_span(text)) is not None]
    rows = np.concatenate([np.zeros(0, np.int64), *(each for _, each in spans)])
    when = np.repeat(np.array([start for (start, _), _ in spans], np.int64), [len(each) for _, each in spans])
    order = np.argsort(rows)
    return rows[order], when[order]


def newest_of(groups: Groups, dated: Dated, candidates: ServerCandidates) -> Rows:
    """Return the candidates that are the newest of their group, ascending."""
    rows, when = dated
    kept = candidates.allows(rows) & np.isin(rows, groups.rows)
    return rows[kept][latest_of_each(groups.of(rows[kept]), when[kept])]
