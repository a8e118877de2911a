"""Records as rows of the tables, in the binary form of COPY."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from psycopg import Connection

from bedside.engines.postgres.rows import Terms, flat, record_to_json, searched, term_key
from bedside.filters.validity import bounds
from bedside.records import Record
from bedside.search.rank import Rows

HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
"""What a stream begins with: its sign, and no flags."""
TAIL = b"\xff\xff"
COLUMNS = {
    "doc": "row, sid, id, dl, starts, ends, fields, record",
    "vec": "row, sid, v, raw",
    "post": "key, row, sid, tf, dl, negated",
}
"""The tables that records are copied into, with the columns in the order in which the functions below give them."""
_NULL = -1
_JSONB = b"\x01"
"""The version of jsonb's binary form, which is followed by its text."""


def copy_into(connection: Connection[Any], table: str, parts: Iterable[bytes], *, into: str | None = None) -> None:
    """Copy rows of a table of :data:`COLUMNS`, in as many parts as one likes, into it or into one like it."""
    statement = f"copy {into or table} ({COLUMNS[table]}) from stdin with (format binary)"
    with connection.cursor().copy(statement.encode()) as copy:
        for part in chain([HEAD], parts, [TAIL]):
            copy.write(part)


class Part(NamedTuple):
    """Records with what they are stored under and by; all are of one length.

    Attributes:
        rows: int64 ``[n]``.
        sids: The number of each record's scope.
        records: The records.
        terms: Those of their texts.
    """

    rows: Rows
    sids: Sequence[int]
    records: Sequence[Record]
    terms: Sequence[Terms]

    @property
    def lengths(self) -> list[int]:
        """How long each record counts as, in terms."""
        return [counted.length for counted in self.terms]

    def columns(self) -> dict[str, bytes]:
        """Return the rows of every table of :data:`COLUMNS`."""
        vectors = vector_rows(self.rows.tolist(), self.sids, self.records)
        return {"doc": self._documents(), "vec": vectors, "post": self._postings()}

    def _documents(self) -> bytes:
        found = bytearray()
        for row, sid, record, length in zip(self.rows.tolist(), self.sids, self.records, self.lengths, strict=True):
            id, fields = record.id.encode(), _JSONB + flat(record.metadata)
            text, (start, end) = record_to_json(record), bounds(record.metadata)
            found += struct.pack(">hiqiqi", 8, 8, row, 8, sid, len(id)) + id
            found += struct.pack(">iiiqiqi", 4, length, 8, start, 8, end, len(fields)) + fields
            found += struct.pack(">i", len(text)) + text
        return bytes(found)

    def _postings(self) -> bytes:
        """Made as one array: there are some thirty for each record."""
        counts, negated, _ = zip(*self.terms, strict=True)
        sizes = [len(each) for each in counts]
        found = np.empty(sum(sizes), _POSTING)
        found["columns"] = len(_POSTED)
        values: dict[str, Any] = {
            "key": [term_key(sid, term) for sid, each in zip(self.sids, counts, strict=True) for term in each],
            "row": np.repeat(self.rows, sizes),
            "sid": np.repeat(np.array(self.sids, np.int64), sizes),
            "tf": list(chain.from_iterable(each.values() for each in counts)),
            "dl": np.repeat(self.lengths, sizes),
            "negated": [of.get(term, 0) for each, of in zip(counts, negated, strict=True) for term in each],
        }
        for name, kind in _POSTED.items():
            found[f"size of {name}"], found[name] = np.dtype(kind).itemsize, values[name]
        return found.tobytes()


def vector_rows(rows: Sequence[int], sids: Sequence[int], records: Sequence[Record]) -> bytes:
    """Return rows of ``vec`` for the records that have a vector."""
    found = bytearray()
    for row, sid, record in zip(rows, sids, records, strict=True):
        if record.vector is None:
            continue
        compared, raw = searched(record.vector)
        size = len(compared)
        # pgvector's form: the dimension, a number that must be 0, and the values.
        found += struct.pack(">hiqiqihh", 4, 8, row, 8, sid, 4 + 4 * size, size, 0) + compared.astype(">f4").tobytes()
        found += struct.pack(">i", _NULL) if raw is None else struct.pack(">i", len(raw)) + raw
    return bytes(found)


_POSTED = {"key": ">i8", "row": ">i8", "sid": ">i8", "tf": ">i4", "dl": ">i4", "negated": ">i4"}
_SIZED = chain.from_iterable(((f"size of {name}", ">i4"), (name, kind)) for name, kind in _POSTED.items())
_POSTING = np.dtype([("columns", ">i2"), *_SIZED])
