"""Everything that is derived from the log: which rows there are, whose they are, and what they can be found by.

A put takes the next row; a row is never reused, and a replaced or deleted one is only left out of the masks. Live
writes and replay both go through :meth:`Index.apply`.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from datetime import datetime
from itertools import chain, islice, takewhile
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from bedside.engines.embedded.index.bm25 import SparseIndex
from bedside.engines.embedded.index.columns import Columns
from bedside.engines.embedded.index.dense import DenseIndex
from bedside.engines.embedded.index.mask import mask
from bedside.engines.embedded.index.segments import FEW
from bedside.engines.embedded.index.versions import chains
from bedside.engines.embedded.log.cache import Stored, parts_of
from bedside.engines.embedded.log.log import Span
from bedside.engines.protocol import Selection
from bedside.filters.rules import Key, fields
from bedside.filters.validity import valid
from bedside.records import Delete, ScopeKey
from bedside.search.versions import Chains
from bedside.text.analyzer import Analyzer, FieldTerms
from bedside.types import Metadata, Vector

Mask: TypeAlias = NDArray[np.bool_]
_T = TypeVar("_T")
_Scalar = TypeVar("_Scalar", bound=np.generic)
# Rows put at once. Of 256 so many objects live at a time that Python looks through all there are for garbage every few
# seconds of a long load, which holds up searches for 10 to 20 ms and longer in a large program; 64 are as fast.
_BATCH = 64
_KEPT = 3  # arrays over all rows that are kept: a search for notes has two, and latest_by one more


class Put(NamedTuple):
    """A record that was written, with the terms that it is found by, and where its line lies."""

    id: str
    scope: ScopeKey
    terms: FieldTerms
    metadata: Metadata
    vector: Vector | None
    span: Span


Entry: TypeAlias = Put | Delete


class Index:
    """Rows, ids by scope, vectors, postings and metadata columns of one log."""

    def __init__(self, dimension: int | None, settings: Mapping[str, Any]) -> None:
        self.analyzer = Analyzer.of(settings)
        self.tokenizer = self.analyzer.tokenizer
        self.sparse = SparseIndex(k1=settings["k1"], b=settings["b"])
        self.columns = Columns()
        self.dense: DenseIndex | None = None
        self._ids: dict[ScopeKey, dict[str, int]] = {}
        self._alive = bytearray()
        self._offsets = array("q")
        self._lengths = array("q")
        self._count = 0
        self._first = 0  # the number of its first row
        self._before: Mapping[ScopeKey, Mapping[str, int]] = {}  # of a part: the ids of the rows before it
        self._gone: set[tuple[ScopeKey, str]] = set()  # and which of them it replaces or deletes
        self._of_all: dict[tuple[str, ...], NDArray[Any]] = {}
        self._chains: tuple[tuple[ScopeKey, int, int], Chains] | None = None
        self.set_dimension(dimension)

    def __len__(self) -> int:
        """Records alive, over all scopes."""
        return self._count

    @property
    def rows(self) -> int:
        """Rows ever put, the dead ones included."""
        return self._first + len(self._alive)

    def scopes(self) -> list[tuple[ScopeKey, int]]:
        """Return the scopes that hold records, and how many each holds."""
        return [(scope, len(ids)) for scope, ids in self._ids.items() if ids]

    def beside(self) -> Index:
        """Return an empty index for the rows that follow this one's last; :meth:`absorb` takes it in.

        Both share the tokenizer and the vocabulary, so one writer at a time may fill a part.
        """
        part = copy(self)
        part.sparse, part.columns = self.sparse.beside(), self.columns.beside()
        part.dense = None if self.dense is None else DenseIndex(self.dense.dimension)
        part._before = self._ids
        part._ids, part._alive, part._offsets, part._lengths = {}, bytearray(), array("q"), array("q")
        part._count, part._first, part._gone, part._of_all, part._chains = 0, self.rows, set(), {}, None
        return part

    def join(self, part: Index) -> None:
        """Take in the vectors of a part: the long half of :meth:`absorb`, which searches need not wait for."""
        if self.dense is None:
            self.dense = part.dense
        elif part.dense is not None:
            self.dense.absorb(part.dense)

    def absorb(self, part: Index) -> None:
        """Take in a part that :meth:`beside` made and :meth:`join` took the vectors of, all its rows at once."""
        for scope, id in part._gone:
            self._kill(scope, id)
        self.sparse.absorb(part.sparse)
        self.columns.absorb(part.columns)
        for mine, other in ((self._alive, part._alive), (self._offsets, part._offsets), (self._lengths, part._lengths)):
            mine += other  # type: ignore[operator]
        for scope, ids in part._ids.items():
            self._ids.setdefault(scope, {}).update(ids)
        self._count += part._count

    def settle(self) -> None:
        """Merge what was taken in; searches go on with what was there before."""
        self.sparse.settle()
        self.columns.settle()

    def apply(self, entries: Iterable[Entry]) -> None:
        """Take over what was written, in order."""
        for batch in _batches(entries, _BATCH):
            puts = [entry for entry in batch if isinstance(entry, Put)]
            self._extend(puts)
            row = self.rows - len(puts)
            for entry in batch:
                self._kill(entry.scope, entry.id)
                if isinstance(entry, Put):
                    self._ids.setdefault(entry.scope, {})[entry.id] = row
                    self._alive[row - self._first] = 1
                    self._count += 1
                    row += 1

    def _extend(self, puts: Sequence[Put]) -> None:
        if puts:  # the manifest that was read may be older than the log
            self.set_dimension(None if puts[0].vector is None else len(puts[0].vector))
        self._alive.extend(bytes(len(puts)))
        self._offsets.extend(put.span.offset for put in puts)
        self._lengths.extend(put.span.length for put in puts)
        self.columns.extend(put.metadata for put in puts)
        self.sparse.extend(put.terms for put in puts)
        if self.dense is not None and puts:
            self.dense.extend(np.stack([put.vector for put in puts if put.vector is not None]))

    def _kill(self, scope: ScopeKey, id: str) -> None:
        row = self._ids.get(scope, {}).pop(id, None)
        if row is not None:
            self._alive[row - self._first] = 0
            self._count -= 1
        elif id in self._before.get(scope, ()):
            self._gone.add((scope, id))

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

    def groups(self, key: str, read: Callable[[int], Mapping[str, Any]], among: Mask) -> NDArray[np.int64]:
        """Number the groups of rows that have one value of ``key``: int64 ``[n]``; a row without it is its own group.

        Lists and objects are one group where they are equal, which only their records can tell. Of many rows the
        numbers of all are kept until the next put: to number 1,000,000 rows of as many values takes a second. Those of
        few rows, such as a patient's, are looked up where all values are scalars.

        Args:
            key: A metadata key, or a dotted path.
            read: Returns the metadata of a row.
            among: bool ``[n]``: the rows that are asked about; the number of any other says nothing.
        """
        if self._are_few(among, key):
            return self._groups_of(key, among)
        return self._kept(("groups", key), lambda: self._grouped(key, read))

    def owners(self, key: str, as_one: str, numbers: NDArray[np.int64], among: Mask) -> NDArray[np.int32]:
        """Return ``numbers``, which :meth:`groups` gave, where a row has both keys, and -1 elsewhere: int32 ``[n]``."""

        def owned() -> NDArray[np.int32]:
            held = self.members(as_one) & self.members(key)
            return np.where(held, numbers, -1).astype(np.int32)

        return owned() if self._are_few(among, key) else self._kept(("owners", key, as_one), owned)

    def _are_few(self, among: Mask, key: str) -> bool:
        if self._has(("groups", key)) or not self.columns.all_scalars(key):
            return False
        return bool(np.count_nonzero(among) <= FEW)

    def _groups_of(self, key: str, among: Mask) -> NDArray[np.int64]:
        found = np.zeros(self.rows, np.int64)
        rows = np.flatnonzero(among)
        found[rows] = self.rows + rows
        numbers: dict[Key, int] = {}
        for value, row in self.columns.keys(key, among):
            found[row] = numbers.setdefault(value, len(numbers))
        return found

    def _grouped(self, key: str, read: Callable[[int], Mapping[str, Any]]) -> NDArray[np.int64]:
        values = self.columns.groups(key).astype(np.int64)
        found = np.where(values < 0, 2 * self.rows + np.arange(self.rows), values)
        kinds: dict[bytes, int] = {}
        for row in np.flatnonzero(~self.columns.scalar(key) & (values >= 0) & self.alive()).tolist():
            value = orjson.dumps(fields(read(row))[key], option=orjson.OPT_SORT_KEYS)
            found[row] = kinds.setdefault(value, self.rows + len(kinds))
        return found

    def members(self, key: str) -> Mask:
        """Say which rows have a metadata key, whatever its value: bool ``[n]``."""
        return self.columns.present(key)

    def _kept(self, name: tuple[str, ...], make: Callable[[], NDArray[_Scalar]]) -> NDArray[_Scalar]:
        """Return what is said of every row, made anew after a put; the last few of these are kept."""
        if not self._has(name):
            found = make()
            found.flags.writeable = False  # all searches share it
            kept = [each for each in self._of_all.items() if self._has(each[0])]
            self._of_all = dict([*kept, (name, found)][-_KEPT:])
        return self._of_all[name]

    def _has(self, name: tuple[str, ...]) -> bool:
        found = self._of_all.get(name)
        return found is not None and len(found) == self.rows

    def derived(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the bytes of what a cache of this index holds: terms, ids, paths, values, vectors and numbers."""
        state, arrays = self.to_state()
        yield np.frombuffer(orjson.dumps(state), np.uint8)
        for parts in map(parts_of, arrays.values()):
            yield from (part.reshape(-1).view(np.uint8) for part in parts)

    def to_state(self) -> tuple[dict[str, Any], dict[str, Stored]]:
        """Return the whole index as a JSON value and arrays, those of vectors in parts that are not copies."""
        return self._state(0, self.sparse.to_state(), self.columns.to_state(), self._dense_arrays(0))

    def since(self, row: int, terms: int) -> tuple[dict[str, Any], dict[str, Stored]]:
        """Return what was put from ``row`` on, and which rows are alive by now; ``terms`` as in the sparse index."""
        return self._state(row, self.sparse.since(row, terms), self.columns.since(row), self._dense_arrays(row))

    def _state(
        self,
        row: int,
        sparse: tuple[dict[str, Any], dict[str, NDArray[Any]]],
        columns: tuple[dict[str, Any], dict[str, NDArray[Any]]],
        dense: dict[str, Stored],
    ) -> tuple[dict[str, Any], dict[str, Stored]]:
        found = [(scope, since) for scope, ids in self._ids.items() if (since := _since(ids, row))]
        rows = chain.from_iterable(ids.values() for _, ids in found)
        arrays: dict[str, Stored] = {
            "alive": np.frombuffer(bytes(self._alive), np.uint8),
            "offsets": np.array(self._offsets[row:], np.int64),
            "lengths": np.array(self._lengths[row:], np.int64),
            "ids": np.frombuffer(orjson.dumps([(scope, list(ids)) for scope, ids in found]), np.uint8),
            "rows": np.fromiter(rows, np.int64),
            **{f"sparse.{name}": array for name, array in sparse[1].items()},
            **{f"columns.{name}": array for name, array in columns[1].items()},
            **{f"dense.{name}": array for name, array in dense.items()},
        }
        return {"first": row, "sparse": sparse[0], "columns": columns[0]}, arrays

    def _dense_arrays(self, row: int) -> dict[str, Stored]:
        if self.dense is None:
            return {}
        return self.dense.since(row) if row else self.dense.to_arrays()

    def load(self, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Append what :meth:`to_state` or :meth:`since` gave, which follows what is here; memory maps serve."""
        if state["first"] != self.rows:
            raise ValueError(f"the rows begin at {state['first']}, expected {self.rows}")
        self.sparse.load(state["sparse"], _named(arrays, "sparse."))
        self.columns.load(state["columns"], _named(arrays, "columns."))
        dense = _named(arrays, "dense.")
        if dense and self.dense is not None and self.rows:
            self.dense.load(dense)
        else:
            self.dense = DenseIndex.from_arrays(dense) if dense else None
        self._alive = bytearray(arrays["alive"])
        self._offsets.frombytes(arrays["offsets"].tobytes())
        self._lengths.frombytes(arrays["lengths"].tobytes())
        rows = iter(arrays["rows"].tolist())
        for scope, ids in orjson.loads(arrays["ids"].tobytes()):
            mine = self._ids.setdefault(tuple(scope), {})
            for id in ids if mine else ():
                mine.pop(id, None)  # a replaced record counts as added now
            mine.update(zip(ids, islice(rows, len(ids)), strict=True))

    def drop_dead(self) -> None:
        """Forget the ids of dead rows, after the last :meth:`load`."""
        alive = self._alive
        for scope, ids in self._ids.items() if 0 in alive else ():
            if dead := [id for id, row in ids.items() if not alive[row]]:
                for id in dead:
                    del self._ids[scope][id]
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

    def visible(self, scope: ScopeKey, as_of: datetime | None = None) -> Mask:
        """Return the rows of ``scope`` and no others, and of these what was valid just before ``as_of``."""
        out = self._of_scope(scope) if scope else self.alive()
        if as_of is None:
            return out
        out = out & mask(valid(as_of), self.columns)
        out[self._chains_of(scope).superseded(out)] = False
        return out

    def _of_scope(self, scope: ScopeKey) -> Mask:
        """Read the rows of a scope from its own table of ids."""
        ids = self._ids.get(scope, {})
        out = np.zeros(self.rows, dtype=np.bool_)
        out[np.fromiter(ids.values(), np.int64, len(ids))] = True
        return out

    def _chains_of(self, scope: ScopeKey) -> Chains:
        """Return which rows of a scope supersede which; kept until the next put or delete."""
        state = (scope, self.rows, self._count)
        if self._chains is None or self._chains[0] != state:
            self._chains = state, chains(self.columns, self.ids(scope), self.visible(scope))
        return self._chains[1]

    def allowed(self, selection: Selection, visible: Mask | None = None) -> Mask:
        """Return the rows that a selection leaves of what its scope sees."""
        allowed = self.visible(selection.scope, selection.as_of) if visible is None else visible
        if selection.node is not None:
            allowed = allowed & mask(selection.node, self.columns)
        if selection.ids is not None:
            named = np.zeros(self.rows, dtype=np.bool_)
            named[[row for id in selection.ids if (row := self.row(selection.scope, id)) is not None]] = True
            allowed = allowed & named
        return allowed

    def chosen(self, selection: Selection) -> list[int]:
        """Return the selected rows: by id in the order asked, else in insertion order."""
        allowed = self.allowed(selection)
        if selection.ids is None:
            rows: list[int] = np.flatnonzero(allowed).tolist()
            return rows
        found = [self.row(selection.scope, id) for id in selection.ids]
        return [row for row in found if row is not None and allowed[row]]

    def names(self, selection: Selection) -> list[str]:
        """Return the ids of the selected records, each once."""
        allowed = self.allowed(selection)
        named = self.ids(selection.scope) if selection.ids is None else dict.fromkeys(selection.ids)
        return [id for id in named if (row := self.row(selection.scope, id)) is not None and allowed[row]]


def _named(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _since(ids: dict[str, int], row: int) -> dict[str, int]:
    """Return the ids of the rows from ``row`` on: the last ones, as a replaced record counts as added then."""
    if not row:
        return ids
    last = list(takewhile(lambda item: item[1] >= row, reversed(ids.items())))
    return dict(reversed(last))


def _batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
