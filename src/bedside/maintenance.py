"""Looking after a collection: what verification, erasure and repair report, and how traces are searched for."""

from __future__ import annotations

import filecmp
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from bedside.errors import CorruptLogError, NotACollectionError
from bedside.index.dense import unit_rows
from bedside.store.cache import remove_cache
from bedside.store.log import EMPTY_LOG, Position
from bedside.store.manifest import NAME, Manifest
from bedside.store.seal import BrokenSealError, seal, text_to_vector, unseal
from bedside.store.storage import CACHE_NAME, DiskStorage
from bedside.support.files import refusals

_SHORTEST = 8
"""Bytes of the shortest trace that is looked for: anything shorter occurs by chance."""
_CHUNK = 1 << 22
_OPERATION = re.compile(rb'^\{"op":"(put|delete|open|commit)"')
_JOINT = re.compile(rb'(?<="\})[^\n](?=\{"op":")', re.DOTALL)
_ID = re.compile(rb'^\{"op":"(put|delete)","id":"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class VerifyReport:
    """What :meth:`bedside.Collection.verify` read.

    Attributes:
        file: The log's name.
        bytes: Its size, an unfinished transaction left out.
        lines: Lines in it, each with its checksum.
        records: Living records.
        unfinished_bytes: What a killed writer left behind the last commit; the next write removes it.
    """

    file: str
    bytes: int
    lines: int
    records: int
    unfinished_bytes: int


@dataclass(frozen=True)
class EraseReceipt:
    """What :meth:`bedside.Collection.erase` removed, and where it looked for traces afterwards.

    Attributes:
        ids: Of the erased records, those included that were asked for by id and had been deleted before.
        files: Every file of the collection, all of which were scanned, with its size in bytes. Empty in memory.
        traces: How many byte strings of ids, texts, vectors and metadata were looked for, of earlier versions in the
            log too; none was found. What is shorter than 8 bytes is not looked for: it occurs by chance.
        shared: How many more were not looked for, because a surviving record, or the format itself, holds the same.
    """

    ids: tuple[str, ...]
    files: Mapping[str, int]
    traces: int
    shared: int


@dataclass(frozen=True)
class Loss:
    """A line that could not be saved.

    Attributes:
        line: Its number, from 1.
        operation: ``"put"``, ``"delete"``, or ``"unknown"`` where that could not be read: a lost delete brings the
            record back. ``"open"`` and ``"commit"`` are lines that hold no record.
        id: Of its record, where it could still be read.
    """

    line: int
    operation: str
    id: str | None


@dataclass(frozen=True)
class RepairReport:
    """What :func:`repair` saved and lost.

    Attributes:
        records: Living records in the new log.
        lost: The damaged lines, and those that are missing, at the commit line that counted them.
        kept: Name of the file that holds the damaged log; ``None`` where nothing was damaged.
    """

    records: int
    lost: tuple[Loss, ...]
    kept: str | None


def traces_of(records: Iterable[Mapping[str, Any]]) -> set[bytes]:
    """Return the byte strings by which stored records could be recognised in a file."""
    found: set[bytes] = set()
    for record in records:
        for value in (record["id"], record["text"], *_words(record["metadata"])):
            found |= {value.encode(), orjson.dumps(value)[1:-1]}
        if "vector" in record:
            vector = text_to_vector(record["vector"])
            found |= {record["vector"].encode(), vector.tobytes(), unit_rows(vector[None]).tobytes()}
    return {trace for trace in found if len(trace) >= _SHORTEST}


def without_shared(traces: set[bytes], survivors: Iterable[Mapping[str, Any]], manifest: Manifest) -> set[bytes]:
    """Return the traces that no surviving record holds too, be it in its id or in a key, nor the format itself."""
    finder = _Finder(traces)
    shared = finder.find(manifest.to_bytes()) | finder.find(EMPTY_LOG)
    for record in survivors:
        shared |= finder.find(seal(record)) | (traces & traces_of([record]))
    return traces - shared


def scan(folder: Path, traces: set[bytes]) -> tuple[dict[str, int], dict[str, int]]:
    """Read every file below ``folder``; return the size of each, and of those that hold a trace how many they hold."""
    finder = _Finder(traces)
    sizes, found = {}, {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        sizes[name] = path.stat().st_size
        hits: set[bytes] = set()
        for chunk in _overlapping(path, max(map(len, traces), default=0)):
            hits |= finder.find(chunk)
        if hits:
            found[name] = len(hits)
    return sizes, found


class _Finder:
    """Finds many byte strings in one pass: the first eight bytes of each place are hashed into a table.

    A search for one string after the other reads a file once for each; 800 traces in a log of 480 MB took two minutes,
    this takes seconds.
    """

    _MIX = np.uint64(0x9E3779B97F4A7C15)
    _BITS = 20

    def __init__(self, traces: Iterable[bytes]) -> None:
        self._by_prefix: dict[bytes, list[bytes]] = {}
        for trace in traces:
            self._by_prefix.setdefault(trace[:_SHORTEST], []).append(trace)
        self._table = np.zeros(1 << self._BITS, dtype=np.bool_)
        prefixes = np.frombuffer(b"".join(self._by_prefix), "<u8")
        self._table[self._hash(prefixes)] = True

    def find(self, data: bytes) -> set[bytes]:
        """Return the traces that lie within ``data``."""
        if len(data) < _SHORTEST or not self._by_prefix:
            return set()
        windows = np.ndarray((len(data) - _SHORTEST + 1,), "<u8", data, 0, (1,))
        places = np.flatnonzero(self._table[self._hash(windows)]).tolist()
        return {
            trace
            for place in places
            for trace in self._by_prefix.get(data[place : place + _SHORTEST], ())
            if data.startswith(trace, place)
        }

    def _hash(self, values: NDArray[np.uint64]) -> NDArray[np.int64]:
        return np.asarray((values * self._MIX) >> np.uint64(64 - self._BITS), dtype=np.int64)


def repair(path: str | os.PathLike[str]) -> RepairReport:
    """Save what is whole of a collection whose log is damaged; no process may have it open.

    Every record whose line has a matching checksum is kept, in order, as one transaction of a new log. The damaged log
    stays in the folder under another name, for a closer look; delete it once it is no longer needed, because it holds
    notes. A collection without damage is left as it is, and so is what no commit ever closed: it is dropped.

    Args:
        path: The collection's folder.

    Returns:
        What was saved, and each line that was lost. A lost ``delete`` brings its record back: look at them.

    Raises:
        NotACollectionError: There is no readable manifest: put it back from a backup, it says whose records are whose.
        LockTimeoutError: Another process is writing.
    """
    folder = Path(path)
    if not (folder / NAME).is_file():
        raise NotACollectionError(f"{folder} holds no {NAME}, so there is no collection to repair")
    storage = DiskStorage(folder, read_only=False, lock_timeout=60.0)
    try:
        with storage.writing():
            storage.refresh()
            try:
                end = storage.log.verify(Position())
            except CorruptLogError:
                return _salvage(storage, folder)
            whole = (record for _, record in storage.log.records(Position(), end))
            return RepairReport(len(_replayed(whole, storage)), (), None)
    finally:
        storage.close()


def _salvage(storage: DiskStorage, folder: Path) -> RepairReport:
    damaged = folder / storage.log.name
    lost: list[Loss] = []
    kept = _keep(damaged)
    survivors = _replayed(_whole_records(damaged, lost), storage)
    remove_cache(folder / CACHE_NAME)
    storage.switch(storage.prepare(survivors.values()), storage.manifest)
    storage.remove_strays()
    return RepairReport(len(survivors), tuple(lost), kept.name)


def _whole_records(path: Path, lost: list[Loss]) -> Iterator[dict[str, Any]]:
    """Yield the records of whole lines; list the others.

    Whole lines behind the last commit were never acknowledged, unless a damaged line among them may have been theirs.
    """
    pending: list[dict[str, Any]] = []
    before = 0  # lines that were lost before this transaction
    for number, line, record in _lines(path):
        if record is None:
            lost.append(_loss(number, line))
            operation = lost[-1].operation
        else:
            operation = record["op"]
        if operation in ("open", "commit"):
            missing = (record or {}).get("records", 0) - len(pending) - (len(lost) - before)
            lost += [Loss(number, "unknown", None)] * missing
            yield from pending
            pending, before = [], len(lost)
        elif record is not None:
            pending.append(record)
    if len(lost) > before:
        yield from pending


def _lines(path: Path) -> Iterator[tuple[int, bytes, dict[str, Any] | None]]:
    """Yield each line with its number and, where it is whole, what it holds.

    A line whose line feed is damaged is still whole. A rest that was cut off at the end is left out.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if (record := _opened(line)) is not None:
                yield number, line, record
                continue
            for part in _JOINT.split(line[:-1]):
                record = _opened(part + b"\n")
                if record is not None or line.endswith(b"\n"):
                    yield number, part, record


def _opened(line: bytes) -> dict[str, Any] | None:
    try:
        return unseal(line)
    except (BrokenSealError, orjson.JSONDecodeError):
        return None


def _loss(number: int, line: bytes) -> Loss:
    if (match := _ID.match(line)) is None:
        kind = _OPERATION.match(line)
        return Loss(number, kind[1].decode() if kind else "unknown", None)
    try:
        id = orjson.loads(b'"%b"' % match[2])
    except orjson.JSONDecodeError:
        id = None
    return Loss(number, match[1].decode(), id)


def _replayed(records: Iterable[dict[str, Any]], storage: DiskStorage) -> dict[Any, dict[str, Any]]:
    """Replay records and return the living ones, in insertion order."""
    keys = storage.manifest.scope_keys
    living: dict[Any, dict[str, Any]] = {}
    for record in records:
        scope = (
            tuple(record.get("scope", ())) if record["op"] == "delete" else tuple(record["metadata"][k] for k in keys)
        )
        living.pop((scope, record["id"]), None)
        if record["op"] == "put":
            living[scope, record["id"]] = record
    return living


def _keep(log: Path) -> Path:
    """Give ``log`` a second name that is not that of another file, and return it."""
    for number in count():
        kept = log.with_name(f"damaged-{log.stem}{f'-{number}' if number else ''}{log.suffix}")
        if not kept.exists():
            break
        if filecmp.cmp(kept, log, shallow=False):  # kept by a repair that was killed
            return kept
    with refusals(kept.name, "nothing was changed"):
        try:
            os.link(log, kept)
        except OSError:  # a file system without hard links
            shutil.copy2(log, kept)
    return kept


def _words(value: Any) -> Iterator[str]:
    """Yield every string, key and number of a JSON value, as text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield key
            yield from _words(item)
    elif isinstance(value, list):
        for item in value:
            yield from _words(item)
    elif value is not None and not isinstance(value, bool):
        yield orjson.dumps(value).decode()


def _overlapping(path: Path, longest: int) -> Iterator[bytes]:
    """Yield a file in chunks that overlap by ``longest`` bytes, so that nothing hides on a border."""
    rest = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            rest += chunk
            yield rest
            rest = rest[len(rest) - min(len(rest), longest) :]
