"""The records that one search may be answered with: the server proposes, the ranking decides.

The server adds up in float32. It proposes more rows than are wanted; their exact scores show whether a row that was not
proposed could still be among the best, and then it is asked for more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray
from psycopg import Connection

from bedside.engines.embedded.index.dense import unit_rows
from bedside.engines.postgres import nearest
from bedside.engines.postgres.arrays import Float4s, Float8s, Int8s, vectors_of
from bedside.engines.postgres.bm25 import Grouped
from bedside.engines.postgres.rows import document_of, in_parts
from bedside.filters.dates import stored_span
from bedside.filters.rules import fields
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
class Groups:
    """The number of each row's group: ``rows`` ascending, int64 ``[m]``; a row that is not here is its own group.

    Attributes:
        rows: Those that have the key.
        numbers: From 0 for scalars, which ``as_one`` reads as one text; lists and objects follow.
        scalars: How many numbers are of scalars.
        lengths: How many terms each row holds; -1 where that was not wanted.
    """

    rows: Rows
    numbers: NDArray[np.int64]
    scalars: int
    lengths: NDArray[np.int64]

    def of(self, rows: Rows) -> NDArray[np.int64]:
        """Return the number of each row's group."""
        if not len(self.rows):
            return -1 - rows
        places = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        return np.where(self.rows[places] == rows, self.numbers[places], -1 - rows)

    def within(self, numbers: NDArray[np.int64]) -> Rows:
        """Return the rows of some groups."""
        alone = -1 - numbers[numbers < 0]
        return np.union1d(self.rows[np.isin(self.numbers, numbers)], alone)


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
        if self.ef is not None:
            return self._nearly_top(vector, k, weight, signal, self.ef)
        wanted = k + _SPARE
        while True:
            rows, least = self._proposed(vector, wanted, weight, signal)
            scores = weight * self.cosines(vector, rows) + signal.at(rows)
            order = best(rows, scores, k)
            beyond = least + weight * self._error
            if len(rows) < wanted or (len(order) == k and scores[order[-1]] > beyond):
                return Top(rows[order], scores[order])
            wanted *= _DEEPER

    def _nearly_top(self, vector: Vector, k: int, weight: float, signal: Signal, ef: int) -> Top:
        """Return the best of what the approximate index finds and of the rows with the highest signals."""
        wanted = max(k + _SPARE, ef)
        near = nearest.proposed(self.connection, self.sid, vector, wanted, ef)
        strong = signal.rows[np.argsort(-signal.values, kind="stable")[:wanted]]
        rows = np.union1d(near, strong)
        scores = weight * self.cosines(vector, rows) + signal.at(rows)
        order = best(rows, scores, k)
        return Top(rows[order], scores[order])

    @property
    def _error(self) -> float:
        """Bound the server's rounding: three float32 sums of ``d`` products (Higham, Accuracy and Stability, §3.1)."""
        return (2 * (self.dimension or 0) + 64) * 2.0**-24

    def _proposed(self, vector: Vector, count: int, weight: float, signal: Signal) -> tuple[Rows, float]:
        """Return the server's ``count`` best rows, ascending, and the lowest of their scores there."""
        unit = unit_rows(np.asarray(vector, np.float32)[None])[0]
        found = self.connection.cursor(binary=True).execute(
            # No vector goes through the join and the sort: `offset 0` keeps the inner query by itself.
            b"select row, s, vector_send(v), raw from (select d.row, d.cosine + coalesce(x.value, 0) as s from"
            b" (select row, %s::float8 * (1 - (v <=> %s::vector)) as cosine from vec"
            b" where sid = %s and (%s or row = any(%s)) and row <> all(%s) offset 0) as d"
            b" left join unnest(%s, %s) as x(row, value) on x.row = d.row"
            b" order by s desc, d.row limit %s) as proposed join vec using (row) where sid = %s",
            (
                weight,
                Float4s(unit),
                self.sid,
                self.allowed is None,
                Int8s(np.zeros(0, np.int64) if self.allowed is None else self.allowed),
                Int8s(self.excluded),
                Int8s(signal.rows),
                Float8s(signal.values),
                count,
                self.sid,
            ),
        )
        proposed = found.fetchall()
        self._keep([(row, sent, raw) for row, _, sent, raw in proposed])
        rows = np.sort(np.array([row for row, *_ in proposed], np.int64))
        return rows, min((score for _, score, *_ in proposed), default=0.0)

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


def groups_of(connection: Connection[Any], sid: int, key: str, as_one: str = "") -> Groups:
    """Number the groups of a scope's records by the value of a metadata key.

    Args:
        connection: Of the transaction.
        sid: The scope.
        key: That of the groups.
        as_one: The key of the records whose lengths are wanted; none is empty.
    """
    # A group is numbered by its first row: the server compares scalars as every engine does.
    found = connection.cursor(binary=True).execute(
        "select coalesce(array_agg(row order by row), '{}'), coalesce(array_agg(first order by row), '{}'),"
        " coalesce(array_agg(dl order by row), '{}'), coalesce(bool_or(first < 0), false) from"
        " (select row, case when jsonb_typeof(f) in ('array', 'object') then -1 else min(row) over (partition by f) end"
        " as first, case when one then dl else -1 end as dl from (select row, dl, fields -> %s::text as f,"
        " fields ? %s::text as one from doc where sid = %s and fields ? %s::text) as at) as numbered",
        (key, as_one, sid, key),
    )
    ((rows, firsts, lengths, others),) = found.fetchall()
    numbers = np.unique(firsts, return_inverse=True)[1] - int(others)
    scalars = int(numbers.max(initial=-1)) + 1
    if others:
        numbers[numbers < 0] = scalars + _others(connection, sid, key)
    return Groups(rows, numbers, scalars, lengths)


def _others(connection: Connection[Any], sid: int, key: str) -> NDArray[np.int64]:
    """Number the lists and objects that a scope's records have at a key, in the order of their rows.

    The server has no objects, and takes [1] and [1.0] for one list: only the records can tell.
    """
    kinds: dict[bytes, int] = {}
    found = connection.cursor(binary=True).execute(
        "select record from doc where sid = %s and jsonb_typeof(fields -> %s::text) in ('array', 'object')"
        " order by row",
        (sid, key),
    )
    values = (fields(document_of(record).metadata)[key] for (record,) in found)
    named = [kinds.setdefault(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), len(kinds)) for value in values]
    return np.array(named, np.int64)


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


def texts_as_one(groups: Groups) -> Grouped:
    """Return the rows that BM25 reads as one text for each group: those whose lengths were wanted, of a scalar."""
    held = (groups.numbers < groups.scalars) & (groups.lengths >= 0)
    return Grouped(groups.rows[held], groups.numbers[held], groups.lengths[held])
