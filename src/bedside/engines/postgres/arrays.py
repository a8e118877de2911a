"""Numpy arrays to and from PostgreSQL's binary arrays: each element is its length and its bytes, big-endian.

A million rows are one array here and would be a million Python objects by the library's own way.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format

from bedside.engines.postgres.sql import Clause
from bedside.search.rank import Rows
from bedside.types import Matrix

_ITEM = 12 * 8
"""Bits of an array's element; a bitmap has one for each number between the first row and the last."""


@dataclass(frozen=True)
class Int8s:
    """An array to send as ``bigint[]``."""

    values: NDArray[Any]


@dataclass(frozen=True)
class Float8s:
    """An array to send as ``double precision[]``."""

    values: NDArray[Any]


@dataclass(frozen=True)
class Float4s:
    """An array to send as ``real[]``, which casts to ``vector``."""

    values: NDArray[Any]


def none_of(rows: Rows) -> Clause:
    """Return the condition that ``row`` is none of some rows, ascending, in the form that is the shorter one to send.

    The server makes a hash of a long array first: for 40,000 rows that takes it 20 ms, and a bitmap nothing.
    """
    if not len(rows) or (span := int(rows[-1] - rows[0]) + 1) > _ITEM * len(rows):
        return Clause("row <> all(%s)", (Int8s(rows),))
    first, last = int(rows[0]), int(rows[-1])
    bits = np.zeros(span, np.bool_)
    bits[rows - first] = True
    bitmap = np.packbits(bits, bitorder="little").tobytes()
    # A case, because beyond its ends a bitmap has no bits to ask for; "<> 1", because planners expect "=" to be rare.
    return Clause(
        "case when row between %s and %s then get_bit(%s, row - %s) <> 1 else true end", (first, last, bitmap, first)
    )


class _ArrayDumper(Dumper):
    format = Format.BINARY
    kind: ClassVar[str]
    element: ClassVar[int]

    def dump(self, obj: Any) -> bytes:
        values = np.asarray(obj.values)
        if not len(values):
            return struct.pack(">iiI", 0, 0, self.element)
        items = np.empty(len(values), [("size", ">i4"), ("value", self.kind)])
        items["size"], items["value"] = np.dtype(self.kind).itemsize, values
        return struct.pack(">iiIii", 1, 0, self.element, len(values), 1) + items.tobytes()


class _Int8sDumper(_ArrayDumper):
    oid, kind, element = 1016, ">i8", 20


class _Float8sDumper(_ArrayDumper):
    oid, kind, element = 1022, ">f8", 701


class _Float4sDumper(_ArrayDumper):
    oid, kind, element = 1021, ">f4", 700


class _ArrayLoader(Loader):
    format = Format.BINARY
    kind: ClassVar[str]

    def load(self, data: Buffer) -> NDArray[np.int64]:
        items = np.frombuffer(data, [("size", ">i4"), ("value", self.kind)], offset=20 if len(data) > 12 else len(data))
        return items["value"].astype(np.int64)


class _Int8Loader(_ArrayLoader):
    kind = ">i8"


class _Int4Loader(_ArrayLoader):
    kind = ">i4"


def register(connection: Connection[Any]) -> None:
    """Teach a connection to send and, with binary cursors, to receive arrays."""
    connection.adapters.register_dumper(Int8s, _Int8sDumper)
    connection.adapters.register_dumper(Float8s, _Float8sDumper)
    connection.adapters.register_dumper(Float4s, _Float4sDumper)
    connection.adapters.register_loader(1016, _Int8Loader)
    connection.adapters.register_loader(1007, _Int4Loader)


def vectors_of(sent: list[bytes], dimension: int) -> Matrix:
    """Return what ``vector_send`` gave, float32 ``[n, d]``: two 16-bit numbers, then the values."""
    found = np.frombuffer(b"".join(sent), [("head", ">i2", 2), ("values", ">f4", (dimension,))])
    return np.asarray(found["values"], dtype=np.float32).reshape(len(sent), dimension)
