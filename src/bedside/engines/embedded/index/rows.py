"""Everything that is derived from the log: which rows there are, whose they are, and what they can be found by.

A put takes the next row; a row is never reused, and a replaced or deleted one is only left out of the masks. Live
writes and replay both go through :meth:`Index.apply`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from bedside.engines.embedded.index.bm25 import SparseIndex
from bedside.engines.embedded.index.columns import Columns
from bedside.engines.embedded.index.dense import DenseIndex
from bedside.engines.embedded.index.mask import mask
from bedside.engines.embedded.log.log import Span
from bedside.filters.tree import Node
from bedside.records import ScopeKey
from bedside.text.tokenizer import ClinicalTokenizer
from bedside.types import Metadata, Vector

Mask: TypeAlias = NDArray[np.bool_]
_T = TypeVar("_T")
# Rows put at once: 256, 1,024 and 4,096 took the same time; the smaller the less memory beside the index.
_BATCH = 1_024


class Put(NamedTuple):
    """A record that was written, and where its line lies."""

    id: str
    scope: ScopeKey
    text: str
    metadata: Metadata
    vector: Vector | None
    span: Span


class Delete(NamedTuple):
    """A record that was removed."""

    id: str
    scope: ScopeKey


Entry: TypeAlias = Put | Delete


@dataclass(frozen=True)
class Candidates:
    """The rows of one search, as ``[n]`` masks.

    Attributes:
        visible: The corpus: what the scope may see. Statistics are counted over it and nothing else.
        allowed: The part of it that the filter and the ids leave.
    """

    visible: Mask
    allowed: Mask


class Index:
    """Rows, ids by scope, vectors, postings and metadata columns of one log."""

    def __init__(self, dimension: int | None, settings: Mapping[str, Any]) -> None:
        self.tokenizer = ClinicalTokenizer.from_settings(settings["tokenizer"])
        self.sparse = SparseIndex(k1=settings["k1"], b=settings["b"])
        self.columns = Columns()
        self.dense: DenseIndex | None = None
        self._ids: dict[ScopeKey, dict[str, int]] = {}
        self._alive = bytearray()
        self._offsets = array("q")
        self._lengths = array("q")
        self._count = 0
        self._groups: tuple[str, str, NDArray[np.int32]] | None = None
        self.set_dimension(dimension)

    def __len__(self) -> int:
        """Records alive, over all scopes."""
        return self._count

    @property
    def rows(self) -> int:
        """Rows ever put, the dead ones included."""
        return len(self._alive)

    @property
    def scopes(self) -> list[ScopeKey]:
        """Scopes that hold records."""
        return [scope for scope, ids in self._ids.items() if ids]

    def apply(self, entries: Iterable[Entry]) -> None:
        """Take over what was written, in order."""
        for batch in _batches(entries, _BATCH):
            puts = [entry for entry in batch if isinstance(entry, Put)]
            self._extend(puts)
            row = self.rows - len(puts)
            for entry in batch:
                self._kill(entry)
                if isinstance(entry, Put):
                    self._ids.setdefault(entry.scope, {})[entry.id] = row
                    self._alive[row] = 1
                    self._count += 1
                    row += 1

    def _extend(self, puts: Sequence[Put]) -> None:
        if puts:  # the manifest that was read may be older than the log
            self.set_dimension(None if puts[0].vector is None else len(puts[0].vector))
        self._alive.extend(bytes(len(puts)))
        self._offsets.extend(put.span.offset for put in puts)
        self._lengths.extend(put.span.length for put in puts)
        self.columns.extend(put.metadata for put in puts)
        self.sparse.extend(self.tokenizer.tokenize(put.text) for put in puts)
        if self.dense is not None and puts:
            self.dense.extend(np.stack([put.vector for put in puts if put.vector is not None]))

    def _kill(self, entry: Entry) -> None:
        row = self._ids.get(entry.scope, {}).pop(entry.id, None)
        if row is not None:
            self._alive[row] = 0
            self._count -= 1

    def set_dimension(self, dimension: int | None) -> None:
        """Make room for vectors of the dimension that the first record decides; until there is one, it may change."""
        known = None if self.dense is None else self.dense.dimension
        if not self.rows and known != (dimension or None):
            self.dense = DenseIndex(dimension) if dimension else None

    def ids(self, scope: ScopeKey) -> Mapping[str, int]:
        """Return the living ids of ``scope`` and their rows, in insertion order."""
        return self._ids.get(scope, {})

    def living(self) -> Iterator[tuple[tuple[ScopeKey, str], Span]]:
        """Yield every living record's scope and id, and where its line lies."""
        for scope, ids in self._ids.items():
            for id, row in ids.items():
                yield (scope, id), self.span(row)

    def groups(self, key: str, member: str) -> NDArray[np.int32]:
        """Number the groups of rows that have the metadata key ``member`` and one value of ``key``: int32 ``[n]``.

        Rows of no group have -1. They are kept until the next put: numbering 1,000,000 rows takes 0.2 s.
        """
        if self._groups is None or self._groups[:2] != (key, member) or len(self._groups[2]) != self.rows:
            numbers = np.where(self.columns.present(member), self.columns.groups(key), np.int32(-1))
            self._groups = (key, member, numbers)
        return self._groups[2]

    def to_state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the whole index as a JSON value and arrays; the arrays are not copies."""
        scopes = [(scope, list(ids)) for scope, ids in self._ids.items() if ids]
        sparse, sparse_arrays = self.sparse.to_state()
        columns, column_arrays = self.columns.to_state()
        rows = [row for scope, _ in scopes for row in self._ids[scope].values()]
        arrays: dict[str, NDArray[Any]] = {
            "alive": np.frombuffer(bytes(self._alive), np.uint8),
            "offsets": np.array(self._offsets, np.int64),
            "lengths": np.array(self._lengths, np.int64),
            "ids": np.frombuffer(orjson.dumps(scopes), np.uint8),
            "rows": np.array(rows, np.int64),
            **{f"sparse.{name}": array for name, array in sparse_arrays.items()},
            **{f"columns.{name}": array for name, array in column_arrays.items()},
        }
        if self.dense is not None:
            arrays |= {f"dense.{name}": array for name, array in self.dense.to_arrays().items()}
        return {"sparse": sparse, "columns": columns}, arrays

    def load(self, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what :meth:`to_state` gave, in place of everything; the arrays may be read-only memory maps."""
        self.sparse = SparseIndex.from_state(state["sparse"], _named(arrays, "sparse."))
        self.columns = Columns.from_state(state["columns"], _named(arrays, "columns."))
        dense = _named(arrays, "dense.")
        self.dense = DenseIndex.from_arrays(dense) if dense else None
        self._alive = bytearray(arrays["alive"])
        self._offsets = array("q", arrays["offsets"].tobytes())
        self._lengths = array("q", arrays["lengths"].tobytes())
        rows = iter(arrays["rows"].tolist())
        self._ids = {
            tuple(scope): dict(zip(ids, islice(rows, len(ids)), strict=True))
            for scope, ids in orjson.loads(arrays["ids"].tobytes())
        }
        self._count = sum(map(len, self._ids.values()))

    def row(self, scope: ScopeKey, id: str) -> int | None:
        """Return the row of a record, or None."""
        return self._ids.get(scope, {}).get(id)

    def span(self, row: int) -> Span:
        """Return where the record of ``row`` lies in the log."""
        return Span(self._offsets[row], self._lengths[row])

    def alive(self) -> Mask:
        """Return which rows are alive, over all scopes."""
        return np.frombuffer(bytes(self._alive), dtype=np.bool_)

    def visible(self, scope: ScopeKey) -> Mask:
        """Return the rows of ``scope`` and no others: they are read from its own table of ids."""
        if not scope:
            return self.alive()
        ids = self._ids.get(scope, {})
        out = np.zeros(self.rows, dtype=np.bool_)
        out[np.fromiter(ids.values(), np.int64, len(ids))] = True
        return out

    def candidates(self, scope: ScopeKey, node: Node | None, ids: Iterable[str] | None) -> Candidates:
        """Return the rows that a search may see, and those of them that it may return."""
        visible = allowed = self.visible(scope)
        if node is not None:
            allowed = allowed & mask(node, self.columns)
        if ids is not None:
            named = np.zeros(self.rows, dtype=np.bool_)
            named[[row for id in ids if (row := self.row(scope, id)) is not None]] = True
            allowed = allowed & named
        return Candidates(visible, allowed)


def _named(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
